//! Messages out of a stream: what was received goes in, whole messages come out, with their file descriptors.
//!
//! A stream socket keeps no message boundaries: one receive may bring half a message or three. And file
//! descriptors arrive beside the bytes, not in them. Linux ends a receive behind the bytes that file descriptors
//! came with, so those of one receive belong to the message that holds its last byte.
//!
//! The buffer has one size for ever. A message that does not fit is reported by its header and its bytes are
//! thrown away as they come: nothing is allocated because a size field says so. A message with more file descriptors
//! than [`MAX_FILES`], or with some that got lost on the way, does not fit either.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use crate::frame::HEADER_SIZE;
use crate::frame::Header;
use crate::malformed::Malformed;

/// File descriptors that come with one message.
pub const MAX_FILES: usize = 16;

/// A buffer between a socket and its messages; `F` is a file descriptor.
#[derive(Debug)]
pub struct Inbox<F> {
    buffer: Vec<u8>,
    /// The first byte that was not taken yet.
    start: usize,
    /// The first byte that was not received yet.
    end: usize,
    /// How many bytes of the stream were taken.
    taken: u64,
    /// Bytes still to come of a message that does not fit.
    discard: u64,
    /// File descriptors, with the position in the stream behind the bytes that they came with.
    files: VecDeque<(u64, Vec<F>)>,
    /// The last position behind bytes that file descriptors came with which are not all here.
    lost: Option<u64>,
}

/// What was taken out of an inbox.
#[derive(Debug)]
pub enum Taken<'a, F> {
    /// A whole message.
    Message {
        /// Its header.
        header: Header,
        /// What follows the header.
        payload: &'a [u8],
        /// What came with it.
        files: Vec<F>,
    },
    /// The header of a message that is longer than the inbox, or not all of whose file descriptors are here; its
    /// payload is thrown away.
    TooLong(Header),
}

impl<F> Inbox<F> {
    /// An inbox for messages with payloads of at most `payload` bytes.
    pub fn new(payload: usize) -> Self {
        let buffer = vec![0; payload.saturating_add(HEADER_SIZE)];
        Self { buffer, start: 0, end: 0, taken: 0, discard: 0, files: VecDeque::new(), lost: None }
    }

