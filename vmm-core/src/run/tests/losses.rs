//! Devices that are lost while the guest runs: told, taken out, sought, and refused if they are others.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::*;
use crate::backend::Call;
use crate::backend::Shared;
use crate::backend::decoders::HdmDecoders;
use crate::discover::DiscoverError;
use crate::discover::discover;
use crate::map::Attached;
use crate::plan::life::Life;
use crate::plan::life::OnLoss;
use crate::program::Kept;
use crate::run::bus::MOST_LOSSES;
use crate::run::bus::NotBack;
use crate::run::bus::Then;
use crate::run::reconnect::ATTEMPTS;
use crate::run::reconnect::Connect;
use crate::run::reconnect::Reached;

/// Whoever answers next in the place of a device: nobody, or a fake.
#[derive(Clone, Default)]
pub(super) struct Successors(Arc<Mutex<VecDeque<Option<Fake>>>>);

impl Successors {
    pub(super) fn of(all: Vec<Option<Fake>>) -> Self {
        Self(Arc::new(Mutex::new(all.into())))
    }
}

impl Connect for Successors {
    fn connect(&self, _timeout: Duration) -> Result<Reached, DiscoverError> {
        let Some(fake) = self.0.lock().pop_front().flatten() else {
            let failure = Failure::Lost("nobody listens".to_owned());
            let error = BackendError { device: "fake".to_owned(), call: Call::Connect, failure };
            return Err(error.into());
        };
        let inventory = discover(&fake.shared())?;
        let backend = Box::new(HdmDecoders::new(fake.shared(), &inventory));
        Ok(Reached { backend, inventory })
    }
}

/// A machine with these devices, the first of which is lost so.
fn running_with(fakes: &[Fake], on_loss: OnLoss, successors: Vec<Option<Fake>>) -> (Running, Successors) {
    let life = Life { on_loss: vec![("gpu0".to_owned(), on_loss)], ..Life::default() };
    let attached = |fake: &Fake| {
        let inventory = discover(&fake.shared()).unwrap();
        Attached { backend: Shared::new(HdmDecoders::new(fake.shared(), &inventory)), inventory }
    };
    let devices: Vec<_> = fakes.iter().map(attached).collect();
    let named = ["gpu0", "gpu1"].into_iter().zip(devices.iter().map(|device| &device.inventory));
    let plan = plan(&Machine { life, ..Machine::default() }, &named.collect::<Vec<_>>()).unwrap();
    let programmed = map(plan, devices, Hypervisor::Soft.slots()).unwrap().machine_done().unwrap();
    let mut running = programmed.run(&Hypervisor::Soft, TIMEOUT).unwrap();
    let way = Successors::of(successors);
    running.reconnect_with(0, TIMEOUT, way.clone());
    (running, way)
}

/// The device is lost at its next call.
fn lose(fake: &Fake) {
    let next = fake.look(|state| state.calls.len()) + 1;
    let _fake = fake.clone().with(|state| state.fail_at = Some((next, Failure::Lost("gone".to_owned()))));
}

/// The guest reads the first device's registers, its memory and its ids.
fn looked_at(running: &mut Running) -> [u64; 3] {
    let at = [bar2(running, 0x2_1000), window(running, 0x40), config(running, 0)];
    at.map(|at| running.load(at, Width::Dword).unwrap())
}

const GONE: [u64; 3] = [NOTHING; 3];

#[test]
fn a_device_that_is_to_be_detached_is_out_at_the_end_of_the_access_that_lost_it() {
    let fakes = [Fake::committed(), Fake::committed()];
    let (mut running, _) = running_with(&fakes, OnLoss::Detach, Vec::new());
    let (at, other) = (window(&running, 0x40), running.plan().devices[1].window.span.start());
    running.store(at, Width::Dword, 7).unwrap();
    lose(&fakes[0]);
    let registers = bar2(&running, 0x2_1000 + CONTROL);
    let mut bytes = [0; 4];
    running.bus.load(registers, &mut bytes);
    assert_eq!(bytes, [0xff; 4]);
    running.bus.load(at, &mut bytes);
    assert_eq!(bytes, [0xff; 4], "in the same order of the guest");
    assert_eq!(looked_at(&mut running), GONE);
    running.store(at, Width::Dword, 8).unwrap();
    running.store(other, Width::Dword, 9).unwrap();
    assert_eq!(running.load(other, Width::Dword), Ok(9));
    let slot = running.plan().bridges[0].port.config.start().checked_add(0x5a).unwrap();
    assert_eq!(running.load(slot, Width::Word).unwrap() & 0x40, 0, "the slot is empty");
    let [loss] = running.losses().try_into().unwrap();
    let told = "fake: REGION_READ of region 10 at 0x130, 4 bytes: gone: detached";
    assert_eq!((loss.to_string(), loss.then, running.lost()), (told.to_owned(), Then::Detached, None));
    let memory = fakes[0].look(|state| state.regions[&9].memory.as_ref().unwrap().load(0x40, Width::Dword));
    assert_eq!(memory, Some(7), "nothing is stored in what is out");
}

