//! A decoder that the guest commits: what it sees, and where the memory is.

use super::*;
use crate::backend::fake::CountedSlots;
use crate::map::memory::HostMemory;
use crate::plan::life::Life;
use crate::plan::topology::BridgeIntent;
use crate::plan::topology::Topology;
use crate::plan::topology::WindowIntent;

const COMMIT: u64 = 0x200;

/// A machine in which the guest commits, within a window of 1 GiB.
fn machine() -> Machine {
    let topology = Topology {
        bridges: vec![BridgeIntent { name: "a".to_owned(), bus: None, ..BridgeIntent::default() }],
        windows: vec![WindowIntent { size: 1 << 30, targets: vec!["a".to_owned()] }],
        below: vec![("gpu0".to_owned(), "a".to_owned())],
        ..Topology::default()
    };
    let life = Life { guest_commits: vec!["gpu0".to_owned()], ..Life::default() };
    Machine { topology, life, ..Machine::default() }
}

fn open(fake: &Fake) -> (Running, Arc<CountedSlots>) {
    let attached = fake.attached(Recording::default());
    let plan = plan(&machine(), &[("gpu0", &attached.inventory)]).unwrap();
    let slots = Arc::new(CountedSlots::default());
    let programmed = map(plan, vec![attached], slots.clone()).unwrap().machine_done().unwrap();
    (programmed.run(&Hypervisor::Soft, TIMEOUT).unwrap(), slots)
}

fn register(running: &mut Running, offset: u64) -> u64 {
    let at = bar2(running, HDM_IN_BAR + offset);
    running.load(at, Width::Dword).unwrap()
}

fn put(running: &mut Running, offset: u64, value: u64) {
    let at = bar2(running, HDM_IN_BAR + offset);
    running.store(at, Width::Dword, value).unwrap();
}

/// The guest gives the decoder a base, 256 MiB and control, and turns decode on.
fn commit(running: &mut Running, base: Gpa, control: u64) {
    let base = base.get();
    for (offset, value) in
        [(4, 2), (0x10, base & 0xffff_ffff), (0x14, base >> 32), (0x18, 0x1000_0000), (0x20, control)]
    {
        put(running, offset, value);
    }
}

#[test]
fn what_the_guest_commits_is_mapped_there_and_what_it_uncommits_is_nowhere() {
    for fake in Fake::of_every_kernel() {
        let (mut running, slots) = open(&fake);
        let region = fake.look(|state| state.registers());
        let before = fake.look(|state| state.regions[&region].bytes.clone());
        let (first, second) = (window(&running, 0), window(&running, 0x3000_0000));
        assert_eq!(running.load(first, Width::Dword), Ok(0xffff_ffff), "open: the memory is nowhere");
        assert_eq!((register(&mut running, 0x20), slots.here()), (0, 3));
        for at in [first, second] {
            commit(&mut running, at, COMMIT);
            assert_eq!((register(&mut running, 0x20), slots.here()), (0x600, 4));
            running.store(at, Width::Dword, at.get() >> 28).unwrap();
            assert_eq!(running.load(at, Width::Dword), Ok(at.get() >> 28));
            put(&mut running, 0x20, 0);
            assert_eq!((running.load(at, Width::Dword), slots.here()), (Ok(0xffff_ffff), 3));
        }
        assert_eq!(running.unplaced(0), None);
        let after = fake.look(|state| state.regions[&region].bytes.clone());
        assert_eq!(before, after, "the device hears nothing of it");
    }
}

#[test]
fn what_cannot_be_committed_is_refused_counted_and_told() {
    let (mut running, slots) = open(&Fake::committed());
    let outside = window(&running, 0x4000_0000);
    let refused = running.refused();
    commit(&mut running, outside, COMMIT);
    assert_eq!((register(&mut running, 0x20), slots.here()), (0x800, 3));
    assert_eq!(running.refused(), refused + 1);
    let why = "gpu0: HDM decoder 0 of 0x10000000 bytes at 0x150000000 is not in the window [0x110000000, 0x150000000)";
    assert_eq!(running.unplaced(0).unwrap(), why);
    let inside = window(&running, 0);
    commit(&mut running, inside, COMMIT);
    assert_eq!((register(&mut running, 0x20), running.unplaced(0)), (0x600, None));
}

#[test]
fn what_is_in_the_way_keeps_the_decoder_from_being_committed() {
    let (mut running, slots) = open(&Fake::committed());
    let (taken, free) = (window(&running, 0x1000_0000), window(&running, 0x2000_0000));
    let span = Span::new(taken, 0x1000).unwrap();
    let space = running.programmed.mappings.space.clone();
    let other = space.map(span, HostMemory::ram(0x1000).unwrap()).unwrap();
    commit(&mut running, taken, COMMIT | 0x100);
    assert_eq!((register(&mut running, 0x20), slots.here()), (0x900, 4));
    let why = running.unplaced(0).unwrap();
    assert_eq!(why, "gpu0 window: [0x120000000, 0x130000000) overlaps [0x120000000, 0x120001000)");
    commit(&mut running, free, COMMIT);
    assert_eq!((register(&mut running, 0x20), slots.here()), (0x600, 5));
    put(&mut running, 0x20, 0);
    drop(other);
    commit(&mut running, taken, COMMIT);
    assert_eq!((register(&mut running, 0x20), running.unplaced(0)), (0x600, None));
}

