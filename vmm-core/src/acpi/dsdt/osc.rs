//! `_OSC`: the guest says what it supports and asks what it may control.
//!
//! ```text
//!  UUID unknown ──▶ status bit 2          nothing else of the buffer changes
//!  revision not 1 ──▶ status bit 3
//!  buffer too short ──▶ status bit 1
//!  else: what is not granted is cleared, and then status bit 4; kept unless the query bit is set
//! ```
//!
//! Nothing that was granted is ever taken back. What is granted of PCI is always the same. Of CXL, memory error
//! reporting is granted to whoever supports CXL registers, or has once said so.

use acpi_tables::Aml;
use acpi_tables::aml::And;
use acpi_tables::aml::Arg;
use acpi_tables::aml::CreateDWordField;
use acpi_tables::aml::Equal;
use acpi_tables::aml::If;
use acpi_tables::aml::LessThan;
use acpi_tables::aml::Local;
use acpi_tables::aml::Method;
use acpi_tables::aml::NotEqual;
use acpi_tables::aml::ONE;
use acpi_tables::aml::Or;
use acpi_tables::aml::Path;
use acpi_tables::aml::Return;
use acpi_tables::aml::SizeOf;
use acpi_tables::aml::Store;
use acpi_tables::aml::Uuid;
use acpi_tables::aml::ZERO;

use super::code::Code;
use super::name;

/// The capabilities of a PCI host bridge: 3 dwords.
const PCI: &str = "33DB4D5B-1FF7-401C-9657-7441C03DD766";

/// The capabilities of a CXL host bridge: those of PCI, and 2 dwords more.
const CXL: &str = "68F2D50B-C469-4D8A-BD3D-941A103FD3FC";

const PCI_SIZE: u8 = 12;
const CXL_SIZE: u8 = 20;

/// Status: only a question, nothing is kept.
const QUERY: u8 = 1 << 0;

/// Status: it could not be done.
const FAILURE: u8 = 1 << 1;

/// Status: the UUID is not known.
const UNKNOWN_UUID: u8 = 1 << 2;

/// Status: the revision is not known.
const UNKNOWN_REVISION: u8 = 1 << 3;

/// Status: not everything was granted.
const MASKED: u8 = 1 << 4;

/// What a guest may control of PCI: native hot-plug, SHPC hot-plug, PME, AER, the PCI Express capability.
const PCI_CONTROL: u8 = 0b1_1111;

/// Support for CXL registers: those of a restricted device, or of a virtual hierarchy.
const CXL_REGISTERS: u8 = 0b11;

/// What a guest may control of CXL: memory error reporting.
const MEMORY_ERRORS: u8 = 1;

/// The arguments: UUID, revision, count of dwords, buffer.
const UUID: Arg = Arg(0);
const REVISION: Arg = Arg(1);
const BUFFER: Arg = Arg(3);

/// The variables: how long the buffer must be; what is granted; what of CXL is supported.
const SIZE: Local = Local(0);
const GRANTED: Local = Local(1);
const SUPPORTED: Local = Local(2);

/// The method, and what it keeps.
pub(super) fn method(is_cxl: bool) -> Code {
    let kept: &[&str] = if is_cxl { &["SUPP", "CTRL", "SUPC", "CTRC"] } else { &["SUPP", "CTRL"] };
    let mut code = Code::default();
    kept.iter().for_each(|kept| code.add(&name(kept, &ZERO)));
    let mut body = Code::default();
    body.add(&dword("CDW1", 0));
    refusals(&mut body, is_cxl);
    pci(&mut body);
    if is_cxl {
        let mut inside = Code::default();
        cxl(&mut inside);
        body.add(&If::new(&Equal::new(&SIZE, &CXL_SIZE), vec![&inside]));
    }
    body.add(&Return::new(&BUFFER));
    // It makes names, so it cannot run twice at a time.
    code.add(&Method::new(Path::new("_OSC"), 4, true, vec![&body]));
    code
}

/// A dword of the buffer gets a name.
fn dword(field: &str, offset: u8) -> Code {
    Code::of(&CreateDWordField::new(&Path::new(field), &BUFFER, &offset))
}

fn refusals(body: &mut Code, is_cxl: bool) {
    body.add(&Store::new(&SIZE, &ZERO));
    body.add(&If::new(&Equal::new(&UUID, &Uuid::new(PCI)), vec![&Store::new(&SIZE, &PCI_SIZE)]));
    if is_cxl {
        body.add(&If::new(&Equal::new(&UUID, &Uuid::new(CXL)), vec![&Store::new(&SIZE, &CXL_SIZE)]));
    }
    refuse(body, &Equal::new(&SIZE, &ZERO), UNKNOWN_UUID);
    refuse(body, &NotEqual::new(&REVISION, &ONE), UNKNOWN_REVISION);
    refuse(body, &LessThan::new(&SizeOf::new(&BUFFER), &SIZE), FAILURE);
}

fn refuse(body: &mut Code, condition: &dyn Aml, status: u8) {
    body.add(&If::new(condition, vec![&set("CDW1", &status), &Return::new(&BUFFER)]));
}

/// Sets bits.
fn set(field: &str, bits: &dyn Aml) -> Code {
    let field = Path::new(field);
    Code::of(&Or::new(&field, &field, bits))
}

/// Answers what is asked for in `control` with what is granted of it.
fn answer(body: &mut Code, control: &str) {
    let control = Path::new(control);
    body.add(&And::new(&GRANTED, &GRANTED, &control));
    let masked = NotEqual::new(&GRANTED, &control);
    body.add(&If::new(&masked, vec![&set("CDW1", &MASKED), &Store::new(&control, &GRANTED)]));
}

/// Keeps dwords under other names, unless it was only a question.
fn keep(body: &mut Code, pairs: [(&str, &str); 2]) {
    let [first, second] = pairs.map(|(kept, dword)| set(kept, &Path::new(dword)));
    let status = Path::new("CDW1");
    let query = And::new(&ZERO, &status, &QUERY);
    body.add(&If::new(&Equal::new(&query, &ZERO), vec![&first, &second]));
}

fn pci(body: &mut Code) {
    body.add(&dword("CDW2", 4));
    body.add(&dword("CDW3", 8));
    body.add(&Store::new(&GRANTED, &PCI_CONTROL));
    answer(body, "CDW3");
    keep(body, [("SUPP", "CDW2"), ("CTRL", "CDW3")]);
}

fn cxl(body: &mut Code) {
    body.add(&dword("CDW4", 12));
    body.add(&dword("CDW5", 16));
    body.add(&Or::new(&SUPPORTED, &Path::new("SUPC"), &Path::new("CDW4")));
    body.add(&And::new(&SUPPORTED, &SUPPORTED, &CXL_REGISTERS));
    body.add(&Store::new(&GRANTED, &ZERO));
    let grant = Store::new(&GRANTED, &MEMORY_ERRORS);
    body.add(&If::new(&NotEqual::new(&SUPPORTED, &ZERO), vec![&grant]));
    answer(body, "CDW5");
    keep(body, [("SUPC", "CDW4"), ("CTRC", "CDW5")]);
}
