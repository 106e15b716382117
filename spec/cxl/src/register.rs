//! What a register is: named fields with attributes; and what a block is: a table of registers.
//!
//! A register is declared once, with [`register!`](crate::register!), in the specification's own notation
//! (`high:low`). From that one declaration follow the typed view with getters and setters, the attribute masks
//! that a device obeys, and the names by which a trace is printed. A field is an integer bounded to its width
//! (`u4` for bits 3:0), so a value cannot be cut in silence.
//!
//! A block is a constant slice of [`Register`]s. [`is_sound`] refuses a table with gaps, overlaps or fields that
//! do not fit; every table here is checked by it while compiling.

use core::fmt;

use crate::access::Width;

/// What software may do with a field (PCIe 6.2, 7.4; CXL 3.2, 8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Set by hardware or firmware at power-on, read-only afterwards.
    HwInit,
    /// Read-only: writes have no effect.
    Ro,
    /// Read-only, kept over every reset but loss of power.
    Ros,
    /// Read and write.
    Rw,
    /// Read and write, kept over every reset but loss of power ("sticky").
    Rws,
    /// Writing 1 clears the bit.
    Rw1c,
    /// Writing 1 clears the bit; kept over every reset but loss of power.
    Rw1cs,
    /// Read and write until a lock makes it read-only. Which lock, the block says.
    Rwl,
    /// Writable once: a bit that was set stays set until a conventional reset.
    Rwo,
    /// Reserved and preserved: reads what it was.
    RsvdP,
    /// Reserved and zero: reads 0, and software writes 0.
    RsvdZ,
}

/// A named run of bits in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The specification's name in snake case.
    pub name: &'static str,
    /// The highest bit.
    pub high: u32,
    /// The lowest bit.
    pub low: u32,
    /// What software may do with it.
    pub attribute: Attribute,
}

impl Field {
    /// The bits of the field, in place.
    pub const fn mask(&self) -> u64 {
        bits(self.high, self.low)
    }

    /// The field's value in a register that reads `raw`.
    pub const fn of(&self, raw: u64) -> u64 {
        (raw & self.mask()) >> self.low
    }
}

/// A line of a block's table: a register at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Byte offset in the block.
    pub offset: u64,
    /// The specification's name.
    pub name: &'static str,
    /// How wide it is.
    pub width: Width,
    /// Its fields; bits in none of them are reserved and read 0.
    pub fields: &'static [Field],
}

impl Register {
    /// A register at `offset` all bits of which are reserved.
    pub const fn reserved(offset: u64, width: Width) -> Self {
        Self { offset, name: "reserved", width, fields: &[] }
    }

    /// The same register `bytes` further on, for blocks that repeat.
    pub const fn shifted(self, bytes: u64) -> Self {
        Self { offset: self.offset + bytes, ..self }
    }

    /// The first offset behind the register.
    pub const fn end(&self) -> u64 {
        self.offset + self.width.bytes()
    }
}

/// Whether `table` covers exactly `size` bytes, in order, without gap or overlap, with every register at its
/// natural alignment and every field inside its register and in no other field.
pub const fn is_sound(table: &[Register], size: u64) -> bool {
    let mut rest = table;
    let mut next = 0;
    while let [register, tail @ ..] = rest {
        let aligned = register.offset.is_multiple_of(register.width.bytes());
        if register.offset != next || !aligned || !fields_are_sound(register) {
            return false;
        }
        next = register.end();
        rest = tail;
    }
    next == size
}

const fn fields_are_sound(register: &Register) -> bool {
    let mut rest = register.fields;
    let mut seen = 0;
    while let [field, tail @ ..] = rest {
        if field.low > field.high || field.high > 63 {
            return false;
        }
        let mask = field.mask();
        if mask & seen != 0 || mask & !register.width.mask() != 0 {
            return false;
        }
        seen |= mask;
        rest = tail;
    }
    true
}

/// A field's value: `bool` for one bit, an integer of exactly the field's width for more.
pub trait Value {
    /// How many bits it takes.
    const BITS: u32;
    /// The value in the low [`BITS`](Self::BITS) bits of `bits`.
    fn from_bits(bits: u64) -> Self;
    /// The value as a number.
    fn into_bits(self) -> u64;
}

impl Value for bool {
    const BITS: u32 = 1;

    fn from_bits(bits: u64) -> Self {
        bits & 1 == 1
    }

    fn into_bits(self) -> u64 {
        u64::from(self)
    }
}

macro_rules! bounded_integers {
    ($($name:ident)*) => {
        $(
            impl Value for arbitrary_int::$name {
                const BITS: u32 = <Self as arbitrary_int::traits::Integer>::BITS as u32;

                fn from_bits(bits: u64) -> Self {
                    <Self as arbitrary_int::traits::Integer>::masked_new(bits)
                }

                fn into_bits(self) -> u64 {
                    u64::from(self)
                }
            }
        )*
    };
}

macro_rules! plain_integers {
    ($($name:ident)*) => {
        $(
            impl Value for $name {
                const BITS: u32 = $name::BITS;

                fn from_bits(bits: u64) -> Self {
                    bits as $name
                }

                fn into_bits(self) -> u64 {
                    u64::from(self)
                }
            }
        )*
    };
}

