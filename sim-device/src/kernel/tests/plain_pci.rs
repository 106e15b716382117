//! A kernel without vfio-cxl: the silicon's own rules, through BARs and configuration space.

use super::*;

const HDM: u64 = BLOCK + 0x1110;

fn kernel(text: &str) -> Kernel {
    bound(text, "plain")
}

fn bar(kernel: &Kernel, offset: u64) -> u32 {
    dword(kernel, 2, offset)
}

#[test]
fn a_cxl_device_is_a_pci_device_of_nine_regions() {
    let info = kernel("").device_info();
    assert_eq!((info.flags, info.num_regions), (DeviceFlags::PCI | DeviceFlags::RESET, 9));
    assert!(info.chain.is_empty());
}

#[test]
fn component_registers_are_bar_memory_and_show_what_the_hardware_has() {
    let kernel = kernel("");
    let shown = [0x1000, 0x1004, 0x1008].map(|offset| bar(&kernel, BLOCK + offset));
    assert_eq!(shown, [0x0211_0001, 0x0802_0002, 0x1101_0005]);
    let decoder = [0x10, 0x14, 0x18, 0x1c, 0x20].map(|offset| bar(&kernel, HDM + offset));
    assert_eq!(decoder, [0x3000_0000, 0x48, 0x1000_0000, 0, 0x700]);
}

#[test]
fn the_hardwares_lock_is_for_good() {
    let mut kernel = kernel("");
    for value in [0, 0x200, 0x600] {
        write(&mut kernel, 2, HDM + 0x20, value);
        assert_eq!(bar(&kernel, HDM + 0x20), 0x700);
    }
    write(&mut kernel, 2, HDM + 0x10, 0x5000_0000);
    assert_eq!(bar(&kernel, HDM + 0x10), 0x3000_0000);
}

#[test]
fn a_decoder_that_is_not_locked_is_released_moved_and_committed_again() {
    let mut kernel = kernel("[firmware]\nlocked = false");
    write(&mut kernel, 2, HDM + 0x20, 0);
    write(&mut kernel, 2, HDM + 0x10, 0x7fff_ffff);
    write(&mut kernel, 2, HDM + 0x20, 0x200);
    assert_eq!((bar(&kernel, HDM + 0x10), bar(&kernel, HDM + 0x20)), (0x7000_0000, 0x600));
}

#[test]
fn a_reset_of_the_function_keeps_the_decoder_and_puts_configuration_back() {
    let mut kernel = kernel("");
    kernel.write(CONFIG, 0x18, &0x8000_0000u32.to_le_bytes()).unwrap();
    kernel.reset();
    assert_eq!(dword(&kernel, CONFIG, 0x18), 0x8000_000c);
    assert_eq!(bar(&kernel, HDM + 0x20), 0x700);
}

#[test]
fn a_cxl_reset_through_configuration_runs_in_the_hardware_and_clears_the_decoder() {
    let mut kernel = kernel("");
    write_word(&mut kernel, DVSEC + 0x10, 0x0004);
    assert_eq!(word(&kernel, DVSEC + 0x12), 0x8002);
    assert_eq!(
        read_n(&kernel, 2, HDM, 4),
        Err(Errno::EIO),
        "the function was reset with it, and decode is off"
    );
    write_word(&mut kernel, 4, 2);
    assert_eq!(bar(&kernel, HDM + 0x20), 0, "nobody brings it back here");
}

#[rstest]
fn a_function_in_d3hot_hears_configuration_only(#[values("v2", "v3", "next", "plain")] abi: &str) {
    let mut kernel = bound("", abi);
    write_word(&mut kernel, 0x94, 3);
    assert_eq!(read_n(&kernel, 0, 0, 4), Err(Errno::EIO));
    assert_eq!(kernel.write(0, 0, &[0; 4]), Err(Errno::EIO));
    assert_eq!(dword(&kernel, CONFIG, 0), 0xc7f2_1e98);
    write_word(&mut kernel, 0x94, 0);
    assert!(read_n(&kernel, 0, 0, 4).is_ok());
}

#[test]
fn interrupts_are_told_as_the_device_has_them() {
    let kernel = kernel("[interrupts]\nmsix_vectors = 3");
    let counts = [0, 1, 2, 3, 4].map(|index| kernel.irq(index).unwrap().count.get());
    assert_eq!(counts, [0, 0, 3, 1, 1]);
    assert_eq!(kernel.irq(5).unwrap_err(), Errno::EINVAL);
}
