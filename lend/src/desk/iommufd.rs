//! `/dev/iommu`: address spaces as objects.
//!
//! ```text
//!  device ── attached ──▶ page table ──▶ IOAS: what is mapped
//! ```
//!
//! Who attaches a device to an IOAS gets a page table made for it, which goes when the device is detached.

use std::collections::BTreeMap;
use std::rc::Rc;

use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;

use super::Desk;
use super::space::Behind;
use super::space::Mapping;
use super::space::PAGE;
use super::space::Space;
use super::space::WINDOWS;
use super::space::lies_in;
use crate::caller::Caller;
use crate::caller::Lies;
use crate::caller::Open;
use crate::fields::Fields;
use crate::fields::must;
use crate::fields::or;
use crate::number;

/// Flags of a mapping.
const FIXED_IOVA: u32 = 1;
const WRITEABLE: u32 = 2;
const READABLE: u32 = 4;

/// Options, and what is done with them.
const OPTION_RLIMIT_MODE: u32 = 0;
const OPTION_HUGE_PAGES: u32 = 1;
const OPTION_SET: u16 = 0;
const OPTION_GET: u16 = 1;

/// What is done with the address space of containers.
const VFIO_IOAS_GET: u16 = 0;
const VFIO_IOAS_SET: u16 = 1;
const VFIO_IOAS_CLEAR: u16 = 2;

/// The calls with the least length of their structure and all of it, as far as it is known here.
const CALLS: [(u32, usize, usize); 12] = [
    (number::DESTROY, 8, 8),
    (number::IOAS_ALLOC, 12, 12),
    (number::IOAS_ALLOW_IOVAS, 24, 24),
    (number::IOAS_COPY, 40, 40),
    (number::IOAS_IOVA_RANGES, 32, 32),
    (number::IOAS_MAP, 40, 40),
    (number::IOAS_MAP_FILE, 40, 40),
    (number::IOAS_UNMAP, 24, 24),
    (number::OPTION, 24, 24),
    (number::VFIO_IOAS, 12, 12),
    (number::HWPT_ALLOC, 24, 48),
    (number::GET_HW_INFO, 32, 40),
];

/// The numbers of structures of an iommufd.
const NUMBERS: std::ops::RangeInclusive<u32> = 0x80..=0x94;

/// An error that is not in the tables of vfio-user: what is asked for is mapped where the device cannot have it.
const EADDRINUSE: Errno = Errno(98);

/// An object.
#[derive(Debug)]
enum Object {
    Ioas(Ioas),
    Device,
    /// A page table of this address space. One that was made by attaching goes with that.
    PageTable {
        ioas: u32,
        is_own: bool,
    },
}

/// An address space.
#[derive(Debug)]
struct Ioas {
    space: Space,
    /// Where it maps by itself.
    allowed: Vec<(u64, u64)>,
    huge_pages: bool,
}

/// What is known of an open `/dev/iommu`.
#[derive(Debug)]
pub(super) struct Iommufd {
    /// The program has it open; while a device is bound to it, it lives without that.
    pub(super) is_open: bool,
    objects: BTreeMap<u32, Object>,
    /// The address space for calls of containers.
    vfio_ioas: Option<u32>,
}

impl Default for Iommufd {
    fn default() -> Self {
        Self { is_open: true, objects: BTreeMap::new(), vfio_ioas: None }
    }
}

impl Iommufd {
    /// What is mapped in the address space of a page table.
    pub(super) fn space(&self, table: u32) -> Option<&Space> {
        let Some(Object::PageTable { ioas, .. }) = self.objects.get(&table) else { return None };
        match self.objects.get(ioas) {
            Some(Object::Ioas(ioas)) => Some(&ioas.space),
            _ => None,
        }
    }

    /// Its address spaces, with their ids.
    pub(super) fn spaces(&self) -> impl Iterator<Item = (u32, &Space)> {
        self.objects.iter().filter_map(|(id, object)| match object {
            Object::Ioas(ioas) => Some((*id, &ioas.space)),
            _ => None,
        })
    }

    /// A device is bound to it, and has this id here.
    pub(super) fn add_device(&mut self) -> u32 {
        self.add(Object::Device)
    }

    /// The device with this id is not bound any more.
    pub(super) fn remove_device(&mut self, id: u32) {
        self.objects.remove(&id);
    }

