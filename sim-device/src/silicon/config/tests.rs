use cxl_spec::register::Attribute;
use cxl_spec::register::Field;
use cxl_spec::register::Register;
use proptest::prelude::*;

use super::*;
use crate::profile::Profile;

fn space(text: &str) -> ConfigSpace {
    ConfigSpace::power_on(&Profile::parse("test", text).unwrap().check().unwrap())
}

fn access(offset: u64, width: Width) -> Access {
    Access::new(offset, width).unwrap()
}

fn dword(space: &ConfigSpace, offset: u64) -> u32 {
    space.read(access(offset, Width::Dword)) as u32
}

fn word(space: &ConfigSpace, offset: u64) -> u16 {
    space.read(access(offset, Width::Word)) as u16
}

fn write_word(space: &mut ConfigSpace, offset: u64, value: u16) -> Vec<Effect> {
    space.write(access(offset, Width::Word), value.into())
}

fn all(space: &ConfigSpace) -> Vec<u8> {
    (0..0x1000).map(|offset| space.read(access(offset, Width::Byte)) as u8).collect()
}

/// The whole configuration space of the default device, typed by hand; see the head of the file.
#[test]
fn the_default_device_reads_the_golden_bytes() {
    let golden = include_str!("golden.txt");
    let mut expected = vec![0; 0x1000];
    for line in golden.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (offset, bytes) = line.split_once(':').unwrap();
        let bytes = bytes.split('#').next().unwrap().split_whitespace();
        let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(bytes.len(), 16, "{line}");
        let offset = usize::from_str_radix(offset, 16).unwrap();
        expected[offset..offset + 16].copy_from_slice(&bytes);
    }
    let seen = all(&space(""));
    for (line, (seen, expected)) in seen.chunks(16).zip(expected.chunks(16)).enumerate() {
        assert_eq!(seen, expected, "at {:#x}", 16 * line);
    }
}

#[test]
fn the_function_sleeps_and_wakes_and_has_no_states_between() {
    let mut space = space("");
    for (written, state) in [(3, 3), (1, 3), (2, 3), (0, 0), (1, 0), (2, 0), (3, 3)] {
        write_word(&mut space, 0x94, written);
        assert_eq!((space.power_state().value(), word(&space, 0x94)), (state, 8 | u16::from(state)));
    }
}

#[test]
fn ats_takes_its_enable_and_its_unit() {
    let mut space = space("");
    write_word(&mut space, 0x226, 0xffff);
    assert_eq!(dword(&space, 0x224), 0x801f_0020);
    write_word(&mut space, 0x224, 0xffff);
    assert_eq!(dword(&space, 0x224), 0x801f_0020);
}

#[test]
fn the_serial_number_is_the_profiles() {
    let space = space("[ids]\nserial = \"0x0123_4567_89ab_cdef\"");
    assert_eq!((dword(&space, 0x214), dword(&space, 0x218)), (0x89ab_cdef, 0x0123_4567));
}

#[rstest::rstest]
#[case::shipped("", 0xc2df)]
#[case::without_cxl_reset("[dvsec]\ncxl_reset_capable = false", 0xc05f)]
#[case::ten_milliseconds("[dvsec]\ncxl_reset_timeout = 0", 0xc0df)]
#[case::clears("[dvsec]\nmem_clear_capable = true\ncxl_reset_timeout = 4", 0xccdf)]
fn the_capability_states_what_the_profile_chooses(#[case] text: &str, #[case] capability: u16) {
    assert_eq!(word(&space(text), 0x15a), capability);
}

#[test]
fn a_range_that_is_never_ready_is_neither_valid_nor_active() {
    let space = space("[faults]\nmedia_not_ready = true");
    for _ in 0..5 {
        assert_eq!(dword(&space, 0x16c), 0x1000_0048);
    }
}

#[test]
fn a_range_that_is_late_is_valid_after_so_many_reads_of_any_width() {
    let space = space("[faults]\nmemory_info_valid_late = 3");
    assert_eq!(dword(&space, 0x16c), 0x1000_0048);
    assert_eq!(space.read(access(0x16e, Width::Word)), 0x1000, "the other half does not count");
    assert_eq!(space.read(access(0x16c, Width::Byte)), 0x48);
    assert_eq!(word(&space, 0x16c), 0x0048);
    assert_eq!(dword(&space, 0x16c), 0x1000_004b);
}

