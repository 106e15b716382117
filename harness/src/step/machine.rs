//! Carrying out one step in a machine.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::component::hdm;
use vmm_core::backend::BackendError;
use vmm_core::backend::recording::Access;
use vmm_core::plan::programme::Programme;
use vmm_core::run::guest::GuestError;

use super::Verdict;
use super::accident;
use super::acpi;
use super::dma;
use super::interrupts;
use super::judged;
use super::life;
use super::plug;
use crate::acpi::memory::Unread;
use crate::process::ProcessError;
use crate::scenario::machine as scenario;
use crate::scenario::place::NoPlace;
use crate::scenario::place::NotThere;
use crate::scenario::place::Place;
use crate::scenario::step::Step;
use crate::world::World;

/// Why a step could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Guest(#[from] GuestError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Place(#[from] NotThere),
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error("{name:?}: the machine has no such device")]
    Device { name: String },
    #[error("{name}: its process is not ours")]
    NoProcess { name: String },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("{kind}: nothing that is done in a machine")]
    Kind { kind: &'static str },
}

/// Carries a step out.
pub fn carry_out(world: &mut World, step: &Step) -> Verdict {
    let outcome = match step {
        Step::Load(step) => load(world, step),
        Step::Store(step) => store(world, step),
        Step::DeviceHolds(step) => device_holds(world, step),
        Step::DevicePuts(step) => device_puts(world, step),
        Step::Decoder(step) => decoder(world, step),
        Step::Window(step) => window(world, step),
        Step::MachineDone(step) => machine_done(world, step),
        Step::Hidden(step) => hidden(world, step),
        Step::Acpi(step) => acpi::table(world, step),
        Step::MachineReset(step) => life::machine_reset(world, step),
        Step::VfioReset(step) => life::vfio_reset(world, step),
        Step::Programmed(step) => life::programmed(world, step),
        Step::Run(step) => life::run(world, step),
        Step::Unplaced(step) => life::unplaced(world, step),
        Step::Kill(step) => accident::kill(world, step),
        Step::Freeze(step) => accident::freeze(world, step),
        Step::Thaw(step) => accident::thaw(world, step),
        Step::Restart(step) => accident::restart(world, step),
        Step::Lost(step) => accident::lost(world, step),
        Step::Plug(step) => plug::plug(world, step),
        Step::Unplug(step) => plug::unplug(world, step),
        Step::Copy(step) => dma::copy(world, step),
        Step::Decided(step) => dma::decided(world, step),
        Step::Handler(step) => interrupts::handler(world, step),
        Step::DmaCalls(step) => dma::calls(world, step),
        Step::Interrupts(step) => interrupts::interrupts(world, step),
        Step::Signalled(step) => interrupts::signalled(world, step),
        Step::UnmaskPin(step) => interrupts::unmask_pin(world, step),
        other => Err(Trouble::Kind { kind: other.kind() }),
    };
    match (outcome, world.running.lost()) {
        // A guest reads ones from a device that is gone; that is the story to tell.
        (_, Some(lost)) => Verdict::Failed(format!("the device is lost: {lost}")),
        (Ok(verdict), None) => verdict,
        (Err(trouble), None) => Verdict::Failed(trouble.to_string()),
    }
}

pub(super) fn judge(
    holds: bool,
    seen: String,
    expected: impl FnOnce() -> String,
) -> Result<Verdict, Trouble> {
    Ok(judged(holds, seen, expected))
}

/// The width, which loading the scenario has checked.
fn width(bytes: u64) -> Width {
    Width::of(bytes).unwrap_or(Width::Byte)
}

pub(super) fn resolve(world: &World, place: &Place) -> Result<u64, Trouble> {
    Ok(place.resolve(world.running.plan())?)
}