    /// Where the next receive puts its bytes. Never empty after [`take`](Self::take) returned nothing.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes were put into the space, and which file descriptors came with them.
    pub fn received(&mut self, count: usize, files: Vec<F>) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
        // Of what is here one message at most is not whole, and what now came may end it and be with the next.
        let held: usize = self.files.iter().map(|(_, files)| files.len()).sum();
        if held.saturating_add(files.len()) > 2 * MAX_FILES {
            self.files_lost();
        } else if !files.is_empty() {
            self.files.push_back((self.received_until(), files));
        }
        let dropped = self.discard.min((self.end - self.start) as u64);
        self.discard -= dropped;
        drop(self.advance(dropped as usize));
    }

    /// Says that file descriptors that came with the last bytes are not here.
    pub fn files_lost(&mut self) {
        self.lost = Some(self.received_until());
    }

    /// How many bytes of the stream were received.
    fn received_until(&self) -> u64 {
        self.taken.saturating_add((self.end - self.start) as u64)
    }

    /// Whether a message has begun and is not complete.
    pub fn is_midway(&self) -> bool {
        self.discard > 0 || self.start < self.end
    }

    /// Whether [`take`](Self::take) has something to give.
    ///
    /// # Errors
    /// As `take`.
    pub fn is_ready(&self) -> Result<bool, Malformed> {
        let ready = self.buffer.get(self.start..self.end).unwrap_or_default();
        let header = Header::parse(ready)?.filter(|_| self.discard == 0);
        let whole = |size: usize| size <= ready.len() || size > self.buffer.len();
        Ok(header.is_some_and(|header| whole(header.size.get() as usize)))
    }

    /// The next message, if it is complete.
    ///
    /// # Errors
    /// If the stream has lost its frames: see [`Header::parse`].
    pub fn take(&mut self) -> Result<Option<Taken<'_, F>>, Malformed> {
        let ready = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(header) = Header::parse(ready)?.filter(|_| self.discard == 0) else { return Ok(None) };
        let size = header.size.get() as usize;
        if size > self.buffer.len() {
            let here = size.min(ready.len());
            self.discard = (size - here) as u64;
            drop(self.advance(here));
            return Ok(Some(Taken::TooLong(header)));
        }
        if size > ready.len() {
            return Ok(None);
        }
        let payload = self.start.saturating_add(HEADER_SIZE)..self.start.saturating_add(size);
        let before = self.taken;
        let files = self.advance(size);
        let lost = self.lost.is_some_and(|behind| before < behind && behind <= self.taken);
        if lost || files.len() > MAX_FILES {
            return Ok(Some(Taken::TooLong(header)));
        }
        let payload = self.buffer.get(payload).unwrap_or_default();
        Ok(Some(Taken::Message { header, payload, files }))
    }

    /// Steps over `count` bytes and returns the file descriptors that belong to them.
    fn advance(&mut self, count: usize) -> Vec<F> {
        self.start = self.start.saturating_add(count).min(self.end);
        self.taken = self.taken.saturating_add(count as u64);
        let theirs = self.files.partition_point(|(behind, _)| *behind <= self.taken);
        self.files.drain(..theirs).flat_map(|(_, files)| files).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::encode_request;
    use crate::request::Request;

    fn reset(id: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        encode_request(&mut frame, id, &Request::DeviceReset);
        frame
    }

    fn feed(inbox: &mut Inbox<u32>, bytes: &[u8], files: &[u32]) {
        inbox.space()[..bytes.len()].copy_from_slice(bytes);
        inbox.received(bytes.len(), files.to_vec());
    }

    fn taken(inbox: &mut Inbox<u32>) -> Option<(u16, usize, Vec<u32>)> {
        match inbox.take().unwrap()? {
            Taken::Message { header, payload, files } => Some((header.id.get(), payload.len(), files)),
            Taken::TooLong(header) => Some((header.id.get(), usize::MAX, Vec::new())),
        }
    }

    #[test]
    fn half_a_message_is_none() {
        let mut inbox = Inbox::new(64);
        feed(&mut inbox, &reset(1)[..9], &[]);
        assert_eq!(taken(&mut inbox), None);
        assert!(inbox.is_midway());
        feed(&mut inbox, &reset(1)[9..], &[]);
        assert_eq!(taken(&mut inbox), Some((1, 0, vec![])));
        assert!(!inbox.is_midway());
    }

    #[test]
    fn a_message_has_sixteen_files_and_no_more() {
        let files: Vec<u32> = (0..17).collect();
        let mut inbox = Inbox::new(64);
        feed(&mut inbox, &reset(1), &files[..16]);
        assert_eq!(taken(&mut inbox), Some((1, 0, files[..16].to_vec())));
        feed(&mut inbox, &reset(2)[..4], &files[..16]);
        feed(&mut inbox, &reset(2)[4..], &files[16..]);
        feed(&mut inbox, &reset(3), &files[16..]);
        assert_eq!(taken(&mut inbox), Some((2, usize::MAX, vec![])), "its files are not given to another");
        assert_eq!(taken(&mut inbox), Some((3, 0, vec![16])));
    }

    #[test]
    fn files_that_trickle_in_with_a_message_that_never_ends_are_not_held() {
        let mut inbox = Inbox::new(64);
        feed(&mut inbox, &reset(1)[..4], &[]);
        for byte in &reset(1)[4..15] {
            feed(&mut inbox, &[*byte], &[7; 16]);
        }
        assert_eq!(inbox.files.iter().map(|(_, files)| files.len()).sum::<usize>(), 32);
        feed(&mut inbox, &[reset(1)[15]], &[]);
        assert_eq!(taken(&mut inbox), Some((1, usize::MAX, vec![])));
        assert!(inbox.files.is_empty());
    }

    #[test]
    fn a_message_that_lost_files_is_no_message_without_files() {
        let mut inbox = Inbox::new(64);
        feed(&mut inbox, &[reset(1), reset(2)].concat(), &[]);
        inbox.files_lost();
        feed(&mut inbox, &reset(3), &[5]);
        assert_eq!(taken(&mut inbox), Some((1, 0, vec![])));
        assert_eq!(taken(&mut inbox), Some((2, usize::MAX, vec![])));
        assert_eq!(taken(&mut inbox), Some((3, 0, vec![5])));
    }

    #[test]
    fn files_belong_to_the_message_that_holds_the_last_byte_of_their_receive() {
        let mut inbox = Inbox::new(64);
        feed(&mut inbox, &[reset(1), reset(2)].concat(), &[70, 71]);
        assert_eq!(taken(&mut inbox), Some((1, 0, vec![])));
        assert_eq!(taken(&mut inbox), Some((2, 0, vec![70, 71])));
    }

    #[test]
    fn files_of_the_first_half_of_a_message_are_its_files() {
        let mut inbox = Inbox::new(64);
        feed(&mut inbox, &[reset(1), reset(2)[..3].to_vec()].concat(), &[70]);
        feed(&mut inbox, &reset(2)[3..], &[]);
        feed(&mut inbox, &reset(3), &[]);
        assert_eq!(taken(&mut inbox), Some((1, 0, vec![])));
        assert_eq!(taken(&mut inbox), Some((2, 0, vec![70])));
        assert_eq!(taken(&mut inbox), Some((3, 0, vec![])));
    }

    #[test]
    fn a_message_that_does_not_fit_is_named_and_thrown_away() {
        let mut inbox = Inbox::new(16);
        let mut long = reset(9);
        long[4..8].copy_from_slice(&100u32.to_le_bytes());
        long.resize(24, 0xee);
        feed(&mut inbox, &long, &[70]);
        assert_eq!(taken(&mut inbox), Some((9, usize::MAX, vec![])));
        assert_eq!(taken(&mut inbox), None);
        for _ in 0..3 {
            feed(&mut inbox, &[0xee; 25], &[]);
            assert_eq!(taken(&mut inbox), None);
        }
        feed(&mut inbox, &[[0xee; 1].to_vec(), reset(10)].concat(), &[]);
        assert_eq!(taken(&mut inbox), Some((10, 0, vec![])));
    }

    #[test]
    fn four_gibibytes_of_promised_payload_allocate_nothing() {
        let mut inbox: Inbox<u32> = Inbox::new(16);
        let mut long = reset(9);
        long[4..8].fill(0xff);
        feed(&mut inbox, &long, &[]);
        assert!(matches!(inbox.take(), Ok(Some(Taken::TooLong(_)))));
        assert_eq!(inbox.space().len(), 32);
    }

    #[test]
    fn a_stream_without_frames_is_malformed() {
        let mut inbox = Inbox::new(16);
        feed(&mut inbox, &[0; 16], &[]);
        assert!(inbox.take().is_err());
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_messages(cuts in prop::collection::vec(1usize..20, 1..40)) {
            let stream: Vec<u8> = (0..12).flat_map(reset).collect();
            let mut inbox = Inbox::new(32);
            let mut ids = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                while let Some((id, ..)) = taken(&mut inbox) {
                    ids.push(id);
                }
                if rest.is_empty() {
                    break;
                }
                let count = (*cut).min(rest.len()).min(inbox.space().len());
                feed(&mut inbox, &rest[..count], &[]);
                rest = &rest[count..];
            }
            prop_assert_eq!(ids, (0..12).collect::<Vec<_>>());
        }
    }
}
