//! Memory of the device: a sealed file that exists only in memory, mapped here and by whoever gets the file.
//!
//! The seals promise that nobody, not even the device, can make the file shorter. So whoever maps it can touch
//! every byte without fear. Pages exist once they are written; a device of many gibibytes costs nothing at first.
//!
//! Where all that can be mapped of a device must be one file, the memories are parts of that one: see [`Ground`].

use std::fs::File;
use std::io;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use rustix::fs::FallocateFlags;
use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use vm_memory::Bytes;
use vm_memory::FileOffset;
use vm_memory::MmapRegion;
use vm_memory::VolatileMemory;

/// A run of memory, and the file that it is.
#[derive(Debug)]
pub struct Memory {
    mapping: MmapRegion,
    size: u64,
    file: File,
    /// Where in the file it begins.
    offset: u64,
}

/// Where the memories of a device are made.
#[derive(Clone, Copy, Debug)]
pub enum Ground<'a> {
    /// Each is a file of its own.
    Apart,
    /// All are parts of one file, which whoever made it has sealed as [`sealed_file`] does.
    Inside {
        /// The file.
        file: &'a File,
        /// Where in it the accelerator's memory begins.
        accelerator: u64,
        /// Where in it the memory behind the decoders begins.
        memory: u64,
    },
}

/// A file of zeros that exists only in memory and has this length for ever. The name is seen in `/proc` only.
///
/// # Errors
/// If the system does not give a file of this size.
pub fn sealed_file(name: &str, size: u64) -> io::Result<File> {
    let file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(size)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

impl Memory {
    /// `size` bytes of zeros. The name is seen in `/proc` only.
    ///
    /// # Errors
    /// If the system does not give a file of this size, or does not map it.
    pub fn new(name: &str, size: u64) -> io::Result<Self> {
        Self::within(sealed_file(name, size)?, 0, size)
    }

    /// The `size` bytes from `offset` of a sealed file.
    ///
    /// # Errors
    /// If the system does not map it.
    pub fn within(file: File, offset: u64, size: u64) -> io::Result<Self> {
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let part = FileOffset::new(file.try_clone()?, offset);
        let mapping = MmapRegion::from_file(part, length).map_err(io::Error::other)?;
        Ok(Self { mapping, size, file, offset })
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file, for mapping.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes every byte 0 again. The pages go back to the system; whoever has mapped the file sees zeros.
    pub fn clear(&self) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&self.file, flags, self.offset, self.size).is_err() {
            self.overwrite();
        }
    }

    /// Writes zeros over every byte: slower than giving the pages back, and always possible.
    fn overwrite(&self) {
        const ZEROS: [u8; 0x1000] = [0; 0x1000];
        let mut at = 0;
        while at < self.size {
            let written = self.write_bytes(at, &ZEROS) as u64;
            at = at.saturating_add(written.max(1));
        }
    }

    /// Copies into `buffer` from `offset`. Returns how many bytes there were.
    pub fn read_bytes(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.mapping.as_volatile_slice().read(buffer, at).unwrap_or(0)
    }

    /// Copies `data` to `offset`. Returns how many bytes there was room for.
    pub fn write_bytes(&self, offset: u64, data: &[u8]) -> usize {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.mapping.as_volatile_slice().write(data, at).unwrap_or(0)
    }

    /// Reads a register's worth of bytes; bytes that are not there read 0.
    pub fn read(&self, access: Access) -> u64 {
        let mut bytes = [0; 8];
        let (wanted, _) = bytes.split_at_mut(access.width().bytes() as usize);
        self.read_bytes(access.offset(), wanted);
        u64::from_le_bytes(bytes)
    }

    /// Writes a register's worth of bytes.
    pub fn write(&self, access: Access, value: u64) {
        let (bytes, length) = access.width().to_bytes(value);
        self.write_bytes(access.offset(), bytes.get(..length).unwrap_or_default());
    }

    /// Writes eight bytes at `offset`, which is a multiple of 8; anything else is ignored.
    pub fn write_u64(&self, offset: u64, value: u64) {
        if let Some(access) = Access::new(offset, Width::Qword) {
            self.write(access, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_rest_is_zero() {
        let memory = Memory::new("test", 0x2000).unwrap();
        let access = Access::new(0x1004, Width::Dword).unwrap();
        memory.write(access, 0x1234_5678);
        assert_eq!(memory.read(access), 0x1234_5678);
        assert_eq!(memory.read(Access::new(0x1000, Width::Qword).unwrap()), 0x1234_5678_0000_0000);
    }

    #[test]
    fn a_copy_stops_at_the_end() {
        let memory = Memory::new("test", 0x1000).unwrap();
        assert_eq!(memory.write_bytes(0xffe, &[1, 2, 3]), 2);
        assert_eq!(memory.read_bytes(0xfff, &mut [0; 4]), 1);
        assert_eq!(memory.read_bytes(u64::MAX, &mut [0; 4]), 0);
    }

    #[test]
    fn what_was_cleared_is_zero_for_everybody_who_maps_it() {
        for clear in [Memory::clear, Memory::overwrite] {
            let memory = Memory::new("test", 0x3000).unwrap();
            memory.write_u64(0x1000, 7);
            memory.write_u64(0x2ff8, 8);
            clear(&memory);
            let mut bytes = vec![0xff; 0x3000];
            std::os::unix::fs::FileExt::read_exact_at(memory.file(), &mut bytes, 0).unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0));
            assert_eq!(memory.file().metadata().unwrap().len(), 0x3000);
        }
    }

    #[test]
    fn a_part_of_a_file_is_cleared_and_what_is_beside_it_stays() {
        let file = sealed_file("test", 0x4000).unwrap();
        let part = |offset| Memory::within(file.try_clone().unwrap(), offset, 0x1000).unwrap();
        let (one, other) = (part(0x1000), part(0x2000));
        one.write_u64(8, 7);
        other.write_u64(0, 9);
        let mut bytes = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0x1008).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), 7);
        one.clear();
        let first = |memory: &Memory, at| memory.read(Access::new(at, Width::Qword).unwrap());
        assert_eq!((first(&one, 8), first(&other, 0)), (0, 9));
    }

    #[test]
    fn nobody_can_make_the_file_shorter() {
        let memory = Memory::new("test", 0x2000).unwrap();
        assert!(memory.file().set_len(0x1000).is_err());
        assert!(memory.file().set_len(0x3000).is_err());
    }
}
