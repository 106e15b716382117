use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use rstest::rstest;
use rustix::event::EventfdFlags;
use vfio_abi::frame::HEADER_SIZE;
use vfio_abi::frame::flags;
use vfio_abi::inbox::Taken;
use vfio_abi::request::DmaMap;
use vfio_abi::request::RegionAccess;
use vfio_abi::request::SetIrqs;
use vfio_abi::request::VersionNumbers;

use super::*;
use crate::profile::Profile;
use crate::server::Answer;
use crate::server::Demand;
use crate::server::Session;
use crate::silicon::Silicon;
use crate::silicon::memory::Memory;

/// Bits of the status register, typed anew.
const DONE: u32 = 0x2;
const BUS_MASTER_OFF: u32 = 0x100;
const OVERLAP: u32 = 0x800;
const UNMAPPED: u32 = 0x1000;
const NOT_PERMITTED: u32 = 0x2000;
const HOST_FAILED: u32 = 0x4000;
const UNANSWERED: u32 = 0x8000;
const POISONED: u32 = 0x1_0000;

const HOST_TO_DEVICE: u32 = 0x5;
const DEVICE_TO_HOST: u32 = 0x3;
const HOST_TO_HOST: u32 = 0x1;
const DEVICE_TO_DEVICE: u32 = 0x7;

/// Where the host's memory begins and how much of it there is.
const BASE: u64 = 0x10_0000;
const RAM: usize = 0x2000;

/// A client without a socket, with memory that it maps in pieces, and answers for where it gave no file.
struct Host {
    kernel: Kernel,
    session: Session,
    ram: Memory,
    /// What the device asked: the frame's header and payload.
    asked: Option<(Header, Vec<u8>)>,
    /// How many times it asked.
    messages: usize,
}

/// A request of the device's, read byte by byte: whether it writes, the offset in the memory, the bytes.
fn read_request(header: &Header, payload: &[u8]) -> (bool, u64, usize) {
    let number = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
    let (address, count) = (number(0), number(8) as usize);
    let writes = header.command.get() == 12;
    assert!(writes || header.command.get() == 11);
    assert_eq!((header.flags.get(), header.error.get()), (0, 0));
    assert_eq!(payload.len(), 16 + if writes { count } else { 0 });
    (writes, address - BASE, count)
}

impl Host {
    /// A client that takes so many bytes of data in one message, with bus mastering on.
    fn new(limit: usize, profile: &str) -> Self {
        let profile = Profile::parse("test", profile).unwrap().check().unwrap();
        let kernel = Kernel::bind(Silicon::power_on(profile).unwrap(), crate::kernel::DEFAULT_ABI).unwrap();
        let ram = Memory::new("host", RAM as u64).unwrap();
        let mut host = Self { kernel, session: Session::new(), ram, asked: None, messages: 0 };
        host.kernel.open();
        let text = format!("{{\"capabilities\":{{\"max_data_xfer_size\":{limit}}}}}\0");
        let numbers = VersionNumbers { major: 0.into(), minor: 0.into() };
        host.ask(&Request::Version(numbers, text.as_bytes()), Vec::new());
        host.write(7, 4, &6u16.to_le_bytes());
        host
    }

    /// Says something, and hears what the device wants after it.
    fn say(&mut self, header: Header, payload: &[u8], files: Vec<OwnedFd>) -> Option<Vec<u8>> {
        self.hand(Taken::Message { header, payload, files })
    }

    fn hand(&mut self, taken: Taken<'_, OwnedFd>) -> Option<Vec<u8>> {
        let answer = match self.session.answer(&mut self.kernel, taken) {
            Answer::Reply { frame, .. } => Some(frame.to_vec()),
            _ => None,
        };
        self.hear();
        answer
    }

    fn hear(&mut self) {
        match self.session.carry_on(&mut self.kernel) {
            Demand::Nothing => self.asked = None,
            Demand::Wait => assert!(self.asked.is_some()),
            Demand::Ask { frame } => {
                let header = Header::parse(frame).unwrap().unwrap();
                assert_eq!(header.size.get() as usize, frame.len());
                self.asked = Some((header, frame[HEADER_SIZE..].to_vec()));
                self.messages += 1;
            }
        }
    }

