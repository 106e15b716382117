//! What the reader cannot see by itself: names that nobody has, numbers that cannot be, keys that do not go
//! together. Each mistake is told at its line.

use std::collections::HashSet;

use cxl_spec::access::Width;
use sim_device::kernel::ABIS;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use sim_device::profile::quantity::Quantity;
use sim_device::profile::source::Mistake;
use vfio_abi::cxl::Revision;
use vmm_core::plan::machine;
use vmm_core::plan::machine::Arch;
use vmm_core::plan::machine::Machine;

use super::Device;
use super::MachineKeys;
use super::Scenario;
use super::machine::Decoder;
use super::step::Step;
use super::topology::intents;
use super::user::DeviceInfo;
use super::user::Map;
use super::user::RegionInfo;
use super::user::RegionRead;
use super::user::RegionWrite;
use super::user::Sweep;
use super::written::Texts;
use super::written::Tree;
use super::written::place_of;

/// The longest range that is searched: every eight bytes are a load of the guest's.
const MOST_HIDDEN: u64 = 16 << 20;

/// The most bytes that one step reads.
const MOST_BYTES: u64 = 4096;

/// The most memory that one step lets a device reach.
const MOST_DMA: u64 = 16 << 20;

/// What is mapped is mapped by the page.
const PAGE: u64 = 0x1000;

/// What the reader cannot see by itself.
pub(super) struct Check<'a> {
    texts: &'a Texts,
    tree: Tree<'a>,
}

impl<'a> Check<'a> {
    /// A check of what these texts say.
    pub(super) fn new(texts: &'a Texts, tree: Tree<'a>) -> Self {
        Self { texts, tree }
    }

    pub(super) fn mistake<T>(&self, path: &[&str], message: String) -> Result<T, Mistake> {
        Err(self.texts.mistake(place_of(&self.tree, path), message))
    }

    pub(super) fn devices(&self, scenario: &Scenario) -> Result<(), Mistake> {
        if scenario.devices.is_empty() {
            return self.mistake(&["device"], "device = []: a scenario has at least one".to_owned());
        }
        let mut names = HashSet::new();
        for (index, device) in scenario.devices.iter().enumerate() {
            let path = ["device", &index.to_string(), "name"];
            let name = &device.name;
            self.name(&path, name)?;
            if !names.insert(name) {
                return self.mistake(&path, format!("name = {name:?}: another device has it"));
            }
        }
        for (index, bridge) in scenario.bridges.iter().enumerate() {
            self.name(&["bridge", &index.to_string(), "name"], &bridge.name)?;
        }
        Ok(())
    }

