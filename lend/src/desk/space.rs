//! What a device reaches: ranges of I/O virtual addresses, and what is behind each. Containers and address spaces of
//! an iommufd have one each; what may be mapped and unmapped differs between them and is theirs.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use sim_device::silicon::engine::CopyError;
use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;

/// Page size of the IOMMU.
pub(super) const PAGE: u64 = 0x1000;

/// Where the IOMMU translates, from the first address to the last: not where interrupts are written to.
pub(super) const WINDOWS: [(u64, u64); 2] = [(0, 0xfedf_ffff), (0xfef0_0000, (1 << 48) - 1)];

/// What is behind a range.
#[derive(Clone, Debug)]
pub(super) enum Behind {
    /// Memory of a process, from this address on. Nothing while its address is not valid.
    Process {
        /// Whose memory.
        process: i32,
        /// Where it begins, if that is known now.
        at: Option<u64>,
    },
    /// A file, from this offset on.
    File(Rc<OwnedFd>, u64),
}

/// A range that is mapped.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    /// The last address of it.
    pub(super) last: u64,
    /// What the device may do.
    pub(super) allowed: DmaFlags,
    /// What is behind it.
    pub(super) behind: Behind,
}

/// What is mapped from an address on.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// How many bytes, at least one.
    pub(super) length: u64,
    /// What they are.
    pub(super) behind: Behind,
}

/// Ranges, which never overlap.
#[derive(Debug, Default)]
pub(super) struct Space {
    maps: BTreeMap<u64, Mapping>,
}

impl Behind {
    /// What is behind an address that is `inside` bytes further on.
    fn further(&self, inside: u64) -> Self {
        match self {
            Self::Process { process, at } => {
                Self::Process { process: *process, at: at.map(|at| at.wrapping_add(inside)) }
            }
            Self::File(file, offset) => Self::File(Rc::clone(file), offset.wrapping_add(inside)),
        }
    }
}

impl Space {
    /// How many ranges are mapped.
    pub(super) fn len(&self) -> usize {
        self.maps.len()
    }

    /// Maps a range from `first` on.
    ///
    /// # Errors
    /// `EEXIST` where something of it is mapped.
    pub(super) fn map(&mut self, first: u64, mapping: Mapping) -> Result<(), Errno> {
        if self.overlapping(first, mapping.last).next().is_some() {
            return Err(Errno::EEXIST);
        }
        self.maps.insert(first, mapping);
        Ok(())
    }

    /// Where the ranges begin and end that have an address from `first` to `last`, from the lowest on.
    pub(super) fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
        // Ranges are disjoint, so only the last that begins before can reach in.
        let before = self.maps.range(..first).next_back().filter(|(_, mapping)| mapping.last >= first);
        let inside = if first <= last { Some(self.maps.range(first..=last)) } else { None };
        before.into_iter().chain(inside.into_iter().flatten()).map(|(at, mapping)| (*at, mapping.last))
    }

    /// The range that begins here.
    pub(super) fn get_mut(&mut self, first: u64) -> Option<&mut Mapping> {
        self.maps.get_mut(&first)
    }

    /// Takes away the range that begins here, and tells its length.
    pub(super) fn remove(&mut self, first: u64) -> u64 {
        let gone = self.maps.remove(&first);
        gone.map_or(0, |mapping| (mapping.last - first).wrapping_add(1))
    }

    /// The lowest page in `windows` from which `length` bytes are free.
    pub(super) fn room(&self, length: u64, windows: &[(u64, u64)]) -> Option<u64> {
        windows.iter().find_map(|(from, to)| {
            let mut at = from.checked_next_multiple_of(PAGE)?;
            loop {
                let last = at.checked_add(length.checked_sub(1)?)?;
                match self.overlapping(at, last).last() {
                    _ if last > *to => return None,
                    None => return Some(at),
                    Some((_, end)) => at = end.checked_add(1)?.checked_next_multiple_of(PAGE)?,
                }
            }
        })
    }

    /// What is mapped from `at` on, if the device may do what it `need`s there.
    pub(super) fn run(&self, at: u64, need: DmaFlags) -> Result<Run, CopyError> {
        let found = self.maps.range(..=at).next_back().filter(|(_, mapping)| mapping.last >= at);
        let (first, mapping) = found.ok_or(CopyError::Unmapped)?;
        if !mapping.allowed.contains(need) {
            return Err(CopyError::NotPermitted);
        }
        let length = (mapping.last - at).saturating_add(1);
        Ok(Run { length, behind: mapping.behind.further(at - first) })
    }

    /// From where on a mapping is behind a range that lies in one mapping, with what the device may do there.
    pub(super) fn part(&self, first: u64, last: u64) -> Option<(DmaFlags, Behind)> {
        let (start, mapping) = self.maps.range(..=first).next_back()?;
        (mapping.last >= last).then(|| (mapping.allowed, mapping.behind.further(first - start)))
    }
}

