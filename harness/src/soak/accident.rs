//! What can happen to a machine, and what comes of it.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::pci::express;
use cxl_spec::pci::header;
use sim_device::silicon::engine;

use super::dice::Dice;
use super::life::Life;
use super::life::same;

/// An accident, and the slot that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accident {
    kind: Kind,
    place: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    MachineReset,
    FunctionLevelReset,
    CxlReset,
    VfioReset,
    BarMove,
    DecodeOff,
    Copy,
    Commit,
    Uncommit,
    Unplug,
    Plug,
    FailedPlug,
    Misfit,
    Refusal,
    Loss,
    FailedReset,
    Kill,
}

/// All of them, with their names.
const KINDS: [(Kind, &str); 17] = [
    (Kind::MachineReset, "machine reset"),
    (Kind::FunctionLevelReset, "function level reset"),
    (Kind::CxlReset, "CXL reset"),
    (Kind::VfioReset, "VFIO reset"),
    (Kind::BarMove, "BAR move"),
    (Kind::DecodeOff, "decode off and on"),
    (Kind::Copy, "copy by DMA"),
    (Kind::Commit, "guest commit"),
    (Kind::Uncommit, "guest uncommit"),
    (Kind::Unplug, "unplug"),
    (Kind::Plug, "plug"),
    (Kind::FailedPlug, "plug that fails"),
    (Kind::Misfit, "plug of too much"),
    (Kind::Refusal, "call refused"),
    (Kind::Loss, "device lost at a call"),
    (Kind::FailedReset, "loss at machine reset"),
    (Kind::Kill, "server killed"),
];

impl Accident {
    /// Something that can happen now.
    pub(super) fn choose(life: &Life<'_>, dice: &mut Dice) -> Self {
        let places = life.places.iter().enumerate();
        let can = places.flat_map(|(place, _)| KINDS.map(|(kind, _)| Self { kind, place }));
        let can: Vec<_> = can.filter(|accident| accident.can_happen(life)).collect();
        let reset = Self { kind: Kind::MachineReset, place: 0 };
        // Where a guest has a decoder of its own, it uses it: else little would happen to what it has committed.
        let is_guests = |accident: &&Self| matches!(accident.kind, Kind::Commit | Kind::Uncommit);
        let guests = can.iter().find(is_guests).filter(|_| dice.bool());
        guests.copied().or_else(|| dice.choice(&can)).unwrap_or(reset)
    }

    /// Its name in summaries.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name)
    }

    fn can_happen(self, life: &Life<'_>) -> bool {
        let Some(slot) = life.places.get(self.place) else { return false };
        let is_there = slot.device.is_some();
        match self.kind {
            Kind::MachineReset => true,
            Kind::Plug | Kind::FailedPlug | Kind::Misfit => !is_there,
            Kind::Commit => is_there && slot.is_guests && !slot.is_committed,
            Kind::Uncommit => is_there && slot.is_guests && slot.is_committed,
            Kind::Kill => slot.device.as_ref().is_some_and(|device| device.is_process()),
            // An SMMU that a guest has not set up lets everything through, and mirrors nothing.
            Kind::Copy => is_there && !slot.is_behind,
            _ => is_there,
        }
    }

    /// It happens, and the machine recovers.
    pub(super) fn happen(self, life: &mut Life<'_>, dice: &mut Dice) -> Result<(), String> {
        let place = self.place;
        match self.kind {
            Kind::MachineReset => machine_reset(life),
            Kind::FunctionLevelReset => function_level_reset(life, place),
            Kind::CxlReset => cxl_reset(life, place),
            Kind::VfioReset => vfio_reset(life, place),
            Kind::BarMove => bar_move(life, place),
            Kind::DecodeOff => decode_off(life, place),
            Kind::Copy => copy(life, place, dice),
            Kind::Commit => commit(life, place, true),
            Kind::Uncommit => commit(life, place, false),
            Kind::Unplug => life.unplug(place),
            Kind::Plug => life.plug(place, dice),
            Kind::FailedPlug => life.plug_that_fails(place, dice),
            Kind::Misfit => life.misfit(place, dice),
            Kind::Refusal => refusal(life, place, dice),
            Kind::Loss => loss(life, place, dice),
            Kind::FailedReset => failed_reset(life, place, dice),
            Kind::Kill => kill(life, place, dice),
        }
    }
}

fn at(base: Gpa, offset: u64) -> Result<Gpa, String> {
    base.checked_add(offset).ok_or_else(|| format!("{base} has nothing {offset:#x} behind it"))
}

