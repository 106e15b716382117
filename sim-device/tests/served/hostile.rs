//! Clients that do not keep the protocol, over a real socket.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rstest::rstest;
use sim_device::server::Ending;
use sim_device::server::Wrong;

use crate::Server;

/// Long enough that no test of another matter meets it.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// Short, for the tests that wait for it.
pub(crate) const IMPATIENT: Duration = Duration::from_millis(100);

/// A `VERSION` without a text, with id 1.
pub(crate) const VERSION: [u8; 20] = [1, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// A `DEVICE_RESET` with id 2.
pub(crate) const RESET: [u8; 16] = [2, 0, 13, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(crate) fn connect(server: &Server) -> UnixStream {
    let mut stream = UnixStream::connect(&server.path).unwrap();
    stream.write_all(&VERSION).unwrap();
    answer(&mut stream, 20);
    stream
}

pub(crate) fn answer(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// A header with id 3.
pub(crate) fn header(command: u16, size: u32) -> Vec<u8> {
    let mut bytes = vec![3, 0];
    bytes.extend_from_slice(&command.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.resize(16, 0);
    bytes
}

#[test]
fn a_message_in_single_bytes_is_answered() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    for byte in RESET {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(answer(&mut stream, 16)[..4], [2, 0, 13, 0]);
}

#[test]
fn three_messages_in_one_are_answered_in_order() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    stream.write_all(&[&RESET[..], &header(99, 16), &RESET].concat()).unwrap();
    let ids: Vec<_> = (0..3).map(|_| answer(&mut stream, 16)[0]).collect();
    assert_eq!(ids, [2, 3, 2]);
}

#[test]
fn the_payload_of_a_refused_message_is_not_taken_for_the_next() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    let mut unknown = header(99, 16 + 64);
    unknown.extend_from_slice(&RESET.repeat(4));
    stream.write_all(&unknown).unwrap();
    stream.write_all(&RESET).unwrap();
    assert_eq!(answer(&mut stream, 16)[..2], [3, 0]);
    assert_eq!(answer(&mut stream, 16)[..2], [2, 0]);
}

#[test]
fn a_message_of_three_mebibytes_is_refused_and_the_next_is_answered() {
    let server = Server::start("", PATIENT);
    let mut stream = connect(&server);
    let mut reader = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || [answer(&mut reader, 16), answer(&mut reader, 16)]);
    stream.write_all(&header(10, 3 << 20)).unwrap();
    stream.write_all(&vec![0xee; (3 << 20) - 16]).unwrap();
    stream.write_all(&RESET).unwrap();
    let [refused, reset] = reader.join().unwrap();
    assert_eq!((refused[0], refused[8], refused[12]), (3, 0x21, 7), "E2BIG");
    assert_eq!((reset[0], reset[8]), (2, 1));
}

#[rstest]
#[case::nothing_but_zeros(&[0; 64])]
#[case::text(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
#[case::a_size_below_the_header(&[1, 0, 1, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]
fn what_is_no_message_ends_the_connection(#[case] bytes: &[u8]) {
    let server = Server::start("", PATIENT);
    let mut stream = UnixStream::connect(&server.path).unwrap();
    stream.write_all(bytes).unwrap();
    assert!(matches!(server.next_served().ending, Ending::Malformed(_)));
    let mut rest = Vec::new();
    // The server closed with our bytes unread, which resets the connection.
    assert!(matches!(stream.read_to_end(&mut rest), Ok(0) | Err(_)));
}

#[rstest]
#[case::half_a_header(header(10, 64)[..9].to_vec())]
#[case::half_a_payload(header(10, 64))]
#[case::half_of_one_too_long(header(10, u32::MAX))]
fn a_client_that_stops_in_the_middle_of_a_message_is_left(#[case] bytes: Vec<u8>) {
    let server = Server::start("", IMPATIENT);
    let mut stream = connect(&server);
    stream.write_all(&bytes).unwrap();
    let served = server.next_served();
    assert!(matches!(served.ending, Ending::OutOfPatience(Wrong::Unfinished)));
    assert_eq!(served.wrongs.of(Wrong::Unfinished), 1);
}

#[test]
fn a_client_that_trickles_is_left_although_it_never_pauses() {
    let server = Server::start("", IMPATIENT);
    let mut stream = connect(&server);
    stream.write_all(&header(10, 1 << 20)).unwrap();
    while stream.write_all(&[0]).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let served = server.next_served();
    assert!(matches!(served.ending, Ending::OutOfPatience(Wrong::Unfinished)));
    assert_eq!(served.wrongs.to_string(), "unfinished messages: 1");
}

#[test]
fn a_client_that_pauses_between_messages_is_waited_for() {
    let server = Server::start("", IMPATIENT);
    let mut stream = connect(&server);
    std::thread::sleep(3 * IMPATIENT);
    stream.write_all(&RESET).unwrap();
    assert_eq!(answer(&mut stream, 16)[0], 2);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_left() {
    let server = Server::start("", IMPATIENT);
    let mut stream = connect(&server);
    let mut read = header(9, 32);
    read.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x10, 0]);
    while stream.write_all(&read).is_ok() {}
    let ending = server.next_served().ending;
    assert!(matches!(ending, Ending::OutOfPatience(Wrong::Unread)), "{ending:?}");
}

#[test]
fn the_next_client_meets_a_device_that_was_just_opened() {
    let server = Server::start("", PATIENT);
    for _ in 0..3 {
        let mut stream = connect(&server);
        let mut read = header(9, 32);
        read.extend_from_slice(&[0x30, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 4, 0, 0, 0]);
        stream.write_all(&read).unwrap();
        assert_eq!(answer(&mut stream, 36)[32..], [0, 6, 0, 0], "committed, the lock scrubbed");
        let mut lock = header(10, 36);
        lock.extend_from_slice(&[0x30, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 4, 0, 0, 0, 0, 3, 0, 0]);
        stream.write_all(&lock).unwrap();
        answer(&mut stream, 32);
    }
}

