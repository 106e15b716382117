//! Writes that are posted, and interrupts and events on the wire.

use std::os::fd::AsFd;

use vfio_abi::inbox::Inbox;
use vfio_abi::inbox::Taken;

use super::*;
use crate::backend::event::Event;

#[test]
fn a_posted_write_waits_for_nothing_and_what_is_asked_behind_it_is_answered() {
    let server = Scripted::new(PLAIN, |stream| {
        let posted = message(stream);
        // REGION_WRITE of region 2 at 0x1234, four bytes, and no reply is wanted.
        assert_eq!((posted[2], posted[8]), (10, 0x10));
        assert_eq!(posted[16..], [0x34, 0x12, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
        let asked = message(stream);
        assert_eq!((asked[2], asked[8]), (13, 0));
        stream.write_all(&reply(&asked, &[])).unwrap();
    });
    let mut client = server.client(PATIENT).posting();
    client.write(2, 0x1234, &[1, 2, 3, 4]).unwrap();
    client.reset().unwrap();
}

#[test]
fn a_write_that_is_no_bars_is_answered_also_where_others_are_posted() {
    let server = Scripted::new(PLAIN, |stream| {
        let asked = message(stream);
        assert_eq!((asked[2], asked[8], asked[24]), (10, 0, 7));
        stream.write_all(&reply(&asked, &asked[16..32])).unwrap();
    });
    server.client(PATIENT).posting().write(7, 4, &[6, 0]).unwrap();
}

#[test]
fn a_long_posted_write_goes_in_pieces() {
    // Two bytes of data in one message, and no more.
    const TWO: &[u8] = b"\0\0\x01\0{\"capabilities\":{\"max_data_xfer_size\":2}}\0";
    let server = Scripted::new(TWO, |stream| {
        let pieces = [(0u8, vec![1, 2]), (2, vec![3, 4]), (4, vec![5])];
        for (at, bytes) in pieces {
            let posted = message(stream);
            assert_eq!((posted[16], &posted[32..]), (at, &bytes[..]));
        }
    });
    server.client(PATIENT).posting().write(0, 0, &[1, 2, 3, 4, 5]).unwrap();
}

#[test]
fn a_server_that_is_gone_is_noticed_at_the_next_call_that_has_an_answer() {
    let server = Scripted::new(PLAIN, |stream| drop(message(stream)));
    let mut client = server.client(IMPATIENT).posting();
    client.write(0, 0, &[0; 4]).unwrap();
    assert!(client.read(0, 0, &mut [0; 4]).unwrap_err().is_lost());
    assert!(client.write(0, 0, &[0; 4]).unwrap_err().is_lost(), "and nothing is sent any more");
}

/// Receives with room for files: the message, and how many files came with it.
fn with_files(stream: &UnixStream) -> (Vec<u8>, usize) {
    let mut inbox: Inbox<OwnedFd> = Inbox::new(256);
    while !inbox.is_ready().unwrap() {
        vfio_abi::socket::receive(stream, &mut inbox).unwrap();
    }
    match inbox.take().unwrap() {
        Some(Taken::Message { payload, files, header }) => {
            let asked =
                [&header.id.get().to_le_bytes()[..], &header.command.get().to_le_bytes()[..], payload];
            (asked.concat(), files.len())
        }
        _ => panic!("a message"),
    }
}

#[test]
fn events_go_in_as_many_messages_as_the_server_takes_files() {
    const TWO_FILES: &[u8] = b"\0\0\x01\0{\"capabilities\":{\"max_msg_fds\":2}}\0";
    let server = Scripted::new(TWO_FILES, |stream| {
        for (start, count) in [(0u8, 2u8), (2, 1)] {
            let (asked, files) = with_files(stream);
            // argsz 20, eventfd and trigger, MSI-X.
            let expected = [20, 0, 0, 0, 0x24, 0, 0, 0, 2, 0, 0, 0, start, 0, 0, 0, count, 0, 0, 0];
            assert_eq!((&asked[4..], files), (&expected[..], usize::from(count)));
            stream.write_all(&reply(&asked, &[])).unwrap();
        }
    });
    let event = Event::new().unwrap();
    let events = [Some(event.as_fd()); 3];
    server.client(PATIENT).set_irqs(&IrqChange::attach(2, 0, &events)).unwrap();
}

#[test]
fn a_server_that_refuses_the_second_of_two_messages_lives_on_and_is_told_of() {
    let server = Scripted::new(PLAIN, |stream| {
        let (first, _) = with_files(stream);
        stream.write_all(&reply(&first, &[])).unwrap();
        let (second, _) = with_files(stream);
        let mut refused = reply(&second, &[]);
        (refused[8], refused[12]) = (0x21, 22);
        stream.write_all(&refused).unwrap();
    });
    let event = Event::new().unwrap();
    let events = [Some(event.as_fd()); 2];
    let error = server.client(PATIENT).set_irqs(&IrqChange::attach(2, 5, &events)).unwrap_err();
    assert_eq!(error.call, Call::SetIrqs { index: 2, start: 5, count: 2 });
    assert_eq!(error.failure, Failure::Refused(Errno::EINVAL));
}
