//! A profile of what was found: as much of it as a profile can say.

use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::dvsec::id;
use sim_device::profile::Coherency;
use sim_device::profile::Component;
use sim_device::profile::ConfigLock;
use sim_device::profile::Decoder;
use sim_device::profile::Dvsec;
use sim_device::profile::Firmware;
use sim_device::profile::Ids;
use sim_device::profile::Interrupts;
use sim_device::profile::Kernel;
use sim_device::profile::Memory;
use sim_device::profile::Profile;
use sim_device::profile::quantity::Quantity;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::irq;
use vfio_abi::info::region;
use vmm_core::backend::BackendError;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::cxl::Component as Entry;
use vmm_core::discover::cxl::Decoder as Found;
use vmm_core::discover::hardware::hardware;

use crate::world::WorldError;

/// What is known of the component registers, whoever shows them.
struct Registers {
    bar: u8,
    component: u64,
    capabilities: Vec<Entry>,
    capability: hdm::Capability,
    decoders: Vec<Found>,
}

/// What is read of the device DVSEC.
struct Words {
    capability: device::Capability,
    control: device::Control,
    lock: device::Lock,
    size: u64,
    base: u64,
}

/// A profile that is as like the device as a profile can be. Where nothing is known, it is as in the default preset.
///
/// # Errors
/// If the device does not answer, or cannot be understood.
pub fn captured(device: &Shared, inventory: &Inventory) -> Result<Profile, WorldError> {
    let default = Profile::default();
    let registers = registers(device, inventory)?;
    let words = words(device, inventory)?;
    let first = registers.as_ref().and_then(|registers| registers.decoders.first().copied());
    Ok(Profile {
        ids: ids(inventory, &default),
        dvsec: words.as_ref().map_or(default.dvsec, dvsec),
        interrupts: interrupts(inventory),
        component: registers.as_ref().map_or(default.component, |registers| component(inventory, registers)),
        decoder: registers.as_ref().map_or(default.decoder, decoder),
        memory: memory(inventory, registers.as_ref(), words.as_ref()),
        firmware: firmware(inventory, first, words.as_ref()),
        kernel: kernel(inventory),
        ..Profile::default()
    })
}

/// The nearest profile that can be served, and what had to be given up for it: each a field that cannot be so, whose
/// table is as in the default preset.
pub fn playable(mut profile: Profile) -> (Profile, Vec<String>) {
    let mut given_up = Vec::new();
    while let Err(wrong) = profile.check() {
        given_up.push(wrong.to_string());
        let default = Profile::default();
        profile = match wrong.field.split_once('.').map(|(table, _)| table) {
            Some("ids") => Profile { ids: default.ids, ..profile },
            Some("dvsec") => Profile { dvsec: default.dvsec, ..profile },
            Some("interrupts") => Profile { interrupts: default.interrupts, ..profile },
            Some("component") if profile.component != default.component => {
                Profile { component: default.component, ..profile }
            }
            Some("decoder") => Profile { decoder: default.decoder, ..profile },
            Some("memory") => Profile { memory: default.memory, ..profile },
            Some("firmware") => Profile { firmware: default.firmware, ..profile },
            // The default tables go together, so this is the end.
            _ => default,
        };
    }
    (profile, given_up)
}

/// The component registers: what vfio-cxl shows of them, or else the BAR.
fn registers(device: &Shared, inventory: &Inventory) -> Result<Option<Registers>, WorldError> {
    let Some(cxl) = &inventory.cxl else {
        let found = hardware(device, inventory)?;
        return Ok(found.map(|found| Registers {
            bar: found.bar,
            component: found.component,
            capabilities: found.capabilities,
            capability: found.capability,
            decoders: found.decoders,
        }));
    };
    let capability = match &cxl.rest {
        Some(rest) => rest.capability,
        None => hdm::Capability::new(device.read_dword(cxl.description.registers, cxl.hdm)?),
    };
    Ok(Some(Registers {
        bar: cxl.description.bar,
        component: cxl.component,
        capabilities: cxl.capabilities.clone(),
        capability,
        decoders: cxl.decoders.clone(),
    }))
}

