//! What a device may reach of the guest address map: a table, not one rule.
//!
//! | memory              | policy     | ATS | decode | what is done                                        |
//! |---------------------|------------|-----|--------|-----------------------------------------------------|
//! | RAM                 | any        | any | any    | mapped                                              |
//! | of another owner    | any        | any | any    | mapped                                              |
//! | a VFIO device's BAR | any        | any | off    | nothing: it is nowhere                              |
//! | BAR on, or window   | `skip`     | off |        | skipped                                             |
//! | BAR on, or window   | `skip`     | on  |        | skipped, and translated requests to it fail         |
//! | BAR on, or window   | `map`      | any |        | mapped; a refusal ends it                           |
//! | BAR on, or window   | `tolerate` | any |        | mapped; a refusal with `EFAULT` leaves it unmapped  |
//!
//! ATS is the requester's, memory decode the owner's: Memory Space in the command register. A window is decoded by
//! the HDM decoder and not by that. Whoever maps keeps what he did and takes back that, so the two cannot differ.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::Device;
use super::Kind;
use super::Placed;
use super::bar::Reach;
use super::defect::Defect;
use super::iommu::Smmu;
use super::machine::Machine;

/// What somebody wants of DMA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What is done with the memory of VFIO devices.
    pub policy: Policy,
    /// A guest may turn on the address translation services of devices that have them.
    pub ats: bool,
}

/// What is done with the memory of VFIO devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// No device may reach it. This is the rule of the QEMU series (its ninth patch).
    #[default]
    Skip,
    /// Devices may reach it, which the series' authors found later that ATS needs.
    Map,
    /// Devices may reach it where they take the mapping; one that answers `EFAULT` goes without.
    Tolerate,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Map, Self::Tolerate];

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Map => "map",
            Self::Tolerate => "tolerate",
        }
    }
}

/// Whose memory something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// RAM of the machine.
    Ram,
    /// What can be mapped of a VFIO device's BAR.
    Bar,
    /// A VFIO device's memory at its window.
    Window,
    /// Memory of a device that is not VFIO's. No machine has one yet.
    Other,
}

/// What is done with a part of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is RAM, and mapped.
    Map,
    /// It is of another owner, and mapped.
    MapOther,
    /// It is of a VFIO device, and mapped.
    MapDeviceMemory,
    /// It is of a VFIO device, and mapped unless the requester answers `EFAULT`.
    Tolerate,
    /// It is of a VFIO device, and not mapped.
    SkipDeviceMemory,
    /// The same, and the requester does ATS.
    SkipDespiteAts,
    /// It is of a VFIO device, and not mapped, and unmapped all the same. No table asks for it.
    SkipAndUnmap,
    /// Its owner decodes nothing.
    Off,
    /// Every access to it is a call: there is no memory that could be mapped.
    Trapped,
}

impl Decision {
    /// The decision's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map | Self::MapOther | Self::MapDeviceMemory => "map",
            Self::Tolerate => "tolerate",
            Self::SkipDeviceMemory | Self::SkipDespiteAts | Self::SkipAndUnmap => "skip",
            Self::Off | Self::Trapped => "nothing",
        }
    }

    /// Why it was decided so.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Map => "RAM of the machine",
            Self::MapOther => "memory of a device that is not VFIO's, which is never skipped",
            Self::MapDeviceMemory => "memory of a VFIO device, and dma = map",
            Self::Tolerate => "memory of a VFIO device, and dma = tolerate",
            Self::SkipDeviceMemory => "memory of a VFIO device",
            Self::SkipDespiteAts => "memory of a VFIO device, though ATS needs it",
            Self::SkipAndUnmap => "memory of a VFIO device, which is unmapped all the same",
            Self::Off => "memory decode is off",
            Self::Trapped => "every access is a call",
        }
    }

    /// Whether the part is mapped, or it is tried at least.
    pub fn maps(self) -> bool {
        match self {
            Self::Map | Self::MapOther | Self::MapDeviceMemory | Self::Tolerate => true,
            Self::SkipDeviceMemory | Self::SkipDespiteAts | Self::SkipAndUnmap => false,
            Self::Off | Self::Trapped => false,
        }
    }
}

impl Wish {
    /// What is done with `memory`, whose owner does decode or not, for a requester that offers ATS or not.
    pub fn decide(self, memory: Memory, offers_ats: bool, decode: bool) -> Decision {
        let ats = self.ats && offers_ats;
        match (memory, self.policy) {
            (Memory::Ram, _) => Decision::Map,
            (Memory::Other, _) => Decision::MapOther,
            (Memory::Bar, _) if !decode => Decision::Off,
            (Memory::Bar | Memory::Window, Policy::Map) => Decision::MapDeviceMemory,
            (Memory::Bar | Memory::Window, Policy::Tolerate) => Decision::Tolerate,
            (Memory::Bar | Memory::Window, Policy::Skip) if ats => Decision::SkipDespiteAts,
            (Memory::Bar | Memory::Window, Policy::Skip) => Decision::SkipDeviceMemory,
        }
    }
}

/// Whether a device may reach a part of the guest address map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dma {
    /// The machine's name of the device.
    pub device: String,
    /// The part of the map.
    pub name: String,
    /// Where it is. Without an SMMU, I/O virtual addresses are guest physical ones.
    pub span: Span<Gpa>,
    /// What is done.
    pub decision: Decision,
    /// The SMMU that translates what the device accesses, by its name.
    pub through: Option<String>,
}

