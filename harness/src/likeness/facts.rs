//! What can be seen of a device, a fact at a time: what it says of itself, and how it answers.
//!
//! Left out is what says nothing of the device: how it is connected, where its regions are in a file, and whether that
//! file is sealed.

use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::dvsec;
use cxl_spec::pci::capability_name;
use cxl_spec::pci::extended_capability_name;
use cxl_spec::pci::header;
use sim_device::profile::quantity::Quantity;
use vfio_abi::info::region;
use vmm_core::backend::BackendError;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::cxl::Component;
use vmm_core::discover::cxl::Cxl;
use vmm_core::discover::cxl::Decoder;
use vmm_core::discover::discover;
use vmm_core::discover::hardware::hardware;
use vmm_core::discover::msix::Place;

use super::checks;
use crate::world::WorldError;

/// Something that can be seen of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub what: String,
    /// What is seen.
    pub value: String,
}

/// The facts, in the order in which people look.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<Fact>);

impl Facts {
    pub(super) fn add(&mut self, what: impl Into<String>, value: impl ToString) {
        self.0.push(Fact { what: what.into(), value: value.to_string() });
    }

    pub(super) fn hex(&mut self, what: impl Into<String>, value: impl Into<u64>) {
        self.add(what, format!("{:#x}", value.into()));
    }
}

/// All that can be seen of a device without harm.
///
/// # Errors
/// If it does not answer, or cannot be understood.
pub fn facts(device: &Shared) -> Result<Vec<Fact>, WorldError> {
    let inventory = discover(device)?;
    let mut facts = Facts::default();
    facts.header(&inventory);
    facts.layout(&inventory);
    facts.dvsecs(device, &inventory)?;
    facts.regions(&inventory);
    match &inventory.cxl {
        Some(cxl) => facts.cxl(cxl),
        None => facts.hardware(device, &inventory),
    }
    checks::answers(device, &inventory, &mut facts)?;
    Ok(facts.0)
}

impl Facts {
    fn header(&mut self, inventory: &Inventory) {
        let config = &inventory.config;
        self.hex("vendor id", config.vendor);
        self.hex("device id", config.device);
        self.hex("subsystem vendor id", config.subsystem_vendor);
        self.hex("subsystem id", config.subsystem);
        self.hex("class", config.class);
        self.hex("revision id", config.revision);
        self.hex("device info flags", inventory.flags.bits());
        self.add("device info capabilities", format!("{:?}", inventory.capabilities));
        for bar in &config.bars {
            let bits = if bar.is_64_bit { 64 } else { 32 };
            let kind = if bar.prefetchable { ", prefetchable" } else { "" };
            self.add(format!("bar{}", bar.index), format!("{}, {bits} bits{kind}", Quantity(bar.size)));
        }
    }

    /// Capabilities by where they are.
    fn layout(&mut self, inventory: &Inventory) {
        let config = &inventory.config;
        for found in &config.capabilities {
            let name = capability_name(found.id);
            self.add(
                format!("configuration space at {:#05x}", found.offset),
                format!("{name} ({:#x})", found.id),
            );
        }
        for found in &config.extended {
            let what = format!("configuration space at {:#05x}", found.offset);
            let value = match found.dvsec {
                Some(of) if of.vendor == dvsec::VENDOR => {
                    format!("CXL DVSEC {} revision {}, {:#x} bytes", of.id, of.revision, of.length)
                }
                Some(of) => {
                    format!(
                        "DVSEC {} of {:#x} revision {}, {:#x} bytes",
                        of.id, of.vendor, of.revision, of.length
                    )
                }
                None => format!(
                    "{} ({:#x}) version {}",
                    extended_capability_name(found.id),
                    found.id,
                    found.version
                ),
            };
            self.add(what, value);
        }
        for (number, block) in config.blocks.iter().enumerate() {
            let value = format!("kind {} at bar{} + {:#x}", block.block, block.bar, block.offset);
            self.add(format!("register block {number}"), value);
        }
        let msix = config.msix.as_ref().map_or("none".to_owned(), |found| {
            let at = |place: &Place| format!("bar{} + {:#x}", place.bar, place.offset);
            let (table, pending) = (at(&found.table), at(&found.pending));
            format!("{} vectors, table at {table}, pending bits at {pending}", found.vectors)
        });
        self.add("MSI-X", msix);
    }

