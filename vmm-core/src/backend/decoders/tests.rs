use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::backend::fake::Fake;
use crate::backend::fake::HOST_BASE;
use crate::backend::fake::State;
use crate::discover::discover;

/// A device behind its decoders, the region that these are in and where they begin there.
fn before(fake: &Fake) -> (HdmDecoders, u32, u64) {
    let inventory = discover(&fake.shared()).unwrap();
    let cxl = inventory.cxl.as_ref().unwrap();
    (HdmDecoders::new(fake.shared(), &inventory), cxl.description.registers, cxl.hdm)
}

fn june() -> (HdmDecoders, Fake) {
    let fake = Fake::june();
    (before(&fake).0, fake)
}

fn dword(device: &mut HdmDecoders, region: u32, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    device.read(region, offset, &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

fn write(device: &mut HdmDecoders, region: u32, offset: u64, value: u32) {
    device.write(region, offset, &value.to_le_bytes()).unwrap();
}

/// Base low and high, size low and high, control of decoder 0.
fn decoder(device: &mut HdmDecoders, region: u32, hdm: u64) -> [u32; 5] {
    [0x10, 0x14, 0x18, 0x1c, 0x20].map(|offset| dword(device, region, hdm + offset))
}

fn writes(fake: &Fake) -> usize {
    let is_register = |call: &&Call| matches!(call, Call::Write { region: 9 | 10, .. });
    fake.look(|state| state.calls.iter().filter(is_register).count())
}

#[rstest]
#[case::june(Fake::june())]
#[case::newest(Fake::newest())]
fn a_decoder_begins_without_a_base_and_without_its_lock(#[case] fake: Fake) {
    let (mut device, region, hdm) = before(&fake);
    assert_eq!(decoder(&mut device, region, hdm), [0, 0, 0x1000_0000, 0, 0x600]);
    let header = [0, 4, 8, 0xc].map(|offset| dword(&mut device, region, hdm + offset));
    assert_eq!(header, [0, 2, 0, 0]);
}

#[rstest]
#[case::locked(0x700, 0x600)]
#[case::committed(0x600, 0x600)]
#[case::interleaved_and_locked(0x725, 0x625)]
#[case::open(0x000, 0x000)]
#[case::open_with_its_lock_asked_for(0x100, 0x100)]
#[case::refused(0x800, 0x800)]
fn the_hosts_base_never_shows_whatever_the_decoder_is(#[case] control: u32, #[case] shown: u32) {
    let fake = Fake::june().with(|state| state.set(9, 0x1130, control));
    let (mut device, region, hdm) = before(&fake);
    assert_eq!(decoder(&mut device, region, hdm), [0, 0, 0x1000_0000, 0, shown]);
}

/// Two decoders, the second committed over another 256 MiB.
fn second(state: &mut State) {
    let dwords = [(0x1110, 1), (0x1140, 0x4000_0000), (0x1144, 0x48), (0x1148, 0x1000_0000), (0x1150, 0x700)];
    for (offset, value) in dwords {
        state.set(9, offset, value);
    }
}

#[test]
fn the_base_of_every_decoder_is_hidden() {
    let (mut device, region, hdm) = before(&Fake::june().with(second));
    let second = [0x30, 0x34, 0x38, 0x40].map(|offset| dword(&mut device, region, hdm + offset));
    assert_eq!(second, [0, 0, 0x1000_0000, 0x600]);
}

#[test]
fn the_steps_of_machine_done_commit_and_lock_it_at_its_base() {
    for fake in [Fake::june(), Fake::newest()] {
        let (mut device, region, hdm) = before(&fake);
        write(&mut device, region, hdm + 0x10, 0x3fff_ffff);
        write(&mut device, region, hdm + 0x14, 0x12);
        write(&mut device, region, hdm + 0x20, 0x700);
        let locked = [0x3000_0000, 0x12, 0x1000_0000, 0, 0x700];
        assert_eq!(decoder(&mut device, region, hdm), locked, "the low 28 bits do not count");
        for offset in (0x10..0x30).step_by(4) {
            for value in [0, u32::MAX, 0x600, 0x200] {
                write(&mut device, region, hdm + offset, value);
            }
        }
        assert_eq!(decoder(&mut device, region, hdm), locked, "a lock holds until reset");
        assert_eq!(writes(&fake), 0, "the device was never told");
    }
}

#[test]
fn a_committed_decoder_that_is_not_locked_takes_its_release_and_nothing_else() {
    let (mut device, _) = june();
    write(&mut device, 9, 0x1120, 0x2000_0000);
    write(&mut device, 9, 0x1130, 0x200);
    write(&mut device, 9, 0x1120, 0x7000_0000);
    write(&mut device, 9, 0x1128, 0x7000_0000);
    write(&mut device, 9, 0x1130, 0x3ff);
    assert_eq!(decoder(&mut device, 9, 0x1110), [0x2000_0000, 0, 0x1000_0000, 0, 0x600]);
    write(&mut device, 9, 0x1130, 0x1ff);
    assert_eq!(decoder(&mut device, 9, 0x1110)[4], 0, "the rest of that write is lost");
    write(&mut device, 9, 0x1120, 0x7000_0000);
    assert_eq!(decoder(&mut device, 9, 0x1110)[0], 0x7000_0000, "an open decoder takes a base again");
}

#[test]
fn reserved_and_read_only_bits_are_not_taken() {
    let (mut device, _) = june();
    write(&mut device, 9, 0x1130, 0xffff_fdff);
    assert_eq!(decoder(&mut device, 9, 0x1110)[4], 0x1ff);
    write(&mut device, 9, 0x1134, 0xffff_ffff);
    write(&mut device, 9, 0x1138, 0xffff_ffff);
    write(&mut device, 9, 0x113c, 0xffff_ffff);
    let skip = [0x1134, 0x1138, 0x113c].map(|offset| dword(&mut device, 9, offset));
    assert_eq!(skip, [0xf000_0000, 0xffff_ffff, 0]);
    for offset in [0x1110, 0x1118, 0x111c] {
        let before = dword(&mut device, 9, offset);
        write(&mut device, 9, offset, 0xffff_ffff);
        assert_eq!(dword(&mut device, 9, offset), before);
    }
}

#[test]
fn what_is_skipped_shows_as_it_was_found() {
    let (mut device, ..) = before(&Fake::june().with(|state| {
        state.set(9, 0x1134, 0x2000_0000);
        state.set(9, 0x1138, 3);
    }));
    assert_eq!([0x1134, 0x1138].map(|offset| dword(&mut device, 9, offset)), [0x2000_0000, 3]);
}

#[test]
fn the_global_control_keeps_two_bits_and_poison_needs_its_capability() {
    let (mut device, _) = june();
    write(&mut device, 9, 0x1114, 0xffff_ffff);
    assert_eq!(dword(&mut device, 9, 0x1114), 2);
    let (mut able, ..) = before(&Fake::june().with(|state| state.set(9, 0x1110, 0x400)));
    write(&mut able, 9, 0x1114, 0xffff_ffff);
    assert_eq!(dword(&mut able, 9, 0x1114), 3);
}

#[rstest]
#[case::a_byte(0x1120, 1)]
#[case::a_word(0x1120, 2)]
#[case::three_bytes(0x1120, 3)]
#[case::a_dword_and_a_half(0x1120, 6)]
#[case::unaligned(0x1122, 4)]
#[case::reaching_in(0x110e, 4)]
fn what_is_not_aligned_dwords_is_refused(#[case] offset: u64, #[case] count: usize) {
    let (mut device, fake) = june();
    let refused = Failure::Refused(Errno::EINVAL);
    let calls = fake.look(|state| state.calls.len());
    assert_eq!(device.read(9, offset, &mut vec![0; count]).unwrap_err().failure, refused);
    assert_eq!(device.write(9, offset, &vec![0; count]).unwrap_err().failure, refused);
    assert_eq!(decoder(&mut device, 9, 0x1110)[4], 0x600);
    assert_eq!(fake.look(|state| state.calls.len()), calls);
}

#[test]
fn an_access_of_several_dwords_is_answered_by_those_that_have_them() {
    let (mut device, fake) = june();
    let _fake = fake.with(|state| state.set(9, 0x110c, 0x1234_5678));
    let mut bytes = [0; 0x38];
    device.read(9, 0x110c, &mut bytes).unwrap();
    let dwords: Vec<_> =
        bytes.chunks_exact(4).map(|dword| u32::from_le_bytes(dword.try_into().unwrap())).collect();
    let hdm = [0, 2, 0, 0, 0, 0, 0x1000_0000, 0, 0x600, 0, 0, 0];
    assert_eq!(dwords, [&[0x1234_5678], &hdm[..], &[0]].concat());
    device.write(9, 0x1120, &[0, 0, 0, 0x20, 1, 0, 0, 0]).unwrap();
    assert_eq!(decoder(&mut device, 9, 0x1110)[..2], [0x2000_0000, 1]);
}

#[test]
fn everything_else_is_the_devices() {
    let (mut device, fake) = june();
    assert_eq!(dword(&mut device, 9, 0x1000), 0x0211_0001);
    assert_eq!(dword(&mut device, 9, 0x1140), 0, "behind the last decoder");
    write(&mut device, 7, 0x3c, 0x5a);
    assert_eq!(fake.dword(7, 0x3c), 0x5a);
    assert_eq!(dword(&mut device, 7, 0x174), HOST_BASE as u32);
    let range = Span::new(Iova::new(0), 0x1000).unwrap();
    let file = Arc::new(tempfile::tempfile().unwrap());
    device.dma_map(range, &file, 0, DmaFlags::READ).unwrap();
    assert_eq!(fake.look(|state| state.dma.clone()), [range]);
    device.dma_unmap(range).unwrap();
    assert_eq!(fake.look(|state| state.dma.len()), 0);
    assert_eq!(device.irq_info(2).unwrap().count.get(), 8);
    assert_eq!(device.name(), "fake");
}

#[test]
fn a_region_that_is_the_decoders_shows_nothing_of_the_hardware_behind_the_last_one() {
    let fake = Fake::newest().with(|state| {
        let registers = state.regions.get_mut(&10).unwrap();
        registers.info.size = 0x50;
        registers.bytes.resize(0x50, 0x48);
    });
    let (mut device, region, hdm) = before(&fake);
    assert_eq!([0x30, 0x4c].map(|offset| dword(&mut device, region, hdm + offset)), [0, 0]);
}

#[test]
fn decoders_that_can_be_programmed_are_the_devices_own() {
    let fake = Fake::committed();
    let (mut device, region, hdm) = before(&fake);
    write(&mut device, region, hdm + 0x10, 0x3000_0000);
    assert_eq!(fake.dword(10, 0x120), 0x3000_0000);
}

#[test]
fn after_reset_the_decoders_are_as_they_were_found() {
    let (mut device, fake) = june();
    write(&mut device, 9, 0x1120, 0x2000_0000);
    write(&mut device, 9, 0x1130, 0x700);
    let next = fake.look(|state| state.calls.len()) + 1;
    let fake = fake.with(|state| state.fail_at = Some((next, Failure::Refused(Errno::EIO))));
    device.reset().unwrap_err();
    assert_eq!(decoder(&mut device, 9, 0x1110)[4], 0x700, "there was no reset");
    device.reset().unwrap();
    assert_eq!(decoder(&mut device, 9, 0x1110), [0, 0, 0x1000_0000, 0, 0x600]);
    assert_eq!(fake.look(|state| state.calls.last().copied()), Some(Call::Reset));
}

/// The drawing in words: a decoder as four states and what each takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Moving,
    Open,
    Committed,
    Locked,
}

#[derive(Clone, Copy, Debug)]
struct Model {
    phase: Phase,
    base: [u32; 2],
    size: [u32; 2],
    /// Granularity and ways, and whether a lock is asked for.
    low: u32,
}

impl Model {
    fn write(&mut self, offset: u64, value: u32) {
        let takes = matches!(self.phase, Phase::Moving | Phase::Open);
        match offset {
            0x10 if takes => self.base[0] = value & 0xf000_0000,
            0x14 if takes => self.base[1] = value,
            0x18 if takes => self.size[0] = value & 0xf000_0000,
            0x1c if takes => self.size[1] = value,
            0x20 if takes => {
                self.low = value & 0x1ff;
                self.phase = match (value & 0x200 != 0, value & 0x100 != 0) {
                    (true, true) => Phase::Locked,
                    (true, false) => Phase::Committed,
                    (false, _) => Phase::Open,
                };
            }
            0x20 if self.phase == Phase::Committed && value & 0x200 == 0 => self.phase = Phase::Open,
            _ => {}
        }
    }

    fn shown(&self) -> [u32; 5] {
        let committed = if self.phase == Phase::Open { 0 } else { 0x600 };
        [self.base[0], self.base[1], self.size[0], self.size[1], self.low | committed]
    }
}

proptest! {
    #[test]
    fn decoders_do_what_the_model_does(
        control in prop::sample::select(vec![0u32, 0x100, 0x600, 0x700]),
        steps in prop::collection::vec(
            (prop::sample::select(vec![0x10u64, 0x14, 0x18, 0x1c, 0x20]), any::<u32>(), any::<bool>()), 0..24)
    ) {
        let fake = Fake::june().with(|state| state.set(9, 0x1130, control));
        let (mut device, ..) = before(&fake);
        let committed = control & 0x400 != 0;
        let mut model = Model {
            phase: if committed { Phase::Moving } else { Phase::Open },
            base: [0, 0],
            size: [0x1000_0000, 0],
            low: if committed { 0 } else { control },
        };
        for (offset, value, commit) in steps {
            let value = if offset == 0x20 && commit { value | 0x200 } else { value };
            write(&mut device, 9, 0x1110 + offset, value);
            model.write(offset, value);
            prop_assert_eq!(decoder(&mut device, 9, 0x1110), model.shown(), "{:?}", model);
        }
    }
}
