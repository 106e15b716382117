//! A change of interrupts as messages: none has more files than the server takes, and each has files for all of its
//! vectors or for none of them.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use vfio_abi::io_fds;
use vfio_abi::io_fds::IoFd;
use vfio_abi::request::IrqAction;
use vfio_abi::request::SetIrqs;

use super::super::event::Event;
use super::super::irqs::IoEvent;
use super::super::irqs::IrqChange;
use super::super::irqs::Vectors;

/// One message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// What it says.
    pub(super) set: SetIrqs,
    /// A byte for each vector, if the message has such.
    pub(super) bools: Vec<u8>,
    /// A file for each vector, if the message has such.
    pub(super) files: Vec<BorrowedFd<'a>>,
}

/// The messages of a change, for a server that takes so many files with one.
pub(super) fn messages<'a>(change: &IrqChange<'a>, most_files: usize) -> Vec<Message<'a>> {
    let message = |start: u32, count: usize, data: IrqAction, bools: Vec<u8>, files: Vec<BorrowedFd<'a>>| {
        let set = SetIrqs {
            argsz: (size_of::<SetIrqs>().saturating_add(bools.len()) as u32).into(),
            flags: (change.action_flag() | data).bits().into(),
            index: change.index.into(),
            start: start.into(),
            count: (count as u32).into(),
        };
        Message { set, bools, files }
    };
    let whole =
        |data, bools| vec![message(change.start, change.vectors.count() as usize, data, bools, vec![])];
    match change.vectors {
        Vectors::All(_) => whole(IrqAction::DATA_NONE, Vec::new()),
        Vectors::These(these) => {
            whole(IrqAction::DATA_BOOL, these.iter().map(|this| u8::from(*this)).collect())
        }
        Vectors::Events(events) => {
            let mut at = change.start;
            let alike = events.chunk_by(|one, next| one.is_some() == next.is_some());
            let pieces = alike.flat_map(|run| {
                let most = if run.iter().any(Option::is_some) { most_files } else { run.len() };
                run.chunks(most.max(1))
            });
            let one = |piece: &[Option<BorrowedFd<'a>>]| {
                let files = piece.iter().copied().flatten().collect();
                let message = message(at, piece.len(), IrqAction::DATA_EVENTFD, Vec::new(), files);
                at = at.saturating_add(piece.len() as u32);
                message
            };
            pieces.map(one).collect()
        }
    }
}

/// The events that a server offers. What it offers of another kind, or without a file, is left: such a write stays
/// a write.
pub(super) fn events(parts: &[IoFd], files: &[OwnedFd]) -> Vec<IoEvent> {
    let event = |part: &IoFd| {
        let file = files.get(part.file.get() as usize).filter(|_| part.kind.get() == io_fds::KIND_EVENT)?;
        let file = file.as_fd().try_clone_to_owned().ok()?;
        let value = (part.flags.get() & io_fds::FLAG_MATCH != 0).then(|| part.value.get());
        let event = Arc::new(Event::of(file));
        Some(IoEvent { offset: part.offset.get(), size: part.size.get(), value, event })
    };
    parts.iter().filter_map(event).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::super::irqs::Action;
    use super::*;

    /// Flags, start, count, bools and number of files of each message.
    fn told(change: &IrqChange<'_>, most: usize) -> Vec<(u32, u32, u32, Vec<u8>, usize)> {
        let told = |message: Message<'_>| {
            let SetIrqs { flags, start, count, .. } = message.set;
            (flags.get(), start.get(), count.get(), message.bools, message.files.len())
        };
        messages(change, most).into_iter().map(told).collect()
    }

    #[rstest]
    #[case(Action::Trigger, 0x21)]
    #[case(Action::Mask, 0x09)]
    #[case(Action::Unmask, 0x11)]
    fn all_vectors_are_one_message_without_data(#[case] action: Action, #[case] flags: u32) {
        let change = IrqChange { index: 2, start: 3, action, vectors: Vectors::All(40) };
        assert_eq!(told(&change, 1), [(flags, 3, 40, vec![], 0)]);
    }

    #[test]
    fn some_vectors_are_one_message_with_a_byte_for_each() {
        let vectors = Vectors::These(&[true, false, true]);
        let change = IrqChange { index: 2, start: 1, action: Action::Trigger, vectors };
        assert_eq!(told(&change, 1), [(0x22, 1, 3, vec![1, 0, 1], 0)]);
        assert_eq!(messages(&change, 1)[0].set.argsz.get(), 23);
    }

    #[test]
    fn events_and_their_absence_are_split_and_no_message_has_too_many_files() {
        let event = Event::new().unwrap();
        let (some, none) = (Some(event.as_fd()), None);
        let events = [some, some, some, none, none, none, some];
        let change = IrqChange::attach(2, 5, &events);
        let expected = [
            (0x24, 5, 2, vec![], 2),
            (0x24, 7, 1, vec![], 1),
            (0x24, 8, 3, vec![], 0),
            (0x24, 11, 1, vec![], 1),
        ];
        assert_eq!(told(&change, 2), expected);
        assert!(told(&IrqChange::attach(2, 0, &[]), 2).is_empty());
    }

    proptest! {
        #[test]
        fn every_vector_is_in_one_message_and_has_its_file(
            there in prop::collection::vec(any::<bool>(), 0..70), start in 0u32..9, most in 1usize..20
        ) {
            let event = Event::new().unwrap();
            let events: Vec<_> = there.iter().map(|there| there.then(|| event.as_fd())).collect();
            let mut seen = Vec::new();
            for (flags, at, count, _, files) in told(&IrqChange::attach(2, start, &events), most) {
                prop_assert_eq!((flags, at), (0x24, start + seen.len() as u32));
                prop_assert!(files <= most && (files == 0 || files == count as usize));
                seen.extend((0..count).map(|_| files > 0));
            }
            prop_assert_eq!(seen, there);
        }
    }

    #[test]
    fn what_is_no_event_or_has_no_file_stays_a_write() {
        let part = |offset: u64, file: u32, kind: u32, flags: u32| IoFd {
            offset: offset.into(),
            size: 4.into(),
            file: file.into(),
            kind: kind.into(),
            flags: flags.into(),
            padding: 0.into(),
            value: 7.into(),
        };
        let files = [Event::new().unwrap().as_fd().try_clone_to_owned().unwrap()];
        let parts = [part(0, 0, 0, 0), part(8, 0, 1, 0), part(16, 1, 0, 0), part(24, 0, 0, 1)];
        let told: Vec<_> =
            events(&parts, &files).iter().map(|event| (event.offset, event.size, event.value)).collect();
        assert_eq!(told, [(0, 4, None), (24, 4, Some(7))]);
    }
}
