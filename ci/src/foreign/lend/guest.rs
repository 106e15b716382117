//! The step `lend guest`: a Linux boots in a QEMU that has a device which is lent to it, on a processor that QEMU
//! emulates, and finds the device and what is in its BAR.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::BDF;
use super::WAYS;
use super::lent;
use crate::commands::run;
use crate::foreign::process::Running;
use crate::foreign::process::Silence;
use crate::foreign::process::deadline;
use crate::foreign::qtest::SLOT;
use crate::foreign::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The first program, and what it says in the end.
const INIT: &str = include_str!("../../../lend/init");
const END: &str = "all is told";

/// What it must have said before that: the ids of the preset, the magic as a number, and what it has stored.
const TOLD: [&str; 5] = [
    "vendor is 0x1e98",
    "device is 0xc7f2",
    "class is 0x120000",
    "bar2 begins with 0x004D49532D4C5843",
    "bar2 keeps 0x5EED1234",
];

/// The kernels that show the device.
const KERNELS: [&str; 2] = ["plain", "v2"];

/// Boots Linux with a device as each of the kernels shows it, each by another way.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let root = match super::possible_in_root(workspace) {
        Ok(root) => root,
        Err(outcome) => return outcome,
    };
    let mut told = Vec::new();
    for (abi, way) in KERNELS.into_iter().zip(WAYS) {
        let said = booted(workspace, &root, (abi, way)).and_then(|said| judge(&said));
        match said {
            Ok(()) => told.push(format!("{abi}, {way}: {} things told", TOLD.len())),
            Err(why) => return Outcome::Failed(format!("{abi}, {way}: {why}")),
        }
    }
    Outcome::Passed(told.join("\n"))
}

/// What Linux and its first program say.
fn booted(workspace: &Workspace, root: &Root, (abi, way): (&str, &str)) -> Result<Vec<String>, String> {
    let folder = root.folder()?;
    pack(root, folder.path())?;
    let mut command = lent(workspace, "t2-committed", abi);
    command.args(root.words_as_seen("qemu-system-x86_64")).args(arguments(&root.inside(folder.path())?, way));
    let (mut qemu, lines) = Running::start(command)?;
    let mut said = Vec::new();
    loop {
        match lines.find(deadline(), |line| Some(line.trim_end().to_owned())) {
            Ok(line) if line.ends_with(END) => return Ok(said),
            Ok(line) => said.push(line),
            Err(silence) => {
                let how = match silence {
                    Silence::TooLong => "Linux did not tell all in time",
                    Silence::Ended => "Linux ended before it had told all",
                };
                return Err(format!("{how}: {}\n{}", qemu.kill(), said.join("\n")));
            }
        }
    }
}

/// Packs what Linux finds when it starts: the first program, and a shell for it.
fn pack(root: &Root, folder: &Path) -> Result<(), String> {
    let init = folder.join("init");
    let executable = fs::Permissions::from_mode(0o755);
    let made = fs::write(&init, INIT).and_then(|()| fs::set_permissions(&init, executable));
    made.map_err(|error| format!("{}: {error}", init.display()))?;
    let script = "cd \"$1\" && mkdir bin dev proc sys && cp /linux/amd64/busybox bin/ &&
        find bin dev proc sys init | busybox cpio -o -H newc > initrd";
    let mut pack = root.command("sh");
    pack.args(["-euc", script, "sh"]).arg(root.inside(folder)?);
    run(pack).map(drop)
}

fn arguments(folder: &str, way: &str) -> Vec<String> {
    let (object, by) = super::by(way);
    let line = format!(
        "-M q35 -accel tcg -cpu max -m 512 -nodefaults -nographic -no-reboot -serial stdio \
         -kernel /linux/amd64/vmlinuz -initrd {folder}/initrd {object} \
         -device vfio-pci,host={BDF},bus=pcie.0,addr={SLOT:x}{by} -append"
    );
    let words = line.split_whitespace().map(str::to_owned);
    words.chain(["console=ttyS0 quiet panic=-1".to_owned()]).collect()
}

/// Whether all was said. The firmware leaves something on the first line.
fn judge(said: &[String]) -> Result<(), String> {
    let lacking = TOLD.into_iter().find(|told| !said.iter().any(|line| line.ends_with(told)));
    lacking.map_or(Ok(()), |told| Err(format!("Linux does not say {told:?}:\n{}", said.join("\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_must_be_said() {
        let all = TOLD.map(|told| format!("\u{1b}[2J{told}"));
        assert_eq!(judge(&all), Ok(()));
        for lacking in 0..TOLD.len() {
            let mut said = all.to_vec();
            said[lacking] = "vendor is 0xffff".to_owned();
            assert!(judge(&said).is_err());
        }
    }

    #[test]
    fn the_slot_is_the_one_that_the_first_program_looks_at() {
        assert!(INIT.contains(&format!("/0000:00:{SLOT:02x}.0\n")));
    }
}
