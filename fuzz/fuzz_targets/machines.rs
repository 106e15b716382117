//! The target `machines` of `harness::replay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::replay::run("machines", bytes));
