//! CEDT: the CXL host bridges and the fixed memory windows. Its layouts are the register reference's, 5.1.
//!
//! ```text
//!  CHBS, 32 bytes                         CFMWS, 36 bytes and 4 for each target
//!   0  type 0, 0, length                   0  type 1, 0, length
//!   4  unique ID                           4  0
//!   8  version                             8  base
//!  12  0                                  16  size
//!  16  base of the component registers    24  ways, arithmetic, 0, granularity
//!  24  their length                       32  restrictions, QTG
//!                                         36  unique ID of the target
//! ```

use acpi_tables::AmlSink;

use super::sealed::sealed;
use super::system::BridgeKind;
use super::system::CHBCR_SIZE;
use super::system::Coherency;
use super::system::FixedWindow;
use super::system::System;

const REVISION: u8 = 1;

/// A host bridge.
const CHBS: u8 = 0;

const CHBS_SIZE: u16 = 32;

/// The host bridge is one of CXL 2.0 or newer.
const CXL_2_0: u32 = 1;

/// A fixed memory window.
const CFMWS: u8 = 1;

/// With one target.
const CFMWS_SIZE: u16 = 40;

/// Restriction: the memory is coherent by the device.
const DEVICE_COHERENT: u16 = 1 << 0;

/// Restriction: the memory is volatile.
const VOLATILE: u16 = 1 << 2;

/// Restriction: what is decoded here already must stay.
const FIXED: u16 = 1 << 4;

/// Restriction: the device asks by back-invalidation.
const BACK_INVALIDATE: u16 = 1 << 5;

/// The table.
pub(super) fn table(system: &System) -> Vec<u8> {
    let mut body = Vec::new();
    for bridge in &system.bridges {
        if let BridgeKind::Cxl { registers, .. } = bridge.kind {
            chbs(&mut body, bridge.uid(), registers.get());
        }
    }
    system.windows.iter().for_each(|window| cfmws(&mut body, window));
    sealed(*b"CEDT", REVISION, &body)
}

fn chbs(body: &mut Vec<u8>, uid: u32, registers: u64) {
    body.vec(&[CHBS, 0]);
    body.word(CHBS_SIZE);
    body.dword(uid);
    body.dword(CXL_2_0);
    body.dword(0);
    body.qword(registers);
    body.qword(CHBCR_SIZE);
}

/// One way, so the code of ways, the arithmetic and the granularity are 0.
fn cfmws(body: &mut Vec<u8>, window: &FixedWindow) {
    body.vec(&[CFMWS, 0]);
    body.word(CFMWS_SIZE);
    body.dword(0);
    body.qword(window.span.start().get());
    body.qword(window.span.size());
    body.vec(&[0; 8]);
    body.word(restrictions(window));
    body.word(0);
    body.dword(window.target.into());
}

fn restrictions(window: &FixedWindow) -> u16 {
    let coherency = match window.coherency {
        Coherency::HdmD => DEVICE_COHERENT,
        Coherency::HdmDb => DEVICE_COHERENT | BACK_INVALIDATE,
    };
    coherency | VOLATILE | if window.fixed { FIXED } else { 0 }
}
