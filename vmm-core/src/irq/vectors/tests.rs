//! What a device is told, and what reaches the guest, while a guest programs MSI-X.

use super::super::soft::SoftApic;
use super::*;
use crate::backend::Call;
use crate::backend::fake::Fake;

const ON: u64 = 0x8000;

struct Scene {
    fake: Fake,
    apic: SoftApic,
    msix: Msix,
}

/// A device with four vectors: capability at 0x80, table at 0x1000 of BAR 0, pending bits at 0x2000.
fn scene(flags: IrqFlags, count: u32) -> Scene {
    let (fake, apic) = (Fake::committed(), SoftApic::default());
    let place = |offset, size| Place { bar: 0, offset, size };
    let found = Found { capability: 0x80, vectors: 4, table: place(0x1000, 0x40), pending: place(0x2000, 8) };
    let irqs = [Irq { index: irq::MSIX, count, flags }];
    let msix = Msix::new(fake.shared(), Arc::new(apic.clone()), &found, &irqs);
    Scene { fake, apic, msix }
}

fn plain() -> Scene {
    scene(IrqFlags::EVENTFD, 4)
}

fn access(offset: u64, width: Width) -> Access {
    Access::new(offset, width).unwrap()
}

impl Scene {
    fn store(&self, offset: u64, value: u64) {
        let part = self.msix.part(0, access(0x1000 + offset, Width::Dword)).unwrap();
        self.msix.store(part, value).unwrap();
    }

    fn control(&self, value: u64) {
        assert!(self.msix.config_write(access(0x82, Width::Word), value).unwrap());
    }

    /// Gives a vector the message of interrupt 0x40 and its number, and takes its mask.
    fn program(&self, vector: u64) {
        let at = 0x10 * vector;
        for (offset, value) in [(0, 0xfee0_0000), (4, 0), (8, 0x40 + vector), (12, 0)] {
            self.store(at + offset, value);
        }
    }

    fn signal(&self, vector: u32) {
        self.fake.look(|state| state.events[&(irq::MSIX, vector)].signal());
    }

    fn attached(&self) -> Vec<u32> {
        self.fake.look(|state| state.events.keys().map(|(_, vector)| *vector).collect())
    }

    /// First vector and how many, of each change that the device saw.
    fn changes(&self) -> Vec<(u32, u32)> {
        let change = |call: &Call| match call {
            Call::SetIrqs { start, count, .. } => Some((*start, *count)),
            _ => None,
        };
        self.fake.look(|state| state.calls.iter().filter_map(change).collect())
    }

    fn pending(&self, hardware: u64) -> u64 {
        let part = self.msix.part(0, access(0x2000, Width::Qword)).unwrap();
        self.msix.load(part, hardware).unwrap()
    }
}

#[test]
fn a_vector_that_the_guest_uses_reaches_it() {
    let scene = plain();
    scene.program(2);
    assert!(scene.attached().is_empty(), "MSI-X is off");
    scene.control(ON);
    assert_eq!(scene.attached(), [0, 2]);
    scene.signal(2);
    scene.apic.take(|_| true);
    assert_eq!((scene.apic.taken(0x42), scene.apic.taken(0x40)), (1, 0));
    scene.control(0);
    assert!(scene.attached().is_empty());
}

#[test]
fn a_masked_vector_is_pending_and_reaches_the_guest_once_it_is_not() {
    let scene = plain();
    scene.program(0);
    scene.control(ON);
    scene.store(0xc, 1);
    scene.signal(0);
    scene.signal(0);
    scene.apic.take(|_| true);
    assert_eq!((scene.apic.taken(0x40), scene.pending(0)), (0, 1));
    scene.store(0xc, 0);
    scene.apic.take(|_| true);
    assert_eq!((scene.apic.taken(0x40), scene.pending(0)), (1, 0));
    scene.control(ON | 0x4000);
    scene.signal(0);
    scene.apic.take(|_| true);
    assert_eq!((scene.apic.taken(0x40), scene.pending(0)), (1, 1));
    scene.control(ON);
    scene.apic.take(|_| true);
    assert_eq!((scene.apic.taken(0x40), scene.pending(0)), (2, 0));
}

#[test]
fn of_vectors_without_an_event_the_hardware_knows_whether_they_are_pending() {
    let scene = plain();
    scene.control(ON);
    assert_eq!(scene.attached(), [0]);
    scene.signal(0);
    assert_eq!(scene.pending(0b1000), 0b1001);
    let mask = Part::Table(access(0xc, Width::Dword));
    assert_eq!(scene.msix.load(mask, 0xff).unwrap(), 1, "of the table it knows nothing");
}

