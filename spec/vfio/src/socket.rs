//! The one place here that does I/O, and only with the feature `socket`: bytes and file descriptors through a
//! Unix socket, one system call a time.
//!
//! Both sides need these calls and neither has anything of its own to say about them. When to call, how long to
//! wait and what a failure means is theirs.

use alloc::vec::Vec;
use core::mem::MaybeUninit;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::ReturnFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;

use crate::inbox::Inbox;
pub use crate::inbox::MAX_FILES;

/// Sends as many of `bytes` as there is room for, with `file` beside the first of them. Returns how many.
///
/// # Errors
/// As `sendmsg`; a peer that is gone is an error and no signal.
pub fn send(socket: impl AsFd, bytes: &[u8], file: Option<BorrowedFd<'_>>) -> Result<usize, Errno> {
    send_files(socket, bytes, file.as_slice())
}

/// Sends as many of `bytes` as there is room for, with `files`, at most [`MAX_FILES`], beside the first of them.
/// Returns how many.
///
/// # Errors
/// As `sendmsg`; a peer that is gone is an error and no signal.
pub fn send_files(socket: impl AsFd, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    if files.is_empty() {
        return rustix::net::send(socket, bytes, SendFlags::NOSIGNAL);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if files.len() > MAX_FILES || !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::NOMEM);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
}

/// Receives what there is into `inbox`. File descriptors for which there is no room are closed by the kernel, and the
/// inbox is told. Returns how many bytes; 0 says that the peer is gone.
///
/// # Errors
/// As `recvmsg`.
pub fn receive(socket: impl AsFd, inbox: &mut Inbox<OwnedFd>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [IoSliceMut::new(inbox.space())];
    let received = rustix::net::recvmsg(socket, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let files: Vec<OwnedFd> = rights.flatten().collect();
    inbox.received(received.bytes, files);
    if received.flags.contains(ReturnFlags::CTRUNC) {
        inbox.files_lost();
    }
    Ok(received.bytes)
}

/// Receives what there is into `inbox`, and no file descriptors: the kernel closes what comes. Cheaper than
/// [`receive`] for who expects none.
///
/// # Errors
/// As `recv`.
pub fn receive_bytes(socket: impl AsFd, inbox: &mut Inbox<OwnedFd>) -> Result<usize, Errno> {
    let (_, count) = rustix::net::recv(socket, inbox.space(), RecvFlags::empty())?;
    inbox.received(count, Vec::new());
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::vec;

    use super::*;
    use crate::frame::encode_request;
    use crate::inbox::Taken;
    use crate::request::Request;

    fn frame(id: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        encode_request(&mut frame, id, &Request::DeviceReset);
        frame
    }

    /// The ids of all messages that are here, with the number of files of each.
    fn taken(inbox: &mut Inbox<OwnedFd>) -> Vec<(u16, usize)> {
        let mut all = Vec::new();
        while let Some(Taken::Message { header, files, .. }) = inbox.take().unwrap() {
            all.push((header.id.get(), files.len()));
        }
        all
    }

    #[test]
    fn a_file_arrives_with_the_message_it_was_sent_with_whatever_came_before() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut inbox = Inbox::new(256);
        send(&ours, &frame(1), None).unwrap();
        send(&ours, &frame(2), Some(ours.as_fd())).unwrap();
        send(&ours, &frame(3), None).unwrap();
        let mut all = Vec::new();
        while all.len() < 3 {
            receive(&theirs, &mut inbox).unwrap();
            all.extend(taken(&mut inbox));
        }
        assert_eq!(all, vec![(1, 0), (2, 1), (3, 0)]);
    }

    #[test]
    fn sixteen_files_go_with_one_message_and_a_seventeenth_does_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut inbox = Inbox::new(256);
        send_files(&ours, &frame(1), &[ours.as_fd(); MAX_FILES]).unwrap();
        receive(&theirs, &mut inbox).unwrap();
        assert_eq!(taken(&mut inbox), vec![(1, 16)]);
        assert_eq!(send_files(&ours, &frame(2), &[ours.as_fd(); MAX_FILES + 1]), Err(Errno::NOMEM));
    }

    #[test]
    fn a_file_that_nobody_expects_is_closed_and_its_message_arrives() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (watched, given) = UnixStream::pair().unwrap();
        send(&ours, &frame(1), Some(given.as_fd())).unwrap();
        drop(given);
        let mut inbox = Inbox::new(256);
        receive_bytes(&theirs, &mut inbox).unwrap();
        assert_eq!(taken(&mut inbox), vec![(1, 0)]);
        assert_eq!(receive_bytes(&watched, &mut Inbox::new(256)), Ok(0), "the other end is closed");
    }

    #[test]
    fn a_message_with_more_files_than_are_taken_is_not_taken_for_one_with_fewer() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let files = [ours.as_fd(); MAX_FILES + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        rustix::net::sendmsg(&ours, &[IoSlice::new(&frame(1))], &mut control, SendFlags::NOSIGNAL).unwrap();
        let mut inbox = Inbox::new(256);
        receive(&theirs, &mut inbox).unwrap();
        assert!(matches!(inbox.take(), Ok(Some(Taken::TooLong(header))) if header.id.get() == 1));
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_to_send_to_and_nothing_to_receive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(send(&ours, &frame(1), None), Err(Errno::PIPE));
        assert_eq!(receive(&ours, &mut Inbox::new(256)), Ok(0));
    }
}