#[test]
fn a_device_that_is_found_again_is_as_it_was_whatever_the_kernel() {
    for (fake, next) in Fake::of_every_kernel().into_iter().zip(Fake::of_every_kernel()) {
        let fakes = [fake, Fake::committed()];
        let (mut running, _) = running_with(&fakes, OnLoss::Reconnect, vec![None, Some(next.clone())]);
        let before = looked_at(&mut running);
        let given = fakes[0].look(|state| state.dma.clone());
        lose(&fakes[0]);
        let at = config(&running, 0x3c);
        running.store(at, Width::Byte, 1).unwrap();
        assert_eq!(looked_at(&mut running), before);
        let slot = running.plan().bridges[0].port.config.start().checked_add(0x5a).unwrap();
        assert_eq!(running.load(slot, Width::Word).unwrap() & 0x40, 0x40, "the slot is not empty");
        assert_eq!(next.look(|state| state.dma.clone()), given, "what it was let reach");
        assert_eq!(next.dword(7, 4) & 6, 6, "it answers, and may ask");
        let at = window(&running, 0x40);
        running.store(at, Width::Dword, 7).unwrap();
        let memory = running.plan().devices[0].window.region;
        let seen =
            next.look(|state| state.regions[&memory].memory.as_ref().unwrap().load(0x40, Width::Dword));
        assert_eq!(seen, Some(7), "the guest sees the new memory");
        assert_eq!(running.take_loss(0).unwrap().then, Then::Back(Kept::Fresh));
        let clean = Fake::of_every_kernel().map(|fake| fake.dword(7, 4));
        drop(running);
        assert_eq!((next.look(|state| state.dma.len()), clean.contains(&next.dword(7, 4))), (0, true));
    }
}

#[test]
fn a_connection_that_is_made_anew_to_the_same_device_finds_its_memory() {
    let fake = Fake::committed();
    let (mut running, way) = running_with(std::slice::from_ref(&fake), OnLoss::Reconnect, Vec::new());
    let at = window(&running, 0x40);
    running.store(at, Width::Dword, 7).unwrap();
    let memory = fake.look(|state| state.regions[&9].memory.clone());
    let next = Fake::committed().with(|state| state.regions.get_mut(&9).unwrap().memory = memory);
    way.0.lock().push_back(Some(next));
    lose(&fake);
    running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
    assert_eq!(running.load(at, Width::Dword), Ok(7));
    assert_eq!(running.take_loss(0).unwrap().then, Then::Back(Kept::Same));
}

#[test]
fn another_device_in_its_place_is_refused_with_what_differs_and_never_touched() {
    let other = Fake::committed().with(|state| state.set(7, 0, 0x1234_1e98));
    let fake = Fake::committed();
    let (mut running, _) =
        running_with(std::slice::from_ref(&fake), OnLoss::Reconnect, vec![Some(other.clone())]);
    lose(&fake);
    running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
    assert_eq!(looked_at(&mut running), GONE);
    let told = "detached, replaced by another device: device was 0xc7f2 and is 0x1234";
    assert_eq!(running.take_loss(0).unwrap().then.to_string(), told);
    let calls = other.look(|state| state.calls.clone());
    assert!(calls.iter().all(|call| !matches!(call, Call::Write { .. } | Call::DmaMap { .. })), "{calls:?}");
}

#[test]
fn nobody_is_sought_for_ever() {
    let fake = Fake::committed();
    let (mut running, _) = running_with(std::slice::from_ref(&fake), OnLoss::Reconnect, Vec::new());
    lose(&fake);
    running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
    let then = running.take_loss(0).unwrap().then;
    assert!(matches!(then, Then::NotBack(NotBack::NotReached { attempts: ATTEMPTS, .. })), "{then}");
    assert_eq!(looked_at(&mut running), GONE);
}

