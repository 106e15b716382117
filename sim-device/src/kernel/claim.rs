//! Which devices vfio-cxl takes for its own. The others stay plain PCI devices, without a word.

use arbitrary_int::u12;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::array;
use cxl_spec::dvsec::device;

use crate::profile::Faults;
use crate::silicon::Silicon;

/// Base and sub class of a CXL memory device, which vfio-cxl leaves to others.
const MEMORY_DEVICE_CLASS: u32 = 0x0502;

/// What vfio-cxl found out about a device of its own while it bound to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Offset of the HDM decoder capability from the capability array.
    pub(super) hdm: u64,
    /// How many decoders there are.
    pub(super) decoders: u8,
    /// Decoder 0 is committed over some memory.
    pub(super) firmware_committed: bool,
    /// The device speaks CXL.cache.
    pub(super) cache_capable: bool,
}

impl Claim {
    /// Looks at a device. Nothing, where it is not for vfio-cxl: without CXL.mem, a memory device, without HDM
    /// decoders, with media that is not ready, or not committed by firmware, unless the profile shows that.
    pub(super) fn stake(silicon: &Silicon) -> Option<Self> {
        let profile = silicon.profile().profile();
        let capability = device::Capability::new(silicon.config().device_dvsec(device::CAPABILITY));
        let decoder = silicon.component().programming(0);
        let over_memory = decoder.size > 0 || profile.kernel.zero_size_counts;
        let firmware_committed = silicon.component().decoder_state(0).is_active() && over_memory;
        let claim = Self {
            hdm: find_hdm(silicon)?,
            decoders: silicon.profile().decoders().number(),
            firmware_committed,
            cache_capable: capability.cache_capable(),
        };
        let ours = capability.mem_capable() && profile.ids.class >> 8 != MEMORY_DEVICE_CLASS;
        let shown = firmware_committed || profile.kernel.show_uncommitted;
        (ours && shown && media_is_ready(silicon)).then_some(claim)
    }
}

/// The device's memory can be used: its first range says so.
fn media_is_ready(silicon: &Silicon) -> bool {
    let size = silicon.config().device_dvsec(device::RANGE_1_SIZE_LOW);
    device::RangeSizeLow::new(size.into()).active()
}

/// Offset of the HDM decoder capability from the capability array, as the array says.
fn find_hdm(silicon: &Silicon) -> Option<u64> {
    let dword = |offset| {
        let access = Access::new(CACHEMEM_OFFSET + offset, Width::Dword);
        access.map_or(0, |access| silicon.component().read(access) as u32)
    };
    let entries = 1..=array::Header::new(dword(0)).entries();
    let mut entries = entries.map(|index| array::Entry::new(dword(array::entry_offset(index))));
    let hdm = entries.find(|entry| entry.id() == array::id::HDM_DECODER)?;
    Some(u64::from(hdm.pointer().value()))
}

/// Makes the capability array in a shadow, which begins with it, say of the HDM decoders what a broken profile
/// says of them: that there are none, or that they are somewhere else.
pub(super) fn point_elsewhere(dwords: &mut [u32], faults: &Faults) {
    let entries = dwords.first().map_or(0, |header| array::Header::new(*header).entries());
    for dword in dwords.iter_mut().skip(1).take(entries.into()) {
        let entry = array::Entry::new(*dword);
        if entry.id() != array::id::HDM_DECODER {
            continue;
        }
        if let Some(at) = faults.lies.hdm_at {
            *dword = entry.with_pointer(u12::new(at.0 as u16 & 0xfff)).raw();
        }
        if faults.hdm_missing {
            // An entry to skip.
            *dword = 0;
        }
    }
}
