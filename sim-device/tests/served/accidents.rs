//! Clients that die, linger or want too much: what they made the server hold is gone with them, what was wrong is
//! counted by its kind, and the next client is served as the first was.

use std::fs::File;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rstest::rstest;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use sim_device::server::Ending;
use sim_device::server::Limits;
use sim_device::server::Peers;
use sim_device::server::Report;
use sim_device::server::Served;
use sim_device::server::Stranger;
use sim_device::server::Terms;
use sim_device::server::Wrong;

use crate::Server;
use crate::hostile::IMPATIENT;
use crate::hostile::PATIENT;
use crate::hostile::RESET;
use crate::hostile::VERSION;
use crate::hostile::answer;
use crate::hostile::connect;
use crate::hostile::connect_and_copy;
use crate::hostile::header;

/// A `DMA_MAP` of one page.
fn map(address: u64) -> Vec<u8> {
    let mut map = header(2, 48);
    map.extend_from_slice(&[32, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    map.extend_from_slice(&address.to_le_bytes());
    map.extend_from_slice(&[0, 0x10, 0, 0, 0, 0, 0, 0]);
    map
}

/// A `DEVICE_SET_IRQS` that attaches the event of MSI-X vector 0.
fn attach() -> Vec<u8> {
    let mut attach = header(8, 36);
    attach.extend_from_slice(&[20, 0, 0, 0, 0x24, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    attach
}

/// A `REGION_WRITE` of four bytes of device memory.
fn write() -> Vec<u8> {
    let mut write = header(10, 36);
    write.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
    write
}

/// Sends bytes and so many copies of a file beside the first of them.
fn send(stream: &UnixStream, bytes: &[u8], file: BorrowedFd<'_>, count: usize) {
    let files = vec![file; count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(files.is_empty() || control.push(SendAncillaryMessage::ScmRights(&files)));
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
    assert_eq!(sent, Ok(bytes.len()));
}

/// A page in a file.
fn page() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x1000).unwrap();
    file
}

/// Whether the server has let go of what it got of a pipe's writing end: only then does its reading end end.
fn closed(mut reader: impl Read) -> bool {
    matches!(reader.read(&mut [0]), Ok(0))
}

#[rstest]
#[case::version(VERSION.to_vec(), 0, false)]
#[case::map(map(0x1000), 0, true)]
#[case::map_with_a_file(map(0x1000), 1, true)]
#[case::interrupt_with_an_event(attach(), 1, true)]
#[case::write(write(), 0, true)]
#[case::reset_with_files_that_it_does_not_take(RESET.to_vec(), 3, true)]
fn a_client_that_dies_at_any_byte_of_a_message_leaves_nothing(
    #[case] message: Vec<u8>,
    #[case] files: usize,
    #[case] negotiated: bool,
) {
    let server = Server::start("", PATIENT);
    for length in 1..message.len() {
        let stream = if negotiated { connect(&server) } else { UnixStream::connect(&server.path).unwrap() };
        let (watched, given) = std::io::pipe().unwrap();
        send(&stream, &message[..length], given.as_fd(), files);
        drop((stream, given));
        let Served { ending, messages, wrongs, .. } = server.next_served();
        assert!(matches!(ending, Ending::CutOff), "{ending:?} after {length} bytes");
        assert_eq!((messages, wrongs.to_string().as_str()), (negotiated.into(), "unfinished messages: 1"));
        assert!(closed(watched));
    }
    ask_for_status(&mut connect(&server));
}

/// Reads four bytes of configuration space, which any client of a sound server can.
fn ask_for_status(stream: &mut UnixStream) {
    let mut read = header(9, 32);
    read.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0]);
    stream.write_all(&read).unwrap();
    assert_eq!(answer(stream, 36)[32..], [0x98, 0x1e, 0xf2, 0xc7]);
}

#[test]
fn what_a_client_made_the_server_hold_goes_with_it_and_not_with_the_next() {
    let server = Server::start("", PATIENT);
    let (watched, given) = std::io::pipe().unwrap();
    let mut stream = connect(&server);
    for (message, file) in [(map(0x1000), page().as_fd()), (attach(), given.as_fd())] {
        send(&stream, &message, file, 1);
        assert_eq!(answer(&mut stream, 16)[8], 1);
    }
    drop((stream, given));
    assert!(server.next_served().wrongs.is_none());
    assert!(closed(watched), "no other client has come");
    let mut stream = connect(&server);
    stream.write_all(&map(0x1000)).unwrap();
    assert_eq!(answer(&mut stream, 16)[8], 1, "nobody has mapped it");
}

#[test]
fn a_client_that_dies_while_its_device_copies_leaves_nothing() {
    let server = Server::start("", PATIENT);
    for _ in 0..3 {
        drop(connect_and_copy(&server));
        assert!(server.next_served().wrongs.is_none());
    }
}

#[rstest]
#[case::and_says_nothing(&[])]
#[case::and_says_other_things(&RESET)]
fn a_client_that_does_not_negotiate_is_left(#[case] says: &[u8]) {
    let server = Server::start("", IMPATIENT);
    let mut stream = UnixStream::connect(&server.path).unwrap();
    // It goes on for as long as it is let.
    let talker = std::thread::spawn({
        let (mut stream, says) = (stream.try_clone().unwrap(), says.to_vec());
        move || while !says.is_empty() && stream.write_all(&says).is_ok() {}
    });
    let reader = std::thread::spawn(move || while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {});
    let served = server.next_served();
    assert!(matches!(served.ending, Ending::OutOfPatience(Wrong::NoVersion)), "{:?}", served.ending);
    assert_eq!(
        (served.wrongs.of(Wrong::NoVersion), served.wrongs.of(Wrong::OutOfTurn)),
        (1, served.messages)
    );
    talker.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn files_that_a_message_does_not_take_are_closed_and_counted_and_the_message_is_answered() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    let (watched, given) = std::io::pipe().unwrap();
    send(&stream, &RESET, given.as_fd(), 16);
    drop(given);
    assert_eq!(answer(&mut stream, 16)[8], 1);
    assert!(closed(watched), "the client is still there");
    drop(stream);
    assert_eq!(server.next_served().wrongs.to_string(), "messages with files that nobody asked for: 1");
}

#[test]
fn a_message_with_seventeen_files_is_refused_and_none_of_them_kept() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    let (watched, given) = std::io::pipe().unwrap();
    send(&stream, &map(0x1000), given.as_fd(), 17);
    drop(given);
    assert_eq!(answer(&mut stream, 16)[8..], [0x21, 0, 0, 0, 7, 0, 0, 0], "E2BIG");
    assert!(closed(watched));
    ask_for_status(&mut stream);
    drop(stream);
    assert_eq!(server.next_served().wrongs.to_string(), "messages with too much in them: 1");
}