#[test]
fn a_device_that_fails_at_any_call_while_it_is_restored_is_out_as_if_nobody_had_sought_it() {
    let mut failed = 0;
    for number in 1.. {
        let next = Fake::committed();
        let discovered = {
            discover(&next.shared()).unwrap();
            next.look(|state| state.calls.len())
        };
        let at = discovered * 2 + number;
        let next = next.with(|state| state.fail_at = Some((at, Failure::Refused(Errno::EIO))));
        let fake = Fake::committed();
        let (mut running, _) =
            running_with(std::slice::from_ref(&fake), OnLoss::Reconnect, vec![Some(next.clone())]);
        lose(&fake);
        running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
        let then = running.take_loss(0).unwrap().then;
        let Some(call) = next.look(|state| state.calls.get(at - 1).copied()) else {
            assert!(matches!(then, Then::Back(_)), "no call failed: {then}");
            break;
        };
        if matches!(then, Then::Back(_)) {
            // A device without events in place of writes is as good.
            assert!(matches!(call, Call::IoEvents { .. }), "{call} failed: {then}");
            continue;
        }
        assert!(matches!(then, Then::NotBack(NotBack::NotRestored(_))), "{then}");
        assert_eq!((looked_at(&mut running), running.losses().len()), (GONE, 0), "call {number}: {then}");
        failed += 1;
    }
    // RAM, the command register, the decoder read, programmed and read again, the guest's command.
    assert!(failed >= 10, "{failed}");
}

#[test]
fn a_device_that_goes_again_and_again_stays_out_at_last() {
    let fake = Fake::committed();
    let (mut running, way) = running_with(std::slice::from_ref(&fake), OnLoss::Reconnect, Vec::new());
    let mut now = fake;
    for time in 0..=MOST_LOSSES {
        let next = Fake::committed();
        way.0.lock().push_back(Some(next.clone()));
        lose(&now);
        running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
        let then = running.take_loss(0).unwrap().then;
        let expected =
            if time < MOST_LOSSES { Then::Back(Kept::Fresh) } else { Then::NotBack(NotBack::TooOften) };
        assert_eq!(then, expected, "time {time}");
        now = next;
    }
    assert_eq!(looked_at(&mut running), GONE);
}

#[test]
fn a_machine_is_reset_without_the_device_that_is_lost_over_it_unless_that_is_a_failure() {
    for (on_loss, survives) in [(OnLoss::Detach, true), (OnLoss::Reconnect, true), (OnLoss::Fail, false)] {
        let fakes = [Fake::committed(), Fake::committed()];
        let (mut running, _) = running_with(&fakes, on_loss, vec![Some(Fake::committed())]);
        lose(&fakes[0]);
        assert_eq!(running.reset().is_ok(), survives, "{on_loss:?}");
        if survives {
            let other = running.plan().devices[1].config.start();
            assert_eq!(running.load(other, Width::Dword), Ok(0xc7f2_1e98));
            let back = on_loss == OnLoss::Reconnect;
            assert_eq!(looked_at(&mut running) == GONE, !back, "{on_loss:?}");
        }
    }
}

/// The command register as the guest has written it is what a device that is found again has in it.
#[rstest]
#[case::as_a_word(&[(4, Width::Word, 0x0402)], 0x0402)]
#[case::as_a_byte(&[(4, Width::Byte, 0x02)], 0x0002)]
#[case::its_upper_byte(&[(5, Width::Byte, 0x04)], 0x0406)]
#[case::one_after_the_other(&[(4, Width::Word, 0x0006), (5, Width::Byte, 0x04), (4, Width::Byte, 0)], 0x0400)]
#[case::as_a_dword(&[(4, Width::Dword, 0x0002)], 0x0002)]
#[case::another_register(&[(6, Width::Word, 0xffff), (0x3c, Width::Byte, 0xff)], 0x0006)]
fn the_guests_command_register_is_restored(#[case] writes: &[(u64, Width, u64)], #[case] command: u32) {
    let (fake, next) = (Fake::committed(), Fake::committed());
    let (mut running, _) =
        running_with(std::slice::from_ref(&fake), OnLoss::Reconnect, vec![Some(next.clone())]);
    for (offset, width, value) in writes {
        running.store(config(&running, *offset), *width, *value).unwrap();
    }
    lose(&fake);
    running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
    assert_eq!(next.dword(7, 4) & 0xffff, command);
    let answers = looked_at(&mut running)[0] == ARRAY;
    assert_eq!(answers, command & 2 != 0, "the BARs are in with Memory Space");
}
