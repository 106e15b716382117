//! Whether a machine can be told in tables. What passes here is encoded without a way to fail.
//!
//! ```text
//!  System ─▶ check ─▶ Checked ─▶ tables
//!              └────▶ SystemError: a field, its value, what is wrong with it
//! ```

mod overlap;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use cxl_spec::address::Address;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::TABLES_SIZE;
use super::rsdp;
use super::system::Bridge;
use super::system::BridgeKind;
use super::system::CHBCR_SIZE;
use super::system::Distance;
use super::system::ECAM_BUS_SIZE;
use super::system::FixedWindow;
use super::system::GICD_SIZE;
use super::system::GICR_SIZE;
use super::system::Gic;
use super::system::IoWindow;
use super::system::Platform;
use super::system::Smmu;
use super::system::System;
use super::system::Timer;
use super::system::Uart;
use super::system::WINDOW_GRANULE;

/// How many processors there may be on x86-64: local APIC IDs are bytes, and the last means all of them.
const MOST_APICS: u64 = 255;

/// How many processors there may be on aarch64.
const MOST_GIC_CPUS: u64 = 512;

/// How many host bridges, windows, runs of RAM, runs of redistributors there may be. With the processors they
/// bound the length of the tables.
const MOST: u64 = 64;

/// The bits of an MPIDR that name a processor.
const MPIDR_AFFINITY: u64 = 0xff_00ff_ffff;

/// The interrupts that processors do not have to themselves (SPIs).
const SHARED: RangeInclusive<u32> = 32..=1019;

/// The private interrupts of a processor (PPIs).
const PRIVATE: RangeInclusive<u32> = 16..=31;

/// A machine that can be told in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked(System);

/// Why a machine cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// A field has a value that cannot be.
    #[error("{field} = {value:#x}: {why}")]
    Field {
        /// Which field.
        field: String,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two things are at one place.
    #[error("{field} {span} overlaps {other} {other_span}")]
    Overlap {
        /// The field of one of them.
        field: String,
        /// Where it is.
        span: Span<Gpa>,
        /// The field of the other, which begins no later.
        other: String,
        /// Where that is.
        other_span: Span<Gpa>,
    },
}

impl Checked {
    /// The machine.
    pub fn system(&self) -> &System {
        &self.0
    }
}

impl System {
    /// Checks the machine.
    ///
    /// # Errors
    /// If it cannot be told: the first field that is wrong.
    pub fn check(self) -> Result<Checked, SystemError> {
        self.processors()?;
        self.memory()?;
        self.platform()?;
        self.configuration_space()?;
        count("bridges", self.bridges.len(), 0..=MOST)?;
        for (index, bridge) in self.bridges.iter().enumerate() {
            self.bridge(&format!("bridges[{index}]"), bridge)?;
        }
        self.buses()?;
        count("windows", self.windows.len(), 0..=MOST)?;
        for (index, window) in self.windows.iter().enumerate() {
            self.window(&format!("windows[{index}]"), window)?;
        }
        self.uart.iter().try_for_each(|uart| self.uart(uart))?;
        distance("access.local", self.access.local)?;
        distance("access.remote", self.access.remote)?;
        overlap::check(&self)?;
        Ok(Checked(self))
    }

    fn processors(&self) -> Result<(), SystemError> {
        let (most, bits, why) = match self.platform {
            Platform::X86_64 { .. } => (MOST_APICS, 0xff, "must be a byte"),
            Platform::Aarch64 { .. } => (MOST_GIC_CPUS, MPIDR_AFFINITY, "must have affinity bits only"),
        };
        count("cpus", self.cpus.len(), 1..=most)?;
        let mut ids = BTreeSet::new();
        for (index, cpu) in self.cpus.iter().enumerate() {
            let field = || format!("cpus[{index}].id");
            require(cpu.id & !bits == 0, field, cpu.id, why)?;
            let is_all = matches!(self.platform, Platform::X86_64 { .. }) && cpu.id == 0xff;
            require(!is_all, field, cpu.id, "means all processors")?;
            require(ids.insert(cpu.id), field, cpu.id, "another processor has it")?;
        }
        Ok(())
    }

    fn memory(&self) -> Result<(), SystemError> {
        count("ram", self.ram.len(), 1..=MOST)?;
        aligned("tables", self.tables, 0x1000)?;
        let inside = self.ram.iter().any(|ram| ram.span.covers(self.tables, TABLES_SIZE));
        require(inside, || "tables".into(), self.tables.get(), "the tables must lie in RAM")?;
        self.root_pointer()
    }

    fn root_pointer(&self) -> Result<(), SystemError> {
        let root = || "root".to_owned();
        let at = self.root.get();
        require(at.is_multiple_of(16), root, at, "must be a multiple of 16")?;
        let inside = self.ram.iter().any(|ram| ram.span.covers(self.root, rsdp::SIZE));
        require(inside, root, at, "the root pointer must lie in RAM")?;
        let tables = Span::new(self.tables, TABLES_SIZE);
        let span = Span::new(self.root, rsdp::SIZE);
        let apart = !tables.zip(span).is_some_and(|(tables, span)| tables.overlaps(span));
        require(apart, root, at, "is among the other tables")
    }

