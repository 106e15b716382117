//! What must hold for any bytes, as functions: property tests and fuzzers are two callers of these.
//!
//! They assert, so a caller who wants to go on must be one who expects to be stopped.

use alloc::vec::Vec;

use crate::chain::Chain;
use crate::frame;
use crate::frame::Command;
use crate::frame::HEADER_SIZE;
use crate::inbox::Inbox;
use crate::inbox::Taken;
use crate::info::DeviceInfo;
use crate::info::RegionInfo;
use crate::reply::Reply;
use crate::request::Request;
use crate::version::Capabilities;

/// A message as it was taken: its header's id and command, and its payload; nothing for one that was too long.
type Message = (u16, u16, Option<Vec<u8>>);

/// Payload that the inboxes here have room for.
const ROOM: usize = 512;

/// Any bytes are a stream: however it is cut, the same messages come out, and each is a request and a reply that
/// are written as they were read, or none.
pub fn wire_frame(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let whole = messages(stream, usize::MAX);
    assert_eq!(whole, messages(stream, usize::from(*cut).max(1)));
    for (_, command, payload) in whole {
        let known = Command::from_number(command).zip(payload);
        if let Some((command, payload)) = known {
            request(command, &payload);
            reply(command, &payload);
        }
    }
}

/// Any bytes are what a hostile kernel or server says of itself: the chains are walked to an end, and what was
/// understood is understood again after it was written.
pub fn capability_chain(bytes: &[u8]) {
    if let Ok((info, _)) = DeviceInfo::parse(bytes) {
        bounded(&info.chain, bytes);
        let again = DeviceInfo::parse(&info.encode(u32::MAX)).map(|(info, _)| info);
        assert_eq!(
            again.map(|again| (again.num_regions, ids(&again.chain))),
            Ok((info.num_regions, ids(&info.chain)))
        );
    }
    if let Ok((info, _)) = RegionInfo::parse(bytes) {
        bounded(&info.chain, bytes);
        let again = RegionInfo::parse(&info.encode(u32::MAX)).map(|(info, _)| info);
        assert_eq!(again.map(|again| (again.size, ids(&again.chain))), Ok((info.size, ids(&info.chain))));
    }
}

/// The messages of a stream that comes in pieces of at most `cut` bytes, up to where it has none.
fn messages(stream: &[u8], cut: usize) -> Vec<Message> {
    let mut inbox: Inbox<()> = Inbox::new(ROOM);
    let mut all = Vec::new();
    let mut rest = stream;
    loop {
        loop {
            assert!(inbox.is_midway() || inbox.is_ready() == Ok(false));
            match inbox.take() {
                Ok(Some(Taken::Message { header, payload, .. })) => {
                    assert_eq!(payload.len(), header.payload_size());
                    all.push((header.id.get(), header.command.get(), Some(payload.to_vec())));
                }
                Ok(Some(Taken::TooLong(header))) => {
                    assert!(header.payload_size() > ROOM);
                    all.push((header.id.get(), header.command.get(), None));
                }
                Ok(None) => break,
                Err(_) => return all,
            }
        }
        let count = rest.len().min(cut).min(inbox.space().len());
        if count == 0 {
            return all;
        }
        let (piece, behind) = rest.split_at(count);
        inbox.space().iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        inbox.received(count, Vec::new());
        rest = behind;
    }
}

fn request(command: Command, payload: &[u8]) {
    let Ok(request) = Request::parse(command, payload) else { return };
    let mut frame = Vec::new();
    frame::encode_request(&mut frame, 1, &request);
    let written = frame.get(HEADER_SIZE..).unwrap_or_default();
    assert_eq!(Request::parse(command, written), Ok(request));
    if let Request::Version(_, text) = request
        && let Ok(capabilities) = Capabilities::parse(text)
    {
        assert_eq!(Capabilities::parse(&capabilities.encode()), Ok(capabilities));
    }
}

fn reply(command: Command, payload: &[u8]) {
    let Ok(reply) = Reply::parse(command, payload) else { return };
    let mut frame = Vec::new();
    frame::encode_reply(&mut frame, 1, &reply);
    let written = frame.get(HEADER_SIZE..).unwrap_or_default();
    assert_eq!(Reply::parse(command, written), Ok(reply));
}

fn bounded(chain: &Chain, bytes: &[u8]) {
    let held: usize = chain.entries().iter().map(|entry| entry.data.len()).sum();
    assert!(held <= bytes.len() && chain.entries().len() <= bytes.len());
    if let Ok(Some(areas)) = chain.sparse_areas() {
        assert!(areas.len() <= bytes.len());
    }
    // Too short is an answer, too.
    let _ = chain.region_type();
}

fn ids(chain: &Chain) -> Vec<(u16, u16)> {
    chain.entries().iter().map(|entry| (entry.id, entry.version)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames of known commands, most of them as long as they say.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let frame = (0u16..20, prop::collection::vec(any::<u8>(), 0..80), -2i64..40).prop_map(
            |(command, payload, off)| {
                let size = (HEADER_SIZE + payload.len()) as i64 + off.min(1);
                let mut bytes = [7u16.to_le_bytes(), command.to_le_bytes()].concat();
                bytes.extend_from_slice(&(size as u32).to_le_bytes());
                bytes.extend_from_slice(&[0; 8]);
                bytes.extend_from_slice(&payload);
                bytes
            },
        );
        (any::<u8>(), prop::collection::vec(frame, 0..6)).prop_map(|(cut, frames)| {
            let mut bytes = frames.concat();
            bytes.insert(0, cut);
            bytes
        })
    }

    proptest! {
        #[test]
        fn frames_keep_what_must_hold(bytes in frames()) {
            wire_frame(&bytes);
        }

        #[test]
        fn any_bytes_keep_what_must_hold(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            wire_frame(&bytes);
            capability_chain(&bytes);
        }

        #[test]
        fn info_structures_keep_what_must_hold(
            mut bytes in prop::collection::vec(0u8..80, 16..200), flags in 0u8..=255
        ) {
            bytes[4] = flags;
            capability_chain(&bytes);
        }
    }
}
