use rstest::rstest;
use vfio_abi::info::DeviceInfo;
use vfio_abi::request::DmaMap;
use vfio_abi::request::DmaUnmap;

use super::*;
use crate::profile::Profile;
use crate::silicon::Silicon;

const QEMU: &[u8] = b"{\"capabilities\":{\"pgsizes\":4096,\"max_msg_fds\":16,\"max_dma_maps\":65535,\
    \"max_data_xfer_size\":1048576,\"write_multiple\":true}}\0";

/// A client without a socket: it speaks to a session and reads the answers' bytes.
struct Client {
    kernel: Kernel,
    session: Session,
    id: u16,
}

/// An answer: the frame's bytes and whether a file came with it.
type Heard = Option<(Vec<u8>, bool)>;

impl Client {
    fn new(text: &str) -> Self {
        let profile = Profile::parse("test", text).unwrap().check().unwrap();
        let mut kernel =
            Kernel::bind(Silicon::power_on(profile).unwrap(), crate::kernel::DEFAULT_ABI).unwrap();
        kernel.open();
        Self { kernel, session: Session::new(), id: 100 }
    }

    fn negotiated() -> Self {
        let mut client = Self::new("");
        client.negotiate(0, 0, QEMU).unwrap();
        client
    }

    fn message(&mut self, command: u16, flags: u32, payload: &[u8], files: Vec<OwnedFd>) -> Heard {
        self.id += 1;
        let header = Header {
            id: self.id.into(),
            command: command.into(),
            size: ((frame::HEADER_SIZE + payload.len()) as u32).into(),
            flags: flags.into(),
            error: 0.into(),
        };
        match self.session.answer(&mut self.kernel, Taken::Message { header, payload, files }) {
            Answer::Reply { frame, file } => Some((frame.to_vec(), file.is_some())),
            Answer::Nothing => None,
            Answer::HangUp | Answer::Silence | Answer::Half { .. } => panic!("no fault was asked for"),
        }
    }

    /// Asks, checks that the answer is one to this question, and gives its payload or its error.
    fn ask(&mut self, request: &Request<'_>) -> Result<(Vec<u8>, bool), Errno> {
        let mut payload = Vec::new();
        request.encode(&mut payload);
        let number = request.command().number();
        let (frame, file) = self.message(number, 0, &payload, Vec::new()).expect("an answer");
        let header = Header::parse(&frame).unwrap().unwrap();
        assert_eq!((header.id.get(), header.command.get()), (self.id, number));
        assert_eq!(header.size.get() as usize, frame.len());
        assert!(header.is_reply());
        match header.errno() {
            Some(errno) => Err(errno),
            None => Ok((frame[frame::HEADER_SIZE..].to_vec(), file)),
        }
    }

    fn negotiate(&mut self, major: u16, minor: u16, text: &[u8]) -> Result<Vec<u8>, Errno> {
        let numbers = VersionNumbers { major: major.into(), minor: minor.into() };
        self.ask(&Request::Version(numbers, text)).map(|(payload, _)| payload)
    }

    fn read(&mut self, region: u32, offset: u64, count: u32) -> Result<Vec<u8>, Errno> {
        self.ask(&Request::RegionRead(access(region, offset, count))).map(|(payload, _)| payload)
    }
}

fn access(region: u32, offset: u64, count: u32) -> RegionAccess {
    RegionAccess { offset: offset.into(), region: region.into(), count: count.into() }
}

#[test]
fn qemu_is_answered_in_its_own_version_with_its_own_keys() {
    let payload = Client::new("").negotiate(0, 0, QEMU).unwrap();
    let text = "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"max_dma_maps\":65535,\
        \"pgsizes\":4096,\"write_multiple\":false}}\0";
    assert_eq!(payload[..4], [0, 0, 0, 0]);
    assert_eq!(std::str::from_utf8(&payload[4..]).unwrap(), text);
    assert!(payload.len() - 4 <= QEMU.len() + 1);
}

#[rstest]
#[case(0, 0)]
#[case(1, 1)]
#[case(7, 1)]
fn the_smaller_minor_version_is_spoken(#[case] theirs: u16, #[case] spoken: u8) {
    let payload = Client::new("").negotiate(0, theirs, b"{}\0").unwrap();
    assert_eq!(payload[..4], [0, 0, spoken, 0]);
}

