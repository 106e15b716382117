//! What the client lets the device reach: ranges of I/O virtual addresses, with or without a file behind them.
//!
//! The table is bounded, and so is what it makes us hold: a file that stands behind many ranges is held once.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Weak;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use rustix::fs::OFlags;
use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;
use vfio_abi::request::DmaMap;
use vfio_abi::request::DmaUnmap;
use vfio_abi::request::UnmapFlags;

use super::Limits;
use super::wrong::Refusal;
use super::wrong::Wrong;
use crate::silicon::engine::CopyError;

/// Device, inode and access mode: what makes two file descriptors the same to us.
type Identity = (u64, u64, u32);

/// What the client mapped.
#[derive(Debug, Default)]
pub(super) struct DmaTable {
    maps: BTreeMap<u64, Mapping>,
    files: HashMap<Identity, Weak<OwnedFd>>,
    limits: Limits,
}

/// One range.
#[derive(Debug)]
struct Mapping {
    range: Span<Iova>,
    /// What the device may do: what the client said, as far as the file allows it.
    allowed: DmaFlags,
    /// The file, and where in it the range begins.
    file: Option<(Arc<OwnedFd>, u64)>,
}

/// What is mapped from an address on, up to the end of its mapping.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// How many bytes, at least one.
    pub(super) length: u64,
    /// The file that they are, and where in it; nothing if the client must be asked for them.
    pub(super) file: Option<(&'a OwnedFd, u64)>,
}

impl DmaTable {
    /// An empty table that is never beyond these limits.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Maps a range. Ranges must not overlap; the one that is there stays.
    pub(super) fn map(&mut self, request: &DmaMap, files: Vec<OwnedFd>) -> Result<(), Refusal> {
        let flags = DmaFlags::from_bits(request.flags.get()).filter(|flags| !flags.is_empty());
        let flags = flags.ok_or(Errno::EINVAL)?;
        if (request.argsz.get() as usize) < size_of::<DmaMap>() {
            return Err(Errno::EINVAL.into());
        }
        let range = Span::new(Iova::new(request.address.get()), request.size.get()).ok_or(Errno::EINVAL)?;
        if self.maps.len() >= self.limits.dma_maps as usize {
            return Err(Wrong::OverLimit.refused());
        }
        if self.overlapping(range).is_some() {
            return Err(Errno::EEXIST.into());
        }
        let (file, allowed) = match <[OwnedFd; 1]>::try_from(files) {
            Ok([file]) => {
                let (file, mode) = self.hold(file, request)?;
                (Some((file, request.offset.get())), flags & mode)
            }
            Err(files) if files.is_empty() => (None, flags),
            Err(_) => return Err(Errno::EINVAL.into()),
        };
        self.maps.insert(range.start().get(), Mapping { range, allowed, file });
        Ok(())
    }

    /// Forgets whatever overlaps a range that is to be mapped.
    pub(super) fn make_room(&mut self, request: &DmaMap) {
        if let Some(range) = Span::new(Iova::new(request.address.get()), request.size.get()) {
            self.maps.retain(|_, mapping| !mapping.range.overlaps(range));
        }
    }

