//! What a device is compared with, as processes of their own.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;

use vfio_user::DmaMapFlags;
use vfio_user::DmaUnmapFlags;
use vfio_user::IrqInfo;
use vfio_user::Server;
use vfio_user::ServerBackend;
use vfio_user::ServerRegion;

use crate::process::LISTENING;

/// Bytes of a message that reads four bytes of a region, and of its answer; and the same of a write.
pub(super) const READ: (usize, usize) = (32, 36);
pub(super) const WRITE: (usize, usize) = (36, 32);

/// What the raw peer is told first: how many bytes come, and how many go. Both fit a byte.
pub(super) type Sizes = [u8; 2];

fn ready(socket: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{LISTENING}{}", socket.display())?;
    out.flush()
}

/// Answers so many bytes with so many bytes, one client after another, each with sizes of its own.
///
/// # Errors
/// If the system refuses.
pub fn serve_raw(socket: &Path) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let listener = UnixListener::bind(socket).map_err(text)?;
    ready(socket).map_err(text)?;
    loop {
        let (mut stream, _) = listener.accept().map_err(text)?;
        let mut sizes: Sizes = [0; 2];
        stream.read_exact(&mut sizes).map_err(text)?;
        let [comes, goes] = sizes.map(usize::from);
        let (mut question, answer) = (vec![0; comes], vec![0; goes]);
        // A client that leaves is followed by the next.
        while stream.read_exact(&mut question).and_then(|()| stream.write_all(&answer)).is_ok() {}
    }
}

/// Serves one region of four bytes through the crate `vfio_user`, one client after another.
///
/// # Errors
/// If the system refuses.
pub fn serve_crate(socket: &Path) -> Result<(), String> {
    let region_info = vfio_bindings::bindings::vfio::vfio_region_info {
        argsz: 32,
        flags: 3,
        size: 4,
        ..Default::default()
    };
    let region = ServerRegion { region_info, sparse_areas: Vec::new(), mmap_fd: None };
    let server =
        Server::new(socket, true, Vec::<IrqInfo>::new(), vec![region]).map_err(|error| error.to_string())?;
    ready(socket).map_err(|error| error.to_string())?;
    let mut register = Register { bytes: [0; 4] };
    loop {
        // A client that leaves in a rude way is followed by the next, too.
        let _ = server.run(&mut register);
    }
}

/// A device that is one register.
struct Register {
    bytes: [u8; 4],
}

impl ServerBackend for Register {
    fn region_read(&mut self, _region: u32, _offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.iter_mut().zip(self.bytes).for_each(|(to, from)| *to = from);
        Ok(())
    }

    fn region_write(&mut self, _region: u32, _offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn dma_map(
        &mut self,
        _flags: DmaMapFlags,
        _offset: u64,
        _address: u64,
        _size: u64,
        _fd: Option<File>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn dma_unmap(&mut self, _flags: DmaUnmapFlags, _address: u64, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_irqs(
        &mut self,
        _index: u32,
        _flags: u32,
        _start: u32,
        _count: u32,
        _fds: Vec<File>,
    ) -> io::Result<()> {
        Ok(())
    }
}
