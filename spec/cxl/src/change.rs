//! What of a register is another value than before, in words: `COMMIT 0→1, COMMITTED 0→1`.

use core::fmt;

use crate::register::Attribute;
use crate::register::Field;

/// A register that is written, or read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Its fields.
    pub fields: &'a [Field],
    /// What it was, if that is known.
    pub before: Option<u64>,
    /// What it is.
    pub after: u64,
}

impl fmt::Display for Change<'_> {
    /// The fields that are another value; where it is not known what they were, those that are not 0.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let was = |field: &Field| self.before.map(|before| field.of(before));
        let is_told = |field: &&Field| was(field).unwrap_or(0) != field.of(self.after);
        for (index, field) in self.fields.iter().filter(is_told).enumerate() {
            out.write_str(if index == 0 { "" } else { ", " })?;
            spelt(out, field.name)?;
            out.write_str(" ")?;
            if let Some(was) = was(field) {
                value(out, field, was)?;
                out.write_str("→")?;
            }
            value(out, field, field.of(self.after))?;
        }
        Ok(())
    }
}

/// A field's name as the specifications print names of bits.
fn spelt(out: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    name.chars().try_for_each(|letter| write!(out, "{}", letter.to_ascii_uppercase()))
}

/// A bit as 0 or 1, and more of them in hex.
fn value(out: &mut fmt::Formatter<'_>, field: &Field, value: u64) -> fmt::Result {
    if field.high == field.low { write!(out, "{value}") } else { write!(out, "{value:#x}") }
}

/// What a register with these fields is expected to be when `data` has been written to the bits of `mask`, and it was
/// `before`. What only hardware sets stays, and what a lock or a rule of the block forbids shows when it is read.
pub fn written(fields: &[Field], before: u64, mask: u64, data: u64) -> u64 {
    fields.iter().fold(before, |value, field| {
        let bits = field.mask() & mask;
        match field.attribute {
            Attribute::Rw | Attribute::Rws | Attribute::Rwl => value & !bits | data & bits,
            Attribute::Rw1c | Attribute::Rw1cs => value & !(data & bits),
            Attribute::Rwo => value | data & bits,
            Attribute::HwInit | Attribute::Ro | Attribute::Ros | Attribute::RsvdP | Attribute::RsvdZ => value,
        }
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;
    use crate::component::hdm::BaseHigh;
    use crate::component::hdm::Control;

    const CONTROL: &[Field] = Control::FIELDS;

    #[test]
    fn a_decoder_that_is_committed_and_locked_is_told_by_the_bits_that_change() {
        let change = |before, after| Change { fields: CONTROL, before: Some(before), after }.to_string();
        assert_eq!(change(0x000, 0x600), "COMMIT 0→1, COMMITTED 0→1");
        assert_eq!(change(0x700, 0x000), "LOCK_ON_COMMIT 1→0, COMMIT 1→0, COMMITTED 1→0");
        assert_eq!(change(0x012, 0x020), "INTERLEAVE_GRANULARITY 0x2→0x0, INTERLEAVE_WAYS 0x1→0x2");
        assert_eq!(change(0x600, 0x600), "");
    }

    #[test]
    fn what_was_not_known_before_is_told_where_it_is_not_0() {
        let change = |fields, after| Change { fields, before: None, after }.to_string();
        assert_eq!(change(CONTROL, 0x600), "COMMIT 1, COMMITTED 1");
        assert_eq!(change(BaseHigh::FIELDS, 0x12), "BASE 0x12");
        assert_eq!(change(CONTROL, 0), "");
    }

    #[test]
    fn a_bit_that_only_hardware_sets_is_not_set_by_a_write_and_one_that_1_clears_is_cleared() {
        assert_eq!(written(CONTROL, 0x000, u64::MAX, 0x700), 0x300);
        assert_eq!(written(CONTROL, 0x600, u64::MAX, 0x000), 0x400);
        assert_eq!(written(CONTROL, 0x700, 0xff, 0xffff_ff21), 0x721);
        let field = |attribute| [Field { name: "errors", high: 3, low: 0, attribute }];
        assert_eq!(written(&field(Attribute::Rw1c), 0xf, u64::MAX, 0x5), 0xa);
        assert_eq!(written(&field(Attribute::Rwo), 0x1, u64::MAX, 0x4), 0x5);
        assert_eq!(written(&field(Attribute::RsvdZ), 0x0, u64::MAX, 0xf), 0x0);
    }
}
