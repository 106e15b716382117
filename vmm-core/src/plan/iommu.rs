//! Which buses have an SMMU, and where its registers are.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::Bridge;
use super::Kind;
use super::Placed;
use super::PlanError;
use super::layout::Cursor;
use crate::smmu::bus::PrimaryBus;
use crate::smmu::bus::primary_bus;

/// An SMMU that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmmuIntent {
    /// The bus that it sits on: `pcie.0`, or the name of a host bridge.
    pub bus: String,
    /// How devices behind it reach memory.
    pub reach: Way,
}

/// How devices behind an SMMU reach memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They ask for each access, and it is translated. This is what an SMMU does.
    #[default]
    Ask,
    /// They are given what the guest's tables map, and what it invalidates is taken back. This is what a VMM does that
    /// has VFIO's devices behind an SMMU of its own.
    Mirror,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ask, Self::Mirror];

    /// The name in scenarios and plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Mirror => "mirror",
        }
    }
}

/// An SMMU at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smmu {
    /// What it is called.
    pub name: String,
    /// The kind of bus that it sits on.
    pub bus: PrimaryBus,
    /// The bridge that it sits on, by its number in the plan; nothing on bus 0, where no device is.
    pub bridge: Option<usize>,
    /// Its registers.
    pub registers: Span<Gpa>,
    /// How devices behind it reach memory.
    pub reach: Way,
}

/// Length of an SMMU's registers: two pages of 64 KiB.
pub const REGISTERS_SIZE: u64 = 0x2_0000;

/// What a bus below a root port is made by. No SMMU may sit on one.
const ROOT_PORT: &str = "cxl-rp";

/// The SMMUs at their places, and what goes into the map.
///
/// # Errors
/// If the bus is none that an SMMU may sit on, or has one already.
pub(super) fn place(
    cursor: &mut Cursor,
    intents: &[SmmuIntent],
    bridges: &[Bridge],
) -> Result<(Vec<Smmu>, Vec<Placed>), PlanError> {
    let (mut smmus, mut map): (Vec<Smmu>, Vec<Placed>) = (Vec::new(), Vec::new());
    for intent in intents {
        let (bus, bridge) = find(intent, bridges)?;
        let name = format!("{} smmu", intent.bus);
        if smmus.iter().any(|there| there.name == name) {
            return refuse(intent, "another SMMU sits there".to_owned());
        }
        let (span, why) = cursor.place(&name, REGISTERS_SIZE, REGISTERS_SIZE)?;
        map.push(Placed { name: name.clone(), kind: Kind::Smmu, span, why });
        smmus.push(Smmu { name, bus, bridge, registers: span, reach: intent.reach });
    }
    Ok((smmus, map))
}

fn refuse<T>(intent: &SmmuIntent, why: String) -> Result<T, PlanError> {
    Err(PlanError::Topology {
        what: "smmu".to_owned(),
        field: "bus",
        value: format!("{:?}", intent.bus),
        why,
    })
}

/// The kind of bus, and the bridge whose root it is.
fn find(intent: &SmmuIntent, bridges: &[Bridge]) -> Result<(PrimaryBus, Option<usize>), PlanError> {
    let bus = intent.bus.as_str();
    let bridge = bridges.iter().position(|bridge| bridge.name == bus);
    let port = bridges.iter().any(|bridge| bus.strip_suffix(" port") == Some(&bridge.name));
    let kind = match bridge {
        Some(_) => PrimaryBus::PxbCxl.name(),
        None if port => ROOT_PORT,
        None if bus == PrimaryBus::Pcie0.name() => bus,
        None => {
            let names: Vec<_> = bridges.iter().map(|bridge| bridge.name.as_str()).collect();
            return refuse(intent, format!("there are only pcie.0, {}", names.join(", ")));
        }
    };
    match primary_bus(kind) {
        Ok(kind) => Ok((kind, bridge)),
        Err(error) => refuse(intent, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::backend::fake::Fake;
    use crate::discover::discover;
    use crate::plan::Plan;
    use crate::plan::machine::Arch;
    use crate::plan::machine::Machine;
    use crate::plan::plan;

    fn planned(arch: Arch, buses: &[&str]) -> Result<Plan, PlanError> {
        let inventory = discover(&Fake::committed().shared()).unwrap();
        let smmus =
            buses.iter().map(|bus| SmmuIntent { bus: (*bus).to_owned(), reach: Way::Mirror }).collect();
        let machine = Machine { arch, address_bits: 48, smmus, ..Machine::default() };
        plan(&machine, &[("gpu0", &inventory), ("gpu1", &inventory)])
    }

    #[rstest]
    #[case(Arch::X86_64, 0xfe20_0000)]
    #[case(Arch::Aarch64, 0x0f00_0000)]
    fn smmus_are_one_behind_the_other_and_each_translates_below_its_bridge(
        #[case] arch: Arch,
        #[case] first: u64,
    ) {
        let plan = planned(arch, &["gpu1 bridge", "pcie.0"]).unwrap();
        let told: Vec<_> = plan
            .smmus
            .iter()
            .inspect(|smmu| assert_eq!(smmu.reach, Way::Mirror, "as it was wanted"))
            .map(|smmu| (smmu.name.as_str(), smmu.bus, smmu.bridge, smmu.registers.start().get()))
            .collect();
        assert_eq!(
            told,
            [
                ("gpu1 bridge smmu", PrimaryBus::PxbCxl, Some(1), first),
                ("pcie.0 smmu", PrimaryBus::Pcie0, None, first + 0x2_0000),
            ]
        );
        let placed: Vec<_> = plan.map.iter().filter(|placed| placed.kind == Kind::Smmu).collect();
        assert_eq!((placed.len(), placed[0].kind.name(), placed[0].span.size()), (2, "smmu", 0x2_0000));
        for dma in &plan.dma {
            let through = (dma.device == "gpu1").then_some("gpu1 bridge smmu");
            assert_eq!(dma.through.as_deref(), through, "{} {}", dma.device, dma.name);
        }
    }

    #[rstest]
    #[case(&["gpu0 bridge port"], "smmu: bus = \"gpu0 bridge port\": an SMMUv3 cannot have cxl-rp as its primary bus; \
        it can have pcie.0, pxb-pcie, pxb-cxl")]
    #[case(&["gpu7 bridge"], "smmu: bus = \"gpu7 bridge\": there are only pcie.0, gpu0 bridge, gpu1 bridge")]
    #[case(&["pcie.0", "pcie.0"], "smmu: bus = \"pcie.0\": another SMMU sits there")]
    fn a_bus_that_is_no_root_or_has_one_is_refused(#[case] buses: &[&str], #[case] message: &str) {
        assert_eq!(planned(Arch::X86_64, buses).unwrap_err().to_string(), message);
    }
}