#[test]
fn a_client_without_a_text_gets_none() {
    assert_eq!(Client::new("").negotiate(0, 1, b"").unwrap(), [0, 0, 1, 0]);
}

#[rstest]
#[case::another_major(1, b"{}\0")]
#[case::no_final_nul(0, b"{}")]
#[case::no_json(0, b"}\0")]
fn a_version_that_cannot_be_is_refused_and_can_be_mended(#[case] major: u16, #[case] text: &[u8]) {
    let mut client = Client::new("");
    assert_eq!(client.negotiate(major, 0, text), Err(Errno::EINVAL));
    assert!(client.negotiate(0, 0, b"{}\0").is_ok());
}

#[test]
fn nothing_comes_before_the_version_and_the_version_comes_once() {
    let mut client = Client::new("");
    assert_eq!(client.ask(&Request::DeviceReset), Err(Errno::EINVAL));
    client.negotiate(0, 0, b"").unwrap();
    assert!(client.ask(&Request::DeviceReset).is_ok());
    assert_eq!(client.negotiate(0, 0, b""), Err(Errno::EINVAL));
}

#[rstest]
#[case::qemu(16, 16)]
#[case::cloud_hypervisor(32, 16)]
#[case::one_byte_short(55, 16)]
#[case::room_for_all(56, 56)]
fn the_room_alone_decides_whether_the_chain_comes(#[case] argsz: u32, #[case] length: usize) {
    let (payload, _) = Client::negotiated().ask(&Request::DeviceGetInfo { argsz }).unwrap();
    assert_eq!(payload.len(), length);
    assert_eq!(DeviceInfo::parse(&payload).unwrap().1, 56);
}

#[rstest]
#[case::the_memory(9, true)]
#[case::the_component_bar(2, true)]
#[case::the_component_registers(10, false)]
#[case::configuration(7, false)]
#[case::interrupts(0, false)]
fn every_region_with_the_mmap_flag_comes_with_a_file(#[case] index: u32, #[case] mappable: bool) {
    for argsz in [32, 4096] {
        let (payload, file) =
            Client::negotiated().ask(&Request::DeviceGetRegionInfo { argsz, index }).unwrap();
        assert_eq!(file, mappable);
        assert_eq!(payload[4] & 4 != 0, mappable);
    }
}

#[test]
fn the_wrong_that_a_client_does_is_counted() {
    let mut client = Client::negotiated();
    assert_eq!(
        client.ask(&Request::DeviceGetRegionInfo { argsz: 32, index: 11 }).unwrap_err(),
        Errno::EINVAL
    );
    assert_eq!(client.read(2, 1 << 20, 4), Err(Errno::EINVAL));
    assert_eq!((client.session.messages(), client.session.refused()), (3, 2));
}

#[test]
fn a_read_brings_its_prefix_and_what_there_was() {
    let payload = Client::negotiated().read(2, 0, 8).unwrap();
    assert_eq!(payload[..16], [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0]);
    assert_eq!(&payload[16..], b"CXL-SIM\0");
}

#[test]
fn a_read_past_the_end_brings_less_and_says_so() {
    let payload = Client::negotiated().read(10, 0x13c, 8).unwrap();
    assert_eq!((payload[12], payload.len()), (4, 20));
}

#[test]
fn a_read_of_more_than_was_agreed_is_refused() {
    assert_eq!(Client::negotiated().read(9, 0, (1 << 20) + 1), Err(Errno::E2BIG));
    assert_eq!(Client::negotiated().read(9, 0, u32::MAX), Err(Errno::E2BIG));
    assert_eq!(Client::negotiated().read(9, 0, 1 << 20).unwrap().len(), 16 + (1 << 20));
}

