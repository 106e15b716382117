//! What each reset keeps and what it clears.
//!
//! | domain                 | function level | CXL           | conventional | cold  |
//! |------------------------|----------------|---------------|--------------|-------|
//! | the function           | sticky         | sticky        | sticky       | fresh |
//! | MSI-X table            | fresh          | fresh         | fresh        | fresh |
//! | copy engine            | fresh          | fresh         | fresh        | fresh |
//! | DVSECs of CXL          | kept           | kept          | sticky       | fresh |
//! | control 2 of DVSEC 0   | kept           | fresh         | fresh        | fresh |
//! | HDM global control, BI | kept (1)       | fresh         | fresh        | fresh |
//! | HDM decoders           | kept (1)       | fresh (2)     | fresh        | fresh |
//! | RAS                    | kept           | sticky        | sticky       | fresh |
//! | memory                 | kept           | kept (3)      | kept (3)     | fresh |
//!
//! This is CXL 3.2, 8.1.3.6, 9.5 and 9.7. A decoder that is locked is no exception: the specification names none.
//!
//! 1. Fresh in a device with the erratum `silicon.flr_disturbs_decoders`.
//! 2. Kept in a device like shipped ones, `silicon.cxl_reset_keeps_decoders`: there only the global enable drops.
//! 3. The specification promises nothing of volatile memory here. This device keeps it, but for a CXL reset that
//!    is asked to clear it.

use crate::profile::Silicon;

/// A reset, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reset {
    /// Function level reset: the CXL.io function starts again.
    FunctionLevel,
    /// CXL reset: CXL.cache and CXL.mem start again, too.
    Cxl,
    /// Hot or warm reset: everything but what is sticky.
    Conventional,
    /// Power was lost.
    Cold,
}

impl Reset {
    /// All resets.
    pub const ALL: [Self; 4] = [Self::FunctionLevel, Self::Cxl, Self::Conventional, Self::Cold];
}

/// Registers, or memory, of one fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// Header, power management, PCI Express, MSI-X capability, AER, serial number, ATS, DOE.
    Function,
    /// The MSI-X table in its BAR.
    MsixTable,
    /// The copy engine: what it is at is given up.
    Engine,
    /// The DVSECs of the consortium, but for control 2.
    CxlDvsecs,
    /// The control 2 register of the device DVSEC.
    Control2,
    /// HDM decoder global control and the control of back-invalidate.
    MemControl,
    /// The HDM decoders.
    HdmDecoders,
    /// The RAS capability.
    Ras,
    /// What is in the memory.
    Memory,
}

/// What becomes of something in a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays as it is.
    Kept,
    /// It is as after power-on, but for its sticky fields.
    Sticky,
    /// It is as after power-on.
    Fresh,
}

/// The fate of `domain` in `reset` on a device that is built so.
pub(super) fn fate(domain: Domain, reset: Reset, built: &Silicon) -> Fate {
    use Domain as D;
    use Reset as R;
    match (domain, reset) {
        (_, R::Cold) | (D::MsixTable | D::Engine, _) => Fate::Fresh,
        (D::Function, _) => Fate::Sticky,
        (D::MemControl | D::HdmDecoders, R::FunctionLevel) if built.flr_disturbs_decoders => Fate::Fresh,
        (_, R::FunctionLevel) => Fate::Kept,
        (D::HdmDecoders, R::Cxl) if built.cxl_reset_keeps_decoders => Fate::Kept,
        (D::CxlDvsecs | D::Memory, R::Cxl) | (D::Memory, R::Conventional) => Fate::Kept,
        (D::Control2 | D::MemControl | D::HdmDecoders, R::Cxl | R::Conventional) => Fate::Fresh,
        (D::Ras, R::Cxl | R::Conventional) | (D::CxlDvsecs, R::Conventional) => Fate::Sticky,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table, typed by hand: per domain the fates in the order of [`Reset::ALL`].
    #[test]
    fn every_domain_has_its_fate_in_every_reset() {
        use Fate::Fresh;
        use Fate::Kept;
        use Fate::Sticky;
        let table = [
            (Domain::Function, [Sticky, Sticky, Sticky, Fresh]),
            (Domain::MsixTable, [Fresh, Fresh, Fresh, Fresh]),
            (Domain::Engine, [Fresh, Fresh, Fresh, Fresh]),
            (Domain::CxlDvsecs, [Kept, Kept, Sticky, Fresh]),
            (Domain::Control2, [Kept, Fresh, Fresh, Fresh]),
            (Domain::MemControl, [Kept, Fresh, Fresh, Fresh]),
            (Domain::HdmDecoders, [Kept, Fresh, Fresh, Fresh]),
            (Domain::Ras, [Kept, Sticky, Sticky, Fresh]),
            (Domain::Memory, [Kept, Kept, Kept, Fresh]),
        ];
        for (domain, fates) in table {
            let told = Reset::ALL.map(|reset| fate(domain, reset, &Silicon::default()));
            assert_eq!(told, fates, "{domain:?}");
        }
    }

    #[test]
    fn shipped_silicon_differs_in_the_decoders_over_a_cxl_reset_and_in_nothing_else() {
        let built = Silicon { cxl_reset_keeps_decoders: true, ..Silicon::default() };
        assert_eq!(fate(Domain::HdmDecoders, Reset::Cxl, &built), Fate::Kept);
        assert_eq!(fate(Domain::MemControl, Reset::Cxl, &built), Fate::Fresh);
        assert_eq!(fate(Domain::HdmDecoders, Reset::Conventional, &built), Fate::Fresh);
    }

    #[test]
    fn the_erratum_disturbs_decoders_in_a_function_level_reset_and_nothing_else() {
        let built = Silicon { flr_disturbs_decoders: true, ..Silicon::default() };
        let told = [Domain::HdmDecoders, Domain::MemControl, Domain::Ras, Domain::CxlDvsecs]
            .map(|domain| fate(domain, Reset::FunctionLevel, &built));
        assert_eq!(told, [Fate::Fresh, Fate::Fresh, Fate::Kept, Fate::Kept]);
    }
}
