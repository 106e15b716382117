//! Devices that come and go while the guest runs: what is seen of it, what cannot be, and a thousand times over.

use std::sync::Arc;

use super::*;
use crate::backend::Call;
use crate::backend::fake::CountedSlots;
use crate::map::Attached;
use crate::plan::defect::Defect;
use crate::plan::dma::Policy;
use crate::plan::dma::Wish;
use crate::plan::iommu::SmmuIntent;
use crate::plan::iommu::Way;
use crate::plan::topology::BridgeIntent;
use crate::plan::topology::Reserve;
use crate::plan::topology::Topology;
use crate::plan::topology::WindowIntent;

const GRANULE: u64 = 256 << 20;

/// Bridge `a` with gpu0, and bridge `b` with an empty slot. Devices reach each other.
fn machine() -> Machine {
    let bridge = |name: &str, reserve| BridgeIntent { name: name.to_owned(), bus: None, reserve };
    let window = |name: &str| WindowIntent { size: GRANULE, targets: vec![name.to_owned()] };
    let reserve = Reserve { memory: 1 << 20, prefetchable: 2 << 20 };
    let topology = Topology {
        bridges: vec![bridge("a", Reserve::default()), bridge("b", reserve)],
        windows: vec![window("a"), window("b")],
        below: vec![("gpu0".to_owned(), "a".to_owned())],
        ..Topology::default()
    };
    Machine { topology, dma: Wish { policy: Policy::Map, ats: false }, ..Machine::default() }
}

fn attached(fake: &Fake) -> Result<Attached, String> {
    Attached::discovered(fake.shared()).map_err(|error| error.to_string())
}

fn started(machine: &Machine, fake: &Fake) -> (Running, Arc<CountedSlots>) {
    let device = attached(fake).unwrap();
    let plan = plan(machine, &[("gpu0", &device.inventory)]).unwrap();
    let slots = Arc::new(CountedSlots::default());
    let programmed = map(plan, vec![device], slots.clone()).unwrap().machine_done().unwrap();
    (programmed.run(&Hypervisor::Soft, TIMEOUT).unwrap(), slots)
}

/// What a device shows of what was done to it: what it reaches, what is attached, its command register and decoders.
fn traces(fake: &Fake) -> (usize, usize, u32, Vec<u8>) {
    fake.look(|state| {
        let registers = state.regions[&state.registers()].bytes.clone();
        (state.dma.len(), state.events.len(), state.dword(7, 4), registers)
    })
}

/// All that could grow: slots, pieces of the address space, what is offered, who is there, what is given.
fn held(running: &Running, slots: &CountedSlots) -> (usize, usize, [usize; 3]) {
    let mappings = &running.programmed.mappings;
    (slots.here(), mappings.space.len(), mappings.exchange.count())
}

fn try_plug(running: &mut Running, fake: &Fake) -> Result<usize, String> {
    running.plug("b", "gpu1", attached(fake)?).map_err(|error| error.to_string())
}

/// What the guest reads of the slot below `b`: ids of the endpoint, link status, slot status, DVSEC 7's status.
fn slot(running: &mut Running) -> [u64; 4] {
    let bridge = &running.plan().bridges[1];
    let (_, endpoint) = bridge.endpoint(running.plan().ecam).unwrap();
    let port = bridge.port.config.start();
    let places = [(endpoint.start(), Width::Dword), (at(port, 0x52), Width::Word)];
    let places = places.into_iter().chain([(at(port, 0x5a), Width::Word), (at(port, 0x146), Width::Word)]);
    let read: Vec<_> = places.map(|(at, width)| running.load(at, width).unwrap()).collect();
    read.try_into().unwrap()
}

fn at(base: Gpa, offset: u64) -> Gpa {
    base.checked_add(offset).unwrap()
}

const EMPTY: [u64; 4] = [0xffff_ffff, 0, 0, 0];

