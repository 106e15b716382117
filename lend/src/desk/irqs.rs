//! `VFIO_DEVICE_SET_IRQS`: the structure and its data taken apart as the kernel does, then done vector by vector.

use std::os::fd::OwnedFd;

use vfio_abi::errno::Errno;
use vfio_abi::info::irq;
use vfio_abi::request::IrqAction;
use vfio_abi::request::SetIrqs;

use super::Desk;
use crate::caller::Caller;
use crate::fields::Fields;
use crate::fields::must;

/// Length of the structure before its data.
const FIXED: usize = 20;

impl Desk {
    /// Attaches, masks or triggers.
    pub(super) fn set_irqs(&mut self, at: u64, by: &dyn Caller) -> Result<(), Errno> {
        let head = by.fields(at, FIXED)?;
        let (argsz, flags, index) = (head.u32(0), head.u32(4), head.u32(8));
        let (start, count) = (head.u32(12), head.u32(16));
        must(argsz as usize >= FIXED && index < irq::COUNT)?;
        must(count < u32::MAX - start)?;
        let action = IrqAction::from_bits(flags).ok_or(Errno::EINVAL)?;
        let vectors = self.kernel.irq(index)?.count.get();
        must(start < vectors && start + count <= vectors)?;
        let kinds = IrqAction::DATA_NONE | IrqAction::DATA_BOOL | IrqAction::DATA_EVENTFD;
        let width = match action & kinds {
            IrqAction::DATA_NONE => 0,
            IrqAction::DATA_BOOL => 1,
            IrqAction::DATA_EVENTFD => 4,
            _ => return Err(Errno::EINVAL),
        };
        let length = (count as usize).saturating_mul(width);
        must(argsz as usize - FIXED >= length)?;
        let data = by.fields(at.wrapping_add(FIXED as u64), length)?;
        let done = if width == 4 && count > 0 {
            self.attach(&head, &data, by)
        } else {
            self.irqs.set(&mut self.kernel, &request(flags, index, start, count), &data.0, Vec::new())
        };
        self.act(by);
        done
    }

    /// Attaches an event to each vector, or nothing where the descriptor is -1. Those before one that is wrong stay.
    fn attach(&mut self, head: &Fields, data: &Fields, by: &dyn Caller) -> Result<(), Errno> {
        let (flags, index, start, count) = (head.u32(4), head.u32(8), head.u32(12), head.u32(16));
        let events = (0..count as usize).map(|place| event(data.i32(4 * place), by));
        let events: Vec<_> = events.collect::<Result<_, _>>()?;
        for (vector, event) in (start..).zip(events) {
            let files = event.into_iter().collect();
            self.irqs.set(&mut self.kernel, &request(flags, index, vector, 1), &[], files)?;
        }
        Ok(())
    }
}

/// The event of a descriptor; none for -1.
fn event(file: i32, by: &dyn Caller) -> Result<Option<OwnedFd>, Errno> {
    match file {
        -1 => Ok(None),
        _ if file < 0 => Err(Errno::EINVAL),
        _ => by.take_event(file).map(Some),
    }
}

fn request(flags: u32, index: u32, start: u32, count: u32) -> SetIrqs {
    SetIrqs {
        argsz: (FIXED as u32).into(),
        flags: flags.into(),
        index: index.into(),
        start: start.into(),
        count: count.into(),
    }
}
