use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// A window of 1 GiB at 4 GiB, and 512 MiB of memory.
const START: u64 = 0x1_0000_0000;
const LENGTH: u64 = 1 << 30;
const MEMORY: u64 = 512 << 20;
const GRANULE: u64 = 256 << 20;

/// Offsets in the capability, typed by hand.
const GLOBAL: u64 = 0x04;
const BASE_LOW: u64 = 0x10;
const BASE_HIGH: u64 = 0x14;
const SIZE_LOW: u64 = 0x18;
const SIZE_HIGH: u64 = 0x1c;
const CONTROL: u64 = 0x20;
const SKIP_LOW: u64 = 0x24;

/// Bits of control, typed by hand.
const LOCK: u32 = 0x100;
const COMMIT: u32 = 0x200;
const COMMITTED: u32 = 0x400;
const ERROR: u32 = 0x800;

fn window() -> Span<Gpa> {
    Span::new(Gpa::new(START), LENGTH).unwrap()
}

/// A decoder with decode enabled.
fn enabled() -> GuestDecoder {
    let mut decoder = GuestDecoder::new(window(), MEMORY, Control::new(0));
    assert_eq!(decoder.write(GLOBAL, 2), Some(Effect::Nothing));
    decoder
}

fn give(decoder: &mut GuestDecoder, base: u64, size: u64) {
    let halves = [(BASE_LOW, base), (SIZE_LOW, size)];
    for (at, value) in halves {
        assert_eq!(decoder.write(at, value as u32), Some(Effect::Nothing));
        assert_eq!(decoder.write(at + 4, (value >> 32) as u32), Some(Effect::Nothing));
    }
}

fn control(decoder: &GuestDecoder) -> u32 {
    decoder.read(CONTROL).unwrap()
}

fn mapping(base: u64, size: u64, dpa: u64) -> Mapping {
    Mapping { span: Span::new(Gpa::new(base), size).unwrap(), dpa }
}

#[rstest]
#[case::all_of_the_memory(START, MEMORY)]
#[case::some_of_it(START, GRANULE)]
#[case::at_the_end_of_the_window(START + LENGTH - MEMORY, MEMORY)]
fn what_lies_in_the_window_is_committed_and_mapped(#[case] base: u64, #[case] size: u64) {
    let mut decoder = enabled();
    give(&mut decoder, base, size);
    assert_eq!(decoder.write(CONTROL, COMMIT), Some(Effect::Map(mapping(base, size, 0))));
    assert_eq!(control(&decoder), COMMIT | COMMITTED);
}

#[rstest]
#[case::below(START - GRANULE, GRANULE)]
#[case::across_its_start(START - GRANULE, MEMORY)]
#[case::across_its_end(START + LENGTH - GRANULE, MEMORY)]
#[case::behind(START + LENGTH, GRANULE)]
#[case::at_the_end_of_all_addresses(0u64.wrapping_sub(GRANULE), MEMORY)]
fn what_does_not_lie_in_the_window_is_refused_and_the_decoder_says_so(#[case] base: u64, #[case] size: u64) {
    let mut decoder = enabled();
    give(&mut decoder, base, size);
    let outside = Refused::Outside { base, size, window: window() };
    assert_eq!(decoder.write(CONTROL, COMMIT | LOCK), Some(Effect::Refused(outside)));
    assert_eq!((control(&decoder), decoder.mapping()), (ERROR | LOCK, None));
    // It is open still: the next try can be right, and clears the error.
    give(&mut decoder, START, GRANULE);
    assert_eq!(decoder.write(CONTROL, COMMIT), Some(Effect::Map(mapping(START, GRANULE, 0))));
    assert_eq!(control(&decoder), COMMIT | COMMITTED);
}

#[rstest]
#[case::more_than_there_is(MEMORY + GRANULE, 0, true)]
#[case::more_than_is_behind_the_skip(MEMORY, GRANULE as u32, true)]
#[case::what_is_behind_the_skip(GRANULE, GRANULE as u32, false)]
fn only_memory_that_is_there_is_mapped(#[case] size: u64, #[case] skip: u32, #[case] refused: bool) {
    let mut decoder = enabled();
    give(&mut decoder, START, size);
    decoder.write(SKIP_LOW, skip).unwrap();
    let beyond = Refused::Beyond { skip: skip.into(), size, memory: MEMORY };
    let effect =
        if refused { Effect::Refused(beyond) } else { Effect::Map(mapping(START, size, skip.into())) };
    assert_eq!(decoder.write(CONTROL, COMMIT), Some(effect));
}

