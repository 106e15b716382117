//! The revision of April 2026.

use vfio_abi::cxl::v2::DeviceCapability;
use vfio_abi::cxl::v2::Flags;

use super::*;

const MEMORY: u32 = 9;
const REGISTERS: u32 = 10;

/// Offsets in the component register region: HDM decoders, decoder 0, its control; and the region's length.
const HDM: u64 = 0x110;
const BASE_LOW: u64 = 0x120;
const BASE_HIGH: u64 = 0x124;
const SIZE_LOW: u64 = 0x128;
const CONTROL: u64 = 0x130;
const SIZE: u64 = 0x140;

fn kernel(text: &str) -> Kernel {
    bound(text, "v2")
}

fn capability(kernel: &Kernel) -> DeviceCapability {
    let info = kernel.device_info();
    DeviceCapability::parse(&info.chain.find(cxl::DEVICE_CAPABILITY).unwrap().data).unwrap()
}

#[test]
fn a_committed_device_is_shown_as_a_cxl_device_with_two_regions_more() {
    let info = kernel("").device_info();
    assert_eq!(info.flags, DeviceFlags::PCI | DeviceFlags::RESET | cxl::DEVICE_FLAG);
    assert_eq!((info.num_regions, info.num_irqs), (11, 5));
}

#[test]
fn the_capability_has_the_worked_examples_geometry() {
    let expected = DeviceCapability {
        hdm_regs_bar_index: 2,
        flags: Flags::FIRMWARE_COMMITTED | Flags::CACHE_CAPABLE,
        hdm_regs_offset: 0x2_1000,
        dpa_region_index: 9,
        comp_regs_region_index: 10,
    };
    assert_eq!(capability(&kernel("")), expected);
}

#[test]
fn an_uncommitted_device_is_shown_without_the_flag_on_request() {
    let kernel = kernel("[firmware]\ncommitted = false\n[kernel]\nshow_uncommitted = true");
    assert_eq!(capability(&kernel).flags, Flags::CACHE_CAPABLE);
    assert_eq!(read_n(&kernel, MEMORY, 0, 4), Err(Errno::EIO));
}

#[test]
fn the_memory_region_can_be_mapped_and_says_what_it_is() {
    let kernel = kernel("");
    let region = kernel.region(MEMORY).unwrap();
    assert_eq!(region.info.size, 256 << 20);
    assert_eq!(region.info.flags, RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP);
    assert_eq!(region.info.chain.region_type(), Ok(Some((0x8000_1e98, 1))));
    assert_eq!(region.file.unwrap().metadata().unwrap().len(), 256 << 20);
}

#[test]
fn the_component_register_region_cannot_be_mapped_and_ends_with_the_decoders() {
    let kernel = kernel("[decoder]\ncount = 4");
    let region = kernel.region(REGISTERS).unwrap();
    assert_eq!(region.info.size, 0x110 + 0x10 + 4 * 0x20);
    assert_eq!(region.info.flags, RegionFlags::READ | RegionFlags::WRITE);
    assert_eq!(region.info.chain.region_type(), Ok(Some((0x8000_1e98, 2))));
    assert!(region.file.is_none());
}

#[rstest]
#[case::in_the_middle("128KiB", "1MiB", &[(0, 0x2_0000), (0x3_0000, 0xd_0000)])]
#[case::at_the_start("0", "1MiB", &[(0x1_0000, 0xf_0000)])]
#[case::at_the_end("960KiB", "1MiB", &[(0, 0xf_0000)])]
#[case::all_of_it("0", "64KiB", &[])]
fn the_component_bar_can_be_mapped_around_the_block(
    #[case] offset: &str,
    #[case] size: &str,
    #[case] areas: &[(u64, u64)],
) {
    let kernel =
        kernel(&format!("[component]\noffset = \"{}\"\nbar_size = \"{size}\"", offset.replace("\"", "")));
    let region = kernel.region(2).unwrap();
    let expected: Vec<_> = areas.iter().map(|(offset, size)| Area { offset: *offset, size: *size }).collect();
    let listed = region.info.chain.sparse_areas().unwrap();
    assert_eq!(listed.unwrap_or_default(), expected);
    assert_eq!(region.info.flags.contains(RegionFlags::MMAP), !areas.is_empty());
    assert_eq!(region.file.is_some(), !areas.is_empty());
}