#[test]
fn an_empty_slot_has_no_function_no_link_and_a_window_that_is_announced() {
    let (mut running, slots) = started(&machine(), &Fake::committed());
    assert_eq!(slot(&mut running), EMPTY);
    let plan = running.plan().clone();
    let port = &plan.bridges[1].port;
    let sizes = [port.memory, port.prefetchable].map(|range| range.unwrap().size());
    assert_eq!((sizes, plan.devices.len()), ([1 << 20, 2 << 20], 1));
    assert_eq!((plan.windows[1].targets.as_slice(), plan.windows[1].device), (&[1][..], None));
    let nothing = running.load(plan.windows[1].span.start(), Width::Dword);
    assert_eq!((nothing, slots.here()), (Ok(0xffff_ffff), 4));
}

#[test]
fn a_device_that_comes_is_seen_and_told_of_and_everything_of_it_works() {
    for fake in Fake::of_every_kernel() {
        let first = Fake::committed();
        let (mut running, slots) = started(&machine(), &first);
        let before = traces(&first).0;
        assert_eq!(try_plug(&mut running, &fake), Ok(1));
        // Present, active, trained; presence and link have changed.
        assert_eq!(slot(&mut running), [0xc7f2_1e98, 0x2105, 0x0148, 0x0027]);
        let gpu1 = running.plan().devices[1].clone();
        assert_eq!((gpu1.bridge, gpu1.window.span.start()), (1, running.plan().windows[1].span.start()));
        let mine = at(gpu1.window.span.start(), 0x40);
        running.store(mine, Width::Qword, 0x1234_5678_9abc_def0).unwrap();
        let mut seen = [0; 8];
        running.device_read(1, gpu1.window.region, 0x40, &mut seen).unwrap();
        assert_eq!(u64::from_le_bytes(seen), 0x1234_5678_9abc_def0);
        let decoder = at(gpu1.bars[1].span.start(), HDM_IN_BAR + 0x10);
        assert_eq!(running.load(decoder, Width::Dword), Ok(gpu1.window.span.start().get() & 0xffff_ffff));
        // Two parts of its BAR and its window, for gpu0; and for itself RAM and all that gpu0 has, too.
        assert_eq!((traces(&first).0, traces(&fake).0, slots.here()), (before + 3, 7, 7));
        running.reset().unwrap();
        assert_eq!(slot(&mut running), [0xc7f2_1e98, 0x2105, 0x0040, 0x0027], "nothing has changed since");
        let window = running.load(mine, Width::Qword);
        assert_eq!((window, running.unplaced(1), running.refused()), (Ok(0x1234_5678_9abc_def0), None, 0));
    }
}

#[test]
fn of_a_device_that_goes_nothing_is_left_and_the_guest_reads_ones() {
    for fake in Fake::of_every_kernel() {
        let clean = traces(&fake);
        let first = Fake::committed();
        let (mut running, slots) = started(&machine(), &first);
        let (before, others) = (held(&running, &slots), traces(&first));
        try_plug(&mut running, &fake).unwrap();
        let calls = fake.clone();
        let gpu1 = running.plan().devices[1].clone();
        running.unplug(1).unwrap();
        assert_eq!((traces(&fake), traces(&first), held(&running, &slots)), (clean, others, before));
        assert_eq!(slot(&mut running), [0xffff_ffff, 0, 0x0108, 0]);
        let count = calls.look(|state| state.calls.len());
        for place in [gpu1.config.start(), gpu1.window.span.start(), at(gpu1.bars[1].span.start(), 0x2_1000)]
        {
            running.store(place, Width::Dword, 0x5555_5555).unwrap();
            assert_eq!(running.load(place, Width::Dword), Ok(0xffff_ffff), "{place}");
        }
        assert_eq!(calls.look(|state| state.calls.len()), count, "the device hears nothing");
        let own = window(&running, 0x80);
        running.store(own, Width::Dword, 9).unwrap();
        assert_eq!((running.load(own, Width::Dword), running.lost()), (Ok(9), None), "the other one goes on");
        assert_eq!(running.unplug(1).unwrap_err().to_string(), "device 1: it is not in the machine");
    }
}

