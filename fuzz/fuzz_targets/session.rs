//! Any client against a whole server, in process.

#![no_main]

use sim_device::server::drive;

libfuzzer_sys::fuzz_target!(|steps: Vec<drive::Step>| drive::run(&steps));
