//! What every fuzzer costs: it does nothing.

#![no_main]

libfuzzer_sys::fuzz_target!(|_bytes: &[u8]| ());
