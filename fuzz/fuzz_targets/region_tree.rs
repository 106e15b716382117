//! Regions over each other, against a model that knows every byte.

#![no_main]

use vmm_core::map::tree::drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drive::any_regions(bytes));
