//! One client's session: messages in, answers out. No socket, so that a test or a fuzzer can be the client.
//!
//! ```text
//!  New ── VERSION ──▶ Negotiated ── everything else ──▶ Negotiated
//! ```
//!
//! Every command is answered once, with its own id, unless it asks for no reply; then it is not answered even if
//! it fails. What a client may make us hold is bounded: the length of a message, the files with it, the DMA table.
//!
//! The device may ask, too: after every message comes [`Session::carry_on`], which may have a request for the
//! client. One is on its way at a time. While it is unanswered everything else is answered as ever, and it must be:
//! a client whose only thread waits for the answer to a read of a register answers nothing before it has that. A
//! reply that nobody waits for, or not any more, is counted as refused.

use std::os::fd::OwnedFd;

use vfio_abi::errno::Errno;
use vfio_abi::frame;
use vfio_abi::frame::Command;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Taken;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionInfo;
use vfio_abi::reply::Reply;
use vfio_abi::request::RegionAccess;
use vfio_abi::request::Request;
use vfio_abi::request::VersionNumbers;
use vfio_abi::socket;
use vfio_abi::version;
use vfio_abi::version::Capabilities;

use super::carry::Carrier;
use super::carry::Progress;
use super::dma::DmaTable;
use super::dma::MAX_MAPS;
use super::irqs::Irqs;
use crate::kernel::Kernel;
use crate::silicon::Effect;

/// Bytes of data in one message.
pub(super) const MAX_DATA: u32 = version::DEFAULT_MAX_DATA_XFER_SIZE;

/// Bytes of a message behind its header: the largest structure before data is far below 64.
pub(super) const MAX_PAYLOAD: usize = MAX_DATA as usize + 64;

/// File descriptors in one message.
const MAX_FDS: usize = socket::MAX_FILES;

/// Page sizes of DMA mappings: 4 KiB.
const PAGE_SIZES: u64 = 1 << 12;

/// What the server does next.
#[derive(Debug)]
pub enum Answer<'a> {
    /// Send this frame, with this file.
    Reply {
        /// The frame.
        frame: &'a [u8],
        /// A file that goes with it.
        file: Option<OwnedFd>,
    },
    /// Send only the first half of this frame and close the connection, because the profile says so.
    Half {
        /// The frame.
        frame: &'a [u8],
    },
    /// Nothing: the client wants no reply.
    Nothing,
    /// Close the connection, because the profile says so.
    HangUp,
    /// Never say anything again, because the profile says so.
    Silence,
}

/// What the device wants of the client.
#[derive(Debug)]
pub enum Demand<'a> {
    /// Nothing.
    Nothing,
    /// That this request is sent to it, and answered.
    Ask {
        /// The frame.
        frame: &'a [u8],
    },
    /// The answer to what it was asked before.
    Wait,
}

/// What is known of a client.
#[derive(Debug)]
pub struct Session {
    negotiated: bool,
    dma: DmaTable,
    irqs: Irqs,
    carrier: Carrier,
    messages: u64,
    refused: u64,
    /// The answer's frame and the data of a read: kept, so that an answer allocates nothing.
    out: Vec<u8>,
    data: Vec<u8>,
}

/// An answer before it is a frame: the reply, and a file that goes with it.
type Done<'a> = Result<(Reply<'a>, Option<OwnedFd>), Errno>;