bounded_integers!(u2 u3 u4 u5 u6 u7 u10 u11 u12 u13 u18 u19 u20 u24 u28 u29 u30 u31);
plain_integers!(u8 u16 u32 u64);

/// Prints a register as its name and value.
#[doc(hidden)]
pub fn describe(out: &mut fmt::Formatter<'_>, name: &str, raw: u64, fields: &[Field]) -> fmt::Result {
    write!(out, "{name} ")?;
    describe_value(out, raw, fields)
}

/// Prints a register's value as its number and, in parentheses, the fields that are not 0.
///
/// # Errors
/// If `out` takes no more.
pub fn describe_value(out: &mut fmt::Formatter<'_>, raw: u64, fields: &[Field]) -> fmt::Result {
    write!(out, "{raw:#x}")?;
    let set = fields.iter().filter(|field| field.of(raw) != 0);
    let mut open = false;
    for field in set {
        let separator = if open { ", " } else { " (" };
        write!(out, "{separator}{} {:#x}", field.name, field.of(raw))?;
        open = true;
    }
    out.write_str(if open { ")" } else { "" })
}

/// Declares registers: a type each, with its fields in the specification's `high:low` notation.
///
/// ```
/// use arbitrary_int::u4;
///
/// cxl_spec::register! {
///     /// An example.
///     pub struct Example("Example Control"): u32 {
///         /// Four bits that software may write.
///         speed: u4 = 3:0, Rw;
///         /// One bit that only hardware sets.
///         done: bool = 8:8, Ro;
///     }
/// }
///
/// let register = Example::new(0x102);
/// assert_eq!(register.speed().value(), 2);
/// assert!(register.done());
/// assert_eq!(register.with_speed(u4::new(5)).raw(), 0x105);
/// ```
#[macro_export]
macro_rules! register {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($title:literal): $raw:ident {
            $( $(#[$about:meta])* $field:ident: $value:ty = $high:literal : $low:literal, $attribute:ident; )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        $vis struct $name($raw);

        #[allow(dead_code, reason = "a register type offers all its fields, read or not")]
        impl $name {
            /// The specification's name.
            $vis const NAME: &'static str = $title;
            /// The fields, as declared.
            $vis const FIELDS: &'static [$crate::register::Field] = &[
                $( $crate::register::Field {
                    name: stringify!($field),
                    high: $high,
                    low: $low,
                    attribute: $crate::register::Attribute::$attribute,
                } ),*
            ];
            /// The width of the register.
            $vis const WIDTH: $crate::access::Width = match $crate::access::Width::of(($raw::BITS / 8) as u64) {
                Some(width) => width,
                None => $crate::access::Width::Byte,
            };

            /// The register that reads `raw`.
            $vis const fn new(raw: $raw) -> Self {
                Self(raw)
            }

            /// The number that the register reads.
            $vis const fn raw(self) -> $raw {
                self.0
            }

            /// The line of a block's table that puts this register at `offset`.
            $vis const fn at(offset: u64) -> $crate::register::Register {
                $crate::register::Register {
                    offset,
                    name: Self::NAME,
                    width: Self::WIDTH,
                    fields: Self::FIELDS,
                }
            }

            $(
                $(#[$about])*
                $vis fn $field(self) -> $value {
                    <$value as $crate::register::Value>::from_bits((self.0 >> $low) as u64)
                }
            )*
        }

        $crate::register!(@setters $vis $name $raw $( $field: $value = $high : $low; )*);

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, out: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                $crate::register::describe(out, Self::NAME, self.0 as u64, Self::FIELDS)
            }
        }
    )* };
    (@setters $vis:vis $name:ident $raw:ident $( $field:ident: $value:ty = $high:literal : $low:literal; )*) => {
        $crate::register::paste! {
            #[allow(dead_code, reason = "a register type offers all its fields, written or not")]
            impl $name {
                $(
                    #[doc = concat!("The register with `", stringify!($field), "` replaced.")]
                    #[must_use]
                    $vis fn [<with_ $field>](self, value: $value) -> Self {
                        const { assert!(<$value as $crate::register::Value>::BITS == $high - $low + 1) };
                        let mask = const { $crate::register::bits($high, $low) } as $raw;
                        let bits = $crate::register::Value::into_bits(value) as $raw;
                        Self((self.0 & !mask) | (bits << $low))
                    }
                )*
            }
        }
    };
}

#[doc(hidden)]
pub use pastey::paste;