    fn ask(&mut self, request: &Request<'_>, files: Vec<OwnedFd>) -> Vec<u8> {
        let mut payload = Vec::new();
        request.encode(&mut payload);
        let header = header(1, request.command().number(), payload.len(), 0);
        let frame = self.say(header, &payload, files).unwrap();
        let answer = Header::parse(&frame).unwrap().unwrap();
        assert_eq!(answer.errno(), None, "{request:?}");
        frame[HEADER_SIZE..].to_vec()
    }

    fn map(&mut self, offset: usize, size: usize, permissions: u32, with_file: bool) {
        let map = DmaMap {
            argsz: 32.into(),
            flags: permissions.into(),
            offset: if with_file { offset as u64 } else { 0 }.into(),
            address: (BASE + offset as u64).into(),
            size: (size as u64).into(),
        };
        let file = || self.ram.file().as_fd().try_clone_to_owned().unwrap();
        let files = if with_file { vec![file()] } else { Vec::new() };
        self.ask(&Request::DmaMap(map), files);
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) {
        let access =
            RegionAccess { offset: offset.into(), region: region.into(), count: (data.len() as u32).into() };
        self.ask(&Request::RegionWrite(access, data), Vec::new());
    }

    fn status(&mut self) -> u32 {
        let access = RegionAccess { offset: 0xc018.into(), region: 0.into(), count: 4.into() };
        let answer = self.ask(&Request::RegionRead(access), Vec::new());
        u32::from_le_bytes(answer[16..].try_into().unwrap())
    }

    /// Programs the engine and rings.
    fn copy(&mut self, source: u64, destination: u64, length: u32, control: u32) {
        self.write(0, 0xc000, &source.to_le_bytes());
        self.write(0, 0xc008, &destination.to_le_bytes());
        self.write(0, 0xc010, &length.to_le_bytes());
        self.write(0, 0xc014, &control.to_le_bytes());
    }

    /// Replies to what the device asked with this payload.
    fn reply(&mut self, change: impl FnOnce(&mut Header, &mut Vec<u8>)) {
        let (asked, mut payload) = self.asked.clone().unwrap();
        let (writes, offset, count) = read_request(&asked, &payload);
        let mut data = payload.split_off(16);
        if writes {
            self.ram.file().write_all_at(&data, offset).unwrap();
        } else {
            data.resize(count, 0);
            self.ram.file().read_exact_at(&mut data, offset).unwrap();
            payload.extend(data);
        }
        let mut header = header(asked.id.get(), asked.command.get(), 0, flags::REPLY);
        change(&mut header, &mut payload);
        header.size = ((HEADER_SIZE + payload.len()) as u32).into();
        assert_eq!(self.say(header, &payload, Vec::new()), None, "a reply is not answered");
    }

    /// Answers as long as the device asks, and returns how it ended.
    fn serve(&mut self) -> u32 {
        while self.asked.is_some() {
            assert_eq!(self.status(), 1);
            self.reply(|_, _| {});
        }
        self.status()
    }

    fn device(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.kernel.silicon().memory().read_bytes(offset, &mut bytes);
        bytes
    }

    fn ram(&self) -> Vec<u8> {
        let mut bytes = vec![0; RAM];
        self.ram.read_bytes(0, &mut bytes);
        bytes
    }
}

fn header(id: u16, command: u16, payload: usize, flags: u32) -> Header {
    Header {
        id: id.into(),
        command: command.into(),
        size: ((HEADER_SIZE + payload) as u32).into(),
        flags: flags.into(),
        error: 0.into(),
    }
}

/// Bytes that are not like their neighbours.
fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed).collect()
}

/// A host with all of its memory mapped in one piece.
fn mapped(limit: usize, with_file: bool) -> Host {
    let mut host = Host::new(limit, "");
    host.map(0, RAM, 3, with_file);
    host.ram.write_bytes(0, &pattern(RAM, 7));
    host
}

