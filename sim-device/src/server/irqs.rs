//! Interrupts: the event file descriptors that the client attached, and triggering them, by request or by the device.

use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use vfio_abi::errno::Errno;
use vfio_abi::info::irq;
use vfio_abi::request::IrqAction;
use vfio_abi::request::SetIrqs;

use crate::kernel::Kernel;

/// What is attached: for each interrupt index a list of vectors.
#[derive(Debug, Default)]
pub(super) struct Irqs {
    attached: [Vec<Option<OwnedFd>>; irq::COUNT as usize],
}

const DATA: IrqAction = IrqAction::DATA_NONE.union(IrqAction::DATA_BOOL).union(IrqAction::DATA_EVENTFD);

impl Irqs {
    /// Does what the client asks. `bools` is the data of `DATA_BOOL`, `files` that of `DATA_EVENTFD`.
    pub(super) fn set(
        &mut self,
        kernel: &Kernel,
        request: &SetIrqs,
        bools: &[u8],
        files: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        let action = IrqAction::from_bits(request.flags.get()).ok_or(Errno::EINVAL)?;
        let vectors = kernel.irq(request.index.get())?.count.get() as usize;
        let (start, count) = (request.start.get() as usize, request.count.get() as usize);
        let end = start.checked_add(count).filter(|end| *end <= vectors).ok_or(Errno::EINVAL)?;
        if !action.contains(IrqAction::TRIGGER) {
            // No interrupt of this device can be masked through this message.
            return Err(Errno::ENOTTY);
        }
        let attached = self.attached.get_mut(request.index.get() as usize).ok_or(Errno::EINVAL)?;
        attached.resize_with(vectors, || None);
        let range = attached.get_mut(start..end).ok_or(Errno::EINVAL)?;
        match action & DATA {
            IrqAction::DATA_NONE if count == 0 => attached.fill_with(|| None),
            IrqAction::DATA_NONE => range.iter().for_each(trigger),
            IrqAction::DATA_BOOL => {
                let wanted = bools.get(..count).ok_or(Errno::EINVAL)?;
                range.iter().zip(wanted).filter(|(_, wanted)| **wanted != 0).for_each(|(to, _)| trigger(to));
            }
            IrqAction::DATA_EVENTFD if files.is_empty() => range.fill_with(|| None),
            IrqAction::DATA_EVENTFD if files.len() == count => {
                range.iter_mut().zip(files).for_each(|(place, file)| *place = Some(file));
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// The device signals a vector of its own accord. One that nobody attached anything to is lost.
    pub(super) fn raise(&self, vector: u16) {
        let vectors = self.attached.get(irq::MSIX as usize);
        if let Some(vector) = vectors.and_then(|vectors| vectors.get(usize::from(vector))) {
            trigger(vector);
        }
    }
}

/// Signals a vector. What the client attached may be anything, so nothing is written that might block.
fn trigger(vector: &Option<OwnedFd>) {
    let Some(file) = vector else { return };
    let mut ready = [PollFd::new(file, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if matches!(rustix::event::poll(&mut ready, Some(&now)), Ok(1)) {
        // A client that attached something else than an event counter gets no interrupt.
        let _ = rustix::io::write(file, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use rustix::event::EventfdFlags;

    use super::*;
    use crate::profile::Profile;
    use crate::silicon::Silicon;

    const EVENTFD: u32 = 0x24;
    const NONE: u32 = 0x21;
    const BOOL: u32 = 0x22;

    fn kernel() -> Kernel {
        let silicon = Silicon::power_on(Profile::default().check().unwrap()).unwrap();
        Kernel::bind(silicon, crate::kernel::DEFAULT_ABI).unwrap()
    }

    fn request(flags: u32, index: u32, start: u32, count: u32) -> SetIrqs {
        let argsz = size_of::<SetIrqs>() as u32;
        SetIrqs {
            argsz: argsz.into(),
            flags: flags.into(),
            index: index.into(),
            start: start.into(),
            count: count.into(),
        }
    }

    fn events(count: usize) -> (Vec<OwnedFd>, Vec<OwnedFd>) {
        let event = |_| rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        let ours: Vec<_> = (0..count).map(event).collect();
        let theirs = ours.iter().map(|file| file.try_clone().unwrap()).collect();
        (ours, theirs)
    }

    fn counted(file: &OwnedFd) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::read(file, &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
    }

    #[test]
    fn an_attached_vector_is_triggered_and_its_neighbour_is_not() {
        let (kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(2));
        irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 3, 2), &[], theirs).unwrap();
        irqs.set(&kernel, &request(NONE, irq::MSIX, 4, 1), &[], Vec::new()).unwrap();
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (0, 1));
        irqs.set(&kernel, &request(BOOL, irq::MSIX, 3, 2), &[1, 0], Vec::new()).unwrap();
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (1, 0));
    }

    #[test]
    fn the_device_signals_the_vector_that_it_means_and_loses_what_nobody_attached() {
        let (kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(2));
        irqs.raise(1);
        irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 0, 2), &[], theirs).unwrap();
        for vector in [1, 2, 8, u16::MAX] {
            irqs.raise(vector);
        }
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (0, 1));
    }