#[test]
fn interleaving_is_refused() {
    let mut decoder = enabled();
    give(&mut decoder, START, GRANULE);
    assert_eq!(decoder.write(CONTROL, COMMIT | 0x10), Some(Effect::Refused(Refused::Interleaved)));
    assert_eq!(control(&decoder), ERROR | 0x10);
}

#[test]
fn a_decoder_over_nothing_is_committed_and_nothing_is_mapped() {
    let mut decoder = enabled();
    assert_eq!(decoder.write(CONTROL, COMMIT), Some(Effect::Nothing));
    assert_eq!((control(&decoder), decoder.mapping()), (COMMIT | COMMITTED, None));
}

#[test]
fn uncommitting_unmaps_and_the_registers_are_free_again() {
    let mut decoder = enabled();
    give(&mut decoder, START, GRANULE);
    decoder.write(CONTROL, COMMIT).unwrap();
    assert_eq!(decoder.write(BASE_LOW, 0x2000_0000), Some(Effect::Nothing));
    assert_eq!(decoder.read(BASE_LOW), Some(0), "what is committed is frozen");
    assert_eq!(decoder.write(CONTROL, 0), Some(Effect::Unmap));
    assert_eq!(control(&decoder), 0);
    decoder.write(BASE_LOW, 0x2000_0000).unwrap();
    assert_eq!(decoder.read(BASE_LOW), Some(0x2000_0000));
}

#[test]
fn a_locked_decoder_takes_nothing_until_a_reset() {
    let mut decoder = enabled();
    give(&mut decoder, START, GRANULE);
    decoder.write(CONTROL, COMMIT | LOCK).unwrap();
    let before = decoder.clone();
    for (at, value) in
        [(CONTROL, 0), (CONTROL, COMMIT), (BASE_LOW, 0x2000_0000), (SIZE_HIGH, 1), (BASE_HIGH, 0)]
    {
        assert_eq!(decoder.write(at, value), Some(Effect::Nothing));
    }
    assert_eq!(decoder, before);
    decoder.reset();
    assert_eq!((control(&decoder), decoder.read(GLOBAL), decoder.mapping()), (0, Some(0), None));
    assert_eq!([BASE_LOW, BASE_HIGH, SIZE_LOW, SIZE_HIGH].map(|at| decoder.read(at).unwrap()), [0; 4]);
}

#[test]
fn a_lock_comes_with_a_commit_and_not_after_it() {
    let mut decoder = enabled();
    give(&mut decoder, START, GRANULE);
    decoder.write(CONTROL, COMMIT).unwrap();
    assert_eq!(decoder.write(CONTROL, COMMIT | LOCK), Some(Effect::Nothing));
    assert_eq!(control(&decoder), COMMIT | COMMITTED);
    assert_eq!(decoder.write(CONTROL, 0), Some(Effect::Unmap));
}

#[test]
fn without_decode_nothing_is_mapped_and_with_it_what_is_committed() {
    let mut decoder = GuestDecoder::new(window(), MEMORY, Control::new(0));
    give(&mut decoder, START, GRANULE);
    assert_eq!(decoder.write(CONTROL, COMMIT | LOCK), Some(Effect::Nothing));
    assert_eq!(control(&decoder), COMMIT | COMMITTED | LOCK);
    assert_eq!(decoder.write(GLOBAL, 2), Some(Effect::Map(mapping(START, GRANULE, 0))));
    assert_eq!(decoder.write(GLOBAL, 0), Some(Effect::Unmap));
}

#[test]
fn what_the_machine_cannot_map_is_not_committed() {
    let mut decoder = enabled();
    give(&mut decoder, START, GRANULE);
    decoder.write(CONTROL, COMMIT | LOCK).unwrap();
    decoder.refuse();
    assert_eq!((control(&decoder), decoder.mapping()), (ERROR | LOCK, None));
}

#[test]
fn what_is_hard_wired_stays() {
    // Host-only and back-invalidate.
    let mut decoder = GuestDecoder::new(window(), MEMORY, Control::new(0x3700));
    assert_eq!(control(&decoder), 0x3000);
    decoder.write(CONTROL, 0).unwrap();
    assert_eq!(control(&decoder), 0x3000);
    decoder.reset();
    assert_eq!(control(&decoder), 0x3000);
}