#[rstest]
#[case::with_a_file(true, 0)]
#[case::by_messages(false, 4)]
fn data_goes_to_the_device_and_back(#[case] with_file: bool, #[case] messages: usize) {
    let mut host = mapped(0x40, with_file);
    host.copy(BASE + 0x11, 0x3000, 0x65, HOST_TO_DEVICE);
    assert_eq!(host.serve(), DONE);
    assert_eq!(host.device(0x3000, 0x65), pattern(RAM, 7)[0x11..0x76]);
    host.copy(0x3000, BASE + 0x1000, 0x65, DEVICE_TO_HOST);
    assert_eq!(host.serve(), DONE);
    let mut expected = pattern(RAM, 7);
    expected.copy_within(0x11..0x76, 0x1000);
    assert_eq!(host.ram(), expected);
    assert_eq!(host.messages, messages);
}

#[test]
fn what_the_client_hears_has_the_printed_layout() {
    let mut host = mapped(0x100, false);
    host.kernel.device_write(Dpa::new(0), &[0xaa, 0xbb, 0xcc]);
    host.copy(BASE + 0x10, 0x1000, 0x20, HOST_TO_DEVICE);
    let (header, payload) = host.asked.clone().unwrap();
    assert_eq!((header.command.get(), header.size.get()), (11, 32));
    assert_eq!(payload, [0x10, 0, 0x10, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0]);
    host.serve();
    host.copy(0, BASE + 0x12, 3, DEVICE_TO_HOST);
    let (header, payload) = host.asked.clone().unwrap();
    assert_eq!((header.command.get(), header.size.get()), (12, 35));
    assert_eq!(payload, [0x12, 0, 0x10, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xbb, 0xcc]);
}

#[test]
fn while_the_device_waits_for_an_answer_everything_else_is_answered_and_nothing_more_is_asked() {
    let mut host = mapped(0x100, false);
    host.copy(BASE, 0, 0x200, HOST_TO_DEVICE);
    for _ in 0..3 {
        assert_eq!((host.status(), host.messages), (1, 1));
    }
    host.copy(BASE, 0, 0x200, HOST_TO_DEVICE);
    assert_eq!(host.messages, 1, "the doorbell is locked");
    assert_eq!(host.serve(), DONE);
    assert_eq!(host.messages, 2);
}

/// A way for a client to answer wrongly.
type Wrong = fn(&mut Header, &mut Vec<u8>);

#[rstest]
#[case::an_error(|header: &mut Header, payload: &mut Vec<u8>| {
    header.flags = 0x21.into();
    header.error = 14.into();
    payload.clear();
})]
#[case::nothing(|_: &mut Header, payload: &mut Vec<u8>| payload.clear())]
#[case::no_data(|_: &mut Header, payload: &mut Vec<u8>| payload.truncate(16))]
#[case::a_byte_less(|_: &mut Header, payload: &mut Vec<u8>| payload.truncate(16 + 0x3f))]
#[case::a_byte_more(|_: &mut Header, payload: &mut Vec<u8>| payload.push(0))]
#[case::less_and_says_so(|_: &mut Header, payload: &mut Vec<u8>| {
    payload.truncate(16 + 0x3f);
    payload[8] = 0x3f;
})]
#[case::more_and_says_so(|_: &mut Header, payload: &mut Vec<u8>| {
    payload.push(0);
    payload[8] = 0x41;
})]
#[case::a_count_beyond_memory(|_: &mut Header, payload: &mut Vec<u8>| payload[8..16].fill(0xff))]
#[case::another_address(|_: &mut Header, payload: &mut Vec<u8>| payload[0] ^= 1)]
fn an_answer_that_is_wrong_ends_the_copy_and_nothing_of_it_is_seen(#[case] wrong: Wrong) {
    let mut host = mapped(0x40, false);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    host.reply(|_, _| {});
    host.reply(wrong);
    assert_eq!((host.status(), host.asked.is_some(), host.messages), (HOST_FAILED, false, 2));
    assert_eq!(host.device(0, 0x100), [0; 0x100]);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    assert_eq!(host.serve(), DONE, "the next copy is not disturbed");
}

