//! Tables as QEMU hands them to firmware: two files, and a script by which firmware places them and links them.
//!
//! ```text
//!  etc/acpi/rsdp      the root pointer             its pointers, and those of XSDT and FADT, are offsets in the
//!  etc/acpi/tables    all others, one by one       second file; firmware adds where it has put that
//!  etc/table-loader   commands of 128 bytes each
//! ```
//!
//! A command is a dword that says which, and then:
//!
//! ```text
//!  1 allocate   56 bytes file, dword alignment, byte zone (1: anywhere, 2: where x86 searches)
//!  2 pointer    56 bytes file that has it, 56 bytes file that it points into, dword offset, byte size
//!  3 checksum   56 bytes file, dword offset of it, dword start and dword length of what it is of
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

/// The names of the three files.
pub(super) const ROOT: &str = "etc/acpi/rsdp";
pub(super) const TABLES: &str = "etc/acpi/tables";
pub(super) const SCRIPT: &str = "etc/table-loader";

/// Zones.
const ANYWHERE: u8 = 1;
const SEARCHED: u8 = 2;

/// What every table begins at a multiple of.
const ALIGNMENT: usize = 64;

const COMMAND_SIZE: usize = 128;
const NAME_SIZE: usize = 56;

/// Of the root pointer: its checksums, what they are of, and its pointer to the XSDT.
const ROOT_CHECKSUMS: [(usize, Range<usize>); 2] = [(8, 0..20), (32, 0..36)];
const XSDT_POINTER: usize = 24;

/// Of every other table: its checksum. Of the XSDT: its first pointer. Of the FADT: its pointer to the DSDT.
const CHECKSUM: usize = 9;
const FIRST_POINTER: usize = 36;
const DSDT_POINTER: usize = 140;

/// A table as it was told: its name, where its machine has it, and its bytes.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) place: u64,
    pub(super) bytes: Vec<u8>,
}

/// The three files.
#[derive(Debug, Default)]
pub(super) struct Linked {
    pub(super) root: Vec<u8>,
    pub(super) tables: Vec<u8>,
    pub(super) script: Vec<u8>,
}

/// Links the tables of a machine.
///
/// # Errors
/// If a pointer leads to no table.
pub(super) fn link(tables: &[Table]) -> Result<Linked, String> {
    let mut linked = Linked::default();
    linked.command(1, &[ROOT], &[16], Some(SEARCHED));
    linked.command(1, &[TABLES], &[ALIGNMENT], Some(ANYWHERE));
    let mut offsets = BTreeMap::new();
    for table in tables.iter().filter(|table| table.name != "RSDP") {
        let offset = linked.tables.len().next_multiple_of(ALIGNMENT);
        linked.tables.resize(offset, 0);
        linked.tables.extend(&table.bytes);
        offsets.insert(table.place, offset);
    }
    for table in tables {
        let offset = offsets.get(&table.place).copied().unwrap_or_default();
        let pointers = match table.name.as_str() {
            "RSDP" => vec![XSDT_POINTER],
            "XSDT" => (FIRST_POINTER..table.bytes.len()).step_by(8).collect(),
            "FACP" => vec![DSDT_POINTER],
            _ => continue,
        };
        let file = if table.name == "RSDP" { ROOT } else { TABLES };
        linked.root.extend(table.bytes.iter().filter(|_| file == ROOT));
        for pointer in pointers {
            let told = |said| format!("{}: the pointer at {pointer}: {said}", table.name);
            linked.pointer(file, offset.saturating_add(pointer), &offsets).map_err(told)?;
        }
        let checksums =
            if file == ROOT { ROOT_CHECKSUMS.to_vec() } else { vec![(CHECKSUM, 0..table.bytes.len())] };
        for (checksum, of) in checksums {
            linked.checksum(
                file,
                offset.saturating_add(checksum),
                offset.saturating_add(of.start)..offset.saturating_add(of.end),
            );
        }
    }
    Ok(linked)
}

