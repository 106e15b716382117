//! What an access to a kernel's region of component registers moves, in the words of the kernels' own documents.

use cxl_spec::component::hdm;
use vfio_abi::errno::Errno;

/// The region of the component registers of the default device, as one kernel has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The kernel.
    pub(crate) abi: &'static str,
    /// Index of the region.
    pub(crate) region: u32,
    /// Its length.
    pub(crate) size: u64,
    /// Where in the component block it begins.
    pub(crate) origin: u64,
}

/// Where the capability array and the decoders of the default device are in its component block.
const ARRAY: u64 = 0x1000;
const HDM: u64 = 0x1110;

impl Shape {
    pub(crate) const ALL: [Self; 3] = [
        Self { abi: "v2", region: 10, size: 0x140, origin: 0x1000 },
        Self { abi: "v3", region: 9, size: 0x1_0000, origin: 0 },
        Self { abi: "next", region: 10, size: 0x30, origin: 0x1110 },
    ];

    /// How many bytes an access moves.
    pub(crate) fn moved(self, offset: u64, length: u64) -> Result<u64, Errno> {
        let cut = length.min(self.size.saturating_sub(offset));
        let is_aligned = offset.is_multiple_of(4);
        let is_taken = match self.abi {
            // At or behind the end: refused. Cut at the end, and exactly four bytes then.
            "v2" => offset < self.size && cut == 4 && is_aligned,
            // Whole dwords, all of them inside.
            "v3" => offset.saturating_add(length) <= self.size && is_aligned && length.is_multiple_of(4),
            // Cut at the end, and whole dwords then.
            _ => offset < self.size && is_aligned && cut.is_multiple_of(4),
        };
        if is_taken { Ok(cut) } else { Err(Errno::EINVAL) }
    }

    /// Checks what came of an access. An access of no bytes is none, wherever.
    pub(super) fn check(self, taken: Result<u64, Errno>, offset: u64, length: u64) {
        let expected = if length == 0 { Ok(0) } else { self.moved(offset, length) };
        assert_eq!(taken, expected, "{}: {length} bytes at {offset:#x}", self.abi);
    }

    /// The first offset at which there is something.
    pub(super) fn first(self) -> u64 {
        ARRAY.saturating_sub(self.origin)
    }

    /// The first offset behind the decoder.
    pub(super) fn last(self) -> u64 {
        HDM + hdm::length(1) - self.origin
    }

    /// Where decoder 0 is.
    pub(super) fn decoder(self) -> u64 {
        HDM + hdm::decoder_offset(0) - self.origin
    }

    /// How many dwords from the first are the array's: a header and two entries.
    pub(super) fn array_dwords(self) -> usize {
        if self.origin > ARRAY { 0 } else { 3 }
    }

    /// An offset near something, or at the end.
    pub(super) fn near(self, offset: u16) -> u64 {
        let inside = u64::from(offset & 0x1ff);
        if offset & 0x8000 == 0 { self.first() + inside } else { (self.size + inside).saturating_sub(0x100) }
    }
}
