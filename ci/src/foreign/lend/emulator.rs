//! The step `lend qemu`: QEMU attaches with `vfio-pci` to a device that is lent to it, by its group and by an iommufd,
//! and sees what we see over vfio-user. Nobody has changed that QEMU.
//!
//! It runs without a vCPU, as in the step `qemu`, and the cases are the same.

use super::BDF;
use super::WAYS;
use super::lent;
use crate::foreign::client;
use crate::foreign::device::Device;
use crate::foreign::process::PATIENCE;
use crate::foreign::process::Running;
use crate::foreign::qemu::Attached;
use crate::foreign::qtest::Dialogue;
use crate::foreign::qtest::SLOT;
use crate::foreign::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The device.
const PROFILE: &str = "t2-committed";

/// The kernels that show it. That of June 2026 refuses what the cases do to the component block.
const KERNELS: [&str; 3] = ["plain", "v2", "next"];

/// Attaches QEMU in every way.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let root = match super::possible_in_root(workspace) {
        Ok(root) => root,
        Err(outcome) => return outcome,
    };
    let mut told = Vec::new();
    let mut all_well = true;
    for abi in KERNELS {
        for way in WAYS {
            let name = format!("{abi}, {way}");
            let mut tell = |said: &str| told.push(format!("{name}: {said}"));
            let outcome = attach(workspace, &root, (abi, way), &mut tell);
            all_well &= outcome.is_ok();
            told.extend(outcome.err().map(|said| format!("{name}: FAILED {said}")));
        }
    }
    let told = told.join("\n");
    if all_well { Outcome::Passed(told) } else { Outcome::Failed(told) }
}

fn attach(
    workspace: &Workspace,
    root: &Root,
    (abi, way): (&str, &str),
    tell: &mut impl FnMut(&str),
) -> Result<(), String> {
    // The same device over its own protocol says what must be seen.
    let served = Device::serve(workspace, root, PROFILE, abi)?;
    let (config, sizes) = client::look(&served.socket())?;
    served.end()?;
    let bars = config.bars(&sizes)?;
    let mut command = lent(workspace, PROFILE, abi);
    command.args(root.words_as_seen("qemu-system-x86_64")).args(arguments(way));
    let (mut qemu, lines) = Running::start(command)?;
    let input = qemu.take_input().ok_or("QEMU has no input")?;
    let dialogue = Dialogue::new(input, lines, PATIENCE);
    let attached = Attached { dialogue, config, bars, trace: None, memory_is_shared: true };
    let done = attached.take_cases(tell);
    let complaints = qemu.kill();
    done.map_err(|said| format!("{said}; QEMU: {complaints}"))
}

/// A machine with nothing but the device in it, which is reached by this way.
fn arguments(way: &str) -> Vec<String> {
    let (object, by) = super::by(way);
    let line = format!(
        "-M q35 -m 256M -accel qtest -qtest stdio -qtest-log none -nodefaults -display none {object} \
         -device vfio-pci,host={BDF},bus=pcie.0,addr={SLOT:x}{by}"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_by_an_iommufd_the_machine_has_one() {
        let device = "vfio-pci,host=0000:c1:00.0,bus=pcie.0,addr=5";
        assert_eq!(arguments("type1").last().unwrap(), device);
        assert_eq!(arguments("iommufd").last().unwrap(), &format!("{device},iommufd=iommufd0"));
        assert_eq!(arguments("iommufd").iter().filter(|one| *one == "iommufd,id=iommufd0").count(), 1);
    }
}
