//! A Linux as it is boots inside of QEMU with a machine's ACPI tables in place of QEMU's, and tells what it made of
//! them.
//!
//! ```text
//!  cxl-sim acpi ──▶ NAME.dat ──▶ linker ──▶ QEMU ──▶ firmware: SeaBIOS, EDK II ──▶ Linux: its log, and as its first
//!               └─▶ places ───────┘                                                program ci/linux-init: sysfs
//! ```

mod linker;
mod machine;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use linker::Table;
use linker::link;
use machine::COMPLAINTS;
use machine::MACHINES;
use machine::Machine;
use machine::TOLD;

use super::process::Running;
use super::process::Silence;
use super::root::Root;
use crate::commands::cargo;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The first program.
const INIT: &str = include_str!("../../linux-init");

/// What it says in the end.
const END: &str = "all is told";

/// How long a machine may take. It is there to end a wait that would have no end.
const PATIENCE: Duration = Duration::from_secs(600);

/// Boots Linux with the tables of every machine.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let root = match Root::find(workspace) {
        Ok(root) => root,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let mut said = Vec::new();
    for machine in &MACHINES {
        match booted(workspace, &root, machine) {
            Ok(count) => said.push(format!("{}: {count} things told", machine.name)),
            Err(why) => return Outcome::Failed(format!("{}: {why}", machine.name)),
        }
    }
    Outcome::Passed(said.join("\n"))
}

fn booted(workspace: &Workspace, root: &Root, machine: &Machine) -> Result<usize, String> {
    let folder = root.folder()?;
    let linked = link(&tables(workspace, machine, folder.path())?)?;
    written(&folder.path().join("rsdp"), &linked.root)?;
    written(&folder.path().join("tables"), &linked.tables)?;
    written(&folder.path().join("script"), &linked.script)?;
    initial_files(root, machine, folder.path())?;
    let log = boot(root, machine, folder.path())?;
    judge(machine, &log).map_err(|said| format!("{said}\n{}", log.join("\n")))
}

/// The tables of the machine.
fn tables(workspace: &Workspace, machine: &Machine, folder: &Path) -> Result<Vec<Table>, String> {
    let mut write = cargo(workspace, "run --release -q -- acpi --out");
    write.arg(folder.join("acpi")).arg(format!("ci/machines/{}.toml", machine.name));
    let said = run(write)?;
    said.lines().map(|line| placed(line).unwrap_or_else(|| Err(format!("what is this: {line}")))).collect()
}

/// The table of which a line tells: `FOLDER/NAME.dat: N bytes for PLACE`.
fn placed(line: &str) -> Option<Result<Table, String>> {
    let (file, rest) = line.split_once(": ")?;
    let (_, place) = rest.split_once(" for 0x")?;
    let name = Path::new(file).file_stem()?.to_string_lossy().into_owned();
    let place = u64::from_str_radix(place, 16).ok()?;
    let read = fs::read(file).map_err(|error| format!("{file}: {error}"));
    Some(read.map(|bytes| Table { name, place, bytes }))
}

/// Packs what Linux finds when it starts: the first program, a shell for it, and modules.
fn initial_files(root: &Root, machine: &Machine, folder: &Path) -> Result<(), String> {
    let init = folder.join("init");
    written(&init, INIT.as_bytes())?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&init, executable).map_err(|error| format!("{}: {error}", init.display()))?;
    let mut pack = root.command("sh");
    let script =
        "cd \"$1\" && mkdir bin dev proc sys modules && cp \"$2/busybox\" bin/ && cp \"$2\"/*.ko modules/ &&
        find bin dev proc sys init modules | busybox cpio -o -H newc > initrd";
    pack.args(["-euc", script, "sh"]).arg(root.inside(folder)?).arg(machine.linux);
    run(pack).map(drop)
}