#[test]
fn a_write_back_without_caching_disabled_makes_nothing_invalid() {
    let mut space = space("");
    write_word(&mut space, 0x160, 2);
    assert_eq!(dword(&space, 0x160), 0x8000_0000);
    write_word(&mut space, 0x160, 3);
    assert_eq!(dword(&space, 0x160), 0x8001_0001);
}

#[test]
fn a_late_range_stays_as_late_over_resets_of_the_function_and_is_late_again_after_others() {
    let text = "[faults]\nmemory_info_valid_late = 1";
    for (reset, seen) in [
        (Reset::FunctionLevel, 0x1000_004b),
        (Reset::Cxl, 0x1000_004b),
        (Reset::Conventional, 0x1000_0048),
        (Reset::Cold, 0x1000_0048),
    ] {
        let late = space(text);
        dword(&late, 0x16c);
        let after = late.reborn(space(text), reset, &Silicon::default());
        assert_eq!(dword(&after, 0x16c), seen, "{reset:?}");
    }
}

#[test]
fn the_pointer_of_aer_stays_at_the_first_error() {
    let mut space = space("");
    let aer = space.registers_mut(Kind::Aer).unwrap();
    // Nothing is masked; a malformed packet, bit 18, came first.
    aer.set(0x08, 0u32);
    aer.set(0x04, 0x4_0000u32);
    aer.set(0x18, 18u32);
    space.internal_error(Severity::Fatal);
    assert_eq!((dword(&space, 0x104), dword(&space, 0x118)), (0x44_0000, 18));
}

#[test]
fn a_cxl_reset_that_begins_clears_how_the_last_one_ended() {
    for ended in [0x8002u16, 0x8004] {
        let mut space = space("");
        space.registers_mut(Kind::DeviceDvsec).unwrap().set(0x12, ended);
        assert_eq!(write_word(&mut space, 0x160, 4), [Effect::CxlReset]);
        assert_eq!(word(&space, 0x162), 0x8000, "nobody has carried it out yet");
    }
}

/// Every register of the space: where it is, and what part it belongs to.
fn registers(space: &ConfigSpace) -> Vec<(Kind, u64, Register)> {
    let of = |part: &Part| -> Vec<_> {
        part.registers
            .registers()
            .map(|register| (part.kind, part.offset + register.offset, register))
            .collect()
    };
    space.parts.iter().flat_map(of).collect()
}

/// The bits of a register whose attribute `is` one of these.
fn bits(register: Register, is: impl Fn(Attribute) -> bool) -> u64 {
    register
        .fields
        .iter()
        .filter(|field| is(field.attribute))
        .map(Field::mask)
        .fold(0, |all, mask| all | mask)
}

fn is_fixed(attribute: Attribute) -> bool {
    use Attribute as A;
    matches!(attribute, A::HwInit | A::RsvdP | A::RsvdZ)
}

fn is_sticky(attribute: Attribute) -> bool {
    matches!(attribute, Attribute::Ros | Attribute::Rws | Attribute::Rw1cs)
}

fn get(space: &ConfigSpace, (_, offset, register): (Kind, u64, Register)) -> u64 {
    Access::split(offset, register.width.bytes(), Width::Dword)
        .fold(0, |all, piece| all | space.read(piece) << (8 * (piece.offset() - offset)))
}

