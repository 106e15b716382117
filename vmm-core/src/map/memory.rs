//! Memory of this process that a guest can be given: RAM of its own, and files that devices gave.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use cxl_spec::access::Width;
use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use vm_memory::Bytes;
use vm_memory::FileOffset;
use vm_memory::MmapRegion;
use vm_memory::VolatileMemory;

/// A part of a file, mapped here. Clones and parts are the same mapping; it goes with the last of them.
#[derive(Clone, Debug)]
pub struct HostMemory {
    mapping: Arc<MmapRegion>,
    file: Arc<File>,
    file_offset: u64,
    /// Where in the mapping this memory begins.
    start: usize,
    size: usize,
}

impl PartialEq for HostMemory {
    /// The same bytes of the same mapping, not others with the same values.
    fn eq(&self, other: &Self) -> bool {
        let range = |memory: &Self| (memory.start, memory.size);
        Arc::ptr_eq(&self.mapping, &other.mapping) && range(self) == range(other)
    }
}

impl Eq for HostMemory {}

impl HostMemory {
    /// `size` bytes of zeros that no other process can make shorter: RAM of a guest.
    ///
    /// # Errors
    /// If the system does not give it.
    pub fn ram(size: u64) -> io::Result<Self> {
        let file = File::from(rustix::fs::memfd_create(
            "guest-ram",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?);
        file.set_len(size)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Self::of_file(Arc::new(file), 0, size)
    }

    /// `size` bytes of a file from `offset`, both multiples of the page size.
    ///
    /// # Errors
    /// If the system does not map it.
    pub fn of_file(file: Arc<File>, offset: u64, size: u64) -> io::Result<Self> {
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let from = FileOffset::from_arc(file.clone(), offset);
        let mapping = MmapRegion::from_file(from, length).map_err(io::Error::other)?;
        Ok(Self { mapping: Arc::new(mapping), file, file_offset: offset, start: 0, size: length })
    }

    /// `size` bytes of this memory from `offset`; nothing if they are not all in it.
    pub fn part(&self, offset: u64, size: u64) -> Option<Self> {
        let size = usize::try_from(size).ok()?;
        let start = self.place(offset, size)?;
        Some(Self { start, size, file_offset: self.file_offset.checked_add(offset)?, ..self.clone() })
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size as u64
    }

    /// Where this process sees the memory. For a hypervisor only.
    pub(crate) fn host_address(&self) -> u64 {
        (self.mapping.as_ptr() as u64).saturating_add(self.start as u64)
    }

    /// Whether other memory is of the same file, whatever part of it and however it came here.
    ///
    /// # Errors
    /// If the system does not say.
    pub(crate) fn is_of_same_file(&self, other: &Self) -> io::Result<bool> {
        let which = |memory: &Self| memory.file.metadata().map(|status| (status.dev(), status.ino()));
        Ok(which(self)? == which(other)?)
    }

    /// The file that the memory is.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where in the file the memory begins.
    pub fn file_offset(&self) -> u64 {
        self.file_offset
    }

    /// Reads a value; nothing where there is no memory for all of it.
    pub fn load(&self, offset: u64, width: Width) -> Option<u64> {
        let mut bytes = [0; 8];
        let (wanted, _) = bytes.split_at_mut(width.bytes() as usize);
        self.read(offset, wanted)?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Writes a value; nothing where there is no memory for all of it.
    pub fn store(&self, offset: u64, width: Width, value: u64) -> Option<()> {
        let (bytes, length) = width.to_bytes(value);
        self.write(offset, bytes.get(..length)?)
    }

    /// Fills `buffer`; nothing where there is no memory for all of it.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let at = self.place(offset, buffer.len())?;
        self.mapping.as_volatile_slice().read_slice(buffer, at).ok()
    }

    /// Writes `data`; nothing where there is no memory for all of it.
    pub fn write(&self, offset: u64, data: &[u8]) -> Option<()> {
        let at = self.place(offset, data.len())?;
        self.mapping.as_volatile_slice().write_slice(data, at).ok()
    }

    /// The place in the mapping, if `length` bytes are all there. An access is done whole or not at all.
    fn place(&self, offset: u64, length: usize) -> Option<usize> {
        let at = usize::try_from(offset).ok()?;
        at.checked_add(length).filter(|end| *end <= self.size)?;
        self.start.checked_add(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_is_zero_and_keeps_what_is_stored() {
        let ram = HostMemory::ram(0x2000).unwrap();
        assert_eq!(ram.load(0x1ff8, Width::Qword), Some(0));
        ram.store(0x1ffe, Width::Word, 0xabcd).unwrap();
        assert_eq!(ram.load(0x1ff8, Width::Qword), Some(0xabcd_0000_0000_0000));
    }

    #[test]
    fn past_the_end_nothing_is_loaded_or_stored() {
        let ram = HostMemory::ram(0x1000).unwrap();
        assert_eq!(ram.load(0xffd, Width::Dword), None);
        assert_eq!(ram.store(0xffd, Width::Dword, 1), None);
        assert_eq!(ram.load(0xffc, Width::Dword), Some(0));
        assert_eq!(ram.load(u64::MAX, Width::Byte), None);
    }

    #[test]
    fn two_mappings_of_a_file_are_the_same_memory() {
        let ram = HostMemory::ram(0x2000).unwrap();
        let second = HostMemory::of_file(ram.file.clone(), 0x1000, 0x1000).unwrap();
        second.store(4, Width::Dword, 0x1234_5678).unwrap();
        assert_eq!(ram.load(0x1004, Width::Dword), Some(0x1234_5678));
    }

    #[test]
    fn a_part_is_the_same_memory_and_ends_where_it_ends() {
        let ram = HostMemory::ram(0x3000).unwrap();
        let part = ram.part(0x1000, 0x1000).unwrap();
        part.store(4, Width::Dword, 0x1234_5678).unwrap();
        assert_eq!(ram.load(0x1004, Width::Dword), Some(0x1234_5678));
        assert_eq!((part.load(0xffd, Width::Dword), part.size(), part.file_offset()), (None, 0x1000, 0x1000));
        assert_eq!(part.host_address(), ram.host_address() + 0x1000);
        assert_eq!(part.part(0x800, 0x800).unwrap(), ram.part(0x1800, 0x800).unwrap());
    }

    #[test]
    fn what_is_not_all_in_memory_is_no_part_of_it() {
        let part = HostMemory::ram(0x2000).unwrap().part(0x1000, 0x1000).unwrap();
        for (offset, size) in [(0, 0x1001), (0x1000, 1), (u64::MAX, 2)] {
            assert_eq!(part.part(offset, size), None);
        }
    }

    #[test]
    fn equal_is_the_same_place_and_not_the_same_bytes() {
        let (one, other) = (HostMemory::ram(0x1000).unwrap(), HostMemory::ram(0x1000).unwrap());
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
        assert_ne!(one, one.part(0, 0x800).unwrap());
    }
}