/// What is decided for every device and every part of the map.
pub(super) fn decide(machine: &Machine, devices: &[Device], map: &[Placed], smmus: &[Smmu]) -> Vec<Dma> {
    let mut decided = Vec::new();
    for device in devices {
        let through = smmus.iter().find(|smmu| smmu.bridge == Some(device.bridge));
        let of_device = map.iter().filter_map(|placed| {
            let (memory, can_be_mapped) = memory(placed, devices)?;
            let decision = machine.dma.decide(memory, device.ats, true);
            let decision = match decision {
                _ if !can_be_mapped => Decision::Trapped,
                Decision::SkipDeviceMemory if machine.has(Defect::UnmapsWhatItSkipped) => {
                    Decision::SkipAndUnmap
                }
                decision => decision,
            };
            let (device, name) = (device.name.clone(), placed.name.clone());
            let through = through.map(|smmu| smmu.name.clone());
            Some(Dma { device, name, span: placed.span, decision, through })
        });
        decided.extend(of_device);
    }
    decided
}

/// What there is to say about what a device will not reach.
pub(super) fn note(machine: &Machine, device: &Device) -> Option<String> {
    let fails = machine.dma.decide(Memory::Window, device.ats, true) == Decision::SkipDespiteAts;
    let name = &device.name;
    fails.then(|| format!("{name}: does ATS and dma = skip: translated requests to device memory will fail"))
}

/// Whose memory it is, and whether it can be mapped; nothing if it is no memory.
fn memory(placed: &Placed, devices: &[Device]) -> Option<(Memory, bool)> {
    let mut devices = devices.iter();
    match placed.kind {
        Kind::Ram => Some((Memory::Ram, true)),
        Kind::Bar => {
            let bar = devices.flat_map(|device| &device.bars).find(|bar| bar.span == placed.span)?;
            Some((Memory::Bar, bar.pieces.iter().any(|piece| piece.reach == Reach::Mapped)))
        }
        // A window that is no device's leads to no memory.
        Kind::Window => {
            let device = devices.find(|device| device.window.span.start() == placed.span.start())?;
            Some((Memory::Window, device.window.mapped))
        }
        Kind::Ecam | Kind::Doorbell | Kind::Platform | Kind::Registers | Kind::Smmu | Kind::Tables => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Decision::Map;
    use super::Decision::MapDeviceMemory;
    use super::Decision::MapOther;
    use super::Decision::Off;
    use super::Decision::SkipDespiteAts;
    use super::Decision::SkipDeviceMemory;
    use super::Decision::Tolerate;
    use super::*;

    /// Typed by hand: ATS off, on; and for each, decode off, on.
    #[rstest]
    #[case(Memory::Ram, Policy::Skip, [[Map, Map], [Map, Map]])]
    #[case(Memory::Ram, Policy::Map, [[Map, Map], [Map, Map]])]
    #[case(Memory::Ram, Policy::Tolerate, [[Map, Map], [Map, Map]])]
    #[case(Memory::Other, Policy::Skip, [[MapOther, MapOther], [MapOther, MapOther]])]
    #[case(Memory::Other, Policy::Map, [[MapOther, MapOther], [MapOther, MapOther]])]
    #[case(Memory::Other, Policy::Tolerate, [[MapOther, MapOther], [MapOther, MapOther]])]
    #[case(Memory::Bar, Policy::Skip, [[Off, SkipDeviceMemory], [Off, SkipDespiteAts]])]
    #[case(Memory::Bar, Policy::Map, [[Off, MapDeviceMemory], [Off, MapDeviceMemory]])]
    #[case(Memory::Bar, Policy::Tolerate, [[Off, Tolerate], [Off, Tolerate]])]
    #[case(Memory::Window, Policy::Skip,
        [[SkipDeviceMemory, SkipDeviceMemory], [SkipDespiteAts, SkipDespiteAts]])]
    #[case(Memory::Window, Policy::Map,
        [[MapDeviceMemory, MapDeviceMemory], [MapDeviceMemory, MapDeviceMemory]])]
    #[case(Memory::Window, Policy::Tolerate, [[Tolerate, Tolerate], [Tolerate, Tolerate]])]
    fn each_cell_of_the_table_is_decided_so(
        #[case] memory: Memory,
        #[case] policy: Policy,
        #[case] cells: [[Decision; 2]; 2],
    ) {
        for (ats, row) in [false, true].into_iter().zip(cells) {
            for (decode, expected) in [false, true].into_iter().zip(row) {
                let wish = Wish { policy, ats: true };
                assert_eq!(wish.decide(memory, ats, decode), expected, "ATS {ats}, decode {decode}");
                let without = Wish { policy, ats: false };
                let plain = without.decide(memory, ats, decode);
                assert_eq!(plain, wish.decide(memory, false, decode), "what may not be turned on is off");
            }
        }
    }

    #[test]
    fn the_default_is_what_the_series_does() {
        assert_eq!(Wish::default(), Wish { policy: Policy::Skip, ats: false });
        assert_eq!(Policy::ALL.map(Policy::name), ["skip", "map", "tolerate"]);
    }

    #[test]
    fn only_what_is_mapped_or_tried_maps() {
        let maps = [Map, MapOther, MapDeviceMemory, Tolerate].map(|one| (one.name(), one.maps()));
        assert_eq!(maps, [("map", true), ("map", true), ("map", true), ("tolerate", true)]);
        let rests = [SkipDeviceMemory, SkipDespiteAts, Decision::SkipAndUnmap, Off, Decision::Trapped];
        let rests = rests.map(|one| (one.name(), one.maps()));
        let [skip, nothing] = [("skip", false), ("nothing", false)];
        assert_eq!(rests, [skip, skip, skip, nothing, nothing]);
    }
}