/// The bits from `low` to `high`, both included.
#[doc(hidden)]
pub const fn bits(high: u32, low: u32) -> u64 {
    (u64::MAX >> (63 - (high - low))) << low
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use arbitrary_int::u4;

    use super::*;

    register! {
        /// A register for these tests.
        struct Sample("Sample Control"): u32 {
            /// Four bits.
            ways: u4 = 7:4, Rwl;
            /// One bit.
            commit: bool = 9:9, Rw;
            /// The top half.
            high: u16 = 31:16, Ro;
        }
    }

    const FIELD_PAST_THE_WORD: &[Field] =
        &[Field { name: "far", high: 16, low: 12, attribute: Attribute::Rw }];
    const OVERLAPPING: &[Field] = &[
        Field { name: "a", high: 4, low: 0, attribute: Attribute::Rw },
        Field { name: "b", high: 4, low: 4, attribute: Attribute::Ro },
    ];

    fn register(offset: u64, width: Width, fields: &'static [Field]) -> Register {
        Register { offset, name: "test", width, fields }
    }

    #[test]
    fn a_getter_reads_its_bits_and_no_others() {
        let sample = Sample::new(0x1234_0250);
        assert_eq!((sample.ways(), sample.commit(), sample.high()), (u4::new(5), true, 0x1234));
    }

    #[test]
    fn a_setter_replaces_its_bits_and_no_others() {
        assert_eq!(Sample::new(u32::MAX).with_ways(u4::new(0)).raw(), 0xffff_ff0f);
        assert_eq!(Sample::new(0).with_high(0xabcd).with_commit(true).raw(), 0xabcd_0200);
    }

    #[test]
    fn the_declaration_is_the_table_line() {
        let line = Sample::at(0x20);
        assert_eq!((line.offset, line.name, line.width), (0x20, "Sample Control", Width::Dword));
        assert_eq!(
            line.fields.iter().map(Field::mask).collect::<std::vec::Vec<_>>(),
            [0xf0, 0x200, 0xffff_0000]
        );
    }

    #[test]
    fn a_register_prints_its_name_and_the_fields_that_are_set() {
        assert_eq!(format!("{:?}", Sample::new(0x250)), "Sample Control 0x250 (ways 0x5, commit 0x1)");
    }

    #[test]
    fn a_table_without_gaps_is_sound() {
        assert!(is_sound(&[Sample::at(0), Register::reserved(4, Width::Dword)], 8));
    }

    #[test]
    fn a_table_with_a_gap_is_not_sound() {
        assert!(!is_sound(&[Sample::at(0), Sample::at(8)], 12));
    }

    #[test]
    fn a_table_with_an_overlap_is_not_sound() {
        assert!(!is_sound(&[Sample::at(0), register(2, Width::Word, &[])], 4));
    }

    #[test]
    fn a_table_shorter_than_its_block_is_not_sound() {
        assert!(!is_sound(&[Sample::at(0)], 8));
    }

    #[test]
    fn an_unaligned_register_is_not_sound() {
        assert!(!is_sound(&[register(0, Width::Word, &[]), register(2, Width::Dword, &[])], 6));
    }

    #[test]
    fn a_field_outside_its_register_is_not_sound() {
        assert!(!is_sound(&[register(0, Width::Word, FIELD_PAST_THE_WORD)], 2));
        assert!(is_sound(&[register(0, Width::Dword, FIELD_PAST_THE_WORD)], 4));
    }

    #[test]
    fn fields_that_share_a_bit_are_not_sound() {
        assert!(!is_sound(&[register(0, Width::Dword, OVERLAPPING)], 4));
    }

    #[test]
    #[cfg(not(miri))]
    fn every_mask_has_the_bits_between_its_ends_and_no_others() {
        for (high, low) in (0..64).flat_map(|high| (0..=high).map(move |low| (high, low))) {
            let told = (low..=high).fold(0, |mask, bit| mask | 1u64 << bit);
            assert_eq!(bits(high, low), told, "{high}:{low}");
            let field = Field { name: "any", high, low, attribute: Attribute::Rw };
            assert_eq!(field.of(u64::MAX), u64::MAX >> (63 - (high - low)), "{high}:{low}");
            assert_eq!(field.of(!told), 0, "{high}:{low}");
        }
    }

    /// Every byte of a register with every value of each field, beside ones and zeros in the other bytes.
    #[test]
    #[cfg(not(miri))]
    fn every_value_of_a_field_comes_out_and_leaves_every_byte_beside_it() {
        for (byte, others) in (0..=0xffu32).flat_map(|byte| [(byte, 0), (byte, u32::MAX)]) {
            for at in [0, 8, 16, 24] {
                let raw = (others & !(0xff << at)) | byte << at;
                let before = Sample::new(raw);
                for value in (0..16).map(u4::new) {
                    let after = before.with_ways(value);
                    assert_eq!(after.raw(), (raw & 0xffff_ff0f) | u32::from(value) << 4);
                    assert_eq!(after.ways(), value);
                }
                for value in [false, true] {
                    let after = before.with_commit(value);
                    assert_eq!(after.raw(), (raw & 0xffff_fdff) | u32::from(value) << 9);
                    assert_eq!(after.commit(), value);
                }
                for value in (0..=0xff).map(|value| u16::from_le_bytes([value, byte as u8])) {
                    let after = before.with_high(value);
                    assert_eq!(after.raw(), (raw & 0xffff) | u32::from(value) << 16);
                    assert_eq!(after.high(), value);
                }
            }
        }
    }

    #[test]
    fn a_field_of_all_64_bits_has_all_bits_in_its_mask() {
        assert_eq!(bits(63, 0), u64::MAX);
        assert_eq!(bits(0, 0), 1);
    }
}
