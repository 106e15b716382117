//! The revision of June 2026. Values are typed from its worked example: component block at BAR 2 + 0x20000, HDM
//! decoders 0x1110 behind that.

use vfio_abi::cxl::v3::DeviceCapability;
use vfio_abi::cxl::v3::Flags;

use super::*;

const REGISTERS: u32 = 9;
const MEMORY: u32 = 10;

const GLOBAL_CONTROL: u64 = 0x1114;
const BASE_LOW: u64 = 0x1120;
const BASE_HIGH: u64 = 0x1124;
const SIZE_LOW: u64 = 0x1128;
const SIZE_HIGH: u64 = 0x112c;
const CONTROL: u64 = 0x1130;
const SKIP_LOW: u64 = 0x1134;
const LAST: u64 = 0x113c;

fn kernel(text: &str) -> Kernel {
    bound(text, "v3")
}

fn capability(kernel: &Kernel) -> DeviceCapability {
    let info = kernel.device_info();
    DeviceCapability::parse(&info.chain.find(cxl::DEVICE_CAPABILITY).unwrap().data).unwrap()
}

#[test]
fn the_capability_has_the_worked_examples_geometry() {
    let kernel = kernel("");
    let expected = DeviceCapability {
        flags: Flags::HOST_FIRMWARE_COMMITTED,
        hdm_region_idx: 10,
        comp_reg_region_idx: 9,
        comp_reg_bar: 2,
        comp_reg_offset: 0x2_0000,
        comp_reg_size: 0x1_0000,
    };
    assert_eq!(capability(&kernel), expected);
    let info = kernel.device_info();
    assert_eq!(info.flags, DeviceFlags::PCI | DeviceFlags::RESET | cxl::DEVICE_FLAG);
    // The structure of 24 bytes, and a capability of 48.
    assert_eq!((info.num_regions, info.argsz()), (11, 72));
}

#[test]
fn regions_are_registers_then_memory_and_say_what_they_are() {
    let kernel = kernel("");
    let registers = kernel.region(REGISTERS).unwrap();
    assert_eq!(
        (registers.info.size, registers.info.flags),
        (0x1_0000, RegionFlags::READ | RegionFlags::WRITE)
    );
    assert_eq!(registers.info.chain.region_type(), Ok(Some((0x8000_1e98, 2))));
    assert!(registers.file.is_none());
    let memory = kernel.region(MEMORY).unwrap();
    let all = RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP;
    assert_eq!((memory.info.size, memory.info.flags), (256 << 20, all));
    assert_eq!(memory.info.chain.region_type(), Ok(Some((0x8000_1e98, 1))));
}

#[test]
fn an_uncommitted_device_is_shown_without_the_flag_on_request() {
    let kernel = kernel("[firmware]\ncommitted = false\n[kernel]\nshow_uncommitted = true");
    assert_eq!(capability(&kernel).flags, Flags::empty());
    assert_eq!(
        read_n(&kernel, MEMORY, 0, 4),
        Ok(vec![0; 4]),
        "there is no state in which it cannot be reached"
    );
}

#[test]
fn a_device_of_two_decoders_is_not_bound() {
    let profile = Profile::parse("test", "[decoder]\ncount = 2").unwrap().check().unwrap();
    let refused = Kernel::bind(Silicon::power_on(profile).unwrap(), Abi::named("v3").unwrap()).unwrap_err();
    let said = "the kernel does not bind: EOPNOTSUPP: 2 HDM decoders; this revision takes one";
    assert_eq!(refused.to_string(), said);
}

#[test]
fn regions_that_are_lied_away_have_an_index_of_ones() {
    let kernel = kernel("[faults.lies]\nno_memory_region = true\nno_register_region = true");
    let told = capability(&kernel);
    assert_eq!((told.hdm_region_idx, told.comp_reg_region_idx), (u32::MAX, u32::MAX));
}

#[rstest]
#[case::in_the_middle("128KiB", "1MiB", &[(0, 0x2_0000), (0x3_0000, 0xd_0000)])]
#[case::at_the_start("0", "1MiB", &[(0x1_0000, 0xf_0000)])]
#[case::at_the_end("960KiB", "1MiB", &[(0, 0xf_0000)])]
#[case::all_of_it("0", "64KiB", &[])]
fn the_component_bar_can_be_mapped_around_the_block(
    #[case] offset: &str,
    #[case] size: &str,
    #[case] expected: &[(u64, u64)],
) {
    let kernel = kernel(&format!("[component]\noffset = \"{offset}\"\nbar_size = \"{size}\""));
    assert_eq!(areas(&kernel), expected);
    assert_eq!(kernel.region(2).unwrap().info.flags.contains(RegionFlags::MMAP), !expected.is_empty());
}

