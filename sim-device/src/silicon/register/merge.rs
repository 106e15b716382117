//! The mask arithmetic: what a register reads after software wrote to it.

use cxl_spec::register::Attribute;
use cxl_spec::register::Field;

/// What software wrote: a value, and the bits that it reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// The value, in place.
    pub(super) value: u64,
    /// The bits of the register that the write reaches.
    pub(super) enabled: u64,
}

/// What a register with these fields reads after `written`. Bits in no field are reserved and read 0.
pub(super) fn merge(fields: &[Field], before: u64, written: Written, locked: bool) -> u64 {
    let field = |field: &Field| field.mask() & after(field.attribute, before, written, locked);
    fields.iter().map(field).fold(0, |all, bits| all | bits)
}

/// What a register all of whose bits have this attribute reads after `written`.
fn after(attribute: Attribute, before: u64, written: Written, locked: bool) -> u64 {
    let Written { value, enabled } = written;
    let taken = (before & !enabled) | (value & enabled);
    match attribute {
        Attribute::Rw | Attribute::Rws => taken,
        Attribute::Rwl if !locked => taken,
        Attribute::Rw1c | Attribute::Rw1cs => before & !(value & enabled),
        Attribute::Rwo => before | (value & enabled),
        Attribute::Rwl | Attribute::HwInit | Attribute::Ro | Attribute::Ros | Attribute::RsvdP => before,
        Attribute::RsvdZ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The truth of one bit: what it was, whether the write reaches it, what is written, whether it is locked.
    fn bit(attribute: Attribute, was: bool, reached: bool, written: bool, locked: bool) -> bool {
        let written = Written { value: u64::from(written), enabled: u64::from(reached) };
        after(attribute, u64::from(was), written, locked) & 1 == 1
    }

    /// All sixteen cases of one attribute, as `(was, reached, written, locked)`.
    fn cases() -> impl Iterator<Item = (bool, bool, bool, bool)> {
        (0..16).map(|n| (n & 1 != 0, n & 2 != 0, n & 4 != 0, n & 8 != 0))
    }

    #[rstest]
    #[case(Attribute::HwInit)]
    #[case(Attribute::Ro)]
    #[case(Attribute::Ros)]
    #[case(Attribute::RsvdP)]
    fn a_read_only_bit_never_changes(#[case] attribute: Attribute) {
        for (was, reached, written, locked) in cases() {
            assert_eq!(bit(attribute, was, reached, written, locked), was);
        }
    }

    #[rstest]
    #[case(Attribute::Rw)]
    #[case(Attribute::Rws)]
    fn a_writable_bit_is_what_was_written_where_the_write_reaches(#[case] attribute: Attribute) {
        for (was, reached, written, locked) in cases() {
            let expected = if reached { written } else { was };
            assert_eq!(bit(attribute, was, reached, written, locked), expected);
        }
    }

    #[test]
    fn a_lockable_bit_is_writable_until_it_is_locked() {
        for (was, reached, written, locked) in cases() {
            let expected = if reached && !locked { written } else { was };
            assert_eq!(bit(Attribute::Rwl, was, reached, written, locked), expected);
        }
    }

    #[rstest]
    #[case(Attribute::Rw1c)]
    #[case(Attribute::Rw1cs)]
    fn writing_one_clears_and_nothing_sets(#[case] attribute: Attribute) {
        for (was, reached, written, locked) in cases() {
            let expected = was && !(reached && written);
            assert_eq!(bit(attribute, was, reached, written, locked), expected);
        }
    }

    #[test]
    fn a_write_once_bit_is_set_by_one_and_never_cleared() {
        for (was, reached, written, locked) in cases() {
            let expected = was || (reached && written);
            assert_eq!(bit(Attribute::Rwo, was, reached, written, locked), expected);
        }
    }

    #[test]
    fn a_reserved_zero_bit_reads_zero() {
        for (was, reached, written, locked) in cases() {
            assert!(!bit(Attribute::RsvdZ, was, reached, written, locked));
        }
    }

    /// What one bit reads afterwards, told by cases and without masks.
    fn told(attribute: Attribute, was: bool, reached: bool, written: bool, locked: bool) -> bool {
        match (attribute, reached) {
            (Attribute::RsvdZ, _) => false,
            (_, false) => was,
            (Attribute::Rwl, true) if locked => was,
            (Attribute::Rw | Attribute::Rws | Attribute::Rwl, true) => written,
            (Attribute::Rw1c | Attribute::Rw1cs, true) => was && !written,
            (Attribute::Rwo, true) => was || written,
            (Attribute::HwInit | Attribute::Ro | Attribute::Ros | Attribute::RsvdP, true) => was,
        }
    }

    /// All that a byte can be before, all that can be written, in every lane, reached or not, locked or not.
    #[rstest]
    fn every_byte_over_every_byte_is_the_truth_of_its_bits_in_every_lane(
        #[values(
            Attribute::HwInit,
            Attribute::Ro,
            Attribute::Ros,
            Attribute::Rw,
            Attribute::Rws,
            Attribute::Rw1c,
            Attribute::Rw1cs,
            Attribute::Rwl,
            Attribute::Rwo,
            Attribute::RsvdP,
            Attribute::RsvdZ
        )]
        attribute: Attribute,
        #[values(false, true)] reached: bool,
        #[values(false, true)] locked: bool,
    ) {
        let enabled = if reached { 0xff } else { 0 };
        for (was, byte) in (0..=0xffu64).flat_map(|was| (0..=0xffu64).map(move |byte| (was, byte))) {
            let one = |bit: u32| told(attribute, was >> bit & 1 == 1, reached, byte >> bit & 1 == 1, locked);
            let expected = (0..8).fold(0, |all, bit| all | u64::from(one(bit)) << bit);
            for lane in 0..8 {
                let fields = [Field { name: "lane", high: 8 * lane + 7, low: 8 * lane, attribute }];
                let written = Written { value: byte << (8 * lane), enabled: enabled << (8 * lane) };
                let after = merge(&fields, was << (8 * lane), written, locked);
                assert_eq!(after, expected << (8 * lane), "{was:#x} {byte:#x} {lane}");
            }
        }
    }

    /// A field that begins inside of a byte takes no bit of its neighbour, whatever reaches that byte.
    #[test]
    fn every_byte_over_every_byte_moves_only_the_field_it_is_of() {
        let attributes = [(Attribute::Rw, 3, 0), (Attribute::Rw1c, 6, 4)];
        let fields = attributes.map(|(attribute, high, low)| Field { name: "part", high, low, attribute });
        for (was, byte) in (0..=0xffu64).flat_map(|was| (0..=0xffu64).map(move |byte| (was, byte))) {
            let expected = (byte & 0xf) | (was & 0x70 & !byte);
            assert_eq!(merge(&fields, was, Written { value: byte, enabled: 0xff }, false), expected);
        }
    }

    #[test]
    fn bits_in_no_field_never_stick() {
        let fields = [Field { name: "low", high: 3, low: 0, attribute: Attribute::Rw }];
        let all = Written { value: u64::MAX, enabled: u64::MAX };
        assert_eq!(merge(&fields, 0, all, false), 0xf);
    }
}
