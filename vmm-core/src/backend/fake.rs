//! A device that exists in memory, for tests: a small model of its own, every call counted, any call failing.

mod bytes;
mod calls;
mod slots;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::component_registers;
use bytes::configuration;
use bytes::put;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use cxl_spec::component::hdm::Control;
use parking_lot::Mutex;
pub(crate) use slots::CountedSlots;
use vfio_abi::chain::Area;
use vfio_abi::chain::Chain;
use vfio_abi::cxl as abi;
use vfio_abi::cxl::v2;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::region;
use vfio_abi::request::DmaFlags;

use super::BackendError;
use super::Call;
use super::DmaMemory;
use super::Failure;
use super::Given;
use super::Shared;
use super::decoders::HdmDecoders;
use super::event::Event;
use super::irqs::IoEvent;
use super::recording::Recorded;
use super::recording::Recording;
use crate::discover::discover;
use crate::map::Attached;
use crate::map::memory::HostMemory;
use crate::sync::point;

/// Offset of decoder 0 in the component register region, and of its control.
pub(crate) const DECODER: u64 = 0x120;
pub(crate) const CONTROL: u64 = 0x130;

/// Length of the fake's memory.
pub(crate) const MEMORY_SIZE: u64 = 256 << 20;

/// The host's base of the fake's memory, where its kernel shows it.
pub(crate) const HOST_BASE: u64 = 0x48_3000_0000;

/// Where the HDM decoder capability is in BAR 2, whatever the kernel.
pub(crate) const HDM_IN_BAR: u64 = 0x2_1110;

/// Which kernel a fake device is shown by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// April 2026: decoders that are scrubbed and take what they are given.
    April,
    /// June 2026: the whole block, decoders as host firmware left them, nothing written while committed.
    June,
    /// The newest: the decoders alone, live, and every write absorbed.
    Newest,
}

/// Everything about a fake device, open to tests.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kernel: Kernel,
    pub(crate) info: DeviceInfo,
    pub(crate) regions: BTreeMap<u32, FakeRegion>,
    /// Calls that were made, in order.
    pub(crate) calls: Vec<Call>,
    /// The call with this number, from 1, fails, and every later one if the device is lost by it.
    pub(crate) fail_at: Option<(usize, Failure)>,
    /// The call at which it was lost.
    pub(crate) lost: Option<BackendError>,
    /// What it was let reach, for a connection that takes the place of this one.
    given: Vec<Given>,
    pub(crate) dma: Vec<Span<Iova>>,
    /// What of it is a file: by its first address the length, where in the file, and what is allowed.
    pub(crate) files: BTreeMap<u64, (u64, u64, DmaFlags)>,
    /// Mappings from this address on are refused with this number.
    pub(crate) refuses_from: Option<(u64, Errno)>,
    /// What it was told to give back, and refused to.
    pub(crate) kept: Vec<Span<Iova>>,
    /// What is looked at while the device is in reset.
    pub(crate) at_reset: Option<AtReset>,
    /// What answers the device.
    pub(crate) asks: Option<Arc<dyn DmaMemory>>,
    /// What it asks for whenever it is attended to, and what it was told.
    pub(crate) wants: Option<Iova>,
    pub(crate) told: Vec<Result<u64, Errno>>,
    /// Writes to this offset of the component registers have no effect.
    pub(crate) stuck: Option<u64>,
    /// What is attached, by interrupt and vector.
    pub(crate) events: BTreeMap<(u32, u32), Event>,
    /// What the pin is unmasked by, and how often it was by a call.
    pub(crate) unmask_event: Option<Event>,
    pub(crate) unmasked: u32,
    /// It takes no such event.
    pub(crate) no_unmask_events: bool,
    /// What replaces writes, whatever the region.
    pub(crate) io_events: Vec<IoEvent>,
}

/// Somebody who looks at everything else while a device is in reset.
pub(crate) struct AtReset(pub(crate) Box<dyn Fn() + Send>);

impl std::fmt::Debug for AtReset {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("AtReset")
    }
}

/// A region of a fake device.
#[derive(Debug)]
pub(crate) struct FakeRegion {
    pub(crate) info: RegionInfo,
    pub(crate) bytes: Vec<u8>,
    pub(crate) memory: Option<HostMemory>,
}

