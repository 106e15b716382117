//! Interrupts: the event file descriptors that who uses the device attached, and triggering them, by request or by the
//! device.
//!
//! ```text
//!  MSI-X   attached: triggered.  None attached to the vector: pending in the hardware until there is
//!  INTx    asserted ── triggered ──▶ masked ── unmasked by the client, and still asserted ──▶ triggered again
//!  ERR     an uncorrectable error was signalled         REQ   the host wants the device back
//! ```
//!
//! The [pin](Pin) is unmasked by a message, or by an event that the client attaches for that: whoever has its file, as
//! KVM has at the end of a guest's interrupt, unmasks without us. Masking by an event is refused with `ENOTTY`.
//!
//! Either the pin or MSI-X has events, never both: who has those of one and attaches the other's is refused.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use vfio_abi::errno::Errno;
use vfio_abi::info::irq;
use vfio_abi::request::IrqAction;
use vfio_abi::request::SetIrqs;

use super::event;
use super::pin::Pin;
use crate::kernel::Kernel;
use crate::silicon::Severity;

/// What is attached: for each interrupt index a list of vectors.
#[derive(Debug, Default)]
pub struct Irqs {
    attached: [Vec<Option<OwnedFd>>; irq::COUNT as usize],
    pin: Pin,
    /// What the client signals to unmask the pin.
    unmask: Option<OwnedFd>,
}

const DATA: IrqAction = IrqAction::DATA_NONE.union(IrqAction::DATA_BOOL).union(IrqAction::DATA_EVENTFD);