    /// What is mapped from `at` on, if the device may do what it `need`s there.
    pub(super) fn run(&self, at: Iova, need: DmaFlags) -> Result<Run<'_>, CopyError> {
        let before = self.maps.range(..=at.get()).next_back().map(|(_, mapping)| mapping);
        let found = before.and_then(|mapping| Some((mapping, mapping.range.offset_of(at)?)));
        let (mapping, inside) = found.ok_or(CopyError::Unmapped)?;
        if !mapping.allowed.contains(need) {
            return Err(CopyError::NotPermitted);
        }
        // `map` has shown that the range ends inside what a file offset can say.
        let file = mapping.file.as_ref().map(|(file, offset)| (&**file, offset.saturating_add(inside)));
        Ok(Run { length: mapping.range.size().saturating_sub(inside), file })
    }

    /// Unmaps all that was mapped inside of a range, as the kernel's type 1 does: an emulated IOMMU takes back what it
    /// may have given without asking what that was. What is mapped across an end of it stays, and so does all else.
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
        let (start, end) = (range.start().get(), range.end().get());
        let before = self.maps.range(..start).next_back().map(|(_, mapping)| mapping);
        let last = self.overlapping(range).ok_or(Errno::ENOENT)?;
        if last.range.end().get() > end || before.is_some_and(|mapping| mapping.range.overlaps(range)) {
            return Err(Errno::EINVAL);
        }
        self.maps.retain(|first, _| !(start..end).contains(first));
        Ok(())
    }

    fn overlapping(&self, range: Span<Iova>) -> Option<&Mapping> {
        // Mapped ranges are disjoint, so of those that begin before the end only the last can reach in.
        let before = self.maps.range(..range.end().get()).next_back().map(|(_, mapping)| mapping);
        before.filter(|mapping| mapping.range.overlaps(range))
    }

    /// The file, held once however often it comes, and what may be done with it. A regular file must be long enough.
    fn hold(&mut self, file: OwnedFd, request: &DmaMap) -> Result<(Arc<OwnedFd>, DmaFlags), Refusal> {
        let status = rustix::fs::fstat(&file).map_err(|_| Errno::EINVAL)?;
        let mode = rustix::fs::fcntl_getfl(&file).map_err(|_| Errno::EINVAL)? & OFlags::RWMODE;
        let end = request.offset.get().checked_add(request.size.get()).ok_or(Errno::EINVAL)?;
        let regular = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
        if regular && end > u64::try_from(status.st_size).unwrap_or(0) {
            return Err(Errno::EINVAL.into());
        }
        let identity = (status.st_dev, status.st_ino, mode.bits());
        let allowed = allowed_by(mode);
        if let Some(held) = self.files.get(&identity).and_then(Weak::upgrade) {
            return Ok((held, allowed));
        }
        self.files.retain(|_, held| held.strong_count() > 0);
        if self.files.len() >= self.limits.dma_files as usize {
            return Err(Wrong::OverLimit.refused());
        }
        let held = Arc::new(file);
        self.files.insert(identity, Arc::downgrade(&held));
        Ok((held, allowed))
    }
}

