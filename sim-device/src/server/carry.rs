//! Carrying out what the device's copy engine asks for: first all of the source is read, then all of the destination
//! is written.
//!
//! ```text
//!                     ┌── device memory ─────────────────────────────┐
//!  Reading, Writing ──┼── mapped with a file: read or write the file ┼──▶ next piece, next half, or the end
//!                     └── mapped without: DMA_READ, DMA_WRITE ── wait ┘
//! ```
//!
//! Both sides are looked up before anything is moved, and each piece again when its turn comes: a client may unmap
//! while we wait for it. So of a copy that cannot be, nothing is seen; of one that fails while its data is written,
//! what was written until then.
//!
//! A file is read and written, never mapped here: one that was made shorter is a failed copy and no signal. A file
//! whose system is slow to answer holds the server for so long.

use std::os::fd::OwnedFd;

use cxl_spec::address::Dpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::frame;
use vfio_abi::frame::Command;
use vfio_abi::frame::Header;
use vfio_abi::reply::Reply;
use vfio_abi::request::DmaAccess;
use vfio_abi::request::DmaFlags;
use vfio_abi::request::Request;

use super::dma::DmaTable;
use crate::kernel::Kernel;
use crate::silicon::engine::CopyError;
use crate::silicon::engine::Side;
use crate::silicon::engine::Transfer;

/// The copy that is under way, if one is.
#[derive(Debug)]
pub(super) struct Carrier {
    job: Option<Job>,
    /// What was read of the source. Kept, so that not every copy allocates.
    data: Vec<u8>,
    /// Bytes of data in one message, as both sides agreed.
    limit: usize,
    last_id: u16,
}

#[derive(Debug)]
struct Job {
    transfer: Transfer,
    half: Half,
    /// How many bytes of this half are done.
    done: usize,
    /// What the client owes an answer to.
    asked: Option<Asked>,
    /// What went wrong outside of a step.
    fault: Option<CopyError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Reading,
    Writing,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    id: u16,
    command: Command,
    access: DmaAccess,
}

/// How far a copy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is none, or it has ended.
    Idle,
    /// A request to the client is ready to be sent.
    Asking,
    /// The client's answer is missing.
    Waiting,
}

enum Step {
    Moved,
    Asked,
    Over,
}

impl Carrier {
    /// No copy is under way.
    pub(super) fn new() -> Self {
        Self { job: None, data: Vec::new(), limit: 1, last_id: 0 }
    }

    /// One message may carry so many bytes of data, and at least one.
    pub(super) fn agree(&mut self, limit: u32) {
        self.limit = (limit as usize).max(1);
    }

    /// Begins a copy. What is wrong with it before it begins, the next [`carry_on`](Self::carry_on) tells the device.
    pub(super) fn begin(&mut self, transfer: Transfer, table: &DmaTable) {
        let Transfer { source, destination } = transfer;
        let fault =
            check(source, DmaFlags::READ, table).and(check(destination, DmaFlags::WRITE, table)).err();
        self.data.clear();
        self.data.resize(usize::try_from(source.size()).unwrap_or(0), 0);
        self.job = Some(Job { transfer, half: Half::Reading, done: 0, asked: None, fault });
    }

    /// Carries the copy on until it has ended, which the device is told, or the client must be asked. The request is
    /// then in `out`.
    pub(super) fn carry_on(&mut self, kernel: &mut Kernel, table: &DmaTable, out: &mut Vec<u8>) -> Progress {
        // A reset has made the engine forget its copy, and then so do we.
        let Some(mut job) = self.job.take().filter(|_| kernel.silicon().engine_is_busy()) else {
            return Progress::Idle;
        };
        if job.asked.is_some() {
            self.job = Some(job);
            return Progress::Waiting;
        }
        let outcome = loop {
            match self.step(&mut job, kernel, table, out) {
                Ok(Step::Moved) => {}
                Ok(Step::Over) => break Ok(()),
                Ok(Step::Asked) => {
                    self.job = Some(job);
                    return Progress::Asking;
                }
                Err(error) => break Err(error),
            }
        };
        kernel.transfer_ended(outcome);
        Progress::Idle
    }

    /// The next piece of a copy.
    fn step(
        &mut self,
        job: &mut Job,
        kernel: &mut Kernel,
        table: &DmaTable,
        out: &mut Vec<u8>,
    ) -> Result<Step, CopyError> {
        if let Some(error) = job.fault {
            return Err(error);
        }
        if job.done >= self.data.len() {
            if job.half == Half::Writing {
                return Ok(Step::Over);
            }
            (job.half, job.done) = (Half::Writing, 0);
        }
        match job.side() {
            Side::Device(span) => {
                self.move_inside(job.half, kernel, span)?;
                job.done = self.data.len();
                Ok(Step::Moved)
            }
            Side::Host(_) if !kernel.silicon().config().command().bus_master() => {
                Err(CopyError::BusMasterOff)
            }
            Side::Host(span) => self.move_outside(job, span, table, out),
        }
    }

    fn move_inside(&mut self, half: Half, kernel: &mut Kernel, span: Span<Dpa>) -> Result<(), CopyError> {
        match half {
            Half::Writing => kernel.device_write(span.start(), &self.data),
            Half::Reading if kernel.silicon().device_read(span, &mut self.data) => {}
            Half::Reading => return Err(CopyError::Poisoned),
        }
        Ok(())
    }