#[test]
fn files_that_trickle_in_with_one_message_are_not_held() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    let (watched, given) = std::io::pipe().unwrap();
    for byte in map(0x1000) {
        send(&stream, &[byte], given.as_fd(), 16);
    }
    drop(given);
    assert_eq!(answer(&mut stream, 16)[8..], [0x21, 0, 0, 0, 7, 0, 0, 0], "E2BIG");
    assert!(closed(watched));
    ask_for_status(&mut stream);
}

fn limited() -> Server {
    let limits = Limits { dma_maps: 2, dma_files: 1, data: 4096 };
    Server::start_for("", Terms { patience: PATIENT, limits, record: None }, Peers::own())
}

#[test]
fn a_client_is_told_its_limits_and_refused_beyond_them() {
    let server = limited();
    let mut stream = UnixStream::connect(&server.path).unwrap();
    let text =
        b"{\"capabilities\":{\"max_dma_maps\":65535,\"max_data_xfer_size\":1048576,\"max_msg_fds\":8}}\0";
    let mut version = VERSION.to_vec();
    version[4] += u8::try_from(text.len()).unwrap();
    stream.write_all(&[&version[..], text].concat()).unwrap();
    let told = b"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":4096,\"max_dma_maps\":2}}\0";
    assert_eq!(answer(&mut stream, 20 + told.len())[20..], *told);

    send(&stream, &map(0x1000), page().as_fd(), 1);
    send(&stream, &map(0x2000), page().as_fd(), 1);
    stream.write_all(&[map(0x3000), map(0x4000)].concat()).unwrap();
    let errors: Vec<_> = (0..4).map(|_| answer(&mut stream, 16)[12]).collect();
    assert_eq!(errors, [0, 28, 0, 28], "a second file, and a third range: ENOSPC");

    let mut read = header(9, 32);
    read.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0x10, 0, 0]);
    stream.write_all(&read).unwrap();
    assert_eq!(answer(&mut stream, 16)[12], 7, "4097 bytes: E2BIG");
    stream.write_all(&header(10, 16 + 4096 + 65)).unwrap();
    stream.write_all(&[0; 4096 + 65]).unwrap();
    assert_eq!(answer(&mut stream, 16)[12], 7, "E2BIG");
    drop(stream);
    let told = "messages with too much in them: 2, requests beyond a limit: 2";
    assert_eq!(server.next_served().wrongs.to_string(), told);
}

#[test]
fn what_is_wrong_is_counted_by_its_kind_and_what_is_merely_not_there_is_not_wrong() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    let mut vga = header(5, 48);
    vga.extend_from_slice(&[32, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0]);
    vga.resize(48, 0);
    let mut reply = header(11, 16);
    reply[8] = 1;
    let asked = [&header(99, 16)[..], &VERSION, &header(9, 20), &[0; 4], &vga].concat();
    stream.write_all(&asked).unwrap();
    (0..4).for_each(|_| assert_eq!(answer(&mut stream, 16)[8], 0x21));
    stream.write_all(&reply).unwrap();
    ask_for_status(&mut stream);
    drop(stream);
    let served = server.next_served();
    let told =
        "messages out of turn: 1, unknown commands: 1, payloads that make no sense: 1, answers to nothing: 1";
    assert_eq!((served.wrongs.to_string().as_str(), served.refused), (told, 5));
}

#[test]
fn a_stranger_is_refused_by_its_user_and_the_server_lives_on() {
    let own = rustix::process::geteuid().as_raw();
    let terms = Terms { patience: PATIENT, limits: Limits::default(), record: None };
    let server = Server::start_for("", terms, Peers::only([own + 1]));
    for _ in 0..3 {
        let stream = UnixStream::connect(&server.path).unwrap();
        assert!(closed(stream));
        assert!(matches!(server.next_report(), Report::Refused(Stranger { uid }) if uid == Some(own)));
    }
}

#[test]
fn a_server_is_stopped_while_its_profile_delays_an_answer() {
    let server = Server::start("[faults]\nanswer_after_ms = 60000", Duration::from_secs(600));
    let mut stream = UnixStream::connect(&server.path).unwrap();
    let begun = std::time::Instant::now();
    stream.write_all(&VERSION).unwrap();
    stream.set_read_timeout(Some(IMPATIENT)).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "it is at its answer");
    server.stop.stop();
    assert!(matches!(server.next_served().ending, Ending::Stopped));
    assert!(begun.elapsed() < Duration::from_secs(60), "the delay was not waited for");
}