#[rstest]
#[case::interrupts(0, 0x1_0000, true)]
#[case::upper_half_of_bar_0(1, 0, false)]
#[case::no_bar(5, 0, false)]
#[case::no_rom(6, 0, false)]
#[case::configuration(7, 0x1000, true)]
fn a_region_that_is_there_can_be_read_and_written(
    #[case] index: u32,
    #[case] size: u64,
    #[case] there: bool,
) {
    let kernel = kernel("");
    let region = kernel.region(index).unwrap();
    assert_eq!(region.info.size, size);
    assert_eq!(region.info.flags == RegionFlags::READ | RegionFlags::WRITE, there);
    assert_eq!(region.info.flags.is_empty(), !there);
    assert!(region.file.is_none());
}

#[rstest]
#[case::vga(8)]
#[case::behind_the_last(11)]
#[case::no_region(u32::MAX)]
fn a_region_that_no_device_has_is_refused(#[case] index: u32) {
    assert_eq!(kernel("").region(index).unwrap_err(), Errno::EINVAL);
}

#[rstest]
// An event is 1, maskable 2, masked by itself 4, of a number that stays 8.
#[case::intx(0, 0, 7)]
#[case::msi(1, 0, 9)]
#[case::msix(2, 8, 9)]
#[case::err(3, 1, 9)]
#[case::req(4, 1, 9)]
fn interrupts_have_their_vectors(#[case] index: u32, #[case] count: u32, #[case] flags: u32) {
    let info = kernel("").irq(index).unwrap();
    assert_eq!((info.argsz.get(), info.index.get(), info.count.get()), (16, index, count));
    assert_eq!(info.flags.get(), flags);
    assert_eq!(kernel("").irq(5).unwrap_err(), Errno::EINVAL);
}

/// What the shape rule says in words: nothing for nothing; at or behind the end an error; what is left of the
/// length after cutting it at the end must be four bytes at a multiple of four.
fn shape(offset: u64, length: u64) -> Result<usize, Errno> {
    let left = SIZE.saturating_sub(offset);
    match (length, left, length.min(left)) {
        (0, ..) => Ok(0),
        (_, 0, _) => Err(Errno::EINVAL),
        (_, _, 4) if offset.is_multiple_of(4) => Ok(4),
        _ => Err(Errno::EINVAL),
    }
}

#[test]
fn every_offset_and_length_of_the_component_registers_obeys_the_shape_rule() {
    let mut kernel = kernel("");
    for offset in (0..SIZE + 16).chain([u64::MAX - 8, u64::MAX]) {
        for length in 0..=9 {
            let expected = shape(offset, length as u64);
            assert_eq!(
                read_n(&kernel, REGISTERS, offset, length).map(|bytes| bytes.len()),
                expected,
                "{offset:#x} {length}"
            );
            // Written is what is read, so that the sweep changes nothing.
            let bytes = read_n(&kernel, REGISTERS, offset & !3, 4).unwrap_or(vec![0; 4]).repeat(3);
            assert_eq!(kernel.write(REGISTERS, offset, &bytes[..length]), expected, "{offset:#x} {length}");
        }
    }
}

#[test]
fn eight_bytes_at_the_last_dword_are_four_and_at_the_first_are_refused() {
    let kernel = kernel("");
    assert_eq!(read_n(&kernel, REGISTERS, SIZE - 4, 8).unwrap().len(), 4);
    assert_eq!(read_n(&kernel, REGISTERS, 0, 8), Err(Errno::EINVAL));
}

