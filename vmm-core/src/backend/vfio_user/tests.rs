use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

use rstest::rstest;
use rustix::event::EventfdFlags;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::RegionFlags;

use super::*;

mod asked;
mod written;

/// Long enough that no test of another matter meets it.
const PATIENT: Duration = Duration::from_secs(60);

/// A device may read and write.
const BOTH: DmaFlags = DmaFlags::READ.union(DmaFlags::WRITE);

/// Short, for the tests that wait for it.
const IMPATIENT: Duration = Duration::from_millis(100);

/// A server that answers `VERSION` and then plays a script.
struct Scripted {
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Scripted {
    fn new(version: &'static [u8], script: impl FnOnce(&mut UnixStream) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let play = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = message(&mut stream);
            let mut answer = reply(&asked, version);
            stream.write_all(&answer).unwrap();
            script(&mut stream);
            // Whatever the client still says is read, so that it never writes into a closed connection.
            answer.clear();
            let _ = stream.read_to_end(&mut answer);
        };
        Self { path, thread: Some(std::thread::spawn(play)), _folder: folder }
    }

    fn client(&self, timeout: Duration) -> VfioUser {
        VfioUser::connect(&self.path, timeout).unwrap()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Version 0.1 without a text.
const PLAIN: &[u8] = &[0, 0, 1, 0];

/// The next message that the client sends.
fn message(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes).unwrap();
    let size = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    bytes.resize(size, 0);
    stream.read_exact(&mut bytes[16..]).unwrap();
    bytes
}

/// The reply to a message, with this payload.
fn reply(asked: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = asked[..4].to_vec();
    bytes.extend_from_slice(&((16 + payload.len()) as u32).to_le_bytes());
    bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

/// What the client says of a server that answers one read of four bytes with what `answer` makes of it.
fn read_of(answer: fn(&[u8]) -> Vec<u8>, timeout: Duration) -> BackendError {
    let server = Scripted::new(PLAIN, move |stream| {
        let asked = message(stream);
        stream.write_all(&answer(&asked)).unwrap();
    });
    let mut client = server.client(timeout);
    let error = client.read(9, 0x30, &mut [0; 4]).unwrap_err();
    assert_eq!(error.call, Call::Read { region: 9, offset: 0x30, count: 4 });
    drop(client);
    error
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let error = VfioUser::connect(Path::new("/nonexistent/sock"), PATIENT).unwrap_err().to_string();
    assert_eq!(error, "vfio-user:/nonexistent/sock: connecting: No such file or directory (os error 2)");
}

#[test]
fn a_server_whose_queue_is_full_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        match Socket::connect(&path, IMPATIENT) {
            Ok(socket) => waiting.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!(error, "the server accepts nobody within 0.1 s");
}

#[rstest]
#[case::another_major(&[1, 0, 0, 0], "VERSION: the server speaks version 1.0, not 0.1")]
#[case::a_later_minor(&[0, 0, 2, 0], "VERSION: the server speaks version 0.2, not 0.1")]
#[case::a_broken_text(b"\0\0\x01\0{", "VERSION: VERSION: not a JSON object with a final NUL")]
#[case::too_short(&[0, 0], "VERSION: the answer makes no sense: VERSION: 0x2 bytes where 0x4 are needed")]
fn a_server_of_another_version_is_given_up(#[case] version: &'static [u8], #[case] message: &str) {
    let server = Scripted::new(version, |_| {});
    let error = VfioUser::connect(&server.path, PATIENT).unwrap_err();
    assert!(error.is_lost());
    assert!(error.to_string().ends_with(message), "{error}");
}

#[test]
fn a_server_that_takes_less_data_gets_it_in_pieces() {
    let server = Scripted::new(b"\0\0\x01\0{\"capabilities\":{\"max_data_xfer_size\":3}}\0", |stream| {
        for expected in [&[1u8, 2, 3][..], &[4, 5]] {
            let asked = message(stream);
            assert_eq!(&asked[32..], expected);
            stream.write_all(&reply(&asked, &asked[16..32])).unwrap();
        }
    });
    server.client(PATIENT).write(9, 0, &[1, 2, 3, 4, 5]).unwrap();
}

#[test]
fn a_server_that_takes_no_data_at_all_does_not_stop_us() {
    let server = Scripted::new(b"\0\0\0\0{\"capabilities\":{\"max_data_xfer_size\":0}}\0", |stream| {
        let asked = message(stream);
        stream.write_all(&reply(&asked, &asked[16..32])).unwrap();
    });
    server.client(PATIENT).write(9, 0, &[1]).unwrap();
}

#[rstest]
#[case::says_nothing(|_: &[u8]| Vec::new(), "no answer within 0.1 s")]
#[case::half_a_header(|asked: &[u8]| reply(asked, &[])[..7].to_vec(), "no answer within 0.1 s")]
#[case::half_a_payload(|asked: &[u8]| reply(asked, &[0; 20])[..30].to_vec(), "no answer within 0.1 s")]
#[case::no_frame(|_: &[u8]| vec![0; 64], "header: size cannot be 0x0")]
#[case::another_id(|asked: &[u8]| reply(&[&[0xff, 0xff], &asked[2..]].concat(), &[0; 20]), "id 65535, command 9")]
#[case::another_command(
    |asked: &[u8]| reply(&[&asked[..2], &[13, 0], &asked[4..]].concat(), &[0; 20]), "command 13")]