/// A handle to a fake device. Clones are the same device.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// A committed Type-2 device as the kernel of April 2026 shows it.
    pub(crate) fn committed() -> Self {
        let capability = v2::DeviceCapability {
            hdm_regs_bar_index: 2,
            flags: v2::Flags::FIRMWARE_COMMITTED | v2::Flags::CACHE_CAPABLE,
            hdm_regs_offset: 0x2_1000,
            dpa_region_index: 9,
            comp_regs_region_index: 10,
        };
        let chain = Chain::new().with(abi::DEVICE_CAPABILITY, v2::VERSION, &capability.encode());
        let block = (0x2_0000, 0x3_0000);
        Self::shown(Kernel::April, chain, block, (9, Chain::new()), (10, component_registers(), Chain::new()))
    }

    /// The same device as the kernel of June 2026 shows it.
    pub(crate) fn june() -> Self {
        // Typed by hand: committed, memory 10, registers 9, BAR 2, a block of 0x10000 at 0x20000.
        #[rustfmt::skip]
        let capability = [
            1, 0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
        ];
        let mut block = vec![0; 0x1_0000];
        block[0x1000..0x1140].copy_from_slice(&component_registers());
        put(&mut block, &[(0x1120, 0x3000_0000), (0x1124, 0x48), (0x1130, 0x0000_0700)]);
        let chain = Chain::new().with(6, 1, &capability);
        let hole = (0x2_0000, 0x3_0000);
        Self::shown(Kernel::June, chain, hole, (10, Chain::new()), (9, block, Chain::new()))
    }

    /// The same device as the newest kernel shows it.
    pub(crate) fn newest() -> Self {
        // Typed by hand: BAR 2, decoders at 0x21110.
        let place = [2, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x11, 2, 0, 0, 0, 0, 0];
        let mut decoders = component_registers().split_off(0x110);
        put(&mut decoders, &[(0x10, 0x3000_0000), (0x14, 0x48), (0x20, 0x0000_0700)]);
        let hole = (0x2_1000, 0x2_2000);
        let registers = (10, decoders, Chain::new().with(6, 1, &place));
        Self::shown(Kernel::Newest, Chain::new(), hole, (9, Chain::new()), registers)
    }

    /// One of each kernel's.
    pub(crate) fn of_every_kernel() -> [Self; 3] {
        [Self::committed(), Self::june(), Self::newest()]
    }

    fn shown(
        kernel: Kernel,
        chain: Chain,
        hole: (u64, u64),
        (memory, memory_chain): (u32, Chain),
        (registers, bytes, registers_chain): (u32, Vec<u8>, Chain),
    ) -> Self {
        let info = DeviceInfo {
            flags: DeviceFlags::PCI | DeviceFlags::RESET | abi::DEVICE_FLAG,
            num_regions: 11,
            num_irqs: 5,
            chain,
        };
        let areas = [Area { offset: 0, size: hole.0 }, Area { offset: hole.1, size: 0x10_0000 - hole.1 }];
        let memory_kind = memory_chain.with_region_type(abi::REGION_TYPE, abi::SUBTYPE_MEMORY);
        let registers_kind =
            registers_chain.with_region_type(abi::REGION_TYPE, abi::SUBTYPE_COMPONENT_REGISTERS);
        let component = FakeRegion::of_memory(2, 0x10_0000, Chain::new().with_sparse_areas(&areas));
        let array = &component_registers()[..0x110];
        component.memory.as_ref().unwrap().write(0x2_1000, array).unwrap();
        let regions = [
            FakeRegion::of_bytes(0, vec![0; 0x4000], Chain::new()),
            component,
            FakeRegion::of_bytes(region::CONFIG, configuration(), Chain::new()),
            FakeRegion::of_memory(memory, MEMORY_SIZE, memory_kind),
            FakeRegion::of_bytes(registers, bytes, registers_kind),
        ];
        let regions = regions.into_iter().map(|region| (region.info.index, region)).collect();
        let (calls, dma, files) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (refuses_from, asks) = (None, None);
        let (events, io_events) = (BTreeMap::new(), Vec::new());
        let state = State {
            kernel,
            info,
            regions,
            calls,
            fail_at: None,
            lost: None,
            given: Vec::new(),
            dma,
            files,
            refuses_from,
            kept: Vec::new(),
            at_reset: None,
            asks,
            wants: None,
            told: Vec::new(),
            stuck: None,
            events,
            unmask_event: None,
            unmasked: 0,
            no_unmask_events: false,
            io_events,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Changes the device.
    pub(crate) fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state.lock());
        self
    }

    /// Looks at the device.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock())
    }

    /// The device as a backend.
    pub(crate) fn shared(&self) -> Shared {
        Shared::new(self.clone())
    }

    /// The device, found and ready to be attached, with its accesses from now on written down.
    pub(crate) fn attached(&self, recording: Recording) -> Attached {
        let inventory = discover(&self.shared()).unwrap();
        let decoders = HdmDecoders::new(self.shared(), &inventory);
        Attached { backend: Shared::new(Recorded::new(decoders, recording)), inventory }
    }

    /// The dword at an offset of a region.
    pub(crate) fn dword(&self, region: u32, offset: u64) -> u32 {
        self.look(|state| state.dword(region, offset))
    }

    /// A connection that is lost remembers what it is let reach.
    fn remember(&self, note: impl FnOnce(&mut Vec<Given>)) {
        let mut state = self.state.lock();
        if state.lost.is_some() {
            note(&mut state.given);
        }
    }

    fn called(&mut self, call: Call) -> Result<parking_lot::MutexGuard<'_, State>, BackendError> {
        // A device takes its time, and so others go on meanwhile.
        point();
        let mut state = self.state.lock();
        state.calls.push(call);
        let error = |failure| BackendError { device: "fake".to_owned(), call, failure };
        match &state.fail_at {
            Some((at, failure @ Failure::Lost(_))) if state.calls.len() >= *at => {
                let error = error(failure.clone());
                state.lost.get_or_insert_with(|| error.clone());
                Err(error)
            }
            Some((at, failure)) if state.calls.len() == *at => Err(error(failure.clone())),
            _ => Ok(state),
        }
    }
}