#[test]
fn the_bar_is_refused_inside_the_block_and_across_its_edges() {
    let mut kernel = kernel("");
    for (offset, length) in [(BLOCK, 4), (BLOCK + 0x1_0000 - 1, 1), (BLOCK - 1, 2), (BLOCK - 8, 0x1_0010)] {
        assert_eq!(read_n(&kernel, 2, offset, length), Err(Errno::EINVAL), "{offset:#x}");
        assert_eq!(kernel.write(2, offset, &vec![0; length]), Err(Errno::EINVAL), "{offset:#x}");
    }
    assert_eq!(kernel.write(2, BLOCK - 4, &[1; 4]), Ok(4));
    assert_eq!(kernel.write(2, BLOCK + 0x1_0000, &[1; 4]), Ok(4));
    assert_eq!(read_n(&kernel, 2, BLOCK - 4, 4), Ok(vec![1; 4]));
}

#[test]
fn the_registers_show_the_array_the_decoder_and_the_hosts_address() {
    let kernel = kernel("");
    let shown = [0x1000, 0x1004, 0x1008].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(shown, [0x0211_0001, 0x0802_0002, 0x1101_0005]);
    let decoder = [GLOBAL_CONTROL, BASE_LOW, BASE_HIGH, SIZE_LOW, SIZE_HIGH, CONTROL];
    let shown = decoder.map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(shown, [2, 0x3000_0000, 0x48, 0x1000_0000, 0, 0x700]);
}

#[rstest]
#[case::below_the_array(0x0, 0x1000)]
#[case::behind_the_decoders(0x1140, 0x1_0000)]
fn around_the_array_and_the_decoders_the_block_reads_0_and_takes_nothing(#[case] from: u64, #[case] to: u64) {
    let mut kernel = kernel("");
    let length = (to - from) as usize;
    assert_eq!(kernel.write(REGISTERS, from, &vec![0xff; length]), Ok(length));
    assert_eq!(read_n(&kernel, REGISTERS, from, length), Ok(vec![0; length]));
}

/// Each dword after all ones and after zeros, of a decoder that is committed and of one that was released before.
#[rstest]
fn every_dword_from_the_array_on_takes_what_the_table_says(#[values(false, true)] released: bool) {
    for offset in (0x1000..0x1140).step_by(4) {
        let mut kernel = kernel("");
        if released {
            write(&mut kernel, REGISTERS, CONTROL, 0);
        }
        let reset = dword(&kernel, REGISTERS, offset);
        let (ones, zeros) = match offset {
            // Stored in full: no reserved bit is masked.
            GLOBAL_CONTROL | SKIP_LOW..=LAST => (0xffff_ffff, 0),
            BASE_LOW..=SIZE_HIGH if released => (0xffff_ffff, 0),
            // All but the error; committed then, so that a write without COMMIT clears the three bits.
            CONTROL if released => (0xffff_f7ff, 0xffff_f0ff),
            CONTROL => (0x700, 0),
            _ => (reset, reset),
        };
        write(&mut kernel, REGISTERS, offset, 0xffff_ffff);
        assert_eq!(dword(&kernel, REGISTERS, offset), ones, "ones at {offset:#x}");
        write(&mut kernel, REGISTERS, offset, 0);
        assert_eq!(dword(&kernel, REGISTERS, offset), zeros, "zeros at {offset:#x}");
    }
}

#[test]
fn a_lock_without_a_commit_freezes_base_and_size() {
    let mut kernel = kernel("");
    write(&mut kernel, REGISTERS, CONTROL, 0);
    write(&mut kernel, REGISTERS, CONTROL, 0x100);
    write(&mut kernel, REGISTERS, BASE_LOW, 0x5000_0000);
    assert_eq!(dword(&kernel, REGISTERS, BASE_LOW), 0x3000_0000);
    write(&mut kernel, REGISTERS, CONTROL, 0x200);
    assert_eq!(dword(&kernel, REGISTERS, CONTROL), 0x600, "control itself is not frozen by it");
}

#[test]
fn releasing_a_locked_decoder_clears_three_bits_unless_that_is_mended() {
    let mut posted = kernel("");
    write(&mut posted, REGISTERS, CONTROL, 0x500);
    assert_eq!(dword(&posted, REGISTERS, CONTROL), 0);
    let mut mended = kernel("[kernel]\nfixed_locked_commit = true");
    write(&mut mended, REGISTERS, CONTROL, 0x500);
    assert_eq!(dword(&mended, REGISTERS, CONTROL), 0x700);
}

