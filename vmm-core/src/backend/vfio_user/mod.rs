//! A device in another process, over a vfio-user socket.
//!
//! One request is on its way at a time; it costs one send and one receive. A server can do wrong in any way: a
//! wait ends with the time-out, nothing is allocated because the server says so, and once the stream cannot be
//! trusted any more the connection is closed for good ([`Failure::Lost`]): what a late answer would answer, nobody
//! knows. What the device was let reach is remembered, for the connection that may take this one's place.
//!
//! A device may ask, too: it reads and writes memory that it was let reach. It is answered while we wait for an
//! answer of its own, and when somebody attends to it, which a machine does before and after each order of its
//! guest. Nobody answers while a guest runs on without an exit and takes no order.

mod irqs;
mod link;
mod posted;
mod ram;
mod socket;
pub mod wire;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use link::Link;
use link::Wrong;
use ram::Ram;
use socket::Socket;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionInfo;
use vfio_abi::io_fds;
use vfio_abi::reply::Reply;
use vfio_abi::request::DmaFlags;
use vfio_abi::request::DmaMap;
use vfio_abi::request::DmaUnmap;
use vfio_abi::request::RegionAccess;
use vfio_abi::request::Request;
use vfio_abi::request::VersionNumbers;
use vfio_abi::socket::MAX_FILES;
use vfio_abi::version;
use vfio_abi::version::Capabilities;
use wire::Wire;

use super::Backend;
use super::BackendError;
use super::Call;
use super::DmaMemory;
use super::Failure;
use super::Given;
use super::irqs::IoEvent;
use super::irqs::IrqChange;

/// How long a device may take to answer, unless the user says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of data that we take in one message.
const MAX_DATA: u32 = version::DEFAULT_MAX_DATA_XFER_SIZE;

/// Bytes of a message behind its header: the largest structure before data is far below 64.
const MAX_PAYLOAD: usize = MAX_DATA as usize + 64;

/// The most room that is offered for an info structure and its chain. A server that wants more gets no more.
const MAX_INFO: u32 = 1 << 16;

/// The room that is offered for the events of a region. Where more is needed, writes stay writes.
const ROOM_FOR_EVENTS: u32 = 1 << 10;

/// A connection to a vfio-user server.
#[derive(Debug)]
pub struct VfioUser {
    name: String,
    /// The connection, or at which call the server was given up, and why.
    link: Result<Link, BackendError>,
    /// What the device was let reach.
    ram: Ram,
    /// Bytes of data in one message, as both sides agreed.
    max_data: usize,
    /// Files that the server takes with one message.
    max_files: usize,
    /// Writes to BARs are posted.
    posts: bool,
}