#[test]
fn the_shadow_hides_base_and_lock_and_shows_the_size() {
    let kernel = kernel("");
    let shown = [BASE_LOW, BASE_HIGH, SIZE_LOW, CONTROL].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(shown, [0, 0, 0x1000_0000, 0x600]);
}

#[test]
fn of_a_decoder_that_firmware_did_not_lock_the_hosts_address_shows() {
    let kernel = kernel("[firmware]\nlocked = false");
    let shown = [BASE_LOW, BASE_HIGH, CONTROL].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(shown, [0x3000_0000, 0x48, 0x600]);
}

/// Each dword after all ones and after zeros were written to it, from the state after open.
#[test]
fn every_dword_of_the_component_registers_takes_what_the_table_says() {
    let fresh = kernel("");
    for offset in (0..SIZE).step_by(4) {
        let reset = dword(&fresh, REGISTERS, offset);
        let (ones, zeros) = match offset {
            0x114 => (0x2, 0),
            BASE_LOW | SIZE_LOW => (0xf000_0000, 0),
            BASE_HIGH | 0x12c => (0xffff_ffff, 0),
            // All that can be set: granularity, ways, lock, commit, back-invalidate; committed follows commit.
            // It is locked then, so that zeros clear the lock and nothing else.
            CONTROL => (0x27ff, 0x26ff),
            _ => (reset, reset),
        };
        let mut kernel = kernel("");
        write(&mut kernel, REGISTERS, offset, 0xffff_ffff);
        assert_eq!(dword(&kernel, REGISTERS, offset), ones, "ones at {offset:#x}");
        write(&mut kernel, REGISTERS, offset, 0);
        assert_eq!(dword(&kernel, REGISTERS, offset), zeros, "zeros at {offset:#x}");
    }
}

#[test]
fn a_locked_decoder_takes_no_range_and_a_committed_one_does() {
    let mut kernel = kernel("");
    write(&mut kernel, REGISTERS, BASE_LOW, 0x5000_0000);
    assert_eq!(dword(&kernel, REGISTERS, BASE_LOW), 0x5000_0000);
    write(&mut kernel, REGISTERS, CONTROL, 0x300);
    for offset in [BASE_LOW, BASE_HIGH, SIZE_LOW, 0x12c] {
        let before = dword(&kernel, REGISTERS, offset);
        write(&mut kernel, REGISTERS, offset, 0xf000_0000);
        assert_eq!(dword(&kernel, REGISTERS, offset), before, "{offset:#x}");
    }
}

#[test]
fn clearing_the_lock_loses_the_rest_of_the_write() {
    let mut kernel = kernel("");
    write(&mut kernel, REGISTERS, CONTROL, 0x300);
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x700);
    write(&mut kernel, REGISTERS, CONTROL, 0x000);
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x600, "commit was not cleared with the lock");
    write(&mut kernel, REGISTERS, CONTROL, 0x000);
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x000);
}

#[test]
fn any_base_and_size_commit() {
    let mut kernel = kernel("");
    for (offset, value) in [(CONTROL, 0), (BASE_HIGH, 0xffff_ffff), (SIZE_LOW, 0), (CONTROL, 0x200)] {
        write(&mut kernel, REGISTERS, offset, value);
    }
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x600);
}

#[test]
fn no_write_to_the_component_registers_reaches_the_hardware() {
    let mut kernel = kernel("[firmware]\nlocked = false");
    for offset in (0..SIZE).step_by(4) {
        write(&mut kernel, REGISTERS, offset, 0xffff_ffff);
    }
    let hardware = kernel.silicon().component();
    assert_eq!(hardware.programming(0).base, kernel.silicon().profile().host_range().start());
    assert!(hardware.decoder_state(0).is_active());
}

