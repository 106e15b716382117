//! The life of a machine whose devices have accidents, in one process.

#![no_main]

use harness::soak::drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drive::any_life(bytes));
