//! What Kani can prove of masks, accesses and spans: the same as the tests of boundary values, for all values.
//!
//! They are compiled by `cargo ci kani`, and carried out only where Kani is installed: `cargo kani -p cxl-spec`.

use arbitrary_int::u4;

use crate::access::Access;
use crate::access::Width;
use crate::address::Address;
use crate::address::Gpa;
use crate::address::Span;
use crate::component::hdm::Control;
use crate::register::bits;

fn any_width() -> Width {
    let index: u8 = kani::any();
    match index % 4 {
        0 => Width::Byte,
        1 => Width::Word,
        2 => Width::Dword,
        _ => Width::Qword,
    }
}

fn any_span() -> Option<Span<Gpa>> {
    Span::new(Gpa::new(kani::any()), kani::any())
}

/// A bit is in a mask if it is not below the lowest and not above the highest.
#[kani::proof]
fn a_mask_has_the_bits_between_its_ends_and_no_others() {
    let (high, low, bit): (u32, u32, u32) = (kani::any(), kani::any(), kani::any());
    kani::assume(low <= high && high < 64 && bit < 64);
    assert_eq!((bits(high, low) >> bit) & 1 == 1, low <= bit && bit <= high);
}

/// A setter and a getter of the middle of a register: what is put in comes out, and nothing else moves.
#[kani::proof]
fn a_setter_replaces_its_bits_and_no_others() {
    let (raw, value): (u32, u8) = (kani::any(), kani::any());
    kani::assume(value < 16);
    let set = Control::new(raw).with_interleave_ways(u4::new(value));
    assert_eq!(set.interleave_ways(), u4::new(value));
    assert_eq!((set.raw() ^ raw) & !0xf0, 0);
}

/// A width's mask has eight bits for each of its bytes.
#[kani::proof]
fn the_mask_of_a_width_has_its_bytes() {
    let width = any_width();
    assert_eq!(u64::from(width.mask().count_ones()), 8 * width.bytes());
    assert_eq!(Width::of(width.bytes()), Some(width));
}

/// An access that exists is aligned, and one that is not aligned does not exist.
#[kani::proof]
fn an_access_is_aligned() {
    let (offset, width) = (kani::any(), any_width());
    assert_eq!(Access::new(offset, width).is_some(), offset % width.bytes() == 0);
}

/// The pieces of a transfer follow each other without gap and are as long as it, if they pass no end.
#[kani::proof]
#[kani::unwind(18)]
fn the_pieces_of_a_transfer_are_the_transfer() {
    let (offset, length): (u64, u64) = (kani::any(), kani::any());
    kani::assume(length <= 16 && offset <= u64::MAX - 16);
    let mut next = offset;
    for piece in Access::split(offset, length, any_width()) {
        assert_eq!(piece.offset(), next);
        next = piece.end();
    }
    assert_eq!(next, offset + length);
}

/// A span exists if it is not empty and the address behind it has a number.
#[kani::proof]
fn a_span_is_not_empty_and_has_an_end() {
    let (start, size): (u64, u64) = (kani::any(), kani::any());
    let fits = size > 0 && start.checked_add(size).is_some();
    let span = Span::new(Gpa::new(start), size);
    assert_eq!(span.is_some(), fits);
    if let Some(span) = span {
        assert_eq!(span.end().get().checked_sub(start), Some(size));
    }
}

/// Two spans overlap if and only if the later of the two starts is in both.
#[kani::proof]
fn spans_overlap_where_the_later_start_is_in_both() {
    if let (Some(one), Some(other)) = (any_span(), any_span()) {
        let later = one.start().max(other.start());
        let common = one.contains(later) && other.contains(later);
        assert_eq!(one.overlaps(other), common);
        assert_eq!(other.overlaps(one), common);
        let address = Gpa::new(kani::any());
        assert!(common || !(one.contains(address) && other.contains(address)));
    }
}

/// What a span covers, it contains from the first byte to the last; the offset of each is counted from its start.
#[kani::proof]
fn a_covered_run_is_contained() {
    if let (Some(span), Some(run)) = (any_span(), any_span()) {
        let last = Gpa::at(run.end().get() - 1);
        let contained = span.contains(run.start()) && span.contains(last);
        assert_eq!(span.covers(run.start(), run.size()), contained);
        let offset = span.offset_of(run.start());
        assert_eq!(offset.is_some(), span.contains(run.start()));
        assert!(offset.is_none_or(|offset| span.start().checked_add(offset) == Some(run.start())));
    }
}
