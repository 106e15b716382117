//! GTDT: the timers of aarch64 processors, which are reached by system registers alone.

use acpi_tables::AmlSink;

use super::sealed::sealed;
use super::system::Timer;

const REVISION: u8 = 3;

/// There is no block of registers in memory.
const NO_BLOCK: u64 = u64::MAX;

/// The interrupt is level-triggered and active high.
const LEVEL: u32 = 0;

/// The timer never loses its state while a processor is idle.
const ALWAYS_ON: u32 = 1 << 2;

/// The table.
pub(super) fn table(timer: &Timer) -> Vec<u8> {
    let mut body = Vec::new();
    body.qword(NO_BLOCK);
    body.dword(0);
    for (interrupt, flags) in [
        (timer.secure_el1, LEVEL),
        (timer.non_secure_el1, LEVEL | ALWAYS_ON),
        (timer.virtual_el1, LEVEL),
        (timer.non_secure_el2, LEVEL),
    ] {
        body.dword(interrupt);
        body.dword(flags);
    }
    body.qword(NO_BLOCK);
    // No timers of the platform, and no virtual EL2 timer.
    body.vec(&[0; 16]);
    sealed(*b"GTDT", REVISION, &body)
}
