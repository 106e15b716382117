//! The kernels against each other, where vfio-cxl adds nothing.

#![no_main]

use sim_device::kernel::drive;

libfuzzer_sys::fuzz_target!(|steps: Vec<drive::Step>| drive::differ(&steps));
