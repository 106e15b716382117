//! A client that sends any bytes: what was [recorded](crate::server::Record) of one that meant well is one of them.
//!
//! The first byte says which kernel is simulated. The others are messages one behind the other, until one that is no
//! message. Files do not come with bytes, so those that a message needs are made: memory to map, events to attach.
//!
//! What must hold is what holds for a [client that does anything](super::run).

use std::os::fd::OwnedFd;

use vfio_abi::frame::Command;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Inbox;
use vfio_abi::inbox::Taken;
use vfio_abi::request::IrqAction;
use vfio_abi::request::Request;

use super::Sent;
use super::carry_on;
use super::take;
use crate::kernel::ABIS;
use crate::kernel::Kernel;
use crate::profile::Profile;
use crate::server::Session;
use crate::silicon::Silicon;

/// The longest message behind its header that is taken: more than any input has.
const LONGEST: usize = 1 << 16;

/// The most messages that are answered: more tell nothing new.
const MOST_MESSAGES: usize = 512;

/// The most files that come with a message.
const MOST_FILES: u32 = 3;

/// Lets a client send these bytes to a device of the default preset.
pub fn any_stream(bytes: &[u8]) {
    let Some((abi, stream)) = bytes.split_first() else { return };
    let Some(abi) = ABIS.iter().cycle().nth((*abi).into()) else { return };
    // The default preset can be, and a device of it is made of anonymous memory only.
    let Ok(profile) = Profile::default().check() else { return };
    let Ok(silicon) = Silicon::power_on(profile) else { return };
    let Ok(mut kernel) = Kernel::bind(silicon, abi) else { return };
    kernel.open();
    let (mut session, mut asked) = (Session::new(), None);
    let messages = messages(stream);
    for message in &messages {
        take(&mut session, &mut kernel, message);
        carry_on(&mut session, &mut kernel, &mut asked);
    }
    assert_eq!(session.messages(), messages.len() as u64);
}

/// What these bytes say, a line for each message.
pub fn told(bytes: &[u8]) -> Vec<String> {
    let Some((abi, stream)) = bytes.split_first() else { return Vec::new() };
    let abi = ABIS.iter().cycle().nth((*abi).into()).map_or("none", |abi| abi.name);
    let lines = messages(stream);
    std::iter::once(format!("kernel {abi}")).chain(lines.iter().map(line)).collect()
}

fn line(Sent { header, payload, files, too_long }: &Sent) -> String {
    let (id, length, number) = (header.id.get(), payload.len(), header.command.get());
    let command = Command::from_number(number);
    let name = command.map_or_else(|| format!("command {number}"), |command| command.name().to_owned());
    if *too_long {
        return format!("{id:#06x} {name}: longer than is taken");
    }
    if header.is_reply() {
        return format!("{id:#06x} answers {name} with {length} bytes");
    }
    let posted = if header.is_no_reply() { ", posted" } else { "" };
    let files = if *files == 0 { String::new() } else { format!(", with {files} files") };
    match command.map(|command| Request::parse(command, payload)) {
        Some(Ok(request)) => format!("{id:#06x} {request:x?}{posted}{files}"),
        _ => format!("{id:#06x} {name}: {length} bytes that do not fit it{posted}{files}"),
    }
}

/// The messages of a stream.
fn messages(stream: &[u8]) -> Vec<Sent> {
    let (mut inbox, mut rest) = (Inbox::<OwnedFd>::new(LONGEST), stream);
    let mut messages = Vec::new();
    while messages.len() < MOST_MESSAGES {
        match inbox.take() {
            Ok(Some(taken)) => messages.push(sent(taken)),
            Ok(None) if rest.is_empty() => break,
            Ok(None) => {
                let space = inbox.space();
                let (now, later) = rest.split_at(rest.len().min(space.len()));
                space.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
                inbox.received(now.len(), Vec::new());
                rest = later;
            }
            Err(_) => break,
        }
    }
    messages
}

fn sent(taken: Taken<'_, OwnedFd>) -> Sent {
    match taken {
        Taken::TooLong(header) => Sent { header, payload: Vec::new(), files: 0, too_long: true },
        Taken::Message { header, payload, files: _ } => {
            Sent { header, payload: payload.to_vec(), files: files(&header, payload), too_long: false }
        }
    }
}

/// How many files come with a message: memory with what maps it, and an event for each vector that gets one.
fn files(header: &Header, payload: &[u8]) -> u8 {
    let command = Command::from_number(header.command.get());
    let events = IrqAction::DATA_EVENTFD.bits();
    match command.map(|command| Request::parse(command, payload)) {
        Some(Ok(Request::DmaMap(_))) => 1,
        Some(Ok(Request::DeviceSetIrqs(irqs, _))) if irqs.flags.get() & events != 0 => {
            irqs.count.get().min(MOST_FILES) as u8
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vfio_abi::frame::encode_request;
    use vfio_abi::request::VersionNumbers;

    use super::*;

    /// A client that negotiates, asks what the device is, and resets it.
    fn polite() -> Vec<u8> {
        let numbers = VersionNumbers { major: 0.into(), minor: 1.into() };
        let requests =
            [Request::Version(numbers, b""), Request::DeviceGetInfo { argsz: 16 }, Request::DeviceReset];
        let mut frame = Vec::new();
        let frames = (0..).zip(&requests).flat_map(|(id, request)| {
            encode_request(&mut frame, id, request);
            frame.clone()
        });
        std::iter::once(0).chain(frames).collect()
    }

    #[test]
    fn what_a_client_says_is_told_message_by_message() {
        let told = told(&polite());
        assert_eq!(told.len(), 4);
        assert_eq!(told[0], "kernel v2");
        assert!(told[2].starts_with("0x0001 DeviceGetInfo"), "{told:?}");
        assert!(told[3].starts_with("0x0002 DeviceReset"), "{told:?}");
        any_stream(&polite());
    }

    #[test]
    fn what_is_no_message_ends_the_stream() {
        let mut bytes = polite();
        bytes.extend([0xff; 40]);
        assert_eq!(told(&bytes).len(), 4);
        any_stream(&bytes);
        assert_eq!(told(&[]), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn whatever_becomes_of_a_stream_what_must_hold_holds(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = polite();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            any_stream(&bytes);
        }
    }
}