    fn add(&mut self, object: Object) -> u32 {
        // The lowest that is free.
        let taken = (1..).zip(self.objects.keys()).take_while(|(id, taken)| id == *taken);
        let id = taken.last().map_or(1, |(id, _)| id + 1);
        self.objects.insert(id, object);
        id
    }

    fn ioas(&mut self, id: u32) -> Result<&mut Ioas, Errno> {
        match self.objects.get_mut(&id) {
            Some(Object::Ioas(ioas)) => Ok(ioas),
            _ => Err(Errno::ENOENT),
        }
    }

    /// The page table that attaching to this object means.
    pub(super) fn table_for(&mut self, id: u32) -> Result<u32, Errno> {
        match self.objects.get(&id) {
            Some(Object::PageTable { .. }) => Ok(id),
            Some(Object::Ioas(ioas)) => {
                let is_possible =
                    ioas.space.overlapping(0, u64::MAX).all(|(from, to)| lies_in(&WINDOWS, from, to));
                or(is_possible, EADDRINUSE)?;
                Ok(self.add(Object::PageTable { ioas: id, is_own: true }))
            }
            Some(Object::Device) => Err(Errno::EINVAL),
            None => Err(Errno::ENOENT),
        }
    }

    /// A device is not attached to this page table any more.
    pub(super) fn detached(&mut self, table: u32) {
        if matches!(self.objects.get(&table), Some(Object::PageTable { is_own: true, .. })) {
            self.objects.remove(&table);
        }
    }

    /// An object whose id cannot be told is not made. Anything else that was done stays done.
    fn untold(&mut self, number: u32, call: &Fields) {
        match number {
            number::IOAS_ALLOC => _ = self.objects.remove(&call.u32(8)),
            number::HWPT_ALLOC => _ = self.objects.remove(&call.u32(16)),
            _ => {}
        }
    }

    fn has_table(&self, id: u32) -> bool {
        self.objects.values().any(|object| matches!(object, Object::PageTable { ioas, .. } if *ioas == id))
    }

    /// Where an address space can map: anywhere, until a device is there.
    fn windows(&self, id: u32) -> Vec<(u64, u64)> {
        if self.has_table(id) { WINDOWS.to_vec() } else { vec![(0, u64::MAX)] }
    }

