//! What the guest programs of a device's interrupts, what it gets, and what the device sees of it.

use super::*;
use crate::backend::Call;
use crate::backend::event::Event;
use crate::backend::irqs::IoEvent;
use crate::irq::signals::Signal;

/// A device with four vectors: capability at 0x80, table at 0x1000 of BAR 0, pending bits at 0x2000.
fn with_msix() -> Fake {
    Fake::committed().with(|state| {
        for (offset, value) in [(0x40, 0x0002_8010), (0x80, 0x0003_0011), (0x84, 0x1000), (0x88, 0x2000)] {
            state.set(7, offset, value);
        }
    })
}

fn bar0(running: &Running, offset: u64) -> Gpa {
    running.plan().devices[0].bars[0].span.start().checked_add(offset).unwrap()
}

/// The guest gives vector 1 interrupt 0x41, takes its mask, and turns MSI-X on.
fn program(running: &mut Running) {
    let (entry, control) = (bar0(running, 0x1010), config(running, 0x82));
    running.store(entry, Width::Qword, 0xfee0_0000).unwrap();
    running.store(entry.checked_add(8).unwrap(), Width::Qword, 0x41).unwrap();
    running.store(control, Width::Word, 0x8000).unwrap();
}

fn signal(fake: &Fake, index: u32, vector: u32) {
    fake.look(|state| state.events[&(index, vector)].signal());
}

#[test]
fn a_vector_reaches_the_guest_and_the_device_never_sees_the_table() {
    let fake = with_msix();
    let mut running = running(&fake);
    program(&mut running);
    signal(&fake, 2, 1);
    assert_eq!((running.interrupts(0x41), running.interrupts(0x40)), (Ok(1), Ok(0)));
    let entry = bar0(&running, 0x1018);
    assert_eq!(running.load(entry, Width::Qword), Ok(0x41));
    let control = config(&running, 0x80);
    assert_eq!(running.load(control, Width::Dword), Ok(0x8003_0011));
    assert_eq!((fake.dword(7, 0x80), fake.dword(0, 0x1018)), (0x0003_0011, 0), "the device's own");
    assert_eq!(running.refused(), 0);
}

#[test]
fn of_a_vector_without_an_event_the_guest_reads_what_the_device_says() {
    let fake = with_msix().with(|state| state.set(0, 0x2000, 0b1000));
    let mut running = running(&fake);
    let control = config(&running, 0x82);
    running.store(control, Width::Word, 0x8000).unwrap();
    signal(&fake, 2, 0);
    let pending = bar0(&running, 0x2000);
    assert_eq!(running.load(pending, Width::Qword), Ok(0b1001));
}

#[test]
fn a_reset_of_the_machine_takes_the_vectors_back_and_what_is_told_to_the_machine_stays() {
    let fake = with_msix();
    let mut running = running(&fake);
    program(&mut running);
    signal(&fake, 2, 1);
    assert_eq!(running.interrupts(0x41), Ok(1));
    running.reset().unwrap();
    assert!(fake.look(|state| state.events.keys().all(|(index, _)| *index != 2)));
    let control = config(&running, 0x82);
    assert_eq!((running.interrupts(0x41), running.load(control, Width::Word)), (Ok(0), Ok(3)));
    signal(&fake, 3, 0);
    let told: Vec<_> = running.signals().into_iter().map(|told| (told.signal, told.times)).collect();
    assert_eq!(told, [(Signal::Error, 1)]);
    program(&mut running);
    signal(&fake, 2, 1);
    assert_eq!(running.interrupts(0x41), Ok(1));
}

#[test]
fn a_reset_of_the_device_by_the_machine_turns_its_msix_off() {
    let fake = with_msix();
    let mut running = running(&fake);
    program(&mut running);
    running.reset_device(0).unwrap();
    let (control, mask) = (config(&running, 0x82), bar0(&running, 0x101c));
    assert_eq!((running.load(control, Width::Word), running.load(mask, Width::Dword)), (Ok(3), Ok(1)));
}

#[test]
fn a_machine_that_ends_leaves_nothing_attached() {
    let fake = with_msix();
    let mut running = running(&fake);
    program(&mut running);
    assert_eq!(fake.look(|state| state.events.len()), 4, "vectors 0 and 1, errors, requests");
    drop(running);
    assert_eq!(fake.look(|state| state.events.len()), 0);
}

