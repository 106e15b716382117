//! One client's session: messages in, answers out. No socket, so that a test or a fuzzer can be the client.
//!
//! ```text
//!  New ── VERSION ──▶ Negotiated ── everything else ──▶ Negotiated
//! ```
//!
//! Every command is answered once, with its own id, unless it asks for no reply; then it is not answered even if
//! it fails. What a client may make us hold is bounded: see [`Limits`].
//!
//! The device may ask, too: after every message comes [`Session::carry_on`], which may have a request for the
//! client. One is on its way at a time. While it is unanswered everything else is answered as ever, and it must be:
//! a client whose only thread waits for the answer to a read of a register answers nothing before it has that. A
//! reply that nobody waits for, or not any more, is counted as refused.

use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use vfio_abi::errno::Errno;
use vfio_abi::frame;
use vfio_abi::frame::Command;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Taken;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionInfo;
use vfio_abi::reply::Reply;
use vfio_abi::request::DmaMap;
use vfio_abi::request::RegionAccess;
use vfio_abi::request::Request;
use vfio_abi::request::VersionNumbers;
use vfio_abi::socket;
use vfio_abi::version;
use vfio_abi::version::Capabilities;

use super::Limits;
use super::carry::Carrier;
use super::carry::Progress;
use super::dma::DmaTable;
use super::doorbell;
use super::doorbell::Doorbell;
use super::irqs::Irqs;
use super::wrong::Refusal;
use super::wrong::Wrong;
use super::wrong::Wrongs;
use crate::kernel::Kernel;
use crate::silicon::Effect;

/// Bytes of a message behind its header: the largest structure before data is far below 64.
pub(super) fn max_payload(limits: Limits) -> usize {
    (limits.possible().data as usize).saturating_add(64)
}

/// File descriptors in one message.
const MAX_FDS: usize = socket::MAX_FILES;

/// Page sizes of DMA mappings: 4 KiB.
const PAGE_SIZES: u64 = 1 << 12;

/// Length of the fixed part of the answer to `DEVICE_GET_REGION_IO_FDS`.
const IO_FDS_FIXED: u32 = 16;

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
    limits: Limits,
    negotiated: bool,
    dma: DmaTable,
    irqs: Irqs,
    doorbell: Doorbell,
    carrier: Carrier,
    messages: u64,
    refused: u64,
    wrongs: Wrongs,
    /// The answer's frame and the data of a read: kept, so that an answer allocates nothing.
    out: Vec<u8>,
    data: Vec<u8>,
}

/// An answer before it is a frame: the reply, and a file that goes with it.
type Done<'a> = Result<(Reply<'a>, Option<OwnedFd>), Refusal>;

