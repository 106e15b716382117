//! A VMM that is not ours attaches to a device over vfio-user: all that it has of cxl-sim is the path of a socket.
//!
//! ```text
//! $ cargo run -- serve --socket /tmp/device.sock &
//! $ cargo run -p harness --example attach -- /tmp/device.sock
//! device 1e98:c7f2
//! 268435456 bytes of memory
//! the device has 0x1122334455667788 at 0x1000
//! ```
//!
//! It looks at configuration space, asks where the device's memory is, maps that, and stores in it: what a VMM does
//! before a guest runs. Without an argument it serves itself a device, as a test would.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use harness::fixture::Device;
use sim_device::kernel::DEFAULT_ABI;
use sim_device::profile::DEFAULT_PRESET;
use vfio_user::Client;
use vm_memory::Bytes;
use vm_memory::GuestAddress;
use vm_memory::GuestMemoryMmap;
use vm_memory::GuestRegionMmap;
use vm_memory::MmapRegion;

/// The region of configuration space, as in any VFIO of PCI.
const CONFIG: u32 = 7;

/// The first region behind those of PCI: vfio-cxl's device memory, in the kernel of April 2026. A VMM finds its number
/// in the CXL capability of `DEVICE_GET_INFO`.
const MEMORY: u32 = 9;

/// Where the guest of this VMM has its window.
const WINDOW: u64 = 0x4_0000_0000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    match std::env::args_os().nth(1) {
        Some(socket) => attach(Path::new(&socket), &mut out),
        None => attach(Device::start(DEFAULT_PRESET, DEFAULT_ABI)?.socket(), &mut out),
    }
}

/// Attaches to the device behind a socket, and says what it sees.
pub(crate) fn attach(socket: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut client = Client::new(socket)?;
    let (mut vendor, mut device) = ([0; 2], [0; 2]);
    client.region_read(CONFIG, 0, &mut vendor)?;
    client.region_read(CONFIG, 2, &mut device)?;
    writeln!(out, "device {:04x}:{:04x}", u16::from_le_bytes(vendor), u16::from_le_bytes(device))?;

    let region = client.region(MEMORY).ok_or("no memory region: the kernel shows a plain PCI device")?;
    let size = usize::try_from(region.size)?;
    let file = region.file_offset.clone().ok_or("the memory cannot be mapped")?;
    writeln!(out, "{size} bytes of memory")?;
    let mapped = MmapRegion::from_file(file, size)?;
    let window = GuestRegionMmap::new(mapped, GuestAddress(WINDOW)).ok_or("the window is too far up")?;
    let guest = GuestMemoryMmap::<()>::from_regions(vec![window])?;

    guest.write_obj(0x1122_3344_5566_7788_u64, GuestAddress(WINDOW + 0x1000))?;
    let mut seen = [0; 8];
    client.region_read(MEMORY, 0x1000, &mut seen)?;
    writeln!(out, "the device has {:#x} at 0x1000", u64::from_le_bytes(seen))?;
    client.shutdown()?;
    Ok(())
}