#[test]
fn a_write_is_answered_with_its_prefix() {
    let mut client = Client::negotiated();
    let (payload, _) = client.ask(&Request::RegionWrite(access(9, 0x1000, 4), &[1, 2, 3, 4])).unwrap();
    assert_eq!(payload, [0, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(client.read(9, 0x1000, 4).unwrap()[16..], [1, 2, 3, 4]);
}

#[test]
fn an_unmap_is_answered_with_its_echo() {
    let mut client = Client::negotiated();
    let map = DmaMap {
        argsz: 32.into(),
        flags: 3.into(),
        offset: 0.into(),
        address: 0x1000.into(),
        size: 0x1000.into(),
    };
    assert!(client.ask(&Request::DmaMap(map)).unwrap().0.is_empty());
    let unmap = DmaUnmap { argsz: 24.into(), flags: 0.into(), address: 0x1000.into(), size: 0x1000.into() };
    assert_eq!(client.ask(&Request::DmaUnmap(unmap)).unwrap().0.len(), 24);
    assert_eq!(client.ask(&Request::DmaUnmap(unmap)), Err(Errno::ENOENT));
}

#[test]
fn a_posted_write_is_done_and_not_answered() {
    let mut client = Client::negotiated();
    let mut payload = Vec::new();
    Request::RegionWrite(access(9, 0, 1), &[0x5a]).encode(&mut payload);
    assert_eq!(client.message(10, frame::flags::NO_REPLY, &payload, Vec::new()), None);
    assert_eq!(client.read(9, 0, 1).unwrap()[16..], [0x5a]);
}

#[test]
fn a_posted_write_that_fails_is_counted_and_not_answered() {
    let mut client = Client::negotiated();
    let mut payload = Vec::new();
    Request::RegionWrite(access(99, 0, 1), &[0]).encode(&mut payload);
    assert_eq!(client.message(10, frame::flags::NO_REPLY, &payload, Vec::new()), None);
    assert_eq!(client.session.refused(), 1);
}

#[test]
fn a_stray_reply_is_counted_and_not_answered() {
    let mut client = Client::negotiated();
    assert_eq!(client.message(13, frame::flags::REPLY, &[], Vec::new()), None);
    assert_eq!(client.session.refused(), 1);
}

#[rstest]
#[case::without_a_number(0, Errno::ENOSYS)]
#[case::a_number_that_was_taken_back(14, Errno::ENOSYS)]
#[case::far_away(0xffff, Errno::ENOSYS)]
#[case::many_writes(15, Errno::EOPNOTSUPP)]
#[case::a_feature(16, Errno::EOPNOTSUPP)]
#[case::a_command_of_the_servers(11, Errno::EINVAL)]
fn a_command_that_is_not_offered_is_refused(#[case] command: u16, #[case] errno: Errno) {
    let mut client = Client::negotiated();
    let (frame, _) = client.message(command, 0, &[0; 64], Vec::new()).unwrap();
    assert_eq!(Header::parse(&frame).unwrap().unwrap().errno(), Some(errno));
    assert_eq!(frame.len(), frame::HEADER_SIZE);
}

#[test]
fn a_payload_that_is_too_short_is_refused_for_every_command() {
    for command in Command::ALL.iter().filter(|command| command.number() < 11 && command.number() != 1) {
        let mut client = Client::negotiated();
        let (frame, _) = client.message(command.number(), 0, &[0; 3], Vec::new()).unwrap();
        let errno = Header::parse(&frame).unwrap().unwrap().errno();
        assert_eq!(errno, Some(Errno::EINVAL), "{}", command.name());
    }
}

#[test]
fn a_client_that_rings_by_the_event_has_rung_before_its_next_message() {
    let mut client = Client::negotiated();
    client.kernel.write(7, 4, &[6, 0]).unwrap();
    // A copy inside the device's memory: 64 bytes from 0 to 0x1000.
    for (offset, value) in [(0xc000, 0u32), (0xc008, 0x1000), (0xc010, 64), (0xc014, 6)] {
        client.kernel.write(0, offset, &value.to_le_bytes()).unwrap();
    }
    let mut payload = Vec::new();
    Request::DeviceGetRegionIoFds { argsz: 56, index: 0 }.encode(&mut payload);
    let header =
        Header { id: 1.into(), command: 6.into(), size: 32.into(), flags: 0.into(), error: 0.into() };
    let taken = Taken::Message { header, payload: &payload, files: Vec::new() };
    let Answer::Reply { frame, file: Some(file) } = client.session.answer(&mut client.kernel, taken) else {
        panic!("an answer with a file");
    };
    // One part, at 0xc01c, four bytes long.
    assert_eq!((frame.len(), frame[28], &frame[32..34], frame[40]), (16 + 56, 1, &[0x1c, 0xc0][..], 4));
    let status = |client: &mut Client| client.read(0, 0xc018, 4).unwrap()[16];
    assert_eq!(status(&mut client), 0, "nobody has rung");
    rustix::io::write(&file, &1u64.to_ne_bytes()).unwrap();
    client.session.ring(&mut client.kernel);
    client.session.carry_on(&mut client.kernel);
    assert_eq!(status(&mut client), 2);
    client.kernel.write(0, 0xc018, &[2, 0, 0, 0]).unwrap();
    rustix::io::write(&file, &1u64.to_ne_bytes()).unwrap();
    assert_eq!(status(&mut client), 1, "busy: the doorbell was before the read");
}

#[rstest]
#[case::too_little_room(15, 0, Errno::EINVAL)]
#[case::no_such_region(56, 99, Errno::EINVAL)]
fn events_for_writes_are_refused_where_there_is(
    #[case] argsz: u32,
    #[case] index: u32,
    #[case] errno: Errno,
) {
    let mut client = Client::negotiated();
    assert_eq!(client.ask(&Request::DeviceGetRegionIoFds { argsz, index }), Err(errno));
}

#[test]
fn a_message_longer_than_agreed_is_refused_by_its_header() {
    let mut client = Client::negotiated();
    let header =
        Header { id: 7.into(), command: 9.into(), size: u32::MAX.into(), flags: 0.into(), error: 0.into() };
    let Answer::Reply { frame, .. } = client.session.answer(&mut client.kernel, Taken::TooLong(header))
    else {
        panic!("no answer");
    };
    assert_eq!(frame, [7, 0, 9, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 7, 0, 0, 0]);
}

#[test]
fn files_that_nobody_asked_for_are_closed() {
    let mut client = Client::negotiated();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    client.message(13, 0, &[], vec![theirs.into()]).unwrap();
    ours.set_nonblocking(true).unwrap();
    assert_eq!(std::io::Read::read(&mut &ours, &mut [0]).unwrap(), 0, "the other end is closed");
}

#[test]
fn the_profile_can_make_the_server_hang_up_or_fall_silent() {
    let mut client = Client::new("[faults]\ndisconnect_at_message = 1");
    let header =
        Header { id: 7.into(), command: 13.into(), size: 16.into(), flags: 0.into(), error: 0.into() };
    let message = || Taken::Message { header, payload: &[], files: Vec::new() };
    assert!(matches!(client.session.answer(&mut client.kernel, message()), Answer::HangUp));
    let mut client = Client::new("[faults]\ntruncated_at_message = 1");
    assert!(
        matches!(client.session.answer(&mut client.kernel, message()), Answer::Half { .. }),
        "an error, too"
    );
    let mut client = Client::new("[faults]\nsilent_at_message = 2");
    assert!(matches!(client.session.answer(&mut client.kernel, message()), Answer::Reply { .. }));
    assert!(matches!(client.session.answer(&mut client.kernel, message()), Answer::Silence));
}

#[test]
fn the_profile_can_make_an_answer_end_in_the_middle() {
    let mut client = Client::new("[faults]\ntruncated_at_message = 2");
    client.negotiate(0, 0, QEMU).unwrap();
    let header =
        Header { id: 7.into(), command: 13.into(), size: 16.into(), flags: 0.into(), error: 0.into() };
    let message = Taken::Message { header, payload: &[], files: Vec::new() };
    assert!(
        matches!(client.session.answer(&mut client.kernel, message), Answer::Half { frame } if frame.len() == 16)
    );
}

#[test]
fn the_profile_can_refuse_a_message_with_a_number_that_nobody_expects() {
    let mut client = Client::new("[faults]\nwrong_errno_at_message = { message = 2, errno = 133 }");
    client.negotiate(0, 0, QEMU).unwrap();
    assert_eq!(client.ask(&Request::DeviceReset), Err(Errno(133)));
    assert!(client.ask(&Request::DeviceReset).is_ok());
}

fn dma_map(address: u64, size: u64) -> Request<'static> {
    let [argsz, flags] = [32.into(), 3.into()];
    Request::DmaMap(DmaMap { argsz, flags, offset: 0.into(), address: address.into(), size: size.into() })
}

fn dma_unmap(address: u64, size: u64) -> Request<'static> {
    let [argsz, flags] = [24.into(), 0.into()];
    Request::DmaUnmap(DmaUnmap { argsz, flags, address: address.into(), size: size.into() })
}