fn words(device: &Shared, inventory: &Inventory) -> Result<Option<Words>, BackendError> {
    let Some(start) = inventory.config.cxl_dvsec(id::DEVICE) else { return Ok(None) };
    let word = |at: u64| {
        let mut bytes = [0; 2];
        device.lock().read(region::CONFIG, start.saturating_add(at), &mut bytes)?;
        Ok::<_, BackendError>(u16::from_le_bytes(bytes))
    };
    let dword = |at: u64| Ok::<_, BackendError>(u32::from(word(at)?) | u32::from(word(at + 2)?) << 16);
    let size = hdm::join(dword(device::RANGE_1_SIZE_LOW)?, dword(device::RANGE_1_SIZE_HIGH)?);
    let base = hdm::join(dword(device::RANGE_1_BASE_LOW)?, dword(device::RANGE_1_BASE_HIGH)?);
    Ok(Some(Words {
        capability: device::Capability::new(word(device::CAPABILITY)?),
        control: device::Control::new(word(device::CONTROL)?),
        lock: device::Lock::new(word(device::LOCK)?),
        size: granules(size),
        base: granules(base),
    }))
}

/// The part of an address or a length that its registers have.
fn granules(bytes: u64) -> u64 {
    bytes / hdm::GRANULE * hdm::GRANULE
}

fn ids(inventory: &Inventory, default: &Profile) -> Ids {
    let config = &inventory.config;
    Ids {
        vendor: config.vendor,
        device: config.device,
        subsystem_vendor: config.subsystem_vendor,
        subsystem: config.subsystem,
        revision: config.revision,
        class: config.class,
        // It would tell whose device this is.
        serial: default.ids.serial,
    }
}

fn dvsec(words: &Words) -> Dvsec {
    let Words { capability, control, lock, .. } = words;
    Dvsec {
        cxl_reset_capable: capability.cxl_reset_capable(),
        cxl_reset_timeout: capability.cxl_reset_timeout().value(),
        mem_clear_capable: capability.cxl_reset_mem_clear_capable(),
        mem_enable_at_reset: locked_early(*control, *lock),
    }
}

/// Firmware that has locked too early could not turn on CXL.cache either.
fn locked_early(control: device::Control, lock: device::Lock) -> bool {
    lock.config_lock() && control.mem_enable() && !control.cache_enable()
}

fn interrupts(inventory: &Inventory) -> Interrupts {
    let vectors = inventory.config.msix.as_ref().map_or(1, |msix| msix.vectors);
    Interrupts { msix_vectors: vectors, pin: inventory.irqs.iter().any(|found| found.index == irq::INTX) }
}

fn component(inventory: &Inventory, registers: &Registers) -> Component {
    let default = Component::default();
    let entry = |id, default| {
        let found = registers.capabilities.iter().find(|entry| entry.id == id);
        found.map_or(default, |entry| Quantity(entry.offset))
    };
    Component {
        bar: registers.bar,
        bar_size: inventory.config.bar(registers.bar).map_or(default.bar_size, |bar| Quantity(bar.size)),
        offset: Quantity(registers.component),
        ras: entry(array::id::RAS, default.ras),
        hdm: entry(array::id::HDM_DECODER, default.hdm),
        bi: entry(array::id::BACK_INVALIDATE, default.bi),
    }
}

fn decoder(registers: &Registers) -> Decoder {
    let can = registers.capability;
    Decoder {
        count: registers.decoders.len() as u8,
        interleave_11_8: can.interleave_11_8(),
        interleave_14_12: can.interleave_14_12(),
        three_way: can.ways_3_6_12(),
        sixteen_way: can.ways_16(),
        poison_on_decode_error: can.poison_on_decode_error(),
    }
}

