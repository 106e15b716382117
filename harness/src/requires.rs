//! What a scenario needs that may not be there: then it is skipped, and the report says why.

use vmm_core::backend::kernel::Way;
use vmm_core::plan::iommu;

use crate::scenario::Loaded;
use crate::scenario::accident;
use crate::scenario::life::KVM;
use crate::scenario::needs::Need;
use crate::scenario::step::Step;
use crate::world::GuestKind;
use crate::world::Hardware;
use crate::world::Maker;
use crate::world::Source;

/// Why a scenario cannot be run in a world of this maker's; nothing if it can.
pub fn missing(scenario: &Loaded, maker: &Maker) -> Option<String> {
    let abi = maker.abi_for(scenario).name;
    if !is_about(scenario, abi) {
        let names: Vec<_> = scenario.abis.iter().map(|abi| abi.name).collect();
        let about = if names.is_empty() { "vfio-cxl".to_owned() } else { names.join(", ") };
        return Some(format!("is about the kernel interface {about}, and --abi is {abi}"));
    }
    let guest = maker.guest_for(scenario);
    let mut names = scenario.scenario.requires.iter().chain(&scenario.scenario.guest);
    if names.any(|name| name == KVM) && guest != GuestKind::Kvm {
        return Some(format!("needs the guest kvm, and the guest is {}", guest.name()));
    }
    if let Some(why) = foreign_code(scenario, std::env::consts::ARCH) {
        return Some(why);
    }
    if maker.source == Source::Sim {
        return None;
    }
    if let Some(why) = missing_in_hardware(scenario, maker) {
        return Some(why);
    }
    if let Some(kind) = accident::accident(&scenario.scenario) {
        return Some(format!("needs a device process of its own to {kind}, which only --device sim starts"));
    }
    let count = scenario.scenario.devices.len();
    if count > 1 {
        return Some(format!("needs {count} devices, and --device gives one"));
    }
    if maker.hardware.as_wanted
        && let Some(why) = missing_in_lent(scenario)
    {
        return Some(why);
    }
    let other = !maker.hardware.as_wanted && scenario.profiles.iter().any(Option::is_some);
    other.then(|| "needs a device of its own profile, which only --device sim makes".to_owned())
}

/// Why the guest cannot call the scenario's code, which is of bytes that another processor understands.
fn foreign_code(scenario: &Loaded, processor: &str) -> Option<String> {
    let calls = scenario.scenario.steps.iter().any(|step| matches!(step, Step::Run(_)));
    let foreign = calls && processor != CODE_IS_FOR;
    foreign.then(|| format!("has code for {CODE_IS_FOR}, and the guest that KVM runs here is of {processor}"))
}

/// The processor that scenarios have code for.
const CODE_IS_FOR: &str = "x86_64";

/// What hardware does not have, or what may not be done with it.
fn missing_in_hardware(scenario: &Loaded, maker: &Maker) -> Option<String> {
    if !maker.source.is_hardware() {
        return None;
    }
    if scenario.machine.smmus.iter().any(|smmu| smmu.reach == iommu::Way::Ask) {
        return Some(
            "needs a device that asks for memory by messages, which hardware does not: an SMMU with \
                     `reach = \"mirror\"` needs none"
                .to_owned(),
        );
    }
    let Hardware { allow_touch, firmware_committed, simulated, .. } = maker.hardware;
    let needs = Need::of(&scenario.scenario);
    let lacks = |need: &Need| match need {
        Need::FirmwareCommitted => !firmware_committed,
        Need::TouchDeviceMemory | Need::Reset | Need::WriteRegisters => !allow_touch,
        Need::SimulatedRegisters => !simulated,
        Need::Type1 => maker.source.way() == Some(Way::Iommufd),
    };
    // What nothing can permit is told before what `--allow-touch` permits.
    let first = needs.iter().rev().find(|need| lacks(need))?;
    let permits = "has hung real machines: --allow-touch permits it";
    Some(match first {
        Need::Type1 => "needs an IOMMU of type 1, and an iommufd refuses this".to_owned(),
        Need::SimulatedRegisters => "needs registers that only a simulated device has".to_owned(),
        Need::FirmwareCommitted => "needs a device whose decoder firmware has committed".to_owned(),
        Need::TouchDeviceMemory => format!("touches device memory, which {permits}"),
        Need::Reset => format!("resets the device, which {permits}"),
        Need::WriteRegisters => format!("writes the device's registers, which {permits}"),
    })
}

