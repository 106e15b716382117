//! A guest that may do anything with an SMMU, its tables and its queues.

#![no_main]

use vmm_core::smmu::drive::hostile_guest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile_guest(bytes);
});
