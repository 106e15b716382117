//! ACPICA's interpreter evaluates the methods of a DSDT; what they must answer is typed here.
//!
//! The questions of a talk are asked in one run, one after the other, so that what a method keeps shows in the
//! answers that follow. A line of more than 1023 letters is more than acpiexec listens to, so there are many talks.

use std::fmt::Write;
use std::path::Path;

use super::super::root::Root;

/// The UUIDs, in the order of their bytes.
const PCI: [u8; 16] =
    [0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66];
const CXL: [u8; 16] =
    [0x0b, 0xd5, 0xf2, 0x68, 0x69, 0xc4, 0x8a, 0x4d, 0xbd, 0x3d, 0x94, 0x1a, 0x10, 0x3f, 0xd3, 0xfc];
const DSM: [u8; 16] =
    [0xd0, 0x37, 0xc9, 0xe5, 0x53, 0x35, 0x7a, 0x4d, 0x91, 0x17, 0xea, 0x4d, 0x19, 0xc3, 0x43, 0x4d];
/// Nobody's: that of CXL, but for its last byte.
const STRANGE: [u8; 16] =
    [0x0b, 0xd5, 0xf2, 0x68, 0x69, 0xc4, 0x8a, 0x4d, 0xbd, 0x3d, 0x94, 0x1a, 0x10, 0x3f, 0xd3, 0xfd];

