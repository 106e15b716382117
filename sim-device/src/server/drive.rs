//! A client that may do anything, as values: property tests and fuzzers are two callers of [`run`].
//!
//! What must hold, whatever the client does:
//!
//! - every message that wants a reply gets one, with its own id and command; every other gets none;
//! - an error has a number, and nothing else; any other reply is what its command's reply must be;
//! - the device asks for one thing at a time, for no more than a message holds, and only while it is at a copy;
//! - nothing that the client writes moves the decoder that host firmware locked.
//!
//! What must hold of what clients map is in [`maps`].
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

pub mod maps;
pub mod stream;

use std::os::fd::OwnedFd;

use vfio_abi::errno::Errno;
use vfio_abi::frame;
use vfio_abi::frame::Command;
use vfio_abi::frame::HEADER_SIZE;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Taken;
use vfio_abi::reply::Reply;
use vfio_abi::request::DmaAccess;
use vfio_abi::request::DmaMap;
use vfio_abi::request::DmaUnmap;
use vfio_abi::request::RegionAccess;
use vfio_abi::request::Request;
use vfio_abi::request::SetIrqs;
use vfio_abi::request::VersionNumbers;

use super::Answer;
use super::Demand;
use super::Session;
use crate::kernel::DEFAULT_ABI;
use crate::kernel::Kernel;
use crate::profile::Profile;
use crate::silicon::Silicon;

/// Something that a client does.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Step {
    /// It negotiates.
    Version {
        /// The minor version that it offers.
        minor: u16,
        /// The text behind it.
        text: Vec<u8>,
    },
    /// It asks what something is, with so much room: the device, a region, an interrupt.
    Info {
        /// Which of the three.
        what: u8,
        /// The room.
        argsz: u32,
        /// Which region or interrupt.
        index: u8,
    },
    /// It reads a region.
    Read {
        /// Which region.
        region: u8,
        /// Where.
        offset: u64,
        /// How many bytes.
        count: u32,
    },
    /// It writes a region.
    Write {
        /// Which region.
        region: u8,
        /// Where; the low bits decide together with the region's usual places.
        offset: u16,
        /// What.
        data: Vec<u8>,
        /// It wants no reply.
        posted: bool,
    },
    /// It maps memory, with so many files.
    Map {
        /// Permissions.
        flags: u8,
        /// First address.
        address: u64,
        /// Length.
        size: u64,
        /// How many files come with the message.
        files: u8,
    },
    /// It unmaps memory.
    Unmap {
        /// What to do.
        flags: u8,
        /// First address.
        address: u64,
        /// Length.
        size: u64,
    },
    /// It attaches or triggers interrupts.
    Interrupts {
        /// What to do.
        flags: u8,
        /// Which interrupt.
        index: u8,
        /// First vector.
        start: u32,
        /// How many.
        count: u32,
        /// The data.
        data: Vec<u8>,
        /// How many files come with the message.
        files: u8,
    },
    /// It resets the device.
    Reset,
    /// It sends any command with any flags and any payload.
    Anything {
        /// The command's number.
        command: u16,
        /// The header's flags.
        flags: u8,
        /// The payload.
        payload: Vec<u8>,
    },
    /// It lets the device's engine copy, bus mastering on or off.
    Copy {
        /// Where the data is.
        source: u16,
        /// Where it goes.
        destination: u16,
        /// How many bytes.
        length: u16,
        /// The control register with the doorbell.
        control: u8,
        /// Bus mastering is on.
        bus_master: bool,
    },
    /// It answers the device, if that has asked.
    Answer {
        /// It answers another request.
        id: u16,
        /// The bytes of the answer that are missing.
        missing: u8,
        /// The answer is an error.
        refused: bool,
    },
    /// It has not answered the device for too long.
    Late,
    /// It sends a header that promises more than is taken.
    TooLong {
        /// The command's number.
        command: u16,
    },
}

/// How many bytes a file of memory has. None of them are there until they are written.
const MEMORY: u64 = 16 << 20;

/// A message as a session takes it.
struct Sent {
    header: Header,
    payload: Vec<u8>,
    files: u8,
    too_long: bool,
}

