//! What the client lets the device reach: ranges of I/O virtual addresses, with or without a file behind them.
//!
//! The table is bounded, and so is what it makes us hold: a file that stands behind many ranges is held once.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::rc::Weak;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use rustix::fs::OFlags;
use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;
use vfio_abi::request::DmaMap;
use vfio_abi::request::DmaUnmap;
use vfio_abi::request::UnmapFlags;

/// The most ranges that a client may map.
pub(super) const MAX_MAPS: usize = 65535;

/// Device, inode and access mode: what makes two file descriptors the same to us.
type Identity = (u64, u64, u32);

/// What the client mapped.
#[derive(Debug, Default)]
pub(super) struct DmaTable {
    maps: BTreeMap<u64, Mapping>,
    files: HashMap<Identity, Weak<OwnedFd>>,
}

/// One range. The file is held so that whatever moves data can map it.
#[derive(Debug)]
struct Mapping {
    range: Span<Iova>,
    _file: Option<Rc<OwnedFd>>,
}

impl DmaTable {
    /// Maps a range. Ranges must not overlap; the one that is there stays.
    pub(super) fn map(&mut self, request: &DmaMap, files: Vec<OwnedFd>) -> Result<(), Errno> {
        let flags = DmaFlags::from_bits(request.flags.get()).filter(|flags| !flags.is_empty());
        if flags.is_none() || (request.argsz.get() as usize) < size_of::<DmaMap>() {
            return Err(Errno::EINVAL);
        }
        let range = Span::new(Iova::new(request.address.get()), request.size.get()).ok_or(Errno::EINVAL)?;
        if self.maps.len() >= MAX_MAPS {
            return Err(Errno::ENOSPC);
        }
        if self.overlapping(range).is_some() {
            return Err(Errno::EEXIST);
        }
        let file = match <[OwnedFd; 1]>::try_from(files) {
            Ok([file]) => Some(self.hold(file, request)?),
            Err(files) if files.is_empty() => None,
            Err(_) => return Err(Errno::EINVAL),
        };
        self.maps.insert(range.start().get(), Mapping { range, _file: file });
        Ok(())
    }