#[test]
fn the_same_device_gets_the_same_places_each_time_and_those_of_the_start() {
    let fake = Fake::committed();
    let (mut running, _slots) = started(&machine(), &fake);
    let before = running.plan().clone();
    running.unplug(0).unwrap();
    assert_eq!(running.plan(), &before, "what was planned stays");
    running.reset().unwrap();
    assert_eq!(
        running.load(before.devices[0].config.start(), Width::Dword),
        Ok(0xffff_ffff),
        "nor does a reset"
    );
    let again = attached(&fake).unwrap();
    assert_eq!(running.plug("a", "gpu0", again).unwrap(), 0);
    let places =
        |plan: &Plan| plan.map.iter().map(|placed| (placed.name.clone(), placed.span)).collect::<Vec<_>>();
    let after = running.plan();
    assert_eq!((places(after), &after.devices), (places(&before), &before.devices));
    assert_eq!((&after.bridges, &after.windows, &after.dma), (&before.bridges, &before.windows, &before.dma));
    let at = window(&running, 0);
    running.store(at, Width::Dword, 3).unwrap();
    assert_eq!(running.load(at, Width::Dword), Ok(3));
}

#[test]
fn a_device_that_is_lost_can_go_and_what_comes_then_works() {
    let fake = Fake::committed();
    let (mut running, slots) = started(&machine(), &fake);
    let _ = fake.clone().with(|state| state.fail_at = Some((1, Failure::Lost("gone".to_owned()))));
    let at = config(&running, 0x40);
    assert_eq!(running.load(at, Width::Dword), Ok(0xffff_ffff));
    assert!(running.lost().is_some());
    running.unplug(0).unwrap();
    assert_eq!((running.lost(), slots.here()), (None, 1), "RAM alone");
    let fresh = Fake::committed();
    running.plug("a", "gpu0", attached(&fresh).unwrap()).unwrap();
    assert_eq!((running.load(at, Width::Byte), running.lost()), (Ok(0x10), None));
}

#[rstest]
#[case::no_such_bridge(
    "c",
    "gpu1",
    0,
    "gpu1: refused at attach: bridge = \"c\": the machine has no such bridge"
)]
#[case::a_full_slot("a", "gpu1", 0, "a: gpu0 is in the slot of its port")]
#[case::a_name_twice("b", "gpu0", 0, "gpu0: refused at attach: the machine has another device of this name")]
#[case::a_large_bar("b", "gpu1", 4 << 20, "gpu1 bar2: no place for 0x400000 bytes below")]
fn what_does_not_fit_is_refused_and_nothing_is_different(
    #[case] bridge: &str,
    #[case] name: &str,
    #[case] bar: u64,
    #[case] why: &str,
) {
    let (mut running, slots) = started(&machine(), &Fake::committed());
    let (before, plan) = (held(&running, &slots), running.plan().clone());
    let fake = Fake::committed();
    let clean = traces(&fake);
    let mut device = attached(&fake).unwrap();
    if bar > 0 {
        device.inventory.config.bars[1].size = bar;
    }
    let error = running.plug(bridge, name, device).unwrap_err().to_string();
    assert!(error.starts_with(why), "{error}");
    assert_eq!((held(&running, &slots), running.plan(), traces(&fake)), (before, &plan, clean));
    assert_eq!(slot(&mut running), EMPTY);
}

