//! Carrying out what a user does about memory that the device reaches, and about its interrupts.

use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use cxl_spec::access::Width;
use sim_device::profile::quantity::Quantity;
use sim_device::silicon::engine;
use vfio_abi::info::irq;
use vfio_abi::info::region;
use vmm_core::backend::Backend;
use vmm_core::backend::BackendError;
use vmm_core::backend::event::Event;
use vmm_core::backend::irqs::Action;
use vmm_core::backend::irqs::IrqChange;
use vmm_core::backend::irqs::Vectors;

use super::Verdict;
use super::judged;
use crate::opened::CallError;
use crate::opened::Device;
use crate::scenario::dma::ENDS;
use crate::scenario::reached as scenario;

/// How often a vector that is to be signalled is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// The user looks at memory, or stores there.
pub(super) fn memory(device: &Device, step: &scenario::Memory) -> Result<Verdict, CallError> {
    let at = step.address.0;
    let what = format!("{}: memory at {at:#x}", device.name());
    let width = Width::of(step.width).unwrap_or(Width::Byte);
    let Some((memory, offset)) = device.reached(at) else {
        return Ok(Verdict::Failed(format!("{what}: the device was not let reach it")));
    };
    if let Some(value) = step.store {
        let stored = memory.store(offset, width, value.0).is_some();
        return Ok(judged(stored, format!("{what}: stored {:#x}", value.0), || "memory".to_owned()));
    }
    let (seen, is) = (memory.load(offset, width), step.is.map(|is| is.0));
    Ok(judged(seen.is_some() && seen == is, format!("{what}: holds {seen:x?}"), || format!("{is:x?}")))
}

/// The user writes the registers of the engine, and waits until it is not busy.
pub(super) fn copy(device: &mut Device, step: &scenario::Copy) -> Result<Verdict, CallError> {
    let name = device.name().to_owned();
    let client = device.client()?;
    let control = engine::Control::new(0)
        .with_doorbell(true)
        .signalling(step.vector)
        .with_source_is_device(step.from_memory.is_some())
        .with_destination_is_device(step.to_memory.is_some());
    let address = |host: Option<Quantity>, memory: Option<Quantity>| host.or(memory).map_or(0, |at| at.0);
    write(client, engine::SOURCE, &address(step.from, step.from_memory).to_le_bytes())?;
    write(client, engine::DESTINATION, &address(step.to, step.to_memory).to_le_bytes())?;
    write(client, engine::LENGTH, &step.length.to_le_bytes())?;
    write(client, engine::CONTROL, &control.raw().to_le_bytes())?;
    // The device ends every copy by itself, also one that nobody answers.
    let status = loop {
        let mut bytes = [0; 4];
        client.read(region::BAR0, engine::OFFSET.saturating_add(engine::STATUS), &mut bytes)?;
        let status = engine::Status::new(u32::from_le_bytes(bytes));
        // What is not there is never busy: it reads ones.
        if !status.busy() || status.raw() == u32::MAX {
            break status.raw();
        }
    };
    let ends = ENDS.iter().find(|(_, bit)| status == 1 << bit).map(|(name, _)| *name);
    let seen = format!("{name}: copy of {} bytes ends with status {status:#x}", step.length);
    let seen = ends.map_or(seen.clone(), |ends| format!("{seen}, {ends}"));
    Ok(judged(ends == Some(step.ends.as_str()), seen, || step.ends.clone()))
}

fn write(client: &mut dyn Backend, register: u64, bytes: &[u8]) -> Result<(), BackendError> {
    client.write(region::BAR0, engine::OFFSET.saturating_add(register), bytes)
}

/// The user attaches events, or takes them back.
pub(super) fn vectors(device: &mut Device, step: &scenario::Vectors) -> Result<Verdict, CallError> {
    let what = format!("{}: events attached to {} vectors", device.name(), step.count);
    let events: Result<Vec<_>, _> = (0..step.count).map(|_| Event::new()).collect();
    let events = match events {
        Ok(events) => events,
        Err(error) => return Ok(Verdict::Failed(format!("{what}: {error}"))),
    };
    let files: Vec<_> = events.iter().map(|event| Some(event.as_fd())).collect();
    let change = match files.is_empty() {
        true => IrqChange { index: irq::MSIX, start: 0, action: Action::Trigger, vectors: Vectors::All(0) },
        false => IrqChange::attach(irq::MSIX, 0, &files),
    };
    device.client()?.set_irqs(&change)?;
    drop(files);
    device.events = events;
    Ok(Verdict::Passed(what))
}

/// A vector was signalled so often: that is waited for, as nobody says when an interrupt has arrived.
pub(super) fn vector(device: &Device, step: &scenario::Vector) -> Verdict {
    let what = format!("{}: vector {}", device.name(), step.number);
    let Some(event) = device.events.get(usize::from(step.number)) else {
        return Verdict::Failed(format!("{what}: has no event"));
    };
    let start = Instant::now();
    let mut count = event.take();
    while count < step.count && start.elapsed() < device.timeout() {
        std::thread::sleep(GLANCE);
        count = count.saturating_add(event.take());
    }
    let times = |count: u64| format!("{count} times");
    judged(count == step.count, format!("{what} was signalled {}", times(count)), || times(step.count))
}
