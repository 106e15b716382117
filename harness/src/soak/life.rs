//! A machine with two slots and devices that are served, and what must hold of it at any time.

use std::fmt;
use std::sync::Arc;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::component::hdm;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use vmm_core::backend::kvm;
use vmm_core::map::Attached;
use vmm_core::map::map;
use vmm_core::plan;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::dma::Wish;
use vmm_core::plan::iommu::SmmuIntent;
use vmm_core::plan::iommu::Way;
use vmm_core::plan::machine::Arch;
use vmm_core::plan::machine::Machine;
use vmm_core::plan::topology::BridgeIntent;
use vmm_core::plan::topology::Reserve;
use vmm_core::plan::topology::Topology;
use vmm_core::plan::topology::WindowIntent;
use vmm_core::run::Hypervisor;
use vmm_core::run::Running;

use super::Changed;
use super::Setting;
use super::counted::Counted;
use super::device::Served;
use super::dice::Dice;
use crate::world::GuestKind;

/// The devices and the bridges that they are below. The second may come later.
const PLACES: [(&str, &str); 2] = [("gpu0", "a"), ("gpu1", "b")];

/// Kernels that show CXL.
const ABIS: [&str; 3] = ["v2", "v3", "next"];

/// A machine that runs, and its devices.
#[derive(Debug)]
pub(super) struct Life<'a> {
    // Fields are dropped in this order: the machine before its devices.
    pub(super) running: Running,
    pub(super) places: Vec<Place>,
    slots: Arc<Counted>,
    setting: &'a Setting,
    /// The guest obeys no more: what ended it was an accident, and all that is left is to end.
    pub(super) is_over: bool,
}

/// A slot, and who is in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) bridge: &'static str,
    /// The guest commits its device's decoder, and so it has.
    pub(super) is_guests: bool,
    pub(super) is_committed: bool,
    /// Behind an SMMU.
    pub(super) is_behind: bool,
    pub(super) device: Option<Served>,
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// A device of some kernel, served by a thread or by a process.
pub(super) fn device(setting: &Setting, dice: &mut Dice, size: &str) -> Result<(Served, Attached), String> {
    let name = dice.choice(&ABIS).unwrap_or("v2");
    let abi = Abi::named(name).ok_or_else(|| format!("no kernel {name}"))?;
    let keys = format!("memory.size = \"{size}\"\n{}", setting.changed.device);
    let profile: Profile = toml::from_str(&keys).map_err(text)?;
    // Processes are dear: one of eight is enough to be killed.
    Served::start(setting, &profile, abi, dice.below(0..8) == 0)
}

impl<'a> Life<'a> {
    /// A machine with one or two devices.
    pub(super) fn begin(setting: &'a Setting, dice: &mut Dice) -> Result<Self, String> {
        let is_kvm = setting.guest == GuestKind::Kvm && dice.below(0..4) == 0;
        let machine = machine(dice, is_kvm, &setting.changed);
        let mut places: Vec<_> = PLACES.into_iter().map(|place| Place::new(place, &machine)).collect();
        let (mut devices, mut names) = (Vec::new(), Vec::new());
        let count = if dice.bool() { 2 } else { 1 };
        for place in places.iter_mut().take(count) {
            let (served, attached) = device(setting, dice, "256MiB")?;
            place.device = Some(served);
            devices.push(attached);
            names.push(place.name);
        }
        let named: Vec<_> = names.into_iter().zip(devices.iter().map(|device| &device.inventory)).collect();
        let planned = plan::plan(&machine, &named).map_err(text)?;
        let hypervisor =
            if is_kvm { Hypervisor::Kvm(kvm::Vm::new().map_err(text)?) } else { Hypervisor::Soft };
        let slots = Counted::over(hypervisor.slots());
        let programmed = map(planned, devices, slots.clone()).map_err(text)?.machine_done().map_err(text)?;
        let running = programmed.run(&hypervisor, setting.timeout).map_err(text)?;
        Ok(Self { running, places, slots, setting, is_over: false })
    }

    /// What the machine ends as: no memory slot is left.
    pub(super) fn end(self) -> Result<(), String> {
        let slots = self.slots.clone();
        drop(self);
        match slots.here() {
            0 => Ok(()),
            left => Err(format!("left over: {left} memory slots")),
        }
    }

    /// The number in the plan of the device in a slot, whether or not it is there.
    pub(super) fn number(&self, place: usize) -> Option<usize> {
        let bridge = self.places.get(place)?.bridge;
        self.running.plan().bridges.iter().find(|there| there.name == bridge)?.port.device
    }

    /// The device in a slot as it was planned.
    pub(super) fn planned(&self, place: usize) -> Result<(usize, plan::Device), String> {
        let number = self.number(place).ok_or("the slot never had a device")?;
        let device = self.running.plan().devices.get(number).ok_or("the plan has no such device")?;
        Ok((number, device.clone()))
    }

