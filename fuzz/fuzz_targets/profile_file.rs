//! A profile as a file that somebody wrote.

#![no_main]

use sim_device::profile::drive;

libfuzzer_sys::fuzz_target!(|text: &str| drive::any_text(text));
