//! A machine under schedules that a search chooses: one thread is the vCPU, whose accesses are calls of the bus, and
//! another runs the machine. All locks are the machine's own; calls on devices take their time.
//!
//! A schedule in which somebody waits for ever is reported by the search, so "it returns" needs no clock.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use shuttle::Config;
use shuttle::Runner;
use shuttle::rand::Rng;
use shuttle::rand::thread_rng;
use shuttle::scheduler::PctScheduler;
use shuttle::scheduler::RandomScheduler;
use shuttle::thread;

use super::losses::Successors;
use super::plug::attached;
use super::plug::held;
use super::plug::machine;
use super::plug::started;
use super::plug::traces;
use super::*;
use crate::backend::fake::CountedSlots;
use crate::plan::iommu::SmmuIntent;
use crate::plan::iommu::Way;
use crate::plan::life::Life as Wish;
use crate::plan::life::OnLoss;
use crate::program::Kept;
use crate::run::bus::Then;
use crate::sync::point;

/// How many schedules each search tries with each of its two ways to choose.
const SCHEDULES: usize = 100;

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

/// Stays for a while, so that the other comes to do something meanwhile: left to chance alone, whoever has few steps to
/// go is soon over all of them.
fn lingers() {
    (0..thread_rng().gen_range(0..100)).for_each(|_| point());
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
    /// What is held without the old device: as `with_both`.
    alone: (usize, usize, [usize; 3]),
    with_both: (usize, usize, [usize; 3]),
    first_with_both: (usize, usize, u32, Vec<u8>),
}