/// What the guest has committed is gone.
fn forget(life: &mut Life<'_>, place: Option<usize>) {
    let places = life.places.iter_mut().enumerate();
    let reset = places.filter(|(index, _)| place.is_none_or(|place| place == *index));
    reset.for_each(|(_, slot)| slot.is_committed = false);
}

fn machine_reset(life: &mut Life<'_>) -> Result<(), String> {
    life.running.reset().map_err(|error| error.to_string())?;
    forget(life, None);
    Ok(())
}

fn function_level_reset(life: &mut Life<'_>, place: usize) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    let express = planned.express.ok_or("it has no PCI Express capability")?;
    let control = express::DeviceControl::new(0).with_initiate_function_level_reset(true).raw();
    let register = at(planned.config.start(), express.saturating_add(express::DEVICE_CONTROL))?;
    life.store(register, Width::Word, control.into())?;
    wake(life, place)
}

fn cxl_reset(life: &mut Life<'_>, place: usize) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    let control = device::Control2::new(0).with_initiate_cxl_reset(true).raw();
    let register = at(planned.config.start(), planned.device_dvsec.saturating_add(device::CONTROL_2))?;
    life.store(register, Width::Word, control.into())?;
    forget(life, Some(place));
    wake(life, place)
}

fn vfio_reset(life: &mut Life<'_>, place: usize) -> Result<(), String> {
    let (number, _) = life.planned(place)?;
    life.running.reset_device(number).map_err(|error| error.to_string())?;
    forget(life, Some(place));
    wake(life, place)
}

/// What a driver does after a reset: the device answers memory accesses, and issues requests.
fn wake(life: &mut Life<'_>, place: usize) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    let on = header::Command::new(0).with_memory_space(true).with_bus_master(true).raw();
    life.store(at(planned.config.start(), header::COMMAND)?, Width::Word, on.into())
}

/// The BAR with the component registers, a length further, and back.
fn bar_move(life: &mut Life<'_>, place: usize) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    let bar = planned.bars.iter().find(|bar| bar.index == planned.overlay.bar).ok_or("it has no such BAR")?;
    let register = at(planned.config.start(), header::bar_offset(bar.index))?;
    let array = planned.overlay.span.start();
    let before = life.load(array, Width::Dword)?;
    let place = |life: &mut Life<'_>, to: Gpa| {
        life.store(register, Width::Dword, to.get() & 0xffff_ffff)?;
        life.store(at(register, 4)?, Width::Dword, to.get() >> 32)
    };
    place(life, at(bar.span.start(), bar.span.size())?)?;
    same("where the BAR was", life.load(array, Width::Dword)?, 0xffff_ffff)?;
    same("the BAR", life.load(at(array, bar.span.size())?, Width::Dword)?, before)?;
    place(life, bar.span.start())?;
    same("the BAR that is back", life.load(array, Width::Dword)?, before)
}

fn decode_off(life: &mut Life<'_>, place: usize) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    let array = planned.overlay.span.start();
    let before = life.load(array, Width::Dword)?;
    life.store(at(planned.config.start(), header::COMMAND)?, Width::Word, 0)?;
    same("the BAR", life.load(array, Width::Dword)?, 0xffff_ffff)?;
    wake(life, place)?;
    same("the BAR that is back", life.load(array, Width::Dword)?, before)
}

/// The device's engine copies from its memory to RAM.
fn copy(life: &mut Life<'_>, place: usize, dice: &mut Dice) -> Result<(), String> {
    let (number, planned) = life.planned(place)?;
    let (from, to) = (dice.below(0..0x1_0000) * 8, life.ram().saturating_add(dice.below(0..0x1_0000) * 8));
    let value = dice.any();
    let region = planned.window.region;
    life.running
        .device_write(number, region, from, &value.to_le_bytes())
        .map_err(|error| error.to_string())?;
    let bar = planned.bars.iter().find(|bar| bar.index == 0).ok_or("it has no BAR 0")?;
    let registers = at(bar.span.start(), engine::OFFSET)?;
    let control = engine::Control::new(0).with_doorbell(true).with_source_is_device(true).raw();
    for (offset, width, value) in [
        (engine::SOURCE, Width::Qword, from),
        (engine::DESTINATION, Width::Qword, to),
        (engine::LENGTH, Width::Dword, 8),
        (engine::CONTROL, Width::Dword, control.into()),
    ] {
        life.store(at(registers, offset)?, width, value)?;
    }
    // The device ends every copy by itself.
    let status = loop {
        let status = engine::Status::new(life.load(at(registers, engine::STATUS)?, Width::Dword)? as u32);
        if !status.busy() || life.running.lost().is_some() {
            break status;
        }
    };
    let done = engine::Status::new(0).with_done(true).raw();
    same("the status of the copy", status.raw().into(), done.into())?;
    same("RAM behind the copy", life.load(Gpa::new(to), Width::Qword)?, value)
}

