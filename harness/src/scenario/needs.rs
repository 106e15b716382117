//! What a scenario needs of a device that is hardware. What its steps need is found out from them; `requires` can add
//! to it.
//!
//! | need                  | steps                                                            | hardware has it      |
//! |-----------------------|------------------------------------------------------------------|----------------------|
//! | `firmware-committed`  | any, with a machine whose guest does not commit                  | if firmware did      |
//! | `touch-device-memory` | accesses at the window or a number, and to the memory region     | with `--allow-touch` |
//! | `reset`               | `machine_reset`, `vfio_reset`, `reset`                           | with `--allow-touch` |
//! | `write-registers`     | stores to the component block                                    | with `--allow-touch` |
//! | `simulated-registers` | copies, interrupts, BARs, configuration space behind its header  | never                |
//! | `type1`               | what an iommufd refuses: a device that reaches memory of devices | not by an iommufd    |
//!
//! Where registers are in BARs and in configuration space differs from device to device, and what a write does there,
//! nobody knows who has not made the device: scenarios write to those of the simulated one.

use super::Scenario;
use super::place::Place;
use super::place::Reaches;
use super::region::RegionName;
use super::step::Step;
use vmm_core::plan::life::Committer;

/// Something that a scenario needs of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Firmware has committed the decoder.
    FirmwareCommitted,
    /// The device's memory is accessed.
    TouchDeviceMemory,
    /// The device is reset.
    Reset,
    /// The component block is written to.
    WriteRegisters,
    /// The device has what only the simulated one has.
    SimulatedRegisters,
    /// The IOMMU is one of type 1, which lets a device reach memory of devices, and refuses with other errors than an
    /// iommufd does.
    Type1,
}

/// The length of a header in configuration space, which is the same for all.
const HEADER: u64 = 0x40;

impl Need {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::FirmwareCommitted,
        Self::TouchDeviceMemory,
        Self::Reset,
        Self::WriteRegisters,
        Self::SimulatedRegisters,
        Self::Type1,
    ];

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirmwareCommitted => "firmware-committed",
            Self::TouchDeviceMemory => "touch-device-memory",
            Self::Reset => "reset",
            Self::WriteRegisters => "write-registers",
            Self::SimulatedRegisters => "simulated-registers",
            Self::Type1 => "type1",
        }
    }

    /// The need with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|need| need.name() == name)
    }

    /// What a scenario needs, each once.
    pub fn of(scenario: &Scenario) -> Vec<Self> {
        let stated = scenario.requires.iter().filter_map(|name| Self::named(name));
        let mut needs: Vec<_> = stated.chain(scenario.steps.iter().flat_map(of_step)).collect();
        let guest = |commit: &String| commit == Committer::Guest.name();
        let guest_commits = scenario.devices.iter().any(|device| device.commit.as_ref().is_some_and(guest));
        if scenario.attach && !guest_commits {
            needs.push(Self::FirmwareCommitted);
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }
}

fn of_step(step: &Step) -> Vec<Need> {
    match step {
        Step::Load(load) => at(&load.at, false),
        Step::Store(store) => at(&store.at, true),
        Step::Hidden(hidden) => at(&hidden.from, false),
        Step::Run(run) => at(&run.at, false),
        Step::DeviceHolds(_) | Step::DevicePuts(_) => vec![Need::TouchDeviceMemory],
        Step::Copy(_) => vec![Need::TouchDeviceMemory, Need::SimulatedRegisters],
        Step::DmaCopy(_) => vec![Need::TouchDeviceMemory, Need::SimulatedRegisters],
        Step::Vectors(_) | Step::Vector(_) => vec![Need::SimulatedRegisters],
        Step::Interrupts(_) | Step::Signalled(_) | Step::UnmaskPin(_) => vec![Need::SimulatedRegisters],
        Step::MachineReset(_) | Step::VfioReset(_) | Step::Reset(_) => vec![Need::Reset],
        Step::RegionRead(read) => of_region(read.region, read.offset.0),
        Step::RegionWrite(write) => of_region(write.region, write.offset.0),
        Step::Sweep(sweep) => of_region(sweep.region, HEADER),
        // A mapping that is only made touches nothing.
        Step::Map(map) if map.is.is_some() || map.store.is_some() => of_region(map.region, map.offset.0),
        _ => Vec::new(),
    }
}

/// What an access to a place needs.
fn at(place: &Place, is_write: bool) -> Vec<Need> {
    match place.reaches() {
        Reaches::Memory => vec![Need::TouchDeviceMemory],
        Reaches::Config(offset) if offset < HEADER => Vec::new(),
        Reaches::Config(_) | Reaches::Bar => vec![Need::SimulatedRegisters],
        Reaches::Component if is_write => vec![Need::WriteRegisters],
        Reaches::Component | Reaches::Machine => Vec::new(),
    }
}

