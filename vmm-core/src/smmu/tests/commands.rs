//! The command queue and the event queue as software sees them.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use rstest::rstest;

use super::guest::COMMANDS;
use super::guest::EVENTS;
use super::guest::Guest;
use super::guest::Sparse;
use crate::smmu::Effect;
use crate::smmu::Effects;
use crate::smmu::ExternalAbort;
use crate::smmu::Features;
use crate::smmu::Memory;
use crate::smmu::Operation;
use crate::smmu::Smmu;
use crate::smmu::effect::Interrupt;
use crate::smmu::effect::Invalidated;
use crate::smmu::effect::Range;
use crate::smmu::effect::Streams;

const SYNC: [u64; 2] = [0x46, 0];
const SYNC_WITH_INTERRUPT: [u64; 2] = [0x1046, 0];
const ILLEGAL: [u64; 2] = [0x7f, 0];

const GLOBAL_ERROR: Effect = Effect::Interrupt(Interrupt::GlobalError);
const SYNCED: Effect = Effect::Interrupt(Interrupt::CommandSync);

fn invalidated(streams: Streams, range: Range) -> Vec<Effect> {
    vec![Effect::Invalidated(Invalidated { streams, range })]
}

fn running() -> Guest {
    Guest::running(Features::default())
}

#[test]
fn commands_are_consumed_around_the_queue() {
    let mut guest = running();
    for count in 1..40 {
        assert_eq!(guest.command(SYNC_WITH_INTERRUPT), [SYNCED]);
        assert_eq!(guest.read(0x9c), count % 16, "3 bits of index and one that wraps");
    }
}

#[test]
fn a_full_queue_is_consumed_by_one_write() {
    let mut guest = running();
    for at in 0..8 {
        guest.memory.store(COMMANDS + at * 16, SYNC[0]);
    }
    guest.write(0x98, 8);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (8, 0));
}

#[test]
fn commands_that_were_queued_before_are_consumed_when_the_queue_is_switched_on() {
    let mut guest = running();
    guest.write(0x20, 5);
    assert_eq!(guest.command(SYNC_WITH_INTERRUPT), []);
    assert_eq!(guest.read(0x9c), 0);
    assert_eq!(guest.write(0x20, 0xd), [SYNCED]);
    assert_eq!(guest.read(0x9c), 1);
}

#[rstest]
#[case::no_command([0x00, 0])]
#[case::unknown([0x7f, 0])]
#[case::el2_all([0x20, 0])]
#[case::el3_all([0x18, 0])]
#[case::stage_2_all([0x28, 0])]
#[case::stage_2_address([0x2a, 0])]
#[case::page_response([0x41, 0])]
#[case::resume([0x44, 0])]
#[case::stall_termination([0x45, 0])]
#[case::reserved_signal([0x3046, 0])]
#[case::secure_ste([0x403, 0])]
#[case::secure_range([0x404, 31])]
#[case::secure_cd([0x405, 0])]
#[case::secure_cds([0x406, 0])]
#[case::secure_invalidation_of_a_device([0x440, 0])]
fn the_queue_stops_at_an_illegal_command(#[case] command: [u64; 2]) {
    let mut guest = running();
    guest.command(SYNC);
    assert_eq!(guest.command(command), [GLOBAL_ERROR]);
    assert_eq!((guest.read(0x9c), guest.read(0x60), guest.read(0x64)), (0x0100_0001, 1, 0));
    assert_eq!(guest.command(SYNC_WITH_INTERRUPT), [], "nothing is consumed behind it");
    assert_eq!(guest.read(0x9c), 0x0100_0001);
}

#[rstest]
#[case::prefetch([0x01, 0])]
#[case::prefetch_address([0x02, 0])]
#[case::ste([0x03, 0])]
#[case::range([0x04, 31])]
#[case::cd([0x05, 0])]
#[case::cds([0x06, 0])]
#[case::all([0x10, 0])]
#[case::asid([0x11, 0])]
#[case::address([0x12, 0])]
#[case::address_of_all([0x13, 0])]
#[case::nonsecure_all([0x30, 0])]
#[case::device([0x40, 0])]
#[case::sync([0x0046, 0])]
#[case::sync_with_event([0x2046, 0])]
fn a_command_that_is_offered_is_consumed(#[case] command: [u64; 2]) {
    let mut guest = running();
    guest.command(command);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (1, 0));
}

#[test]
fn without_ats_its_command_is_illegal() {
    let mut guest = Guest::running(Features { ats: false, ..Features::default() });
    guest.command([0x40, 0]);
    assert_eq!(guest.read(0x9c), 0x0100_0000);
}