/// Lets a client do all of `steps` to a device of the default preset.
pub fn run(steps: &[Step]) {
    // The default preset can be, and a device of it is made of anonymous memory only.
    let Ok(profile) = Profile::default().check() else { return };
    let Ok(silicon) = Silicon::power_on(profile) else { return };
    let Ok(mut kernel) = Kernel::bind(silicon, DEFAULT_ABI) else { return };
    kernel.open();
    let mut session = Session::new();
    let mut sent: u64 = 0;
    let mut asked = None;
    for (id, step) in steps.iter().enumerate() {
        for message in step.messages(id as u16, asked.as_ref()) {
            take(&mut session, &mut kernel, &message);
            sent = sent.saturating_add(1);
            carry_on(&mut session, &mut kernel, &mut asked);
        }
        if matches!(step, Step::Late) {
            session.give_up();
            carry_on(&mut session, &mut kernel, &mut asked);
            assert!(asked.is_none(), "nobody waits for ever");
        }
        let decoder = kernel.silicon().component().programming(0);
        assert_eq!(decoder.range(), Some(kernel.silicon().profile().host_range()));
    }
    assert!(session.refused() <= session.messages());
    assert_eq!(session.messages(), sent);
}

fn take(session: &mut Session, kernel: &mut Kernel, sent: &Sent) {
    let Sent { header, payload, files, too_long } = sent;
    let files = files_of(*files, header.command.get());
    let taken =
        if *too_long { Taken::TooLong(*header) } else { Taken::Message { header: *header, payload, files } };
    let wants_reply = !header.is_no_reply() && !header.is_reply();
    match session.answer(kernel, taken) {
        Answer::Reply { frame, .. } => {
            assert!(wants_reply, "nobody asked");
            check_reply(header, frame);
        }
        Answer::Nothing => assert!(!wants_reply, "a reply is owed"),
        Answer::HangUp | Answer::Silence | Answer::Half { .. } => {
            assert!(!wants_reply, "the profile asks for no fault");
        }
    }
}

/// Lets the device carry on, and notes what it asks.
fn carry_on(session: &mut Session, kernel: &mut Kernel, asked: &mut Option<(Header, DmaAccess)>) {
    let busy = match session.carry_on(kernel) {
        Demand::Nothing => {
            *asked = None;
            false
        }
        Demand::Wait => {
            assert!(asked.is_some(), "nothing was asked");
            true
        }
        Demand::Ask { frame } => {
            let request = read_request(frame);
            assert!(request.is_some(), "a request of the device's");
            *asked = request;
            true
        }
    };
    assert_eq!(kernel.silicon().engine_is_busy(), busy);
}

/// What a frame of the device's asks for, if it is one that a device may send.
fn read_request(frame: &[u8]) -> Option<(Header, DmaAccess)> {
    let header = Header::parse(frame).ok().flatten()?;
    let payload = frame.get(HEADER_SIZE..)?;
    let access = match Request::parse(Command::from_number(header.command.get())?, payload).ok()? {
        Request::DmaRead(access) => access,
        Request::DmaWrite(access, data) if data.len() as u64 == access.count.get() => access,
        _ => return None,
    };
    let size = header.size.get() as usize == frame.len();
    let plain = header.flags.get() == 0 && header.error.get() == 0;
    (size && plain && (1..=1 << 20).contains(&access.count.get())).then_some((header, access))
}

fn check_reply(asked: &Header, frame: &[u8]) {
    let header = Header::parse(frame).ok().flatten();
    assert!(header.is_some(), "no header");
    let Some(header) = header else { return };
    assert_eq!((header.id, header.command), (asked.id, asked.command));
    assert_eq!(header.size.get() as usize, frame.len());
    assert!(header.is_reply());
    let payload = frame.get(HEADER_SIZE..).unwrap_or_default();
    match (header.errno(), Command::from_number(header.command.get())) {
        (Some(errno), _) => assert!(errno != Errno(0) && header.error.get() != 0 && payload.is_empty()),
        (None, Some(command)) => assert!(Reply::parse(command, payload).is_ok()),
        (None, None) => assert!(header.errno().is_some(), "nobody knows this command"),
    }
}

/// So many files, up to three: memory with what maps memory, and events with all else.
fn files_of(count: u8, command: u16) -> Vec<OwnedFd> {
    let is_map = command == Command::DmaMap.number();
    (0..count % 4).filter_map(|_| if is_map { memory() } else { event() }.ok()).collect()
}

fn event() -> rustix::io::Result<OwnedFd> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
}

fn memory() -> rustix::io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("memory", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&file, MEMORY)?;
    Ok(file)
}