/// What a file that was opened so lets the device do.
fn allowed_by(mode: OFlags) -> DmaFlags {
    match mode {
        OFlags::RDONLY => DmaFlags::READ,
        OFlags::WRONLY => DmaFlags::WRITE,
        _ => DmaFlags::READ | DmaFlags::WRITE,
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
        assert_eq!(table().map(&request, Vec::new()), Err(errno.into()));
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
    #[case::its_end(unmapping(0, 0x2000, 0x1000), Err(Errno::EINVAL))]
    #[case::over_its_start(unmapping(0, 0, 0x2000), Err(Errno::EINVAL))]
    #[case::over_the_start_of_the_last(unmapping(0, 0, 0x8800), Err(Errno::EINVAL))]
    #[case::over_the_end_of_the_first(unmapping(0, 0x2000, 0x8000), Err(Errno::EINVAL))]
    #[case::more_than_both(unmapping(0, 0, 0x1_0000), Ok(()))]
    #[case::up_to_their_ends(unmapping(0, 0x1000, 0x8000), Ok(()))]
    #[case::what_is_not_there(unmapping(0, 0x4000, 0x1000), Err(Errno::ENOENT))]
    #[case::everything(unmapping(2, 0, 0), Ok(()))]
    #[case::everything_of_a_range(unmapping(2, 0x1000, 0x2000), Err(Errno::EINVAL))]
    #[case::with_dirty_pages(unmapping(1, 0x1000, 0x2000), Err(Errno::EOPNOTSUPP))]
    #[case::an_unknown_flag(unmapping(4, 0x1000, 0x2000), Err(Errno::EINVAL))]
    fn only_what_was_mapped_is_unmapped(#[case] request: DmaUnmap, #[case] result: Result<(), Errno>) {
        assert_eq!(table().unmap(&request), result);
    }

    #[test]
    fn of_a_range_that_is_unmapped_only_what_is_inside_is_gone() {
        let mut table = table();
        table.unmap(&unmapping(0, 0x4000, 0x8000)).unwrap();
        assert!(table.run(Iova::new(0x8000), DmaFlags::READ).is_err());
        assert!(table.run(Iova::new(0x2fff), DmaFlags::READ).is_ok());
        assert_eq!(table.unmap(&unmapping(0, 0x2000, 0x8000)), Err(Errno::EINVAL));
        assert!(table.run(Iova::new(0x2fff), DmaFlags::READ).is_ok());
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
        assert_eq!((table.files.len(), Arc::strong_count(&held)), (1, 101));
        table.unmap(&unmapping(2, 0, 0)).unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_file_that_is_too_short_or_one_of_two_is_refused() {
        let memory = Memory::new("ram", 0x1000).unwrap();
        let copy = || memory.file().as_fd().try_clone_to_owned().unwrap();
        let mut table = DmaTable::default();
        assert_eq!(table.map(&request(3, 0, 0x1001), vec![copy()]), Err(Errno::EINVAL.into()));
        assert_eq!(table.map(&request(3, 0, 0x1000), vec![copy(), copy()]), Err(Errno::EINVAL.into()));
        assert_eq!(table.map(&request(3, 0, 0x1000), vec![copy()]), Ok(()));
    }

    fn run(table: &DmaTable, at: u64, need: DmaFlags) -> Result<(u64, Option<u64>), CopyError> {
        let run = table.run(Iova::new(at), need)?;
        Ok((run.length, run.file.map(|(_, offset)| offset)))
    }

    #[rstest]
    #[case::at_the_start(0x1000, DmaFlags::WRITE, Ok((0x2000, None)))]
    #[case::inside(0x1800, DmaFlags::READ, Ok((0x1800, None)))]
    #[case::the_last_byte(0x2fff, DmaFlags::READ, Ok((1, None)))]
    #[case::right_behind(0x3000, DmaFlags::READ, Err(CopyError::Unmapped))]
    #[case::right_before(0xfff, DmaFlags::READ, Err(CopyError::Unmapped))]
    #[case::may_be_read(0x8000, DmaFlags::READ, Ok((0x1000, None)))]
    #[case::may_not_be_written(0x8000, DmaFlags::WRITE, Err(CopyError::NotPermitted))]
    #[case::at_the_end_of_the_space(u64::MAX, DmaFlags::READ, Err(CopyError::Unmapped))]
    fn from_an_address_on_so_much_is_mapped(
        #[case] at: u64,
        #[case] need: DmaFlags,
        #[case] found: Result<(u64, Option<u64>), CopyError>,
    ) {
        assert_eq!(run(&table(), at, need), found);
    }

    #[test]
    fn a_range_of_a_file_begins_where_the_client_says_and_is_written_only_if_the_file_can_be() {
        let memory = Memory::new("ram", 0x4000).unwrap();
        let file = |mode: OFlags| {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(memory.file()));
            vec![rustix::fs::open(path, mode | OFlags::CLOEXEC, rustix::fs::Mode::empty()).unwrap()]
        };
        let mut table = DmaTable::default();
        let second_page = |address| DmaMap { offset: 0x1000.into(), ..request(3, address, 0x2000) };
        table.map(&second_page(0x8000), file(OFlags::RDWR)).unwrap();
        table.map(&second_page(0x1_0000), file(OFlags::RDONLY)).unwrap();
        assert_eq!(run(&table, 0x8010, DmaFlags::WRITE), Ok((0x1ff0, Some(0x1010))));
        assert_eq!(run(&table, 0x1_0010, DmaFlags::READ), Ok((0x1ff0, Some(0x1010))));
        assert_eq!(run(&table, 0x1_0010, DmaFlags::WRITE), Err(CopyError::NotPermitted));
    }

    #[rstest]
    #[case::by_default(DmaTable::default(), 65535)]
    #[case::of_three(DmaTable::new(Limits { dma_maps: 3, ..Limits::default() }), 3)]
    fn a_client_cannot_map_without_end(#[case] mut table: DmaTable, #[case] most: u64) {
        for page in 0..most {
            table.map(&request(3, page << 12, 0x1000), Vec::new()).unwrap();
        }
        let over = Refusal { errno: Errno::ENOSPC, wrong: Some(Wrong::OverLimit) };
        assert_eq!(table.map(&request(3, 1 << 40, 0x1000), Vec::new()), Err(over));
        table.unmap(&unmapping(0, 0, 0x1000)).unwrap();
        assert_eq!(table.map(&request(3, 1 << 40, 0x1000), Vec::new()), Ok(()));
    }

    #[test]
    fn a_client_cannot_have_files_held_without_end_and_one_that_is_held_needs_no_room() {
        let memories: Vec<_> = (0..3).map(|_| Memory::new("ram", 0x1000).unwrap()).collect();
        let copy = |memory: usize| vec![memories[memory].file().as_fd().try_clone_to_owned().unwrap()];
        let mut table = DmaTable::new(Limits { dma_files: 2, ..Limits::default() });
        table.map(&request(3, 0, 0x1000), copy(0)).unwrap();
        table.map(&request(3, 0x1000, 0x1000), copy(1)).unwrap();
        let over = Refusal { errno: Errno::ENOSPC, wrong: Some(Wrong::OverLimit) };
        assert_eq!(table.map(&request(3, 0x2000, 0x1000), copy(2)), Err(over));
        assert_eq!(table.map(&request(3, 0x2000, 0x1000), copy(1)), Ok(()));
        assert_eq!(table.map(&request(3, 0x3000, 0x1000), Vec::new()), Ok(()));
        table.unmap(&unmapping(0, 0, 0x1000)).unwrap();
        assert_eq!(table.map(&request(3, 0, 0x1000), copy(2)), Ok(()));
    }
}
