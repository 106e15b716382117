//! The machine in QEMU: an IOMMU, a processor with SVM, and the device that we serve below a root port.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use super::ABI;
use super::PROFILE;
use super::architecture::Architecture;
use super::kernel::Kernel;
use super::program::Program;
use super::session;
use super::session::Told;
use crate::commands::run;
use crate::foreign::device::Device;
use crate::foreign::process::Running;
use crate::foreign::process::Silence;
use crate::foreign::root::Root;

/// The first program.
const INIT: &str = include_str!("../../../lab/init");

/// How long the lab may take over all its commands. It is there to end a wait that would have no end.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The most lines of the kernel's own log that are shown when it goes wrong.
const MOST_LINES: usize = 40;

/// What every machine has: its RAM is a file that our device can map.
const MACHINE: &str = "-accel tcg -m 1G -object memory-backend-memfd,id=mem,size=1G,share=on \
     -nodefaults -display none -no-reboot";

/// A lab that can be booted.
#[derive(Debug)]
pub(super) struct Lab<'a> {
    /// Its processor, and the machine around it.
    pub(super) architecture: &'a Architecture,
    /// Where QEMU is.
    pub(super) root: &'a Root,
    /// Linux.
    pub(super) kernel: &'a Kernel,
    /// Our program, for the processor that we run on: it serves the device.
    pub(super) outside: &'a Program,
    /// Our program, for the lab's processor.
    pub(super) inside: &'a Program,
}

/// Boots, and lets the first program take these commands.
///
/// # Errors
/// If the lab does not tell all: why, and the end of the kernel's log.
pub(super) fn session(lab: &Lab<'_>, commands: &[String]) -> Result<Vec<Told>, String> {
    let root = lab.root;
    let folder = root.folder()?;
    initial_files(lab, &folder, commands)?;
    let device = Device::served_by(Command::new(lab.outside.path()), root, PROFILE, ABI)?;
    let socket = root.inside(&device.socket())?;
    let mut qemu = root.command(lab.architecture.qemu);
    qemu.args(arguments(lab.architecture, &root.inside(folder.path())?, &socket));
    let lines = boot(qemu, folder.path())?;
    device.end()?;
    session::told(&lines)
}

fn arguments(architecture: &Architecture, folder: &str, socket: &str) -> Vec<String> {
    let device = format!(
        "{{\"driver\":\"vfio-user-pci\",\"bus\":\"below\",\"socket\":{{\"type\":\"unix\",\"path\":\"{socket}\"}}}}"
    );
    let named = [
        ("-chardev", format!("file,id=log,path={folder}/log")),
        ("-serial", "chardev:log".to_owned()),
        ("-serial", "stdio".to_owned()),
        ("-kernel", format!("{folder}/linux")),
        ("-initrd", format!("{folder}/initrd")),
        ("-append", architecture.parameters.to_owned()),
        ("-device", device),
    ];
    let named = named.into_iter().flat_map(|(option, value)| [option.to_owned(), value]);
    let words = architecture.machine.split_whitespace().chain(MACHINE.split_whitespace());
    words.map(str::to_owned).chain(named).collect()
}