#[test]
fn several_dwords_are_written_one_after_another() {
    let mut kernel = kernel("");
    write(&mut kernel, REGISTERS, CONTROL, 0);
    let range = [0x7000_0000u32, 0x5, 0x2000_0000, 0].map(u32::to_le_bytes).concat();
    assert_eq!(kernel.write(REGISTERS, BASE_LOW, &range), Ok(16));
    assert_eq!(read_n(&kernel, REGISTERS, BASE_LOW, 16), Ok(range));
}

#[rstest]
fn the_shadow_outlives_open_and_reset_unless_that_is_mended(#[values(false, true)] mended: bool) {
    let mut kernel = kernel(&format!("[kernel]\nfixed_stale_shadow = {mended}"));
    write(&mut kernel, REGISTERS, CONTROL, 0);
    kernel.reset();
    let after_reset = dword(&kernel, REGISTERS, CONTROL);
    write(&mut kernel, REGISTERS, CONTROL, 0);
    kernel.open();
    let expected = if mended { 0x700 } else { 0 };
    assert_eq!((after_reset, dword(&kernel, REGISTERS, CONTROL)), (expected, expected));
}

#[test]
fn no_write_to_the_component_registers_reaches_the_hardware() {
    let mut kernel = kernel("");
    for value in [0, 0xffff_ffff] {
        for offset in (0x1000..0x1140).step_by(4) {
            write(&mut kernel, REGISTERS, offset, value);
        }
    }
    let hardware = kernel.silicon().component();
    assert_eq!(hardware.programming(0).base, kernel.silicon().profile().host_range().start());
    assert!(hardware.decoder_state(0).is_active());
}

#[test]
fn memory_is_read_and_written_whole_or_not_at_all() {
    let mut kernel = kernel("");
    let end = 256 << 20;
    assert_eq!(kernel.write(MEMORY, end - 2, &[1, 2]), Ok(2));
    assert_eq!(read_n(&kernel, MEMORY, end - 2, 2), Ok(vec![1, 2]));
    for (offset, length) in [(end - 2, 3), (end, 1), (u64::MAX, 1)] {
        assert_eq!(read_n(&kernel, MEMORY, offset, length), Err(Errno::EINVAL), "{offset:#x}");
        assert_eq!(kernel.write(MEMORY, offset, &vec![0; length]), Err(Errno::EINVAL), "{offset:#x}");
    }
}

#[rstest]
#[case::base_dropped("base_write_dropped", BASE_HIGH, 0x77, 0x48)]
#[case::commit_ignored("commit_ignored", CONTROL, 0x200, 0x200)]
fn a_broken_device_breaks_as_its_profile_says(
    #[case] fault: &str,
    #[case] offset: u64,
    #[case] value: u32,
    #[case] read: u32,
) {
    let mut kernel = kernel(&format!("[faults]\n{fault} = true"));
    write(&mut kernel, REGISTERS, CONTROL, 0);
    write(&mut kernel, REGISTERS, offset, value);
    assert_eq!(dword(&kernel, REGISTERS, offset), read);
}

#[test]
fn the_array_points_where_the_profile_lies() {
    let kernel = kernel("[faults.lies]\nhdm_at = 0xff0");
    assert_eq!(dword(&kernel, REGISTERS, 0x1008), 0xff01_0005);
    let missing = bound("[faults]\nhdm_missing = true", "v3");
    assert_eq!(dword(&missing, REGISTERS, 0x1008), 0);
}

#[test]
fn registers_that_die_read_ones_from_then_on() {
    let kernel = kernel("[faults]\nregisters_die_after = 2");
    let seen = [0x1000; 3].map(|offset| dword(&kernel, REGISTERS, offset));
    assert_eq!(seen, [0x0211_0001, 0x0211_0001, 0xffff_ffff]);
}

mod dvsec {
    use super::super::write_word as write;
    use super::*;

    const CAPABILITY: u64 = DVSEC + 0x0a;
    const CONTROL: u64 = DVSEC + 0x0c;
    const STATUS: u64 = DVSEC + 0x0e;
    const CONTROL_2: u64 = DVSEC + 0x10;
    const STATUS_2: u64 = DVSEC + 0x12;
    const LOCK: u64 = DVSEC + 0x14;
    const BASE_LOW: u64 = DVSEC + 0x24;