#[rstest]
#[case::the_capability(0)]
#[case::reserved(8)]
#[case::the_second_decoder(0x30)]
#[case::between_dwords(0x12)]
fn what_is_not_the_decoders_own_is_not_answered(#[case] offset: u64) {
    let mut decoder = enabled();
    assert_eq!((decoder.read(offset), decoder.write(offset, u32::MAX)), (None, None));
}

/// The rules once more, with numbers in place of registers.
#[derive(Clone, Debug, Default)]
struct Model {
    base: u64,
    size: u64,
    skip: u64,
    ways: u32,
    committed: bool,
    locked: bool,
    error: bool,
    decoding: bool,
}

impl Model {
    fn possible(&self) -> bool {
        let end = u128::from(self.base) + u128::from(self.size);
        let in_window = self.base >= START && end <= u128::from(START + LENGTH);
        let in_memory = u128::from(self.skip) + u128::from(self.size) <= u128::from(MEMORY);
        self.ways == 0 && (self.size == 0 || in_window && in_memory)
    }

    fn mapped(&self) -> Option<(u64, u64, u64)> {
        (self.committed && self.decoding && self.size > 0).then_some((self.base, self.size, self.skip))
    }

    /// True if the guest is refused.
    fn write(&mut self, offset: u64, value: u32) -> bool {
        let half = |old: u64, value: u32, high: bool| {
            if high {
                old & 0xffff_ffff | u64::from(value) << 32
            } else {
                old >> 32 << 32 | u64::from(value & 0xf000_0000)
            }
        };
        match offset {
            0x04 => self.decoding = value & 2 != 0,
            0x20 if self.committed => {
                self.committed = self.locked || value & COMMIT != 0;
            }
            0x20 => {
                self.ways = value >> 4 & 0xf;
                self.locked = value & LOCK != 0;
                let wants = value & COMMIT != 0;
                self.committed = wants && self.possible();
                self.error = wants && !self.committed;
                return self.error;
            }
            _ if self.committed => {}
            0x10 | 0x14 => self.base = half(self.base, value, offset == 0x14),
            0x18 | 0x1c => self.size = half(self.size, value, offset == 0x1c),
            0x24 | 0x28 => self.skip = half(self.skip, value, offset == 0x28),
            _ => {}
        }
        false
    }
}

fn write() -> impl Strategy<Value = (u64, u32)> {
    let near = prop_oneof![
        Just((0x14, 1)),
        Just((0x14, 0)),
        (0u32..6).prop_map(|granules| (0x10, granules << 28)),
        (0u32..4).prop_map(|granules| (0x18, granules << 28)),
        Just((0x1c, 0)),
        (0u32..3).prop_map(|granules| (0x24, granules << 28)),
        Just((0x04, 2)),
        Just((0x20, COMMIT)),
        Just((0x20, 0)),
        Just((0x20, COMMIT | LOCK)),
    ];
    let offsets = [0x04, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c];
    prop_oneof![8 => near, 1 => (prop::sample::select(offsets.to_vec()), any::<u32>())]
}

proptest! {
    #[test]
    fn whatever_the_guest_writes_it_sees_what_the_rules_say_and_effects_lead_there(
        writes in prop::collection::vec(write(), 0..60),
    ) {
        let mut decoder = GuestDecoder::new(window(), MEMORY, Control::new(0));
        let mut model = Model::default();
        let mut mapped = None;
        for (offset, value) in writes {
            let refused = model.write(offset, value);
            match decoder.write(offset, value).unwrap() {
                Effect::Nothing => prop_assert!(!refused),
                Effect::Map(mapping) => {
                    prop_assert_eq!(mapped, None, "nothing is mapped over what is there");
                    mapped = Some(mapping);
                }
                Effect::Unmap => prop_assert!(mapped.take().is_some()),
                Effect::Refused(_) => prop_assert!(refused),
            }
            let seen = mapped.map(|mapping| (mapping.span.start().get(), mapping.span.size(), mapping.dpa));
            prop_assert_eq!(seen, model.mapped());
            let control = decoder.read(0x20).unwrap();
            let works = COMMIT | COMMITTED;
            for (bit, set) in [(works, model.committed), (LOCK, model.locked), (ERROR, model.error)] {
                prop_assert_eq!(control & bit, if set { bit } else { 0 }, "bit {:#x} of {:#x}", bit, control);
            }
        }
    }
}