    fn call(&mut self, number: u32, call: &mut Fields, by: &dyn Caller) -> Result<(), Errno> {
        match number {
            number::IOAS_ALLOC => self.alloc(call),
            number::IOAS_ALLOW_IOVAS => self.allow(call, by),
            number::IOAS_COPY => self.copy(call),
            number::IOAS_IOVA_RANGES => self.ranges(call, by),
            number::IOAS_MAP => self.map(call, by),
            number::IOAS_MAP_FILE => self.map_file(call, by),
            number::IOAS_UNMAP => self.unmap(call),
            number::OPTION => self.option(call),
            number::VFIO_IOAS => self.vfio_ioas(call),
            number::HWPT_ALLOC => self.make_table(call),
            number::GET_HW_INFO => self.hw_info(call, by),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn alloc(&mut self, call: &mut Fields) -> Result<(), Errno> {
        or(call.u32(4) == 0, Errno::EOPNOTSUPP)?;
        let ioas = Ioas { space: Space::default(), allowed: Vec::new(), huge_pages: true };
        let id = self.add(Object::Ioas(ioas));
        call.set_u32(8, id);
        Ok(())
    }

    fn allow(&mut self, call: &Fields, by: &dyn Caller) -> Result<(), Errno> {
        or(call.u32(12) == 0, Errno::EOPNOTSUPP)?;
        let windows = self.windows(call.u32(4));
        let ioas = self.ioas(call.u32(4))?;
        let mut allowed = Vec::new();
        for place in 0..u64::from(call.u32(8)) {
            let range = by.fields(call.u64(16).wrapping_add(16 * place), 16)?;
            let (first, last) = (range.u64(0), range.u64(8));
            must(first < last && lies_in(&windows, first, last))?;
            must(!allowed.iter().any(|(from, to)| first <= *to && *from <= last))?;
            allowed.push((first, last));
        }
        allowed.sort_unstable();
        ioas.allowed = allowed;
        Ok(())
    }

    fn ranges(&mut self, call: &mut Fields, by: &dyn Caller) -> Result<(), Errno> {
        or(call.u32(12) == 0, Errno::EOPNOTSUPP)?;
        self.ioas(call.u32(4))?;
        let (windows, room) = (self.windows(call.u32(4)), call.u32(8));
        for (place, (first, last)) in (0..u64::from(room)).zip(&windows) {
            let range = Fields::default().with_u64(*first).with_u64(*last);
            by.put(call.u64(16).wrapping_add(16 * place), &range.0)?;
        }
        call.set_u32(8, windows.len() as u32);
        call.set_u64(24, if self.has_table(call.u32(4)) { PAGE } else { 1 });
        Ok(())
    }

    fn map(&mut self, call: &mut Fields, by: &dyn Caller) -> Result<(), Errno> {
        let (vaddr, length) = (call.u64(16), call.u64(24));
        or(call.u32(12) == 0, Errno::EOPNOTSUPP)?;
        let allowed = permissions(call.u32(4))?;
        self.ioas(call.u32(8))?;
        must(length > 0 && vaddr.checked_add(length).is_some())?;
        let first = self.place(call, vaddr % PAGE)?;
        let lies = by.lies(vaddr, length)?;
        // What has no page of memory behind it cannot be pinned, and what is not writable not for writing.
        let is_memory =
            lies == Lies::Writable || lies == Lies::ReadOnly && !allowed.contains(DmaFlags::WRITE);
        or(is_memory, Errno::EFAULT)?;
        let behind = Behind::Process { process: by.process(), at: Some(vaddr) };
        self.insert(call, first, allowed, behind)
    }

    fn map_file(&mut self, call: &mut Fields, by: &dyn Caller) -> Result<(), Errno> {
        let (start, length) = (call.u64(16), call.u64(24));
        let allowed = permissions(call.u32(4))?;
        self.ioas(call.u32(8))?;
        must(length > 0)?;
        let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
        let file = by.take(call.i32(12))?;
        let status = rustix::fs::fstat(&file).or(Err(Errno::EBADF))?;
        let is_regular = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
        must(is_regular && by.open(call.i32(12))?.is_none())?;
        must(end <= u64::try_from(status.st_size).unwrap_or(0))?;
        let first = self.place(call, start % PAGE)?;
        self.insert(call, first, allowed, Behind::File(Rc::new(file), start))
    }

    /// Where a mapping goes: where it is said, or somewhere with the same place in its page.
    fn place(&mut self, call: &Fields, in_page: u64) -> Result<u64, Errno> {
        let (flags, id, length, wanted) = (call.u32(4), call.u32(8), call.u64(24), call.u64(32));
        or(length < u64::MAX && wanted < u64::MAX, Errno::EOVERFLOW)?;
        let (windows, aligned) = (self.windows(id), self.has_table(id));
        let ioas = self.ioas(id)?;
        if flags & FIXED_IOVA != 0 {
            let last = wanted.checked_add(length - 1).ok_or(Errno::EOVERFLOW)?;
            must(!aligned || (wanted | length | in_page).is_multiple_of(PAGE))?;
            must(lies_in(&windows, wanted, last))?;
            return Ok(wanted);
        }
        let windows = if ioas.allowed.is_empty() { windows } else { ioas.allowed.clone() };
        // The first page stays free: 0 is an address that nobody expects.
        let windows: Vec<_> = windows.iter().map(|(from, to)| ((*from).max(PAGE), *to)).collect();
        let room = length.checked_add(in_page).and_then(|length| length.checked_next_multiple_of(PAGE));
        let first = room.and_then(|room| ioas.space.room(room, &windows)).ok_or(Errno::ENOSPC)?;
        Ok(first + in_page)
    }

    fn insert(
        &mut self,
        call: &mut Fields,
        first: u64,
        allowed: DmaFlags,
        behind: Behind,
    ) -> Result<(), Errno> {
        let last = first.checked_add(call.u64(24) - 1).ok_or(Errno::EOVERFLOW)?;
        self.ioas(call.u32(8))?.space.map(first, Mapping { last, allowed, behind })?;
        call.set_u64(32, first);
        Ok(())
    }

    fn copy(&mut self, call: &mut Fields) -> Result<(), Errno> {
        let (to, from, length) = (call.u32(8), call.u32(12), call.u64(16));
        let allowed = permissions(call.u32(4))?;
        let source = call.u64(32);
        must(length > 0)?;
        let last = source.checked_add(length - 1).ok_or(Errno::EOVERFLOW)?;
        let (may, behind) = self.ioas(from)?.space.part(source, last).ok_or(Errno::ENOENT)?;
        or(may.contains(allowed), Errno::EPERM)?;
        // The fields stand elsewhere than in a mapping.
        let placed = Fields::default().with_u32(40).with_u32(call.u32(4)).with_u32(to).with_u32(0);
        let mut placed = placed.with_u64(0).with_u64(length).with_u64(call.u64(24));
        let first = self.place(&placed, source % PAGE)?;
        self.insert(&mut placed, first, allowed, behind)?;
        call.set_u64(24, first);
        Ok(())
    }

    fn unmap(&mut self, call: &mut Fields) -> Result<(), Errno> {
        let (id, first, length) = (call.u32(4), call.u64(8), call.u64(16));
        let is_all = first == 0 && length == u64::MAX;
        or(is_all || (first < u64::MAX && length < u64::MAX), Errno::EOVERFLOW)?;
        let space = &mut self.ioas(id)?.space;
        must(length > 0)?;
        let last = if is_all { u64::MAX } else { first.checked_add(length - 1).ok_or(Errno::EOVERFLOW)? };
        let gone: Vec<_> = space.overlapping(first, last).collect();
        // Only whole mappings go.
        or(gone.iter().all(|(from, to)| first <= *from && *to <= last), Errno::ENOENT)?;
        or(is_all || !gone.is_empty(), Errno::ENOENT)?;
        let bytes = gone.iter().fold(0_u64, |bytes, (from, _)| bytes.wrapping_add(space.remove(*from)));
        call.set_u64(16, bytes);
        Ok(())
    }

    fn option(&mut self, call: &mut Fields) -> Result<(), Errno> {
        let (option, what, object, value) = (call.u32(4), call.u16(8), call.u32(12), call.u64(16));
        or(call.u16(10) == 0, Errno::EOPNOTSUPP)?;
        match (option, what) {
            (OPTION_RLIMIT_MODE, OPTION_GET) if object == 0 => call.set_u64(16, 0),
            (OPTION_RLIMIT_MODE, OPTION_SET) if object == 0 => must(value == 0)?,
            (OPTION_HUGE_PAGES, OPTION_GET) => {
                let huge = self.ioas(object)?.huge_pages;
                call.set_u64(16, huge.into());
            }
            (OPTION_HUGE_PAGES, OPTION_SET) => {
                must(value <= 1)?;
                self.ioas(object)?.huge_pages = value == 1;
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        Ok(())
    }

    fn vfio_ioas(&mut self, call: &mut Fields) -> Result<(), Errno> {
        or(call.u16(10) == 0, Errno::EOPNOTSUPP)?;
        match call.u16(8) {
            VFIO_IOAS_GET => call.set_u32(4, self.vfio_ioas.ok_or(Errno::ENODEV)?),
            VFIO_IOAS_SET => {
                self.ioas(call.u32(4))?;
                self.vfio_ioas = Some(call.u32(4));
            }
            VFIO_IOAS_CLEAR => self.vfio_ioas = None,
            _ => return Err(Errno::EOPNOTSUPP),
        }
        Ok(())
    }

    fn make_table(&mut self, call: &mut Fields) -> Result<(), Errno> {
        // Nothing of nesting, dirty tracking or faults is there.
        let is_plain = call.u32(4) == 0 && call.u32(20) == 0 && call.u32(24) == 0 && call.u32(44) == 0;
        or(is_plain, Errno::EOPNOTSUPP)?;
        self.device(call.u32(8))?;
        match self.objects.get(&call.u32(12)) {
            Some(Object::Ioas(_)) => {}
            Some(_) => return Err(Errno::EINVAL),
            None => return Err(Errno::ENOENT),
        }
        let id = self.add(Object::PageTable { ioas: call.u32(12), is_own: false });
        call.set_u32(16, id);
        Ok(())
    }

    fn device(&self, id: u32) -> Result<(), Errno> {
        or(matches!(self.objects.get(&id), Some(Object::Device)), Errno::ENOENT)
    }

    /// Of the hardware there is nothing to tell: no type, no data, no capability.
    fn hw_info(&self, call: &mut Fields, by: &dyn Caller) -> Result<(), Errno> {
        or(call.u32(4) == 0 && call.0.get(29..32) == Some(&[0; 3]), Errno::EOPNOTSUPP)?;
        self.device(call.u32(8))?;
        let room = (call.u32(12) as usize).min(0x1000);
        if room > 0 {
            by.put(call.u64(16), &vec![0; room])?;
        }
        call.set_u32(12, 0);
        call.set_u32(24, 0);
        call.set(28, &[0]);
        call.set_u64(32, 0);
        Ok(())
    }
}

/// What the device may do, by the flags of a mapping.
fn permissions(flags: u32) -> Result<DmaFlags, Errno> {
    or(flags & !(FIXED_IOVA | WRITEABLE | READABLE) == 0, Errno::EOPNOTSUPP)?;
    let mut allowed = DmaFlags::empty();
    allowed.set(DmaFlags::READ, flags & READABLE != 0);
    allowed.set(DmaFlags::WRITE, flags & WRITEABLE != 0);
    must(!allowed.is_empty())?;
    Ok(allowed)
}

/// Whether a call has an answer beside that it was done.
fn is_told(number: u32, call: &Fields) -> bool {
    match number {
        number::IOAS_ALLOW_IOVAS => false,
        number::VFIO_IOAS => call.u16(8) == VFIO_IOAS_GET,
        _ => true,
    }
}

/// The structure of a call, as long as it is known here. What is behind it must be 0.
fn structure(number: u32, at: u64, by: &dyn Caller) -> Result<(Fields, usize), Errno> {
    let length = by.fields(at, 4)?.u32(0) as usize;
    let call = CALLS.iter().find(|(known, ..)| *known == number);
    let (_, least, whole) = *call.ok_or(Errno::ENOTTY)?;
    must(length >= least)?;
    let mut call = by.fields(at, length.min(whole))?;
    call.0.resize(whole, 0);
    // The kernel looks at no more than a page.
    or(length <= 0x1000, Errno::E2BIG)?;
    if length > whole {
        let behind = by.fields(at.wrapping_add(whole as u64), length - whole)?;
        or(behind.0.iter().all(|byte| *byte == 0), Errno::E2BIG)?;
    }
    Ok((call, length.min(whole)))
}

impl Desk {
    /// Answers an ioctl on an iommufd.
    pub(super) fn iommufd_ioctl(
        &mut self,
        on: Open,
        number: u32,
        at: u64,
        by: &dyn Caller,
    ) -> Result<i64, Errno> {
        // The calls of containers are for who has an address space set for them, and that is not modelled.
        or(NUMBERS.contains(&(number & 0xff)), Errno::ENOTTY)?;
        let (mut call, length) = structure(number, at, by)?;
        if number == number::DESTROY {
            return self.destroy(on, call.u32(4));
        }
        let room = call.u32(8);
        let iommufd = self.iommufds.get_mut(&on).ok_or(Errno::EBADF)?;
        iommufd.call(number, &mut call, by)?;
        if is_told(number, &call) {
            call.0.truncate(length);
            by.put(at, &call.0).inspect_err(|_| iommufd.untold(number, &call))?;
        }
        let told_all = number != number::IOAS_IOVA_RANGES || call.u32(8) <= room;
        or(told_all, Errno::EMSGSIZE)?;
        Ok(0)
    }

    fn destroy(&mut self, on: Open, id: u32) -> Result<i64, Errno> {
        let attached =
            self.bound.as_ref().filter(|bound| bound.iommufd == on).and_then(|bound| bound.attached);
        let iommufd = self.iommufds.get_mut(&on).ok_or(Errno::EBADF)?;
        let is_used = match iommufd.objects.get(&id) {
            None => return Err(Errno::ENOENT),
            Some(Object::Device) => true,
            Some(Object::Ioas(_)) => iommufd.has_table(id),
            Some(Object::PageTable { .. }) => attached == Some(id),
        };
        or(!is_used, Errno::EBUSY)?;
        iommufd.objects.remove(&id);
        iommufd.vfio_ioas = iommufd.vfio_ioas.filter(|ioas| *ioas != id);
        Ok(0)
    }

    /// An iommufd that nobody has open goes, unless the device is bound to it.
    pub(super) fn forget_iommufd(&mut self, open: Open) {
        let is_bound = self.bound.as_ref().is_some_and(|bound| bound.iommufd == open);
        if !is_bound && self.iommufds.get(&open).is_some_and(|iommufd| !iommufd.is_open) {
            self.iommufds.remove(&open);
        }
    }
}