impl Life {
    fn new(machine: &Machine) -> Self {
        let (first, old) = (marked(FIRST), marked(OLD));
        let clean = traces(&old);
        let (mut running, slots) = started(machine, &first);
        let alone = held(&running, &slots);
        running.plug("b", "gpu1", attached(&old).unwrap()).unwrap();
        let (with_both, first_with_both) = (held(&running, &slots), traces(&first));
        Self { running, slots, first, old, clean, alone, with_both, first_with_both }
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
    // Counted over all schedules.
    static CERTAIN: [AtomicUsize; PHASES.len()] = [const { AtomicUsize::new(0) }; PHASES.len()];
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
                    if before == after {
                        CERTAIN[before].fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        let next = || {
            lingers();
            phase.fetch_add(1, Ordering::SeqCst);
        };
        next();
        life.running.unplug(1).unwrap();
        next();
        next();
        life.running.plug("b", "gpu1", attached(&marked(NEW)).unwrap()).unwrap();
        next();
        vcpu.join().unwrap();
        life.another_is_in_its_place();
    });
    let times = CERTAIN.each_ref().map(|times| times.load(Ordering::Relaxed));
    assert!(!times.contains(&0), "in every phase something was seen: {times:?}");
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

impl Life {
    /// A vCPU that writes the configuration space of gpu1.
    fn vcpu_writes_configuration(&self) -> thread::JoinHandle<()> {
        let bus = self.running.bus.clone();
        let gpu1 = &self.running.plan().devices[1];
        let (config, bar0) = (gpu1.config.start(), gpu1.bars[0].span.start());
        thread::spawn(move || writes_configuration(&bus, config, bar0))
    }
}

#[test]
fn writes_to_configuration_space_that_meet_the_end_of_a_device_leave_nothing_of_it() {
    search(|| {
        let mut life = Life::new(&machine());
        let vcpu = life.vcpu_writes_configuration();
        lingers();
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
        let vcpu = life.vcpu_writes_configuration();
        lingers();
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

fn with_life(life: Wish) -> Machine {
    Machine { life, ..machine() }
}

fn lost_so(on_loss: OnLoss) -> Machine {
    with_life(Wish { on_loss: vec![("gpu1".to_owned(), on_loss)], ..Wish::default() })
}

/// The old device is lost at one of its next calls.
fn lose_soon(old: &Fake) {
    let at = old.look(|state| state.calls.len()) + thread_rng().gen_range(1..20);
    let _old = old.clone().with(|state| state.fail_at = Some((at, Failure::Lost("gone".to_owned()))));
}

/// The vCPU does all it can with the old device. By the end the device has had more calls than it answers.
fn touches_everything(bus: &Bus, places: &[(Gpa, Width)], config: Gpa, bar0: Gpa) {
    for _ in 0..2 {
        for place in places {
            let seen = seen(bus, *place);
            assert!([OLD, GONE, NEW].contains(&seen), "{seen:#x} at {}", place.0);
        }
        writes_configuration(bus, config, bar0);
    }
}

impl Life {
    /// What of the guest's writes the device was lost over is done again.
    fn writes_again(&self) {
        let gpu1 = &self.running.plan().devices[1];
        writes_configuration(&self.running.bus, gpu1.config.start(), gpu1.bars[0].span.start());
    }

    fn vcpu(&self) -> thread::JoinHandle<()> {
        let bus = self.running.bus.clone();
        let gpu1 = &self.running.plan().devices[1];
        let (config, bar0, places) =
            (gpu1.config.start(), gpu1.bars[0].span.start(), places(&self.running, 1));
        thread::spawn(move || touches_everything(&bus, &places, config, bar0))
    }
}

#[test]
fn a_device_that_is_lost_at_any_call_is_told_of_once_and_nothing_of_it_stays() {
    search(|| {
        let mut life = Life::new(&lost_so(OnLoss::Detach));
        lose_soon(&life.old);
        let vcpu = life.vcpu();
        lingers();
        life.running.attend();
        life.running.reset_device(1).unwrap_or_default();
        life.running.attend();
        vcpu.join().unwrap();
        let losses = life.running.losses();
        assert_eq!(losses.iter().map(|loss| &loss.then).collect::<Vec<_>>(), [&Then::Detached]);
        shows(&life.running.bus, &places(&life.running, 1), GONE);
        shows(&life.running.bus, &places(&life.running, 0), FIRST);
        assert_eq!((life.slots.here(), life.running.lost()), (life.alone.0, None));
        life.running.unplug(1).unwrap();
        assert_eq!(held(&life.running, &life.slots), life.alone);
    });
}

#[test]
fn a_device_that_is_lost_and_sought_while_the_guest_runs_is_back_in_its_places() {
    search(|| {
        let mut life = Life::new(&lost_so(OnLoss::Reconnect));
        life.running.reconnect_with(1, TIMEOUT, Successors::of(vec![Some(marked(NEW))]));
        lose_soon(&life.old);
        let vcpu = life.vcpu();
        lingers();
        life.running.attend();
        life.running.attend();
        vcpu.join().unwrap();
        life.running.attend();
        life.writes_again();
        let losses = life.running.losses();
        assert_eq!(losses.iter().map(|loss| &loss.then).collect::<Vec<_>>(), [&Then::Back(Kept::Fresh)]);
        assert_eq!((life.running.unplaced(1), held(&life.running, &life.slots)), (None, life.with_both));
        assert_eq!(traces(&life.first), life.first_with_both);
        shows(&life.running.bus, &places(&life.running, 1), NEW);
    });
}

#[test]
fn a_loss_that_meets_the_end_of_its_device_is_not_the_next_ones() {
    search(|| {
        let mut life = Life::new(&lost_so(OnLoss::Detach));
        lose_soon(&life.old);
        let vcpu = life.vcpu();
        lingers();
        life.running.unplug(1).unwrap();
        life.running.plug("b", "gpu1", attached(&marked(NEW)).unwrap()).unwrap();
        vcpu.join().unwrap();
        life.writes_again();
        assert_eq!((life.running.losses(), life.running.unplaced(1)), (Vec::new(), None));
        assert_eq!(held(&life.running, &life.slots), life.with_both);
        assert_eq!(traces(&life.first), life.first_with_both);
        shows(&life.running.bus, &places(&life.running, 1), NEW);
    });
}

/// The guest gives the decoder of the device its window, and turns decode on.
fn commits(bus: &Bus, hdm: Gpa, window: Gpa) {
    let base = window.get();
    for (offset, value) in
        [(4, 2), (0x10, base & 0xffff_ffff), (0x14, base >> 32), (0x18, 0x1000_0000), (0x20, 0x200)]
    {
        store(bus, hdm.checked_add(offset).unwrap(), Width::Dword, value);
    }
}

#[test]
fn memory_is_where_the_guests_decoder_says_whatever_reset_has_met_the_commit() {
    search(|| {
        let committer = Wish { guest_commits: vec!["gpu1".to_owned()], ..Wish::default() };
        let mut life = Life::new(&with_life(committer));
        let (bus, gpu1) = (life.running.bus.clone(), &life.running.plan().devices[1]);
        let (hdm, window) = (gpu1.bars[1].span.start().checked_add(HDM_IN_BAR).unwrap(), gpu1.window.span);
        let control = hdm.checked_add(0x20).unwrap();
        let vcpu = thread::spawn(move || {
            commits(&bus, hdm, window.start());
            store(&bus, control, Width::Dword, 0);
            commits(&bus, hdm, window.start());
        });
        lingers();
        life.running.reset_device(1).unwrap();
        life.running.reset_device(1).unwrap();
        vcpu.join().unwrap();
        let register = |offset| seen(&life.running.bus, (hdm.checked_add(offset).unwrap(), Width::Dword));
        // Committed, and decoders are enabled. What a reset has taken of that it has taken.
        let is_committed = register(0x20) & 0x400 != 0 && register(4) & 2 != 0;
        let memory = seen(&life.running.bus, places(&life.running, 1)[0]);
        assert_eq!(memory, if is_committed { OLD } else { GONE });
        assert_eq!(life.running.lost(), None);
    });
}

#[test]
fn a_decoder_that_the_guest_commits_while_its_device_goes_leaves_no_memory_behind() {
    search(|| {
        let committer = Wish { guest_commits: vec!["gpu1".to_owned()], ..Wish::default() };
        let mut life = Life::new(&with_life(committer));
        let (bus, gpu1) = (life.running.bus.clone(), &life.running.plan().devices[1]);
        let (hdm, window) = (gpu1.bars[1].span.start().checked_add(HDM_IN_BAR).unwrap(), gpu1.window.span);
        let vcpu = thread::spawn(move || commits(&bus, hdm, window.start()));
        lingers();
        life.running.unplug(1).unwrap();
        shows(&life.running.bus, &places(&life.running, 1), GONE);
        vcpu.join().unwrap();
        assert_eq!((traces(&life.old), held(&life.running, &life.slots)), (life.clean, life.alone));
    });
}

/// Where memory is from one phase on to another: there in the first and the last, nowhere in the middle one, and in odd
/// ones it comes or goes.
fn is_there(phases: RangeInclusive<usize>) -> Option<bool> {
    match (*phases.start(), *phases.end()) {
        (0, 0) | (4, 4) => Some(true),
        (2, 2) => Some(false),
        _ => None,
    }
}

/// The vCPU writes a qword across two pages and reads it, again and again. Gives what may be there in the
/// end, and how many of the writes were certainly nowhere.
fn writes_across(bus: &Bus, at: Gpa, phase: &AtomicUsize) -> (Vec<u32>, usize) {
    let during = |what: &mut dyn FnMut()| {
        let before = phase.load(Ordering::SeqCst);
        what();
        is_there(before..=phase.load(Ordering::SeqCst))
    };
    let (mut kept, mut nowhere) = (vec![OLD], 0);
    for mark in 1..8 {
        match during(&mut || store(bus, at, Width::Qword, u64::from(mark) << 32 | u64::from(mark))) {
            Some(true) => kept = vec![mark],
            Some(false) => nowhere += 1,
            None => kept.push(mark),
        }
        let mut loaded = GONE;
        let there = during(&mut || loaded = seen(bus, (at, Width::Qword)));
        assert!(loaded != GONE || there != Some(true), "{mark}: nothing is where memory is");
        assert!(loaded == GONE || there != Some(false), "{mark}: {loaded:#x} where nothing is");
        assert!(loaded == GONE || kept.contains(&loaded), "{mark}: {loaded:#x} of {kept:x?}");
    }
    (kept, nowhere)
}

#[test]
fn a_write_across_pages_that_meets_an_uncommit_is_kept_whole_or_is_nowhere_and_reads_ones() {
    // Counted over all schedules.
    static NOWHERE: AtomicUsize = AtomicUsize::new(0);
    search(|| {
        let committer = Wish { guest_commits: vec!["gpu1".to_owned()], ..Wish::default() };
        let life = Life::new(&with_life(committer));
        let (bus, gpu1) = (life.running.bus.clone(), &life.running.plan().devices[1]);
        let (hdm, window) = (gpu1.bars[1].span.start().checked_add(HDM_IN_BAR).unwrap(), gpu1.window.span);
        let control = hdm.checked_add(0x20).unwrap();
        let across = window.start().checked_add(0x1ffc).unwrap();
        commits(&bus, hdm, window.start());
        store(&bus, across, Width::Qword, u64::from(OLD) << 32 | u64::from(OLD));
        let phase = Arc::new(AtomicUsize::new(0));
        let vcpu = thread::spawn({
            let (bus, phase) = (bus.clone(), phase.clone());
            move || writes_across(&bus, across, &phase)
        });
        let next = || {
            lingers();
            phase.fetch_add(1, Ordering::SeqCst);
        };
        next();
        store(&bus, control, Width::Dword, 0);
        next();
        next();
        commits(&bus, hdm, window.start());
        next();
        let (kept, nowhere) = vcpu.join().unwrap();
        NOWHERE.fetch_add(nowhere, Ordering::Relaxed);
        let last = seen(&bus, (across, Width::Qword));
        assert!(kept.contains(&last), "{last:#x} of {kept:x?}");
    });
    assert!(NOWHERE.load(Ordering::Relaxed) > 0, "something was written while the memory was nowhere");
}

/// What is in RAM, or that the SMMU lets nothing through.
fn is_answer(told: &Result<u64, Errno>) -> bool {
    matches!(told, Ok(0..4) | Err(Errno::EFAULT))
}

const RAM: u64 = 0x20_0000;

#[test]
fn what_a_device_asks_is_answered_whatever_the_vcpu_does_meanwhile() {
    for way in [Way::Ask, Way::Mirror] {
        search(move || {
            let smmus = vec![SmmuIntent { bus: "b".to_owned(), reach: way }];
            let mut life = Life::new(&Machine { smmus, ..machine() });
            let _old = life.old.clone().with(|state| state.wants = Some(cxl_spec::address::Iova::new(RAM)));
            let (bus, smmu) = (life.running.bus.clone(), life.running.plan().smmus[0].registers.start());
            let vcpu = thread::spawn(move || {
                for value in 1..4 {
                    store(&bus, Gpa::new(RAM), Width::Qword, value);
                    // The queue of commands, which is where a mirror is made anew.
                    store(&bus, smmu.checked_add(0x98).unwrap(), Width::Dword, 0);
                    store(&bus, smmu.checked_add(0x20).unwrap(), Width::Dword, value & 1);
                }
            });
            let touching = life.vcpu();
            lingers();
            life.running.attend();
            life.running.signals();
            life.running.attend();
            life.running.unplug(1).unwrap();
            life.running.attend();
            let told = life.old.look(|state| state.told.len());
            life.running.plug("b", "gpu1", attached(&marked(NEW)).unwrap()).unwrap();
            life.running.attend();
            vcpu.join().unwrap();
            touching.join().unwrap();
            assert_eq!(life.old.look(|state| state.told.len()), told, "who has gone is not attended to");
            assert_eq!(told, if way == Way::Ask { 2 } else { 0 });
            assert!(life.old.look(|state| state.told.iter().all(is_answer)));
            shows(&life.running.bus, &places(&life.running, 1), NEW);
        });
    }
}

#[test]
fn an_interrupt_that_meets_its_mask_is_taken_in_the_end() {
    search(|| {
        let mut life = Life::new(&machine());
        life.running.unplug(1).unwrap();
        let fake = marked(NEW).with(|state| {
            for (offset, value) in [(0x40, 0x0002_8010), (0x80, 0x0003_0011), (0x84, 0x1000), (0x88, 0x2000)]
            {
                state.set(7, offset, value);
            }
        });
        life.running.plug("b", "gpu1", attached(&fake).unwrap()).unwrap();
        let (bus, gpu1) = (life.running.bus.clone(), &life.running.plan().devices[1]);
        let (table, config) = (gpu1.bars[0].span.start().checked_add(0x1010).unwrap(), gpu1.config.start());
        let (data, control) = (table.checked_add(8).unwrap(), config.checked_add(0x82).unwrap());
        let pending = table.checked_add(0xff0).unwrap();
        store(&bus, table, Width::Qword, 0xfee0_0000);
        store(&bus, data, Width::Qword, 0x41);
        store(&bus, control, Width::Word, 0x8000);
        let vcpu = thread::spawn(move || {
            for (at, width, value) in [
                (data, Width::Qword, 1 << 32 | 0x41),
                (data, Width::Qword, 0x41),
                (control, Width::Word, 0xc000),
                (control, Width::Word, 0x8000),
            ] {
                store(&bus, at, width, value);
                seen(&bus, (pending, Width::Dword));
            }
        });
        for _ in 0..3 {
            fake.look(|state| state.events[&(2, 1)].signal());
            life.running.attend();
        }
        vcpu.join().unwrap();
        let taken = life.running.interrupts(0x41).unwrap();
        assert!((1..=3).contains(&taken), "{taken}");
        assert_eq!(seen(&life.running.bus, (pending, Width::Dword)), 0, "nothing is pending any more");
        fake.look(|state| state.events[&(2, 1)].signal());
        assert_eq!(life.running.interrupts(0x41), Ok(taken + 1));
    });
}
