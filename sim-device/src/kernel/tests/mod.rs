//! What each kernel makes of the device, revision by revision; and what holds in all of them.

mod machine;
mod next;
mod plain_pci;
mod presets;
mod sweep;
mod v2;
mod v3;

use cxl_spec::component::hdm;
use proptest::prelude::*;
use rstest::rstest;
use vfio_abi::chain::Area;
use vfio_abi::cxl;

use super::*;
use crate::profile::Profile;

const CONFIG: u32 = 7;

/// Offset in configuration space of the CXL device DVSEC.
const DVSEC: u64 = 0x150;

/// Offset in BAR 2 of the component block.
const BLOCK: u64 = 0x2_0000;

fn bound(text: &str, abi: &str) -> Kernel {
    let profile = Profile::parse("test", text).unwrap().check().unwrap();
    let mut kernel = Kernel::bind(Silicon::power_on(profile).unwrap(), Abi::named(abi).unwrap()).unwrap();
    kernel.open();
    kernel
}

fn read_n(kernel: &Kernel, region: u32, offset: u64, count: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0xee; count];
    let taken = kernel.read(region, offset, &mut buffer)?;
    buffer.truncate(taken);
    Ok(buffer)
}

fn dword(kernel: &Kernel, region: u32, offset: u64) -> u32 {
    u32::from_le_bytes(read_n(kernel, region, offset, 4).unwrap().try_into().unwrap())
}

fn write(kernel: &mut Kernel, region: u32, offset: u64, value: u32) {
    assert_eq!(kernel.write(region, offset, &value.to_le_bytes()), Ok(4));
}

/// What a device says, byte by byte, of the areas of its component BAR that can be mapped.
fn areas(kernel: &Kernel) -> Vec<(u64, u64)> {
    let areas = kernel.region(2).unwrap().info.chain.sparse_areas().unwrap().unwrap_or_default();
    areas.into_iter().map(|area: Area| (area.offset, area.size)).collect()
}

fn word(kernel: &Kernel, offset: u64) -> u16 {
    u16::from_le_bytes(read_n(kernel, CONFIG, offset, 2).unwrap().try_into().unwrap())
}

fn write_word(kernel: &mut Kernel, offset: u64, value: u16) {
    assert_eq!(kernel.write(CONFIG, offset, &value.to_le_bytes()), Ok(2));
}

#[test]
fn every_kernel_has_a_name_of_its_own_and_is_found_by_it() {
    for abi in ABIS {
        assert!(std::ptr::eq(Abi::named(abi.name).unwrap(), abi), "{abi:?}");
    }
    assert_eq!(ABIS.iter().map(|abi| abi.name).collect::<Vec<_>>(), ["v2", "v3", "next", "plain"]);
    assert!(Abi::named("v4").is_none());
}

#[rstest]
fn a_device_that_is_not_vfio_cxls_is_a_plain_pci_device(
    #[values("v2", "v3", "next", "plain")] abi: &str,
    #[values(
        "[firmware]\ncommitted = false",
        "[firmware]\nzero_size = true",
        "[ids]\nclass = 0x05_0210",
        "[faults]\nmedia_not_ready = true",
        "[faults]\ncommit_refused = true",
        "[faults]\ncommit_never_completes = true"
    )]
    text: &str,
) {
    let mut kernel = bound(text, abi);
    let info = kernel.device_info();
    assert_eq!((info.flags, info.num_regions), (DeviceFlags::PCI | DeviceFlags::RESET, 9));
    assert!(info.chain.is_empty());
    for region in [9, 10] {
        assert_eq!(kernel.region(region).unwrap_err(), Errno::EINVAL);
        assert_eq!(read_n(&kernel, region, 0, 4), Err(Errno::EINVAL));
        assert_eq!(kernel.write(region, 0, &[0]), Err(Errno::EINVAL));
    }
}

#[rstest]
fn a_decoder_that_covers_nothing_counts_where_the_profile_says_so(#[values("v2", "v3", "next")] abi: &str) {
    for (text, regions) in [
        ("[firmware]\nzero_size = true", 9),
        ("[firmware]\nzero_size = true\n[kernel]\nzero_size_counts = true", 11),
        ("[firmware]\ncommitted = false\n[kernel]\nzero_size_counts = true", 9),
    ] {
        assert_eq!(bound(text, abi).device_info().num_regions, regions, "{text}");
    }
}

#[rstest]
fn an_access_of_no_bytes_is_none(#[values("v2", "v3", "next", "plain")] abi: &str) {
    let mut kernel = bound("", abi);
    for region in 0..12 {
        assert_eq!(read_n(&kernel, region, u64::MAX, 0), Ok(vec![]));
        assert_eq!(kernel.write(region, u64::MAX, &[]), Ok(0));
    }
}

#[rstest]
fn the_memory_that_may_not_be_mapped_is_read_and_written_all_the_same(
    #[values("v2", "v3", "next")] abi: &str,
) {
    let mut kernel = bound("[kernel]\nmemory_without_mmap = true", abi);
    let memory = if abi == "v3" { 10 } else { 9 };
    let region = kernel.region(memory).unwrap();
    assert_eq!(region.info.flags, RegionFlags::READ | RegionFlags::WRITE);
    assert!(region.file.is_none());
    assert_eq!(kernel.write(memory, 0x1000, &[7; 3]), Ok(3));
    assert_eq!(read_n(&kernel, memory, 0x1000, 3), Ok(vec![7; 3]));
}

#[rstest]
#[case::overlapping("[{ offset = 0, size = 0x2000 }, { offset = 0x1000, size = 0x2000 }]")]
#[case::empty("[{ offset = 0x1000, size = 0 }]")]
#[case::outside("[{ offset = \"1MiB\", size = \"1MiB\" }]")]
#[case::none("[]")]
fn areas_are_told_as_the_profile_lies(#[case] areas: &str, #[values("v2", "v3", "next", "plain")] abi: &str) {
    let kernel = bound(&format!("[faults.lies]\nareas = {areas}"), abi);
    let told = kernel.region(2).unwrap().info.chain.sparse_areas().unwrap().unwrap();
    let expected = Profile::parse("x", &format!("[faults.lies]\nareas = {areas}")).unwrap().faults.lies.areas;
    let expected =
        expected.unwrap().into_iter().map(|area| Area { offset: area.offset.0, size: area.size.0 });
    assert_eq!(told, expected.collect::<Vec<_>>());
    assert!(kernel.region(2).unwrap().info.flags.contains(RegionFlags::MMAP));
}

proptest! {
    #[test]
    fn no_access_of_any_shape_panics(
        abi in prop::sample::select(&["v2", "v3", "next", "plain"][..]),
        accesses in prop::collection::vec(
            (0u32..13, any::<u64>(), prop::collection::vec(any::<u8>(), 0..40)), 1..30)
    ) {
        let mut kernel = bound("", abi);
        for (region, offset, data) in accesses {
            for offset in [offset, offset % 0x1200, BLOCK + 0x1000 + offset % 0x200, (1 << 20) - offset % 16] {
                let _ = kernel.write(region, offset, &data);
                let _ = read_n(&kernel, region, offset, data.len());
            }
        }
    }
}
