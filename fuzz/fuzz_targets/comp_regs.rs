//! A user of VFIO who may read and write anything, with the kernels that show the component registers.

#![no_main]

use sim_device::kernel::drive;

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<drive::Step>)| drive::run(input.0, &input.1));