#[rstest]
#[case::a_bare_header(|_: &mut Header, payload: &mut Vec<u8>| payload.clear())]
#[case::less_than_was_sent(|_: &mut Header, payload: &mut Vec<u8>| payload[8] = 0x3f)]
#[case::with_the_data(|_: &mut Header, payload: &mut Vec<u8>| payload.resize(16 + 0x40, 0))]
fn an_answer_to_a_write_that_is_wrong_ends_the_copy(#[case] wrong: Wrong) {
    let mut host = mapped(0x40, false);
    host.copy(0, BASE, 0x100, DEVICE_TO_HOST);
    host.reply(wrong);
    assert_eq!((host.status(), host.messages), (HOST_FAILED, 1));
}

#[rstest]
#[case::another_id(|header: &mut Header, _: &mut Vec<u8>| header.id = (header.id.get() ^ 0x100).into())]
#[case::another_command(|header: &mut Header, _: &mut Vec<u8>| header.command = 12.into())]
fn an_answer_to_something_else_is_counted_and_the_device_goes_on_waiting(#[case] wrong: Wrong) {
    let mut host = mapped(0x100, false);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    host.reply(wrong);
    assert_eq!((host.status(), host.session.refused()), (1, 1));
    assert_eq!(host.serve(), DONE);
}

#[test]
fn an_answer_that_is_too_long_to_be_taken_ends_the_copy() {
    let mut host = mapped(0x100, false);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    let (asked, _) = host.asked.clone().unwrap();
    let long = header(asked.id.get(), asked.command.get(), 3 << 20, flags::REPLY);
    assert_eq!(host.hand(Taken::TooLong(long)), None);
    assert_eq!(host.status(), HOST_FAILED);
}

#[test]
fn a_client_that_does_not_answer_is_given_up_counted_and_heard_no_more() {
    let mut host = mapped(0x100, false);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    let late = host.asked.clone();
    host.session.give_up();
    host.hear();
    assert_eq!((host.status(), host.session.wrongs().of(crate::server::Wrong::Unanswered)), (UNANSWERED, 1));
    host.asked = late;
    host.reply(|_, _| {});
    assert_eq!((host.status(), host.session.refused()), (UNANSWERED, 1));
    assert_eq!(host.device(0, 0x100), [0; 0x100]);
    host.session.give_up();
    assert_eq!(host.session.wrongs().of(crate::server::Wrong::Unanswered), 1, "nothing is owed");
}

#[test]
fn a_reset_ends_the_copy_and_the_answer_comes_too_late() {
    let mut host = mapped(0x40, false);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    let late = host.asked.clone();
    host.ask(&Request::DeviceReset, Vec::new());
    assert_eq!((host.status(), host.asked.is_some()), (0, false));
    host.copy(BASE + 0x1000, 0, 0x20, HOST_TO_DEVICE);
    let current = std::mem::replace(&mut host.asked, late);
    host.reply(|_, _| {});
    assert_eq!((host.status(), host.session.refused()), (1, 1));
    host.asked = current;
    assert_eq!(host.serve(), DONE);
    assert_eq!(host.device(0, 0x40)[..0x20], pattern(RAM, 7)[0x1000..0x1020]);
}

#[test]
fn bus_mastering_that_is_turned_off_ends_the_copy() {
    let mut host = mapped(0x40, false);
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    host.write(7, 4, &2u16.to_le_bytes());
    host.reply(|_, _| {});
    assert_eq!((host.status(), host.messages), (BUS_MASTER_OFF, 1));
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    assert_eq!((host.status(), host.messages), (BUS_MASTER_OFF, 1), "and none begins");
}

#[test]
fn memory_that_is_unmapped_while_the_device_waits_is_not_touched_again() {
    let mut host = mapped(0x40, false);
    host.copy(0, BASE, 0x100, DEVICE_TO_HOST);
    let unmap =
        vfio_abi::request::DmaUnmap { argsz: 24.into(), flags: 2.into(), address: 0.into(), size: 0.into() };
    host.ask(&Request::DmaUnmap(unmap), Vec::new());
    host.reply(|_, _| {});
    assert_eq!((host.status(), host.messages), (UNMAPPED, 1));
}