/// A device without room, and one that has it, in a machine with the defect and in one without it.
#[test]
fn a_device_that_is_refused_ends_only_a_machine_with_that_defect() {
    for defects in [Vec::new(), vec![Defect::EndsOverARefusedDevice]] {
        let ends = !defects.is_empty();
        let (mut running, _) = started(&Machine { defects, ..machine() }, &Fake::committed());
        let ram = Gpa::new(0x20_0000);
        assert_eq!(running.load(ram, Width::Dword), Ok(0));
        let error = running.plug("c", "gpu1", attached(&Fake::committed()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("the machine has no such bridge"), "{error}");
        let expected = if ends { Err(GuestError::Stopped) } else { Ok(0) };
        assert_eq!(running.load(ram, Width::Dword), expected);
    }
}

#[test]
fn a_device_that_comes_ends_no_machine() {
    let defects = vec![Defect::EndsOverARefusedDevice];
    let (mut running, _) = started(&Machine { defects, ..machine() }, &Fake::committed());
    assert_eq!(try_plug(&mut running, &Fake::committed()), Ok(1));
    assert_eq!(running.load(Gpa::new(0x20_0000), Width::Dword), Ok(0));
}

#[test]
fn memory_that_is_longer_than_the_window_or_of_another_kind_is_refused() {
    let (mut running, _slots) = started(&machine(), &Fake::committed());
    let mut long = attached(&Fake::committed()).unwrap();
    long.inventory.regions.iter_mut().find(|region| region.index == 9).unwrap().size = 2 * GRANULE;
    long.inventory.cxl.as_mut().unwrap().decoders[0].size = 2 * GRANULE;
    let error = running.plug("b", "gpu1", long).unwrap_err().to_string();
    assert_eq!(error, "gpu1: refused at attach: window 2: size = 0x10000000: its memory has 0x20000000");
    let mut other = attached(&Fake::committed()).unwrap();
    let capabilities = &mut other.inventory.cxl.as_mut().unwrap().capabilities;
    capabilities[0].id = cxl_spec::component::array::id::BACK_INVALIDATE;
    let error = running.plug("b", "gpu1", other).unwrap_err().to_string();
    let why = "window 2: is for memory kept coherent over CXL.cache, and its memory is not";
    assert_eq!(error, format!("gpu1: refused at attach: {why}"));
}

/// A machine whose second slot is behind an SMMU, too.
fn behind(way: Way) -> Machine {
    Machine { smmus: vec![SmmuIntent { bus: "b".to_owned(), reach: way }], ..machine() }
}

#[rstest]
fn a_plug_that_fails_at_any_call_leaves_everything_as_it_was(
    #[values(0, 1, 2)] kernel: usize,
    #[values(None, Some(Way::Ask), Some(Way::Mirror))] way: Option<Way>,
    #[values(Failure::Refused(Errno::EIO), Failure::Lost("gone".to_owned()))] failure: Failure,
) {
    let machine = way.map_or_else(machine, behind);
    let first = Fake::committed();
    let (mut running, slots) = started(&machine, &first);
    let (before, plan, others) = (held(&running, &slots), running.plan().clone(), traces(&first));
    let (clean, lost) = (traces(&Fake::of_every_kernel()[kernel]), matches!(failure, Failure::Lost(_)));
    for number in 1.. {
        let fake = Fake::of_every_kernel()[kernel].clone();
        let device = attached(&fake).unwrap();
        let calls = fake.look(|state| state.calls.len());
        let fake = fake.with(|state| state.fail_at = Some((calls + number, failure.clone())));
        let outcome = running.plug("b", "gpu1", device);
        if outcome.is_ok() {
            let failed = fake.look(|state| state.calls.get(calls + number - 1).copied());
            let Some(failed) = failed else {
                assert!(number > 3, "only {number} calls");
                return;
            };
            // A device need not take events.
            assert!(matches!(failed, Call::SetIrqs { .. } | Call::IoEvents { .. }), "{failed} failed");
            running.unplug(1).unwrap();
            assert_eq!((held(&running, &slots), traces(&fake)), (before, clean.clone()), "after {failed}");
            running.programmed.mappings.replan(plan.clone());
            running.reset().unwrap();
            continue;
        }
        assert_eq!((held(&running, &slots), running.plan(), traces(&first)), (before, &plan, others.clone()));
        assert_eq!((slot(&mut running), running.is_present(1)), (EMPTY, false));
        if !lost {
            assert_eq!(traces(&fake), clean, "after call {number}");
        }
    }
}

/// A device that is told to give a BAR back refuses, once. When the BAR is there again, it has it once, and it gives
/// everything back at the end.
#[rstest]
#[case::straight(None)]
#[case::mirrored(Some(Way::Mirror))]
fn what_a_device_did_not_give_back_is_taken_back_before_it_is_given_again(#[case] way: Option<Way>) {
    let machine = way.map_or_else(machine, behind);
    let (first, second) = (Fake::committed(), Fake::committed());
    let (mut running, _slots) = started(&machine, &first);
    try_plug(&mut running, &second).unwrap();
    let before = second.look(|state| state.dma.len());
    let calls = second.look(|state| state.calls.len());
    let second = second.with(|state| state.fail_at = Some((calls + 1, Failure::Refused(Errno::EIO))));
    let command = config(&running, 4);
    running.store(command, Width::Word, 0).unwrap();
    let refused = second.look(|state| state.calls[calls]);
    assert!(matches!(refused, Call::DmaUnmap { .. }), "{refused}");
    // A mirror is made anew with the next part of the BAR, and tries again; else nobody does.
    assert_eq!(second.look(|state| state.kept.len()), usize::from(way.is_none()));
    running.store(command, Width::Word, 6).unwrap();
    assert_eq!(second.look(|state| (state.dma.len(), state.kept.len())), (before, 0));
    running.store(command, Width::Word, 0).unwrap();
    running.unplug(1).unwrap();
    assert_eq!(second.look(|state| (state.dma.len(), state.kept.len())), (0, 0));
}

/// A small generator: enough to choose by, and the same each time (xorshift of 64 bits).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }
}

