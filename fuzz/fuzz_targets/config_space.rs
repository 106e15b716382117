//! Software that may write anything to configuration space, on four devices.

#![no_main]

use sim_device::silicon::drive;

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<drive::Step>)| drive::run(drive::Area::Config, input.0, &input.1));
