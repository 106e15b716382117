//! A user of a kernel whose mistakes are mended: what must hold then, beyond what holds of every kernel.
//!
//! - A device that is shown as one of CXL has memory behind its decoder, which can be mapped and read.
//! - In the device DVSEC every register is the same by whatever width it is read, and a write reaches every register
//!   that it touches and no other byte.
//! - Status 2 says what the hardware says.
//! - A CXL reset leaves the memory where it was.
//! - The device can be reset, by the user or by what is written to it, and what a user wrote is gone after that.
//!
//! The profile says which mistakes are mended. With one of them left, a law breaks: that is what this is for.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

use std::ops::Range;

use cxl_spec::component::hdm;
use cxl_spec::dvsec::BODY;
use cxl_spec::dvsec::device;
use cxl_spec::pci::express;
use vfio_abi::cxl;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::region;

use super::MOST_BYTES;
use super::MOST_STEPS;
use super::Shape;
use super::Step;
use super::around;
use super::bound_to;
use super::image;
use crate::kernel::Abi;
use crate::kernel::Kernel;
use crate::profile::Profile;
use crate::profile::Status2Source;
use crate::silicon::config::DEVICE_DVSEC;
use crate::silicon::config::EXPRESS;

/// The bits of a register that every kernel keeps as they are written, low byte first: cache and memory enable, the
/// snoop filter and clean eviction.
const CONTROL_KEPT: [u8; 2] = [0xfd, 0x0f];

/// Of control 2 caching can be disabled, and what else can be written is not kept.
const CONTROL_2_KEPT: [u8; 2] = [0x01, 0];

/// Asks for a CXL reset, in control 2.
const INITIATE_CXL_RESET: u8 = 1 << 2;

/// Asks for a function level reset, in the upper byte of the PCI Express capability's Device Control.
const INITIATE_FUNCTION_LEVEL_RESET: u8 = 1 << 7;

/// The first bit of status 2: the cache is invalid.
const CACHE_INVALID: u16 = 1;

/// A law that breaks wherever one of the mistakes is, and so hides what else it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A register is the same by its bytes.
    Bytes,
    /// Two registers are the same by their dword.
    Dwords,
}

/// The default device, bound by a kernel without any of these mistakes.
pub fn profile() -> Profile {
    let mut profile = Profile::default();
    let kernel = &mut profile.kernel;
    kernel.guest_cxl_reset = true;
    kernel.status_2 = Status2Source::Merged;
    kernel.fixed_base_lost_in_reset = true;
    kernel.fixed_dvsec_widths = true;
    kernel.fixed_config_lock = true;
    kernel.fixed_partial_status_write = true;
    kernel.fixed_stale_shadow = true;
    kernel.fixed_locked_commit = true;
    profile
}

/// Does `steps` to a device of this profile, bound by the kernel of this name, and checks what must hold, but for the
/// laws that are left out. A device that is not shown as one of CXL has nothing that is looked at.
pub fn run(profile: &Profile, abi: &str, left_out: &[Law], steps: &[Step]) {
    let Some(shape) = Shape::ALL.into_iter().find(|shape| shape.abi == abi) else { return };
    let Some(kernel) = Abi::named(abi).and_then(|abi| bound_to(profile, abi)) else { return };
    if !kernel.device_info().flags.contains(cxl::DEVICE_FLAG) {
        return;
    }
    let mut user = User { kernel, shape, left_out: left_out.to_vec() };
    user.opened();
    let first = user.everything();
    for step in steps.iter().take(MOST_STEPS) {
        user.carry_out(step, &first);
        user.looks_alike();
    }
}

/// Who uses a kernel.
struct User {
    kernel: Kernel,
    shape: Shape,
    left_out: Vec<Law>,
}

/// The words of the DVSEC's body, and the dwords of the component registers.
#[derive(PartialEq)]
struct Everything {
    dvsec: Vec<u16>,
    registers: Vec<u32>,
}

