//! What firmware leaves in RAM before a guest begins: the ACPI tables, and what can be chosen about them.
//!
//! | architecture | root pointer                                  | the other tables                    |
//! |--------------|-----------------------------------------------|-------------------------------------|
//! | `x86_64`     | at `0xe_0000`, where every system searches it | the last MiB of the RAM below 4 GiB |
//! | `aarch64`    | the page before the other tables              | the last MiB of RAM                 |
//!
//! On aarch64 nobody searches: firmware hands the root pointer's address over.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::Kind;
use super::Placed;
use super::PlanError;
use super::Reason;
use super::machine::Arch;
use super::machine::Machine;
use super::window::FixedWindow;
use crate::acpi::TABLES_SIZE;
use crate::acpi::system::FmwsInCrs;

/// Where the search for the root pointer begins on x86-64.
const SEARCHED: u64 = 0xe_0000;

/// What the root pointer has to itself.
const PAGE: u64 = 0x1000;

/// What can be chosen about how a machine is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The guest must keep BARs, bridge windows and bus numbers as they are. They are where the plan put them, and
    /// the overlay of component registers depends on it.
    pub preserve_config: bool,
    /// Which bridge's resources name the range of the windows; nothing for what is usual on the architecture.
    pub fmws_in_crs: Option<FmwsInCrs>,
}

impl Default for Telling {
    fn default() -> Self {
        Self { preserve_config: true, fmws_in_crs: None }
    }
}

/// Where the ACPI tables are. Both places are in RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The root pointer.
    pub root: Placed,
    /// All other tables.
    pub others: Placed,
}

/// The places of the tables in this RAM.
///
/// # Errors
/// If there is not so much RAM.
pub(super) fn place(machine: &Machine, map: &[Placed]) -> Result<Tables, PlanError> {
    let ram = map.iter().find(|placed| placed.kind == Kind::Ram).map(|placed| placed.span);
    ram.and_then(|ram| in_ram(machine.arch, ram)).ok_or_else(|| PlanError::NoRoom {
        name: "acpi tables".to_owned(),
        size: TABLES_SIZE,
        limit: ram.map_or(0, |ram| ram.end().get()),
    })
}

fn in_ram(arch: Arch, ram: Span<Gpa>) -> Option<Tables> {
    let others = ram.end().get().checked_sub(TABLES_SIZE)?;
    let (root, why) = match arch {
        Arch::X86_64 => (SEARCHED, "every system searches it there"),
        Arch::Aarch64 => (others.checked_sub(PAGE)?, "the page before the other tables"),
    };
    let placed = |name: &str, (start, size), why| {
        let span = Span::new(Gpa::new(start), size).filter(|_| ram.covers(Gpa::new(start), size))?;
        Some(Placed { name: name.to_owned(), kind: Kind::Tables, span, why: Reason::Fixed(why) })
    };
    Some(Tables {
        root: placed("acpi root pointer", (root, PAGE), why)?,
        others: placed("acpi tables", (others, TABLES_SIZE), "the end of the first RAM")?,
    })
}

/// What there is to say about windows that the tables do not announce.
pub(super) fn silent(windows: &[FixedWindow]) -> impl Iterator<Item = String> {
    let silent = windows.iter().filter(|window| window.only_target().is_none());
    silent.map(|window| {
        let FixedWindow { name, targets, .. } = window;
        format!("{name}: leads to {} host bridges: no table announces it", targets.len())
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::backend::fake::Fake;
    use crate::discover::discover;
    use crate::plan::plan;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// Typed by hand: the root pointer, and the other tables.
    #[rstest]
    #[case(Arch::X86_64, 4 * MIB, 0xe_0000, 0x30_0000)]
    #[case(Arch::X86_64, 64 * MIB, 0xe_0000, 0x3f0_0000)]
    #[case(Arch::X86_64, 8 * GIB, 0xe_0000, 0x7ff0_0000)]
    #[case(Arch::Aarch64, 4 * MIB, 0x402f_f000, 0x4030_0000)]
    #[case(Arch::Aarch64, 8 * GIB, 0x2_3fef_f000, 0x2_3ff0_0000)]
    fn the_tables_are_in_ram_where_the_architecture_has_them(
        #[case] arch: Arch,
        #[case] ram: u64,
        #[case] root: u64,
        #[case] others: u64,
    ) {
        let inventory = discover(&Fake::committed().shared()).unwrap();
        let machine = Machine { arch, ram, address_bits: 48, ..Machine::default() };
        let tables = plan(&machine, &[("gpu0", &inventory)]).unwrap().tables;
        let ends = |placed: &Placed| (placed.span.start().get(), placed.span.size(), placed.kind.name());
        assert_eq!(ends(&tables.root), (root, 0x1000, "tables"));
        assert_eq!(ends(&tables.others), (others, MIB, "tables"));
    }

    #[test]
    fn ram_that_is_too_short_has_no_place_for_tables() {
        let ram = |size| Span::new(Gpa::new(0x4000_0000), size).unwrap();
        assert_eq!(in_ram(Arch::Aarch64, ram(MIB)), None, "there is no page for the root pointer");
        assert!(in_ram(Arch::Aarch64, ram(MIB + 0x1000)).is_some());
        assert_eq!(in_ram(Arch::X86_64, ram(4 * MIB)), None, "what is searched is not in RAM");
    }
}