#[test]
fn memory_is_read_and_written_and_its_end_is_quiet() {
    let mut kernel = kernel("");
    let end = 256 << 20;
    assert_eq!(kernel.write(MEMORY, end - 2, &[1, 2, 3]), Ok(2));
    assert_eq!(read_n(&kernel, MEMORY, end - 2, 8), Ok(vec![1, 2]));
    assert_eq!(read_n(&kernel, MEMORY, end, 8), Ok(vec![]));
    assert_eq!(kernel.write(MEMORY, u64::MAX, &[1]), Ok(0));
}

#[test]
fn what_maps_a_device_with_detached_memory_is_not_its_memory() {
    let mut broken = kernel("[faults]\ndetached_memory = true");
    broken.write(MEMORY, 0, &[7]).unwrap();
    let file = broken.region(MEMORY).unwrap().file.unwrap();
    let mut byte = [0xff];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut byte, 0).unwrap();
    assert_eq!(byte, [0]);
    assert_eq!(read_n(&broken, MEMORY, 0, 1), Ok(vec![7]));
}

#[test]
fn a_bar_answers_while_memory_decode_is_on() {
    let mut kernel = kernel("");
    assert_eq!(read_n(&kernel, 2, 0, 8).unwrap(), b"CXL-SIM\0");
    kernel.write(CONFIG, 4, &[0, 0]).unwrap();
    assert_eq!(read_n(&kernel, 2, 0, 8), Err(Errno::EIO));
    assert_eq!(kernel.write(2, 0, &[0]), Err(Errno::EIO));
    assert_eq!(read_n(&kernel, MEMORY, 0, 1).unwrap().len(), 1, "the memory is not behind a BAR");
}

#[test]
fn a_bar_is_cut_at_its_end() {
    let kernel = kernel("");
    assert_eq!(read_n(&kernel, 0, 0xfffc, 16).unwrap().len(), 4);
    assert_eq!(read_n(&kernel, 0, 0x1_0000, 1), Err(Errno::EINVAL));
}

#[test]
fn configuration_is_read_whole_and_ends_with_a_fault() {
    let kernel = kernel("");
    let all = read_n(&kernel, CONFIG, 0, 0x2000).unwrap();
    assert_eq!((all.len(), &all[..4]), (0x1000, &[0x98, 0x1e, 0xf2, 0xc7][..]));
    assert_eq!(read_n(&kernel, CONFIG, 0x1000, 1), Err(Errno::EFAULT));
    assert_eq!(read_n(&kernel, CONFIG, 3, 2).unwrap(), [0xc7, 0x02], "an unaligned read is taken apart");
}

#[test]
fn opening_turns_memory_decode_on_and_bus_mastering_off() {
    let mut kernel = kernel("");
    kernel.write(CONFIG, 4, &[4, 0]).unwrap();
    kernel.open();
    assert_eq!(read_n(&kernel, CONFIG, 4, 2).unwrap(), [2, 0]);
}

#[test]
fn a_reset_restores_configuration_and_scrubs_the_shadow_again() {
    let mut kernel = kernel("");
    kernel.write(CONFIG, 0x18, &0x8000_0000u32.to_le_bytes()).unwrap();
    write(&mut kernel, REGISTERS, BASE_LOW, 0x5000_0000);
    write(&mut kernel, REGISTERS, CONTROL, 0x300);
    kernel.write(MEMORY, 0, &[7]).unwrap();
    kernel.reset();
    assert_eq!(dword(&kernel, CONFIG, 0x18), 0x8000_000c);
    assert_eq!((dword(&kernel, REGISTERS, BASE_LOW), dword(&kernel, REGISTERS, CONTROL)), (0, 0x600));
    assert_eq!(read_n(&kernel, MEMORY, 0, 1), Ok(vec![7]));
}

#[test]
fn the_guests_base_outlives_a_reset_where_that_is_mended_and_not_the_first_open() {
    let mut kernel = kernel("[kernel]\nfixed_base_lost_in_reset = true");
    assert_eq!(dword(&kernel, REGISTERS, BASE_LOW), 0);
    write(&mut kernel, REGISTERS, BASE_LOW, 0x5000_0000);
    write(&mut kernel, REGISTERS, BASE_HIGH, 0x12);
    kernel.reset();
    let seen = [BASE_LOW, BASE_HIGH, CONTROL].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(seen, [0x5000_0000, 0x12, 0x600]);
}

