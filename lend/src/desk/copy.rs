//! Carrying out a copy of the device's engine: all of both sides is looked up, then all of the source is read, then
//! all of the destination is written. The caller waits for it, so that it is over when the doorbell's write is.

use std::ops::Range;
use std::os::fd::OwnedFd;

use sim_device::kernel::Kernel;
use sim_device::silicon::engine::CopyError;
use sim_device::silicon::engine::Side;
use sim_device::silicon::engine::Transfer;
use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;

use super::space::Behind;
use super::space::Space;
use crate::caller::Caller;

/// Carries a copy out. Without a space nothing of the host is reached.
pub(super) fn carry_out(
    kernel: &mut Kernel,
    transfer: Transfer,
    space: Option<&Space>,
    caller: &dyn Caller,
) -> Result<(), CopyError> {
    let Transfer { source, destination } = transfer;
    let from = pieces(source, DmaFlags::READ, space)?;
    let to = pieces(destination, DmaFlags::WRITE, space)?;
    let mut data = vec![0; usize::try_from(source.size()).unwrap_or(0)];
    match source {
        Side::Device(span) if kernel.silicon().device_read(span, &mut data) => {}
        Side::Device(_) => return Err(CopyError::Poisoned),
        Side::Host(_) => {
            for (place, behind) in from {
                read(caller, behind, data.get_mut(place).unwrap_or_default())?;
            }
        }
    }
    match destination {
        Side::Device(span) => kernel.device_write(span.start(), &data),
        Side::Host(_) => {
            for (place, behind) in to {
                write(caller, behind, data.get(place).unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

/// What the parts of a side of the host are, with their place in the data; nothing for the device's side.
fn pieces(
    side: Side,
    need: DmaFlags,
    space: Option<&Space>,
) -> Result<Vec<(Range<usize>, Behind)>, CopyError> {
    let Side::Host(span) = side else { return Ok(Vec::new()) };
    let space = space.ok_or(CopyError::Unmapped)?;
    let (mut pieces, mut done) = (Vec::new(), 0);
    while done < span.size() {
        let at = span.start().get().checked_add(done).ok_or(CopyError::BadRange)?;
        let run = space.run(at, need)?;
        let end = done.saturating_add(run.length).min(span.size());
        // The engine moves far less than what a length can say.
        pieces.push((done as usize..end as usize, run.behind));
        done = end;
    }
    Ok(pieces)
}

fn read(caller: &dyn Caller, behind: Behind, into: &mut [u8]) -> Result<(), CopyError> {
    let done = match behind {
        Behind::Process { process, at: Some(at) } => caller.read_of(process, at, into),
        Behind::Process { at: None, .. } => Err(Errno::EFAULT),
        Behind::File(file, offset) => read_file(&file, offset, into),
    };
    done.or(Err(CopyError::HostFailed))
}

fn write(caller: &dyn Caller, behind: Behind, data: &[u8]) -> Result<(), CopyError> {
    let done = match behind {
        Behind::Process { process, at: Some(at) } => caller.write_of(process, at, data),
        Behind::Process { at: None, .. } => Err(Errno::EFAULT),
        Behind::File(file, offset) => write_file(&file, offset, data),
    };
    done.or(Err(CopyError::HostFailed))
}

fn read_file(file: &OwnedFd, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let count = rustix::io::pread(file, rest, offset.saturating_add(done as u64));
        done = done.saturating_add(count.ok().filter(|count| *count > 0).ok_or(Errno::EIO)?);
    }
    Ok(())
}

fn write_file(file: &OwnedFd, offset: u64, data: &[u8]) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        let count = rustix::io::pwrite(file, rest, offset.saturating_add(done as u64));
        done = done.saturating_add(count.ok().filter(|count| *count > 0).ok_or(Errno::EIO)?);
    }
    Ok(())
}
