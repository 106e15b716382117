use std::sync::Arc;

use rstest::rstest;
use vfio_abi::errno::Errno;

use super::*;
use crate::backend::Call;
use crate::backend::fake::CountedSlots;
use crate::backend::fake::Fake;
use crate::backend::recording::Recording;
use crate::map::MapError;
use crate::map::map;
use crate::plan::defect::Defect;
use crate::plan::dma::Policy;
use crate::plan::dma::Wish;
use crate::plan::machine::Machine;
use crate::plan::plan;
use crate::program::ProgramError;
use crate::program::Programmed;

/// What was mapped (`+`) and unmapped (`-`) of a device, by address.
fn told(fake: &Fake) -> Vec<(char, u64, u64)> {
    let one = |call: &Call| match call {
        Call::DmaMap { range } => Some(('+', range.start().get(), range.size())),
        Call::DmaUnmap { range } => Some(('-', range.start().get(), range.size())),
        _ => None,
    };
    fake.look(|state| state.calls.iter().filter_map(one).collect())
}

const RAM: (u64, u64) = (0, 0x400_0000);
/// BAR 2 but for the 64 KiB of the component block.
const BAR: [(u64, u64); 2] = [(0x1_0000_0000, 0x2_0000), (0x1_0003_0000, 0xd_0000)];
const WINDOW: (u64, u64) = (0x1_1000_0000, 0x1000_0000);

fn done(fakes: &[Fake], policy: Policy) -> Result<Programmed, ProgramError> {
    let devices: Vec<_> = fakes.iter().map(|fake| fake.attached(Recording::default())).collect();
    let names = ["gpu0", "gpu1"];
    let named: Vec<_> =
        names.into_iter().zip(&devices).map(|(name, device)| (name, &device.inventory)).collect();
    let machine = Machine { dma: Wish { policy, ats: false }, ..Machine::default() };
    let plan = plan(&machine, &named).unwrap();
    map(plan, devices, Arc::new(CountedSlots::default()))?.machine_done()
}

#[test]
fn what_is_skipped_is_taken_back_only_by_a_machine_with_that_defect() {
    for (defects, taken_back) in [
        (Vec::new(), signed('-', &[RAM])),
        (vec![Defect::UnmapsWhatItSkipped], signed('-', &[RAM, BAR[0], BAR[1], WINDOW])),
    ] {
        let fake = Fake::committed();
        let device = fake.attached(Recording::default());
        let machine = Machine { defects, ..Machine::default() };
        let plan = plan(&machine, &[("gpu0", &device.inventory)]).unwrap();
        let mapped = map(plan, vec![device], Arc::new(CountedSlots::default())).unwrap();
        let programmed = mapped.machine_done().unwrap();
        assert_eq!(told(&fake), signed('+', &[RAM]));
        // A device that is there has never been given so much.
        let lost = Failure::Lost("gone".to_owned());
        let fake = fake.with(|state| state.fail_at = Some((state.calls.len() + 1, lost)));
        drop(programmed);
        let mut unmapped = told(&fake).split_off(1);
        unmapped.sort_unstable();
        assert_eq!(unmapped, taken_back);
    }
}

fn signed(sign: char, ranges: &[(u64, u64)]) -> Vec<(char, u64, u64)> {
    ranges.iter().map(|(start, size)| (sign, *start, *size)).collect()
}

#[rstest]
#[case(Policy::Skip, &[RAM])]
#[case(Policy::Map, &[RAM, BAR[0], BAR[1], WINDOW])]
#[case(Policy::Tolerate, &[RAM, BAR[0], BAR[1], WINDOW])]
fn what_is_mapped_is_what_is_unmapped_and_the_window_goes_first(
    #[case] policy: Policy,
    #[case] mapped: &[(u64, u64)],
) {
    let fake = Fake::committed();
    let programmed = done(std::slice::from_ref(&fake), policy).unwrap();
    assert_eq!(told(&fake), signed('+', mapped));
    let before = told(&fake).len();
    drop(programmed);
    let mut unmapped = told(&fake).split_off(before);
    if policy != Policy::Skip {
        assert_eq!(unmapped[0], ('-', WINDOW.0, WINDOW.1), "before the window closes");
    }
    unmapped.sort_unstable();
    assert_eq!(unmapped, signed('-', mapped));
    assert_eq!(fake.look(|state| state.dma.len()), 0);
}

#[test]
fn what_is_refused_with_efault_is_tolerated_and_not_unmapped() {
    let fake = Fake::committed().with(|state| state.refuses_from = Some((BAR[1].0, Errno::EFAULT)));
    drop(done(std::slice::from_ref(&fake), Policy::Tolerate).unwrap());
    let tried = signed('+', &[RAM, BAR[0], BAR[1], WINDOW]);
    let taken_back = signed('-', &[BAR[0], RAM]);
    assert_eq!(told(&fake), [tried, taken_back].concat(), "of what was refused nothing is taken back");
}