#[test]
fn a_function_level_reset_through_configuration_is_a_reset() {
    let mut kernel = kernel("");
    write(&mut kernel, REGISTERS, BASE_LOW, 0x5000_0000);
    kernel.write(CONFIG, 0x48, &0xa910u16.to_le_bytes()).unwrap();
    assert_eq!(dword(&kernel, REGISTERS, BASE_LOW), 0);
}

#[rstest]
#[case::base_dropped("base_write_dropped", BASE_HIGH, 0x77, 0)]
#[case::commit_ignored("commit_ignored", CONTROL, 0x200, 0x200)]
fn a_broken_device_breaks_as_its_profile_says(
    #[case] fault: &str,
    #[case] offset: u64,
    #[case] value: u32,
    #[case] read: u32,
) {
    let mut kernel = kernel(&format!("[faults]\n{fault} = true"));
    write(&mut kernel, REGISTERS, offset, value);
    assert_eq!(dword(&kernel, REGISTERS, offset), read);
}

#[test]
fn a_lock_that_cannot_be_cleared_stays() {
    let mut kernel = kernel("[faults]\nlock_clear_ignored = true");
    write(&mut kernel, REGISTERS, CONTROL, 0x300);
    write(&mut kernel, REGISTERS, CONTROL, 0);
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x700);
}

#[test]
fn an_array_without_hdm_decoders_has_an_entry_to_skip() {
    let kernel = kernel("[faults]\nhdm_missing = true");
    assert_eq!((dword(&kernel, REGISTERS, 0), dword(&kernel, REGISTERS, 8)), (0x0211_0001, 0));
    assert_eq!(dword(&kernel, REGISTERS, HDM), 0x0020_0000);
}

#[test]
fn a_lock_that_is_shown_is_cleared_by_a_write_without_it() {
    let mut kernel = kernel("[kernel]\nshow_lock = true");
    assert_eq!((dword(&kernel, REGISTERS, CONTROL), dword(&kernel, REGISTERS, BASE_LOW)), (0x700, 0));
    write(&mut kernel, REGISTERS, CONTROL, 0x600);
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x600);
}

#[test]
fn a_lock_that_freezes_nothing_lets_the_range_be_written() {
    let mut kernel = kernel("[faults]\nlock_freezes_nothing = true");
    write(&mut kernel, REGISTERS, CONTROL, 0x300);
    write(&mut kernel, REGISTERS, BASE_LOW, 0x5000_0000);
    write(&mut kernel, REGISTERS, SIZE_LOW, 0x2000_0000);
    let range = [BASE_LOW, SIZE_LOW].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(range, [0x5000_0000, 0x2000_0000]);
}

#[test]
fn registers_that_die_read_ones_from_then_on() {
    let kernel = kernel("[faults]\nregisters_die_after = 2");
    let seen = [0; 4].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(seen, [0x0211_0001, 0x0211_0001, 0xffff_ffff, 0xffff_ffff]);
}

mod dvsec {
    use super::*;

    const CAPABILITY: u64 = DVSEC + 0x0a;
    const CONTROL: u64 = DVSEC + 0x0c;
    const CONTROL_2: u64 = DVSEC + 0x10;
    const STATUS_2: u64 = DVSEC + 0x12;
    const LOCK: u64 = DVSEC + 0x14;
    const BASE_LOW: u64 = DVSEC + 0x24;

    use super::super::write_word as write;

