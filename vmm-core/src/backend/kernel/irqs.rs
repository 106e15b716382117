//! A change of interrupts as the kernel takes it: one structure, with a number for each event.

use std::os::fd::AsRawFd;

use vfio_abi::request::IrqAction;
use vfio_abi::request::SetIrqs;
use zerocopy::IntoBytes;

use super::super::irqs::IrqChange;
use super::super::irqs::Vectors;

/// In place of an event: what is attached goes.
const NO_FILE: i32 = -1;

/// The structure and its data.
pub(super) fn structure(change: &IrqChange<'_>) -> Vec<u8> {
    let (kind, data) = match change.vectors {
        Vectors::All(_) => (IrqAction::DATA_NONE, Vec::new()),
        Vectors::These(these) => (IrqAction::DATA_BOOL, these.iter().map(|this| u8::from(*this)).collect()),
        Vectors::Events(events) => {
            let number = |event: &Option<_>| event.as_ref().map_or(NO_FILE, AsRawFd::as_raw_fd);
            (IrqAction::DATA_EVENTFD, events.iter().flat_map(|event| number(event).to_le_bytes()).collect())
        }
    };
    let set = SetIrqs {
        argsz: (size_of::<SetIrqs>().saturating_add(data.len()) as u32).into(),
        flags: (change.action_flag() | kind).bits().into(),
        index: change.index.into(),
        start: change.start.into(),
        count: change.vectors.count().into(),
    };
    [set.as_bytes(), &data].concat()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::super::event::Event;
    use super::super::super::irqs::Action;
    use super::*;

    #[test]
    fn events_are_numbers_of_files_and_an_absent_one_is_minus_one() {
        let event = Event::new().unwrap();
        let number = event.as_fd().as_raw_fd() as u8;
        let bytes = structure(&IrqChange::attach(2, 3, &[Some(event.as_fd()), None]));
        #[rustfmt::skip]
        assert_eq!(bytes, [
            28, 0, 0, 0, 0x24, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0,
            number, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
        ]);
    }

    #[test]
    fn all_vectors_need_no_data_and_some_a_byte_each() {
        let bytes = structure(&IrqChange::take_back(2));
        assert_eq!(bytes, [20, 0, 0, 0, 0x21, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let bytes = structure(&IrqChange::unmask(0, 0));
        assert_eq!(bytes, [20, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        let vectors = Vectors::These(&[true, false, true]);
        let bytes = structure(&IrqChange { index: 1, start: 4, action: Action::Mask, vectors });
        assert_eq!(bytes, [23, 0, 0, 0, 0xa, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 1]);
    }
}