impl Irqs {
    /// Does what the client asks. `bools` is the data of `DATA_BOOL`, `files` that of `DATA_EVENTFD`.
    ///
    /// # Errors
    /// `EINVAL` of what cannot be, `ENOTTY` of masking what cannot be masked.
    pub fn set(
        &mut self,
        kernel: &mut Kernel,
        request: &SetIrqs,
        bools: &[u8],
        files: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        let action = IrqAction::from_bits(request.flags.get()).ok_or(Errno::EINVAL)?;
        let vectors = kernel.irq(request.index.get())?.count.get() as usize;
        let (start, count) = (request.start.get() as usize, request.count.get() as usize);
        let end = start.checked_add(count).filter(|end| *end <= vectors).ok_or(Errno::EINVAL)?;
        if action - DATA != IrqAction::TRIGGER {
            return self.mask(request, action, bools.get(..count), files);
        }
        if action.contains(IrqAction::DATA_EVENTFD)
            && !files.is_empty()
            && self.is_other_on(request.index.get())
        {
            return Err(Errno::EINVAL);
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
        if action.contains(IrqAction::DATA_EVENTFD) || count == 0 {
            self.changed(kernel, request.index.get());
        }
        Ok(())
    }

    /// Whether the pin has events and this is MSI-X, or the other way round.
    fn is_other_on(&self, index: u32) -> bool {
        let other = match index {
            irq::INTX => irq::MSIX,
            irq::MSIX => irq::INTX,
            _ => return false,
        };
        self.events(other).any(Option::is_some)
    }

    /// Masks or unmasks. Only the pin can be, while it has its event; whether it is still asserted is seen after this
    /// message.
    fn mask(
        &mut self,
        request: &SetIrqs,
        action: IrqAction,
        bools: Option<&[u8]>,
        files: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        let masks = match action - DATA {
            IrqAction::MASK => true,
            IrqAction::UNMASK => false,
            _ => return Err(Errno::EINVAL),
        };
        if request.index.get() != irq::INTX {
            return Err(Errno::ENOTTY);
        }
        if self.pin == Pin::Unheard || request.count.get() != 1 {
            return Err(Errno::EINVAL);
        }
        let wanted = match action & DATA {
            IrqAction::DATA_NONE => true,
            IrqAction::DATA_BOOL => bools.ok_or(Errno::EINVAL)?.iter().any(|wanted| *wanted != 0),
            IrqAction::DATA_EVENTFD if masks => return Err(Errno::ENOTTY),
            IrqAction::DATA_EVENTFD => return self.unmask_by(files),
            _ => return Err(Errno::EINVAL),
        };
        if wanted {
            self.pin.set_masked(masks);
        }
        Ok(())
    }

    /// From now on the pin is unmasked whenever this is signalled; without a file, not any more.
    fn unmask_by(&mut self, mut files: Vec<OwnedFd>) -> Result<(), Errno> {
        let (file, more) = (files.pop(), !files.is_empty());
        match file {
            None => self.unmask = None,
            Some(_) if self.unmask.is_some() => return Err(Errno::EBUSY),
            Some(file) if !more && event::is_counter(&file) => self.unmask = Some(file),
            Some(_) => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// The event to wait for, if a client unmasks the pin by one.
    pub fn unmask_event(&self) -> Option<BorrowedFd<'_>> {
        self.unmask.as_ref().map(AsFd::as_fd)
    }

    /// If the client has signalled that event, the pin is unmasked. Gives whether it was.
    pub fn take_unmask(&mut self) -> bool {
        match self.unmask.as_ref().map(event::take) {
            Some(Ok(true)) => self.pin.set_masked(false).is_some(),
            // What turns out to be no counter is not waited for.
            Some(Err(_)) => {
                self.unmask = None;
                false
            }
            Some(Ok(false)) | None => false,
        }
    }

    /// What is attached to an index has changed.
    fn changed(&mut self, kernel: &mut Kernel, index: u32) {
        match index {
            irq::INTX if self.events(irq::INTX).any(Option::is_some) => self.pin.attach(),
            irq::INTX => {
                self.pin.take_back();
                self.unmask = None;
            }
            irq::MSIX => {
                kernel.turn_msix(self.events(irq::MSIX).any(Option::is_some));
                for (vector, event) in (0..).zip(self.events(irq::MSIX)) {
                    if event.is_some() && kernel.take_pending(vector) {
                        trigger(event);
                    }
                }
            }
            _ => {}
        }
    }

    fn events(&self, index: u32) -> impl Iterator<Item = &Option<OwnedFd>> {
        self.attached.get(index as usize).into_iter().flatten()
    }

    /// The device signals a vector of its own accord. While MSI-X is off nobody hears of it.
    pub fn raise(&self, kernel: &mut Kernel, vector: u16) {
        match self.events(irq::MSIX).nth(vector.into()) {
            Some(event @ Some(_)) => trigger(event),
            _ if kernel.silicon().config().msix().enable() => kernel.pends(vector),
            _ => {}
        }
    }

    /// The device reports an error. Only what cannot be corrected is told.
    pub fn error(&self, severity: Severity) {
        if severity != Severity::Correctable {
            self.events(irq::ERR).for_each(trigger);
        }
    }

    /// The host wants the device back.
    pub fn want_back(&self) {
        self.events(irq::REQ).for_each(trigger);
    }

    /// Tells that the pin is asserted, once, until it is unmasked.
    pub fn watch_pin(&mut self, kernel: &Kernel) {
        if self.pin.sees(kernel.silicon().asserts_pin()) {
            self.events(irq::INTX).for_each(trigger);
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
        let (mut kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(2));
        irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 3, 2), &[], theirs).unwrap();
        irqs.set(&mut kernel, &request(NONE, irq::MSIX, 4, 1), &[], Vec::new()).unwrap();
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (0, 1));
        irqs.set(&mut kernel, &request(BOOL, irq::MSIX, 3, 2), &[1, 0], Vec::new()).unwrap();
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (1, 0));
    }

    #[test]
    fn the_device_signals_the_vector_that_it_means_and_loses_what_nobody_attached() {
        let (mut kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(2));
        irqs.raise(&mut kernel, 1);
        irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 0, 2), &[], theirs).unwrap();
        for vector in [1, 2, 8, u16::MAX] {
            irqs.raise(&mut kernel, vector);
        }
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (0, 1));
    }

    #[test]
    fn a_detached_vector_is_not_triggered() {
        let (mut kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(1));
        irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 0, 1), &[], theirs).unwrap();
        irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 0, 1), &[], Vec::new()).unwrap();
        irqs.set(&mut kernel, &request(NONE, irq::MSIX, 0, 1), &[], Vec::new()).unwrap();
        assert_eq!(counted(&ours[0]), 0);
    }

    #[test]
    fn a_count_of_zero_without_data_detaches_all() {
        let (mut kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(8));
        irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 0, 8), &[], theirs).unwrap();
        irqs.set(&mut kernel, &request(NONE, irq::MSIX, 0, 0), &[], Vec::new()).unwrap();
        irqs.set(&mut kernel, &request(NONE, irq::MSIX, 0, 8), &[], Vec::new()).unwrap();
        assert_eq!(ours.iter().map(counted).sum::<u64>(), 0);
    }

    #[test]
    fn a_vector_that_would_block_does_not_stop_the_server() {
        let (mut kernel, mut irqs) = (kernel(), Irqs::default());
        let full = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 0, 1), &[], vec![full]).unwrap();
        assert_eq!(irqs.set(&mut kernel, &request(NONE, irq::MSIX, 0, 1), &[], Vec::new()), Ok(()));
    }

    #[rstest]
    #[case::no_such_index(request(NONE, 5, 0, 0), Errno::EINVAL)]
    #[case::past_the_last_vector(request(NONE, irq::MSIX, 8, 1), Errno::EINVAL)]
    #[case::a_sum_beyond_32_bits(request(NONE, irq::MSIX, u32::MAX, u32::MAX), Errno::EINVAL)]
    #[case::no_such_pin(request(NONE, irq::INTX, 0, 1), Errno::EINVAL)]
    #[case::two_kinds_of_data(request(0x23, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::two_actions(request(0x31, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::masking_no_pin(request(0x09, irq::INTX, 0, 1), Errno::EINVAL)]
    #[case::no_data_at_all(request(0x20, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::an_unknown_flag(request(0x61, irq::MSIX, 0, 1), Errno::EINVAL)]
    #[case::masking(request(0x09, irq::MSIX, 0, 1), Errno::ENOTTY)]
    #[case::too_few_bools(request(BOOL, irq::MSIX, 0, 3), Errno::EINVAL)]
    fn a_request_that_cannot_be_is_refused(#[case] request: SetIrqs, #[case] errno: Errno) {
        assert_eq!(Irqs::default().set(&mut kernel(), &request, &[1, 1], Vec::new()), Err(errno));
    }

    #[test]
    fn fewer_files_than_vectors_are_refused() {
        let (mut kernel, mut irqs, (_, theirs)) = (kernel(), Irqs::default(), events(1));
        let result = irqs.set(&mut kernel, &request(EVENTFD, irq::MSIX, 0, 2), &[], theirs);
        assert_eq!(result, Err(Errno::EINVAL));
    }

    #[test]
    fn a_vector_without_an_event_is_pending_while_another_has_one_and_is_signalled_once_it_has() {
        let (mut kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(2));
        let mut theirs = theirs.into_iter();
        let mut attach = |irqs: &mut Irqs, kernel: &mut Kernel, vector| {
            irqs.set(kernel, &request(EVENTFD, irq::MSIX, vector, 1), &[], theirs.by_ref().take(1).collect())
        };
        irqs.raise(&mut kernel, 3);
        attach(&mut irqs, &mut kernel, 0).unwrap();
        assert!(!kernel.silicon().is_pending(3), "MSI-X was off");
        irqs.raise(&mut kernel, 3);
        irqs.raise(&mut kernel, 3);
        assert!(kernel.silicon().is_pending(3) && kernel.silicon().config().msix().enable());
        attach(&mut irqs, &mut kernel, 3).unwrap();
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (0, 1));
        assert!(!kernel.silicon().is_pending(3));
        irqs.set(&mut kernel, &request(NONE, irq::MSIX, 0, 0), &[], Vec::new()).unwrap();
        assert!(!kernel.silicon().config().msix().enable());
    }

    const MASK: u32 = 0x09;
    const UNMASK: u32 = 0x11;

    /// A device with a pin, which its engine has asserted: a copy of no bytes ends at once, with an error.
    fn asserted() -> Kernel {
        let profile = Profile::parse("x", "[interrupts]\npin = true").unwrap();
        let silicon = Silicon::power_on(profile.check().unwrap()).unwrap();
        let mut kernel = Kernel::bind(silicon, crate::kernel::DEFAULT_ABI).unwrap();
        kernel.open();
        kernel.write(0, 0xc014, &9u32.to_le_bytes()).unwrap();
        kernel.take_effects();
        kernel
    }

    fn interrupt_status(kernel: &Kernel) -> bool {
        let mut status = [0; 2];
        kernel.read(7, 6, &mut status).unwrap();
        status[0] & 8 != 0
    }

    #[test]
    fn a_pin_that_stays_asserted_is_told_once_for_each_time_it_is_unmasked() {
        let (mut kernel, mut irqs, (ours, theirs)) = (asserted(), Irqs::default(), events(1));
        assert!(interrupt_status(&kernel));
        irqs.set(&mut kernel, &request(EVENTFD, irq::INTX, 0, 1), &[], theirs).unwrap();
        irqs.watch_pin(&kernel);
        irqs.watch_pin(&kernel);
        assert_eq!(counted(&ours[0]), 1, "it has masked itself");
        irqs.set(&mut kernel, &request(UNMASK, irq::INTX, 0, 1), &[], Vec::new()).unwrap();
        irqs.watch_pin(&kernel);
        assert_eq!(counted(&ours[0]), 1, "it is still asserted");
        kernel.write(0, 0xc018, &u32::MAX.to_le_bytes()).unwrap();
        irqs.set(&mut kernel, &request(0x12, irq::INTX, 0, 1), &[1], Vec::new()).unwrap();
        irqs.watch_pin(&kernel);
        assert_eq!((counted(&ours[0]), interrupt_status(&kernel)), (0, false), "it is not any more");
    }

    #[test]
    fn a_pin_that_is_masked_or_disabled_is_not_told() {
        let (mut kernel, mut irqs, (ours, theirs)) = (asserted(), Irqs::default(), events(1));
        irqs.set(&mut kernel, &request(EVENTFD, irq::INTX, 0, 1), &[], theirs).unwrap();
        irqs.set(&mut kernel, &request(MASK, irq::INTX, 0, 1), &[], Vec::new()).unwrap();
        irqs.watch_pin(&kernel);
        irqs.set(&mut kernel, &request(UNMASK, irq::INTX, 0, 1), &[], Vec::new()).unwrap();
        kernel.write(7, 4, &0x0402u16.to_le_bytes()).unwrap();
        irqs.watch_pin(&kernel);
        assert_eq!((counted(&ours[0]), interrupt_status(&kernel)), (0, true), "pending, and not asserted");
        kernel.write(7, 4, &0x0002u16.to_le_bytes()).unwrap();
        kernel.turn_msix(true);
        irqs.watch_pin(&kernel);
        assert_eq!((counted(&ours[0]), interrupt_status(&kernel)), (0, false), "with MSI-X there is no pin");
        let by_event = irqs.set(&mut kernel, &request(0x0c, irq::INTX, 0, 1), &[], events(1).1);
        assert_eq!(by_event, Err(Errno::ENOTTY));
    }

    const UNMASK_BY: u32 = 0x14;

    #[test]
    fn an_event_unmasks_the_pin_whenever_it_is_signalled() {
        let (mut kernel, mut irqs, (ours, theirs)) = (asserted(), Irqs::default(), events(2));
        let mut theirs = theirs.into_iter();
        let set = |irqs: &mut Irqs, kernel: &mut Kernel, flags, files| {
            irqs.set(kernel, &request(flags, irq::INTX, 0, 1), &[], files)
        };
        let unmask: Vec<_> = theirs.by_ref().take(1).collect();
        let early = unmask[0].try_clone().unwrap();
        assert_eq!(set(&mut irqs, &mut kernel, UNMASK_BY, vec![early]), Err(Errno::EINVAL), "nobody listens");
        set(&mut irqs, &mut kernel, EVENTFD, theirs.collect()).unwrap();
        set(&mut irqs, &mut kernel, UNMASK_BY, unmask).unwrap();
        irqs.watch_pin(&kernel);
        assert_eq!((counted(&ours[1]), irqs.take_unmask()), (1, false));
        for _ in 0..3 {
            rustix::io::write(&ours[0], &1u64.to_ne_bytes()).unwrap();
            assert!(irqs.take_unmask() && !irqs.take_unmask());
            irqs.watch_pin(&kernel);
            irqs.watch_pin(&kernel);
            assert_eq!(counted(&ours[1]), 1, "it is still asserted");
        }
        let second = set(&mut irqs, &mut kernel, UNMASK_BY, events(1).1);
        assert_eq!(second, Err(Errno::EBUSY), "there is one");
        set(&mut irqs, &mut kernel, UNMASK_BY, Vec::new()).unwrap();
        rustix::io::write(&ours[0], &1u64.to_ne_bytes()).unwrap();
        assert!(!irqs.take_unmask() && irqs.unmask_event().is_none());
    }

    #[test]
    fn what_is_no_counter_unmasks_nothing_and_is_not_waited_for() {
        let (mut kernel, mut irqs, (_, theirs)) = (asserted(), Irqs::default(), events(1));
        irqs.set(&mut kernel, &request(EVENTFD, irq::INTX, 0, 1), &[], theirs).unwrap();
        let zero = OwnedFd::from(std::fs::File::open("/dev/zero").unwrap());
        let result = irqs.set(&mut kernel, &request(UNMASK_BY, irq::INTX, 0, 1), &[], vec![zero]);
        assert_eq!((result, irqs.unmask_event().is_none()), (Err(Errno::EINVAL), true));
    }

    #[test]
    fn a_pin_that_is_taken_back_is_not_unmasked_by_what_was_attached_for_that() {
        let (mut kernel, mut irqs, (_, mut theirs)) = (asserted(), Irqs::default(), events(2));
        let unmask = theirs.split_off(1);
        irqs.set(&mut kernel, &request(EVENTFD, irq::INTX, 0, 1), &[], theirs).unwrap();
        irqs.set(&mut kernel, &request(UNMASK_BY, irq::INTX, 0, 1), &[], unmask).unwrap();
        irqs.set(&mut kernel, &request(NONE, irq::INTX, 0, 0), &[], Vec::new()).unwrap();
        assert!(irqs.unmask_event().is_none());
        let masked = irqs.set(&mut kernel, &request(MASK, irq::INTX, 0, 1), &[], Vec::new());
        assert_eq!(masked, Err(Errno::EINVAL));
    }

    #[test]
    fn the_pin_and_msix_have_events_one_at_a_time() {
        let (mut kernel, mut irqs) = (asserted(), Irqs::default());
        let mut set =
            |flags, index, count, files| irqs.set(&mut kernel, &request(flags, index, 0, count), &[], files);
        assert_eq!(set(EVENTFD, irq::INTX, 1, events(1).1), Ok(()));
        assert_eq!(set(EVENTFD, irq::MSIX, 1, events(1).1), Err(Errno::EINVAL));
        assert_eq!(set(EVENTFD, irq::ERR, 1, events(1).1), Ok(()));
        assert_eq!(set(NONE, irq::INTX, 0, Vec::new()), Ok(()));
        assert_eq!(set(EVENTFD, irq::MSIX, 1, events(1).1), Ok(()));
        assert_eq!(set(EVENTFD, irq::INTX, 1, events(1).1), Err(Errno::EINVAL));
        assert_eq!(set(NONE, irq::MSIX, 0, Vec::new()), Ok(()));
        assert_eq!(set(EVENTFD, irq::INTX, 1, events(1).1), Ok(()));
    }

    #[test]
    fn only_errors_that_cannot_be_corrected_are_told_and_a_wish_goes_its_own_way() {
        let (mut kernel, mut irqs, (ours, theirs)) = (kernel(), Irqs::default(), events(2));
        for (index, file) in [irq::ERR, irq::REQ].into_iter().zip(theirs) {
            irqs.set(&mut kernel, &request(EVENTFD, index, 0, 1), &[], vec![file]).unwrap();
        }
        for severity in [Severity::Correctable, Severity::NonFatal, Severity::Fatal] {
            irqs.error(severity);
        }
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (2, 0));
        irqs.want_back();
        assert_eq!((counted(&ours[0]), counted(&ours[1])), (0, 1));
    }
}
