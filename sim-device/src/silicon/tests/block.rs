use cxl_spec::component::back_invalidate;
use cxl_spec::component::ras;
use cxl_spec::register::Attribute;
use cxl_spec::register::Field;
use cxl_spec::register::Register;

use super::*;

const TEXT: &str = "[decoder]\ncount = 2\npoison_on_decode_error = true\n[memory]\ncoherency = \"hdm-db\"\n\
                    [firmware]\ncommitted = false";

/// A capability's place in the component BAR and its table.
type Placed = (u64, &'static [Register]);

/// Every capability of the block, from the tables of the specification.
const TABLES: [Placed; 5] = [
    (ARRAY + 0x80, ras::REGISTERS),
    (ARRAY + 0xe0, back_invalidate::REGISTERS),
    (HDM, hdm::HEADER),
    (DECODER, hdm::DECODER),
    (DECODER + hdm::DECODER_SIZE, hdm::DECODER),
];

/// Every dword register: its offset in the BAR and its fields.
fn registers() -> impl Iterator<Item = (u64, Register)> {
    let absolute =
        |(place, table): Placed| table.iter().map(move |register| (place + register.offset, *register));
    TABLES.into_iter().flat_map(absolute).filter(|(_, register)| register.width == Width::Dword)
}

fn bits(register: Register, attributes: &[Attribute]) -> u32 {
    let fields = register.fields.iter().filter(|field| attributes.contains(&field.attribute));
    fields.map(Field::mask).fold(0, |all, mask| all | mask as u32)
}

const READ_ONLY: [Attribute; 3] = [Attribute::HwInit, Attribute::Ro, Attribute::Ros];

#[test]
fn bits_without_a_name_read_zero_and_fixed_bits_stay_whatever_is_written() {
    for value in [0, 0xffff_fdff, 0x5555_5555, 0xaaaa_a8aa] {
        let (fresh, mut used) = (silicon(TEXT), silicon(TEXT));
        for (offset, _) in registers() {
            // The commit bit is left out: what follows from it is the decoders' own test.
            write_bar2(&mut used, offset, value);
        }
        for (offset, register) in registers() {
            let (was, is) = (bar2(&fresh, offset), bar2(&used, offset));
            let named = register.fields.iter().map(Field::mask).fold(0, |all, mask| all | mask as u32);
            assert_eq!(is & !named, 0, "{offset:#x}");
            assert_eq!((is ^ was) & bits(register, &READ_ONLY), 0, "{offset:#x}");
            assert_eq!(is & bits(register, &[Attribute::RsvdZ, Attribute::RsvdP]), 0, "{offset:#x}");
            let written = bits(register, &[Attribute::Rw, Attribute::Rws, Attribute::Rwl]);
            assert_eq!((is ^ value) & written, 0, "{offset:#x}");
        }
    }
}

#[test]
fn every_dword_after_every_reset_is_what_its_domain_and_attribute_say() {
    for reset in Reset::ALL {
        let (fresh, mut used) = (silicon(TEXT), silicon(TEXT));
        for (offset, _) in registers() {
            write_bar2(&mut used, offset, 0x5a5a_585a);
        }
        let before: Vec<u32> = registers().map(|(offset, _)| bar2(&used, offset)).collect();
        used.reset(reset);
        for ((offset, register), before) in registers().zip(before) {
            let sticky = bits(register, &[Attribute::Ros, Attribute::Rws, Attribute::Rw1cs]);
            let kept = match reset {
                Reset::FunctionLevel => u32::MAX,
                Reset::Cxl | Reset::Conventional => sticky,
                Reset::Cold => 0,
            };
            let expected = (before & kept) | (bar2(&fresh, offset) & !kept);
            assert_eq!(bar2(&used, offset), expected, "{reset:?} {offset:#x}");
        }
    }
}

proptest! {
    #[test]
    fn a_qword_does_what_its_two_dwords_do(at in 0u64..0x40, value: u64, first: u32) {
        let offset = ARRAY + 0x80 + 8 * at;
        let (mut whole, mut halves) = (silicon(TEXT), silicon(TEXT));
        for silicon in [&mut whole, &mut halves] {
            write_bar2(silicon, offset, first);
        }
        let effects = whole.bar_write(2, access(offset, Width::Qword), value);
        let mut pieces = write_bar2(&mut halves, offset, value as u32);
        pieces.extend(write_bar2(&mut halves, offset + 4, (value >> 32) as u32));
        prop_assert_eq!(effects, pieces);
        for at in (0..0x400).step_by(4) {
            prop_assert_eq!(bar2(&whole, ARRAY + at), bar2(&halves, ARRAY + at), "{:#x}", at);
        }
    }
}
