//! Miri: the tests of the crates without I/O, in an interpreter that sees undefined behaviour.
//!
//! It is some hundred times slower, so that properties are tried a few times only, and tests of
//! thousands of values have `#[cfg(not(miri))]`. What they call, others call too.

use crate::commands::reason;
use crate::commands::results;
use crate::commands::run;
use crate::nightly;
use crate::nightly::nightly;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// What is interpreted: neither has unsafe code of its own, but what they depend on does.
const TESTS: &str = "cargo miri test -p cxl-spec -p vfio-abi --lib";

/// What it is built of: the interpreter, and the standard library as sources, which it compiles for itself.
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// How often a property is tried.
const PROPERTY_CASES: &str = "2";

/// Properties look for the failures of earlier runs in files, which an isolated program may not.
const FLAGS: &str = "-Zmiri-disable-isolation";

/// What is told besides the results.
const LEFT_OUT: &str = "tests of thousands of values are left out, and properties are tried twice";

/// Interprets the tests.
pub(crate) fn interpret(workspace: &Workspace) -> Outcome {
    if let Err(said) = nightly::add(workspace, &COMPONENTS) {
        return Outcome::Skipped(format!("no Miri: {}", reason(&said)));
    }
    let mut command = nightly(workspace, TESTS);
    command.env("MIRIFLAGS", FLAGS).env("PROPTEST_CASES", PROPERTY_CASES).env_remove("RUSTFLAGS");
    match run(command) {
        Ok(said) => Outcome::Passed([results(&said), vec![LEFT_OUT]].concat().join("\n")),
        Err(said) => Outcome::Failed(said),
    }
}
