//! What a device and its regions say of themselves, and whether that is what they must say.

use vfio_abi::chain::Chain;
use vfio_abi::cxl;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;

use super::Verdict;
use super::judged;
use crate::opened::CallError;
use crate::opened::Device;
use crate::scenario::region::Bytes;
use crate::scenario::user;
use crate::scenario::user::DeviceFlag;
use crate::scenario::user::RegionFlag;

/// What is not as it must be.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn want<T: PartialEq>(&mut self, seen: &T, wanted: Option<&T>, text: impl FnOnce(&T) -> String) {
        self.0.extend(wanted.filter(|wanted| *wanted != seen).map(text));
    }

    fn want_flags(&mut self, seen: u32, flags: u32, without: u32) {
        if seen & flags != flags {
            self.0.push(format!("flags {flags:#x} set"));
        }
        if seen & without != 0 {
            self.0.push(format!("flags {without:#x} clear"));
        }
    }

    /// A capability is in the chain, and is followed by these bytes.
    fn want_capability(&mut self, chain: &Chain, id: Option<u16>, bytes: Option<&Bytes>) {
        let Some(id) = id else { return };
        match (chain.find(id), bytes) {
            (None, _) => self.0.push(format!("capability {id}")),
            (Some(entry), Some(bytes)) if entry.data != bytes.0 => {
                let seen = Bytes(entry.data.clone());
                self.0.push(format!("capability {id} with {bytes} and not {seen}"));
            }
            _ => {}
        }
    }

    fn judge(self, seen: String) -> Verdict {
        judged(self.0.is_empty(), seen, || self.0.join(" and "))
    }
}

/// Asks what the device is.
pub(super) fn device(device: &mut Device, step: &user::DeviceInfo) -> Result<Verdict, CallError> {
    let bytes = device.client()?.device_info()?;
    let (info, argsz) = DeviceInfo::parse(&bytes).map_err(|malformed| device.malformed(malformed))?;
    let mut wrong = Wrong::default();
    wrong.want_flags(info.flags.bits(), device_flags(&step.flags), device_flags(&step.without));
    wrong.want(&info.num_regions, step.regions.as_ref(), |number| format!("{number} regions"));
    wrong.want(&argsz, step.argsz.as_ref(), |argsz| format!("argsz {argsz}"));
    wrong.want_capability(&info.chain, step.capability, step.bytes.as_ref());
    let version = step.capability.and_then(|id| info.chain.find(id)).map(|entry| entry.version);
    if let (Some(seen), Some(wanted)) = (version, step.version) {
        wrong.want(&seen, Some(&wanted), |version| format!("its version {version}"));
    }
    if let Some(id) = step.no_capability.filter(|id| info.chain.find(*id).is_some()) {
        wrong.0.push(format!("no capability {id}"));
    }
    let (flags, regions) = (info.flags.bits(), info.num_regions);
    let seen = format!("{}: flags {flags:#x}, {regions} regions, argsz {argsz}", device.name());
    Ok(wrong.judge(format!("{seen}, {}", capabilities(&info.chain))))
}

/// Asks what a region is.
pub(super) fn region(device: &mut Device, step: &user::RegionInfo) -> Result<Verdict, CallError> {
    let index = device.index(step.region)?;
    let name = format!("{}: {}", device.name(), step.region);
    let bytes = match (device.client()?.region_info(index), step.errno) {
        (Ok((bytes, _)), None) => bytes,
        (Ok(_), Some(errno)) => {
            return Ok(judged(false, format!("{name} is described"), || errno.0.to_string()));
        }
        (Err(error), Some(errno)) => {
            let holds = error.failure.errno() == Some(errno.0);
            return Ok(judged(holds, format!("{name}: {}", error.failure), || errno.0.to_string()));
        }
        (Err(error), None) => return Err(error.into()),
    };
    let (info, argsz) = RegionInfo::parse(&bytes).map_err(|malformed| device.malformed(malformed))?;
    let kind = info.chain.region_type().map_err(|malformed| device.malformed(malformed))?;
    let areas = info.chain.sparse_areas().map_err(|malformed| device.malformed(malformed))?;
    let areas: Option<Vec<(u64, u64)>> =
        areas.map(|areas| areas.iter().map(|area| (area.offset, area.size)).collect());
    let mut wrong = Wrong::default();
    wrong.want(&index, step.index.as_ref(), |index| format!("region {index}"));
    wrong.want(&info.size, step.size.map(|size| size.0).as_ref(), |size| format!("{size:#x} bytes"));
    wrong.want_flags(info.flags.bits(), region_flags(&step.flags), region_flags(&step.without));
    let (kind, subtype) = kind.map_or((None, None), |(kind, subtype)| (Some(u64::from(kind)), Some(subtype)));
    wrong.want(&kind, step.kind.map(|kind| Some(kind.0)).as_ref(), |kind| format!("type {kind:x?}"));
    wrong.want(&subtype, step.subtype.map(Some).as_ref(), |subtype| format!("subtype {subtype:?}"));
    wrong.want(&argsz, step.argsz.as_ref(), |argsz| format!("argsz {argsz}"));
    wrong.want_capability(&info.chain, step.capability, step.bytes.as_ref());
    want_areas(&mut wrong, info.size, areas.as_deref(), step);
    let seen = format!("{name} is region {index} of {:#x} bytes, flags {:#x}", info.size, info.flags.bits());
    let areas = areas.map_or(String::new(), |areas| format!(", areas {areas:x?}"));
    Ok(wrong.judge(format!("{seen}, argsz {argsz}, {}{areas}", capabilities(&info.chain))))
}