#[test]
fn what_a_device_tells_the_machine_is_counted_by_its_kind() {
    let fake = Fake::committed();
    let running = running(&fake);
    assert_eq!(running.signals(), []);
    signal(&fake, 3, 0);
    signal(&fake, 3, 0);
    let told = running.signals();
    assert_eq!((told.len(), told[0].device, told[0].signal, told[0].times), (1, 0, Signal::Error, 2));
}

/// The device's event for writes of a dword at 0x20 of BAR 0, of this value or of any; and the event.
fn with_bell(value: Option<u64>) -> (Fake, Arc<Event>) {
    let event = Arc::new(Event::new().unwrap());
    let stands = IoEvent { offset: 0x20, size: 4, value, event: event.clone() };
    (Fake::committed().with(|state| state.io_events = vec![stands]), event)
}

fn writes_to_bar0(fake: &Fake) -> usize {
    let is_write = |call: &&Call| matches!(call, Call::Write { region: 0, .. });
    fake.look(|state| state.calls.iter().filter(is_write).count())
}

#[test]
fn a_write_that_an_event_stands_for_is_no_call_wherever_the_bar_is() {
    for hypervisor in hypervisors() {
        let (fake, event) = with_bell(None);
        let mut running = running_on(&hypervisor, &fake);
        let bell = bar0(&running, 0x20);
        running.store(bell, Width::Dword, 7).unwrap();
        assert_eq!((event.take(), writes_to_bar0(&fake), fake.dword(0, 0x20)), (1, 0, 0));
        // The BAR is 16 KiB; it moves by as much, as far as its port forwards.
        let (register, there) = (config(&running, 0x10), bar0(&running, 0x4000));
        running.store(register, Width::Dword, there.get()).unwrap();
        running.store(there.checked_add(0x20).unwrap(), Width::Dword, 7).unwrap();
        assert_eq!((event.take(), writes_to_bar0(&fake)), (1, 0));
    }
}

#[test]
fn a_write_as_long_as_an_event_is_not_or_beside_it_is_a_call() {
    for hypervisor in hypervisors() {
        let (fake, event) = with_bell(None);
        let mut running = running_on(&hypervisor, &fake);
        let bell = bar0(&running, 0x20);
        for (width, value) in [(Width::Byte, 5), (Width::Word, 0x607)] {
            running.store(bell, width, value).unwrap();
            assert_eq!((event.take(), u64::from(fake.dword(0, 0x20))), (0, value), "{hypervisor:?}");
        }
        running.store(bell.checked_add(4).unwrap(), Width::Dword, 9).unwrap();
        assert_eq!((event.take(), writes_to_bar0(&fake), fake.dword(0, 0x24)), (0, 3, 9), "{hypervisor:?}");
    }
}

#[test]
fn an_event_that_is_meant_for_one_value_stands_for_that_alone() {
    for hypervisor in hypervisors() {
        let (fake, event) = with_bell(Some(9));
        let mut running = running_on(&hypervisor, &fake);
        let bell = bar0(&running, 0x20);
        running.store(bell, Width::Dword, 8).unwrap();
        assert_eq!((event.take(), fake.dword(0, 0x20)), (0, 8));
        running.store(bell, Width::Dword, 9).unwrap();
        assert_eq!((event.take(), fake.dword(0, 0x20)), (1, 8));
    }
}

/// The guest writes a dword so often, and again behind the bell. How many accesses left the guest, each time; what the
/// event counted; what the device was written.
fn rung(hypervisor: &Hypervisor, times: u32) -> ([u64; 2], u64, u32) {
    let (fake, event) = with_bell(None);
    let mut running = running_on(hypervisor, &fake);
    let left = [0x20, 0x24].map(|offset| {
        let (at, before) = (bar0(&running, offset), running.accesses());
        (1..=times).for_each(|value| running.store(at, Width::Dword, value.into()).unwrap());
        running.accesses() - before
    });
    assert_eq!(fake.dword(0, 0x20), 0, "the device is not written where an event stands for that");
    (left, event.take(), fake.dword(0, 0x24))
}

#[test]
fn a_doorbell_that_kvm_makes_into_an_event_never_leaves_the_guest_and_the_device_hears_every_ring() {
    assert_eq!(
        rung(&Hypervisor::Soft, 100),
        ([100, 100], 100, 100),
        "every access of a soft guest is a call"
    );
    // Where there is no KVM, there is no such guest.
    let Ok(vm) = kvm::Vm::new() else { return };
    assert_eq!(rung(&Hypervisor::Kvm(vm), 100), ([0, 100], 100, 100));
}