#[test]
fn an_acknowledged_error_has_the_mended_command_consumed() {
    let mut guest = running();
    guest.command(ILLEGAL);
    guest.command(SYNC_WITH_INTERRUPT);
    guest.memory.store(COMMANDS, SYNC[0]);
    assert_eq!(guest.write(0x64, 1), [SYNCED]);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (0x0100_0002, 1), "the last error is still told");
    guest.command(ILLEGAL);
    assert_eq!(guest.read(0x60), 0, "active, because GERRORN is 1");
}

#[test]
fn an_acknowledged_error_that_is_not_mended_comes_back() {
    let mut guest = running();
    guest.command(ILLEGAL);
    assert_eq!(guest.write(0x64, 1), [GLOBAL_ERROR]);
    assert_eq!((guest.read(0x60), guest.read(0x64)), (0, 1));
}

#[test]
fn a_command_that_cannot_be_read_stops_the_queue() {
    let mut guest = running();
    guest.command(SYNC);
    guest.memory.punch(COMMANDS + 0x18..COMMANDS + 0x19);
    guest.write(0x98, 2);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (0x0200_0001, 1));
    guest.memory.mend();
    guest.memory.store(COMMANDS + 0x10, SYNC[0]);
    guest.write(0x64, 1);
    assert_eq!(guest.read(0x9c) & 0xf, 2);
}

#[test]
fn an_error_without_its_interrupt_is_silent() {
    let mut guest = running();
    guest.write(0x50, 4);
    assert_eq!(guest.command(ILLEGAL), []);
    assert_eq!(guest.read(0x60), 1);
}

#[test]
fn the_longest_queue_of_garbage_stops_at_its_first_command() {
    let mut guest = Guest::new(Features { command_queue: arbitrary_int::u5::new(19), ..Features::default() });
    guest.write64(0x90, COMMANDS | 19);
    guest.write(0x98, 0x8_0000);
    guest.write(0x20, 8);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (0x0100_0000, 1));
}

/// Memory that is a queue of one command, over and over.
struct Same([u64; 2]);

impl Memory for Same {
    fn read(&self, _at: Gpa, buffer: &mut [u8]) -> Result<(), ExternalAbort> {
        buffer.copy_from_slice(self.0.map(u64::to_le_bytes).as_flattened());
        Ok(())
    }

    fn write(&self, _at: Gpa, _data: &[u8]) -> Result<(), ExternalAbort> {
        Err(ExternalAbort)
    }
}

#[test]
fn the_longest_queue_of_legal_commands_ends_whatever_its_indices() {
    let mut smmu = Smmu::new(Features { command_queue: arbitrary_int::u5::new(19), ..Features::default() });
    let mut write = |offset, value| {
        let access = Access::new(offset, Width::Dword).unwrap();
        smmu.write(&Same([0x03, 0]), access, value).as_slice().len()
    };
    write(0x90, 0x1f);
    write(0x9c, 1);
    assert_eq!(write(0x20, 8), 1, "the whole of the indices but one");
    let cons = smmu.read(Access::new(0x9c, Width::Dword).unwrap());
    assert_eq!(cons, 0);
}

#[test]
fn many_invalidations_become_one_of_everything() {
    let mut smmu = Smmu::new(Features::default());
    let memory = Sparse::default();
    for at in 0..100 {
        memory.store(at * 16, 0x03 | at << 32);
    }
    let mut write = |offset, value| {
        smmu.write(&memory, Access::new(offset, Width::Dword).unwrap(), value).as_slice().to_vec()
    };
    write(0x90, 7);
    write(0x98, 61);
    assert_eq!(write(0x20, 8).len(), 61);
    assert_eq!(write(0x98, 61), []);
    assert_eq!(write(0x98, 100).len(), 39);
    write(0x20, 0);
    write(0x9c, 0);
    assert_eq!(write(0x20, 8), invalidated(Streams::All, Range::All));
}

#[test]
fn with_interrupts_there_are_no_more_effects_either() {
    let mut smmu = Smmu::new(Features::default());
    let memory = Sparse::default();
    for at in 0..Effects::MOST as u64 {
        memory.store(at * 16, 0x03 | at << 32);
    }
    memory.store(64 * 16, SYNC_WITH_INTERRUPT[0]);
    memory.store(65 * 16, ILLEGAL[0]);
    let mut write = |offset, value| {
        smmu.write(&memory, Access::new(offset, Width::Dword).unwrap(), value).as_slice().to_vec()
    };
    write(0x50, 1);
    write(0x90, 7);
    write(0x98, 66);
    let all = invalidated(Streams::All, Range::All);
    assert_eq!(write(0x20, 8), [all[0], SYNCED, GLOBAL_ERROR]);
}