#[test]
fn the_profile_can_refuse_what_is_mapped_from_an_address_on() {
    let mut client = Client::new("[faults]\nmap_efault_from = 0x8000");
    client.negotiate(0, 0, QEMU).unwrap();
    assert!(client.ask(&dma_map(0x7000, 0x1000)).is_ok());
    assert_eq!(client.ask(&dma_map(0x8000, 0x1000)), Err(Errno::EFAULT));
    assert_eq!(client.ask(&dma_unmap(0x8000, 0x1000)), Err(Errno::ENOENT), "it is not mapped");
    assert!(client.ask(&dma_unmap(0x7000, 0x1000)).is_ok());
}

#[test]
fn the_profile_can_let_a_range_take_the_place_of_those_that_it_overlaps() {
    let mut client = Client::new("[faults]\nmaps_may_overlap = true");
    client.negotiate(0, 0, QEMU).unwrap();
    for (address, size) in [(0x1000, 0x1000), (0x2000, 0x1000), (0x4000, 0x1000), (0x1000, 0x2000)] {
        assert!(client.ask(&dma_map(address, size)).is_ok(), "{address:#x}");
    }
    assert_eq!(client.ask(&dma_unmap(0x2000, 0x1000)), Err(Errno::EINVAL), "it is inside the last one");
    assert!(client.ask(&dma_unmap(0x1000, 0x2000)).is_ok());
    assert!(client.ask(&dma_unmap(0x4000, 0x1000)).is_ok(), "nothing is over it");
}