#[rstest]
#[case::straight(None)]
#[case::asking(Some(Way::Ask))]
#[case::mirrored(Some(Way::Mirror))]
fn a_thousand_devices_that_come_fail_and_go_leave_nothing(#[case] way: Option<Way>) {
    let machine = way.map_or_else(machine, behind);
    let first = Fake::committed();
    let (mut running, slots) = started(&machine, &first);
    let (before, others) = (held(&running, &slots), traces(&first));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut came, mut refused, mut gone) = (0, 0, 0);
    for cycle in 0..1000 {
        let fake = Fake::of_every_kernel()[dice.below(3) as usize].clone();
        let clean = traces(&fake);
        let failure = match dice.below(4) {
            0 => Some(Failure::Refused(Errno::EIO)),
            1 => Some(Failure::Lost("gone".to_owned())),
            _ => None,
        };
        let is_healthy = failure.is_none();
        let fails = 1 + dice.below(120) as usize;
        let fake = fake.with(|state| state.fail_at = failure.map(|failure| (fails, failure)));
        match try_plug(&mut running, &fake) {
            Ok(number) => {
                let own = running.plan().devices[number].window.span.start();
                running.store(own, Width::Dword, cycle).unwrap();
                assert_eq!(running.load(own, Width::Dword), Ok(cycle));
                let ids = running.plan().devices[number].config.start();
                for _ in 0..dice.below(80) {
                    running.load(ids, Width::Dword).unwrap();
                }
                if dice.below(4) == 0 && is_healthy {
                    running.reset().unwrap();
                }
                gone += u64::from(running.lost().is_some());
                running.unplug(number).unwrap();
                came += 1;
            }
            Err(_) => refused += 1,
        }
        if is_healthy {
            assert_eq!(traces(&fake), clean, "cycle {cycle}");
        }
        assert_eq!((held(&running, &slots), traces(&first), running.lost()), (before, others.clone(), None));
        let shared = window(&running, 0x100);
        running.store(shared, Width::Dword, cycle).unwrap();
        assert_eq!(running.load(shared, Width::Dword), Ok(cycle), "the other one goes on");
    }
    assert!(came > 500 && refused > 100 && gone > 50, "{came} came, {refused} refused, {gone} lost");
}