impl Session {
    /// A client that has said nothing yet.
    pub fn new() -> Self {
        Self {
            negotiated: false,
            dma: DmaTable::default(),
            irqs: Irqs::default(),
            carrier: Carrier::new(),
            messages: 0,
            refused: 0,
            out: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The next client's, which has said nothing yet. A server that is broken so keeps what this one mapped.
    #[must_use]
    pub(super) fn successor(self, kernel: &Kernel) -> Self {
        let keeps = kernel.silicon().profile().profile().faults.maps_outlive_client;
        let dma = if keeps { self.dma } else { DmaTable::default() };
        Self { dma, ..Self::new() }
    }

    /// How many messages came.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How many of them were answered with an error, or should have been.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many of the device's requests it left unanswered for too long.
    pub fn unanswered(&self) -> u64 {
        self.carrier.unanswered()
    }

    /// Carries on with what the device is at. To be called when a message was answered, or given up.
    pub fn carry_on(&mut self, kernel: &mut Kernel) -> Demand<'_> {
        self.act(kernel);
        let progress = self.carrier.carry_on(kernel, &self.dma, &mut self.out);
        self.act(kernel);
        match progress {
            Progress::Idle => Demand::Nothing,
            Progress::Asking => Demand::Ask { frame: &self.out },
            Progress::Waiting => Demand::Wait,
        }
    }

    /// The client did not answer the device in time.
    pub fn give_up(&mut self) {
        self.carrier.give_up();
    }

    /// Acts on what the device wants of the host.
    fn act(&mut self, kernel: &mut Kernel) {
        for effect in kernel.take_effects() {
            match effect {
                Effect::Transfer(transfer) => self.carrier.begin(transfer, &self.dma),
                Effect::Interrupt { vector } => self.irqs.raise(vector),
                // The driver acts on these.
                Effect::FunctionLevelReset
                | Effect::CxlReset
                | Effect::InternalError(_)
                | Effect::Decoder { .. } => {}
            }
        }
    }

    /// Answers a message.
    pub fn answer(&mut self, kernel: &mut Kernel, taken: Taken<'_, OwnedFd>) -> Answer<'_> {
        self.messages += 1;
        let faults = &kernel.silicon().profile().profile().faults;
        if faults.disconnect_at_message == Some(self.messages) {
            return Answer::HangUp;
        }
        if faults.silent_at_message == Some(self.messages) {
            return Answer::Silence;
        }
        let half = faults.truncated_at_message == Some(self.messages);
        let wrong = faults.wrong_errno_at_message.filter(|wrong| wrong.message == self.messages);
        let (header, done) = match (taken, wrong) {
            (Taken::TooLong(header), _) => {
                if header.is_reply() {
                    // If the device waits for it, it gets an answer that fails.
                    self.carrier.answered(&header, None);
                }
                (header, Err(Errno::E2BIG))
            }
            (Taken::Message { header, .. }, Some(wrong)) => (header, Err(Errno(wrong.errno))),
            (Taken::Message { header, payload, files }, None) => {
                (header, self.handle(kernel, &header, payload, files))
            }
        };
        // A stray reply answers nothing that was asked, and an answer to it would answer nothing either.
        let silent = header.is_no_reply() || header.is_reply();
        let file = done.unwrap_or_else(|errno| {
            self.refused += 1;
            frame::encode_error(&mut self.out, header.id.get(), header.command.get(), errno);
            None
        });
        match (silent, half) {
            (true, _) => Answer::Nothing,
            (false, true) => Answer::Half { frame: &self.out },
            (false, false) => Answer::Reply { frame: &self.out, file },
        }
    }

    /// Does what a message asks and leaves the answer's frame in `self.out`.
    fn handle(
        &mut self,
        kernel: &mut Kernel,
        header: &Header,
        payload: &[u8],
        files: Vec<OwnedFd>,
    ) -> Result<Option<OwnedFd>, Errno> {
        if header.is_reply() {
            let awaited = self.carrier.answered(header, Some(payload));
            return if awaited { Ok(None) } else { Err(Errno::EINVAL) };
        }
        let command = Command::from_number(header.command.get()).ok_or(Errno::ENOSYS)?;
        let request = Request::parse(command, payload).map_err(|_| Errno::EINVAL)?;
        if matches!(request, Request::Version(..)) == self.negotiated {
            // First a version, and then never again.
            return Err(Errno::EINVAL);
        }
        let mut data = std::mem::take(&mut self.data);
        let done = self.carry_out(kernel, request, files, &mut data);
        let file = done.map(|(reply, file)| {
            frame::encode_reply(&mut self.out, header.id.get(), &reply);
            file
        });
        self.data = data;
        file
    }

    fn carry_out<'a>(
        &mut self,
        kernel: &mut Kernel,
        request: Request<'a>,
        files: Vec<OwnedFd>,
        data: &'a mut Vec<u8>,
    ) -> Done<'a> {
        match request {
            Request::Version(numbers, text) => self.negotiate(numbers, text, data),
            Request::DmaMap(map) => self.dma.map(&map, files).map(|()| (Reply::DmaMap, None)),
            Request::DmaUnmap(unmap) => self.dma.unmap(&unmap).map(|()| (Reply::DmaUnmap(unmap), None)),
            Request::DeviceGetInfo { argsz } => {
                *data = kernel.device_info().encode(argsz);
                Ok((Reply::DeviceGetInfo(data), None))
            }
            Request::DeviceGetRegionInfo { argsz, .. } if (argsz as usize) < RegionInfo::FIXED_SIZE => {
                Err(Errno::EINVAL)
            }
            Request::DeviceGetRegionInfo { argsz, index } => {
                let region = kernel.region(index)?;
                *data = region.info.encode(argsz);
                let file = region.file.map(|file| file.try_clone().map(OwnedFd::from));
                let file = file.transpose().map_err(|_| Errno::ENOMEM)?;
                Ok((Reply::DeviceGetRegionInfo(data), file))
            }
            Request::DeviceGetIrqInfo { argsz, .. } if (argsz as usize) < size_of::<IrqInfo>() => {
                Err(Errno::EINVAL)
            }
            Request::DeviceGetIrqInfo { index, .. } => {
                Ok((Reply::DeviceGetIrqInfo(kernel.irq(index)?), None))
            }
            Request::DeviceSetIrqs(irqs, bools) => {
                self.irqs.set(kernel, &irqs, bools, files).map(|()| (Reply::DeviceSetIrqs, None))
            }
            Request::RegionRead(access) => read(kernel, access, data),
            Request::RegionWrite(access, bytes) => write(kernel, access, bytes),
            Request::DeviceReset => {
                kernel.user_resets()?;
                Ok((Reply::DeviceReset, None))
            }
            // These two go from server to client.
            Request::DmaRead(_) | Request::DmaWrite(..) => Err(Errno::EINVAL),
            Request::DeviceGetRegionIoFds { .. } | Request::Other(..) => Err(Errno::EOPNOTSUPP),
        }
    }