/// Whether all of a range lies in one of the windows.
pub(super) fn lies_in(windows: &[(u64, u64)], first: u64, last: u64) -> bool {
    windows.iter().any(|(from, to)| *from <= first && last <= *to)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mapping(last: u64, flags: u32) -> Mapping {
        let behind = Behind::Process { process: 1, at: Some(0x7000_0000) };
        Mapping { last, allowed: DmaFlags::from_bits_retain(flags), behind }
    }

    fn space() -> Space {
        let mut space = Space::default();
        space.map(0x1000, mapping(0x2fff, 3)).unwrap();
        space.map(0x8000, mapping(0x8fff, 1)).unwrap();
        space
    }

    #[rstest]
    #[case::over_the_start(0, 0x1000, false)]
    #[case::over_the_end(0x2fff, 0x3fff, false)]
    #[case::inside(0x1800, 0x1810, false)]
    #[case::over_all(0, u64::MAX, false)]
    #[case::touching(0x3000, 0x7fff, true)]
    #[case::behind_all(0x9000, u64::MAX, true)]
    fn ranges_do_not_overlap(#[case] first: u64, #[case] last: u64, #[case] may: bool) {
        assert_eq!(space().map(first, mapping(last, 3)).is_ok(), may);
    }

    #[rstest]
    #[case(0x1000, DmaFlags::WRITE, Ok((0x2000, 0x7000_0000)))]
    #[case(0x2fff, DmaFlags::READ, Ok((1, 0x7000_1fff)))]
    #[case(0x3000, DmaFlags::READ, Err(CopyError::Unmapped))]
    #[case(0xfff, DmaFlags::READ, Err(CopyError::Unmapped))]
    #[case(0x8000, DmaFlags::WRITE, Err(CopyError::NotPermitted))]
    fn so_much_is_mapped_from_an_address_on(
        #[case] at: u64,
        #[case] need: DmaFlags,
        #[case] found: Result<(u64, u64), CopyError>,
    ) {
        let run = space().run(at, need).map(|run| match run.behind {
            Behind::Process { at, .. } => (run.length, at.unwrap()),
            Behind::File(..) => panic!("no file was mapped"),
        });
        assert_eq!(run, found);
    }

    #[test]
    fn the_lowest_room_that_is_large_enough_is_found_in_the_windows() {
        let space = space();
        assert_eq!(space.room(0x1000, &[(0, 0xffff)]), Some(0));
        assert_eq!(space.room(0x2000, &[(0, 0xffff)]), Some(0x3000));
        assert_eq!(space.room(0x6000, &[(0, 0xffff)]), Some(0x9000));
        assert_eq!(space.room(0x6000, &[(0, 0xbfff), (0x2_0000, 0x2_ffff)]), Some(0x2_0000));
        assert_eq!(space.room(0x6000, &[(0, 0xbfff)]), None);
    }
}