    #[test]
    fn control_is_stored_whole_with_io_enable_too() {
        let mut kernel = kernel("");
        write(&mut kernel, CONTROL, 0xffff);
        assert_eq!(word(&kernel, CONTROL), 0xffff);
        write(&mut kernel, CONTROL, 0);
        assert_eq!(word(&kernel, CONTROL), 0);
        assert_eq!(kernel.silicon().config().device_dvsec(0x0c), 7, "the hardware is not asked");
    }

    #[test]
    fn the_lock_sticks_and_freezes_both_controls() {
        let mut kernel = kernel("");
        write(&mut kernel, LOCK, 1);
        write(&mut kernel, LOCK, 0);
        assert_eq!(word(&kernel, LOCK), 1);
        write(&mut kernel, CONTROL, 0);
        write(&mut kernel, CONTROL_2, 9);
        assert_eq!((word(&kernel, CONTROL), word(&kernel, CONTROL_2)), (7, 0));
    }

    #[rstest]
    fn the_lock_of_firmware_does_not_count_unless_that_is_mended(#[values(false, true)] mended: bool) {
        let text =
            format!("[firmware]\nconfig_lock = \"after-mem-enable\"\n[kernel]\nfixed_config_lock = {mended}");
        let mut kernel = kernel(&text);
        assert_eq!(word(&kernel, LOCK), 1);
        write(&mut kernel, CONTROL, 0);
        assert_eq!(word(&kernel, CONTROL), if mended { 7 } else { 0 });
    }

    #[test]
    fn every_bit_of_status_2_is_cleared_by_1_and_by_nothing_else() {
        let mut kernel = kernel("");
        assert_eq!(word(&kernel, STATUS_2), 0x8000);
        write(&mut kernel, STATUS_2, 0x7fff);
        assert_eq!(word(&kernel, STATUS_2), 0x8000);
        write(&mut kernel, STATUS_2, 0x8000);
        assert_eq!(word(&kernel, STATUS_2), 0);
    }

    #[rstest]
    fn a_byte_written_to_a_status_clears_the_other_unless_that_is_mended(
        #[values(false, true)] mended: bool,
    ) {
        let mut kernel = kernel(&format!("[kernel]\nfixed_partial_status_write = {mended}"));
        assert_eq!(kernel.write(CONFIG, STATUS_2, &[0]), Ok(1));
        assert_eq!(word(&kernel, STATUS_2), if mended { 0x8000 } else { 0 });
    }

    #[rstest]
    fn a_dword_reaches_its_first_register_only_unless_that_is_mended(#[values(false, true)] mended: bool) {
        let mut kernel = kernel(&format!("[kernel]\nfixed_dvsec_widths = {mended}"));
        assert_eq!(kernel.write(CONFIG, CONTROL_2, &0x8000_0009u32.to_le_bytes()), Ok(4));
        assert_eq!(word(&kernel, CONTROL_2), 9);
        assert_eq!(word(&kernel, STATUS_2), if mended { 0 } else { 0x8000 });
    }

    #[test]
    fn a_byte_merges_into_its_register() {
        let mut kernel = kernel("");
        kernel.write(CONFIG, CONTROL + 1, &[0x41]).unwrap();
        assert_eq!(word(&kernel, CONTROL), 0x4107);
        assert_eq!(read_n(&kernel, CONFIG, CONTROL + 1, 1), Ok(vec![0x41]));
    }

    #[test]
    fn a_dword_is_read_of_both_its_registers() {
        let kernel = kernel("");
        assert_eq!(dword(&kernel, CONFIG, CONTROL_2), 0x8000_0000);
        assert_eq!(dword(&kernel, CONFIG, CONTROL), 0x0000_0007);
        assert_eq!(word(&kernel, STATUS), 0);
    }

    #[test]
    fn capability_ranges_and_headers_are_read_only() {
        let mut kernel = kernel("");
        for offset in [0x00, 0x04, 0x08, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38] {
            let before = dword(&kernel, CONFIG, DVSEC + offset);
            kernel.write(CONFIG, DVSEC + offset, &[0xff; 4]).unwrap();
            assert_eq!(dword(&kernel, CONFIG, DVSEC + offset), before, "{offset:#x}");
        }
        assert_eq!((word(&kernel, CAPABILITY), dword(&kernel, CONFIG, BASE_LOW)), (0xc2df, 0x3000_0000));
    }

    #[rstest]
    fn the_shadow_outlives_open_and_reset_unless_that_is_mended(#[values(false, true)] mended: bool) {
        let mut kernel = kernel(&format!("[kernel]\nfixed_stale_shadow = {mended}"));
        write(&mut kernel, CONTROL, 0);
        kernel.reset();
        kernel.open();
        assert_eq!(word(&kernel, CONTROL), if mended { 7 } else { 0 });
    }
}