impl VfioUser {
    /// Connects to the server at `path` and agrees on a version.
    ///
    /// # Errors
    /// If nobody listens, or does not answer in time, or speaks another version.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, BackendError> {
        let name = format!("vfio-user:{}", path.display());
        let lost = |reason| BackendError {
            device: name.clone(),
            call: Call::Connect,
            failure: Failure::Lost(reason),
        };
        let socket = Socket::connect(path, timeout).map_err(lost)?;
        Self::over(name, Box::new(socket))
    }

    /// Agrees on a version with the server at the end of a wire. `name` is how the user names the device.
    ///
    /// # Errors
    /// If the server does not answer, or speaks another version.
    pub fn over(name: String, wire: Box<dyn Wire>) -> Result<Self, BackendError> {
        let mut client = Self {
            name,
            link: Ok(Link::new(wire)),
            ram: Ram::default(),
            max_data: MAX_DATA as usize,
            max_files: 1,
            posts: false,
        };
        client.negotiate()?;
        Ok(client)
    }

    fn negotiate(&mut self) -> Result<(), BackendError> {
        let ours = Capabilities {
            max_msg_fds: Some(MAX_FILES as u32),
            max_data_xfer_size: Some(MAX_DATA),
            ..Capabilities::default()
        };
        let numbers = VersionNumbers { major: version::MAJOR.into(), minor: version::MINOR.into() };
        let text = ours.encode();
        let agreed =
            self.call(Call::Version, &Request::Version(numbers, &text), &[], |reply, _| match reply {
                Reply::Version(spoken, text) => Ok((spoken, Capabilities::parse(text))),
                _ => Err(Wrong::Reply),
            })?;
        let (spoken, theirs) = agreed;
        let theirs = match theirs {
            Ok(theirs) if spoken.major.get() == version::MAJOR && spoken.minor.get() <= version::MINOR => {
                theirs
            }
            Ok(_) => {
                let (major, minor) = (spoken.major.get(), spoken.minor.get());
                return Err(self
                    .give_up(Call::Version, format!("the server speaks version {major}.{minor}, not 0.1")));
            }
            Err(malformed) => return Err(self.give_up(Call::Version, malformed.to_string())),
        };
        self.max_files = (theirs.msg_fds() as usize).clamp(1, MAX_FILES);
        self.max_data = theirs.data_xfer_size().min(MAX_DATA) as usize;
        Ok(())
    }

    /// Asks, waits for the answer and hands it to `done`.
    fn call<T>(
        &mut self,
        call: Call,
        request: &Request<'_>,
        files: &[BorrowedFd<'_>],
        done: impl FnOnce(Reply<'_>, Vec<OwnedFd>) -> Result<T, Wrong>,
    ) -> Result<T, BackendError> {
        let link = match &mut self.link {
            Ok(link) => link,
            Err(lost) => {
                let reason = lost_earlier(lost);
                return Err(self.error(call, Failure::Lost(reason)));
            }
        };
        match link.ask(&self.ram, request, files, done) {
            Ok(value) => Ok(value),
            Err(Wrong::Refused(errno)) => Err(self.error(call, Failure::Refused(errno))),
            Err(Wrong::Short { done, asked }) => Err(self.error(call, Failure::Short { done, asked })),
            Err(wrong) => Err(self.give_up(call, wrong.to_string())),
        }
    }

    fn error(&self, call: Call, failure: Failure) -> BackendError {
        BackendError { device: self.name.clone(), call, failure }
    }

    /// The server is lost: the connection is closed, nothing is asked on it again, and nothing waits for it again.
    fn give_up(&mut self, call: Call, reason: String) -> BackendError {
        let lost = self.error(call, Failure::Lost(reason));
        self.link = Err(lost.clone());
        lost
    }
}

/// Why a call on a server that is lost fails.
fn lost_earlier(lost: &BackendError) -> String {
    format!("lost earlier, at {}: {}", lost.call, lost.failure)
}

fn access(region: u32, offset: u64, count: usize) -> RegionAccess {
    RegionAccess { offset: offset.into(), region: region.into(), count: (count as u32).into() }
}

impl Backend for VfioUser {
    fn name(&self) -> &str {
        &self.name
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        let mut ask = |argsz| {
            self.call(Call::DeviceInfo, &Request::DeviceGetInfo { argsz }, &[], |reply, _| match reply {
                Reply::DeviceGetInfo(info) => Ok((info.to_vec(), DeviceInfo::parse(info)?.1)),
                _ => Err(Wrong::Reply),
            })
        };
        let (short, needed) = ask(DeviceInfo::SHORT_SIZE as u32)?;
        if needed as usize <= short.len() {
            return Ok(short);
        }
        ask(needed.min(MAX_INFO)).map(|(info, _)| info)
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        let mut ask = |argsz| {
            let request = Request::DeviceGetRegionInfo { argsz, index };
            self.call(Call::RegionInfo { index }, &request, &[], |reply, files| match reply {
                Reply::DeviceGetRegionInfo(info) => Ok((info.to_vec(), RegionInfo::parse(info)?.1, files)),
                _ => Err(Wrong::Reply),
            })
        };
        let (mut info, needed, mut files) = ask(RegionInfo::FIXED_SIZE as u32)?;
        if needed as usize > info.len() {
            (info, _, files) = ask(needed.min(MAX_INFO))?;
        }
        Ok((info, files.into_iter().next().map(File::from)))
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        let request = Request::DeviceGetIrqInfo { argsz: size_of::<IrqInfo>() as u32, index };
        self.call(Call::IrqInfo { index }, &request, &[], |reply, _| match reply {
            Reply::DeviceGetIrqInfo(info) => Ok(info),
            _ => Err(Wrong::Reply),
        })
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        let mut at = offset;
        for piece in buffer.chunks_mut(self.max_data.max(1)) {
            let asked = piece.len();
            let call = Call::Read { region, offset: at, count: asked };
            self.call(call, &Request::RegionRead(access(region, at, asked)), &[], |reply, _| match reply {
                Reply::RegionRead(_, data) if data.len() == asked => {
                    piece.copy_from_slice(data);
                    Ok(())
                }
                Reply::RegionRead(_, data) if data.len() < asked => {
                    Err(Wrong::Short { done: data.len(), asked })
                }
                _ => Err(Wrong::Reply),
            })?;
            at = at.saturating_add(asked as u64);
        }
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        if self.is_posted(region) {
            return self.post(region, offset, data);
        }
        let mut at = offset;
        for piece in data.chunks(self.max_data.max(1)) {
            let asked = piece.len();
            let call = Call::Write { region, offset: at, count: asked };
            let request = Request::RegionWrite(access(region, at, asked), piece);
            self.call(call, &request, &[], |reply, _| match reply {
                Reply::RegionWrite(written) if written.count.get() as usize == asked => Ok(()),
                Reply::RegionWrite(written) if (written.count.get() as usize) < asked => {
                    Err(Wrong::Short { done: written.count.get() as usize, asked })
                }
                _ => Err(Wrong::Reply),
            })?;
            at = at.saturating_add(asked as u64);
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        let map = DmaMap {
            argsz: (size_of::<DmaMap>() as u32).into(),
            flags: allowed.bits().into(),
            offset: offset.into(),
            address: range.start().get().into(),
            size: range.size().into(),
        };
        let was_lost = self.link.is_err();
        let call = Call::DmaMap { range };
        let outcome = self.call(call, &Request::DmaMap(map), &[file.as_fd()], |reply, _| match reply {
            Reply::DmaMap => Ok(()),
            _ => Err(Wrong::Reply),
        });
        // Who comes in its place is let reach it.
        if outcome.is_ok() || was_lost {
            self.ram.add(range, (file.clone(), offset), allowed);
        }
        outcome
    }

    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        let map = DmaMap {
            argsz: (size_of::<DmaMap>() as u32).into(),
            flags: (DmaFlags::READ | DmaFlags::WRITE).bits().into(),
            offset: 0.into(),
            address: range.start().get().into(),
            size: range.size().into(),
        };
        let was_lost = self.link.is_err();
        let call = Call::DmaAsk { range };
        let outcome = self.call(call, &Request::DmaMap(map), &[], |reply, _| match reply {
            Reply::DmaMap => Ok(()),
            _ => Err(Wrong::Reply),
        });
        // Who comes in its place is let reach it.
        if outcome.is_ok() || was_lost {
            self.ram.ask(range, memory);
        }
        outcome
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        let Ok(link) = &mut self.link else { return Ok(()) };
        link.answer_all(&self.ram).map_err(|wrong| self.give_up(Call::Attend, wrong.to_string()))
    }

    fn lost(&self) -> Option<BackendError> {
        self.link.as_ref().err().cloned()
    }

    fn given(&self) -> Vec<Given> {
        self.ram.given()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        let unmap = DmaUnmap {
            argsz: (size_of::<DmaUnmap>() as u32).into(),
            flags: 0.into(),
            address: range.start().get().into(),
            size: range.size().into(),
        };
        let call = Call::DmaUnmap { range };
        let outcome = self.call(call, &Request::DmaUnmap(unmap), &[], |reply, _| match reply {
            Reply::DmaUnmap(_) => Ok(()),
            _ => Err(Wrong::Reply),
        });
        // A device that is lost over it reaches nothing any more.
        if outcome.is_ok() || self.link.is_err() {
            self.ram.remove(range);
        }
        outcome
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        let call = Call::SetIrqs { index: change.index, start: change.start, count: change.vectors.count() };
        for message in irqs::messages(change, self.max_files) {
            let request = Request::DeviceSetIrqs(message.set, &message.bools);
            self.call(call, &request, &message.files, |reply, _| match reply {
                Reply::DeviceSetIrqs => Ok(()),
                _ => Err(Wrong::Reply),
            })?;
        }
        Ok(())
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        let call = Call::IoEvents { index: region };
        let request = Request::DeviceGetRegionIoFds { argsz: ROOM_FOR_EVENTS, index: region };
        self.call(call, &request, &[], |reply, files| match reply {
            Reply::DeviceGetRegionIoFds(answer) => Ok(irqs::events(&io_fds::parse(answer)?.0, &files)),
            _ => Err(Wrong::Reply),
        })
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.call(Call::Reset, &Request::DeviceReset, &[], |reply, _| match reply {
            Reply::DeviceReset => Ok(()),
            _ => Err(Wrong::Reply),
        })
    }
}

#[cfg(test)]
mod tests;