    fn name(&self, path: &[&str], name: &str) -> Result<(), Mistake> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return self.mistake(path, format!("name = {name:?}: letters, digits, - and _ only"));
        }
        Ok(())
    }

    /// Without a machine there is nothing to say of one.
    pub(super) fn attach(&self, scenario: &Scenario) -> Result<(), Mistake> {
        if scenario.attach {
            return Ok(());
        }
        if scenario.refused.is_some() {
            let message = "`refused` is about attaching, and the scenario has `attach = false`".to_owned();
            return self.mistake(&["refused"], message);
        }
        for (key, there) in [
            ("guest", scenario.guest.is_some()),
            ("bridge", !scenario.bridges.is_empty()),
            ("window", !scenario.windows.is_empty()),
            ("smmu", !scenario.smmus.is_empty()),
            ("commit", scenario.devices.iter().any(|device| device.commit.is_some())),
            ("on_loss", scenario.devices.iter().any(|device| device.on_loss.is_some())),
            ("answer_within_ms", scenario.devices.iter().any(|device| device.answer_within_ms.is_some())),
        ] {
            if there {
                let message = format!("`{key}` is about attaching, and the scenario has `attach = false`");
                return self.mistake(&[key], message);
            }
        }
        let MachineKeys {
            arch,
            fixed_windows,
            preserve_config,
            fmws_in_crs,
            ram,
            address_bits,
            dma,
            ats,
            assume,
            after_reset,
            posted_writes,
            defects,
        } = &scenario.machine;
        let told = preserve_config.is_some() || fmws_in_crs.is_some() || !defects.is_empty();
        let layout =
            *posted_writes || arch.is_some() || fixed_windows.is_some() || told || dma.is_some() || *ats;
        if layout || after_reset.is_some() || ram.is_some() || address_bits.is_some() || assume.is_some() {
            let message = "`machine` is about attaching, and the scenario has `attach = false`".to_owned();
            return self.mistake(&["machine"], message);
        }
        Ok(())
    }

    pub(super) fn steps(&self, scenario: &Scenario) -> Result<(), Mistake> {
        if scenario.refused.is_some() == scenario.steps.is_empty() {
            for (index, step) in scenario.steps.iter().enumerate() {
                self.step(scenario, &index.to_string(), step)?;
            }
            return Ok(());
        }
        let message = "a scenario has either steps or `refused`: what is refused cannot run".to_owned();
        self.mistake(&["refused"], message)
    }

    fn step(&self, scenario: &Scenario, index: &str, step: &Step) -> Result<(), Mistake> {
        let path = |key| ["step", index, step.kind(), key];
        if step.needs_machine() != scenario.attach {
            let kind = step.kind();
            let message = match scenario.attach {
                true => format!("{kind}: is a call on a device, and the scenario has no `attach = false`"),
                false => format!("{kind}: needs a machine, and the scenario has `attach = false`"),
            };
            return self.mistake(&["step", index, kind], message);
        }
        for (key, name) in step.devices() {
            // The place of a device that is not there has its bridge's name.
            let is_bridge = key != "device" && scenario.bridges.iter().any(|bridge| bridge.name == name);
            if !is_bridge && !scenario.devices.iter().any(|device| device.name == name) {
                let names: Vec<_> = scenario.devices.iter().map(|device| device.name.as_str()).collect();
                let message = format!("{key} has device {name:?}: there is only {}", names.join(", "));
                return self.mistake(&path(key), message);
            }
        }
        if let Some(width) = step.width().filter(|width| Width::of(*width).is_none()) {
            return self.mistake(&path("width"), format!("width = {width}: must be 1, 2, 4 or 8"));
        }
        match wrong(step) {
            Some((Some(key), message)) => self.mistake(&path(key), message),
            Some((None, message)) => {
                self.mistake(&["step", index, step.kind()], format!("{}: {message}", step.kind()))
            }
            None => Ok(()),
        }
    }

    pub(super) fn abis(&self, scenario: &Scenario) -> Result<Vec<&'static Abi>, Mistake> {
        let mut abis = Vec::new();
        for (index, name) in scenario.abi.iter().enumerate() {
            match Abi::named(name) {
                Some(abi) => abis.push(abi),
                None => {
                    let names: Vec<_> = ABIS.iter().map(|abi| abi.name).collect();
                    let message = format!("abi = {name:?}: must be one of {}", names.join(", "));
                    return self.mistake(&["abi", &index.to_string()], message);
                }
            }
        }
        Ok(abis)
    }

    pub(super) fn machine(&self, scenario: &Scenario) -> Result<Machine, Mistake> {
        let keys = &scenario.machine;
        let default = Machine::default();
        let ram = keys.ram.map_or(default.ram, |ram| ram.0);
        if !ram.is_multiple_of(machine::RAM_GRANULE)
            || !(machine::LEAST_RAM..=machine::MOST_RAM).contains(&ram)
        {
            let message = format!("ram = {}: must be a multiple of 2MiB from 4MiB to 1TiB", Quantity(ram));
            return self.mistake(&["machine", "ram"], message);
        }
        let arch = match &keys.arch {
            None => Arch::default(),
            Some(name) => match Arch::ALL.into_iter().find(|arch| arch.name() == name) {
                Some(arch) => arch,
                None => {
                    let names = Arch::ALL.map(Arch::name).join(", ");
                    let message = format!("arch = {name:?}: must be one of {names}");
                    return self.mistake(&["machine", "arch"], message);
                }
            },
        };
        let address_bits = keys.address_bits.unwrap_or_else(|| arch.default_address_bits());
        if !machine::ADDRESS_BITS.contains(&address_bits) {
            let message = format!("address_bits = {address_bits}: must be 36 to 52");
            return self.mistake(&["machine", "address_bits"], message);
        }
        Ok(Machine { arch, ram, address_bits, topology: intents(scenario), ..default })
    }

    pub(super) fn assume(&self, scenario: &Scenario) -> Result<Option<Revision>, Mistake> {
        let Some(name) = &scenario.machine.assume else { return Ok(None) };
        match name.parse() {
            Ok(revision) => Ok(Some(revision)),
            Err(wrong) => self.mistake(&["machine", "assume"], format!("assume = {name:?}: {wrong}")),
        }
    }

    pub(super) fn profiles(
        &self,
        scenario: &Scenario,
        folder: Option<&std::path::Path>,
    ) -> Result<Vec<Option<Profile>>, Mistake> {
        let mut profiles = Vec::new();
        for (index, device) in scenario.devices.iter().enumerate() {
            profiles.push(self.profile(&index.to_string(), device, folder)?);
        }
        Ok(profiles)
    }

    fn profile(
        &self,
        index: &str,
        device: &Device,
        folder: Option<&std::path::Path>,
    ) -> Result<Option<Profile>, Mistake> {
        match (&device.profile, &device.with) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                let message = "either `profile` or `with` says which device it is, not both".to_owned();
                self.mistake(&["device", index, "profile"], message)
            }
            (None, Some(with)) => match with.check() {
                Ok(_) => Ok(Some(with.clone())),
                Err(wrong) => {
                    let field: Vec<&str> = wrong.field.split('.').collect();
                    let path = [&["device", index, "with"], field.as_slice()].concat();
                    self.mistake(&path, wrong.to_string())
                }
            },
            (Some(name), None) => {
                let beside = folder.map(|folder| folder.join(name)).filter(|path| path.is_file());
                let found = beside.map_or(name.clone(), |path| path.display().to_string());
                match Profile::find(&found) {
                    Ok(profile) => Ok(Some(profile).filter(|profile| *profile != Profile::default())),
                    Err(error) => self.mistake(&["device", index, "profile"], error.to_string()),
                }
            }
        }
    }
}

