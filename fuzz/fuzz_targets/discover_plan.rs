//! Any device, as a hostile server makes one, through every stage of the machine.

#![no_main]

use vmm_core::drive::hostile_device;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile_device(bytes);
});