    /// Unmaps a range that was mapped as exactly this one, or everything.
    pub(super) fn unmap(&mut self, request: &DmaUnmap) -> Result<(), Errno> {
        let flags = UnmapFlags::from_bits(request.flags.get()).ok_or(Errno::EINVAL)?;
        if flags.contains(UnmapFlags::DIRTY_BITMAP) {
            return Err(Errno::EOPNOTSUPP);
        }
        let (address, size) = (request.address.get(), request.size.get());
        if flags.contains(UnmapFlags::ALL) {
            if address != 0 || size != 0 {
                return Err(Errno::EINVAL);
            }
            self.maps.clear();
            return Ok(());
        }
        let range = Span::new(Iova::new(address), size).ok_or(Errno::EINVAL)?;
        match self.overlapping(range) {
            Some(mapping) if mapping.range == range => {
                self.maps.remove(&address);
                Ok(())
            }
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::ENOENT),
        }
    }

    fn overlapping(&self, range: Span<Iova>) -> Option<&Mapping> {
        // Mapped ranges are disjoint, so of those that begin before the end only the last can reach in.
        let before = self.maps.range(..range.end().get()).next_back().map(|(_, mapping)| mapping);
        before.filter(|mapping| mapping.range.overlaps(range))
    }

    /// The file, held once however often it comes. A regular file must be long enough.
    fn hold(&mut self, file: OwnedFd, request: &DmaMap) -> Result<Rc<OwnedFd>, Errno> {
        let status = rustix::fs::fstat(&file).map_err(|_| Errno::EINVAL)?;
        let mode = rustix::fs::fcntl_getfl(&file).map_err(|_| Errno::EINVAL)? & OFlags::RWMODE;
        let end = request.offset.get().checked_add(request.size.get()).ok_or(Errno::EINVAL)?;
        let regular = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
        if regular && end > u64::try_from(status.st_size).unwrap_or(0) {
            return Err(Errno::EINVAL);
        }
        let identity = (status.st_dev, status.st_ino, mode.bits());
        if let Some(held) = self.files.get(&identity).and_then(Weak::upgrade) {
            return Ok(held);
        }
        self.files.retain(|_, held| held.strong_count() > 0);
        let held = Rc::new(file);
        self.files.insert(identity, Rc::downgrade(&held));
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rstest::rstest;

    use super::*;
    use crate::silicon::memory::Memory;

    fn request(flags: u32, address: u64, size: u64) -> DmaMap {
        DmaMap {
            argsz: 32.into(),
            flags: flags.into(),
            offset: 0.into(),
            address: address.into(),
            size: size.into(),
        }
    }

    fn unmapping(flags: u32, address: u64, size: u64) -> DmaUnmap {
        DmaUnmap { argsz: 24.into(), flags: flags.into(), address: address.into(), size: size.into() }
    }

    fn table() -> DmaTable {
        let mut table = DmaTable::default();
        table.map(&request(3, 0x1000, 0x2000), Vec::new()).unwrap();
        table.map(&request(1, 0x8000, 0x1000), Vec::new()).unwrap();
        table
    }

    #[rstest]
    #[case::no_permission(request(0, 0x10000, 0x1000), Errno::EINVAL)]
    #[case::an_unknown_flag(request(7, 0x10000, 0x1000), Errno::EINVAL)]
    #[case::no_length(request(3, 0x10000, 0), Errno::EINVAL)]
    #[case::past_the_end(request(3, u64::MAX - 0xfff, 0x2000), Errno::EINVAL)]
    #[case::the_same_again(request(3, 0x1000, 0x2000), Errno::EEXIST)]
    #[case::over_the_start(request(3, 0, 0x1001), Errno::EEXIST)]
    #[case::over_the_end(request(3, 0x2fff, 0x1000), Errno::EEXIST)]
    #[case::over_all(request(3, 0, 0x10_0000), Errno::EEXIST)]
    #[case::inside(request(3, 0x1800, 0x10), Errno::EEXIST)]
    #[case::a_short_structure(DmaMap { argsz: 31.into(), ..request(3, 0x10000, 0x1000) }, Errno::EINVAL)]
    fn a_range_that_cannot_be_is_refused(#[case] request: DmaMap, #[case] errno: Errno) {
        assert_eq!(table().map(&request, Vec::new()), Err(errno));
    }

    #[test]
    fn touching_ranges_are_mapped() {
        let mut table = table();
        assert_eq!(table.map(&request(3, 0, 0x1000), Vec::new()), Ok(()));
        assert_eq!(table.map(&request(3, 0x3000, 0x5000), Vec::new()), Ok(()));
    }

    #[rstest]
    #[case::exactly(unmapping(0, 0x1000, 0x2000), Ok(()))]
    #[case::half_of_it(unmapping(0, 0x1000, 0x1000), Err(Errno::EINVAL))]
    #[case::more_than_it(unmapping(0, 0, 0x9000), Err(Errno::EINVAL))]
    #[case::what_is_not_there(unmapping(0, 0x4000, 0x1000), Err(Errno::ENOENT))]
    #[case::everything(unmapping(2, 0, 0), Ok(()))]
    #[case::everything_of_a_range(unmapping(2, 0x1000, 0x2000), Err(Errno::EINVAL))]
    #[case::with_dirty_pages(unmapping(1, 0x1000, 0x2000), Err(Errno::EOPNOTSUPP))]
    #[case::an_unknown_flag(unmapping(4, 0x1000, 0x2000), Err(Errno::EINVAL))]
    fn only_what_was_mapped_is_unmapped(#[case] request: DmaUnmap, #[case] result: Result<(), Errno>) {
        assert_eq!(table().unmap(&request), result);
    }

    #[test]
    fn what_was_unmapped_can_be_mapped_again() {
        let mut table = table();
        table.unmap(&unmapping(2, 0, 0)).unwrap();
        assert_eq!(table.map(&request(3, 0x1800, 0x10), Vec::new()), Ok(()));
    }

    #[test]
    fn one_file_behind_many_ranges_is_held_once() {
        let memory = Memory::new("ram", 0x10_0000).unwrap();
        let copy = || vec![memory.file().as_fd().try_clone_to_owned().unwrap()];
        let mut table = DmaTable::default();
        for page in 0..100 {
            table.map(&request(3, page << 12, 0x1000), copy()).unwrap();
        }
        let held = table.files.values().filter_map(Weak::upgrade).next().unwrap();
        assert_eq!((table.files.len(), Rc::strong_count(&held)), (1, 101));
        table.unmap(&unmapping(2, 0, 0)).unwrap();
        assert_eq!(Rc::strong_count(&held), 1);
    }

    #[test]
    fn a_file_that_is_too_short_or_one_of_two_is_refused() {
        let memory = Memory::new("ram", 0x1000).unwrap();
        let copy = || memory.file().as_fd().try_clone_to_owned().unwrap();
        let mut table = DmaTable::default();
        assert_eq!(table.map(&request(3, 0, 0x1001), vec![copy()]), Err(Errno::EINVAL));
        assert_eq!(table.map(&request(3, 0, 0x1000), vec![copy(), copy()]), Err(Errno::EINVAL));
        assert_eq!(table.map(&request(3, 0, 0x1000), vec![copy()]), Ok(()));
    }

    #[test]
    fn a_client_cannot_map_without_end() {
        let mut table = DmaTable::default();
        for page in 0..MAX_MAPS as u64 {
            table.map(&request(3, page << 12, 0x1000), Vec::new()).unwrap();
        }
        assert_eq!(table.map(&request(3, 1 << 40, 0x1000), Vec::new()), Err(Errno::ENOSPC));
    }
}