fn memory(inventory: &Inventory, registers: Option<&Registers>, words: Option<&Words>) -> Memory {
    let default = Memory::default();
    let shown = inventory.cxl.as_ref().and_then(|cxl| inventory.region(cxl.description.memory));
    let stated = words.map(|words| words.size).filter(|size| *size > 0);
    let size = stated.or(shown.map(|region| region.size));
    let invalidates = registers.is_some_and(|registers| {
        registers.capabilities.iter().any(|entry| entry.id == array::id::BACK_INVALIDATE)
    });
    Memory {
        size: size.map_or(default.size, Quantity),
        coherency: if invalidates { Coherency::HdmDb } else { Coherency::HdmD },
    }
}

fn firmware(inventory: &Inventory, first: Option<Found>, words: Option<&Words>) -> Firmware {
    let default = Firmware::default();
    let control = first.map(|decoder| decoder.control);
    let committed = inventory
        .cxl
        .as_ref()
        .map_or_else(|| control.is_some_and(|control| control.committed()), |cxl| cxl.firmware_committed);
    // The kernel of April 2026 hides the base of a decoder that is locked, and the lock with it.
    let base = first.map(|decoder| decoder.base).filter(|base| *base > 0);
    let locked = committed && (control.is_some_and(|control| control.lock_on_commit()) || base.is_none());
    let stated = words.map(|words| words.base).filter(|base| *base > 0);
    Firmware {
        committed,
        locked: if committed { locked } else { default.locked },
        zero_size: committed && first.is_some_and(|decoder| decoder.size == 0),
        host_base: base.or(stated).map_or(default.host_base, Quantity),
        config_lock: match words {
            Some(words) if locked_early(words.control, words.lock) => ConfigLock::BeforeMemEnable,
            Some(words) if words.lock.config_lock() => ConfigLock::AfterMemEnable,
            _ => ConfigLock::Never,
        },
    }
}

fn kernel(inventory: &Inventory) -> Kernel {
    let default = Kernel::default();
    let Some(cxl) = &inventory.cxl else { return default };
    let memory = inventory.region(cxl.description.memory);
    let found = cxl.decoders.first();
    let first = found.map(|decoder| decoder.control);
    Kernel {
        show_uncommitted: !cxl.firmware_committed,
        zero_size_counts: cxl.firmware_committed && found.is_some_and(|decoder| decoder.size == 0),
        // What that kernel shows of a lock is one that firmware set.
        show_lock: cxl.description.revision.name() == "v2"
            && first.is_some_and(|control| control.lock_on_commit()),
        memory_without_mmap: memory.is_some_and(|region| !region.flags.contains(RegionFlags::MMAP)),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use sim_device::profile::PRESETS;

    use super::*;

    #[test]
    fn a_profile_that_can_be_served_stays_as_it_is() {
        for preset in PRESETS {
            let profile = Profile::find(preset.name).unwrap();
            assert_eq!(playable(profile.clone()), (profile, Vec::new()));
        }
    }

    #[test]
    fn what_no_profile_can_be_is_given_up_by_its_table_and_told() {
        let mut profile = Profile::default();
        profile.component.bar = 0;
        profile.component.offset = Quantity(0x8_0000);
        profile.decoder.count = 3;
        profile.ids.device = 0x1234;
        let (playable, given_up) = playable(profile);
        assert_eq!((playable.component, playable.decoder), (Component::default(), Decoder::default()));
        assert_eq!(playable.ids.device, 0x1234, "and the rest is kept");
        assert_eq!(given_up.len(), 2);
        assert!(given_up[0].starts_with("component.bar = 0: must be 2 or 4"), "{given_up:?}");
        assert!(given_up[1].starts_with("decoder.count = 3: must be 1, 2, 4"), "{given_up:?}");
    }
}
