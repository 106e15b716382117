//! Any bytes as a stream of vfio-user messages.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vfio_abi::drive::wire_frame(bytes));