/// What is asked, and what must be answered.
enum Question {
    /// `_OSC` of a bridge: UUID and revision, the dwords that go in, and those that come out.
    Osc(&'static str, ([u8; 16], u8), &'static [u32], &'static [u32]),
    /// `_DSM` of a bridge: UUID, revision and function.
    Dsm(&'static str, ([u8; 16], u8, u8), Answer),
    /// An object.
    Object(&'static str, Answer),
    /// The descriptors of a device's `_CRS`: kind, first, last.
    Resources(&'static str, &'static [(Kind, u64, u64)]),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Integer(u64),
    Buffer(Vec<u8>),
    /// Nothing, and why.
    Failed(String),
    /// Descriptors: kind, first, last.
    Resources(Vec<(Kind, u64, u64)>),
}

/// What a descriptor is about, in ACPICA's words.
type Kind = &'static str;

const BUS: Kind = "Bus Number Range";
const IO: Kind = "I/O Range";
const MEMORY: Kind = "Memory Range";

/// An answer of `_DSM` that has no function, or not this one.
const NO_FUNCTION: &[u8] = &[0];

/// Questions one after the other.
type Talk = Vec<Question>;

const VIRT_CXL: &str = "\\_SB.PC0C";
const VIRT_ROOT: &str = "\\_SB.PC00";

/// A machine with CXL that keeps what is placed.
fn virt() -> Vec<Talk> {
    vec![
        only_asking(),
        asking_for_control(),
        asking_wrongly(),
        asking_a_pcie_bridge(),
        must_keep(VIRT_ROOT),
        must_keep(VIRT_CXL),
        must_keep("\\_SB.PC14"),
        vec![
            Question::Object("\\_SB.CXLM._STA", Answer::Integer(0x0b)),
            Question::Resources(VIRT_ROOT, VIRT_PCIE),
            Question::Resources(VIRT_CXL, VIRT_FIRST_CXL),
            Question::Resources("\\_SB.PC14", VIRT_OTHER_CXL),
        ],
    ]
}

/// With the query bit nothing is kept. Of control, 0x1f of what is asked is granted, and memory errors.
fn only_asking() -> Talk {
    vec![
        Question::Osc(VIRT_CXL, (CXL, 1), &[1, 0x11f, 0x1ff, 3, 3], &[0x11, 0x11f, 0x1f, 3, 1]),
        Question::Object("\\_SB.PC0C.SUPP", Answer::Integer(0)),
        Question::Object("\\_SB.PC0C.CTRL", Answer::Integer(0)),
        Question::Object("\\_SB.PC0C.SUPC", Answer::Integer(0)),
        Question::Object("\\_SB.PC0C.CTRC", Answer::Integer(0)),
    ]
}

/// Memory errors are not for who supports no CXL registers; but what was granted is granted again, whatever is said
/// to be supported then. The other bridge has granted nothing.
fn asking_for_control() -> Talk {
    vec![
        Question::Osc(VIRT_CXL, (CXL, 1), &[0, 0x11f, 0x10, 4, 1], &[0x10, 0x11f, 0x10, 4, 0]),
        Question::Object("\\_SB.PC0C.CTRL", Answer::Integer(0x10)),
        Question::Object("\\_SB.PC0C.CTRC", Answer::Integer(0)),
        Question::Osc(VIRT_CXL, (CXL, 1), &[0, 0x11f, 0x1f, 1, 1], &[0, 0x11f, 0x1f, 1, 1]),
        Question::Object("\\_SB.PC0C.SUPP", Answer::Integer(0x11f)),
        Question::Object("\\_SB.PC0C.CTRL", Answer::Integer(0x1f)),
        Question::Object("\\_SB.PC0C.SUPC", Answer::Integer(5)),
        Question::Object("\\_SB.PC0C.CTRC", Answer::Integer(1)),
        Question::Osc(VIRT_CXL, (CXL, 1), &[0, 0, 0x1f, 0, 1], &[0, 0, 0x1f, 0, 1]),
        Question::Object("\\_SB.PC14.CTRC", Answer::Integer(0)),
    ]
}

/// An unknown UUID, unknown revisions, a buffer that is too short, and the UUID of PCI, which is right.
fn asking_wrongly() -> Talk {
    vec![
        Question::Osc(VIRT_CXL, (STRANGE, 1), &[0, 1, 0x1ff, 3, 3], &[4, 1, 0x1ff, 3, 3]),
        Question::Osc(VIRT_CXL, (CXL, 2), &[0, 1, 0x1ff, 3, 3], &[8, 1, 0x1ff, 3, 3]),
        Question::Osc(VIRT_CXL, (CXL, 0), &[1, 1, 0x1ff, 3, 3], &[9, 1, 0x1ff, 3, 3]),
        Question::Osc(VIRT_CXL, (CXL, 1), &[0, 1, 0x1ff], &[2, 1, 0x1ff]),
        Question::Object("\\_SB.PC0C.CTRL", Answer::Integer(0)),
        Question::Osc(VIRT_CXL, (PCI, 1), &[0, 1, 0x1ff], &[0x10, 1, 0x1f]),
    ]
}

/// A PCI Express bridge knows nothing of CXL.
fn asking_a_pcie_bridge() -> Talk {
    vec![
        Question::Osc(VIRT_ROOT, (PCI, 1), &[0, 0x11f, 0x1d], &[0, 0x11f, 0x1d]),
        Question::Osc(VIRT_ROOT, (PCI, 1), &[1, 0x11f, 0xff], &[0x11, 0x11f, 0x1f]),
        Question::Object("\\_SB.PC00.CTRL", Answer::Integer(0x1d)),
        Question::Osc(VIRT_ROOT, (CXL, 1), &[0, 1, 1, 1, 1], &[4, 1, 1, 1, 1]),
        Question::Osc(VIRT_ROOT, (PCI, 3), &[0, 1, 1], &[8, 1, 1]),
    ]
}

const VIRT_PCIE: &[(Kind, u64, u64)] = &[
    (BUS, 0, 11),
    (IO, 0, 0xffff),
    (MEMORY, 0x1000_0000, 0x2efe_ffff),
    (MEMORY, 0x80_0000_0000, 0xbf_ffff_ffff),
];

/// The last is the range of the fixed memory windows.
const VIRT_FIRST_CXL: &[(Kind, u64, u64)] = &[
    (BUS, 12, 19),
    (MEMORY, 0x3000_0000, 0x33ff_ffff),
    (MEMORY, 0xc0_0000_0000, 0xcf_ffff_ffff),
    (MEMORY, 0x100_0000_0000, 0x100_7fff_ffff),
];

const VIRT_OTHER_CXL: &[(Kind, u64, u64)] =
    &[(BUS, 20, 255), (MEMORY, 0x3400_0000, 0x37ff_ffff), (MEMORY, 0xd0_0000_0000, 0xdf_ffff_ffff)];

/// `_DSM` of a bridge below which the guest must keep what is placed.
fn must_keep(bridge: &'static str) -> Talk {
    let no_function = || Answer::Buffer(NO_FUNCTION.to_vec());
    vec![
        Question::Dsm(bridge, (DSM, 1, 0), Answer::Buffer(vec![0x21])),
        Question::Dsm(bridge, (DSM, 2, 0), Answer::Buffer(vec![0x21])),
        Question::Dsm(bridge, (DSM, 1, 5), Answer::Integer(0)),
        Question::Dsm(bridge, (DSM, 2, 5), Answer::Integer(0)),
        Question::Dsm(bridge, (DSM, 1, 1), no_function()),
        Question::Dsm(bridge, (DSM, 0, 5), no_function()),
        Question::Dsm(bridge, (DSM, 3, 5), no_function()),
        Question::Dsm(bridge, (STRANGE, 1, 0), no_function()),
        Question::Dsm(bridge, (STRANGE, 1, 5), no_function()),
    ]
}

/// A machine whose guest may move what is placed: there is no `_DSM`. No bridge names the windows.
fn q35() -> Vec<Talk> {
    let cxl = "\\_SB.PC34";
    let nothing = || Answer::Failed("AE_NOT_FOUND".to_owned());
    vec![
        vec![
            Question::Dsm(cxl, (DSM, 1, 5), nothing()),
            Question::Dsm("\\_SB.PC00", (DSM, 1, 5), nothing()),
            Question::Osc(cxl, (CXL, 1), &[0, 0x11f, 0x1f, 3, 1], &[0, 0x11f, 0x1f, 3, 1]),
            Question::Object("\\_SB.CXLM._STA", Answer::Integer(0x0b)),
        ],
        vec![Question::Resources(cxl, Q35_CXL)],
    ]
}

const Q35_CXL: &[(Kind, u64, u64)] =
    &[(BUS, 52, 255), (MEMORY, 0xe000_0000, 0xe3ff_ffff), (MEMORY, 0x30_0000_0000, 0x3f_ffff_ffff)];

/// A machine without CXL.
fn bare() -> Vec<Talk> {
    let no_cxl = Question::Object("\\_SB.CXLM._STA", Answer::Failed("AE_NOT_FOUND".to_owned()));
    vec![vec![no_cxl], must_keep("\\_SB.PC00")]
}

/// Asks the questions to a machine; says how many there are.
///
/// # Errors
/// If an answer is missing or wrong.
pub(super) fn evaluate(root: &Root, machine: &str, dsdt: &Path) -> Result<usize, String> {
    let talks = match machine {
        "virt" => virt(),
        "q35" => q35(),
        "bare" => bare(),
        other => return Err(format!("there are no questions to {other}")),
    };
    let dsdt = root.inside(dsdt)?;
    for talk in &talks {
        judge(talk, &ask(root, talk, &dsdt)?)?;
    }
    Ok(talks.iter().map(Vec::len).sum())
}

/// What acpiexec says to the questions of a talk.
fn ask(root: &Root, talk: &Talk, dsdt: &str) -> Result<String, String> {
    let commands: Vec<_> = talk.iter().map(Question::command).collect();
    let mut command = root.command("acpiexec");
    command.arg("-b").arg(commands.join(";")).arg(dsdt);
    let output = command.output().map_err(|error| format!("acpiexec: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("acpiexec: {}\n{said}", output.status)) }
}

/// Whether what acpiexec says is what must be answered, to each question.
fn judge(talk: &Talk, said: &str) -> Result<(), String> {
    let mut answers = answers(said).into_iter();
    for question in talk {
        let (command, expected) = (question.command(), question.expected());
        let answer = answers.next().ok_or_else(|| format!("{command}: acpiexec says nothing"))?;
        let (path, answer) = answer.map_err(|said| format!("{command}: acpiexec says {said}"))?;
        if path != question.path() || answer != expected {
            return Err(format!("{command}: acpiexec says {path}: {answer:x?}, not {expected:x?}"));
        }
    }
    match answers.next() {
        None => Ok(()),
        Some(answer) => Err(format!("nobody asked: {answer:x?}")),
    }
}

impl Question {
    fn path(&self) -> String {
        match self {
            Self::Osc(bridge, ..) => format!("{bridge}._OSC"),
            Self::Dsm(bridge, ..) => format!("{bridge}._DSM"),
            Self::Object(path, _) | Self::Resources(path, _) => (*path).to_owned(),
        }
    }

    /// The question in acpiexec's words.
    fn command(&self) -> String {
        let path = self.path();
        match self {
            Self::Osc(_, (uuid, revision), dwords, _) => {
                let count = dwords.len();
                format!("evaluate {path} {} {revision} {count} {}", buffer(uuid), buffer(&bytes(dwords)))
            }
            Self::Dsm(_, (uuid, revision, function), _) => {
                format!("evaluate {path} {} {revision} {function} [0]", buffer(uuid))
            }
            Self::Object(..) => format!("evaluate {path}"),
            Self::Resources(..) => format!("resources {path}"),
        }
    }

    fn expected(&self) -> Answer {
        match self {
            Self::Osc(_, _, _, dwords) => Answer::Buffer(bytes(dwords)),
            Self::Dsm(_, _, answer) | Self::Object(_, answer) => answer.clone(),
            Self::Resources(_, resources) => Answer::Resources(resources.to_vec()),
        }
    }
}

fn bytes(dwords: &[u32]) -> Vec<u8> {
    dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect()
}

/// A buffer as acpiexec takes one.
fn buffer(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, " {byte:02X}");
    }
    format!("({})", text.trim_start())
}

/// The answers in what acpiexec says: of which object, and what; or what cannot be understood.
fn answers(said: &str) -> Vec<Result<(String, Answer), String>> {
    let mut answers = Vec::new();
    let mut lines = said.lines().peekable();
    while let Some(line) = lines.next() {
        let begins = |line: &str| line.starts_with("Evaluating \\") || line.starts_with("Device: \\");
        if !begins(line) {
            continue;
        }
        let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let mut block = Vec::new();
        while let Some(next) = lines.next_if(|next| !begins(next)) {
            block.push(next);
        }
        let answer = if line.starts_with("Device") { resources(&block) } else { value(&block) };
        answers.push(answer.map(|answer| (path, answer)));
    }
    answers
}

/// What was returned, or that it failed. A complaint of the interpreter is no answer.
fn value(block: &[&str]) -> Result<Answer, String> {
    let mut lines = block.iter().map(|line| line.trim());
    let complaint = block.iter().find(|line| line.contains("ACPI Warning") || line.contains("ACPI Error"));
    if let Some(line) = complaint {
        return Err((*line).to_owned());
    }
    while let Some(line) = lines.next() {
        if let Some((_, status)) = line.split_once(" failed with status ") {
            return Ok(Answer::Failed(status.to_owned()));
        }
        if let Some(digits) = line.strip_prefix("[Integer] = ") {
            return number(digits).map(Answer::Integer);
        }
        // A buffer of one line of bytes has them in this line.
        if let Some((_, first)) = line.strip_prefix("[Buffer] Length ").and_then(|rest| rest.split_once('='))
        {
            let first = Some(first.trim()).filter(|first| !first.is_empty());
            return dump(first.into_iter().chain(lines)).map(Answer::Buffer);
        }
    }
    Err("nothing".to_owned())
}

/// The bytes of a dump: an offset and a colon, then bytes, then a comment.
fn dump<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for line in lines {
        let Some((_, rest)) = line.split_once(": ") else { break };
        let digits = rest.split("//").next().unwrap_or_default();
        for digits in digits.split_whitespace() {
            bytes.push(number(digits)? as u8);
        }
    }
    Ok(bytes)
}

/// The descriptors that have a range.
fn resources(block: &[&str]) -> Result<Answer, String> {
    let mut found = Vec::new();
    let mut kind = None;
    let mut first = None;
    for line in block {
        let Some((name, value)) = line.split_once(" : ") else { continue };
        match name.trim() {
            "Resource Type" => kind = [BUS, IO, MEMORY].into_iter().find(|kind| value.trim() == *kind),
            "Address Minimum" => first = Some(number(value.trim())?),
            "Address Maximum" => {
                let (Some(kind), Some(first)) = (kind.take(), first.take()) else {
                    return Err(format!("a range of no kind or without a beginning: {}", line.trim()));
                };
                found.push((kind, first, number(value.trim())?));
            }
            _ => {}
        }
    }
    Ok(Answer::Resources(found))
}

fn number(digits: &str) -> Result<u64, String> {
    u64::from_str_radix(digits, 16).map_err(|error| format!("{digits}: {error}"))
}

#[cfg(test)]
mod tests;