    pub(super) fn load(&mut self, at: Gpa, width: Width) -> Result<u64, String> {
        self.running.load(at, width).map_err(text)
    }

    pub(super) fn store(&mut self, at: Gpa, width: Width, value: u64) -> Result<(), String> {
        self.running.store(at, width, value).map_err(text)
    }

    /// A device comes into an empty slot.
    pub(super) fn plug(&mut self, place: usize, dice: &mut Dice) -> Result<(), String> {
        let (served, attached) = device(self.setting, dice, "256MiB")?;
        let slot = self.places.get_mut(place).ok_or("no such slot")?;
        self.running.plug(slot.bridge, slot.name, attached).map_err(text)?;
        (slot.device, slot.is_committed) = (Some(served), false);
        Ok(())
    }

    /// A device comes, and one of the calls that are made for it fails; it may be one that is made too late.
    pub(super) fn plug_that_fails(&mut self, place: usize, dice: &mut Dice) -> Result<(), String> {
        let (served, attached) = device(self.setting, dice, "256MiB")?;
        let slot = self.places.get_mut(place).ok_or("no such slot")?;
        served.fuse.light(dice.below(0..30), dice.bool());
        let came = self.running.plug(slot.bridge, slot.name, attached);
        served.fuse.put_out();
        if came.is_ok() {
            (slot.device, slot.is_committed) = (Some(served), false);
        }
        Ok(())
    }

    /// A device that the slot has no room for.
    pub(super) fn misfit(&mut self, place: usize, dice: &mut Dice) -> Result<(), String> {
        let (_served, attached) = device(self.setting, dice, "512MiB")?;
        let slot = self.places.get_mut(place).ok_or("no such slot")?;
        match self.running.plug(slot.bridge, slot.name, attached) {
            Ok(_) => Err("512 MiB went into a window of 256 MiB".to_owned()),
            Err(error) if error.to_string().contains("its memory has 0x20000000") => Ok(()),
            Err(error) => Err(text(error)),
        }
    }

    /// The device in a slot goes.
    pub(super) fn unplug(&mut self, place: usize) -> Result<(), String> {
        let number = self.number(place).ok_or("the slot never had a device")?;
        self.running.unplug(number).map_err(text)?;
        self.places.get_mut(place).into_iter().for_each(|slot| slot.device = None);
        Ok(())
    }

    /// What must hold at any time: memory is where it should be and nowhere else, and nobody is lost.
    pub(super) fn check(&mut self, dice: &mut Dice) -> Result<(), String> {
        if self.is_over {
            return Ok(());
        }
        if let Some(lost) = self.running.lost() {
            return Err(format!("lost: {lost}"));
        }
        for place in 0..self.places.len() {
            let slot = self.places.get(place).ok_or("no such slot")?;
            let (is_there, name) = (slot.device.is_some(), slot.name);
            if slot.device.as_ref().is_some_and(|device| device.fuse.was_asked_for_nothing()) {
                return Err(format!("{name}: DMA_UNMAP of what was not mapped: refused with ENOENT"));
            }
            let is_placed = !slot.is_guests || slot.is_committed;
            let checked =
                if is_there { self.check_device(place, is_placed, dice) } else { self.check_empty(place) };
            checked.map_err(|why| format!("{name}: {why}"))?;
        }
        let ram = Gpa::new(self.ram().saturating_add(dice.below(0..0x1000) * 8));
        let value = dice.any();
        self.store(ram, Width::Qword, value)?;
        same("RAM", self.load(ram, Width::Qword)?, value)
    }

    /// RAM that belongs to nobody.
    pub(super) fn ram(&self) -> u64 {
        let mut map = self.running.plan().map.iter();
        let ram = map.find(|placed| placed.kind == plan::Kind::Ram).map_or(0, |ram| ram.span.start().get());
        ram.saturating_add(2 << 20)
    }

    fn check_device(&mut self, place: usize, is_placed: bool, dice: &mut Dice) -> Result<(), String> {
        let (number, planned) = self.planned(place)?;
        if let Some(why) = self.running.unplaced(number) {
            return Err(format!("its memory is not in place: {why}"));
        }
        if self.load(planned.config.start(), Width::Word)? == 0xffff {
            return Err("it has no IDs".to_owned());
        }
        if self.places.get(place).is_some_and(|slot| !slot.is_guests) {
            self.check_decoder(&planned)?;
        }
        let offset = dice.below(0..planned.window.span.size() / 8) * 8;
        let at = planned.window.span.start().checked_add(offset).ok_or("no such address")?;
        let (before, value) = (self.held(number, &planned, offset)?, dice.any() >> 1);
        self.store(at, Width::Qword, value)?;
        let expected = if is_placed { value } else { u64::MAX };
        same("the window", self.load(at, Width::Qword)?, expected)?;
        let expected = if is_placed { value } else { before };
        same("the device's memory", self.held(number, &planned, offset)?, expected)
    }

