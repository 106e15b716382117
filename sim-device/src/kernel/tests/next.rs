//! The newest shape, which is provisional.

use vfio_abi::cxl::next::ComponentRegisters;
use vfio_abi::cxl::next::REGION_CAPABILITY;

use super::*;

const MEMORY: u32 = 9;
const REGISTERS: u32 = 10;
const CONTROL: u64 = 0x20;
const SIZE: u64 = 0x30;

/// Where the decoders are in BAR 2.
const DECODERS: u64 = BLOCK + 0x1110;

fn kernel(text: &str) -> Kernel {
    bound(text, "next")
}

#[test]
fn the_device_has_the_flag_and_no_capability() {
    let info = kernel("").device_info();
    assert_eq!(info.flags, DeviceFlags::PCI | DeviceFlags::RESET | cxl::DEVICE_FLAG);
    assert_eq!(info.num_regions, 11);
    assert!(info.chain.is_empty());
}

#[test]
fn the_regions_describe_themselves() {
    let kernel = kernel("");
    let memory = kernel.region(MEMORY).unwrap();
    let all = RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP;
    assert_eq!((memory.info.size, memory.info.flags), (256 << 20, all));
    assert_eq!(memory.info.chain.region_type(), Ok(Some((0x8000_1e98, 1))));
    let registers = kernel.region(REGISTERS).unwrap();
    assert_eq!((registers.info.size, registers.info.flags), (SIZE, RegionFlags::READ | RegionFlags::WRITE));
    assert_eq!(registers.info.chain.region_type(), Ok(Some((0x8000_1e98, 2))));
    let place = &registers.info.chain.find(REGION_CAPABILITY).unwrap().data;
    let expected = ComponentRegisters { bar: 2, offset: 0x2_1110 };
    assert_eq!(ComponentRegisters::parse(place), Ok(expected));
    assert!(registers.file.is_none());
}

#[test]
fn regions_that_are_lied_away_do_not_say_what_they_are() {
    let kernel = kernel("[faults.lies]\nno_memory_region = true\nno_register_region = true");
    for region in [MEMORY, REGISTERS] {
        assert!(kernel.region(region).unwrap().info.chain.is_empty());
    }
}

#[rstest]
#[case::two_decoders("[decoder]\ncount = 2")]
#[case::no_cxl_reset("[dvsec]\ncxl_reset_capable = false")]
fn what_it_does_not_take_stays_a_plain_device(#[case] text: &str) {
    let info = kernel(text).device_info();
    assert_eq!((info.flags, info.num_regions), (DeviceFlags::PCI | DeviceFlags::RESET, 9));
}

/// The page of the decoders, and nothing else, cannot be mapped, wherever the block is.
#[rstest]
#[case::in_the_middle("128KiB", "1MiB", &[(0, 0x2_1000), (0x2_2000, 0xd_e000)])]
#[case::at_the_start("0", "1MiB", &[(0, 0x1000), (0x2000, 0xf_e000)])]
#[case::at_the_end("960KiB", "1MiB", &[(0, 0xf_1000), (0xf_2000, 0xe000)])]
#[case::all_of_it("0", "64KiB", &[(0, 0x1000), (0x2000, 0xe000)])]
fn the_component_bar_can_be_mapped_but_for_the_page_of_the_decoders(
    #[case] offset: &str,
    #[case] size: &str,
    #[case] expected: &[(u64, u64)],
) {
    let kernel = kernel(&format!("[component]\noffset = \"{offset}\"\nbar_size = \"{size}\""));
    assert_eq!(areas(&kernel), expected);
}

#[test]
fn through_the_bar_the_decoders_read_ones_and_the_rest_of_the_block_what_it_is() {
    let mut kernel = kernel("");
    assert_eq!(read_n(&kernel, 2, DECODERS, 0x30), Ok(vec![0xff; 0x30]));
    assert_eq!(dword(&kernel, 2, BLOCK + 0x1000), 0x0211_0001);
    assert_eq!(dword(&kernel, 2, BLOCK + 0x1080 + 4), 0x0001_cfff, "the RAS mask, unmasked errors first");
    assert_eq!(kernel.write(2, DECODERS, &[0; 0x30]), Ok(0x30));
    assert_eq!(kernel.silicon().component().programming(0).size, 256 << 20);
}

#[test]
fn what_reaches_over_the_decoders_edges_is_taken_outside_and_lost_inside() {
    let mut kernel = kernel("");
    // The last dword of the RAS header log's neighbourhood, the decoders, and the dword behind them.
    let mut bytes = vec![0; 0x30 + 8];
    bytes.fill(0x55);
    assert_eq!(kernel.write(2, DECODERS - 4, &bytes), Ok(0x38));
    let seen = read_n(&kernel, 2, DECODERS - 4, 0x38).unwrap();
    assert_eq!((&seen[..4], &seen[4..0x34], &seen[0x34..]), (&[0; 4][..], &[0xff; 0x30][..], &[0; 4][..]));
}

#[test]
fn the_bar_is_judged_as_any_other() {
    let mut kernel = kernel("");
    assert_eq!(kernel.write(2, 1 << 20, &[0]), Err(Errno::EINVAL));
    assert_eq!(kernel.write(2, (1 << 20) - 1, &[0; 4]), Ok(1));
    kernel.write(CONFIG, 4, &[0, 0]).unwrap();
    assert_eq!(kernel.write(2, 0, &[0]), Err(Errno::EIO));
    assert_eq!(read_n(&kernel, MEMORY, 0, 1), Err(Errno::EIO), "memory needs decode to be on, too");
    assert_eq!(kernel.write(MEMORY, 0, &[0]), Err(Errno::EIO));
}