    /// The bodies of the consortium's DVSECs, a word at a time: of a wider read some kernels show the first register
    /// only.
    fn dvsecs(&mut self, device: &Shared, inventory: &Inventory) -> Result<(), BackendError> {
        for found in &inventory.config.extended {
            let Some(of) = found.dvsec.filter(|of| of.vendor == dvsec::VENDOR) else { continue };
            for at in (0x0a..u64::from(of.length)).step_by(2) {
                let mut bytes = [0; 2];
                let offset = u64::from(found.offset).saturating_add(at);
                device.lock().read(region::CONFIG, offset, &mut bytes)?;
                let name = register_name(of.id, at);
                self.hex(format!("CXL DVSEC {} at {at:#x}{name}", of.id), u16::from_le_bytes(bytes));
            }
        }
        Ok(())
    }

    fn regions(&mut self, inventory: &Inventory) {
        for found in &inventory.regions {
            let what = |part: &str| format!("region {} {part}", found.index);
            self.add(what("size"), Quantity(found.size));
            self.add(what("flags"), format!("{:?}", found.flags));
            self.add(what("capabilities"), format!("{:?}", found.capabilities));
            if let Some((kind, subtype)) = found.kind {
                self.add(what("type"), format!("{kind:#x}, subtype {subtype}"));
            }
            let areas = found.areas.iter().map(|area| format!("{:#x}+{:#x}", area.offset, area.size));
            self.add(what("mappable areas"), areas.collect::<Vec<_>>().join(" "));
        }
        for found in &inventory.irqs {
            self.add(
                format!("interrupt {}", found.index),
                format!("{} vectors, {:?}", found.count, found.flags),
            );
        }
    }

    fn cxl(&mut self, cxl: &Cxl) {
        let told = &cxl.description;
        self.add("vfio-cxl revision", told.revision.name());
        self.add("firmware committed", cxl.firmware_committed);
        self.add("cache capable", format!("{:?}", told.cache_capable));
        self.add("memory region", told.memory);
        self.add(
            "component registers",
            format!("region {}, bar{} + {:#x}", told.registers, told.bar, told.offset),
        );
        self.hex("component block", cxl.component);
        self.array(&cxl.capabilities);
        self.decoders(&cxl.decoders);
        self.add("CXL.mem is on", cxl.mem_enable);
        self.add("DVSEC is locked", cxl.config_lock);
    }

    /// What the BAR says, where the kernel says nothing.
    fn hardware(&mut self, device: &Shared, inventory: &Inventory) {
        self.add("vfio-cxl revision", "none");
        match hardware(device, inventory) {
            Ok(Some(found)) => {
                self.add("component block", format!("bar{} + {:#x}", found.bar, found.component));
                self.array(&found.capabilities);
                self.hex("HDM decoder capability", found.capability.raw());
                self.decoders(&found.decoders);
            }
            Ok(None) => self.add("component block", "none"),
            Err(error) => {
                // The name of the device says nothing of it.
                let said = error.to_string();
                let said =
                    said.strip_prefix(&inventory.device).unwrap_or(&said).trim_start_matches([':', ' ']);
                self.add("component block", said);
            }
        }
    }

    fn array(&mut self, capabilities: &[Component]) {
        for found in capabilities {
            let value = format!("version {} at {:#x}", found.version, found.offset);
            self.add(format!("component capability {} ({})", found.id, array::name(found.id)), value);
        }
    }

    fn decoders(&mut self, decoders: &[Decoder]) {
        self.add("number of decoders", decoders.len());
        for (index, decoder) in decoders.iter().enumerate() {
            self.hex(format!("decoder {index} base"), decoder.base);
            self.add(format!("decoder {index} size"), Quantity(decoder.size));
            self.hex(format!("decoder {index} control"), decoder.control.raw());
        }
    }
}

/// What the specification calls the register of which this word is, where it is known here.
fn register_name(dvsec: u16, at: u64) -> String {
    let registers = if dvsec == dvsec::id::DEVICE { dvsec::device::REGISTERS } else { &[] };
    let found = registers.iter().rev().find(|register| register.offset <= at);
    let found = found.filter(|register| at < register.offset.saturating_add(register.width.bytes()));
    found.map_or_else(String::new, |register| {
        let half = if register.offset == at { "" } else { ", upper half" };
        format!(" ({}{half})", register.name)
    })
}

/// The offset of the first decoder's registers in the component register region.
pub(super) fn first_decoder(cxl: &Cxl) -> u64 {
    cxl.hdm.saturating_add(hdm::decoder_offset(0))
}

/// The offset of a byte in configuration space that every function has for software alone.
pub(super) const SCRATCH: u64 = header::INTERRUPT_PIN - 1;
