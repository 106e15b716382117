//! The component register block: 64 KiB in a BAR, found through the Register Locator DVSEC (CXL 3.2, 8.2.3).
//!
//! ```text
//! 0x0000  CXL.io registers: reserved, read 0
//! 0x1000  CXL.cache and CXL.mem: capability array, and the capabilities that it points to
//! 0x2000  implementation specific
//! 0xe000  ARB/MUX
//! 0xe400  reserved
//! ```

use crate::register::Register;

pub mod array;
pub mod back_invalidate;
pub mod extended_security;
pub mod hdm;
pub mod ras;

/// Length of the block in bytes, and its alignment in the BAR.
pub const BLOCK_SIZE: u64 = 0x1_0000;

/// Where the CXL.cache and CXL.mem registers begin in the block: the capability array is first.
pub const CACHEMEM_OFFSET: u64 = 0x1000;

/// Length of the primary range of CXL.cache and CXL.mem registers.
pub const CACHEMEM_SIZE: u64 = 0x1000;

/// The registers of a capability of a device's block; none where they are not described here. Of the HDM decoder
/// capability these are the ones before the first decoder: see [`hdm::DECODER`].
pub const fn registers(capability: u16) -> &'static [Register] {
    match capability {
        array::id::RAS => ras::REGISTERS,
        array::id::HDM_DECODER => hdm::HEADER,
        array::id::BACK_INVALIDATE => back_invalidate::REGISTERS,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_of_the_block_has_its_registers_and_an_unknown_one_none() {
        assert_eq!(registers(array::id::HDM_DECODER), hdm::HEADER);
        assert_eq!(registers(array::id::RAS), ras::REGISTERS);
        assert_eq!(registers(array::id::BACK_INVALIDATE), back_invalidate::REGISTERS);
        assert_eq!(registers(array::id::LINK), []);
    }
}