#[test]
fn a_hypervisor_that_refuses_the_memory_keeps_the_decoder_from_being_committed() {
    let (mut running, slots) = open(&Fake::committed());
    slots.refuse_from(slots.made() + 1);
    let at = window(&running, 0);
    commit(&mut running, at, COMMIT);
    assert_eq!((register(&mut running, 0x20), slots.here()), (0x800, 3));
    assert_eq!(running.load(at, Width::Dword), Ok(0xffff_ffff));
}

#[rstest]
#[case::a_function_level_reset(0x48, 0x8000, true)]
#[case::a_cxl_reset(0x160, 4, false)]
fn a_guests_reset_opens_its_decoder_if_it_is_one_of_cxl(
    #[case] offset: u64,
    #[case] value: u64,
    #[case] kept: bool,
) {
    let (mut running, slots) = open(&Fake::committed());
    let at = window(&running, 0);
    commit(&mut running, at, COMMIT | 0x100);
    running.store(at, Width::Dword, 7).unwrap();
    let reset = config(&running, offset);
    running.store(reset, Width::Word, value).unwrap();
    let (control, memory) = if kept { (0x700, 7) } else { (0, 0xffff_ffff) };
    assert_eq!((register(&mut running, 0x20), running.load(at, Width::Dword)), (control, Ok(memory)));
    assert_eq!(slots.here(), if kept { 4 } else { 3 });
}

#[test]
fn the_machines_resets_open_a_locked_decoder_which_can_be_committed_again() {
    let (mut running, slots) = open(&Fake::committed());
    let (at, elsewhere) = (window(&running, 0), window(&running, 0x1000_0000));
    commit(&mut running, at, COMMIT | 0x100);
    running.store(at, Width::Dword, 7).unwrap();
    running.reset().unwrap();
    assert_eq!((register(&mut running, 0x20), slots.here()), (0, 3));
    commit(&mut running, elsewhere, COMMIT | 0x100);
    assert_eq!(
        running.load(elsewhere, Width::Dword),
        Ok(7),
        "the memory is the device's, wherever it is seen"
    );
    running.reset_device(0).unwrap();
    assert_eq!((register(&mut running, 0x20), slots.here()), (0, 3));
}

#[test]
fn a_device_that_firmware_did_not_commit_is_the_guests_and_not_the_machines() {
    let uncommitted = || {
        Fake::newest().with(|state| {
            state.set(10, 0x10, 0);
            state.set(10, 0x14, 0);
            state.set(10, 0x18, 0);
            state.set(10, 0x20, 0);
        })
    };
    let attached = uncommitted().attached(Recording::default());
    let refused = plan(&Machine::default(), &[("gpu0", &attached.inventory)]).unwrap_err().to_string();
    assert!(refused.ends_with("host firmware did not commit HDM decoder 0: COMMITTED is clear"), "{refused}");
    let (mut running, _) = open(&uncommitted());
    let at = window(&running, 0);
    commit(&mut running, at, COMMIT);
    running.store(at, Width::Dword, 7).unwrap();
    assert_eq!(running.load(at, Width::Dword), Ok(7));
}

#[test]
fn the_guest_reads_no_range_base_before_it_has_committed_anything() {
    let (mut running, _) = open(&Fake::committed());
    let ranges = config(&running, 0x170);
    assert_eq!(running.load(ranges, Width::Qword), Ok(0));
}

#[test]
fn a_write_over_many_pages_that_races_an_uncommit_ends_in_nothing_and_never_in_a_crash() {
    let (mut running, slots) = open(&Fake::committed());
    let at = window(&running, 0);
    let control = bar2(&running, HDM_IN_BAR + 0x20);
    commit(&mut running, at, COMMIT);
    let bus = running.bus.clone();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ended = over.clone();
    let racer = std::thread::spawn(move || {
        let page = [0x5a; 0x4000];
        let mut rounds = 0u64;
        while !ended.load(std::sync::atomic::Ordering::SeqCst) || rounds < 2 {
            bus.store(at, &page);
            rounds += 1;
        }
        rounds
    });
    for round in 0..200 {
        running.store(control, Width::Dword, if round % 2 == 0 { 0 } else { COMMIT }).unwrap();
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(racer.join().unwrap() >= 2);
    // The last of 200 was a commit: what is stored now is there, and all of it.
    assert_eq!((register(&mut running, 0x20), slots.here()), (0x600, 4));
    running.bus.store(at, &[0xa5; 0x4000]);
    let last = at.checked_add(0x3ff8).unwrap();
    assert_eq!(running.load(last, Width::Qword), Ok(0xa5a5_a5a5_a5a5_a5a5));
}