#[case::a_command(|asked: &[u8]| asked.to_vec(), "the server sent a command of its own, number 9")]
#[case::four_gibibytes(
    |asked: &[u8]| [&asked[..4], &[0xff; 4], &[1, 0, 0, 0, 0, 0, 0, 0]].concat(), "4294967295 bytes long")]
#[case::no_prefix(|asked: &[u8]| reply(asked, &[0; 4]), "REGION_READ: 0x4 bytes where 0x10 are needed")]
#[case::more_than_it_brings(
    |asked: &[u8]| reply(asked, &[&asked[16..28], &[0xff; 4], &[0; 4]].concat()),
    "REGION_READ: 0x4 bytes where 0xffffffff are needed")]
#[case::more_than_was_asked(
    |asked: &[u8]| reply(asked, &[&asked[16..28], &[5, 0, 0, 0], &[0; 5]].concat()), "the wrong shape")]
fn an_answer_that_cannot_be_trusted_loses_the_server(
    #[case] answer: fn(&[u8]) -> Vec<u8>,
    #[case] why: &str,
) {
    let error = read_of(answer, IMPATIENT);
    assert!(error.is_lost());
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn less_than_was_asked_is_no_loss() {
    let error = read_of(|asked| reply(asked, &[&asked[16..28], &[2, 0, 0, 0], &[0; 2]].concat()), PATIENT);
    assert_eq!(error.failure, Failure::Short { done: 2, asked: 4 });
}

#[test]
fn a_refusal_has_its_number_and_is_no_loss() {
    let refusal = |asked: &[u8]| [&asked[..4], &[16, 0, 0, 0, 0x21, 0, 0, 0, 5, 0, 0, 0]].concat();
    assert_eq!(read_of(refusal, PATIENT).failure, Failure::Refused(Errno::EIO));
}

#[test]
fn a_server_that_hangs_up_is_named_with_the_call() {
    let server = Scripted::new(PLAIN, |stream| {
        message(stream);
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let mut client = server.client(PATIENT);
    let error = client.reset().unwrap_err().to_string();
    assert!(error.ends_with("DEVICE_RESET: the server hung up instead of answering"), "{error}");
}

#[test]
fn a_lost_server_is_not_asked_again() {
    let server = Scripted::new(PLAIN, |stream| {
        message(stream);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "the client said more");
    });
    let mut client = server.client(IMPATIENT);
    client.reset().unwrap_err();
    for _ in 0..1000 {
        let error = client.read(0, 0, &mut [0; 4]).unwrap_err();
        assert!(
            error.to_string().contains("lost earlier, at DEVICE_RESET: no answer within 0.1 s"),
            "{error}"
        );
    }
}

#[test]
fn a_connection_that_is_given_up_is_closed_at_once() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let server = Scripted::new(PLAIN, move |stream| {
        message(stream);
        stream.read_to_end(&mut Vec::new()).unwrap();
        closed.send(()).unwrap();
    });
    let mut client = server.client(IMPATIENT);
    let lost = client.reset().unwrap_err();
    is_closed.recv().unwrap();
    assert_eq!(client.lost(), Some(lost), "and the client is still here");
}

#[test]
fn what_a_lost_device_is_let_reach_is_remembered_for_who_comes_after_it() {
    let server = Scripted::new(PLAIN, |stream| {
        let asked = message(stream);
        stream.write_all(&reply(&asked, &[])).unwrap();
        message(stream);
    });
    let mut client = server.client(IMPATIENT);
    let [first, second, third] = [0x1000, 0x2000, 0x3000].map(|at| Span::new(Iova::new(at), 0x1000).unwrap());
    let file = Arc::new(tempfile::tempfile().unwrap());
    let mut map = |range| client.dma_map(range, &file, 0x5000, DmaFlags::READ);
    map(first).unwrap();
    assert!(map(second).unwrap_err().is_lost(), "the call that loses it says so");
    assert!(map(second).unwrap_err().is_lost(), "and so does every later one");
    assert!(map(third).unwrap_err().is_lost());
    assert!(client.dma_unmap(first).unwrap_err().is_lost());
    let given: Vec<_> = client.given().iter().map(Given::range).collect();
    assert_eq!(given, [second, third]);
}

#[test]
fn a_server_that_trickles_is_given_up_although_it_never_pauses() {
    let server = Scripted::new(PLAIN, |stream| {
        let asked = message(stream);
        stream.write_all(&[&asked[..4], &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0][..]].concat()).unwrap();
        while stream.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut client = server.client(IMPATIENT);
    let error = client.read(0, 0, &mut [0; 4]).unwrap_err();
    assert!(error.is_lost());
    drop(client);
}

#[test]
fn an_endless_chain_is_asked_for_with_bounded_room() {
    let server = Scripted::new(PLAIN, |stream| {
        for _ in 0..2 {
            let asked = message(stream);
            let room = u32::from_le_bytes(asked[16..20].try_into().unwrap());
            assert!(room <= MAX_INFO);
            let info = [0xff, 0xff, 0xff, 0xff, 0x82, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0];
            stream.write_all(&reply(&asked, &info)).unwrap();
        }
    });
    let info = server.client(PATIENT).device_info().unwrap();
    assert!(DeviceInfo::parse(&info).unwrap().0.chain.is_empty());
}

/// The device of the foreign server: one region that can be mapped, one that cannot, one interrupt.
#[derive(Default)]
struct Foreign {
    bytes: Vec<u8>,
    log: Vec<String>,
}

impl vfio_user::ServerBackend for Foreign {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), std::io::Error> {
        self.log.push(format!("read {region} {offset:#x} {}", data.len()));
        data.copy_from_slice(&self.bytes[offset as usize..][..data.len()]);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.log.push(format!("write {region} {offset:#x} {}", data.len()));
        self.bytes[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn dma_map(
        &mut self,
        _flags: vfio_user::DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> Result<(), std::io::Error> {
        self.log.push(format!("map {address:#x} {size:#x} from {offset:#x}, file {}", fd.is_some()));
        Ok(())
    }

    fn dma_unmap(
        &mut self,
        _flags: vfio_user::DmaUnmapFlags,
        address: u64,
        size: u64,
    ) -> Result<(), std::io::Error> {
        self.log.push(format!("unmap {address:#x} {size:#x}"));
        Ok(())
    }

    fn reset(&mut self) -> Result<(), std::io::Error> {
        self.log.push("reset".to_owned());
        Ok(())
    }

    fn set_irqs(
        &mut self,
        _index: u32,
        _flags: u32,
        _start: u32,
        _count: u32,
        _fds: Vec<File>,
    ) -> Result<(), std::io::Error> {
        Ok(())
    }
}

fn foreign_regions(memory: &File) -> Vec<vfio_user::ServerRegion> {
    let area = |size| vfio_user::SparseArea {
        area: vfio_bindings::bindings::vfio::vfio_region_sparse_mmap_area { offset: 0, size },
    };
    let region = |index, flags, size, areas: Vec<vfio_user::SparseArea>, file| vfio_user::ServerRegion {
        region_info: vfio_bindings::bindings::vfio::vfio_region_info {
            argsz: 32,
            flags,
            index,
            size,
            ..Default::default()
        },
        sparse_areas: areas,
        mmap_fd: file,
    };
    vec![
        region(0, 3, 0x100, Vec::new(), None),
        region(1, 7, 0x2000, vec![area(0x1000)], Some(memory.as_raw_fd())),
    ]
}

#[test]
fn the_server_of_another_hand_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.sock");
    let memory = tempfile::tempfile().unwrap();
    memory.set_len(0x2000).unwrap();
    let irqs = vec![vfio_user::IrqInfo { index: 0, flags: 1, count: 3 }];
    let server = vfio_user::Server::new(&path, true, irqs, foreign_regions(&memory)).unwrap();
    let serving = std::thread::spawn(move || {
        let mut device = Foreign { bytes: vec![0; 0x100], log: Vec::new() };
        server.run(&mut device).unwrap();
        device.log
    });
    let mut client = VfioUser::connect(&path, PATIENT).unwrap();

    let info = DeviceInfo::parse(&client.device_info().unwrap()).unwrap().0;
    assert_eq!((info.flags, info.num_regions, info.num_irqs), (DeviceFlags::PCI | DeviceFlags::RESET, 2, 1));
    let (bytes, file) = client.region_info(1).unwrap();
    let region = RegionInfo::parse(&bytes).unwrap().0;
    assert!(region.flags.contains(RegionFlags::MMAP) && file.is_some());
    let areas = region.chain.sparse_areas().unwrap().unwrap();
    assert_eq!((areas.len(), areas[0].size), (1, 0x1000));
    assert_eq!(client.irq_info(0).unwrap().count.get(), 3);

    client.write(0, 0x10, &[1, 2, 3, 4]).unwrap();
    let mut seen = [0; 4];
    client.read(0, 0x10, &mut seen).unwrap();
    assert_eq!(seen, [1, 2, 3, 4]);
    let range = Span::new(Iova::new(0x1000_0000), 0x1000).unwrap();
    client.dma_map(range, &Arc::new(memory), 0x1000, BOTH).unwrap();
    client.dma_unmap(range).unwrap();
    client.reset().unwrap();
    drop(client);
    let log = serving.join().unwrap();
    let expected = [
        "write 0 0x10 4",
        "read 0 0x10 4",
        "map 0x10000000 0x1000 from 0x1000, file true",
        "unmap 0x10000000 0x1000",
        "reset",
    ];
    assert_eq!(log, expected);
}

/// A client that lets its device reach 0x1000 bytes from 0x5000, which are a file from 0x100, and then resets it.
/// Before the device answers that, it asks this and hears that, where anything is said.
fn asked_by_the_device(file: &Arc<File>, says: &[(&[u8], &[u8])]) -> Result<(), BackendError> {
    let says: Vec<_> = says.iter().map(|(asks, hears)| (asks.to_vec(), hears.to_vec())).collect();
    let server = Scripted::new(PLAIN, move |stream| {
        let map = message(stream);
        stream.write_all(&reply(&map, &[])).unwrap();
        let reset = message(stream);
        for (asks, hears) in says {
            stream.write_all(&asks).unwrap();
            let mut heard = vec![0; hears.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, hears);
        }
        stream.write_all(&reply(&reset, &[])).unwrap();
    });
    let mut client = server.client(PATIENT);
    client.dma_map(Span::new(Iova::new(0x5000), 0x1000).unwrap(), file, 0x100, BOTH).unwrap();
    client.reset()
}

fn ram() -> Arc<File> {
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x2000).unwrap();
    Arc::new(file)
}

#[rustfmt::skip]
const READ: &[u8] = &[
    9, 0, 11, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x02, 0x50, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
];

#[rustfmt::skip]
const READ_ANSWER: &[u8] = &[
    9, 0, 11, 0, 35, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    0x02, 0x50, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'x', b'y', b'z',
];

#[rustfmt::skip]
const WRITE: &[u8] = &[
    8, 0, 12, 0, 35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0xfd, 0x5f, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c',
];

#[rustfmt::skip]
const WRITE_ANSWER: &[u8] = &[
    8, 0, 12, 0, 32, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    0xfd, 0x5f, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn a_device_that_asks_for_memory_is_answered_before_it_answers() {
    let file = ram();
    std::os::unix::fs::FileExt::write_all_at(&*file, b"..xyz..", 0x100).unwrap();
    asked_by_the_device(&file, &[(READ, READ_ANSWER), (WRITE, WRITE_ANSWER), (READ, READ_ANSWER)]).unwrap();
    let mut seen = [0; 5];
    std::os::unix::fs::FileExt::read_exact_at(&*file, &mut seen, 0x100 + 0xffc).unwrap();
    assert_eq!(&seen, b"\0abc\0");
}

#[test]
fn a_posted_write_of_the_device_is_done_and_not_answered() {
    const POSTED: &[u8] = &[
        8, 0, 12, 0, 33, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 2, 0x50, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
        0, b'x',
    ];
    let file = ram();
    std::os::unix::fs::FileExt::write_all_at(&*file, b"...yz", 0x100).unwrap();
    asked_by_the_device(&file, &[(POSTED, &[]), (READ, READ_ANSWER)]).unwrap();
}

#[rstest]
#[case::a_byte_before(11, 0x4fff, 2, &[], 14)]
#[case::past_the_end(11, 0x5fff, 2, &[], 14)]
#[case::write_past_the_end(12, 0x5fff, 2, &[1, 2], 14)]
#[case::a_range_that_wraps(12, u64::MAX, 1, &[1], 14)]
#[case::more_than_was_agreed(11, 0x5000, (1 << 20) + 1, &[], 7)]
#[case::more_than_there_is_memory(11, 0x5000, u64::MAX, &[], 7)]
#[case::more_than_it_brings(12, 0x5000, 2, &[1], 22)]
fn a_device_that_asks_for_what_it_may_not_have_is_refused_and_not_lost(
    #[case] command: u8,
    #[case] address: u64,
    #[case] count: u64,
    #[case] data: &[u8],
    #[case] errno: u8,
) {
    let header = [7, 0, command, 0, 32 + data.len() as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let asks = [&header[..], &address.to_le_bytes(), &count.to_le_bytes(), data].concat();
    let refusal = [7, 0, command, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, errno, 0, 0, 0];
    let file = ram();
    asked_by_the_device(&file, &[(&asks, &refusal)]).unwrap();
    let mut bytes = [0; 0x2000];
    std::os::unix::fs::FileExt::read_exact_at(&*file, &mut bytes, 0).unwrap();
    assert_eq!(bytes, [0; 0x2000]);
}

#[test]
fn a_device_that_asks_with_half_a_structure_is_refused_and_not_lost() {
    let asks = [7, 0, 11, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0];
    let refusal = [7, 0, 11, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 22, 0, 0, 0];
    asked_by_the_device(&ram(), &[(&asks, &refusal)]).unwrap();
}

#[test]
fn what_a_device_may_only_read_it_cannot_write() {
    let server = Scripted::new(PLAIN, |stream| {
        let map = message(stream);
        assert_eq!(map[16..24], [32, 0, 0, 0, 1, 0, 0, 0], "read and no write");
        stream.write_all(&reply(&map, &[])).unwrap();
        let reset = message(stream);
        stream.write_all(WRITE).unwrap();
        assert_eq!(message(stream), [8, 0, 12, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 14, 0, 0, 0]);
        stream.write_all(READ).unwrap();
        assert_eq!(message(stream), [&READ_ANSWER[..32], &[0; 3]].concat());
        stream.write_all(&reply(&reset, &[])).unwrap();
    });
    let mut client = server.client(PATIENT);
    client.dma_map(Span::new(Iova::new(0x5000), 0x1000).unwrap(), &ram(), 0, DmaFlags::READ).unwrap();
    client.reset().unwrap();
}

#[test]
fn memory_that_was_unmapped_is_out_of_the_devices_reach() {
    let server = Scripted::new(PLAIN, |stream| {
        let map = message(stream);
        stream.write_all(&reply(&map, &[])).unwrap();
        let unmap = message(stream);
        stream.write_all(&reply(&unmap, &unmap[16..])).unwrap();
        let reset = message(stream);
        stream.write_all(READ).unwrap();
        assert_eq!(message(stream), [9, 0, 11, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 14, 0, 0, 0]);
        stream.write_all(&reply(&reset, &[])).unwrap();
    });
    let mut client = server.client(PATIENT);
    let range = Span::new(Iova::new(0x5000), 0x1000).unwrap();
    client.dma_map(range, &ram(), 0, BOTH).unwrap();
    client.dma_unmap(range).unwrap();
    client.reset().unwrap();
}

#[test]
fn a_device_that_asks_without_end_is_given_up() {
    let server = Scripted::new(PLAIN, |stream| {
        message(stream);
        while stream.write_all(READ).is_ok() {
            message_or_end(stream);
        }
    });
    let mut client = server.client(IMPATIENT);
    let error = client.reset().unwrap_err();
    assert!(error.to_string().ends_with("no answer within 0.1 s"), "{error}");
    drop(client);
}

/// Reads an answer of 16 bytes, unless the client has gone.
fn message_or_end(stream: &mut UnixStream) {
    let _ = stream.read_exact(&mut [0; 16]);
}

#[test]
fn files_beyond_the_first_are_closed() {
    let server = Scripted::new(PLAIN, |stream| {
        let asked = message(stream);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let event = rustix::event::eventfd(0, EventfdFlags::empty()).unwrap();
        let payload = [&[32u8, 0, 0, 0, 7, 0, 0, 0], &[0; 24][..]].concat();
        let answer = reply(&asked, &payload);
        let files = [event.as_fd(), theirs.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&files)));
        let bytes = [std::io::IoSlice::new(&answer)];
        rustix::net::sendmsg(&*stream, &bytes, &mut control, rustix::net::SendFlags::empty()).unwrap();
        drop(theirs);
        assert_eq!((&ours).read(&mut [0]).unwrap(), 0, "the client closed the second file");
    });
    assert!(server.client(PATIENT).region_info(0).unwrap().1.is_some());
}