#[rstest]
#[case::from_before_it(BASE - 1, 0, HOST_TO_DEVICE, UNMAPPED)]
#[case::from_behind_it(BASE + RAM as u64 - 0xff, 0, HOST_TO_DEVICE, UNMAPPED)]
#[case::to_before_it(0, BASE - 1, DEVICE_TO_HOST, UNMAPPED)]
#[case::from_what_may_only_be_written(BASE + 0xf80, 0, HOST_TO_DEVICE, NOT_PERMITTED)]
#[case::to_what_may_only_be_read(0, BASE + 0x1f00, DEVICE_TO_HOST, NOT_PERMITTED)]
#[case::onto_itself(BASE, BASE + 0xff, HOST_TO_HOST, OVERLAP)]
fn a_copy_that_cannot_be_is_refused_before_anything_moves(
    #[case] source: u64,
    #[case] destination: u64,
    #[case] control: u32,
    #[case] error: u32,
    #[values(false, true)] with_file: bool,
) {
    let mut host = Host::new(0x40, "");
    host.map(0, 0x1000, 3, with_file);
    host.map(0x1000, 0x800, 2, with_file);
    host.map(0x1800, 0x800, 1, with_file);
    host.ram.write_bytes(0, &pattern(RAM, 7));
    host.kernel.device_write(Dpa::new(0), &[0x5a; 0x100]);
    host.copy(source, destination, 0x100, control);
    assert_eq!((host.status(), host.messages), (error, 0));
    assert_eq!(host.ram(), pattern(RAM, 7));
    assert_eq!(host.device(0, 0x100), [0x5a; 0x100]);
}

#[test]
fn a_file_that_was_made_shorter_is_a_failed_copy() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x1000).unwrap();
    let mut host = Host::new(0x40, "");
    let map = DmaMap {
        argsz: 32.into(),
        flags: 3.into(),
        offset: 0.into(),
        address: BASE.into(),
        size: 0x1000.into(),
    };
    host.ask(&Request::DmaMap(map), vec![OwnedFd::from(File::try_clone(&file).unwrap())]);
    file.set_len(0x80).unwrap();
    host.copy(BASE, 0, 0x100, HOST_TO_DEVICE);
    assert_eq!(host.status(), HOST_FAILED);
    assert_eq!(host.device(0, 0x100), [0; 0x100]);
}

#[test]
fn what_is_no_file_of_memory_is_a_failed_copy() {
    let mut host = Host::new(0x40, "");
    let map = DmaMap {
        argsz: 32.into(),
        flags: 3.into(),
        offset: 0.into(),
        address: BASE.into(),
        size: 0x1000.into(),
    };
    let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    host.ask(&Request::DmaMap(map), vec![event]);
    for control in [HOST_TO_DEVICE, DEVICE_TO_HOST] {
        let (source, destination) = if control == HOST_TO_DEVICE { (BASE, 0) } else { (0, BASE) };
        host.copy(source, destination, 8, control);
        assert_eq!(host.status(), HOST_FAILED);
    }
}

#[test]
fn poison_in_the_source_ends_the_copy_and_writing_over_it_heals_it() {
    let mut host = Host::new(0x40, "[faults]\npoison_at = [0x1040]");
    host.map(0, RAM, 3, true);
    host.copy(0x1000, BASE, 0x41, DEVICE_TO_HOST);
    assert_eq!(host.status(), POISONED);
    host.copy(0x1000, BASE, 0x40, DEVICE_TO_HOST);
    assert_eq!(host.status(), DONE);
    for (part, length) in [(0x1041, 0x40), (0x1000, 0x7f)] {
        host.copy(BASE, part, length, HOST_TO_DEVICE);
        host.copy(0x107f, BASE, 1, DEVICE_TO_HOST);
        assert_eq!(host.status(), POISONED, "a part of the line was not written");
    }
    host.copy(BASE, 0x1000, 0x80, HOST_TO_DEVICE);
    host.copy(0x1000, 0x2000, 0x80, DEVICE_TO_DEVICE);
    assert_eq!(host.status(), DONE);
}

