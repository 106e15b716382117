//! The crate `vfio_user`, which is Cloud Hypervisor's client, against our server.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::event::EventfdFlags;
use sim_device::server::Ending;
use vfio_user::Client;

use crate::Server;

const PATIENCE: Duration = Duration::from_secs(5);

fn event() -> File {
    File::from(rustix::event::eventfd(0, EventfdFlags::NONBLOCK).unwrap())
}

#[test]
fn it_attaches_and_finds_every_region() {
    let server = Server::start("", PATIENCE);
    let client = Client::new(&server.path).unwrap();
    let sizes: Vec<_> = (0..11).filter_map(|index| Some((index, client.region(index)?.size))).collect();
    let there: Vec<_> = sizes.iter().filter(|(_, size)| *size > 0).copied().collect();
    assert_eq!(there, [(0, 0x1_0000), (2, 1 << 20), (7, 0x1000), (9, 256 << 20), (10, 0x140)]);
    // The kernel answers the VGA region of a device that has none with an error, and so does the server.
    assert!(client.region(8).is_none());
    let areas = &client.region(2).unwrap().sparse_areas;
    let areas: Vec<_> = areas.iter().map(|area| (area.offset, area.size)).collect();
    assert_eq!(areas, [(0, 0x2_0000), (0x3_0000, 0xd_0000)]);
}

#[test]
fn it_shares_the_devices_memory() {
    let server = Server::start("", PATIENCE);
    let mut client = Client::new(&server.path).unwrap();
    client.region_write(9, 0x1000, b"from the client").unwrap();
    let mapped = client.region(9).unwrap().file_offset.clone().unwrap();
    let mut seen = [0; 15];
    mapped.file().read_exact_at(&mut seen, mapped.start() + 0x1000).unwrap();
    assert_eq!(&seen, b"from the client");
    mapped.file().write_all_at(b"through the mapping", mapped.start()).unwrap();
    let mut seen = [0; 19];
    client.region_read(9, 0, &mut seen).unwrap();
    assert_eq!(&seen, b"through the mapping");
}

#[test]
fn it_reads_configuration_and_the_capability_array() {
    let server = Server::start("", PATIENCE);
    let mut client = Client::new(&server.path).unwrap();
    let mut dword = [0; 4];
    client.region_read(7, 0, &mut dword).unwrap();
    assert_eq!(u32::from_le_bytes(dword), 0xc7f2_1e98);
    client.region_read(10, 0, &mut dword).unwrap();
    assert_eq!(u32::from_le_bytes(dword), 0x0211_0001);
}

#[test]
fn it_maps_and_unmaps_memory_and_resets() {
    let server = Server::start("", PATIENCE);
    let mut client = Client::new(&server.path).unwrap();
    let ram = tempfile::tempfile().unwrap();
    ram.set_len(0x10_0000).unwrap();
    client.dma_map(0, 0x1000_0000, 0x10_0000, ram.as_raw_fd()).unwrap();
    client.dma_unmap(0x1000_0000, 0x10_0000).unwrap();
    client.reset().unwrap();
    drop(client);
    let served = server.next_served();
    assert!(matches!(served.ending, Ending::ClientLeft));
    // One region that no such device has is asked for, and nothing else is refused.
    assert_eq!(served.refused, 1);
}

#[test]
fn it_attaches_interrupts() {
    let server = Server::start("", PATIENCE);
    let mut client = Client::new(&server.path).unwrap();
    assert_eq!(client.get_irq_info(2).unwrap().count, 8);
    let vectors = [event(), event()];
    let files = vectors.iter().map(|file| file.as_raw_fd()).collect::<Vec<_>>();
    client.set_irqs(2, 0x24, 0, 2, &files).unwrap();
    client.set_irqs(2, 0x21, 1, 1, &[]).unwrap();
    let mut count = [0; 8];
    assert!(std::io::Read::read(&mut &vectors[0], &mut count).is_err());
    assert_eq!(std::io::Read::read(&mut &vectors[1], &mut count).unwrap(), 8);
}

#[test]
fn it_attaches_to_every_kind_of_block_placement() {
    for component in ["offset = 0", "offset = \"960KiB\"", "offset = 0\nbar_size = \"64KiB\""] {
        let server = Server::start(&format!("[component]\n{component}"), PATIENCE);
        let client = Client::new(&server.path).unwrap();
        assert!(client.region(9).unwrap().file_offset.is_some());
    }
}

#[test]
fn its_memory_is_read_and_written_by_the_device_and_the_end_is_signalled() {
    let server = Server::start("", PATIENCE);
    let mut client = Client::new(&server.path).unwrap();
    let ram = tempfile::tempfile().unwrap();
    ram.set_len(0x10_0000).unwrap();
    ram.write_all_at(b"from the client", 0x8000).unwrap();
    client.dma_map(0, 0x1000_0000, 0x10_0000, ram.as_raw_fd()).unwrap();
    let end = event();
    client.set_irqs(2, 0x24, 1, 1, &[end.as_raw_fd()]).unwrap();
    client.region_write(7, 4, &[6, 0]).unwrap();
    // Host to device, then device to host, with vector 1 at the end.
    for (source, destination, control) in
        [(0x1000_8000u64, 0x40u64, 0x1_000du32), (0x40, 0x1000_9000, 0x1_000b)]
    {
        client.region_write(0, 0xc000, &source.to_le_bytes()).unwrap();
        client.region_write(0, 0xc008, &destination.to_le_bytes()).unwrap();
        client.region_write(0, 0xc010, &15u32.to_le_bytes()).unwrap();
        client.region_write(0, 0xc014, &control.to_le_bytes()).unwrap();
        let mut status = [0; 4];
        client.region_read(0, 0xc018, &mut status).unwrap();
        assert_eq!(status, [2, 0, 0, 0]);
    }
    let mut seen = [0; 15];
    ram.read_exact_at(&mut seen, 0x9000).unwrap();
    assert_eq!(&seen, b"from the client");
    let mut count = [0; 8];
    std::io::Read::read_exact(&mut &end, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 2);
}