/// The device's number, and its memory region.
pub(super) fn device(world: &World, name: &str) -> Result<(usize, u32), Trouble> {
    let mut devices = world.running.plan().devices.iter().enumerate();
    let found = devices.find(|(index, device)| device.name == name && world.running.is_present(*index));
    let found = found.map(|(index, device)| (index, device.window.region));
    found.ok_or_else(|| Trouble::Device { name: name.to_owned() })
}

fn load(world: &mut World, step: &scenario::Load) -> Result<Verdict, Trouble> {
    let width = width(step.width);
    let mask = step.mask.map_or(u64::MAX, |mask| mask.0) & width.mask();
    let value = world.running.load(Gpa::new(resolve(world, &step.at)?), width)? & mask;
    let seen = format!("{}: {} bytes read {value:#x}", step.at, step.width);
    match (&step.is, &step.is_not) {
        (Some(is), _) => {
            let expected = resolve(world, is)?;
            judge(value == expected, seen, || format!("{expected:#x}"))
        }
        (None, Some(is_not)) => {
            let unwanted = resolve(world, is_not)?;
            judge(value != unwanted, seen, || format!("anything but {unwanted:#x}"))
        }
        (None, None) => Ok(Verdict::Passed(seen)),
    }
}

fn store(world: &mut World, step: &scenario::Store) -> Result<Verdict, Trouble> {
    let at = Gpa::new(resolve(world, &step.at)?);
    world.running.store(at, width(step.width), step.value.0)?;
    Ok(Verdict::Passed(format!("{}: {} bytes written {:#x}", step.at, step.width, step.value.0)))
}

fn device_holds(world: &mut World, step: &scenario::DeviceHolds) -> Result<Verdict, Trouble> {
    let (index, region) = device(world, &step.device)?;
    let mut bytes = [0; 8];
    let (wanted, _) = bytes.split_at_mut(width(step.width).bytes() as usize);
    world.running.device_read(index, region, step.offset.0, wanted)?;
    let value = u64::from_le_bytes(bytes);
    let seen = format!("{} holds {value:#x} at {:#x} of its memory", step.device, step.offset.0);
    judge(value == step.is.0, seen, || format!("{:#x}", step.is.0))
}

fn device_puts(world: &mut World, step: &scenario::DevicePuts) -> Result<Verdict, Trouble> {
    let (index, region) = device(world, &step.device)?;
    let (bytes, length) = width(step.width).to_bytes(step.value.0);
    world.running.device_write(index, region, step.offset.0, bytes.get(..length).unwrap_or_default())?;
    Ok(Verdict::Passed(format!(
        "{} puts {:#x} at {:#x} of its memory",
        step.device, step.value.0, step.offset.0
    )))
}

fn decoder(world: &mut World, step: &scenario::Decoder) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let plan = world.running.plan();
    let start = plan
        .devices
        .get(index)
        .and_then(|device| device.overlay.span.start().checked_add(device.programme.decoder));
    let start = start.ok_or_else(|| Trouble::Device { name: step.device.clone() })?;
    let mut register = |offset: u64| -> Result<u32, Trouble> {
        // The registers lie in the overlay, far below the end of the address space.
        let at = Gpa::new(start.get().saturating_add(offset));
        Ok(world.running.load(at, Width::Dword)? as u32)
    };
    let base = hdm::join(register(hdm::BASE_LOW)?, register(hdm::BASE_HIGH)?);
    let size = hdm::join(register(hdm::SIZE_LOW)?, register(hdm::SIZE_HIGH)?);
    let control = hdm::Control::new(register(hdm::CONTROL)?);
    let expected_base = step.base.as_ref().map(|base| resolve(world, base)).transpose()?;
    let mut wrong = Vec::new();
    let mut want = |holds: bool, text: String| wrong.extend((!holds).then_some(text));
    if let Some(expected) = expected_base {
        want(base == expected, format!("base {expected:#x}"));
    }
    if let Some(expected) = step.size {
        want(size == expected.0, format!("size {:#x}", expected.0));
    }
    if let Some(expected) = step.committed {
        want(control.committed() == expected, format!("committed = {expected}"));
    }
    if let Some(expected) = step.locked {
        want(control.lock_on_commit() == expected, format!("locked = {expected}"));
    }
    let seen = format!("{}: base {base:#x}, size {size:#x}, {control:?}", step.device);
    judge(wrong.is_empty(), seen, || wrong.join(" and "))
}