impl State {
    /// The bytes of a region that has some.
    pub(crate) fn bytes(&mut self, region: u32) -> &mut Vec<u8> {
        &mut self.regions.get_mut(&region).unwrap().bytes
    }

    /// Puts a dword into a region.
    pub(crate) fn set(&mut self, region: u32, offset: u64, value: u32) {
        let offset = offset as usize;
        self.bytes(region)[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn dword(&self, region: u32, offset: u64) -> u32 {
        let offset = offset as usize;
        u32::from_le_bytes(self.regions[&region].bytes[offset..offset + 4].try_into().unwrap())
    }

    /// The region that is the component registers.
    pub(crate) fn registers(&self) -> u32 {
        if self.kernel == Kernel::June { 9 } else { 10 }
    }

    /// What a write to the component registers does, in short.
    fn write_register(&mut self, offset: u64, value: u32) {
        match self.kernel {
            Kernel::April => self.write_in_april(offset, value),
            Kernel::June => self.write_in_june(offset, value),
            Kernel::Newest => {}
        }
    }

    fn write_in_april(&mut self, offset: u64, value: u32) {
        let before = Control::new(self.dword(10, CONTROL));
        let written = Control::new(value);
        match offset {
            _ if self.stuck == Some(offset) => {}
            CONTROL if before.lock_on_commit() => {
                let unlocked = !written.lock_on_commit();
                self.set(10, CONTROL, before.with_lock_on_commit(!unlocked).raw());
            }
            CONTROL => self.set(10, CONTROL, written.with_committed(written.commit()).raw()),
            _ if before.lock_on_commit() => {}
            0x120 | 0x124 => self.set(10, offset, value),
            _ => {}
        }
    }

    fn write_in_june(&mut self, offset: u64, value: u32) {
        let control = self.dword(9, 0x1130);
        match offset {
            0x1114 => self.set(9, offset, value),
            0x1130 if control & 0x400 != 0 && value & 0x200 == 0 => self.set(9, offset, control & !0x700),
            0x1130 if control & 0x400 != 0 => {}
            0x1130 => self.set(9, offset, value & !0xc00 | (value & 0x200) << 1),
            0x1120..=0x112c if control & 0x500 == 0 => self.set(9, offset, value),
            0x1134..=0x113c => self.set(9, offset, value),
            _ => {}
        }
    }

    /// The kernel of April hides the host's base anew, and the base that it was given with it.
    fn was_reset(&mut self) {
        if let Some(AtReset(look)) = &self.at_reset {
            look();
        }
        if self.kernel == Kernel::April {
            let control = self.dword(10, CONTROL) & !0x100;
            for (at, value) in [(DECODER, 0), (DECODER + 4, 0), (CONTROL, control)] {
                self.set(10, at, value);
            }
        }
    }

    /// The newest kernel answers from the hardware, which is there while Memory Space is on.
    fn is_asleep(&self, region: u32) -> bool {
        let hardware = region <= region::BAR5 || region == self.registers();
        self.kernel == Kernel::Newest && hardware && self.dword(7, 4) & 2 == 0
    }
}

impl FakeRegion {
    fn of_bytes(index: u32, bytes: Vec<u8>, chain: Chain) -> Self {
        let flags = RegionFlags::READ | RegionFlags::WRITE;
        Self {
            info: RegionInfo { flags, index, size: bytes.len() as u64, offset: 0, chain },
            bytes,
            memory: None,
        }
    }

    fn of_memory(index: u32, size: u64, chain: Chain) -> Self {
        let flags = RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP;
        let memory = Some(HostMemory::ram(size).unwrap());
        Self { info: RegionInfo { flags, index, size, offset: 0, chain }, bytes: Vec::new(), memory }
    }
}
