//! Lets cargo notice scenarios that come and go: they are part of the program.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

fn main() {
    println!("cargo::rerun-if-changed=../scenarios");
}