fn window(world: &mut World, step: &scenario::Window) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let window = world.running.plan().devices.get(index).map(|device| device.window.span);
    let window = window.ok_or_else(|| Trouble::Device { name: step.device.clone() })?;
    let (start, size) = (window.start().get(), window.size());
    let seen = format!("{}: window of {size:#x} bytes at {start:#x}", step.device);
    let holds = start == step.start.0 && size == step.size.0;
    judge(holds, seen, || format!("{:#x} bytes at {:#x}", step.size.0, step.start.0))
}

fn machine_done(world: &mut World, step: &scenario::MachineDone) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let accesses = world.machine_done.get(index).map(Vec::as_slice).unwrap_or_default();
    let written = written_lines(accesses, programme(world, &step.device)?);
    let seen = format!("{}: machine-done writes {}", step.device, listed(&written));
    judge(written == step.writes, seen, || listed(&step.writes))
}

/// What is written to a device's decoder, and where that is.
pub(super) fn programme(world: &World, name: &str) -> Result<Programme, Trouble> {
    let planned = world.running.plan().devices.iter().find(|device| device.name == name);
    planned.map(|device| device.programme).ok_or_else(|| Trouble::Device { name: name.to_owned() })
}

/// The writes among these accesses as lines.
pub(super) fn written_lines(accesses: &[Access], programme: Programme) -> Vec<String> {
    let writes = accesses.iter().filter(|access| access.is_write);
    writes.map(|access| written_line(access, programme.region, programme.decoder)).collect()
}

pub(super) fn listed(lines: &[String]) -> String {
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("; ") }
}

/// A write as a line: the register by name where it is one of the decoder's.
fn written_line(access: &Access, region: u32, decoder: u64) -> String {
    let inside = access.offset.checked_sub(decoder).filter(|_| access.region == region);
    let register = inside.and_then(|offset| hdm::DECODER.iter().find(|register| register.offset == offset));
    match register {
        Some(register) => format!("{} = {:#x}", register.name, access.value),
        None => format!("region {} at {:#x} = {:#x}", access.region, access.offset, access.value),
    }
}

/// Searches a range, qword by qword, for an address: as one qword, or as two dwords of which either comes first,
/// as registers have them. The low dword alone gives it away, too, unless it is 0.
fn hidden(world: &mut World, step: &scenario::Hidden) -> Result<Verdict, Trouble> {
    let start = resolve(world, &step.from)?;
    let (low, high) = (step.address.0 as u32, (step.address.0 >> 32) as u32);
    let mut before: Option<u32> = None;
    let mut found = None;
    for offset in (0..step.size.0).step_by(8) {
        let at = Gpa::new(start.saturating_add(offset));
        let value = world.running.load(at, Width::Qword)?;
        for (index, dword) in [(0, value as u32), (4, (value >> 32) as u32)] {
            let pair = before == Some(low) && dword == high || before == Some(high) && dword == low;
            if pair || dword == low && low != 0 {
                found.get_or_insert(offset + index);
            }
            before = Some(dword);
        }
    }
    let size = step.size.0;
    match found {
        None => Ok(Verdict::Passed(format!("{}: {size:#x} bytes without {:#x}", step.from, step.address.0))),
        Some(offset) => Ok(Verdict::Differs {
            seen: format!("{}: {:#x} shows at +{offset:#x}", step.from, step.address.0),
            expected: format!("nowhere in {size:#x} bytes"),
        }),
    }
}
