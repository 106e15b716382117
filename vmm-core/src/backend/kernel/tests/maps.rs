//! What a device is let reach.

use std::sync::Arc;

use cxl_spec::access::Width;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use rstest::rstest;
use vfio_abi::errno::Errno;
use vfio_abi::kernel::Order;
use vfio_abi::request::DmaFlags;

use super::both;
use crate::backend::Backend;
use crate::backend::Failure;
use crate::backend::Given;
use crate::map::memory::HostMemory;

const BOTH: DmaFlags = DmaFlags::READ.union(DmaFlags::WRITE);

fn span(start: u64, size: u64) -> Span<Iova> {
    Span::new(Iova::new(start), size).unwrap()
}

/// RAM with this dword at 0x1000.
fn ram(dword: u64) -> HostMemory {
    let ram = HostMemory::ram(0x3000).unwrap();
    ram.store(0x1000, Width::Dword, dword).unwrap();
    ram
}

#[test]
fn a_container_is_given_a_mapping_of_the_file_and_an_iommufd_the_file() {
    let [(type1, _t, mut by_group), (iommufd, _i, mut by_file)] = both();
    let ram = ram(0x1234_5678);
    by_group.dma_map(span(0x8000, 0x2000), ram.file(), 0x1000, DmaFlags::READ).unwrap();
    by_file.dma_map(span(0x8000, 0x2000), ram.file(), 0x1000, DmaFlags::READ).unwrap();
    assert_eq!(type1.mapped(), [(0x8000, 0x2000, Some(0x1234_5678))]);
    let bytes = type1.asked(Order::IOMMU_MAP_DMA);
    assert_eq!((&bytes[..8], &bytes[16..18]), (&[32, 0, 0, 0, 1, 0, 0, 0][..], &[0, 0x80][..]));
    assert_eq!(iommufd.mapped(), [(0x8000, 0x2000, None)]);
    let bytes = iommufd.asked(Order::IOAS_MAP_FILE);
    assert_eq!(
        bytes[..12],
        [40, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0],
        "at this address, for reading, in space 5"
    );
    assert_eq!(bytes[16..24], [0, 0x10, 0, 0, 0, 0, 0, 0], "from there in the file");
}

#[rstest]
#[case(Errno::ENOTTY)]
#[case(Errno::EINVAL)]
#[case(Errno::EOPNOTSUPP)]
fn an_iommufd_that_takes_no_file_is_given_a_mapping(#[case] errno: Errno) {
    let [_, (kernel, _tree, mut device)] = both();
    kernel.fail("IOAS_MAP_FILE", errno);
    device.dma_map(span(0x8000, 0x1000), ram(7).file(), 0x1000, BOTH).unwrap();
    assert_eq!(kernel.mapped(), [(0x8000, 0x1000, Some(7))]);
    assert_eq!(kernel.asked(Order::IOAS_MAP)[..12], [40, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0]);
}

#[test]
fn what_is_mapped_is_held_until_it_is_unmapped() {
    for (kernel, _tree, mut device) in both() {
        let ram = ram(1);
        let file = ram.file().clone();
        drop(ram);
        device.dma_map(span(0x1000, 0x1000), &file, 0x1000, BOTH).unwrap();
        let held = Arc::strong_count(&file);
        assert!(held > 1);
        assert!(matches!(&device.given()[..], [Given::File { offset: 0x1000, .. }]));
        device.dma_unmap(span(0x1000, 0x1000)).unwrap();
        assert_eq!((kernel.mapped().len(), device.given().len(), Arc::strong_count(&file)), (0, 0, 1));
        let again = device.dma_unmap(span(0x1000, 0x1000)).unwrap_err();
        assert_eq!(again.failure, Failure::Refused(Errno::ENOENT), "there is nothing any more");
    }
}

#[rstest]
#[case(Errno::EFAULT, "tolerate")]
#[case(Errno::ENOMEM, "4 KiB more (ulimit -l")]
#[case(Errno::ENOSPC, "dma_entry_limit")]
fn a_map_that_the_kernel_refuses_says_what_to_do_and_is_not_held(#[case] errno: Errno, #[case] said: &str) {
    for (kernel, _tree, mut device) in both() {
        kernel.fail("IOMMU_MAP_DMA", errno);
        kernel.fail("IOAS_MAP_FILE", errno);
        let error = device.dma_map(span(0, 0x1000), ram(1).file(), 0, BOTH).unwrap_err();
        assert_eq!(error.failure.errno(), Some(errno), "a policy can still tell");
        assert!(error.to_string().contains(said), "{error}");
        assert!(device.given().is_empty() && device.lost().is_none());
    }
}

#[test]
fn an_address_that_the_iommu_has_not_is_refused_before_it_is_asked() {
    for (kernel, _tree, mut device) in both() {
        let error = device.dma_map(span(0xffff_f000, 0x2000), ram(1).file(), 0, BOTH).unwrap_err();
        assert!(error.to_string().contains("it maps 0x0 to 0xffffffff"), "{error}");
        assert!(kernel.log().is_empty());
        device.dma_map(span(0xffff_f000, 0x1000), ram(1).file(), 0, BOTH).unwrap();
    }
}

#[test]
fn who_is_lost_remembers_what_its_successor_is_to_reach() {
    for (kernel, _tree, mut device) in both() {
        device.region_info(7).unwrap();
        device.dma_map(span(0x1000, 0x1000), ram(1).file(), 0, BOTH).unwrap();
        kernel.fail("read", Errno::ENODEV);
        kernel.fail("DEVICE_GET_INFO", Errno::ENODEV);
        device.read(7, 0, &mut [0]).unwrap_err();
        assert!(device.dma_map(span(0x5000, 0x1000), ram(1).file(), 0, BOTH).unwrap_err().is_lost());
        assert!(device.dma_unmap(span(0x1000, 0x1000)).unwrap_err().is_lost());
        let ranges: Vec<_> = device.given().iter().map(|given| given.range()).collect();
        assert_eq!(ranges, [span(0x5000, 0x1000)]);
    }
}

#[test]
fn nobody_asks_for_memory_by_messages() {
    #[derive(Debug)]
    struct Nowhere;
    impl crate::backend::DmaMemory for Nowhere {
        fn read(&self, _: Iova, _: &mut [u8]) -> Result<(), Errno> {
            Err(Errno::EFAULT)
        }
        fn write(&self, _: Iova, _: &[u8]) -> Result<(), Errno> {
            Err(Errno::EFAULT)
        }
    }
    for (_kernel, _tree, mut device) in both() {
        let error = device.dma_ask(span(0, 0x1000), Arc::new(Nowhere)).unwrap_err();
        assert_eq!(error.failure.errno(), Some(Errno::EOPNOTSUPP));
        assert!(error.to_string().contains("`reach = \"mirror\"`"), "{error}");
        assert!(device.attend().is_ok());
    }
}
