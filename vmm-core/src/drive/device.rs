//! The device of the driver: a good one of some kernel, and patches to anything that it says.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::chain::Area;
use vfio_abi::chain::Chain;
use vfio_abi::cxl as abi;
use vfio_abi::cxl::Revision;
use vfio_abi::cxl::next;
use vfio_abi::cxl::v2;
use vfio_abi::cxl::v3;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::region;
use vfio_abi::request::DmaFlags;

use crate::backend::Backend;
use crate::backend::BackendError;
use crate::backend::Call;
use crate::backend::DmaMemory;
use crate::backend::Failure;
use crate::backend::Given;
use crate::backend::irqs::IoEvent;
use crate::backend::irqs::IrqChange;
use crate::map::memory::HostMemory;

/// BAR that holds the component block, and its length.
const BAR: u8 = 2;
const BAR_SIZE: u64 = 0x10_0000;

/// Where the component block is in it, and from there the capability array and the decoders.
const BLOCK: u64 = 0x2_0000;
const ARRAY: u64 = BLOCK + 0x1000;
const DECODERS: u64 = ARRAY + 0x110;

/// Length of the memory.
const MEMORY: u64 = 0x1000_0000;

/// The two regions of the device's own, memory and component registers.
const REGIONS: (u32, u32) = (9, 10);

/// The most bytes that anybody may ask such a device for at once: configuration space.
const MOST_AT_ONCE: usize = 0x1000;

/// Configuration space: ids, two BARs, a capability, and the two DVSECs that are looked for.
const CONFIG: [(u64, u32); 15] = [
    (0x00, 0xc7f2_1e98),
    (0x04, 0x0010_0000),
    (0x08, 0x1200_0001),
    (0x18, 0x0000_000c),
    (0x34, 0x0000_0040),
    (0x40, 0x0002_0010),
    (0x100, 0x1501_0001),
    (0x150, 0x2001_0023),
    (0x154, 0x03c2_1e98),
    (0x158, 0xc05f_0000),
    (0x15c, 0x0000_0007),
    (0x200, 0x0001_0023),
    (0x204, 0x0141_1e98),
    (0x208, 0x0000_0008),
    (0x20c, 0x0002_0102),
];

/// The capability array.
const ENTRIES: [(u64, u32); 3] = [(0, 0x0211_0001), (4, 0x0802_0002), (8, 0x1101_0005)];

/// One decoder, committed without a base.
const DECODER: [(u64, u32); 3] = [(0x04, 2), (0x18, 0x1000_0000), (0x20, 0x600)];

/// A device that says what it was told to say.
#[derive(Debug)]
pub(super) struct Device {
    info: Vec<u8>,
    regions: BTreeMap<u32, Said>,
}

/// What a device says of a region.
#[derive(Debug)]
struct Said {
    info: Vec<u8>,
    /// What is in it; dwords that are not here are 0.
    dwords: BTreeMap<u64, u32>,
    /// Where patches of its contents count from.
    origin: u64,
    file: Option<File>,
}

impl Said {
    fn new(index: u32, size: u64, chain: Chain, dwords: impl Iterator<Item = (u64, u32)>) -> Self {
        let flags = RegionFlags::READ | RegionFlags::WRITE;
        let info = RegionInfo { flags, index, size, offset: 0, chain };
        Self { info: info.encode(u32::MAX), dwords: dwords.collect(), origin: 0, file: None }
    }

    fn mapped(index: u32, size: u64, chain: Chain, dwords: impl Iterator<Item = (u64, u32)>) -> Self {
        let flags = RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP;
        let info = RegionInfo { flags, index, size, offset: 0, chain };
        let memory = HostMemory::ram(size).ok();
        let file = memory.and_then(|memory| memory.file().try_clone().ok());
        Self { info: info.encode(u32::MAX), dwords: dwords.collect(), origin: 0, file }
    }
}

fn shifted(dwords: &[(u64, u32)], by: u64) -> impl Iterator<Item = (u64, u32)> {
    dwords.iter().map(move |(offset, value)| (offset.saturating_add(by), *value))
}

/// What a revision says of the device and of its component register region: the chains, the length of the region,
/// and where the array and the decoders are in it.
fn told(revision: Revision) -> (Chain, Chain, u64, Option<u64>, u64) {
    let none = Chain::new();
    match revision {
        Revision::V2 => {
            let capability = v2::DeviceCapability {
                hdm_regs_bar_index: BAR,
                flags: v2::Flags::all(),
                hdm_regs_offset: ARRAY,
                dpa_region_index: REGIONS.0,
                comp_regs_region_index: REGIONS.1,
            };
            let chain = Chain::new().with(abi::DEVICE_CAPABILITY, v2::VERSION, &capability.encode());
            (chain, none, 0x140, Some(0), DECODERS - ARRAY)
        }
        Revision::V3 => {
            let capability = v3::DeviceCapability {
                flags: v3::Flags::all(),
                hdm_region_idx: REGIONS.0,
                comp_reg_region_idx: REGIONS.1,
                comp_reg_bar: BAR.into(),
                comp_reg_offset: BLOCK,
                comp_reg_size: 0x1_0000,
            };
            let chain = Chain::new().with(abi::DEVICE_CAPABILITY, v3::VERSION, &capability.encode());
            (chain, none, 0x1_0000, Some(ARRAY - BLOCK), DECODERS - BLOCK)
        }
        Revision::Next => {
            let place = next::ComponentRegisters { bar: BAR.into(), offset: DECODERS };
            let chain = Chain::new().with(next::REGION_CAPABILITY, next::VERSION, &place.encode());
            (none, chain, 0x30, None, 0)
        }
    }
}

