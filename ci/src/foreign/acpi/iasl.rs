//! ACPICA's compiler takes a table apart, says what is in it, and makes it anew.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use super::super::root::Root;
use crate::commands::reason;
use crate::commands::run;

/// The checksum of a table.
const CHECKSUM: usize = 9;

/// Who made a table: iasl names itself.
const CREATOR: Range<usize> = 28..36;

/// What iasl writes where it does not understand, or where a checksum is wrong.
const COMPLAINTS: [&str; 2] = ["****", "Incorrect checksum"];

/// What it says in the end of a table that it made.
const SUCCESS: &str = "Compilation successful. 0 Errors, 0 Warnings";

/// A value of a table as iasl tells it: machine, table, name, and every value with this name, in order. Typed by
/// hand from what the machines are.
type Values = (&'static str, &'static str, &'static str, &'static [&'static str]);

const VALUES: [Values; 42] = [
    ("virt", "CEDT", "Associated host bridge", &["0000000C", "00000014"]),
    ("virt", "CEDT", "Specification version", &["00000001", "00000001"]),
    ("virt", "CEDT", "Register base", &["0000004000100000", "0000004000110000"]),
    ("virt", "CEDT", "Register length", &["0000000000010000", "0000000000010000"]),
    ("virt", "CEDT", "Window base address", &["0000010000000000", "0000010040000000"]),
    ("virt", "CEDT", "Window size", &["0000000040000000", "0000000040000000"]),
    ("virt", "CEDT", "Restrictions", &["0015", "0035"]),
    ("virt", "CEDT", "First Target", &["0000000C", "00000014"]),
    ("virt", "CEDT", "Next Target", &[]),
    ("virt", "IORT", "Node Count", &["00000004"]),
    ("virt", "IORT", "Type", &["00", "04", "04", "02"]),
    ("virt", "IORT", "ItsCount", &["00000001"]),
    ("virt", "IORT", "Base Address", &["000000000C020000", "000000000C000000"]),
    ("virt", "IORT", "COHACC Override", &["1", "1"]),
    ("virt", "IORT", "Event GSIV", &["0000006E", "0000006A"]),
    ("virt", "IORT", "PRI GSIV", &["0000006F", "0000006B"]),
    ("virt", "IORT", "GERR GSIV", &["00000071", "0000006D"]),
    ("virt", "IORT", "Sync GSIV", &["00000070", "0000006C"]),
    ("virt", "IORT", "Cache Coherency", &["00000001"]),
    ("virt", "IORT", "ATS Attribute", &["00000001"]),
    ("virt", "IORT", "Input base", &["00000000", "00000000", "00000000", "00000C00", "00001400"]),
    ("virt", "IORT", "ID Count", &["0000FFFF", "0000FFFF", "00000BFF", "000007FF", "0000EBFF"]),
    ("virt", "IORT", "Output Reference", &["00000030", "00000030", "000000A0", "00000030", "00000048"]),
    ("virt", "GTDT", "Secure EL1 Interrupt", &["0000001D"]),
    ("virt", "GTDT", "Virtual Timer Interrupt", &["0000001B"]),
    ("virt", "APIC", "Subtable Type", &["0C", "0B", "0B", "0B", "0E", "0F"]),
    ("virt", "APIC", "ARM MPIDR", &["0000000000000000", "0000000000000001", "0000000000000100"]),
    ("virt", "FACP", "Hardware Reduced (V5)", &["1"]),
    ("virt", "FACP", "PSCI Compliant", &["1"]),
    ("virt", "SPCR", "Interface Type", &["03"]),
    ("virt", "SPCR", "NamespaceString", &["\"\\_SB_.COM0\""]),
    ("virt", "HMAT", "Entry Base Unit", &["00000000000003E8", "00000000000003E8"]),
    ("virt", "HMAT", "Data Type", &["00", "03"]),
    ("virt", "SRAT", "Subtable Type", &["03", "03", "03", "01", "01", "06", "06"]),
    (
        "virt",
        "SRAT",
        "Proximity Domain",
        &["00000000", "00000000", "00000001", "00000000", "00000001", "00000002", "00000003"],
    ),
    ("q35", "CEDT", "Associated host bridge", &["00000034"]),
    ("q35", "CEDT", "Restrictions", &["0005"]),
    ("q35", "FACP", "Hardware Reduced (V5)", &["1"]),
    ("q35", "SRAT", "Subtable Type", &["00", "00", "01", "01", "06"]),
    ("q35", "SRAT", "Device Handle", &["41 43 50 49 30 30 31 36 34 00 00 00 00 00 00 00"]),
    ("q35", "SPCR", "Interface Type", &["00"]),
    ("q35", "MCFG", "Base Address", &["00000000B0000000"]),
];

/// Takes a table apart, makes it anew, and says what is in it.
///
/// # Errors
/// If iasl complains, or what it makes is another table.
pub(super) fn round_trip(root: &Root, folder: &Path, table: &str) -> Result<String, String> {
    let file = |name: String| folder.join(name);
    let (given, text) = (file(format!("{table}.dat")), file(format!("{table}.dsl")));
    iasl(root, |command| Ok(command.arg("-d").arg(root.inside(&given)?)))?;
    let told = read(&text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
    if let Some(line) = complaint(&told) {
        return Err(format!("iasl -d: {line}"));
    }
    // Its optimisations would make shorter AML of ours.
    let made = root.inside(&file(format!("{table}-made")))?;
    let said = iasl(root, |command| Ok(command.args(["-oa", "-p", &made]).arg(root.inside(&text)?)))?;
    if !said.contains(SUCCESS) {
        let line = said.lines().find(|line| line.starts_with("Compilation")).unwrap_or("nothing");
        return Err(format!("iasl: {line}"));
    }
    same(&read(&given)?, &read(&file(format!("{table}-made.aml")))?)?;
    Ok(told)
}

/// The first line in which iasl complains.
fn complaint(text: &str) -> Option<&str> {
    let complains = |line: &&str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    text.lines().find(complains).map(str::trim)
}

/// Compares what iasl says is in a table with what is typed above; says how many values those are.
///
/// # Errors
/// If a value is another.
pub(super) fn compare(machine: &str, table: &str, text: &str) -> Result<usize, String> {
    let mut count = 0_usize;
    for (_, _, name, expected) in VALUES.iter().filter(|(of, at, ..)| (*of, *at) == (machine, table)) {
        let found = values(text, name);
        if found != *expected {
            return Err(format!("{name}: iasl says {}, not {}", found.join(", "), expected.join(", ")));
        }
        count = count.saturating_add(expected.len());
    }
    Ok(count)
}

/// The values with this name. What stands behind one in brackets is an explanation.
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let value = |line: &'a str| {
        let line = line.rsplit_once("h] ").map_or(line, |(_, line)| line);
        let (called, value) = line.split_once(" : ")?;
        let value = value.split_once(" [").map_or(value, |(value, _)| value);
        (called.trim() == name).then(|| value.trim())
    };
    text.lines().filter_map(value).collect()
}

/// Runs iasl, and gives what it said on both its outputs.
fn iasl<'c>(
    root: &Root,
    with: impl FnOnce(&mut Command) -> Result<&mut Command, String> + 'c,
) -> Result<String, String> {
    let mut command = root.command("iasl");
    with(&mut command)?;
    run(command).map_err(|said| format!("iasl: {}", reason(&said)))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether two tables are the same, but for who made them.
fn same(given: &[u8], made: &[u8]) -> Result<(), String> {
    if given.len() != made.len() {
        return Err(format!("iasl made {} bytes of {}", made.len(), given.len()));
    }
    let pairs = given.iter().zip(made).enumerate();
    let mut others =
        pairs.filter(|(at, (given, made))| given != made && *at != CHECKSUM && !CREATOR.contains(at));
    match others.next() {
        None => Ok(()),
        Some((at, (given, made))) => Err(format!("iasl made {made:#04x} of {given:#04x} at {at}")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TEXT: &str = "\
        [02Ch 0044 001h]               Subtable Type : 00 [CXL Host Bridge Structure]\n\
        [028h 0040 004h]      Associated host bridge : 0000000C\n\
        [0A8h 0168 010h]               Device Handle : 41 43 50\n\
                                     COHACC Override : 1\n\
        [048h 0072 004h]      Associated host bridge : 00000014\n";

    #[rstest]
    #[case("Associated host bridge", &["0000000C", "00000014"])]
    #[case("Subtable Type", &["00"])]
    #[case("COHACC Override", &["1"])]
    #[case("Device Handle", &["41 43 50"])]
    #[case("host bridge", &[])]
    fn every_value_with_a_name_is_found_in_order(#[case] name: &str, #[case] found: &[&str]) {
        assert_eq!(values(TEXT, name), found);
    }

    #[test]
    fn a_complaint_is_found_wherever_it_is() {
        assert_eq!(complaint(TEXT), None);
        let line = "[009h 0009 001h]  Checksum : 88     /* Incorrect checksum, should be 89 */";
        assert_eq!(complaint(&format!("{TEXT}{line}\n")), Some(line));
        let line = "/**** ACPI table terminates in the middle of a data structure! (dump table)";
        assert_eq!(complaint(&format!("{TEXT}\n{line}\n")), Some(line));
    }

    #[test]
    fn a_value_that_is_another_is_told_with_what_it_must_be() {
        let said = compare("bare", "APIC", "").unwrap();
        assert_eq!(said, 0);
        let said = compare("q35", "CEDT", TEXT).unwrap_err();
        assert_eq!(said, "Associated host bridge: iasl says 0000000C, 00000014, not 00000034");
    }

    #[test]
    fn every_value_is_of_a_table_that_is_looked_at() {
        for (machine, table, ..) in VALUES {
            let tables = super::super::MACHINES.iter().find(|(name, _)| *name == machine).unwrap().1;
            assert!(tables.contains(&table), "{machine} {table}");
        }
    }

    #[test]
    fn tables_may_differ_in_who_made_them_and_their_checksum() {
        let mut made = [7; 40];
        made[9] = 8;
        made[28..36].fill(8);
        assert_eq!(same(&[7; 40], &made), Ok(()));
    }

    #[rstest]
    #[case(8)]
    #[case(27)]
    #[case(36)]
    fn tables_may_not_differ_elsewhere(#[case] at: usize) {
        let mut made = [7; 40];
        made[at] = 8;
        assert_eq!(same(&[7; 40], &made), Err(format!("iasl made 0x08 of 0x07 at {at}")));
    }

    #[test]
    fn a_table_may_not_become_longer() {
        assert_eq!(same(&[7; 40], &[7; 41]), Err("iasl made 41 bytes of 40".to_owned()));
    }
}
