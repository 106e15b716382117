//! What a device is told of its pin, what reaches the guest, and how the pin is unmasked.

use cxl_spec::access::Access;
use cxl_spec::access::Width;

use super::super::soft::SoftApic;
use super::*;
use crate::backend::fake::Fake;

struct Scene {
    fake: Fake,
    apic: SoftApic,
    pin: Pin,
}

/// A pin on input 17, which is number 0x51 by level, or one that is wired to nothing.
fn scene(fake: Fake, input: Option<u8>) -> Scene {
    let apic = SoftApic::default();
    for (offset, value) in [(0, 0x32), (0x10, 0x8051)] {
        apic.controller_write(Access::new(offset, Width::Dword).unwrap(), value).unwrap();
    }
    let planned = Planned { number: 1, input };
    let pin = Pin::attach(fake.shared(), Arc::new(apic.clone()), &planned).unwrap().unwrap();
    Scene { fake, apic, pin }
}

impl Scene {
    fn assert(&self) {
        self.fake.look(|state| state.events[&(irq::INTX, 0)].signal());
    }

    fn taken(&self) -> u64 {
        self.pin.attend().unwrap();
        self.apic.take(|_| true);
        self.pin.attend().unwrap();
        self.apic.taken(0x51)
    }

    /// How often the pin was unmasked by its event, if it has one, and by calls.
    fn unmasked(&self) -> (Option<u64>, u32) {
        self.fake.look(|state| (state.unmask_event.as_ref().map(Event::take), state.unmasked))
    }
}

#[test]
fn the_end_of_an_interrupt_unmasks_the_pin_without_the_machine() {
    let scene = scene(Fake::committed(), Some(17));
    assert_eq!((scene.taken(), scene.unmasked()), (0, (Some(0), 0)));
    for count in 1..4 {
        scene.assert();
        assert_eq!((scene.taken(), scene.unmasked()), (count, (Some(1), 0)));
    }
    assert_eq!(scene.pin.told(), 0);
}

#[test]
fn a_device_that_takes_no_event_for_it_is_unmasked_by_a_call() {
    let scene = scene(Fake::committed().with(|state| state.no_unmask_events = true), Some(17));
    scene.assert();
    assert_eq!((scene.taken(), scene.unmasked()), (1, (None, 1)));
    assert_eq!((scene.taken(), scene.unmasked()), (1, (None, 1)));
    scene.assert();
    assert_eq!((scene.taken(), scene.unmasked()), (2, (None, 2)));
}

#[test]
fn a_pin_that_is_wired_to_nothing_is_told_to_the_machine_which_alone_unmasks_it() {
    let scene = scene(Fake::committed(), None);
    scene.assert();
    assert_eq!((scene.taken(), scene.pin.told(), scene.unmasked()), (0, 1, (None, 0)));
    scene.pin.unmask().unwrap();
    assert_eq!(scene.unmasked(), (None, 1));
}

#[test]
fn a_pin_that_is_taken_back_has_no_line_and_one_that_is_given_again_begins_anew() {
    let scene = scene(Fake::committed(), Some(17));
    scene.assert();
    scene.apic.attend();
    scene.pin.take_back().unwrap();
    assert!(scene.fake.look(|state| state.events.is_empty()));
    scene.pin.take_back().unwrap();
    assert_eq!(scene.taken(), 1, "what the I/O APIC has sent is not called back");
    scene.pin.give().unwrap();
    scene.pin.give().unwrap();
    assert_eq!((scene.taken(), scene.unmasked()), (1, (Some(0), 0)));
    scene.assert();
    assert_eq!((scene.taken(), scene.unmasked()), (2, (Some(1), 0)));
}

#[test]
fn a_device_that_refuses_its_pin_has_none_and_one_that_is_lost_is_an_error() {
    let planned = Planned { number: 1, input: Some(17) };
    let attach = |failure| {
        let fake = Fake::committed().with(|state| state.fail_at = Some((1, failure)));
        Pin::attach(fake.shared(), Arc::new(SoftApic::default()), &planned)
    };
    assert!(attach(Failure::Refused(vfio_abi::errno::Errno::EINVAL)).unwrap().is_none());
    assert!(attach(Failure::Lost("gone".to_owned())).is_err());
}

#[test]
fn a_pin_that_goes_leaves_nothing_attached() {
    let scene = scene(Fake::committed(), Some(17));
    let Scene { fake, apic: _, pin } = scene;
    drop(pin);
    assert!(fake.look(|state| state.events.is_empty()));
}