#[test]
fn a_second_client_waits_for_the_first() {
    let server = Server::start("", PATIENT);
    let first = connect(&server);
    let mut second = UnixStream::connect(&server.path).unwrap();
    second.write_all(&VERSION).unwrap();
    second.set_read_timeout(Some(IMPATIENT)).unwrap();
    assert!(second.read(&mut [0]).is_err());
    drop(first);
    second.set_read_timeout(None).unwrap();
    assert_eq!(answer(&mut second, 20).len(), 20);
}

#[test]
fn a_server_is_stopped_while_it_waits_for_a_message() {
    let server = Server::start("", PATIENT);
    let _stream = connect(&server);
    server.stop.stop();
    assert!(matches!(server.next_served().ending, Ending::Stopped));
}

#[test]
fn a_silent_server_is_stopped_too() {
    let server = Server::start("[faults]\nsilent_at_message = 2", PATIENT);
    let mut stream = connect(&server);
    stream.write_all(&RESET).unwrap();
    stream.set_read_timeout(Some(IMPATIENT)).unwrap();
    assert!(stream.read(&mut [0]).is_err());
    server.stop.stop();
    assert!(matches!(server.next_served().ending, Ending::Stopped));
}

/// Asks to write these bytes, which wants an answer of 32 bytes.
fn write(stream: &mut UnixStream, region: u8, offset: u16, data: &[u8]) {
    let mut write = header(10, 32 + data.len() as u32);
    write.extend_from_slice(&offset.to_le_bytes());
    write.extend_from_slice(&[0, 0, 0, 0, 0, 0, region, 0, 0, 0, data.len() as u8, 0, 0, 0]);
    write.extend_from_slice(data);
    stream.write_all(&write).unwrap();
    assert_eq!(answer(stream, 32)[8..12], [1, 0, 0, 0]);
}

/// Asks for the engine's status; the answer has 36 bytes.
fn ask_status(stream: &mut UnixStream) {
    let mut read = header(9, 32);
    read.extend_from_slice(&[0x18, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
    stream.write_all(&read).unwrap();
}

/// A client that maps a page without a file at 0x1000 and lets the device read 16 bytes of it. What the device asks
/// for has arrived.
pub(crate) fn connect_and_copy(server: &Server) -> UnixStream {
    let mut stream = connect(server);
    let mut map = header(2, 48);
    map.extend_from_slice(&[32, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    map.extend_from_slice(&[0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
    stream.write_all(&map).unwrap();
    answer(&mut stream, 16);
    write(&mut stream, 7, 4, &[6, 0]);
    write(&mut stream, 0, 0xc000, &[0, 0x10, 0, 0, 0, 0, 0, 0]);
    write(&mut stream, 0, 0xc010, &[16, 0, 0, 0, 5, 0, 0, 0]);
    let asked = answer(&mut stream, 32);
    assert_eq!(
        asked[2..],
        [11, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]
    );
    stream
}

#[test]
fn a_client_that_does_not_answer_the_device_is_not_waited_for_and_lives_on() {
    let server = Server::start("", IMPATIENT);
    let mut stream = connect_and_copy(&server);
    std::thread::sleep(3 * IMPATIENT);
    ask_status(&mut stream);
    assert_eq!(answer(&mut stream, 36)[32..], [0, 0x80, 0, 0], "unanswered");
    drop(stream);
    let served = server.next_served();
    assert!(matches!(served.ending, Ending::ClientLeft));
    assert_eq!((served.wrongs.of(Wrong::Unanswered), served.refused), (1, 0));
}

#[test]
fn a_client_that_never_pauses_is_not_waited_for_either() {
    let server = Server::start("", IMPATIENT);
    let mut stream = connect_and_copy(&server);
    loop {
        ask_status(&mut stream);
        match answer(&mut stream, 36)[32..] {
            [1, 0, 0, 0] => {}
            [0, 0x80, 0, 0] => return,
            ref status => panic!("{status:?}"),
        }
    }
}

#[test]
fn a_client_that_answers_after_a_while_has_its_copy_done() {
    let server = Server::start("", PATIENT);
    let mut stream = connect_and_copy(&server);
    ask_status(&mut stream);
    assert_eq!(answer(&mut stream, 36)[32..], [1, 0, 0, 0], "busy");
    let mut data = vec![1, 0, 11, 0, 48, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    data.extend_from_slice(&[0, 0x10, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
    data.extend_from_slice(b"sixteen of bytes");
    stream.write_all(&data).unwrap();
    ask_status(&mut stream);
    assert_eq!(answer(&mut stream, 36)[32..], [2, 0, 0, 0], "done");
    let mut read = header(9, 32);
    read.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 16, 0, 0, 0]);
    stream.write_all(&read).unwrap();
    assert_eq!(&answer(&mut stream, 48)[32..], b"sixteen of bytes");
}

#[test]
fn a_server_is_stopped_while_its_device_waits_for_a_client() {
    let server = Server::start("", PATIENT);
    let _stream = connect_and_copy(&server);
    server.stop.stop();
    assert!(matches!(server.next_served().ending, Ending::Stopped));
}

#[test]
fn the_next_client_meets_an_engine_that_is_idle() {
    let server = Server::start("", PATIENT);
    drop(connect_and_copy(&server));
    let mut stream = connect_and_copy(&server);
    ask_status(&mut stream);
    assert_eq!(answer(&mut stream, 36)[32..], [1, 0, 0, 0], "at a copy of its own");
}
