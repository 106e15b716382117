//! A machine under schedules that a search chooses: one thread is the vCPU, whose accesses are calls of the bus, and
//! another runs the machine. All locks are the machine's own; calls on devices take their time.
//!
//! A schedule in which somebody waits for ever is reported by the search, so "it returns" needs no clock.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use shuttle::Config;
use shuttle::Runner;
use shuttle::scheduler::PctScheduler;
use shuttle::scheduler::RandomScheduler;
use shuttle::thread;

use super::plug::attached;
use super::plug::held;
use super::plug::machine;
use super::plug::started;
use super::plug::traces;
use super::*;
use crate::backend::fake::CountedSlots;
use crate::sync::point;

/// How many schedules each search tries with each of its two ways to choose.
const SCHEDULES: usize = 150;

/// How often priorities change in a schedule of the second way.
const CHANGES: usize = 4;

/// Tries `life` under many schedules.
fn search(life: impl Fn() + Clone + Send + Sync + 'static) {
    let mut config = Config::new();
    // A whole machine is planned and built on these stacks.
    config.stack_size = 4 << 20;
    Runner::new(RandomScheduler::new(SCHEDULES), config.clone()).run(life.clone());
    Runner::new(PctScheduler::new(CHANGES, SCHEDULES), config).run(life);
}

/// A device that has this in every one of its places.
fn marked(mark: u32) -> Fake {
    Fake::committed().with(|state| {
        let both = u64::from(mark) << 32 | u64::from(mark);
        for (region, offset) in [(9, 0x40), (2, 0x40)] {
            state.regions[&region].memory.as_ref().unwrap().store(offset, Width::Qword, both).unwrap();
        }
        for (region, offset) in [(0, 0x20), (10, 0x40), (7, 0x60)] {
            state.set(region, offset, mark);
            state.set(region, offset + 4, mark);
        }
    })
}

const FIRST: u32 = 0x1111_1111;
const OLD: u32 = 0xaaaa_aaaa;
const NEW: u32 = 0xbbbb_bbbb;
const GONE: u32 = 0xffff_ffff;

/// The places of the device with this number: its memory, both BARs, component registers, configuration space.
fn places(running: &Running, number: usize) -> Vec<(Gpa, Width)> {
    let device = &running.plan().devices[number];
    let bar = |bar: usize, offset| device.bars[bar].span.start().checked_add(offset).unwrap();
    vec![
        (device.window.span.start().checked_add(0x40).unwrap(), Width::Qword),
        (bar(1, 0x40), Width::Qword),
        (bar(0, 0x20), Width::Dword),
        (bar(1, 0x2_1040), Width::Qword),
        (device.config.start().checked_add(0x60).unwrap(), Width::Dword),
    ]
}

/// What the vCPU reads there: the mark of one device, whole.
fn seen(bus: &Bus, (at, width): (Gpa, Width)) -> u32 {
    let mut bytes = [0; 8];
    let length = width.bytes() as usize;
    bus.load(at, &mut bytes[..length]);
    let [low, high] = [0, 4].map(|half| u32::from_le_bytes(bytes[half..half + 4].try_into().unwrap()));
    assert!(length == 4 || low == high, "half of one and half of another at {at}: {high:#x} {low:#x}");
    low
}

fn store(bus: &Bus, at: Gpa, width: Width, value: u64) {
    bus.store(at, &value.to_le_bytes()[..width.bytes() as usize]);
}

/// All places show this.
fn shows(bus: &Bus, places: &[(Gpa, Width)], mark: u32) {
    for place in places {
        assert_eq!(seen(bus, *place), mark, "at {}", place.0);
    }
}

/// What may be seen from one phase on to another: in even ones it is this, in odd ones it changes.
const PHASES: [&[u32]; 5] = [&[OLD], &[OLD, GONE], &[GONE], &[GONE, NEW], &[NEW]];

/// A machine with gpu0 and, in its second slot, the old device; and what is held by it.
struct Life {
    running: Running,
    slots: Arc<CountedSlots>,
    first: Fake,
    old: Fake,
    clean: (usize, usize, u32, Vec<u8>),
    with_both: (usize, usize, [usize; 3]),
    first_with_both: (usize, usize, u32, Vec<u8>),
}