/// What a device does not have that is lent.
fn missing_in_lent(scenario: &Loaded) -> Option<String> {
    let profiles = scenario.profiles.iter().flatten();
    if profiles.into_iter().any(|profile| profile.faults.are_of_server()) {
        return Some("has a server that answers wrongly, and who is lent a device meets none".to_owned());
    }
    let mut gone = Vec::new();
    for step in &scenario.scenario.steps {
        match step {
            Step::Unplug(unplug) => gone.push(&unplug.device),
            Step::Plug(plug) if gone.contains(&&plug.device) => {
                return Some("needs a new device at the place of another, and one is lent".to_owned());
            }
            _ => {}
        }
    }
    None
}

/// Whether a scenario is about this kernel. One that names none is about vfio-cxl in all its revisions.
fn is_about(scenario: &Loaded, abi: &str) -> bool {
    let named = scenario.abis.iter().any(|named| named.name == abi);
    named || scenario.abis.is_empty() && abi != PLAIN
}

/// The kernel without vfio-cxl.
pub(crate) const PLAIN: &str = "plain";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sim_device::kernel::Abi;
    use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;

    use super::*;

    fn scenario(devices: &str) -> Loaded {
        Loaded::parse("x", "x.toml", &format!("proves = \"x\"\nrefused = \"y\"\n{devices}"), None).unwrap()
    }

    fn maker(source: Source, abi: Option<&str>) -> Maker {
        let abi = abi.and_then(Abi::named);
        Maker {
            program: PathBuf::new(),
            source,
            abi,
            guest: GuestKind::Soft,
            timeout: DEFAULT_TIMEOUT,
            hardware: Hardware::default(),
            journal: None,
        }
    }

    fn sim(abi: Option<&str>) -> Maker {
        maker(Source::Sim, abi)
    }

    fn external() -> Maker {
        maker(Source::VfioUser(PathBuf::from("/sock")), None)
    }

    #[test]
    fn a_scenario_may_say_which_guest_it_has() {
        let says = |guest: &str| {
            let text =
                format!("guest = \"{guest}\"\nproves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"");
            Loaded::parse("x", "x.toml", &text, None).unwrap()
        };
        let kvm = Maker { guest: GuestKind::Kvm, ..sim(None) };
        assert_eq!((missing(&says("soft"), &kvm), kvm.guest_for(&says("soft"))), (None, GuestKind::Soft));
        assert_eq!(missing(&says("soft"), &sim(None)), None);
        let why = "needs the guest kvm, and the guest is soft";
        assert_eq!(missing(&says("kvm"), &sim(None)).unwrap(), why);
    }

    #[test]
    fn a_scenario_is_about_the_kernels_that_it_names() {
        let text = "proves = \"x\"\nabi = [\"v3\", \"next\"]\nrefused = \"y\"\n[[device]]\nname = \"a\"";
        let named = Loaded::parse("x", "x.toml", text, None).unwrap();
        assert_eq!((missing(&named, &sim(None)), sim(None).abi_for(&named).name), (None, "v3"));
        assert_eq!(missing(&named, &sim(Some("next"))), None);
        let why = "is about the kernel interface v3, next, and --abi is v2";
        assert_eq!(missing(&named, &sim(Some("v2"))).unwrap(), why);
        // What somebody else's device is, a scenario cannot choose.
        assert_eq!(missing(&named, &external()).unwrap(), why);
    }

    #[test]
    fn a_scenario_that_names_no_kernel_is_about_vfio_cxl() {
        let any = scenario("[[device]]\nname = \"a\"");
        assert_eq!((missing(&any, &sim(None)), sim(None).abi_for(&any).name), (None, "v2"));
        assert_eq!(missing(&any, &sim(Some("v3"))), None);
        let why = "is about the kernel interface vfio-cxl, and --abi is plain";
        assert_eq!(missing(&any, &sim(Some("plain"))).unwrap(), why);
    }

    #[test]
    fn one_default_device_can_be_anybodys() {
        let one = scenario("[[device]]\nname = \"a\"\nprofile = \"t2-committed\"");
        assert_eq!(missing(&one, &external()), None);
    }

    const LIGHT: &str = "[[step]]\nload = { at = \"a.window\", width = 8, is = 0 }";
    const RESET: &str = "[[step]]\nmachine_reset = {}";
    const WRITE: &str = "[[step]]\nstore = { at = \"a.component\", width = 4, value = 0 }";
    const HARMLESS: &str = "[[step]]\nwindow = { device = \"a\", start = 0, size = 0 }";
    const ENGINE: &str = "[[step]]\nload = { at = \"a.bar0\", width = 4, is = 0 }";

    fn steps(before: &str, steps: &str) -> Loaded {
        let text = format!("proves = \"x\"\n{before}\n[[device]]\nname = \"a\"\n{steps}");
        Loaded::parse("x", "x.toml", &text, None).unwrap()
    }

    fn hardware(allow_touch: bool, firmware_committed: bool) -> Maker {
        let source = Source::Vfio("81:00.0".parse().unwrap());
        let simulated = false;
        Maker {
            hardware: Hardware { allow_touch, firmware_committed, simulated, as_wanted: false },
            ..maker(source, Some("v2"))
        }
    }

    #[test]
    fn hardware_is_not_touched_or_reset_or_written_to_without_permission() {
        for (step, why) in [
            (LIGHT, "touches device memory, which has hung real machines: --allow-touch permits it"),
            (RESET, "resets the device, which has hung real machines: --allow-touch permits it"),
            (WRITE, "writes the device's registers, which has hung real machines: --allow-touch permits it"),
        ] {
            let scenario = steps("", step);
            assert_eq!(missing(&scenario, &hardware(false, true)).unwrap(), why);
            assert_eq!(missing(&scenario, &hardware(true, true)), None);
            // What is simulated needs no permission, whoever runs it.
            assert_eq!((missing(&scenario, &sim(None)), missing(&scenario, &external())), (None, None));
        }
        assert_eq!(missing(&steps("", HARMLESS), &hardware(false, true)), None);
        let stated = steps("requires = [\"reset\"]", HARMLESS);
        assert!(missing(&stated, &hardware(false, true)).unwrap().starts_with("resets the device"));
        assert_eq!(missing(&stated, &external()), None);
    }

    #[test]
    fn what_only_a_simulated_device_has_no_permission_gives() {
        let scenario = steps("", ENGINE);
        let why = "needs registers that only a simulated device has";
        assert_eq!(missing(&scenario, &hardware(true, true)).unwrap(), why);
        assert_eq!((missing(&scenario, &sim(None)), missing(&scenario, &external())), (None, None));
        // A simulated one may be what an emulator shows its guest as hardware.
        let hardware = Hardware { simulated: true, ..hardware(true, true).hardware };
        let emulated = Maker { hardware, ..maker(Source::Vfio("81:00.0".parse().unwrap()), Some("v2")) };
        assert_eq!(missing(&scenario, &emulated), None);
    }

    fn lent(way: Way) -> Maker {
        Maker { hardware: Hardware::LENT, ..maker(Source::Lent(way), None) }
    }

    #[test]
    fn what_is_lent_is_as_the_scenario_wants_it_and_one() {
        let own = scenario("[[device]]\nname = \"a\"\nwith.memory.size = \"512MiB\"");
        let two = scenario("[[device]]\nname = \"a\"\n[[device]]\nname = \"b\"");
        for way in [Way::Type1, Way::Iommufd] {
            assert_eq!(missing(&own, &lent(way)), None);
            assert_eq!(missing(&steps("", ENGINE), &lent(way)), None);
            assert_eq!(missing(&two, &lent(way)).unwrap(), "needs 2 devices, and --device gives one");
        }
        let named = "proves = \"x\"\nabi = [\"v3\"]\nrefused = \"y\"\n[[device]]\nname = \"a\"";
        let named = Loaded::parse("x", "x.toml", named, None).unwrap();
        assert_eq!(lent(Way::Type1).abi_for(&named).name, "v3");
    }

    #[test]
    fn what_only_a_server_breaks_is_not_lent() {
        let broken = |fault: &str| scenario(&format!("[[device]]\nname = \"a\"\nwith.faults.{fault}"));
        for fault in ["silent_at_message = 3", "answer_after_ms = 10", "map_efault_from = 0"] {
            let why = "has a server that answers wrongly, and who is lent a device meets none";
            assert_eq!(missing(&broken(fault), &lent(Way::Type1)).unwrap(), why);
            assert_eq!(missing(&broken(fault), &sim(None)), None);
        }
        assert_eq!(missing(&broken("commit_ignored = true"), &lent(Way::Type1)), None);
    }

    #[test]
    fn a_device_that_went_does_not_come_back_as_another_one_where_it_is_lent() {
        let plug = "[[step]]\nplug = { device = \"a\" }\n";
        let unplug = "[[step]]\nunplug = { device = \"a\" }\n";
        let why = "needs a new device at the place of another, and one is lent";
        let missing = |text: &str| missing(&steps("", text), &lent(Way::Type1));
        assert_eq!(missing(&format!("{unplug}{plug}")).unwrap(), why);
        assert_eq!(missing(&format!("{plug}{unplug}")), None);
    }

    #[test]
    fn what_an_iommufd_refuses_needs_the_other_way() {
        let stated = steps("requires = [\"type1\"]", HARMLESS);
        let why = "needs an IOMMU of type 1, and an iommufd refuses this";
        assert_eq!(missing(&stated, &lent(Way::Iommufd)).unwrap(), why);
        for maker in [lent(Way::Type1), sim(None), external(), hardware(true, true)] {
            assert_eq!(missing(&stated, &maker), None);
        }
        let source = Source::Vfio("81:00.0,iommufd".parse().unwrap());
        assert_eq!(missing(&stated, &Maker { source, ..hardware(true, true) }).unwrap(), why);
    }

    #[test]
    fn hardware_that_firmware_did_not_commit_runs_what_needs_no_commit() {
        let why = "needs a device whose decoder firmware has committed";
        assert_eq!(missing(&steps("", HARMLESS), &hardware(false, false)).unwrap(), why);
        let info = "[[step]]\ndevice_info = { device = \"a\", regions = 9 }";
        assert_eq!(missing(&steps("attach = false", info), &hardware(false, false)), None);
    }

    #[test]
    fn hardware_asks_for_no_memory_by_messages() {
        let smmu = |reach: &str| format!("[[smmu]]\nbus = \"pcie.0\"\n{reach}\n{HARMLESS}");
        let asks = steps("machine.arch = \"aarch64\"", &smmu(""));
        assert!(missing(&asks, &hardware(true, true)).unwrap().contains("`reach = \"mirror\"`"));
        let mirror = steps("machine.arch = \"aarch64\"", &smmu("reach = \"mirror\""));
        assert_eq!(missing(&mirror, &hardware(true, true)), None);
        assert_eq!(missing(&asks, &external()), None);
    }

    #[test]
    fn what_requires_kvm_is_for_no_other_guest() {
        let text = "proves = \"x\"\nrequires = [\"kvm\"]\nrefused = \"y\"\n[[device]]\nname = \"a\"";
        let needs = Loaded::parse("x", "x.toml", text, None).unwrap();
        assert_eq!(missing(&needs, &sim(None)).unwrap(), "needs the guest kvm, and the guest is soft");
        let kvm = Maker { guest: GuestKind::Kvm, ..sim(None) };
        assert_eq!(missing(&needs, &kvm), None);
        // A machine in whose layout KVM's guest cannot run has a soft one.
        let other = text.replace("refused", "machine.arch = \"aarch64\"\nrefused");
        let other = Loaded::parse("x", "x.toml", &other, None).unwrap();
        assert_eq!(missing(&other, &kvm).unwrap(), "needs the guest kvm, and the guest is soft");
    }

    #[test]
    fn code_is_called_on_the_processor_that_it_is_for_alone() {
        let calls = steps("requires = [\"kvm\"]", "[[step]]\nrun = { at = \"a.window\", is = 0 }");
        let why = "has code for x86_64, and the guest that KVM runs here is of aarch64";
        assert_eq!(foreign_code(&calls, "aarch64").unwrap(), why);
        assert_eq!(foreign_code(&calls, "x86_64"), None);
        assert_eq!(foreign_code(&steps("", LIGHT), "aarch64"), None);
    }

    #[test]
    fn a_guest_that_is_interrupted_is_soft_where_kvms_takes_none() {
        let kvm = Maker { guest: GuestKind::Kvm, ..sim(None) };
        let taken = steps("", "[[step]]\ninterrupts = { number = 0x41, count = 1 }");
        let takes = vmm_core::backend::kvm::takes_interrupts();
        assert_eq!(takes, cfg!(target_arch = "x86_64"));
        assert_eq!(kvm.guest_for(&taken), if takes { GuestKind::Kvm } else { GuestKind::Soft });
        assert_eq!(kvm.guest_for(&steps("", LIGHT)), GuestKind::Kvm);
    }

    #[test]
    fn accidents_need_the_simulator() {
        let text = "proves = \"x\"\n[[device]]\nname = \"a\"\n[[step]]\nfreeze = { device = \"a\" }";
        let frozen = Loaded::parse("x", "x.toml", text, None).unwrap();
        let why = "needs a device process of its own to freeze, which only --device sim starts";
        assert_eq!(missing(&frozen, &external()).unwrap(), why);
        assert_eq!(missing(&frozen, &sim(None)), None);
    }

    #[test]
    fn two_devices_or_a_profile_need_the_simulator() {
        let two = scenario("[[device]]\nname = \"a\"\n[[device]]\nname = \"b\"");
        assert_eq!(missing(&two, &external()).unwrap(), "needs 2 devices, and --device gives one");
        let own = scenario("[[device]]\nname = \"a\"\nwith.memory.size = \"512MiB\"");
        assert!(missing(&own, &external()).unwrap().starts_with("needs a device of its own profile"));
        assert_eq!(missing(&two, &sim(None)), None);
        assert_eq!(missing(&own, &sim(None)), None);
    }
}