#[rstest]
#[case::done(0x100, true)]
#[case::refused(0, true)]
#[case::not_asked_for(0x100, false)]
fn the_end_of_a_copy_signals_its_vector(#[case] length: u32, #[case] asked: bool) {
    let mut host = mapped(0x40, true);
    let event = rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
    let irqs =
        SetIrqs { argsz: 20.into(), flags: 0x24.into(), index: 2.into(), start: 3.into(), count: 1.into() };
    host.ask(&Request::DeviceSetIrqs(irqs, &[]), vec![event.try_clone().unwrap()]);
    let interrupt = if asked { 3 << 16 | 8 } else { 3 << 16 };
    host.copy(BASE, 0, length, HOST_TO_DEVICE | interrupt);
    let mut count = [0; 8];
    let signalled = rustix::io::read(&event, &mut count).is_ok();
    assert_eq!((signalled, u64::from_ne_bytes(count)), (asked, u64::from(asked)));
}

/// One piece of the host's memory: how far behind the piece before, how long, what the device may do, with a file.
type Piece = (usize, usize, u32, bool);

/// What the host mapped, told byte by byte.
fn allowed(pieces: &[Piece]) -> Vec<u32> {
    let mut bytes = vec![0; RAM];
    let mut at = 0;
    for (gap, length, permissions, _) in pieces {
        at += gap;
        bytes[at..at + length].fill(*permissions);
        at += length;
    }
    bytes
}

fn piece() -> impl Strategy<Value = Piece> {
    let gap = prop_oneof![6 => Just(0), 1 => 1usize..0x40];
    let permissions = prop_oneof![8 => Just(3u32), 1 => 1u32..3];
    (gap, 1usize..0x180, permissions, any::<bool>())
}

/// How a copy must end, if its two ranges are `source` and `destination` where they are the host's.
fn expected(allowed: &[u32], source: Option<(usize, usize)>, destination: Option<(usize, usize)>) -> u32 {
    let sides = [(source, 1), (destination, 2)];
    if let (Some((from, length)), Some((to, _))) = (source, destination)
        && from.abs_diff(to) < length
    {
        return OVERLAP;
    }
    for (side, need) in sides {
        let Some((at, length)) = side else { continue };
        for byte in at..at + length {
            match allowed.get(byte).copied().unwrap_or(0) {
                0 => return UNMAPPED,
                has if has & need == 0 => return NOT_PERMITTED,
                _ => {}
            }
        }
    }
    DONE
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_copy_over_any_mappings_moves_what_it_should_and_nothing_else(
        pieces in prop::collection::vec(piece(), 1..16),
        copies in prop::collection::vec((0u32..4, 0usize..0xc00, 0usize..0xc00, 1usize..0x400), 1..6),
        limit in 1usize..0x200,
    ) {
        let mut host = Host::new(limit, "");
        let mut at = 0;
        for (gap, length, permissions, with_file) in &pieces {
            host.map(at + gap, *length, *permissions, *with_file);
            at += gap + length;
        }
        let allowed = allowed(&pieces);
        let (mut ram, mut device) = (pattern(RAM, 7), pattern(RAM, 99));
        host.ram.write_bytes(0, &ram);
        host.kernel.device_write(Dpa::new(0), &device);
        for (kind, source, destination, length) in copies {
            let control = kind << 1;
            let (from_device, to_device) = (control & 2 != 0, control & 4 != 0);
            let address = |inside: bool, at: usize| if inside { at as u64 } else { BASE + at as u64 };
            host.copy(
                address(from_device, source),
                address(to_device, destination),
                length as u32,
                control | 1,
            );
            let side = |inside: bool, at: usize| (!inside).then_some((at, length));
            let mut status = expected(&allowed, side(from_device, source), side(to_device, destination));
            if from_device && to_device && source.abs_diff(destination) < length {
                status = OVERLAP;
            }
            prop_assert_eq!(host.serve(), status);
            if status == DONE {
                let moved = if from_device { &device } else { &ram }[source..source + length].to_vec();
                let into = if to_device { &mut device } else { &mut ram };
                into[destination..destination + length].copy_from_slice(&moved);
            }
            prop_assert_eq!(host.ram(), &ram[..]);
            prop_assert_eq!(host.device(0, RAM), &device[..]);
        }
    }
}