    fn configuration_space(&self) -> Result<(), SystemError> {
        let buses = self.ecam.buses;
        let is_count = buses.is_power_of_two() && buses <= 256;
        let why = "must be a power of two, at most 256";
        require(is_count, || "ecam.buses".into(), buses.into(), why)?;
        placed("ecam.base", self.ecam.base, u64::from(buses) * ECAM_BUS_SIZE)
    }

    fn platform(&self) -> Result<(), SystemError> {
        match &self.platform {
            Platform::X86_64 { local_apic, io_apic } => {
                low("platform.local_apic", *local_apic, 0x1000)?;
                low("platform.io_apic.base", io_apic.base, 0x1000)
            }
            Platform::Aarch64 { gic, timer, smmus } => {
                self.gic(gic)?;
                timers(timer)?;
                self.smmus_fit(smmus)
            }
        }
    }

    fn gic(&self, gic: &Gic) -> Result<(), SystemError> {
        placed("platform.gic.distributor", gic.distributor, GICD_SIZE)?;
        placed("platform.gic.its", gic.its, 0x1_0000)?;
        count("platform.gic.redistributors", gic.redistributors.len(), 1..=MOST)?;
        let mut room = 0;
        for (index, span) in gic.redistributors.iter().enumerate() {
            let field = format!("platform.gic.redistributors[{index}]");
            aligned(&field, span.start(), 0x1_0000)?;
            let size = || format!("{field}.size");
            require(span.size() <= u32::MAX.into(), size, span.size(), "must be below 4 GiB")?;
            room += span.size() / GICR_SIZE;
        }
        let why = "there are more processors than this many redistributors";
        let enough = self.cpus.len() as u64 <= room;
        require(enough, || "platform.gic.redistributors".into(), room, why)
    }

    fn smmus_fit(&self, smmus: &[Smmu]) -> Result<(), SystemError> {
        let mut served = BTreeSet::new();
        let mut interrupts: BTreeSet<u32> = self.uart.iter().map(|uart| uart.interrupt).collect();
        for (index, smmu) in smmus.iter().enumerate() {
            let field = |name: &str| format!("platform.smmus[{index}].{name}");
            placed(&field("base"), smmu.base, 0x1_0000)?;
            let has_bridge = self.bridges.iter().any(|bridge| bridge.bus == smmu.bus);
            let bus = u64::from(smmu.bus);
            require(has_bridge, || field("bus"), bus, "no host bridge begins with this bus")?;
            require(served.insert(smmu.bus), || field("bus"), bus, "another SMMU serves it")?;
            for number in 0..4 {
                let interrupt = smmu.first_interrupt.saturating_add(number);
                let first = || field("first_interrupt");
                let why = "its four must be shared interrupts, 32 to 1019";
                require(SHARED.contains(&interrupt), first, smmu.first_interrupt.into(), why)?;
                let is_new = interrupts.insert(interrupt);
                require(is_new, first, smmu.first_interrupt.into(), "one of its four is taken")?;
            }
        }
        Ok(())
    }

    fn bridge(&self, field: &str, bridge: &Bridge) -> Result<(), SystemError> {
        let last = u64::from(bridge.last_bus);
        let last_bus = || format!("{field}.last_bus");
        require(bridge.bus <= bridge.last_bus, last_bus, last, "is before the first bus")?;
        let outside = "is outside configuration space";
        require(last < self.ecam.buses.into(), last_bus, last, outside)?;
        if let Some(span) = bridge.memory32 {
            placed(&format!("{field}.memory32"), span.start(), 0x1000)?;
            let why = "must lie below 4 GiB";
            require(span.end().get() <= 1 << 32, || format!("{field}.memory32"), span.start().get(), why)?;
        }
        if let Some(node) = bridge.node {
            let why = "has neither processors nor RAM";
            require(self.is_node(node), || format!("{field}.node"), node.into(), why)?;
        }
        bridge.io.iter().try_for_each(|io| self.io(field, io))?;
        match bridge.kind {
            BridgeKind::Pcie => Ok(()),
            BridgeKind::Cxl { registers, port } => {
                placed(&format!("{field}.registers"), registers, CHBCR_SIZE)?;
                let port_of =
                    |other: &&Bridge| matches!(other.kind, BridgeKind::Cxl { port: its, .. } if its == port);
                let alone = !self.is_node(port) && self.bridges.iter().filter(port_of).count() == 1;
                require(alone, || format!("{field}.port"), port.into(), "the domain must be its own")
            }
        }
    }

    fn is_node(&self, node: u32) -> bool {
        self.cpus.iter().any(|cpu| cpu.node == node) || self.ram.iter().any(|ram| ram.node == node)
    }

    fn io(&self, field: &str, io: &IoWindow) -> Result<(), SystemError> {
        let last = || format!("{field}.io.last");
        require(io.first <= io.last, last, io.last.into(), "is before the first port")?;
        let at = || format!("{field}.io.at");
        let length = u32::from(io.last - io.first);
        let fits = io.at >= io.first.into() && io.at.checked_add(length).is_some();
        require(fits, at, io.at.into(), "must be from the first port on and below 4 GiB")?;
        let is_itself = io.at == u32::from(io.first) || matches!(self.platform, Platform::Aarch64 { .. });
        require(is_itself, at, io.at.into(), "must be the first port on x86-64")
    }