    #[test]
    fn a_detached_vector_is_not_triggered() {
        let (kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(1));
        irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 0, 1), &[], theirs).unwrap();
        irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 0, 1), &[], Vec::new()).unwrap();
        irqs.set(&kernel, &request(NONE, irq::MSIX, 0, 1), &[], Vec::new()).unwrap();
        assert_eq!(counted(&ours[0]), 0);
    }

    #[test]
    fn a_count_of_zero_without_data_detaches_all() {
        let (kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(8));
        irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 0, 8), &[], theirs).unwrap();
        irqs.set(&kernel, &request(NONE, irq::MSIX, 0, 0), &[], Vec::new()).unwrap();
        irqs.set(&kernel, &request(NONE, irq::MSIX, 0, 8), &[], Vec::new()).unwrap();
        assert_eq!(ours.iter().map(counted).sum::<u64>(), 0);
    }

    #[test]
    fn a_vector_that_would_block_does_not_stop_the_server() {
        let (kernel, mut irqs) = (kernel(), Irqs::default());
        let full = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 0, 1), &[], vec![full]).unwrap();
        assert_eq!(irqs.set(&kernel, &request(NONE, irq::MSIX, 0, 1), &[], Vec::new()), Ok(()));
    }

    #[rstest]
    #[case::no_such_index(request(NONE, 5, 0, 0), Errno::EINVAL)]
    #[case::past_the_last_vector(request(NONE, irq::MSIX, 8, 1), Errno::EINVAL)]
    #[case::a_sum_beyond_32_bits(request(NONE, irq::MSIX, u32::MAX, u32::MAX), Errno::EINVAL)]
    #[case::no_such_pin(request(NONE, irq::INTX, 0, 1), Errno::EINVAL)]
    #[case::two_kinds_of_data(request(0x23, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::no_data_at_all(request(0x20, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::an_unknown_flag(request(0x61, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::masking(request(0x09, irq::MSIX, 0, 1), Errno::ENOTTY)]
    #[case::too_few_bools(request(BOOL, irq::MSIX, 0, 3), Errno::EINVAL)]
    fn a_request_that_cannot_be_is_refused(#[case] request: SetIrqs, #[case] errno: Errno) {
        assert_eq!(Irqs::default().set(&kernel(), &request, &[1, 1], Vec::new()), Err(errno));
    }

    #[test]
    fn fewer_files_than_vectors_are_refused() {
        let (kernel, mut irqs, (_, theirs)) = (kernel(), Irqs::default(), events(1));
        let result = irqs.set(&kernel, &request(EVENTFD, irq::MSIX, 0, 2), &[], theirs);
        assert_eq!(result, Err(Errno::EINVAL));
    }
}
