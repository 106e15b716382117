//! How a device answers: reads of every width, and writes that change nothing for long.
//!
//! What is written is what was read, or goes back to it at once, and is the kernel's own: the interrupt line, which is
//! software's alone; the BARs, which the kernel keeps; the decoders' picture, which never reaches the hardware.

use cxl_spec::pci::header;
use vfio_abi::info::region;
use vmm_core::backend::BackendError;
use vmm_core::backend::Failure;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::cxl::Cxl;

use super::facts::Facts;
use super::facts::SCRATCH;
use super::facts::first_decoder;

/// Memory Space in the command register.
const MEMORY_SPACE: u16 = 1 << 1;

/// Adds what comes of the checks.
pub(super) fn answers(device: &Shared, inventory: &Inventory, facts: &mut Facts) -> Result<(), BackendError> {
    for width in [1, 2, 4, 8] {
        let said = read(device, region::CONFIG, 0, width)?;
        facts.add(format!("read of {width} bytes of configuration space at 0"), said);
    }
    facts.add("read behind configuration space", read(device, region::CONFIG, 0x1000, 4)?);
    scratch(device, facts)?;
    sizing(device, inventory, facts)?;
    let Some(cxl) = &inventory.cxl else { return Ok(()) };
    // Where the registers are the hardware's they answer while Memory Space is on.
    let mut command = [0; 2];
    device.lock().read(region::CONFIG, header::COMMAND, &mut command)?;
    let on = (u16::from_le_bytes(command) | MEMORY_SPACE).to_le_bytes();
    device.lock().write(region::CONFIG, header::COMMAND, &on)?;
    let outcome = registers(device, inventory, cxl, facts);
    device.lock().write(region::CONFIG, header::COMMAND, &command)?;
    outcome
}

/// Reads and writes of the component registers.
fn registers(
    device: &Shared,
    inventory: &Inventory,
    cxl: &Cxl,
    facts: &mut Facts,
) -> Result<(), BackendError> {
    let index = cxl.description.registers;
    let size = inventory.region(index).map_or(0, |found| found.size);
    let first = first_decoder(cxl);
    for at in (cxl.hdm..first).step_by(4) {
        facts.add(
            format!("HDM decoder capability + {:#x}", at.saturating_sub(cxl.hdm)),
            read(device, index, at, 4)?,
        );
    }
    for (at, width) in [(first, 1), (first, 2), (first, 8), (first.saturating_add(2), 4), (size, 4)] {
        let place =
            if at == size { "their end".to_owned() } else { format!("decoder 0 + {:#x}", at - first) };
        let said = read(device, index, at, width)?;
        facts.add(format!("read of {width} bytes of component registers at {place}"), said);
    }
    for (name, offset) in
        [("base low", 0), ("base high", 4), ("size low", 8), ("size high", 12), ("control", 16)]
    {
        let said = written_back(device, index, first.saturating_add(offset))?;
        facts.add(format!("decoder 0 {name}, written as it was read"), said);
    }
    Ok(())
}

/// The interrupt line takes any value.
fn scratch(device: &Shared, facts: &mut Facts) -> Result<(), BackendError> {
    let mut before = [0];
    device.lock().read(region::CONFIG, SCRATCH, &mut before)?;
    device.lock().write(region::CONFIG, SCRATCH, &[0x5a])?;
    let said = read(device, region::CONFIG, SCRATCH, 1);
    device.lock().write(region::CONFIG, SCRATCH, &before)?;
    facts.add("interrupt line, written as 0x5a", said?);
    Ok(())
}

/// A BAR that is written with ones says how long it is. Memory Space is off meanwhile, as firmware does it.
fn sizing(device: &Shared, inventory: &Inventory, facts: &mut Facts) -> Result<(), BackendError> {
    for bar in &inventory.config.bars {
        let at = header::bar_offset(bar.index);
        let mut before = [0; 4];
        device.lock().read(region::CONFIG, at, &mut before)?;
        device.lock().write(region::CONFIG, at, &[0xff; 4])?;
        let said = read(device, region::CONFIG, at, 4);
        device.lock().write(region::CONFIG, at, &before)?;
        facts.add(format!("bar{}, written with ones", bar.index), said?);
    }
    Ok(())
}

/// A dword that is written as it was read, and what is read then.
fn written_back(device: &Shared, index: u32, at: u64) -> Result<String, BackendError> {
    let before = device.read_dword(index, at)?;
    let written = device.write_dword(index, at, before);
    let wrote = told(written.map(|()| "taken".to_owned()))?;
    let now = read(device, index, at, 4)?;
    let kept =
        if now == format!("{before:#x}") { "kept".to_owned() } else { format!("{before:#x} becomes {now}") };
    Ok(format!("{wrote}, {kept}"))
}

/// What a read gives, or how it is refused.
fn read(device: &Shared, index: u32, at: u64, width: usize) -> Result<String, BackendError> {
    let mut bytes = [0; 8];
    let (wanted, _) = bytes.split_at_mut(width.min(8));
    let outcome = device.lock().read(index, at, wanted);
    told(outcome.map(|()| format!("{:#x}", u64::from_le_bytes(bytes))))
}

/// A refusal is an answer; a device that is gone gives none.
fn told(outcome: Result<String, BackendError>) -> Result<String, BackendError> {
    match outcome {
        Err(error) if error.is_lost() => Err(error),
        Err(BackendError { failure: Failure::Short { done, .. }, .. }) => Ok(format!("{done} bytes")),
        Err(error) => Ok(error.failure.errno().map_or_else(String::new, |errno| errno.to_string())),
        Ok(said) => Ok(said),
    }
}