    fn negotiate<'a>(&mut self, numbers: VersionNumbers, text: &[u8], data: &'a mut Vec<u8>) -> Done<'a> {
        let theirs = Capabilities::parse(text).map_err(|_| Errno::EINVAL)?;
        if numbers.major.get() != version::MAJOR {
            return Err(Errno::EINVAL);
        }
        let ours = Capabilities {
            max_msg_fds: Some(MAX_FDS as u32),
            max_data_xfer_size: Some(MAX_DATA),
            max_dma_maps: Some(MAX_MAPS as u32),
            pgsizes: Some(PAGE_SIZES),
            write_multiple: Some(false),
        };
        // An answer must not be longer than the question, for one client; so it has the question's keys.
        *data = if text.is_empty() { Vec::new() } else { ours.limited_to_keys_of(&theirs).encode() };
        self.negotiated = true;
        self.carrier.agree(theirs.data_xfer_size().min(MAX_DATA));
        let numbers = VersionNumbers { minor: numbers.minor.get().min(version::MINOR).into(), ..numbers };
        Ok((Reply::Version(numbers, data), None))
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

fn read<'a>(kernel: &Kernel, access: RegionAccess, data: &'a mut Vec<u8>) -> Done<'a> {
    let count = access.count.get();
    if count > MAX_DATA {
        return Err(Errno::E2BIG);
    }
    data.clear();
    data.resize(count as usize, 0);
    let taken = kernel.read(access.region.get(), access.offset.get(), data)?;
    data.truncate(taken);
    let access = RegionAccess { count: (taken as u32).into(), ..access };
    Ok((Reply::RegionRead(access, data), None))
}

fn write<'a>(kernel: &mut Kernel, access: RegionAccess, bytes: &[u8]) -> Done<'a> {
    let taken = kernel.write(access.region.get(), access.offset.get(), bytes)?;
    let access = RegionAccess { count: (taken as u32).into(), ..access };
    Ok((Reply::RegionWrite(access), None))
}

#[cfg(test)]
mod tests;