#[test]
fn registers_read_the_hardware_and_show_the_hosts_address() {
    let kernel = kernel("");
    let shown = read_n(&kernel, REGISTERS, 0, 0x30).unwrap();
    let dwords: Vec<u32> =
        shown.chunks(4).map(|dword| u32::from_le_bytes(dword.try_into().unwrap())).collect();
    let decoder = [0x3000_0000, 0x48, 0x1000_0000, 0, 0x700, 0, 0, 0];
    assert_eq!(dwords[..4], [0x0020_0000, 2, 0, 0]);
    assert_eq!(dwords[4..], decoder);
}

#[test]
fn every_write_to_the_registers_is_taken_and_changes_nothing() {
    let mut kernel = kernel("[firmware]\nlocked = false");
    let before = read_n(&kernel, REGISTERS, 0, 0x30).unwrap();
    for value in [0, 0xffff_ffff, 0x3000_0000] {
        for offset in (0..SIZE).step_by(4) {
            write(&mut kernel, REGISTERS, offset, value);
        }
    }
    assert_eq!(kernel.write(REGISTERS, CONTROL, &[0; 64]), Ok(0x10), "cut at the end");
    assert_eq!(read_n(&kernel, REGISTERS, 0, 0x30), Ok(before));
}

#[test]
fn registers_that_die_read_ones_from_then_on() {
    let kernel = kernel("[faults]\nregisters_die_after = 2");
    let seen = [CONTROL; 3].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(seen, [0x700, 0x700, 0xffff_ffff]);
}

#[test]
fn memory_is_cut_at_its_end_and_refused_behind() {
    let mut kernel = kernel("");
    let end = 256 << 20;
    assert_eq!(kernel.write(MEMORY, end - 2, &[1, 2, 3]), Ok(2));
    assert_eq!(read_n(&kernel, MEMORY, end - 2, 8), Ok(vec![1, 2]));
    assert_eq!(read_n(&kernel, MEMORY, end, 1), Err(Errno::EINVAL));
    assert_eq!(kernel.write(MEMORY, u64::MAX, &[1]), Err(Errno::EINVAL));
}

#[test]
fn a_reset_is_a_cxl_reset_that_brings_the_decoder_back() {
    let mut kernel = kernel("[dvsec]\nmem_clear_capable = true");
    kernel.write(MEMORY, 0, &[7]).unwrap();
    kernel.reset();
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x700);
    assert_eq!(dword(&kernel, REGISTERS, 0x10), 0x3000_0000);
    assert_eq!(read_n(&kernel, MEMORY, 0, 1), Ok(vec![0]), "and clears the memory");
}

#[test]
fn enable_bits_that_are_lost_in_a_reset_take_the_memory_with_them() {
    let kernel = kernel("[kernel]\nenable_lost_in_reset = true");
    assert_eq!(read_n(&kernel, MEMORY, 0, 1), Err(Errno::EIO));
}

mod dvsec {
    use super::super::write_word as write;
    use super::*;

    const CONTROL: u64 = DVSEC + 0x0c;
    const CONTROL_2: u64 = DVSEC + 0x10;
    const STATUS_2: u64 = DVSEC + 0x12;
    const LOCK: u64 = DVSEC + 0x14;

    #[test]
    fn control_is_plain_and_the_lock_is_fixed() {
        let mut kernel = kernel("");
        write(&mut kernel, LOCK, 1);
        assert_eq!(word(&kernel, LOCK), 0);
        write(&mut kernel, CONTROL, 0xffff);
        assert_eq!(word(&kernel, CONTROL), 0xffff);
        write(&mut kernel, CONTROL, 0);
        assert_eq!(word(&kernel, CONTROL), 0);
        assert_eq!(kernel.silicon().config().device_dvsec(0x0c), 7, "the hardware is not asked");
    }

    #[test]
    fn a_flush_is_over_at_once_and_its_request_reads_0() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL_2, 0x0003);
        assert_eq!((word(&kernel, CONTROL_2), word(&kernel, STATUS_2)), (0x0001, 0x8001));
    }

    #[test]
    fn a_cxl_reset_runs_and_says_so() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL_2, 0x0004);
        assert_eq!((word(&kernel, CONTROL_2), word(&kernel, STATUS_2)), (0, 0x8002));
        assert_eq!(dword(&kernel, REGISTERS, super::CONTROL), 0x700, "the decoder is back");
    }

    #[test]
    fn a_cxl_reset_that_fails_says_so() {
        let mut kernel = kernel("[faults]\ncxl_reset_fails = true");
        write(&mut kernel, CONTROL_2, 0x0004);
        assert_eq!(word(&kernel, STATUS_2), 0x8004);
    }

    #[test]
    fn status_2_capability_and_ranges_are_fixed() {
        let mut kernel = kernel("");
        for offset in [0x08, 0x12, 0x16, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38] {
            let before = word(&kernel, DVSEC + offset);
            write(&mut kernel, DVSEC + offset, 0xffff);
            assert_eq!(word(&kernel, DVSEC + offset), before, "{offset:#x}");
        }
    }

    #[test]
    fn a_dword_reaches_both_its_registers() {
        let mut kernel = kernel("");
        kernel.write(CONFIG, CONTROL, &0xffff_0041u32.to_le_bytes()).unwrap();
        assert_eq!(dword(&kernel, CONFIG, CONTROL), 0x0000_0041);
        kernel.write(CONFIG, CONTROL + 1, &[0x40]).unwrap();
        assert_eq!(word(&kernel, CONTROL), 0x4041);
    }

    #[test]
    fn the_shadow_is_fresh_at_open() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL, 0);
        kernel.open();
        assert_eq!(word(&kernel, CONTROL), 7);
    }
}