/// The guest commits its decoder over the whole window, or takes that back.
fn commit(life: &mut Life<'_>, place: usize, on: bool) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    let capability = Life::decoder(&planned).ok_or("it has no decoder")?;
    let decoder = at(capability, hdm::decoder_offset(0))?;
    let control = hdm::Control::new(0).with_commit(on).raw();
    let (low, high) = hdm::split(planned.fixed_window.start().get());
    if on {
        life.store(at(capability, hdm::GLOBAL_CONTROL)?, Width::Dword, 2)?;
        let size = hdm::split(planned.window.span.size());
        for (offset, value) in
            [(hdm::BASE_LOW, low), (hdm::BASE_HIGH, high), (hdm::SIZE_LOW, size.0), (hdm::SIZE_HIGH, size.1)]
        {
            life.store(at(decoder, offset)?, Width::Dword, value.into())?;
        }
    }
    life.store(at(decoder, hdm::CONTROL)?, Width::Dword, control.into())?;
    let committed =
        hdm::Control::new(life.load(at(decoder, hdm::CONTROL)?, Width::Dword)? as u32).committed();
    same("COMMITTED", committed.into(), on.into())?;
    life.places.get_mut(place).into_iter().for_each(|slot| slot.is_committed = on);
    Ok(())
}

fn light(life: &Life<'_>, place: usize, calls: u64, is_lost: bool) {
    let device = life.places.get(place).and_then(|slot| slot.device.as_ref());
    device.into_iter().for_each(|device| device.fuse.light(calls, is_lost));
}

fn put_out(life: &Life<'_>) {
    life.places.iter().filter_map(|slot| slot.device.as_ref()).for_each(|device| device.fuse.put_out());
}

/// Things happen while a call is refused; then the machine is reset, and everything is well again.
fn refusal(life: &mut Life<'_>, place: usize, dice: &mut Dice) -> Result<(), String> {
    light(life, place, dice.below(0..40), false);
    // What comes of these is not said: any of their calls may be the one.
    for _ in 0..dice.below(1..4) {
        let _ = match dice.below(0..6) {
            0 => vfio_reset(life, place),
            1 => function_level_reset(life, place),
            2 => cxl_reset(life, place),
            3 => bar_move(life, place),
            4 => decode_off(life, place),
            _ => life.plug(place, dice),
        };
    }
    put_out(life);
    machine_reset(life)
}

/// The device is lost at some call of the guest's, which is told; it goes, and another one comes.
fn loss(life: &mut Life<'_>, place: usize, dice: &mut Dice) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    light(life, place, dice.below(0..6), true);
    for _ in 0..dice.below(0..3) {
        let _ = if dice.bool() { decode_off(life, place) } else { vfio_reset(life, place) };
    }
    for _ in 0..8 {
        life.load(planned.config.start(), Width::Dword)?;
    }
    replaced(life, place, dice)
}

/// The device that is lost is told of; it goes, and perhaps another one comes.
fn replaced(life: &mut Life<'_>, place: usize, dice: &mut Dice) -> Result<(), String> {
    let (_, planned) = life.planned(place)?;
    same("what is lost", life.load(planned.config.start(), Width::Dword)?, 0xffff_ffff)?;
    life.running.lost().ok_or("nobody says that the device is lost")?;
    life.unplug(place)?;
    if let Some(lost) = life.running.lost() {
        return Err(format!("still lost: {lost}"));
    }
    if dice.bool() { life.plug(place, dice) } else { Ok(()) }
}

/// The device is lost while the machine is reset: the machine does not come back, and its end is orderly.
fn failed_reset(life: &mut Life<'_>, place: usize, dice: &mut Dice) -> Result<(), String> {
    light(life, place, dice.below(0..3), true);
    if life.running.reset().is_ok() {
        return Err("the machine came back without its device".to_owned());
    }
    let somewhere = Gpa::new(life.ram());
    if life.load(somewhere, Width::Dword).is_ok() {
        return Err("the guest obeys after a reset that failed".to_owned());
    }
    life.is_over = true;
    Ok(())
}

fn kill(life: &mut Life<'_>, place: usize, dice: &mut Dice) -> Result<(), String> {
    let device = life.places.get(place).and_then(|slot| slot.device.as_ref());
    device.into_iter().for_each(|device| device.kill());
    replaced(life, place, dice)
}
