//! What each kernel makes of each preset.

use crate::profile::DEFAULT_PRESET;
use crate::profile::PRESETS;

use super::*;

fn preset(name: &str, abi: &str) -> Result<Kernel, BindError> {
    let silicon = Silicon::power_on(Profile::find(name).unwrap().check().unwrap()).unwrap();
    let mut kernel = Kernel::bind(silicon, Abi::named(abi).unwrap())?;
    kernel.open();
    Ok(kernel)
}

/// The presets that each of v2, v3 and next shows as a CXL device; nothing where the kernel refuses to bind.
#[rstest]
#[case::committed("t2-committed", [Some(true); 3])]
#[case::uncommitted("t2-uncommitted", [Some(false); 3])]
#[case::unlocked("t2-committed-unlocked", [Some(true); 3])]
#[case::config_locked("t2-config-locked", [Some(true); 3])]
#[case::block_start("t2-block-start", [Some(true); 3])]
#[case::block_end("t2-block-end", [Some(true); 3])]
#[case::block_whole_bar("t2-block-whole-bar", [Some(true); 3])]
#[case::hdm_db("t2-hdm-db", [Some(true); 3])]
#[case::large("t2-large", [Some(true); 3])]
#[case::many_decoders("t2-many-decoders", [Some(true), None, Some(false)])]
fn a_preset_is_a_cxl_device_or_a_plain_one(#[case] name: &str, #[case] expected: [Option<bool>; 3]) {
    let is_cxl = |kernel: Kernel| kernel.device_info().flags.contains(cxl::DEVICE_FLAG);
    assert_eq!(["v2", "v3", "next"].map(|abi| preset(name, abi).ok().map(is_cxl)), expected);
    assert!(!is_cxl(preset(name, "plain").unwrap()));
}

#[test]
fn every_preset_is_in_the_table_above() {
    // Counted by hand: a preset that is added is added there, too.
    assert_eq!(PRESETS.len(), 10);
    assert_eq!(PRESETS[0].name, DEFAULT_PRESET);
}

/// Decoder 0's control and base (low half) in the hardware, and in the shadow of April's kernel.
#[rstest]
#[case("t2-committed", [0x700, 0x3000_0000], [0x600, 0])]
#[case("t2-committed-unlocked", [0x600, 0x3000_0000], [0x600, 0x3000_0000])]
#[case("t2-hdm-db", [0x2700, 0x3000_0000], [0x2600, 0])]
#[case("t2-large", [0x700, 0], [0x600, 0])]
#[case("t2-many-decoders", [0x700, 0x3000_0000], [0x600, 0])]
fn the_decoder_is_as_firmware_left_it_and_as_the_kernel_scrubs_it(
    #[case] name: &str,
    #[case] hardware: [u32; 2],
    #[case] shadow: [u32; 2],
) {
    let plain = preset(name, "plain").unwrap();
    let block = plain.silicon().profile().profile().component.offset.0;
    let hdm = plain.silicon().profile().profile().component.hdm.0;
    assert_eq!([0x20, 0x10].map(|at| dword(&plain, 2, block + 0x1000 + hdm + at)), hardware);
    let v2 = preset(name, "v2").unwrap();
    assert_eq!([0x20, 0x10].map(|at| dword(&v2, 10, hdm + at)), shadow);
}

#[test]
fn ten_decoders_make_the_region_longer_and_only_the_first_is_committed() {
    let kernel = preset("t2-many-decoders", "v2").unwrap();
    assert_eq!(kernel.region(10).unwrap().info.size, 0x110 + 0x10 + 10 * 0x20);
    assert_eq!(dword(&kernel, 10, 0x110) & 0xf, 5, "the code of ten");
    let controls: Vec<_> = (0..10).map(|index| dword(&kernel, 10, 0x130 + 0x20 * index)).collect();
    assert_eq!(controls[1..], [0; 9]);
}

#[test]
fn a_configuration_that_was_locked_too_early_has_its_memory_on_and_its_cache_off() {
    let kernel = preset("t2-config-locked", "plain").unwrap();
    assert_eq!((word(&kernel, DVSEC + 0x14), word(&kernel, DVSEC + 0x0c)), (1, 6));
    assert!(read_n(&preset("t2-config-locked", "v2").unwrap(), 9, 0, 1).is_ok());
}

#[test]
fn without_a_device_built_for_it_memory_that_was_locked_too_early_is_never_reached() {
    let kernel = bound("[firmware]\nconfig_lock = \"before-mem-enable\"", "v2");
    assert_eq!((word(&kernel, DVSEC + 0x14), word(&kernel, DVSEC + 0x0c)), (1, 2));
    assert_eq!(read_n(&kernel, 9, 0, 1), Err(Errno::EIO));
}