impl Device {
    /// A good device.
    pub(super) fn good(revision: Revision) -> Self {
        let (chain, registers, size, array, decoders) = told(revision);
        let flags = DeviceFlags::PCI | abi::DEVICE_FLAG;
        let info = DeviceInfo { flags, num_regions: 11, num_irqs: 5, chain };
        let areas = [Area { offset: 0, size: BLOCK }, Area { offset: 0x3_0000, size: BAR_SIZE - 0x3_0000 }];
        let areas = Chain::new().with_sparse_areas(&areas);
        let memory = Chain::new().with_region_type(abi::REGION_TYPE, abi::SUBTYPE_MEMORY);
        let registers = registers.with_region_type(abi::REGION_TYPE, abi::SUBTYPE_COMPONENT_REGISTERS);
        let entries = array.map(|array| shifted(&ENTRIES, array)).into_iter().flatten();
        let in_region = entries.chain(shifted(&DECODER, decoders));
        let bar = Said::mapped(BAR.into(), BAR_SIZE, areas, shifted(&ENTRIES, ARRAY));
        let regions = [
            (u32::from(BAR), Said { origin: BLOCK, ..bar }),
            (region::CONFIG, Said::new(region::CONFIG, 0x1000, Chain::new(), shifted(&CONFIG, 0))),
            (REGIONS.0, Said::mapped(REGIONS.0, MEMORY, memory, shifted(&[], 0))),
            (REGIONS.1, Said::new(REGIONS.1, size, registers, in_region)),
        ];
        Self { info: info.encode(u32::MAX), regions: regions.into() }
    }

    /// Replaces something that the device says. Any eight bytes are a patch: what and how much of it, where, and by
    /// which number.
    pub(super) fn patch(&mut self, patch: [u8; 8]) {
        let [what, count, low, high, number @ ..] = patch;
        let at = usize::from(u16::from_le_bytes([low, high]));
        let bytes = number.iter().take(usize::from(count % 4).saturating_add(1));
        let things = self.regions.len().saturating_mul(2).saturating_add(1);
        let Some(thing) = (usize::from(what) % things).checked_sub(1) else {
            return overwrite(&mut self.info, at, bytes);
        };
        let Some(said) = self.regions.values_mut().nth(thing / 2) else { return };
        if thing.is_multiple_of(2) {
            overwrite(&mut said.info, at, bytes);
        } else {
            let offset = said.origin.saturating_add(at as u64 & !3);
            said.dwords.insert(offset, u32::from_le_bytes(number));
        }
    }
}

fn overwrite<'a>(bytes: &mut [u8], at: usize, by: impl Iterator<Item = &'a u8>) {
    let at = at.checked_rem(bytes.len()).unwrap_or(0);
    bytes.iter_mut().skip(at).zip(by).for_each(|(to, from)| *to = *from);
}

impl Said {
    fn byte(&self, offset: u64) -> u8 {
        let dword = self.dwords.get(&(offset & !3)).copied().unwrap_or(0);
        (dword >> (8 * (offset & 3))) as u8
    }
}

fn refused(call: Call) -> BackendError {
    BackendError { device: "hostile".to_owned(), call, failure: Failure::Refused(Errno::EINVAL) }
}

impl Backend for Device {
    fn name(&self) -> &str {
        "hostile"
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        Ok(self.info.clone())
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        let said = self.regions.get(&index).ok_or_else(|| refused(Call::RegionInfo { index }))?;
        let copy = |file: &File| file.as_fd().try_clone_to_owned().ok().map(File::from);
        Ok((said.info.clone(), said.file.as_ref().and_then(copy)))
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        Ok(IrqInfo { argsz: 16.into(), flags: 1.into(), index: index.into(), count: u32::MAX.into() })
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        assert!(buffer.len() <= MOST_AT_ONCE, "so much is asked for because the device said so");
        let call = Call::Read { region, offset, count: buffer.len() };
        let said = self.regions.get(&region).ok_or_else(|| refused(call))?;
        buffer.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = said.byte(at));
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        let call = Call::Write { region, offset, count: data.len() };
        let said = self.regions.get_mut(&region).ok_or_else(|| refused(call))?;
        for (byte, at) in data.iter().zip(offset..) {
            let dword = said.dwords.entry(at & !3).or_default();
            let shift = 8 * (at & 3);
            *dword = *dword & !(0xff << shift) | u32::from(*byte) << shift;
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        _range: Span<Iova>,
        _file: &Arc<File>,
        _offset: u64,
        _allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        Ok(())
    }

    fn dma_ask(&mut self, _range: Span<Iova>, _memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        Ok(())
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    fn lost(&self) -> Option<BackendError> {
        None
    }

    fn given(&self) -> Vec<Given> {
        Vec::new()
    }

    fn dma_unmap(&mut self, _range: Span<Iova>) -> Result<(), BackendError> {
        Ok(())
    }

    fn set_irqs(&mut self, _change: &IrqChange<'_>) -> Result<(), BackendError> {
        Ok(())
    }

    fn io_events(&mut self, _region: u32) -> Result<Vec<IoEvent>, BackendError> {
        Ok(Vec::new())
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        Ok(())
    }
}