fn written(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Everything that Linux says, until its first program has told all.
fn boot(root: &Root, machine: &Machine, folder: &Path) -> Result<Vec<String>, String> {
    let mut qemu = root.command(machine.qemu);
    let files = [(linker::ROOT, "rsdp"), (linker::TABLES, "tables"), (linker::SCRIPT, "script")];
    qemu.args(machine.arguments(&root.inside(folder)?, &files));
    let (mut running, lines) = Running::start(qemu)?;
    let now = Instant::now();
    let deadline = now.checked_add(PATIENCE).unwrap_or(now);
    let mut log = Vec::new();
    loop {
        match lines.find(deadline, |line| Some(without_time(line).to_owned())) {
            Ok(line) if line == END => return Ok(log),
            Ok(line) => log.push(line),
            Err(silence) => {
                let how = match silence {
                    Silence::TooLong => "Linux did not tell all in time",
                    Silence::Ended => "Linux ended before it had told all",
                };
                return Err(format!("{how}: {}\n{}", running.kill(), log.join("\n")));
            }
        }
    }
}

/// A line of the kernel's log without the time that it begins with, and without blanks around it.
fn without_time(line: &str) -> &str {
    let text = line.trim().strip_prefix('[').and_then(|line| line.split_once("] "));
    text.map_or(line, |(_, text)| text).trim()
}

/// Whether the log has all that it must and nothing that it may not. How many things were told.
fn judge(machine: &Machine, log: &[String]) -> Result<usize, String> {
    let unwanted = || COMPLAINTS.iter().chain(machine.untold);
    if let Some(line) = log.iter().find(|line| unwanted().any(|one| line.contains(one))) {
        return Err(format!("Linux says: {line}"));
    }
    let must = || TOLD.iter().chain(machine.told);
    match must().find(|told| log.iter().all(|line| line != *told)) {
        Some(missing) => Err(format!("Linux does not say: {missing}")),
        None => Ok(must().count()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn told(machine: &Machine) -> Vec<String> {
        TOLD.iter().chain(machine.told).map(|line| (*line).to_owned()).collect()
    }

    #[rstest]
    fn a_log_that_says_all_passes_and_one_that_lacks_a_line_does_not(#[values(0, 1)] machine: usize) {
        let machine = &MACHINES[machine];
        let all = told(machine);
        assert_eq!(judge(machine, &all), Ok(all.len()));
        for index in 0..all.len() {
            let mut log = all.clone();
            let missing = log.remove(index);
            assert_eq!(judge(machine, &log), Err(format!("Linux does not say: {missing}")));
        }
    }

    #[rstest]
    fn what_may_not_be_said_fails_whatever_else_is_said(#[values(0, 1)] machine: usize) {
        let machine = &MACHINES[machine];
        for complaint in COMPLAINTS.iter().chain(machine.untold) {
            let mut log = told(machine);
            log.push(format!("x {complaint} y"));
            assert_eq!(judge(machine, &log), Err(format!("Linux says: x {complaint} y")));
        }
    }

    #[test]
    fn the_time_of_a_line_is_not_part_of_it() {
        assert_eq!(
            without_time("[    3.738390]  pci0000:0c: host supports CXL\r"),
            "pci0000:0c: host supports CXL"
        );
        assert_eq!(without_time("Booting from ROM..."), "Booting from ROM...");
    }

    #[test]
    fn a_line_tells_of_a_table_by_its_file_and_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("RSDP.dat");
        fs::write(&file, "RSD PTR ").unwrap();
        let line = format!("{}: 8 bytes for 0x1ff00000", file.display());
        let table = placed(&line).unwrap().unwrap();
        assert_eq!((table.name.as_str(), table.place, table.bytes.len()), ("RSDP", 0x1ff0_0000, 8));
        assert!(placed("t/RSDP.dat: 36 bytes").is_none());
        assert!(placed("/nowhere/RSDP.dat: 8 bytes for 0x10").unwrap().is_err());
    }
}