/// Reserved bits of a register, those in no field included, read 0 whatever is written; fixed ones never change.
/// Then every kind of reset gives each bit what its attribute says.
#[test]
fn every_register_obeys_its_attributes_when_ones_and_zeros_are_written() {
    for value in [0, u64::MAX, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa] {
        let fresh = space("");
        let mut space = space("");
        for (_, offset, register) in registers(&fresh) {
            for piece in Access::split(offset, register.width.bytes(), Width::Dword) {
                space.write(piece, value);
            }
        }
        for line in registers(&fresh) {
            let (kind, offset, register) = line;
            let (was, is) = (get(&fresh, line), get(&space, line));
            let named = bits(register, |_| true);
            assert_eq!(is & !named, 0, "{kind:?} {offset:#x}: reserved bits");
            assert_eq!((is ^ was) & bits(register, is_fixed), 0, "{kind:?} {offset:#x}: fixed bits");
            let cleared = bits(register, |attribute| matches!(attribute, Attribute::Rw1c | Attribute::Rw1cs));
            assert_eq!(is & !was & cleared, 0, "{kind:?} {offset:#x}: bits that only clear");
        }
    }
}

/// The fates again, by hand and for bits: what of `old` is still there after a reset.
fn kept(kind: Kind, register: Register, reset: Reset) -> u64 {
    let whole = register.width.mask();
    let cxl = matches!(kind, Kind::DeviceDvsec | Kind::GpfDvsec | Kind::FlexBusDvsec)
        || matches!(kind, Kind::RegisterLocatorDvsec | Kind::FunctionMapDvsec);
    let control_2 = kind == Kind::DeviceDvsec && register.offset == 0x10;
    let link = match (kind, register.offset) {
        (Kind::Express, 0x08) => 0x00e0,
        (Kind::Express, 0x10) => 0x0043,
        _ => 0,
    };
    match reset {
        Reset::Cold => 0,
        Reset::FunctionLevel if cxl => whole,
        Reset::Cxl if cxl && !control_2 => whole,
        Reset::FunctionLevel | Reset::Cxl => bits(register, is_sticky) | link,
        Reset::Conventional => bits(register, is_sticky),
    }
}

proptest! {
    #[test]
    fn every_reset_of_any_state_gives_what_the_table_says(seed: u64, which in 0usize..4, software: bool) {
        let reset = Reset::ALL[which];
        let fresh = space("");
        let mut space = space("");
        // Any state: what software can write, or what hardware could have put there.
        let mut noise = seed;
        for (index, part) in space.parts.clone().iter().enumerate() {
            for register in part.registers.registers().filter(|_| part.kind != Kind::Doe) {
                noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let value = (noise >> 16) & bits(register, |attribute| software || !is_fixed(attribute));
                if !software {
                    let fixed = part.registers.get(register.offset) & bits(register, is_fixed);
                    space.parts[index].registers.set(register.offset, value | fixed);
                } else {
                    for piece in Access::split(register.offset, register.width.bytes(), Width::Dword) {
                        let absolute = access(part.offset + piece.offset(), piece.width());
                        space.write(absolute, value >> (8 * (piece.offset() - register.offset)));
                    }
                }
            }
        }
        let old = space.clone();
        let after = space.reborn(fresh.clone(), reset, &Silicon::default());
        for line in registers(&fresh) {
            let (kind, offset, register) = line;
            let kept = kept(kind, register, reset);
            let mut expected = (get(&old, line) & kept) | (get(&fresh, line) & !kept);
            if kind == Kind::DeviceDvsec && register.offset == 0x12 {
                // Cache_Invalid follows Disable_Caching of control 2, which has a fate of its own.
                let disabled = after.device_dvsec(0x10) & 1;
                expected = (expected & !1) | u64::from(disabled);
            }
            prop_assert_eq!(get(&after, line), expected, "{:?} {:?} {:#x}", reset, kind, offset);
        }
    }

    #[test]
    fn bytes_words_and_dwords_of_the_same_value_do_the_same(value: u32, at in 0u64..0x98) {
        // The mailboxes take whole dwords only, and what starts something goes by the register.
        let offset = 4 * at;
        let split = (0x230..0x248).contains(&offset) || [0x94, 0x160].contains(&offset);
        let results = [Width::Byte, Width::Word, Width::Dword].map(|width| {
            let mut space = space("");
            for piece in Access::split(offset, 4, width) {
                space.write(piece, u64::from(value) >> (8 * (piece.offset() - offset)));
            }
            all(&space)
        });
        if !split {
            prop_assert_eq!(&results[0], &results[2]);
            prop_assert_eq!(&results[1], &results[2]);
        }
    }
}