    /// No two host bridges have a bus in common.
    fn buses(&self) -> Result<(), SystemError> {
        for (index, bridge) in self.bridges.iter().enumerate() {
            let before = self.bridges.iter().take(index);
            let mut shared = before.filter(|o| o.bus <= bridge.last_bus && bridge.bus <= o.last_bus);
            let field = || format!("bridges[{index}].bus");
            let why = "another host bridge has one of its buses";
            require(shared.next().is_none(), field, bridge.bus.into(), why)?;
        }
        Ok(())
    }

    fn window(&self, field: &str, window: &FixedWindow) -> Result<(), SystemError> {
        let FixedWindow { span, target, .. } = window;
        placed(&format!("{field}.base"), span.start(), WINDOW_GRANULE)?;
        let size = || format!("{field}.size");
        let is_multiple = span.size().is_multiple_of(WINDOW_GRANULE);
        require(is_multiple, size, span.size(), "must be a multiple of 256 MiB")?;
        let mut cxl = self.bridges.iter().filter(|bridge| bridge.is_cxl());
        let found = cxl.any(|bridge| bridge.bus == *target);
        let why = "no CXL host bridge has this unique ID";
        require(found, || format!("{field}.target"), (*target).into(), why)
    }

    fn uart(&self, uart: &Uart) -> Result<(), SystemError> {
        let at = uart.at;
        match self.platform {
            Platform::X86_64 { .. } => {
                let why = "must be a port with seven behind it";
                require(at.get() <= 0xfff8, || "uart.at".into(), at.get(), why)?;
                let why = "must be an input of an I/O APIC, below 256";
                require(uart.interrupt < 256, || "uart.interrupt".into(), uart.interrupt.into(), why)
            }
            Platform::Aarch64 { .. } => {
                low("uart.at", at, 0x1000)?;
                let why = "must be a shared interrupt, 32 to 1019";
                let is_shared = SHARED.contains(&uart.interrupt);
                require(is_shared, || "uart.interrupt".into(), uart.interrupt.into(), why)
            }
        }
    }
}

fn timers(timer: &Timer) -> Result<(), SystemError> {
    let Timer { secure_el1, non_secure_el1, virtual_el1, non_secure_el2 } = *timer;
    let mut seen = BTreeSet::new();
    for (name, interrupt) in [
        ("secure_el1", secure_el1),
        ("non_secure_el1", non_secure_el1),
        ("virtual_el1", virtual_el1),
        ("non_secure_el2", non_secure_el2),
    ] {
        let is_own = PRIVATE.contains(&interrupt) && seen.insert(interrupt);
        let why = "must be a private interrupt of its own, 16 to 31";
        require(is_own, || format!("platform.timer.{name}"), interrupt.into(), why)?;
    }
    Ok(())
}

fn distance(field: &str, distance: Distance) -> Result<(), SystemError> {
    // 0 and 0xffff mean something else in the table: nothing is known, and nothing is reached.
    for (name, value) in [("latency", distance.latency), ("bandwidth", distance.bandwidth)] {
        let is_value = (1..0xffff).contains(&value);
        require(is_value, || format!("{field}.{name}"), value.into(), "must be 1 to 0xfffe")?;
    }
    Ok(())
}

fn count(field: &str, length: usize, range: RangeInclusive<u64>) -> Result<(), SystemError> {
    let length = length as u64;
    let why = if length < *range.start() { "there must be one" } else { "there are too many" };
    require(range.contains(&length), || field.to_owned(), length, why)
}

/// A place that is not 0, at a multiple of this.
fn placed(field: &str, base: Gpa, alignment: u64) -> Result<(), SystemError> {
    require(base.get() != 0, || field.to_owned(), 0, "nothing may be at 0")?;
    aligned(field, base, alignment)
}

/// A place in the first 4 GiB.
fn low(field: &str, base: Gpa, alignment: u64) -> Result<(), SystemError> {
    placed(field, base, alignment)?;
    require(base.get() < 1 << 32, || field.to_owned(), base.get(), "must lie below 4 GiB")
}

fn aligned(field: &str, base: impl Address, alignment: u64) -> Result<(), SystemError> {
    let why = match alignment {
        WINDOW_GRANULE => "must be a multiple of 256 MiB",
        0x1_0000 => "must be a multiple of 64 KiB",
        0x1000 => "must be a multiple of 4 KiB",
        _ => "must be a multiple of its length",
    };
    require(base.get().is_multiple_of(alignment), || field.to_owned(), base.get(), why)
}

fn require(
    holds: bool,
    field: impl FnOnce() -> String,
    value: u64,
    why: &'static str,
) -> Result<(), SystemError> {
    if holds { Ok(()) } else { Err(SystemError::Field { field: field(), value, why }) }
}

#[cfg(test)]
mod tests;