/// Packs what Linux finds when it starts: the first program and its commands, a shell, our program, and modules.
fn initial_files(lab: &Lab<'_>, folder: &TempDir, commands: &[String]) -> Result<(), String> {
    let at = |name: &str| folder.path().join(name);
    for made in ["bin", "dev", "lab", "lib", "proc", "sys", "tmp"] {
        fs::create_dir(at(made)).map_err(|error| format!("{made}: {error}"))?;
    }
    let failed = |error: std::io::Error| format!("{}: {error}", folder.path().display());
    fs::write(at("init"), INIT).map_err(failed)?;
    fs::set_permissions(at("init"), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    fs::write(at("lab/commands"), format!("{}\n", commands.join("\n"))).map_err(failed)?;
    fs::copy(lab.root.busybox(lab.architecture.debian), at("bin/busybox")).map_err(failed)?;
    fs::copy(lab.inside.path(), at("bin/cxl-sim")).map_err(failed)?;
    fs::copy(&lab.kernel.image, at("linux")).map_err(failed)?;
    let mut copy = Command::new("cp");
    copy.arg("-rT").arg(&lab.kernel.modules).arg(at("lib"));
    run(copy)?;
    let mut pack = lab.root.command("sh");
    let script = "cd \"$1\" && find bin dev init lab lib proc sys tmp | busybox cpio -o -H newc > initrd";
    pack.args(["-euc", script, "sh"]).arg(lab.root.inside(folder.path())?);
    run(pack).map(drop)
}

/// Everything that the first program says, until it has told all.
fn boot(qemu: Command, folder: &Path) -> Result<Vec<String>, String> {
    let (mut running, lines) = Running::start(qemu)?;
    let now = Instant::now();
    let deadline = now.checked_add(PATIENCE).unwrap_or(now);
    let mut said = Vec::new();
    loop {
        match lines.find(deadline, |line| Some(line.trim_end().to_owned())) {
            Ok(line) if line == session::END => break,
            Ok(line) => said.push(line),
            Err(silence) => {
                let how = match silence {
                    Silence::TooLong => "the lab did not tell all in time",
                    Silence::Ended => "the lab ended before it had told all",
                };
                let (said, log) = (said.join("\n"), end_of_log(folder));
                return Err(format!("{how}: {}\n{said}\n{log}", running.kill()));
            }
        }
    }
    // The machine turns itself off, as a user's would, and the device is let go.
    let status = running.wait(deadline).map_err(|why| format!("QEMU: {why}\n{}", end_of_log(folder)))?;
    if status.success() { Ok(said) } else { Err(format!("QEMU: {status}: {}", running.kill())) }
}

fn end_of_log(folder: &Path) -> String {
    // Where there is no log, there is nothing to show of it.
    let log = fs::read(folder.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    let from = lines.len().saturating_sub(MOST_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::architecture::AARCH64;
    use super::super::architecture::X86_64;
    use super::*;

    #[test]
    fn the_device_is_below_the_port_and_its_socket_is_named() {
        for architecture in [X86_64, AARCH64] {
            let arguments = arguments(&architecture, "/tmp/lab", "/tmp/device/device.sock");
            assert_eq!(
                arguments.last().unwrap(),
                "{\"driver\":\"vfio-user-pci\",\"bus\":\"below\",\
                 \"socket\":{\"type\":\"unix\",\"path\":\"/tmp/device/device.sock\"}}"
            );
            assert!(arguments.contains(&"pcie-root-port,id=below,chassis=1,slot=1".to_owned()));
        }
    }

    #[test]
    fn the_programs_lines_are_apart_from_the_kernels() {
        let arguments = arguments(&X86_64, "/tmp/lab", "s");
        let serials: Vec<_> = arguments.windows(2).filter(|pair| pair[0] == "-serial").collect();
        assert_eq!(serials, [["-serial", "chardev:log"], ["-serial", "stdio"]]);
    }

    #[test]
    fn of_a_log_the_end_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(end_of_log(folder.path()), "");
        let lines: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        fs::write(folder.path().join("log"), lines.join("\n")).unwrap();
        assert_eq!(end_of_log(folder.path()), lines[10..].join("\n"));
    }

    #[test]
    fn a_machine_that_ends_before_it_has_told_all_is_an_error_with_what_it_said() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("log"), "Kernel panic\n").unwrap();
        let why = boot(shell("echo one; echo broken >&2"), folder.path()).unwrap_err();
        assert_eq!(why, "the lab ended before it had told all: broken\none\nKernel panic");
        let why = boot(shell("echo all is told; exit 3"), folder.path()).unwrap_err();
        assert!(why.starts_with("QEMU: exit status: 3"), "{why}");
        assert_eq!(boot(shell("echo one; echo all is told"), folder.path()).unwrap(), ["one"]);
    }
}