impl Linked {
    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        if name == ROOT { &mut self.root } else { &mut self.tables }
    }

    /// Makes an offset of a pointer, to which firmware adds.
    fn pointer(&mut self, file: &str, at: usize, offsets: &BTreeMap<u64, usize>) -> Result<(), String> {
        let bytes = self.file(file).get_mut(at..).and_then(|rest| rest.first_chunk_mut::<8>());
        let bytes = bytes.ok_or("it is behind the table's end")?;
        let place = u64::from_le_bytes(*bytes);
        let offset = offsets.get(&place).ok_or_else(|| format!("{place:#x} is the place of no table"))?;
        *bytes = (*offset as u64).to_le_bytes();
        self.command(2, &[file, TABLES], &[at], Some(8));
        Ok(())
    }

    /// Lets firmware make a checksum. It adds to what is there.
    fn checksum(&mut self, file: &str, at: usize, of: Range<usize>) {
        self.file(file).iter_mut().skip(at).take(1).for_each(|byte| *byte = 0);
        self.command(3, &[file], &[at, of.start, of.len()], None);
    }

    fn command(&mut self, number: u32, files: &[&str], dwords: &[usize], byte: Option<u8>) {
        let end = self.script.len().saturating_add(COMMAND_SIZE);
        self.script.extend(number.to_le_bytes());
        for file in files {
            let name_end = self.script.len().saturating_add(NAME_SIZE);
            self.script.extend(file.as_bytes());
            self.script.resize(name_end, 0);
        }
        for dword in dwords {
            self.script.extend((*dword as u32).to_le_bytes());
        }
        self.script.extend(byte);
        self.script.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, place: u64, length: usize, pointers: &[(usize, u64)]) -> Table {
        let mut bytes = vec![0xee; length];
        for (at, value) in pointers {
            bytes[*at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        Table { name: name.to_owned(), place, bytes }
    }

    fn machine() -> Vec<Table> {
        vec![
            table("RSDP", 0xe_0000, 36, &[(24, 0x7000)]),
            table("DSDT", 0x5000, 100, &[]),
            table("FACP", 0x6000, 276, &[(140, 0x5000)]),
            table("XSDT", 0x7000, 44, &[(36, 0x6000)]),
        ]
    }

    #[test]
    fn pointers_become_offsets_and_checksums_nothing() {
        let linked = link(&machine()).unwrap();
        assert_eq!(linked.tables.len(), 128 + 320 + 44);
        // The FADT is at 128, the XSDT behind its 276 bytes at 448.
        assert_eq!(linked.root[24..32], 448_u64.to_le_bytes());
        assert_eq!(linked.tables[448 + 36..448 + 44], 128_u64.to_le_bytes());
        assert_eq!(linked.tables[128 + 140..128 + 148], 0_u64.to_le_bytes());
        assert_eq!([linked.root[8], linked.root[32], linked.tables[128 + 9], linked.tables[448 + 9]], [0; 4]);
        // What no pointer is in keeps its checksum.
        assert_eq!(linked.tables[9], 0xee);
    }

    #[test]
    fn the_script_allocates_both_files_then_points_and_sums() {
        let script = link(&machine()).unwrap().script;
        let commands: Vec<_> = script.chunks(128).collect();
        assert_eq!(commands.iter().map(|one| one[0]).collect::<Vec<_>>(), [1, 1, 2, 3, 3, 2, 3, 2, 3]);
        assert_eq!(&commands[0][4..18], b"etc/acpi/rsdp\0");
        assert_eq!(commands[0][60..65], [16, 0, 0, 0, 2]);
        assert_eq!(&commands[2][60..76], b"etc/acpi/tables\0");
        assert_eq!(commands[2][116..121], [24, 0, 0, 0, 8]);
        assert_eq!(commands[4][60..72], [32, 0, 0, 0, 0, 0, 0, 0, 36, 0, 0, 0]);
        assert_eq!(commands[6][60..72], [137, 0, 0, 0, 128, 0, 0, 0, 20, 1, 0, 0]);
    }

    #[test]
    fn a_pointer_to_no_table_is_told() {
        let mut tables = machine();
        tables.remove(1);
        let said = link(&tables).unwrap_err();
        assert_eq!(said, "FACP: the pointer at 140: 0x5000 is the place of no table");
    }
}