#[test]
fn the_profile_can_keep_what_is_unmapped() {
    let mut client = Client::new("[faults]\nunmaps_forget_nothing = true");
    client.negotiate(0, 0, QEMU).unwrap();
    assert!(client.ask(&dma_map(0x1000, 0x1000)).is_ok());
    assert!(client.ask(&dma_unmap(0x1000, 0x1000)).is_ok());
    assert_eq!(client.ask(&dma_map(0x1000, 0x1000)), Err(Errno::EEXIST));
}

/// The structures of the kernel, told to fit in any room: too small a room is refused, but for the device's own
/// structure, whose sixteen bytes are sent to everybody.
#[test]
fn every_room_has_its_answer() {
    let mut client = Client::negotiated();
    for argsz in 0..=128 {
        let device = client.ask(&Request::DeviceGetInfo { argsz }).map(|(payload, _)| payload.len());
        assert_eq!(device, Ok(if argsz >= 56 { 56 } else { 16 }), "device info in {argsz}");
        for (index, whole) in [(0, 32), (2, 32 + 48), (7, 32), (9, 48), (10, 48)] {
            let region = client.ask(&Request::DeviceGetRegionInfo { argsz, index });
            let expected = match argsz {
                0..32 => Err(Errno::EINVAL),
                _ => Ok(if argsz >= whole { whole as usize } else { 32 }),
            };
            assert_eq!(region.map(|(payload, _)| payload.len()), expected, "region {index} in {argsz}");
        }
        let irq = client.ask(&Request::DeviceGetIrqInfo { argsz, index: 2 });
        let expected = if argsz < 16 { Err(Errno::EINVAL) } else { Ok(16) };
        assert_eq!(irq.map(|(payload, _)| payload.len()), expected, "interrupt info in {argsz}");
    }
}

#[test]
fn a_device_that_cannot_be_reset_says_so_and_refuses() {
    let mut client = Client::new("[faults]\ncannot_be_reset = true");
    client.negotiate(0, 0, QEMU).unwrap();
    let (payload, _) = client.ask(&Request::DeviceGetInfo { argsz: 16 }).unwrap();
    assert_eq!(DeviceInfo::parse(&payload).unwrap().0.flags.bits() & 1, 0);
    assert_eq!(client.ask(&Request::DeviceReset), Err(Errno::EINVAL));
}