#[rstest]
#[case::map_tolerates_nothing(Policy::Map, WINDOW.0, Errno::EFAULT)]
#[case::another_refusal(Policy::Tolerate, WINDOW.0, Errno::EINVAL)]
#[case::ram_is_never_tolerated(Policy::Tolerate, 0, Errno::EFAULT)]
#[case::ram_of_skip(Policy::Skip, 0, Errno::EFAULT)]
fn what_is_refused_otherwise_ends_it_and_nothing_is_left(
    #[case] policy: Policy,
    #[case] from: u64,
    #[case] errno: Errno,
) {
    let fake = Fake::committed().with(|state| state.refuses_from = Some((from, errno)));
    let error = done(std::slice::from_ref(&fake), policy).unwrap_err();
    let ProgramError::Map(MapError::Backend(error)) = error else { panic!("{error}") };
    assert_eq!(error.failure, Failure::Refused(errno));
    let maps = told(&fake).iter().filter(|(sign, ..)| *sign == '+').count();
    let unmaps = told(&fake).iter().filter(|(sign, ..)| *sign == '-').count();
    assert_eq!((maps, fake.look(|state| state.dma.len())), (unmaps + 1, 0), "all but the refused one");
}

#[test]
fn each_device_reaches_the_other_ones_memory_only_where_the_policy_maps_it() {
    for (policy, count) in [(Policy::Skip, 1), (Policy::Map, 1 + 2 * 3)] {
        let fakes = [Fake::committed(), Fake::committed()];
        let _programmed = done(&fakes, policy).unwrap();
        assert_eq!(fakes.each_ref().map(|fake| fake.look(|state| state.dma.len())), [count, count]);
    }
}

#[test]
fn while_a_device_does_not_decode_nobody_reaches_its_bars_and_all_else_stays() {
    let fakes = [Fake::committed(), Fake::committed()];
    let programmed = done(&fakes, Policy::Map).unwrap();
    let here = || fakes.each_ref().map(|fake| fake.look(|state| state.dma.len()));
    assert_eq!(here(), [7, 7]);
    let bars = [0, 1].map(|device| programmed.mappings.device(device).unwrap().bar_reach.clone());
    bars[1].decode(false).unwrap();
    assert_eq!(here(), [5, 5]);
    let calls = told(&fakes[0]).len();
    bars[1].decode(false).unwrap();
    assert_eq!(told(&fakes[0]).len(), calls, "what is so already stays");
    bars[1].decode(true).unwrap();
    bars[1].decode(true).unwrap();
    assert_eq!(here(), [7, 7]);
    bars[0].decode(false).unwrap();
    drop((bars, programmed));
    assert_eq!(here(), [0, 0]);
}

#[test]
fn a_device_that_refuses_a_bar_when_it_decodes_again_leaves_it_nowhere() {
    let fakes = [Fake::committed(), Fake::committed()];
    let programmed = done(&fakes, Policy::Map).unwrap();
    programmed.mappings.device(0).unwrap().bar_reach.decode(false).unwrap();
    let second = fakes[1].clone().with(|state| state.refuses_from = Some((BAR[1].0, Errno::EFAULT)));
    assert!(programmed.mappings.device(0).unwrap().bar_reach.decode(true).is_err());
    assert_eq!((fakes[0].look(|state| state.dma.len()), second.look(|state| state.dma.len())), (5, 5));
}

#[test]
fn memory_of_another_owner_is_given_whatever_the_policy() {
    let fake = Fake::committed();
    let requester = Requester { name: "gpu0".to_owned(), backend: fake.shared(), behind: None };
    let span = Span::new(Gpa::new(0x5000_0000), 0x1000).unwrap();
    for policy in Policy::ALL {
        let decision = Wish { policy, ats: true }.decide(crate::plan::dma::Memory::Other, true, true);
        let (device, name) = ("gpu0".to_owned(), "other".to_owned());
        let decided = vec![Dma { device, name, span, decision, through: None }];
        let exchange = Exchange::new(decided);
        let given = exchange.offer("other", span, &HostMemory::ram(0x1000).unwrap()).unwrap();
        let member = exchange.join(0, requester.clone()).unwrap();
        assert_eq!(fake.look(|state| state.dma.len()), 1);
        drop(member);
        assert_eq!(fake.look(|state| state.dma.len()), 0);
        let _member = exchange.join(0, requester.clone()).unwrap();
        drop(given);
        assert_eq!(fake.look(|state| state.dma.len()), 0);
    }
}
