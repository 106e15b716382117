//! What a program's file says of itself: for which processor it is, and whether it needs anything to be loaded.

use object::Architecture;
use object::Object;
use object::elf::PT_INTERP;
use object::read::elf::ElfFile64;
use object::read::elf::ProgramHeader;

/// Why a file is not a static program for this architecture, if it is not.
pub(super) fn not_static(bytes: &[u8], architecture: &str) -> Option<String> {
    let file = match ElfFile64::<object::Endianness>::parse(bytes) {
        Ok(file) => file,
        Err(error) => return Some(format!("no program: {error}")),
    };
    let is = match file.architecture() {
        Architecture::X86_64 => "x86_64",
        Architecture::Aarch64 => "aarch64",
        _ => "another",
    };
    if is != architecture {
        return Some(format!("for {is}, and not for {architecture}"));
    }
    let interpreted = |header: &&object::elf::ProgramHeader64<_>| header.p_type(file.endian()) == PT_INTERP;
    if file.elf_program_headers().iter().any(|header| interpreted(&header)) {
        return Some("it has an interpreter, which loads libraries".to_owned());
    }
    match file.imports() {
        Ok(imports) if imports.is_empty() => None,
        Ok(imports) => Some(format!("it imports {} symbols", imports.len())),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of two program headers, by the tables of the ELF specification: machine 62, type 2 (`ET_EXEC`).
    fn program(second: u32) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        // The entry, where the program headers are, no sections, no flags; then sizes and counts.
        bytes.extend([0_u64, 64, 0].map(u64::to_le_bytes).concat());
        bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        for kind in [1_u32, second] {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn a_program_without_an_interpreter_is_static() {
        assert_eq!(not_static(&program(1), "x86_64"), None);
    }

    #[test]
    fn a_program_with_an_interpreter_is_not() {
        let why = "it has an interpreter, which loads libraries";
        assert_eq!(not_static(&program(3), "x86_64").as_deref(), Some(why));
    }

    #[test]
    fn a_program_for_another_processor_is_not_the_one() {
        assert_eq!(not_static(&program(1), "aarch64").as_deref(), Some("for x86_64, and not for aarch64"));
    }

    #[test]
    fn this_test_is_a_program_that_loads_libraries_or_is_static() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let is_static = cfg!(target_feature = "crt-static");
        assert_eq!(not_static(&bytes, std::env::consts::ARCH).is_none(), is_static);
    }

    #[test]
    fn what_is_no_program_is_told() {
        assert!(not_static(b"#!/bin/sh\n", "x86_64").unwrap().starts_with("no program: "));
    }
}
