//! Why commands that are shown are not run here: each reason has a word, which stands on the fence of the block.

use std::process::Command;

use crate::commands::run;

/// The words, and what they mean.
const REASONS: &[(&str, &str)] = &[
    ("clone", "it fetches or builds what is here already"),
    ("finding", "it needs a file that a fuzzer found"),
    ("hardware", "it needs a CXL device of this host that vfio-pci has"),
    ("install", "it installs; the step install does so where no sources are"),
    ("lab", "the step lab runs it, on a Linux in QEMU"),
    ("musl", "it needs the toolchain's other target; the steps lab and static build it so"),
    ("qemu", "it needs a QEMU of your own; the steps qemu and lend attach one"),
    ("shards", "it needs the reports of eight machines"),
    ("step", "it is a step of these checks, which is taken by itself"),
    ("test", "the step test runs it, and compares"),
    ("watch", "it goes on until it is ended"),
    ("ways", "it takes a Linux in QEMU and minutes: cargo ci ways"),
];

/// What must be there for the commands of a block: the word `needs` of its fence.
const KVM: &str = "kvm";
const NAMESPACES: &str = "namespaces";

/// The reason that a word stands for.
pub(super) fn reason(word: &str) -> Option<&'static str> {
    REASONS.iter().find(|(key, _)| *key == word).map(|(_, reason)| *reason)
}

/// The file that needs KVM.
const DEVICE: &str = "/dev/kvm";

/// Why what a block needs is not there, if it is not.
///
/// # Errors
/// If nobody knows what it needs.
pub(super) fn lack(needs: Option<&str>) -> Result<Option<String>, String> {
    match needs {
        None => Ok(None),
        Some(KVM) => {
            let open = std::fs::OpenOptions::new().read(true).write(true).open(DEVICE);
            Ok(open.err().map(|error| format!("{DEVICE}: {error}")))
        }
        Some(NAMESPACES) => {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "true"]);
            Ok(run(command).err().map(|said| format!("no namespaces of users: {}", said.trim())))
        }
        Some(other) => Err(format!("nobody knows what needs={other} is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_a_reason_or_there_is_none() {
        assert_eq!(reason("test"), Some("the step test runs it, and compares"));
        assert_eq!(reason("laziness"), None);
    }

    #[test]
    fn what_nobody_knows_may_not_be_needed() {
        assert_eq!(lack(None), Ok(None));
        assert_eq!(lack(Some("luck")), Err("nobody knows what needs=luck is".to_owned()));
    }
}