impl User {
    /// What must be so at open.
    fn opened(&self) {
        let size = self.kernel.silicon().memory().size();
        let range = self.kernel.silicon().component().programming(0).range();
        assert_eq!(range.map(|range| range.size()), Some(size), "the decoder covers the memory");
        let region = self.kernel.region(self.memory());
        let mapped = |region: crate::kernel::Region<'_>| {
            region.info.flags.contains(RegionFlags::MMAP) && region.file.is_some()
        };
        assert!(region.is_ok_and(mapped), "the memory can be mapped");
        assert!(self.memory_is_there(), "the memory can be read");
    }

    /// The region of the memory: the one of the two that is not the component registers'.
    fn memory(&self) -> u32 {
        let both = [region::FIRST_SPECIFIC, region::FIRST_SPECIFIC + 1];
        both.into_iter().find(|index| *index != self.shape.region).unwrap_or_default()
    }

    fn memory_is_there(&self) -> bool {
        self.kernel.read(self.memory(), 0, &mut [0; 4]) == Ok(4)
    }

    /// What is read of configuration space, a dword at most.
    fn config<const LENGTH: usize>(&self, at: u64) -> [u8; LENGTH] {
        let mut buffer = [0; LENGTH];
        let read = self.kernel.read(region::CONFIG, at, &mut buffer);
        assert_eq!(read, Ok(LENGTH), "configuration space at {at:#x}");
        buffer
    }

    fn register(&self, offset: u64) -> u16 {
        u16::from_le_bytes(self.config(DEVICE_DVSEC + offset))
    }

    fn everything(&self) -> Everything {
        Everything {
            dvsec: (BODY..device::SIZE).step_by(2).map(|offset| self.register(offset)).collect(),
            registers: image(&self.kernel, self.shape),
        }
    }

    /// Every register of the DVSEC's body is the same by whatever width.
    fn looks_alike(&self) {
        for offset in (BODY..device::SIZE).step_by(2) {
            let at = DEVICE_DVSEC + offset;
            let word = self.config::<2>(at);
            let [low] = self.config(at);
            let [high] = self.config(at + 1);
            let is_same = [low, high] == word || self.left_out.contains(&Law::Bytes);
            assert!(is_same, "the bytes of the register at {offset:#x} are those of its word");
            if offset.is_multiple_of(4) && !self.left_out.contains(&Law::Dwords) {
                let words = [word, self.config(at + 2)];
                assert_eq!(self.config::<4>(at), words.as_flattened(), "the dword at {offset:#x} has both");
            }
        }
        if self.shape.abi == "v2" {
            let hardware = self.kernel.silicon().config().device_dvsec(device::STATUS_2);
            let seen = self.register(device::STATUS_2);
            assert_eq!(seen & CACHE_INVALID, hardware & CACHE_INVALID, "status 2 is the hardware's");
        }
    }

    fn carry_out(&mut self, step: &Step, first: &Everything) {
        match step {
            Step::Write { place, offset, data } => {
                let data = data.get(..data.len().min(MOST_BYTES)).unwrap_or_default();
                let (index, at) = near(*place, *offset, self.shape);
                if index == region::CONFIG {
                    self.write_config(at, data, first);
                } else {
                    // Whether it is taken is what holds of every kernel.
                    let _ = self.kernel.write(index, at, data);
                }
            }
            Step::Read { place, offset, count } => {
                let (index, at) = near(*place, *offset, self.shape);
                let _ = self.kernel.read(index, at, &mut vec![0; usize::from(*count).min(MOST_BYTES)]);
            }
            Step::Reset => {
                assert_eq!(self.kernel.user_resets(), Ok(()), "the device can be reset");
                self.is_as_at_first(first);
            }
            Step::Reopen => {
                self.kernel.open();
                self.is_as_at_first(first);
            }
        }
    }

    /// What is told of v2 is another matter: there the shadow of the DVSEC outlives a reset as the user left it.
    fn is_as_at_first(&self, first: &Everything) {
        if self.shape.abi != "v3" {
            return;
        }
        let now = self.everything();
        let size = (self.shape.decoder() + hdm::SIZE_LOW - self.shape.first()) / 4;
        let size_of = |all: &Everything| all.registers.get(size as usize).copied();
        assert_eq!(size_of(&now), size_of(first), "the decoder has firmware's size again");
        assert!(now == *first, "nothing that a user wrote outlives a reset");
    }

    fn write_config(&mut self, at: u64, data: &[u8], first: &Everything) {
        let locked = device::Lock::new(self.register(device::LOCK)).config_lock();
        let before = self.everything().dvsec;
        let was_there = self.memory_is_there();
        let taken = self.kernel.write(region::CONFIG, at, data).unwrap_or(0) as u64;
        let written = Written { at, data, taken };
        let device_control = written.byte(EXPRESS + express::DEVICE_CONTROL + 1);
        if device_control.is_some_and(|byte| byte & INITIATE_FUNCTION_LEVEL_RESET != 0) {
            self.is_as_at_first(first);
            return;
        }
        let control_2 = written.byte(DEVICE_DVSEC + device::CONTROL_2);
        if self.shape.abi == "v2" && control_2.is_some_and(|byte| byte & INITIATE_CXL_RESET != 0) {
            let is_there = self.memory_is_there();
            assert!(is_there || !was_there, "the memory is there after a CXL reset as before");
            return;
        }
        if locked {
            return;
        }
        self.reached(&written, device::CONTROL, &before, CONTROL_KEPT);
        self.reached(&written, device::CONTROL_2, &before, CONTROL_2_KEPT);
        if self.shape.abi == "v3" {
            self.cleared(&written, device::STATUS_2);
        }
    }

    /// A register has the bytes that were written, as far as they are kept, and the others that it had.
    fn reached(&self, written: &Written<'_>, register: u64, before: &[u16], kept: [u8; 2]) {
        let word = before.get((register - BODY) as usize / 2).copied().unwrap_or(0);
        let bytes = word.to_le_bytes().into_iter().zip(self.register(register).to_le_bytes()).zip(kept);
        for (((before, after), kept), offset) in bytes.zip(register..) {
            let Some(byte) = written.byte(DEVICE_DVSEC + offset) else {
                assert_eq!(after, before, "the byte at {offset:#x} was not written");
                continue;
            };
            assert_eq!(after & kept, byte & kept, "the byte written at {offset:#x} is not lost");
        }
    }

    /// A status register has none of the bits that were written as 1.
    fn cleared(&self, written: &Written<'_>, register: u64) {
        for (after, offset) in self.register(register).to_le_bytes().into_iter().zip(register..) {
            let ones = written.byte(DEVICE_DVSEC + offset).unwrap_or(0);
            assert_eq!(after & ones, 0, "the write reaches the second register, at {offset:#x}");
        }
    }
}

/// Where an access goes: as every user's, and from the DVSEC on no further than it reaches.
fn near(place: u8, offset: u16, shape: Shape) -> (u32, u64) {
    let (index, at) = around(place, offset, shape);
    let inside = at.checked_sub(DEVICE_DVSEC).filter(|_| index == region::CONFIG);
    (index, inside.map_or(at, |inside| DEVICE_DVSEC + inside % device::SIZE))
}

/// What was written, and how much of it was taken.
struct Written<'a> {
    at: u64,
    data: &'a [u8],
    taken: u64,
}

impl Written<'_> {
    fn range(&self) -> Range<u64> {
        self.at..self.at.saturating_add(self.taken)
    }

    /// The byte that was written here.
    fn byte(&self, at: u64) -> Option<u8> {
        let offset = at.checked_sub(self.at).filter(|_| self.range().contains(&at))?;
        self.data.get(offset as usize).copied()
    }
}