impl Session {
    /// A client that has said nothing yet.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A client that has said nothing yet and may make us hold so much.
    pub fn with_limits(limits: Limits) -> Self {
        let limits = limits.possible();
        Self {
            limits,
            negotiated: false,
            dma: DmaTable::new(limits),
            irqs: Irqs::default(),
            doorbell: Doorbell::default(),
            carrier: Carrier::new(),
            messages: 0,
            refused: 0,
            wrongs: Wrongs::default(),
            out: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The client has gone, and with it what it made us hold; the next has said nothing yet. A server that is broken
    /// so keeps what this one mapped.
    pub(super) fn end(&mut self, kernel: &Kernel) {
        let gone = std::mem::replace(self, Self::with_limits(self.limits));
        if kernel.silicon().profile().profile().faults.maps_outlive_client {
            self.dma = gone.dma;
        }
    }

    /// Whether the client has said which version it speaks.
    pub fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    /// How many messages came.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How many of them were answered with an error, or should have been.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// What the client did wrong so far.
    pub fn wrongs(&self) -> &Wrongs {
        &self.wrongs
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

    /// The event that a client signals in place of a write; nothing if it has none.
    pub(super) fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.doorbell.event()
    }

    /// If the client has signalled that event, what it stands for is done.
    pub(super) fn ring(&mut self, kernel: &mut Kernel) {
        if self.doorbell.take() {
            // Where the device does not answer now, a write that nobody waits for is lost.
            let _ = kernel.write(doorbell::REGION, doorbell::OFFSET, &[0; doorbell::SIZE as usize]);
            self.act(kernel);
        }
    }

    /// The client did not answer the device in time.
    pub fn give_up(&mut self) {
        if self.carrier.give_up() {
            self.wrongs.note(Wrong::Unanswered);
        }
    }

    /// Acts on what the device wants of the host.
    fn act(&mut self, kernel: &mut Kernel) {
        let lost = kernel.silicon().profile().profile().faults.interrupts_lost;
        for effect in kernel.take_effects() {
            match effect {
                Effect::Transfer(transfer) => self.carrier.begin(transfer, &self.dma),
                Effect::Interrupt { .. } | Effect::InternalError(_) if lost => {}
                Effect::Interrupt { vector } => self.irqs.raise(kernel, vector),
                Effect::InternalError(severity) => self.irqs.error(severity),
                // The driver acts on these.
                Effect::FunctionLevelReset | Effect::CxlReset | Effect::Decoder { .. } => {}
            }
        }
        if !lost {
            self.irqs.watch_pin(kernel);
        }
    }

    /// Answers a message.
    pub fn answer(&mut self, kernel: &mut Kernel, taken: Taken<'_, OwnedFd>) -> Answer<'_> {
        self.messages += 1;
        self.ring(kernel);
        let faults = &kernel.silicon().profile().profile().faults;
        if faults.disconnect_at_message == Some(self.messages) {
            return Answer::HangUp;
        }
        if faults.silent_at_message == Some(self.messages) {
            return Answer::Silence;
        }
        if faults.wanted_back_at_message == Some(self.messages) {
            self.irqs.want_back();
        }
        let half = faults.truncated_at_message == Some(self.messages);
        let wrong = faults.wrong_errno_at_message.filter(|wrong| wrong.message == self.messages);
        let (header, done) = match (taken, wrong) {
            (Taken::TooLong(header), _) => {
                if header.is_reply() {
                    // If the device waits for it, it gets an answer that fails.
                    self.carrier.answered(&header, None);
                }
                (header, Err(Wrong::TooLarge.refused()))
            }
            (Taken::Message { header, .. }, Some(wrong)) => (header, Err(Errno(wrong.errno).into())),
            (Taken::Message { header, payload, files }, None) => {
                (header, self.handle(kernel, &header, payload, files))
            }
        };
        // A stray reply answers nothing that was asked, and an answer to it would answer nothing either.
        let silent = header.is_no_reply() || header.is_reply();
        let file = done.unwrap_or_else(|refusal| {
            self.refused += 1;
            refusal.wrong.into_iter().for_each(|wrong| self.wrongs.note(wrong));
            frame::encode_error(&mut self.out, header.id.get(), header.command.get(), refusal.errno);
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
    ) -> Result<Option<OwnedFd>, Refusal> {
        if !files.is_empty() && !takes_files(header) {
            // They are closed, and the message is answered as ever.
            self.wrongs.note(Wrong::StrayFiles);
        }
        if header.is_reply() {
            let awaited = self.carrier.answered(header, Some(payload));
            return if awaited { Ok(None) } else { Err(Wrong::StrayReply.refused()) };
        }
        let command =
            Command::from_number(header.command.get()).ok_or_else(|| Wrong::UnknownCommand.refused())?;
        let request = Request::parse(command, payload).map_err(|_| Wrong::BadPayload.refused())?;
        if matches!(request, Request::Version(..)) == self.negotiated {
            // First a version, and then never again.
            return Err(Wrong::OutOfTurn.refused());
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

    /// Maps a range, as far as the profile allows it.
    fn map(&mut self, kernel: &Kernel, map: &DmaMap, files: Vec<OwnedFd>) -> Result<(), Refusal> {
        let faults = &kernel.silicon().profile().profile().faults;
        if faults.map_efault_from.is_some_and(|from| map.address.get() >= from.0) {
            return Err(Errno::EFAULT.into());
        }
        if faults.maps_may_overlap {
            self.dma.make_room(map);
        }
        self.dma.map(map, files)
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
            Request::DmaMap(map) => {
                self.map(kernel, &map, files)?;
                Ok((Reply::DmaMap, None))
            }
            Request::DmaUnmap(unmap) => {
                if !kernel.silicon().profile().profile().faults.unmaps_forget_nothing {
                    self.dma.unmap(&unmap)?;
                }
                Ok((Reply::DmaUnmap(unmap), None))
            }
            Request::DeviceGetInfo { argsz } => {
                *data = kernel.device_info().encode(argsz);
                Ok((Reply::DeviceGetInfo(data), None))
            }
            Request::DeviceGetRegionInfo { argsz, .. } if (argsz as usize) < RegionInfo::FIXED_SIZE => {
                Err(Errno::EINVAL.into())
            }
            Request::DeviceGetRegionInfo { argsz, index } => {
                let region = kernel.region(index)?;
                *data = region.info.encode(argsz);
                let file = region.file.map(|file| file.try_clone().map(OwnedFd::from));
                let file = file.transpose().map_err(|_| Errno::ENOMEM)?;
                Ok((Reply::DeviceGetRegionInfo(data), file))
            }
            Request::DeviceGetIrqInfo { argsz, .. } if (argsz as usize) < size_of::<IrqInfo>() => {
                Err(Errno::EINVAL.into())
            }
            Request::DeviceGetIrqInfo { index, .. } => {
                Ok((Reply::DeviceGetIrqInfo(kernel.irq(index)?), None))
            }
            Request::DeviceSetIrqs(irqs, bools) => {
                Ok(self.irqs.set(kernel, &irqs, bools, files).map(|()| (Reply::DeviceSetIrqs, None))?)
            }
            Request::RegionRead(access) => self.read(kernel, access, data),
            Request::RegionWrite(access, bytes) => write(kernel, access, bytes),
            Request::DeviceReset => {
                kernel.user_resets()?;
                Ok((Reply::DeviceReset, None))
            }
            // These two go from server to client.
            Request::DmaRead(_) | Request::DmaWrite(..) => Err(Errno::EINVAL.into()),
            Request::DeviceGetRegionIoFds { argsz, index } => {
                kernel.region(index)?;
                let room = Some(argsz).filter(|room| *room >= IO_FDS_FIXED).ok_or(Errno::EINVAL)?;
                let (answer, file) = self.doorbell.offer(index, room)?;
                *data = answer;
                Ok((Reply::DeviceGetRegionIoFds(data), file))
            }
            Request::Other(..) => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    fn negotiate<'a>(&mut self, numbers: VersionNumbers, text: &[u8], data: &'a mut Vec<u8>) -> Done<'a> {
        let theirs = Capabilities::parse(text).map_err(|_| Wrong::BadPayload.refused())?;
        if numbers.major.get() != version::MAJOR {
            return Err(Errno::EINVAL.into());
        }
        let ours = Capabilities {
            max_msg_fds: Some(MAX_FDS as u32),
            max_data_xfer_size: Some(self.limits.data),
            max_dma_maps: Some(self.limits.dma_maps),
            pgsizes: Some(PAGE_SIZES),
            write_multiple: Some(false),
        };
        // An answer must not be longer than the question, for one client; so it has the question's keys.
        *data = if text.is_empty() { Vec::new() } else { ours.limited_to_keys_of(&theirs).encode() };
        self.negotiated = true;
        self.carrier.agree(theirs.data_xfer_size().min(self.limits.data));
        let numbers = VersionNumbers { minor: numbers.minor.get().min(version::MINOR).into(), ..numbers };
        Ok((Reply::Version(numbers, data), None))
    }

    fn read<'a>(&self, kernel: &Kernel, access: RegionAccess, data: &'a mut Vec<u8>) -> Done<'a> {
        let count = access.count.get();
        if count > self.limits.data {
            return Err(Wrong::TooLarge.refused());
        }
        data.clear();
        data.resize(count as usize, 0);
        let taken = kernel.read(access.region.get(), access.offset.get(), data)?;
        data.truncate(taken);
        let access = RegionAccess { count: (taken as u32).into(), ..access };
        Ok((Reply::RegionRead(access, data), None))
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether files may come with this message.
fn takes_files(header: &Header) -> bool {
    let command = Command::from_number(header.command.get());
    !header.is_reply() && matches!(command, Some(Command::DmaMap | Command::DeviceSetIrqs))
}

fn write<'a>(kernel: &mut Kernel, access: RegionAccess, bytes: &[u8]) -> Done<'a> {
    let taken = kernel.write(access.region.get(), access.offset.get(), bytes)?;
    let access = RegionAccess { count: (taken as u32).into(), ..access };
    Ok((Reply::RegionWrite(access), None))
}

#[cfg(test)]
mod tests;
