//! What a broken profile makes a kernel tell of its regions.

use vfio_abi::chain;
use vfio_abi::info::RegionFlags;

use super::Region;
use crate::profile::Profile;

/// The region as it is told of: the component BAR with other areas that can be mapped, if the profile says so.
pub(super) fn told<'a>(profile: &Profile, mut region: Region<'a>) -> Region<'a> {
    let Some(areas) = &profile.faults.lies.areas else { return region };
    if region.info.index != u32::from(profile.component.bar) || region.file.is_none() {
        return region;
    }
    let area = |area: &crate::profile::Area| chain::Area { offset: area.offset.0, size: area.size.0 };
    let areas: Vec<_> = areas.iter().map(area).collect();
    region.info.flags |= RegionFlags::MMAP;
    region.info.chain = chain::Chain::new().with_sparse_areas(&areas);
    region
}