/// What an access to a region needs.
fn of_region(region: RegionName, offset: u64) -> Vec<Need> {
    match region {
        RegionName::Memory => vec![Need::TouchDeviceMemory],
        RegionName::Config if offset < HEADER => Vec::new(),
        RegionName::Config | RegionName::Bar(_) => vec![Need::SimulatedRegisters],
        // What has only a number may be anything.
        RegionName::Index(_) => vec![Need::TouchDeviceMemory, Need::SimulatedRegisters],
        // The kernel's own picture of the decoders.
        RegionName::Registers => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;
    use super::super::find::bundled;
    use super::*;

    fn needs(before: &str, device: &str, step: &str) -> Vec<&'static str> {
        let text =
            format!("proves = \"x\"\n{before}\n[[device]]\nname = \"a\"\n{device}\n[[step]]\n{step}\n");
        let loaded = Loaded::parse("x", "x.toml", &text, None).unwrap();
        let needs = Need::of(&loaded.scenario).into_iter().map(Need::name);
        needs.filter(|name| *name != "firmware-committed").collect()
    }

    #[rstest]
    #[case("load = { at = \"a.window\", width = 8, is = 0 }", &["touch-device-memory"])]
    #[case("store = { at = \"0x10_0000\", width = 8, value = 0 }", &["touch-device-memory"])]
    #[case("device_holds = { device = \"a\", offset = 0, width = 8, is = 0 }", &["touch-device-memory"])]
    #[case("device_puts = { device = \"a\", offset = 0, width = 8, value = 0 }", &["touch-device-memory"])]
    #[case("load = { at = \"a.config+0x3c\", width = 4, is = 0 }", &[])]
    #[case("store = { at = \"a.config+4\", width = 2, value = 6 }", &[])]
    #[case("store = { at = \"a.config+0x48\", width = 2, value = 0x8000 }", &["simulated-registers"])]
    #[case("load = { at = \"a.config+0x40\", width = 4, is = 0 }", &["simulated-registers"])]
    #[case("load = { at = \"a.bar0\", width = 4, is = 0 }", &["simulated-registers"])]
    #[case("load = { at = \"a.registers\", width = 4, is = 0 }", &[])]
    #[case("store = { at = \"a.registers\", width = 4, value = 0 }", &["write-registers"])]
    #[case("store = { at = \"a.hdm+0x20\", width = 4, value = 0 }", &[])]
    #[case("load = { at = \"a.port\", width = 4, is = 0 }", &[])]
    #[case("decoder = { device = \"a\", committed = true }", &[])]
    #[case("machine_reset = {}", &["reset"])]
    #[case("vfio_reset = { device = \"a\" }", &["reset"])]
    #[case("copy = { device = \"a\", from = 0, to_memory = 0, length = 8, ends = \"done\" }",
        &["touch-device-memory", "simulated-registers"])]
    fn what_a_step_in_a_machine_needs_follows_from_it(#[case] step: &str, #[case] expected: &[&str]) {
        assert_eq!(needs("", "", step), expected);
    }

    #[rstest]
    #[case("device_info = { device = \"a\", regions = 11 }", &[])]
    #[case("region_read = { device = \"a\", region = \"config\", offset = 0, width = 2, is = 0 }", &[])]
    #[case("region_read = { device = \"a\", region = \"config\", offset = 0x40, width = 2, is = 0 }",
        &["simulated-registers"])]
    #[case("region_read = { device = \"a\", region = \"memory\", offset = 0, width = 4, is = 0 }",
        &["touch-device-memory"])]
    #[case("region_write = { device = \"a\", region = \"registers\", offset = 0, width = 4, value = 0 }", &[])]
    #[case("region_write = { device = \"a\", region = \"bar0\", offset = 0, width = 4, value = 0 }",
        &["simulated-registers"])]
    #[case("map = { device = \"a\", region = \"memory\", offset = 0, size = \"4KiB\", refused = true }", &[])]
    #[case("map = { device = \"a\", region = \"memory\", offset = 0, size = \"4KiB\", width = 4, is = 0 }",
        &["touch-device-memory"])]
    #[case("reset = { device = \"a\" }", &["reset"])]
    #[case("reopen = { device = \"a\" }", &[])]
    #[case("dma_map = { device = \"a\", address = 0, size = \"4KiB\" }", &[])]
    #[case("vectors = { device = \"a\", count = 1 }", &["simulated-registers"])]
    #[case(
        "dma_copy = { device = \"a\", from = 0, to_memory = 0, length = 1, ends = \"done\" }",
        &["touch-device-memory", "simulated-registers"]
    )]
    fn what_a_call_needs_follows_from_it(#[case] step: &str, #[case] expected: &[&str]) {
        assert_eq!(needs("attach = false", "", step), expected);
    }

    #[test]
    fn requires_adds_to_what_follows() {
        let added = needs("requires = [\"reset\"]", "", "decoder = { device = \"a\", committed = true }");
        assert_eq!(added, ["reset"]);
    }

    #[test]
    fn a_machine_needs_a_decoder_that_is_committed_unless_its_guest_commits() {
        let of = |before: &str, device: &str, step: &str| {
            let text =
                format!("proves = \"x\"\n{before}\n[[device]]\nname = \"a\"\n{device}\n[[step]]\n{step}\n");
            let loaded = Loaded::parse("x", "x.toml", &text, None).unwrap();
            Need::of(&loaded.scenario).contains(&Need::FirmwareCommitted)
        };
        let (decoder, info) = (
            "decoder = { device = \"a\", committed = true }",
            "device_info = { device = \"a\", regions = 9 }",
        );
        assert!(
            of("", "", decoder) && of("requires = [\"firmware-committed\"]", "commit = \"guest\"", decoder)
        );
        assert!(!of("", "commit = \"guest\"", decoder) && !of("attach = false", "", info));
    }

    #[test]
    fn some_bundled_scenarios_are_harmless_and_most_that_touch_say_nothing_by_hand() {
        let all = bundled().unwrap();
        let harmless = |one: &&Loaded| {
            let needs = Need::of(&one.scenario);
            needs.iter().all(|need| *need == Need::FirmwareCommitted)
        };
        assert!(all.iter().filter(harmless).count() > 20);
        let light = all.iter().find(|one| one.name == "decoder/first-light").unwrap();
        assert!(light.scenario.requires.is_empty());
        assert!(Need::of(&light.scenario).contains(&Need::TouchDeviceMemory));
    }
}
