//! The extended security capability: whom a host bridge trusts, root port by root port (CXL 3.2, 8.2.4.21).

use arbitrary_int::u2;

use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// How many root ports the host bridge has.
    pub struct RootPorts("CXL Extended Security Structure Entry Count"): u32 {
        /// The number.
        count: u8 = 7:0, HwInit;
    }

    /// What is trusted of the device below a root port.
    pub struct Policy("Root Port Security Policy"): u32 {
        /// 0 trusted, 1 trusted for its own memory only, [`UNTRUSTED`] not at all.
        trust_level: u2 = 1:0, Rw;
    }

    /// Which root port the policy is for.
    pub struct PortId("Root Port ID"): u32 {
        /// The port number in its link capabilities.
        id: u8 = 7:0, HwInit;
    }
}

/// [`Policy::trust_level`] after reset.
pub const UNTRUSTED: u2 = u2::new(2);

/// Offset of the first root port's policy.
pub const POLICY: u64 = 0x04;

/// Offset of the first root port's number.
pub const PORT_ID: u64 = 0x08;

/// Length in bytes with one root port.
pub const SIZE_OF_ONE: u64 = 0x0c;

/// The registers of the capability with one root port.
pub const REGISTERS_OF_ONE: &[Register] = &[RootPorts::at(0), Policy::at(POLICY), PortId::at(PORT_ID)];

const _: () = assert!(is_sound(REGISTERS_OF_ONE, SIZE_OF_ONE));
