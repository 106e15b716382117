//! A device that asks when nobody waits for it, and memory that somebody answers for.

use std::sync::mpsc::channel;

use parking_lot::Mutex;

use super::*;

/// Answers for 0x5000 to 0x5fff with the low byte of the address, and keeps what is written.
#[derive(Debug, Default)]
struct Answering {
    written: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl DmaMemory for Answering {
    fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno> {
        if at.get() >= 0x6000 {
            return Err(Errno::EFAULT);
        }
        buffer.iter_mut().zip(at.get()..).for_each(|(byte, at)| *byte = at as u8);
        Ok(())
    }

    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
        self.written.lock().push((at.get(), data.to_vec()));
        Ok(())
    }
}

/// A client that has let the device ask for everything, once the device has said all of `says` by itself; and what
/// the device hears back, `hears` bytes of it.
fn attended(
    says: &'static [&'static [u8]],
    hears: usize,
) -> (Result<(), BackendError>, Vec<u8>, Arc<Answering>) {
    let (said, wait) = channel();
    let (tell, heard) = channel();
    let server = Scripted::new(PLAIN, move |stream| {
        let map = message(stream);
        assert_eq!(map[16..24], [32, 0, 0, 0, 3, 0, 0, 0], "read and write");
        assert_eq!(map[32..48], [[0; 8], [0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat());
        stream.write_all(&reply(&map, &[])).unwrap();
        stream.write_all(&says.concat()).unwrap();
        said.send(()).unwrap();
        let mut bytes = vec![0; hears];
        stream.read_exact(&mut bytes).unwrap();
        tell.send(bytes).unwrap();
    });
    let mut client = server.client(PATIENT);
    let memory = Arc::new(Answering::default());
    client.dma_ask(Span::new(Iova::new(0), u64::MAX - 0xfff).unwrap(), memory.clone()).unwrap();
    wait.recv().unwrap();
    let outcome = client.attend();
    let bytes = heard.recv().unwrap();
    drop(client);
    (outcome, bytes, memory)
}

#[test]
fn what_a_device_asks_between_two_calls_is_answered_when_it_is_attended_to() {
    #[rustfmt::skip]
    const ANSWER: &[u8] = &[
        9, 0, 11, 0, 35, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        0x02, 0x50, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4,
    ];
    let expected = [ANSWER, WRITE_ANSWER, ANSWER].concat();
    let (outcome, heard, memory) = attended(&[READ, WRITE, READ], expected.len());
    outcome.unwrap();
    assert_eq!(heard, expected, "all of them, in order");
    assert_eq!(*memory.written.lock(), [(0x5ffd, b"abc".to_vec())]);
}

#[test]
fn what_is_refused_by_who_answers_is_refused_to_the_device() {
    #[rustfmt::skip]
    const BEHIND: &[u8] = &[
        9, 0, 11, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0x60, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    ];
    let (outcome, heard, _) = attended(&[BEHIND], 16);
    outcome.unwrap();
    assert_eq!(heard, [9, 0, 11, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 14, 0, 0, 0]);
}

#[test]
fn a_device_that_asks_nothing_is_not_waited_for() {
    let (outcome, heard, _) = attended(&[], 0);
    assert_eq!((outcome, heard), (Ok(()), Vec::new()));
}

#[test]
fn an_answer_to_nothing_and_another_command_lose_the_device() {
    let (outcome, _, _) = attended(&[READ_ANSWER], 0);
    let error = outcome.unwrap_err();
    assert!(error.is_lost() && error.call == Call::Attend, "{error}");
    let (outcome, _, _) = attended(&[&[9, 0, 13, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], 0);
    assert!(outcome.unwrap_err().is_lost());
}

#[test]
fn a_device_that_hung_up_is_lost_when_it_is_attended_to_and_then_left_alone() {
    let server = Scripted::new(PLAIN, |stream| {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let mut client = server.client(PATIENT);
    // The end comes when it comes; until then there is nothing to answer.
    let error = loop {
        if let Err(error) = client.attend() {
            break error;
        }
    };
    assert!(error.is_lost(), "{error}");
    assert_eq!(client.attend(), Ok(()));
    assert!(client.reset().unwrap_err().is_lost());
}