impl Life {
    fn new(machine: &Machine) -> Self {
        let (first, old) = (marked(FIRST), marked(OLD));
        let clean = traces(&old);
        let (mut running, slots) = started(machine, &first);
        running.plug("b", "gpu1", attached(&old).unwrap()).unwrap();
        let (with_both, first_with_both) = (held(&running, &slots), traces(&first));
        Self { running, slots, first, old, clean, with_both, first_with_both }
    }

    /// The old device has left no trace, and all else is as when it was there: the new one is in its place.
    fn another_is_in_its_place(&self) {
        assert_eq!(traces(&self.old), self.clean);
        assert_eq!(held(&self.running, &self.slots), self.with_both);
        assert_eq!(traces(&self.first), self.first_with_both);
        assert_eq!((self.running.lost(), self.running.losses()), (None, Vec::new()));
        assert_eq!((self.running.unplaced(0), self.running.unplaced(1)), (None, None));
        shows(&self.running.bus, &places(&self.running, 1), NEW);
        shows(&self.running.bus, &places(&self.running, 0), FIRST);
    }
}

#[test]
fn a_vcpu_sees_the_old_device_or_nothing_or_the_new_one_and_each_whole_and_in_time() {
    search(|| {
        let mut life = Life::new(&machine());
        let phase = Arc::new(AtomicUsize::new(0));
        let (bus, places) = (life.running.bus.clone(), places(&life.running, 1));
        let vcpu = thread::spawn({
            let phase = phase.clone();
            move || {
                for place in places.iter().chain(places.iter().rev()) {
                    let before = phase.load(Ordering::SeqCst);
                    let seen = seen(&bus, *place);
                    let after = phase.load(Ordering::SeqCst);
                    let may = PHASES[before..=after].concat();
                    assert!(may.contains(&seen), "{seen:#x} at {} in {before} to {after}", place.0);
                }
            }
        });
        let next = || {
            phase.fetch_add(1, Ordering::SeqCst);
        };
        next();
        life.running.unplug(1).unwrap();
        next();
        point();
        next();
        life.running.plug("b", "gpu1", attached(&marked(NEW)).unwrap()).unwrap();
        next();
        vcpu.join().unwrap();
        life.another_is_in_its_place();
    });
}

/// Registers in the fake's configuration space.
const COMMAND: u64 = 0x04;
const BAR_0: u64 = 0x10;
const DEVICE_CONTROL: u64 = 0x48;

/// The vCPU turns the device off and on, moves a BAR there and back, and resets the device by its function.
fn writes_configuration(bus: &Bus, config: Gpa, bar0: Gpa) {
    let write = |offset, width, value| store(bus, config.checked_add(offset).unwrap(), width, value);
    write(COMMAND, Width::Word, 0);
    write(COMMAND, Width::Word, 6);
    write(BAR_0, Width::Dword, bar0.get() + 0x4000);
    write(BAR_0, Width::Dword, bar0.get());
    write(DEVICE_CONTROL, Width::Word, 0x8000);
}

#[test]
fn writes_to_configuration_space_that_meet_the_end_of_a_device_leave_nothing_of_it() {
    search(|| {
        let mut life = Life::new(&machine());
        let bus = life.running.bus.clone();
        let gpu1 = &life.running.plan().devices[1];
        let (config, bar0) = (gpu1.config.start(), gpu1.bars[0].span.start());
        let vcpu = thread::spawn(move || writes_configuration(&bus, config, bar0));
        life.running.unplug(1).unwrap();
        let gone = places(&life.running, 1);
        shows(&life.running.bus, &gone, GONE);
        life.running.plug("b", "gpu1", attached(&marked(NEW)).unwrap()).unwrap();
        vcpu.join().unwrap();
        life.another_is_in_its_place();
    });
}

#[test]
fn a_reset_by_the_machine_that_meets_the_guests_own_resets_brings_everything_back() {
    search(|| {
        let mut life = Life::new(&machine());
        let bus = life.running.bus.clone();
        let gpu1 = &life.running.plan().devices[1];
        let (config, bar0) = (gpu1.config.start(), gpu1.bars[0].span.start());
        let vcpu = thread::spawn(move || writes_configuration(&bus, config, bar0));
        life.running.reset_device(1).unwrap();
        life.running.attend();
        life.running.reset_device(1).unwrap();
        vcpu.join().unwrap();
        assert_eq!(held(&life.running, &life.slots), life.with_both);
        assert_eq!(traces(&life.first), life.first_with_both);
        assert_eq!((life.running.lost(), life.running.unplaced(1)), (None, None));
        shows(&life.running.bus, &places(&life.running, 1), OLD);
    });
}