/// What is wrong with a step: a key, if one alone is to blame, and why.
type Wrong = Option<(Option<&'static str>, String)>;

/// The keys do not go together.
fn together(message: &str) -> Wrong {
    Some((None, message.to_owned()))
}

fn of_key(key: &'static str, message: String) -> Wrong {
    Some((Some(key), message))
}

fn wrong(step: &Step) -> Wrong {
    match step {
        Step::Load(load) if load.is.is_some() == load.is_not.is_some() => {
            together("either `is` or `is_not` says what must be seen")
        }
        Step::Decoder(Decoder { device: _, base: None, size: None, committed: None, locked: None }) => {
            together("nothing says what must be seen")
        }
        Step::Hidden(hidden) if hidden.size.0 == 0 || hidden.size.0 > MOST_HIDDEN => {
            of_key("size", format!("size = {}: must be 1 byte to 16MiB", hidden.size))
        }
        Step::Copy(copy) => copy.wrong(),
        Step::Acpi(acpi) => acpi.wrong().map(|message| (None, message)),
        Step::Handler(handler) => handler.wrong(),
        Step::Interrupts(interrupts) => interrupts.wrong(),
        Step::Signalled(signalled) => signalled.wrong(),
        Step::DeviceInfo(info) => wrong_device_info(info),
        Step::RegionInfo(info) => wrong_region_info(info),
        Step::RegionRead(read) => wrong_read(read),
        Step::RegionWrite(write) => wrong_write(write),
        Step::Sweep(sweep) => wrong_sweep(sweep),
        Step::DmaMemory(memory) => memory.wrong(),
        Step::DmaCopy(copy) => copy.wrong(),
        Step::Vectors(vectors) => vectors.wrong(),
        Step::Map(map) => wrong_map(map),
        Step::DmaMap(dma) | Step::DmaUnmap(dma) => {
            let fits = (1..=MOST_DMA).contains(&dma.size.0) && dma.size.0.is_multiple_of(PAGE);
            if fits {
                return None;
            }
            of_key("size", format!("size = {}: must be a multiple of 4KiB up to 16MiB", dma.size))
        }
        _ => None,
    }
}

fn wrong_device_info(info: &DeviceInfo) -> Wrong {
    if info.capability.is_none() && (info.version.is_some() || info.bytes.is_some()) {
        return together("`version` and `bytes` are a capability's: `capability` says which");
    }
    let DeviceInfo {
        device: _,
        flags,
        without,
        regions,
        argsz,
        capability,
        version: _,
        bytes: _,
        no_capability,
    } = info;
    let flags = flags.is_empty() && without.is_empty();
    let numbers = regions.is_none() && argsz.is_none();
    if flags && numbers && capability.is_none() && no_capability.is_none() {
        return together("nothing says what must be seen");
    }
    None
}

fn wrong_region_info(info: &RegionInfo) -> Wrong {
    if info.bytes.is_some() && info.capability.is_none() {
        return together("`bytes` are a capability's: `capability` says which");
    }
    if info.no_areas && (info.areas.is_some() || info.hole.is_some()) {
        return together("`no_areas` goes with neither `areas` nor `hole`");
    }
    let told = [
        info.index.is_some(),
        info.size.is_some(),
        !info.flags.is_empty(),
        !info.without.is_empty(),
        info.kind.is_some(),
        info.subtype.is_some(),
        info.areas.is_some(),
        info.no_areas,
        info.hole.is_some(),
        info.capability.is_some(),
        info.argsz.is_some(),
    ];
    match (told.contains(&true), info.errno.is_some()) {
        (true, true) => together("what is refused with `errno` tells nothing else"),
        (false, false) => together("nothing says what must be seen"),
        _ => None,
    }
}

fn wrong_read(read: &RegionRead) -> Wrong {
    let length = match (read.width, read.count) {
        (Some(length), None) | (None, Some(length)) => length,
        _ => return together("either `width` or `count` says how many bytes"),
    };
    if !(1..=MOST_BYTES).contains(&length) {
        return of_key("count", format!("count = {length}: must be 1 to {MOST_BYTES}"));
    }
    let seen = [
        read.is.is_some(),
        read.is_not.is_some(),
        read.bytes.is_some(),
        read.errno.is_some(),
        read.count_is.is_some(),
        read.lost.is_some(),
    ];
    if seen.iter().filter(|told| **told).count() != 1 {
        return together(
            "one of `is`, `is_not`, `bytes`, `errno`, `count_is` and `lost` says what must be seen, and only one",
        );
    }
    let number = read.is.is_some() || read.is_not.is_some();
    if number && read.width.is_none() {
        return together("what is a number has a `width` and no `count`");
    }
    if read.mask.is_some() && !number {
        return together("a `mask` goes with `is` or `is_not`");
    }
    let other = read.bytes.as_ref().map(|bytes| bytes.0.len() as u64).filter(|bytes| *bytes != length);
    other.and_then(|bytes| of_key("bytes", format!("bytes: are {bytes}, and {length} are read")))
}

fn wrong_write(write: &RegionWrite) -> Wrong {
    match (write.width, write.value, &write.bytes) {
        (Some(_), Some(_), None) | (None, None, Some(_)) => {}
        _ => return together("either `width` and `value`, or `bytes`, say what is written"),
    }
    let came = [write.errno.is_some(), write.count_is.is_some(), write.lost.is_some()];
    if came.iter().filter(|told| **told).count() > 1 {
        return together("only one of `errno`, `count_is` and `lost` can come of it");
    }
    None
}

fn wrong_sweep(sweep: &Sweep) -> Wrong {
    if sweep.value.0 > u64::from(u32::MAX) {
        return of_key("value", format!("value = {:#x}: must be a dword", sweep.value.0));
    }
    let odd = sweep.reads.iter().find(|dword| !dword.offset.0.is_multiple_of(4));
    odd.and_then(|dword| of_key("reads", format!("offset = {:#x}: must be a multiple of 4", dword.offset.0)))
}

fn wrong_map(map: &Map) -> Wrong {
    let touched = map.is.is_some() || map.store.is_some();
    match (map.refused, map.width.is_some(), map.is.is_some() && map.store.is_some()) {
        (true, false, _) if !touched => {}
        (false, true, false) if touched => {}
        _ => return together("either `refused`, or `width` with one of `is` and `store`"),
    }
    for (key, number) in [("offset", map.offset), ("size", map.size)] {
        if !number.0.is_multiple_of(PAGE) || key == "size" && number.0 == 0 {
            return of_key(key, format!("{key} = {number}: must be a multiple of 4KiB"));
        }
    }
    None
}