fn want_areas(wrong: &mut Wrong, size: u64, seen: Option<&[(u64, u64)]>, step: &user::RegionInfo) {
    let pair = |area: &user::Area| (area.offset.0, area.size.0);
    if let Some(wanted) = &step.areas {
        let wanted: Vec<_> = wanted.iter().map(pair).collect();
        if seen != Some(wanted.as_slice()) {
            wrong.0.push(format!("areas {wanted:x?}"));
        }
    }
    if step.no_areas && seen.is_some() {
        wrong.0.push("no list of areas".to_owned());
    }
    if let Some(hole) = &step.hole
        && !fill(size, seen.unwrap_or_default(), pair(hole))
    {
        wrong.0.push(format!("areas that are all but {:x?}", pair(hole)));
    }
}

/// Whether the areas and the hole together are all of a region, each byte once.
fn fill(size: u64, areas: &[(u64, u64)], hole: (u64, u64)) -> bool {
    let mut parts: Vec<_> = areas.iter().copied().chain([hole]).collect();
    parts.sort_unstable();
    let mut end = Some(0);
    for (offset, length) in parts {
        end = end.filter(|end| *end == offset && length > 0).and_then(|end| end.checked_add(length));
    }
    end == Some(size)
}

fn capabilities(chain: &Chain) -> String {
    let ids: Vec<_> = chain.entries().iter().map(|entry| entry.id.to_string()).collect();
    if ids.is_empty() { "no capability".to_owned() } else { format!("capabilities {}", ids.join(", ")) }
}

fn device_flags(flags: &[DeviceFlag]) -> u32 {
    let flag = |flag: &DeviceFlag| match flag {
        DeviceFlag::Reset => DeviceFlags::RESET,
        DeviceFlag::Pci => DeviceFlags::PCI,
        DeviceFlag::Caps => DeviceFlags::CAPS,
        DeviceFlag::Cxl => cxl::DEVICE_FLAG,
    };
    flags.iter().map(flag).fold(0, |all, flag| all | flag.bits())
}

fn region_flags(flags: &[RegionFlag]) -> u32 {
    let flag = |flag: &RegionFlag| match flag {
        RegionFlag::Read => RegionFlags::READ,
        RegionFlag::Write => RegionFlags::WRITE,
        RegionFlag::Mmap => RegionFlags::MMAP,
        RegionFlag::Caps => RegionFlags::CAPS,
    };
    flags.iter().map(flag).fold(0, |all, flag| all | flag.bits())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::before_and_behind(&[(0, 4), (8, 8)], (4, 4), true)]
    #[case::in_another_order(&[(8, 8), (0, 4)], (4, 4), true)]
    #[case::behind_only(&[(4, 12)], (0, 4), true)]
    #[case::nothing_but_the_hole(&[], (0, 16), true)]
    #[case::a_gap(&[(0, 3), (8, 8)], (4, 4), false)]
    #[case::into_the_hole(&[(0, 5), (8, 8)], (4, 4), false)]
    #[case::over_each_other(&[(0, 4), (8, 8), (8, 8)], (4, 4), false)]
    #[case::short(&[(0, 4), (8, 7)], (4, 4), false)]
    #[case::beyond(&[(0, 4), (8, 9)], (4, 4), false)]
    #[case::empty(&[(0, 4), (4, 0), (8, 8)], (4, 4), false)]
    #[case::endless(&[(0, 4), (8, u64::MAX)], (4, 4), false)]
    fn areas_and_a_hole_are_a_region_if_each_byte_is_in_one_of_them(
        #[case] areas: &[(u64, u64)],
        #[case] hole: (u64, u64),
        #[case] holds: bool,
    ) {
        assert_eq!(fill(16, areas, hole), holds);
    }
}
