//! Any bytes as what a hostile kernel or server says of a device or a region.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vfio_abi::drive::capability_chain(bytes));
