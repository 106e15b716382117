//! The target `capability_chain` of `harness::replay`.

#![no_main]

use harness::replay::Target;

const TARGET: Target = Target::named("capability_chain").unwrap();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.run(bytes));