impl Step {
    /// The messages that the client sends. `asked` is what the device waits for.
    fn messages(&self, id: u16, asked: Option<&(Header, DmaAccess)>) -> Vec<Sent> {
        let message = |request: &Request<'_>, flags, files| {
            let mut payload = Vec::new();
            request.encode(&mut payload);
            vec![sent(id, request.command().number(), flags, payload, files)]
        };
        match self {
            Self::Version { minor, text } => {
                let numbers = VersionNumbers { major: 0.into(), minor: (*minor).into() };
                message(&Request::Version(numbers, text), 0, 0)
            }
            Self::Info { what, argsz, index } => message(&info(*what, *argsz, (*index).into()), 0, 0),
            Self::Read { region, offset, count } => {
                message(&Request::RegionRead(access(*region, *offset, *count)), 0, 0)
            }
            Self::Write { region, offset, data, posted } => {
                let access = access(*region, place(*region, *offset), data.len() as u32);
                let flags = if *posted { frame::flags::NO_REPLY } else { 0 };
                message(&Request::RegionWrite(access, data), flags, 0)
            }
            Self::Map { flags, address, size, files } => {
                message(&Request::DmaMap(map(*flags, *address, *size)), 0, *files)
            }
            Self::Unmap { flags, address, size } => {
                message(&Request::DmaUnmap(unmap(*flags, *address, *size)), 0, 0)
            }
            Self::Interrupts { flags, index, start, count, data, files } => {
                let irqs = SetIrqs {
                    argsz: (size_of::<SetIrqs>() as u32).into(),
                    flags: u32::from(*flags).into(),
                    index: u32::from(*index).into(),
                    start: (*start).into(),
                    count: (*count).into(),
                };
                message(&Request::DeviceSetIrqs(irqs, data), 0, *files)
            }
            Self::Reset => message(&Request::DeviceReset, 0, 0),
            Self::Copy { source, destination, length, control, bus_master } => {
                let writes = copy([*source, *destination], *length, *control, *bus_master);
                writes.iter().flat_map(|write| write.messages(id, asked)).collect()
            }
            Self::Answer { id, missing, refused } => {
                asked.map(|asked| answer(asked, *id, *missing, *refused)).into_iter().collect()
            }
            Self::Late => Vec::new(),
            Self::Anything { command, flags, payload } => {
                vec![sent(id, *command, u32::from(*flags), payload.clone(), 0)]
            }
            Self::TooLong { command } => {
                vec![Sent { too_long: true, ..sent(id, *command, 0, Vec::new(), 0) }]
            }
        }
    }
}

/// The writes that let the engine copy from one address to the other.
fn copy(sides: [u16; 2], length: u16, control: u8, bus_master: bool) -> [Step; 3] {
    let write = |region, offset, data| Step::Write { region, offset, data, posted: false };
    let ring = [u32::from(length), u32::from(control) | 1];
    [
        write(7, 4, vec![u8::from(bus_master) << 2 | 2, 0]),
        write(0, 0xc000, sides.into_iter().flat_map(|side| u64::from(side).to_le_bytes()).collect()),
        write(0, 0xc010, ring.into_iter().flat_map(u32::to_le_bytes).collect()),
    ]
}

/// An answer to the device: right if there is nothing wrong with it.
fn answer((header, access): &(Header, DmaAccess), off: u16, missing: u8, refused: bool) -> Sent {
    let data = vec![0xa5; access.count.get() as usize];
    let reads = header.command.get() == Command::DmaRead.number();
    let reply = if reads { Reply::DmaRead(*access, &data) } else { Reply::DmaWrite(*access) };
    let mut payload = Vec::new();
    reply.encode(&mut payload);
    payload.truncate(payload.len().saturating_sub(missing.into()));
    let flags = if refused { frame::flags::REPLY | frame::flags::ERROR } else { frame::flags::REPLY };
    sent(header.id.get().wrapping_add(off), header.command.get(), flags, payload, 0)
}

fn sent(id: u16, command: u16, flags: u32, payload: Vec<u8>, files: u8) -> Sent {
    let header = Header {
        id: id.into(),
        command: command.into(),
        size: (HEADER_SIZE.saturating_add(payload.len()) as u32).into(),
        flags: flags.into(),
        error: 0.into(),
    };
    Sent { header, payload, files, too_long: false }
}