    /// Moves what one mapping holds of a side, or asks the client for some of it.
    fn move_outside(
        &mut self,
        job: &mut Job,
        side: Span<Iova>,
        table: &DmaTable,
        out: &mut Vec<u8>,
    ) -> Result<Step, CopyError> {
        let at = side.start().checked_add(job.done as u64).ok_or(CopyError::BadRange)?;
        let run = table.run(at, job.need())?;
        let left = self.data.get_mut(job.done..).unwrap_or_default();
        let count = usize::try_from(run.length).map_or(left.len(), |length| length.min(left.len()));
        let Some((file, offset)) = run.file else {
            let count = count.min(self.limit);
            let data = left.get(..count).unwrap_or_default();
            self.last_id = self.last_id.wrapping_add(1);
            job.asked = Some(ask(job.half, self.last_id, at, data, out));
            return Ok(Step::Asked);
        };
        let piece = left.get_mut(..count).unwrap_or_default();
        match job.half {
            Half::Reading => read_file(file, offset, piece)?,
            Half::Writing => write_file(file, offset, piece)?,
        }
        job.done = job.done.saturating_add(count);
        Ok(Step::Moved)
    }

    /// Takes a reply of the client's. False if nothing like it was asked. A payload that was too long to be taken
    /// is none.
    pub(super) fn answered(&mut self, header: &Header, payload: Option<&[u8]>) -> bool {
        let Some(job) = &mut self.job else { return false };
        let ours =
            |asked: &mut Asked| (asked.id, asked.command.number()) == (header.id.get(), header.command.get());
        let Some(asked) = job.asked.take_if(ours) else { return false };
        let rest = self.data.get_mut(job.done..).unwrap_or_default();
        let taken =
            payload.filter(|_| header.errno().is_none()).and_then(|payload| asked.take(payload, rest));
        match taken {
            Some(count) => job.done = job.done.saturating_add(count),
            None => job.fault = Some(CopyError::HostFailed),
        }
        true
    }

    /// The client has not answered in time, if it was asked.
    pub(super) fn give_up(&mut self) -> bool {
        let Some(job) = self.job.as_mut().filter(|job| job.asked.is_some()) else { return false };
        job.asked = None;
        job.fault = Some(CopyError::Unanswered);
        true
    }
}

impl Job {
    /// The side that is at work.
    fn side(&self) -> Side {
        match self.half {
            Half::Reading => self.transfer.source,
            Half::Writing => self.transfer.destination,
        }
    }

    /// What the client must have allowed.
    fn need(&self) -> DmaFlags {
        match self.half {
            Half::Reading => DmaFlags::READ,
            Half::Writing => DmaFlags::WRITE,
        }
    }
}

impl Asked {
    /// Takes the answer: how many bytes it moved, if it is exactly the one to this.
    fn take(&self, payload: &[u8], into: &mut [u8]) -> Option<usize> {
        let count = usize::try_from(self.access.count.get()).ok()?;
        let data = match Reply::parse(self.command, payload).ok()? {
            Reply::DmaRead(access, data) if access == self.access => data,
            Reply::DmaWrite(access) if access == self.access => &[],
            _ => return None,
        };
        if payload.len() != size_of::<DmaAccess>().checked_add(data.len())? {
            return None;
        }
        if self.command == Command::DmaRead {
            into.get_mut(..count)?.copy_from_slice(data);
        }
        Some(count)
    }
}

/// Whether the client has mapped all of a side so that the device may do what it `need`s.
fn check(side: Side, need: DmaFlags, table: &DmaTable) -> Result<(), CopyError> {
    let Side::Host(span) = side else { return Ok(()) };
    let mut at = span.start();
    while at < span.end() {
        let length = table.run(at, need)?.length;
        at = at.checked_add(length).ok_or(CopyError::BadRange)?;
    }
    Ok(())
}

/// Writes a request for `data`, which is what to write or as long as what to read, as a frame.
fn ask(half: Half, id: u16, at: Iova, data: &[u8], out: &mut Vec<u8>) -> Asked {
    let access = DmaAccess { address: at.get().into(), count: (data.len() as u64).into() };
    let request = match half {
        Half::Reading => Request::DmaRead(access),
        Half::Writing => Request::DmaWrite(access, data),
    };
    frame::encode_request(out, id, &request);
    Asked { id, command: request.command(), access }
}

fn read_file(file: &OwnedFd, offset: u64, into: &mut [u8]) -> Result<(), CopyError> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        done = done.saturating_add(moved(rustix::io::pread(file, rest, at))?);
    }
    Ok(())
}

fn write_file(file: &OwnedFd, offset: u64, from: &[u8]) -> Result<(), CopyError> {
    let mut done = 0;
    while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        done = done.saturating_add(moved(rustix::io::pwrite(file, rest, at))?);
    }
    Ok(())
}

/// How many bytes a system call moved. None at all is the end of a file that was longer when it was mapped.
fn moved(result: rustix::io::Result<usize>) -> Result<usize, CopyError> {
    match result {
        Ok(0) => Err(CopyError::HostFailed),
        Ok(count) => Ok(count),
        Err(rustix::io::Errno::INTR) => Ok(0),
        Err(_) => Err(CopyError::HostFailed),
    }
}

#[cfg(test)]
mod tests;
