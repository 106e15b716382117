//! SPCR: the serial console.

use acpi_tables::AmlSink;

use super::sealed::sealed;
use super::system::Platform;
use super::system::Uart;

const REVISION: u8 = 4;

/// What the DSDT calls the console.
const NAME: &[u8; 11] = b"\\_SB_.COM0\0";

/// Where the name is in the table.
const NAME_OFFSET: u16 = 88;

/// A register that is reached by a processor's loads and stores.
const MEMORY: u8 = 0;

/// A register that is an I/O port.
const PORT: u8 = 1;

/// What one architecture's console is.
struct Kind {
    interface: u8,
    space: u8,
    bits: u8,
    access: u8,
    interrupt: u8,
}

/// A 16550 whose interrupt goes to the I/O APIC.
const NS16550: Kind = Kind { interface: 0, space: PORT, bits: 8, access: 1, interrupt: 1 << 1 };

/// A PL011 whose interrupt goes to the GIC.
const PL011: Kind = Kind { interface: 3, space: MEMORY, bits: 32, access: 3, interrupt: 1 << 3 };

/// 115200 baud.
const BAUD_RATE: u8 = 7;

const ONE_STOP_BIT: u8 = 1;

/// A VT-UTF8 terminal.
const TERMINAL: u8 = 2;

/// There is no such PCI device.
const NO_PCI: u16 = 0xffff;

/// The table.
pub(super) fn table(platform: &Platform, uart: &Uart) -> Vec<u8> {
    let kind = match platform {
        Platform::X86_64 { .. } => NS16550,
        Platform::Aarch64 { .. } => PL011,
    };
    let mut body = Vec::new();
    body.vec(&[kind.interface, 0, 0, 0]);
    body.vec(&[kind.space, kind.bits, 0, kind.access]);
    body.qword(uart.at.get());
    body.vec(&[kind.interrupt, 0]);
    body.dword(uart.interrupt);
    body.vec(&[BAUD_RATE, 0, ONE_STOP_BIT, 0, TERMINAL, 0]);
    body.word(NO_PCI);
    body.word(NO_PCI);
    // No place in PCI, no clock to be divided, and the baud rate is said above.
    body.vec(&[0; 16]);
    body.word(NAME.len() as u16);
    body.word(NAME_OFFSET);
    body.vec(NAME);
    sealed(*b"SPCR", REVISION, &body)
}