fn info(what: u8, argsz: u32, index: u32) -> Request<'static> {
    match what % 3 {
        0 => Request::DeviceGetInfo { argsz },
        1 => Request::DeviceGetRegionInfo { argsz, index },
        _ => Request::DeviceGetIrqInfo { argsz, index },
    }
}

fn access(region: u8, offset: u64, count: u32) -> RegionAccess {
    RegionAccess { offset: offset.into(), region: u32::from(region).into(), count: count.into() }
}

/// Most of a BAR is plain memory; the component block is where something can go wrong.
fn place(region: u8, offset: u16) -> u64 {
    if region == 2 { 0x2_0000 + u64::from(offset) } else { u64::from(offset) }
}

fn map(flags: u8, address: u64, size: u64) -> DmaMap {
    DmaMap {
        argsz: (size_of::<DmaMap>() as u32).into(),
        flags: u32::from(flags).into(),
        offset: 0.into(),
        address: address.into(),
        size: size.into(),
    }
}

fn unmap(flags: u8, address: u64, size: u64) -> DmaUnmap {
    DmaUnmap {
        argsz: (size_of::<DmaUnmap>() as u32).into(),
        flags: u32::from(flags).into(),
        address: address.into(),
        size: size.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..most)
    }

    /// Addresses that meet each other.
    fn address() -> impl Strategy<Value = u64> {
        prop_oneof![(0u64..16).prop_map(|page| page << 12), any::<u64>()]
    }

    fn page() -> impl Strategy<Value = u16> {
        (0u16..16).prop_map(|page| page << 12)
    }

    /// What the client maps to begin with: without it, no copy would be one.
    fn mapped() -> impl Strategy<Value = Step> {
        (1u8..4, prop::bool::weighted(0.2)).prop_map(|(flags, file)| Step::Map {
            flags,
            address: 0,
            size: 0xc000,
            files: file.into(),
        })
    }

    /// A step to do with the engine.
    fn copying() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (page(), page(), 0u16..0x2000, 0u8..16, prop::bool::weighted(0.9)).prop_map(
                |(source, destination, length, control, bus_master)| Step::Copy {
                    source,
                    destination,
                    length,
                    control,
                    bus_master
                }
            ),
            3 => Just(Step::Answer { id: 0, missing: 0, refused: false }),
            1 => (0u16..2, 0u8..20, any::<bool>())
                .prop_map(|(id, missing, refused)| Step::Answer { id, missing, refused }),
            1 => Just(Step::Late),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![2 => any_step(), 1 => copying()]
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u16..3, bytes(8)).prop_map(|(minor, text)| Step::Version { minor, text }),
            Just(Step::Version { minor: 1, text: b"{}\0".to_vec() }),
            (any::<u8>(), 0u32..100, 0u8..13).prop_map(|(what, argsz, index)| Step::Info {
                what,
                argsz,
                index
            }),
            (0u8..12, 0u64..0x1200, 0u32..70).prop_map(|(region, offset, count)| Step::Read {
                region,
                offset,
                count
            }),
            (0u8..12, any::<u64>(), any::<u32>()).prop_map(|(region, offset, count)| Step::Read {
                region,
                offset,
                count
            }),
            (0u8..12, any::<u16>(), bytes(20), any::<bool>())
                .prop_map(|(region, offset, data, posted)| Step::Write { region, offset, data, posted }),
            (0u8..4, address(), address(), any::<u8>()).prop_map(|(flags, address, size, files)| Step::Map {
                flags,
                address,
                size,
                files
            }),
            (0u8..4, address(), address()).prop_map(|(flags, address, size)| Step::Unmap {
                flags,
                address,
                size
            }),
            (any::<u8>(), 0u8..6, 0u32..10, 0u32..10, bytes(10), any::<u8>()).prop_map(
                |(flags, index, start, count, data, files)| Step::Interrupts {
                    flags,
                    index,
                    start,
                    count,
                    data,
                    files
                }
            ),
            Just(Step::Reset),
            (0u16..20, any::<u8>(), bytes(64)).prop_map(|(command, flags, payload)| Step::Anything {
                command,
                flags,
                payload
            }),
            (0u16..20).prop_map(|command| Step::TooLong { command }),
        ]
    }

    proptest! {
        #[test]
        fn any_client_keeps_what_must_hold(first in mapped(), steps in prop::collection::vec(step(), 0..30)) {
            let negotiated = Step::Version { minor: 0, text: Vec::new() };
            run(&[negotiated, first].into_iter().chain(steps).collect::<Vec<_>>());
        }
    }
}