    #[test]
    fn control_takes_its_named_bits_and_keeps_io_enable() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL, 0xffff);
        assert_eq!(word(&kernel, CONTROL), 0x4fff);
        write(&mut kernel, CONTROL, 0);
        assert_eq!(word(&kernel, CONTROL), 0x0002);
        assert_eq!(kernel.silicon().config().device_dvsec(0x0c), 7, "the hardware is not asked");
    }

    #[test]
    fn the_lock_sticks_and_freezes_control_but_not_control_2() {
        let mut kernel = kernel("");
        write(&mut kernel, LOCK, 0xfffe);
        assert_eq!(word(&kernel, LOCK), 0);
        write(&mut kernel, LOCK, 1);
        write(&mut kernel, LOCK, 0);
        assert_eq!(word(&kernel, LOCK), 1);
        write(&mut kernel, CONTROL, 0);
        assert_eq!(word(&kernel, CONTROL), 7);
        write(&mut kernel, CONTROL_2, 9);
        assert_eq!(word(&kernel, CONTROL_2), 9);
    }

    #[test]
    fn control_2_keeps_no_bit_that_starts_something_and_none_without_capability() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL_2, 0xffff);
        assert_eq!(word(&kernel, CONTROL_2), 0x0009);
    }

    #[test]
    fn write_back_and_invalidate_reaches_the_hardware_and_its_answer_comes_back() {
        let mut kernel = kernel("");
        assert_eq!(word(&kernel, STATUS_2), 0x8000);
        write(&mut kernel, CONTROL_2, 3);
        assert_eq!(word(&kernel, STATUS_2), 0x8001);
        assert_eq!(dword(&kernel, CONFIG, CONTROL_2), 0x0000_0001, "a dword has its first register only");
        let mut mended = super::kernel("[kernel]\nfixed_dvsec_widths = true");
        write(&mut mended, CONTROL_2, 3);
        assert_eq!(dword(&mended, CONFIG, CONTROL_2), 0x8001_0001, "both halves of one dword");
    }

    #[test]
    fn the_range_base_shows_the_hosts_address_whatever_is_written() {
        let mut kernel = kernel("");
        assert_eq!(dword(&kernel, CONFIG, BASE_LOW), 0x3000_0000);
        kernel.write(CONFIG, BASE_LOW, &0x7000_0000u32.to_le_bytes()).unwrap();
        assert_eq!(dword(&kernel, CONFIG, BASE_LOW), 0x3000_0000);
    }

    #[test]
    fn capability_and_headers_are_read_only() {
        let mut kernel = kernel("");
        let before = read_n(&kernel, CONFIG, DVSEC, 12).unwrap();
        kernel.write(CONFIG, DVSEC, &[0xff; 12]).unwrap();
        assert_eq!(read_n(&kernel, CONFIG, DVSEC, 12).unwrap(), before);
        assert_eq!(word(&kernel, CAPABILITY), 0xc2df);
    }

    #[test]
    fn the_shadow_outlives_a_reset_and_not_an_open() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL, 0);
        kernel.reset();
        assert_eq!(word(&kernel, CONTROL), 2);
        kernel.open();
        assert_eq!(word(&kernel, CONTROL), 7);
    }

    #[rstest]
    #[case::the_hardware("hardware", 0x8001)]
    #[case::a_shadow_in_which_polling_never_ends("shadow", 0x8000)]
    #[case::both("merged", 0x8001)]
    fn the_end_of_a_flush_shows_where_status_2_comes_from_the_hardware(
        #[case] source: &str,
        #[case] expected: u16,
    ) {
        let mut kernel = kernel(&format!("[kernel]\nstatus_2 = \"{source}\""));
        write(&mut kernel, CONTROL_2, 3);
        assert_eq!(word(&kernel, STATUS_2), expected);
    }

    #[test]
    fn a_cxl_reset_is_dropped_as_posted() {
        let mut kernel = kernel("");
        super::write(&mut kernel, REGISTERS, super::BASE_LOW, 0x5000_0000);
        write(&mut kernel, CONTROL_2, 4);
        assert_eq!((word(&kernel, CONTROL_2), word(&kernel, STATUS_2)), (0, 0x8000));
        assert_eq!(dword(&kernel, REGISTERS, super::BASE_LOW), 0x5000_0000);
    }

    #[rstest]
    #[case::as_patched("", 0x8002)]
    #[case::failing("\n[faults]\ncxl_reset_fails = true", 0x8004)]
    fn a_cxl_reset_that_is_done_says_how_it_went_and_brings_the_decoder_back(
        #[case] more: &str,
        #[case] status: u16,
    ) {
        let mut kernel = kernel(&format!("[kernel]\nguest_cxl_reset = true\nstatus_2 = \"merged\"{more}"));
        super::write(&mut kernel, REGISTERS, super::BASE_LOW, 0x5000_0000);
        write(&mut kernel, CONTROL_2, 4);
        assert_eq!((word(&kernel, CONTROL_2), word(&kernel, STATUS_2)), (0, status));
        assert_eq!(dword(&kernel, REGISTERS, super::BASE_LOW), 0, "the shadow is scrubbed again");
        let hardware = kernel.silicon().component();
        assert_eq!(hardware.programming(0).base, kernel.silicon().profile().host_range().start());
        assert!(hardware.decoder_state(0).is_active());
    }

    #[rstest]
    fn memory_is_cleared_in_a_cxl_reset_that_is_asked_to(#[values(false, true)] asked: bool) {
        let mut kernel = kernel("[kernel]\nguest_cxl_reset = true\n[dvsec]\nmem_clear_capable = true");
        kernel.write(MEMORY, 0, &[7]).unwrap();
        write(&mut kernel, CONTROL_2, if asked { 0xc } else { 0x4 });
        assert_eq!(read_n(&kernel, MEMORY, 0, 1), Ok(vec![if asked { 0 } else { 7 }]));
    }

    #[test]
    fn a_device_without_cxl_reset_is_asked_in_vain() {
        let mut kernel = kernel(
            "[kernel]\nguest_cxl_reset = true\nstatus_2 = \"merged\"\n[dvsec]\ncxl_reset_capable = false",
        );
        write(&mut kernel, CONTROL_2, 4);
        assert_eq!(word(&kernel, STATUS_2), 0x8000);
    }

    #[rstest]
    fn after_a_cxl_reset_the_memory_is_on_unless_that_is_broken(#[values(false, true)] broken: bool) {
        let mut kernel =
            kernel(&format!("[kernel]\nguest_cxl_reset = true\nenable_lost_in_reset = {broken}"));
        write(&mut kernel, CONTROL_2, 4);
        assert_eq!(read_n(&kernel, MEMORY, 0, 1).is_err(), broken);
        assert_eq!(word(&kernel, CONTROL), 7, "the guest's view is its own");
    }

    #[test]
    fn status_is_cleared_by_1_in_bit_14_and_status_2_by_nothing() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL + 2, 0xffff);
        write(&mut kernel, STATUS_2, 0xffff);
        assert_eq!((word(&kernel, CONTROL + 2), word(&kernel, STATUS_2)), (0, 0x8000));
    }

    proptest! {
        #[test]
        fn with_the_repair_bytes_words_and_dwords_of_the_same_value_do_the_same(value: u32, at in 0u64..14) {
            let offset = DVSEC + 4 * at + 4;
            let mut results = Vec::new();
            for width in [1, 2, 4] {
                let mut kernel = kernel("[kernel]\nfixed_dvsec_widths = true");
                for (index, piece) in value.to_le_bytes().chunks(width).enumerate() {
                    kernel.write(CONFIG, offset + (index * width) as u64, piece).unwrap();
                }
                results.push(read_n(&kernel, CONFIG, DVSEC, 0x3c).unwrap());
            }
            // The lock is tested for each piece, and so is what starts something: those two go by the word.
            if offset != LOCK && offset != CONTROL_2 {
                prop_assert_eq!(&results[0], &results[2]);
            }
            prop_assert_eq!(&results[1], &results[2]);
        }
    }
}