#[test]
fn effects_say_what_was_invalidated() {
    let mut guest = running();
    let block = Range::Between(Iova::new(0x12_0000_0000), Iova::new(0x12_3fff_ffff));
    let top = Range::Between(Iova::new(0xffff_ffff_c000_0000), Iova::new(u64::MAX));
    let mut of = |words| guest.command(words);
    assert_eq!(of([0x03 | 9 << 32, 1]), invalidated(Streams::Between(9, 9), Range::All));
    assert_eq!(of([0x04 | 0x1234 << 32, 7]), invalidated(Streams::Between(0x1200, 0x12ff), Range::All));
    assert_eq!(of([0x04, 31]), invalidated(Streams::All, Range::All));
    assert_eq!(of([0x05 | 9 << 32, 1]), invalidated(Streams::Between(9, 9), Range::All));
    assert_eq!(of([0x06 | 9 << 32, 0]), invalidated(Streams::Between(9, 9), Range::All));
    assert_eq!(of([0x10, 0]), invalidated(Streams::All, Range::All));
    assert_eq!(of([0x30, 0]), invalidated(Streams::All, Range::All));
    assert_eq!(of([0x11 | 0x77 << 48, 0]), invalidated(Streams::Asid(0x77), Range::All));
    assert_eq!(of([0x12 | 0x77 << 48, 0x12_3456_7001]), invalidated(Streams::All, block));
    assert_eq!(of([0x13, 0x12_3456_7000]), invalidated(Streams::All, block));
    assert_eq!(of([0x13, 0x00ff_ffff_ffff_f000]), invalidated(Streams::All, top));
    assert_eq!(of([0x01, 0]), []);
    assert_eq!(of([0x40, 0]), []);
    assert_eq!(of(SYNC), []);
}

#[test]
fn the_event_queue_interrupts_when_it_is_no_longer_empty() {
    let mut guest = running();
    let event = |guest: &mut Guest| {
        let fault = guest.smmu.translate(&guest.memory, 0, Iova::new(0), Operation::Read).unwrap_err();
        fault.effects.as_slice().to_vec()
    };
    assert_eq!(event(&mut guest), [Effect::Interrupt(Interrupt::EventQueue)]);
    assert_eq!(event(&mut guest), []);
    guest.write(0x1_00ac, 2);
    assert_eq!(event(&mut guest), [Effect::Interrupt(Interrupt::EventQueue)]);
    guest.write(0x50, 1);
    guest.write(0x1_00ac, 3);
    assert_eq!(event(&mut guest), [], "the interrupt is off");
    assert_eq!(guest.events(), 1);
}

#[test]
fn an_event_without_room_is_lost_and_that_is_said_once_until_acknowledged() {
    let mut guest = running();
    for stream in 0..4 {
        guest.read_at(stream, 0).unwrap_err();
    }
    assert_eq!(guest.read(0x1_00a8), 4, "full");
    guest.read_at(40, 0).unwrap_err();
    assert_eq!(guest.read(0x1_00a8), 0x8000_0004);
    guest.read_at(41, 0).unwrap_err();
    assert_eq!(guest.read(0x1_00a8), 0x8000_0004);
    assert_eq!(guest.event(0)[4], 0, "what was there is not written over");
    // Room, though what was lost is not acknowledged.
    guest.write(0x1_00ac, 1);
    guest.read_at(42, 0).unwrap_err();
    assert_eq!((guest.read(0x1_00a8), guest.event(0)[4]), (0x8000_0005, 42));
    guest.write(0x1_00ac, 0x8000_0001);
    guest.read_at(43, 0).unwrap_err();
    assert_eq!(guest.read(0x1_00a8), 0x0000_0005, "the next loss turns the flag back");
}

#[test]
fn an_event_that_cannot_be_written_is_an_error_and_no_more_are_written() {
    let mut guest = running();
    guest.memory.punch(EVENTS + 0x1f..EVENTS + 0x20);
    let fault = guest.smmu.translate(&guest.memory, 0, Iova::new(0), Operation::Read).unwrap_err();
    assert_eq!(fault.effects.as_slice(), [GLOBAL_ERROR]);
    assert_eq!((guest.read(0x60), guest.read(0x1_00a8)), (4, 0));
    guest.memory.mend();
    guest.read_at(0, 0).unwrap_err();
    assert_eq!(guest.events(), 0);
    guest.write(0x64, 4);
    guest.read_at(0, 0).unwrap_err();
    assert_eq!(guest.events(), 1, "once it is acknowledged they are");
}

#[test]
fn while_the_event_queue_is_off_nothing_is_recorded() {
    let mut guest = running();
    guest.write(0x20, 9);
    guest.read_at(0, 0).unwrap_err();
    assert_eq!((guest.events(), guest.event(0)), (0, [0; 32]));
}