    /// The decoder that the machine programs has the base of the window.
    fn check_decoder(&mut self, planned: &plan::Device) -> Result<(), String> {
        let base = planned.programme.decoder.saturating_add(hdm::BASE_LOW);
        let low = planned.overlay.span.start().checked_add(base).ok_or("no such address")?;
        let high = low.checked_add(4).ok_or("no such address")?;
        let (low, high) = (self.load(low, Width::Dword)?, self.load(high, Width::Dword)?);
        let base = hdm::join(low as u32, high as u32);
        same("the decoder's base", base, planned.window.span.start().get())
    }

    fn check_empty(&mut self, place: usize) -> Result<(), String> {
        let bridge = self.places.get(place).map_or("", |slot| slot.bridge);
        let plan = self.running.plan();
        let number = plan.bridges.iter().position(|there| there.name == bridge).ok_or("no bridge")?;
        let port = plan
            .bridges
            .get(number)
            .and_then(|bridge| Some((bridge.port.config, bridge.endpoint(plan.ecam)?.1)));
        let (port, endpoint) = port.ok_or("no function")?;
        let window = plan.windows.iter().find(|window| window.only_target() == Some(number));
        let window = window.ok_or("no window")?.span;
        same("its configuration space", self.load(endpoint.start(), Width::Dword)?, 0xffff_ffff)?;
        same("its window", self.load(window.start(), Width::Qword)?, u64::MAX)?;
        let status = port.start().checked_add(0x5a).ok_or("no such address")?;
        same("presence", self.load(status, Width::Word)? & 0x40, 0)
    }

    /// What a device has in its memory.
    pub(super) fn held(&self, number: usize, planned: &plan::Device, offset: u64) -> Result<u64, String> {
        let mut bytes = [0; 8];
        self.running.device_read(number, planned.window.region, offset, &mut bytes).map_err(text)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The guest's decoder of a slot, where it is reached.
    pub(super) fn decoder(planned: &plan::Device) -> Option<Gpa> {
        let capability = planned.programme.decoder.checked_sub(hdm::decoder_offset(0))?;
        planned.overlay.span.start().checked_add(capability)
    }
}

/// What was seen, against what must be.
pub(super) fn same(what: &str, seen: u64, expected: u64) -> Result<(), String> {
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{what} has {seen:#x} where {expected:#x} was expected"))
    }
}

impl Place {
    fn new((name, bridge): (&'static str, &'static str), machine: &Machine) -> Self {
        Self {
            name,
            bridge,
            is_guests: machine.life.guest_commits.iter().any(|guests| guests == name),
            is_committed: false,
            is_behind: machine.smmus.iter().any(|smmu| smmu.bus == bridge),
            device: None,
        }
    }
}

/// Some machine: two bridges, each with room for one device.
fn machine(dice: &mut Dice, is_kvm: bool, changed: &Changed) -> Machine {
    let arch = if is_kvm || dice.bool() { Arch::X86_64 } else { Arch::Aarch64 };
    let reserve = Reserve { memory: 1 << 20, prefetchable: 4 << 20 };
    let bridge =
        |(_, name): (_, &str)| BridgeIntent { name: name.to_owned(), reserve, ..BridgeIntent::default() };
    let window = |(_, name): (_, &str)| WindowIntent { size: hdm::GRANULE, targets: vec![name.to_owned()] };
    let below = |(device, bridge): (&str, &str)| (device.to_owned(), bridge.to_owned());
    let topology = Topology {
        bridges: PLACES.into_iter().map(bridge).collect(),
        windows: PLACES.into_iter().map(window).collect(),
        below: PLACES.into_iter().map(below).collect(),
        ..Topology::default()
    };
    let policy = dice.choice(&Policy::ALL).unwrap_or_default();
    let policy = changed.policy.unwrap_or(policy);
    let way = dice.choice(&Way::ALL).unwrap_or_default();
    let smmu = (dice.below(0..4) == 0).then(|| SmmuIntent { bus: "b".to_owned(), reach: way });
    let default = Machine::default();
    let life = plan::life::Life {
        after_reset: changed.after_reset,
        guest_commits: if dice.bool() { vec!["gpu1".to_owned()] } else { Vec::new() },
        on_loss: Vec::new(),
    };
    Machine {
        arch,
        address_bits: arch.default_address_bits(),
        ram: 8 << 20,
        topology,
        dma: Wish { policy, ats: false },
        smmus: smmu.into_iter().collect(),
        life,
        defects: changed.defects.clone(),
        ..default
    }
}
