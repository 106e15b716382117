//! Calls on an open device.

use std::os::fd::AsFd;

use rstest::rstest;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::RegionInfo;
use vfio_abi::kernel::Order;

use super::both;
use super::played::APART;
use super::played::FIRST;
use crate::backend::Backend;
use crate::backend::Failure;
use crate::backend::Shared;
use crate::backend::event::Event;
use crate::backend::fake::Fake;
use crate::backend::irqs::IrqChange;
use crate::discover::discover;

#[test]
fn a_chain_is_asked_for_with_the_room_that_it_needs() {
    for (kernel, _tree, mut device) in both() {
        let bytes = device.device_info().unwrap();
        let (info, argsz) = DeviceInfo::parse(&bytes).unwrap();
        assert_eq!((argsz, bytes.len(), info.chain.entries().len()), (56, 56, 1));
        assert_eq!(kernel.log().len(), 2, "once for the size, and once for all of it");
        assert_eq!(kernel.asked(Order::DEVICE_GET_INFO)[..4], [56, 0, 0, 0]);
    }
}

#[test]
fn a_structure_that_never_stops_growing_is_not_asked_for_forever() {
    let mut asked = Vec::new();
    let grows = |bytes: &mut [u8]| {
        asked.push(bytes.len());
        let more = (bytes.len() as u32).saturating_mul(2).to_le_bytes();
        bytes[..4].copy_from_slice(&more);
        Ok(())
    };
    assert_eq!(super::super::whole_answer(24, grows).unwrap().len(), 192);
    assert_eq!(asked, [24, 48, 96, 192]);
    let huge = |bytes: &mut [u8]| {
        bytes[..4].fill(0xff);
        Ok(())
    };
    assert_eq!(super::super::whole_answer(24, huge).unwrap().len(), 1 << 16);
}

#[test]
fn a_region_is_where_the_kernel_says_that_it_is() {
    for (kernel, _tree, mut device) in both() {
        let (bytes, file) = device.region_info(9).unwrap();
        let (info, _) = RegionInfo::parse(&bytes).unwrap();
        assert_eq!((info.offset, file.is_some()), (FIRST + 9 * APART, true));
        assert!(device.region_info(7).unwrap().1.is_none(), "what cannot be mapped has no file");
        kernel.forget();
        let mut bytes = [0; 4];
        device.read(10, 0x110, &mut bytes).unwrap();
        device.read(10, 0x114, &mut bytes).unwrap();
        device.write(10, 0x130, &[0; 4]).unwrap();
        let asked = kernel.log();
        assert_eq!(asked[asked.len() - 3..], ["read 10 0x110 4", "read 10 0x114 4", "write 10 0x130 4"]);
        assert_eq!(asked.len(), 5, "where it is was asked once, in two steps");
    }
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(4)]
#[case(8)]
fn an_access_is_one_call_of_its_width(#[case] width: usize) {
    for (kernel, _tree, mut device) in both() {
        device.region_info(7).unwrap();
        kernel.forget();
        device.read(7, 0, &mut vec![0; width]).unwrap();
        device.write(7, 0x10, &vec![0; width]).unwrap();
        assert_eq!(kernel.log(), [format!("read 7 0x0 {width}"), format!("write 7 0x10 {width}")]);
    }
}

#[test]
fn fewer_bytes_than_asked_for_are_told() {
    for (_kernel, _tree, mut device) in both() {
        let failure = device.read(7, 0xfff, &mut [0; 4]).unwrap_err().failure;
        assert_eq!(failure, Failure::Short { done: 1, asked: 4 });
    }
}

#[test]
fn a_region_that_the_kernel_refuses_has_no_bytes() {
    for (_kernel, _tree, mut device) in both() {
        let failure = device.read(8, 0, &mut [0; 4]).unwrap_err().failure;
        assert_eq!(failure, Failure::Refused(Errno::EINVAL));
    }
}

#[test]
fn an_offset_beyond_all_numbers_is_refused_here() {
    for (kernel, _tree, mut device) in both() {
        device.region_info(7).unwrap();
        kernel.forget();
        let failure = device.read(7, u64::MAX, &mut [0; 1]).unwrap_err().failure;
        assert_eq!((failure, kernel.log().len()), (Failure::Refused(Errno::EINVAL), 0));
    }
}

#[test]
fn what_is_discovered_is_what_any_other_way_shows() {
    for (_kernel, _tree, device) in both() {
        let found = discover(&Shared::new(device)).unwrap();
        let expected = discover(&Fake::committed().shared()).unwrap();
        assert_eq!(format!("{:?}", found.cxl), format!("{:?}", expected.cxl));
        assert_eq!(found.config, expected.config);
        let shape = |regions: &[crate::discover::Region]| {
            let shape = |one: &crate::discover::Region| (one.index, one.size, one.flags, one.areas.clone());
            regions.iter().map(shape).collect::<Vec<_>>()
        };
        assert_eq!(shape(&found.regions), shape(&expected.regions));
        let memory = found.region(9).unwrap();
        assert!(memory.mapping_is_safe && memory.file_offset == FIRST + 9 * APART);
    }
}

#[test]
fn interrupts_and_the_reset_are_one_order_each() {
    for (kernel, _tree, mut device) in both() {
        let event = Event::new().unwrap();
        device.set_irqs(&IrqChange::attach(2, 1, &[Some(event.as_fd()), None])).unwrap();
        device.reset().unwrap();
        let log = kernel.log();
        assert!(log[0].ends_with(": DEVICE_SET_IRQS") && log[1].ends_with(": DEVICE_RESET"), "{log:?}");
        let bytes = kernel.asked(Order::DEVICE_SET_IRQS);
        assert_eq!((bytes.len(), &bytes[12..20]), (28, &[1, 0, 0, 0, 2, 0, 0, 0][..]));
        assert_eq!(device.irq_info(2).unwrap().count.get(), 7);
        assert_eq!(device.io_events(0).unwrap_err().failure, Failure::Refused(Errno::ENOTTY));
    }
}

#[test]
fn a_device_that_was_taken_away_is_lost_for_good() {
    for (kernel, _tree, mut device) in both() {
        device.region_info(7).unwrap();
        kernel.fail("read", Errno::ENODEV);
        kernel.fail("DEVICE_GET_INFO", Errno::ENODEV);
        let lost = device.read(7, 0, &mut [0; 4]).unwrap_err();
        assert!(lost.is_lost() && lost.to_string().contains("taken out of the host"), "{lost}");
        kernel.forget();
        assert!(device.reset().unwrap_err().to_string().contains("lost earlier, at REGION_READ"));
        assert!(kernel.log().is_empty() && device.lost() == Some(lost));
    }
}

#[rstest]
#[case(Errno::ENODEV)]
#[case(Errno::EIO)]
fn a_refusal_of_a_device_that_still_answers_is_no_loss(#[case] errno: Errno) {
    for (kernel, _tree, mut device) in both() {
        kernel.fail("DEVICE_RESET", errno);
        assert_eq!(device.reset().unwrap_err().failure, Failure::Refused(errno));
        assert!(device.lost().is_none() && device.device_info().is_ok());
    }
}
