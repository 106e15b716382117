//! A scenario as a file that somebody wrote.

#![no_main]

use harness::scenario::drive;

libfuzzer_sys::fuzz_target!(|text: &str| drive::any_text(text));