#[test]
fn where_vectors_cannot_be_added_all_are_given_again() {
    let scene = scene(IrqFlags::EVENTFD | IrqFlags::NORESIZE, 4);
    scene.program(1);
    scene.program(3);
    scene.control(ON);
    assert_eq!(scene.changes(), [(0, 1), (0, 0), (0, 2), (0, 0), (0, 4)]);
    assert_eq!(scene.attached(), [0, 1, 3]);
    scene.signal(3);
    scene.signal(1);
    scene.apic.take(|_| true);
    assert_eq!((scene.apic.taken(0x41), scene.apic.taken(0x43)), (1, 1));
}

#[test]
fn where_vectors_can_be_added_each_is_given_once() {
    let scene = plain();
    scene.program(1);
    scene.control(ON);
    scene.store(0x1c, 1);
    scene.store(0x1c, 0);
    assert_eq!(scene.changes(), [(0, 1), (1, 1)]);
}

#[test]
fn a_vector_that_the_device_has_no_events_for_does_nothing() {
    let scene = scene(IrqFlags::EVENTFD, 2);
    scene.program(3);
    scene.control(ON);
    assert_eq!(scene.attached(), [0]);
}

#[test]
fn the_message_control_register_is_the_machines_in_every_width() {
    let scene = plain();
    let read = |offset, width, value| scene.msix.config_read(access(offset, width), value);
    let write = |offset, width, value| scene.msix.config_write(access(offset, width), value).unwrap();
    assert!(write(0x80, Width::Dword, 0xffff_ffff));
    assert_eq!(read(0x80, Width::Dword, 0x1234_9011), 0xc003_9011, "id and next are the device's");
    assert_eq!((read(0x82, Width::Word, 7), read(0x82, Width::Byte, 7)), (0xc003, 3));
    assert!(write(0x83, Width::Byte, 0x80));
    assert_eq!((read(0x83, Width::Byte, 7), read(0x82, Width::Word, 7)), (0x80, 0x8003));
    assert!(write(0x82, Width::Byte, 0), "the size of the table is not the guest's");
    assert_eq!(read(0x82, Width::Word, 7), 0x8003);
    assert!(!write(0x80, Width::Word, 0xffff) && !write(0x84, Width::Dword, 0xffff_ffff));
    assert_eq!(read(0x84, Width::Dword, 7), 7);
}

#[test]
fn the_table_takes_whole_dwords_and_the_pending_bits_nothing() {
    let scene = plain();
    let part = |offset: u64, width| scene.msix.part(0, access(0x1000 + offset, width)).unwrap();
    scene.msix.store(part(0, Width::Qword), 0x1_fee0_1000).unwrap();
    scene.msix.store(part(8, Width::Byte), 0xff).unwrap();
    scene.msix.store(part(8, Width::Word), 0xffff).unwrap();
    scene.msix.store(Part::Pending(access(0, Width::Qword)), u64::MAX).unwrap();
    let load = |offset, width| scene.msix.load(part(offset, width), 0).unwrap();
    assert_eq!((load(0, Width::Qword), load(8, Width::Qword)), (0x1_fee0_1000, 1 << 32));
    assert_eq!((load(1, Width::Byte), load(2, Width::Word), load(4, Width::Dword)), (0x10, 0xfee0, 1));
    assert_eq!(scene.pending(0), 0);
}

#[test]
fn what_is_beside_table_and_pending_bits_is_the_devices() {
    let scene = plain();
    let part = |region, offset, width| scene.msix.part(region, access(offset, width));
    assert_eq!(part(0, 0x103c, Width::Dword), Some(Part::Table(access(0x3c, Width::Dword))));
    assert_eq!(part(0, 0x2000, Width::Byte), Some(Part::Pending(access(0, Width::Byte))));
    for (region, offset, width) in [
        (0, 0x1040, Width::Dword),
        (0, 0xff8, Width::Qword),
        (0, 0x2008, Width::Byte),
        (1, 0x1000, Width::Dword),
    ] {
        assert_eq!(part(region, offset, width), None, "{region} {offset:#x}");
    }
}

#[test]
fn what_was_given_is_taken_back_in_the_end() {
    let Scene { fake, msix, .. } = plain();
    msix.config_write(access(0x82, Width::Word), ON).unwrap();
    assert_eq!(fake.look(|state| state.events.len()), 1);
    drop(msix);
    assert_eq!(fake.look(|state| state.events.len()), 0);
}

#[test]
fn a_device_that_refuses_is_asked_again_when_the_vector_is_used_again() {
    let scene = plain();
    let scene = Scene { fake: scene.fake.with(|state| state.fail_at = Some((1, refusal()))), ..scene };
    assert!(scene.msix.config_write(access(0x82, Width::Word), ON).is_err());
    assert!(scene.attached().is_empty());
    scene.program(0);
    assert_eq!(scene.attached(), [0]);
}

fn refusal() -> crate::backend::Failure {
    crate::backend::Failure::Refused(vfio_abi::errno::Errno::EINVAL)
}
