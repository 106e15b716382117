//! The tables, by a decoder that was written from the reference and shares nothing with the encoder.

mod golden;

use cxl_spec::address::Span;
use proptest::prelude::*;
use rstest::rstest;

use super::drive;
use super::drive::laws;
use super::drive::laws::Seen;
use super::drive::same;
use super::read::aml::Resource;
use super::sample;
use super::system::BridgeKind;
use super::system::Coherency;
use super::system::Cpu;
use super::system::FmwsInCrs;
use super::*;

fn span(base: u64, size: u64) -> Span<Gpa> {
    Span::new(Gpa::new(base), size).unwrap()
}

/// Refuses tables that break a rule.
pub(in crate::acpi) fn judge(tables: &[Table]) {
    laws::read(tables).unwrap();
}

fn tables_of(system: &System) -> Vec<Table> {
    tables(&system.clone().check().unwrap())
}

fn read(system: &System) -> Seen {
    laws::read(&tables_of(system)).unwrap()
}

#[test]
fn the_tables_of_the_samples_say_what_the_samples_are() {
    for (_, system) in sample::all() {
        same::check(&system, &read(&system));
    }
}

#[test]
fn the_tables_are_those_that_the_architecture_has() {
    let names = |system: &System| tables_of(system).iter().map(|one| one.name).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&sample::virt()), "RSDP DSDT FACP APIC MCFG SRAT HMAT CEDT GTDT IORT SPCR XSDT");
    assert_eq!(names(&sample::q35()), "RSDP DSDT FACP APIC MCFG SRAT HMAT CEDT SPCR XSDT");
    assert_eq!(names(&sample::bare()), "RSDP DSDT FACP APIC MCFG SRAT HMAT XSDT");
}

#[test]
fn the_console_takes_its_registers_and_its_interrupt() {
    let console = |system: &System| {
        let seen = read(system);
        let device = seen.devices.iter().find(|device| device.path == ".COM0").unwrap();
        device.resources().unwrap()
    };
    let pl011 = Resource::Memory32 { base: 0x0900_0000, size: 0x1000 };
    assert_eq!(console(&sample::virt()), [pl011, Resource::Interrupt { flags: 1, number: 33 }]);
    let ports = Resource::Ports { first: 0x3f8, size: 8 };
    assert_eq!(console(&sample::q35()), [ports, Resource::Interrupt { flags: 3, number: 4 }]);
}

#[test]
fn where_the_range_of_windows_is_announced_follows_the_architecture_and_can_be_chosen() {
    for (mut system, usual) in [(sample::virt(), true), (sample::q35(), false)] {
        assert_eq!(system.fmws_in_crs, FmwsInCrs::of(&system.platform));
        assert_eq!(laws::announced(&read(&system)), Ok(usual));
        system.fmws_in_crs = if usual { FmwsInCrs::Nowhere } else { FmwsInCrs::FirstBridge };
        assert_eq!(laws::announced(&read(&system)), Ok(!usual));
    }
}

#[test]
fn figures_are_those_of_the_same_domain_or_of_another() {
    let matrices = read(&sample::virt()).hmat.matrices;
    // Processors in 0 and 1; memory in 0 and 1, ports in 2 and 3.
    assert_eq!(matrices[0].entries, [80, 150, 150, 150, 150, 80, 150, 150]);
    assert_eq!(matrices[1].entries, [200, 60, 60, 60, 60, 200, 60, 60]);
    assert_eq!((matrices[0].unit, matrices[1].unit), (1000, 1000));
}

#[test]
fn an_aarch64_machine_without_smmus_sends_every_id_to_the_its() {
    let mut system = sample::virt();
    if let Platform::Aarch64 { smmus, .. } = &mut system.platform {
        smmus.clear();
    }
    assert_eq!(read(&system).iort.unwrap().smmus, []);
}

/// As large as the check lets a machine be, in numbers.
#[test]
fn the_tables_of_the_largest_machine_fit() {
    let mut system = sample::virt();
    system.cpus = (0..512).map(|id| Cpu { id: id % 256 + ((id / 256) << 8), node: id as u32 }).collect();
    system.ram[1].span = span(2 << 30, 1 << 20);
    while system.ram.len() < 64 {
        let index = system.ram.len() as u64;
        system.ram.push(system::Ram { span: span((2 << 30) + (index << 21), 1 << 20), node: index as u32 });
    }
    let bridge = system.bridges[1].clone();
    system.bridges = (0..64u8)
        .map(|index| {
            let at = u64::from(index);
            system::Bridge {
                bus: 4 * index,
                last_bus: 4 * index + 3,
                kind: BridgeKind::Cxl {
                    registers: Gpa::new(0x40_0100_0000 + at * 0x1_0000),
                    port: 1000 + u32::from(index),
                },
                memory32: Some(span(0x1000_0000 + (at << 20), 1 << 20)),
                memory64: Some(span(0x80_0000_0000 + (at << 20), 1 << 20)),
                io: Some(system::IoWindow { first: at as u16, last: at as u16, at: 0x3000_0000 + at as u32 }),
                ..bridge
            }
        })
        .collect();
    system.windows = (0..64u64)
        .map(|at| system::FixedWindow {
            span: span(0x100_0000_0000 + (at << 28), 1 << 28),
            target: 4 * at as u8,
            coherency: Coherency::HdmD,
            fixed: true,
        })
        .collect();
    if let Platform::Aarch64 { gic, smmus, .. } = &mut system.platform {
        gic.redistributors = (0..64).map(|at| span(0x60_0000_0000 + (at << 21), 8 * 0x2_0000)).collect();
        *smmus = (0..64u8)
            .map(|index| system::Smmu {
                base: Gpa::new(0x0a00_0000 + u64::from(index) * 0x2_0000),
                first_interrupt: 100 + 4 * u32::from(index),
                bus: 4 * index,
            })
            .collect();
    }
    let all = tables_of(&system);
    let last = all.last().unwrap();
    let end = last.address.get() + last.bytes.len() as u64;
    assert!(end - system.tables.get() <= TABLES_SIZE, "{:#x}", end - system.tables.get());
    same::check(&system, &laws::read(&all).unwrap());
}

/// Changes a table at an offset and, unless that is what is to be wrong, makes its checksum right again.
fn spoiled(system: &System, name: &str, at: usize, bytes: &[u8]) -> Vec<Table> {
    let mut all = tables_of(system);
    let table = all.iter_mut().find(|table| table.name == name).unwrap();
    assert_ne!(table.bytes[at..at + bytes.len()], *bytes, "nothing is changed");
    table.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    if name != "RSDP" && at != 9 {
        table.bytes[9] = 0;
        table.bytes[9] = read::sum(&table.bytes).wrapping_neg();
    }
    all
}

/// The decoder is no ornament: it sees every change of something that matters. The machine is `virt`: CHBS at 36
/// and 68, CFMWS at 100 and 140; in the IORT the ITS group at 48, SMMUs at 72 and 160, the root complex at 248.
#[rstest]
#[case::checksum("APIC", 9, &[0], "APIC: checksum is ")]
#[case::signature("SRAT", 0, b"X", "SRAT: signature")]
#[case::length("HMAT", 4, &[0], "HMAT: length is ")]
#[case::root_checksum("RSDP", 8, &[0], "RSDP: checksum is ")]
#[case::root_pointer("RSDP", 24, &[1, 0, 0], "RSDP: checksum is ")]
#[case::xsdt_entry("XSDT", 44, &[1], "XSDT: entries")]
#[case::dsdt_pointer("FACP", 140, &[1], "FACP: address of the DSDT")]
#[case::hardware("FACP", 114, &[0], "FACP: reduced hardware")]
#[case::boot_flags("FACP", 129, &[1], "FACP: Arm boot flags")]
#[case::ecam_bus("MCFG", 54, &[1], "MCFG: first bus")]
#[case::segment("MCFG", 52, &[1], "DSDT: .PC00: _BBN, _SEG or _CCA")]
#[case::ecam_base("MCFG", 47, &[0x0c], "DSDT: configuration space is ")]
#[case::chbs_length("CEDT", 38, &[28], "CEDT: a part without length at 64")]
#[case::chbs_uid("CEDT", 40, &[13], "CEDT: a window's target is no host bridge")]
#[case::chbs_version("CEDT", 44, &[0], "CEDT: CHBS version")]
#[case::chbs_base("CEDT", 53, &[1], "CEDT: CHBS base")]
#[case::chbs_registers("CEDT", 60, &[0, 0x20, 0], "CEDT: CHBS register length")]
#[case::chbs_twice("CEDT", 72, &[12], "CEDT: two host bridges have one unique ID")]
#[case::window_base("CEDT", 110, &[1], "CEDT: CFMWS base")]
#[case::window_size("CEDT", 118, &[1], "CEDT: CFMWS size")]
#[case::window_in_two("CEDT", 119, &[0x50], "CEDT: an address is in two windows")]
#[case::ways("CEDT", 124, &[1], "CEDT: ways")]
#[case::xor("CEDT", 125, &[1], "CEDT: arithmetic")]
#[case::granularity("CEDT", 128, &[1], "CEDT: granularity")]
#[case::type_3("CEDT", 132, &[6], "CEDT: CFMWS restrictions")]
#[case::target("CEDT", 136, &[0], "CEDT: a window's target is no host bridge")]
#[case::strange("CEDT", 100, &[9], "CEDT: structure 9")]
#[case::port_uid("SRAT", 48 + 3 * 18 + 2 * 40 + 16, &[13], "DSDT: CXL bridges [12, 20]")]
#[case::port_handle("SRAT", 48 + 3 * 18 + 2 * 40 + 8, b"PNP0", "SRAT: a port's handle")]
#[case::port_domain("SRAT", 48 + 3 * 18 + 2 * 40 + 4, &[0], "SRAT: a port shares its domain")]
#[case::device_memory("SRAT", 48 + 3 * 18 + 8 + 4, &[0, 1], "DSDT: (")]
#[case::disabled("SRAT", 48 + 10, &[0], "SRAT: flags of a structure")]
#[case::figure("HMAT", 40 + 80 + 32 + 24, &[0], "HMAT: an entry says nothing")]
#[case::domain("HMAT", 40 + 80 + 32, &[7], "HMAT: ")]
#[case::gicc_uid("APIC", 44 + 24 + 8, &[7], "APIC: ACPI UID")]
#[case::its("APIC", 350 - 16, &[7], "IORT: ITS [0]")]
#[case::root_count("IORT", 36, &[3], "IORT: count of nodes")]
#[case::identifier("IORT", 76, &[0], "IORT: two nodes have one identifier")]
#[case::two_roots("IORT", 72, &[2], "IORT: 2 root complex nodes")]
#[case::cca("IORT", 264, &[0], "IORT: CCA")]
#[case::ats("IORT", 272, &[3], "IORT: ATS attribute")]
#[case::iort_segment("IORT", 276, &[1], "IORT: ITS [0], segment 1")]
#[case::count_not_less_one("IORT", 288, &[0, 0x0c], "IORT: first ID of a mapping")]
#[case::last_count("IORT", 344 - 16, &[0, 0xec], "IORT: a mapping ends past the last ID")]
#[case::output("IORT", 292, &[1], "IORT: output base")]
#[case::reference("IORT", 296, &[0, 0], "IORT: a mapping leads to 0, where no node begins")]
#[case::self_reference("IORT", 296, &[248, 0], "IORT: a mapping leads to a node of kind 2")]
#[case::not_sorted("IORT", 284, &[0, 0x20], "IORT: output base")]
#[case::two_ways("IORT", 296, &[72, 0], "IORT: 2 mappings lead to an SMMU")]
#[case::smmu_ids("IORT", 144, &[0xfe], "IORT: an SMMU does not map every ID to the ITS")]
#[case::gsiv("IORT", 116, &[0], "IORT: an SMMU's interrupt is none")]
#[case::coherent_walks("IORT", 96, &[0], "IORT: SMMU flags")]
#[case::timer("GTDT", 60, &[0], "GTDT: flags of a timer")]
#[case::console("SPCR", 86, &[0], "SPCR: offset of the name")]
fn the_decoder_sees_what_is_wrong(
    #[case] name: &str,
    #[case] at: usize,
    #[case] bytes: &[u8],
    #[case] said: &str,
) {
    let error = laws::read(&spoiled(&sample::virt(), name, at, bytes)).map(drop).unwrap_err();
    assert!(error.starts_with(said), "{error}");
}

/// In the DSDT, what is wrong is looked for by the bytes that say what is right.
#[rstest]
#[case::hid(b"ACPI0016", b"ACPI0006", "DSDT: CXL bridges [20], CEDT [12, 20]")]
#[case::cid(&[0x0c, 0x41, 0xd0, 0x0a, 0x08, 0x0c], &[0x0c, 0x41, 0xd0, 0x0a, 0x09, 0x0c], "DSDT: .PC0C: _CID")]
#[case::uid(b"_UID\x0a\x0c", b"_UID\x0a\x0d", "DSDT: .PC0C: _BBN")]
#[case::bbn(b"_BBN\x0a\x0c", b"_BBN\x0a\x0b", "DSDT: .PC0C: _BBN")]
#[case::cca(b"_CCA\x01", b"_CCA\x00", "DSDT: .PC00: _BBN, _SEG or _CCA")]
#[case::no_osc(b"_OSC", b"_OSD", "DSDT: .PC00: _CID or methods")]
#[case::no_root(b"ACPI0017", b"ACPI0018", "DSDT: ACPI0017: []")]
#[case::hidden_root(b"_STA\x0a\x0b", b"_STA\x0a\x0f", "DSDT: ACPI0017: [f]")]
#[case::bus(b"\x0c\0\x13\0\0\0\x08", b"\x0c\0\x14\0\0\0\x09", "DSDT: buses ")]
#[case::length(b"\x0c\0\x13\0\0\0\x08", b"\x0c\0\x13\0\0\0\x09", "DSDT: length of a range")]
fn the_decoder_sees_what_is_wrong_in_the_dsdt(
    #[case] right: &[u8],
    #[case] wrong: &[u8],
    #[case] said: &str,
) {
    let system = sample::virt();
    let dsdt = tables_of(&system).swap_remove(1).bytes;
    let at = dsdt.windows(right.len()).position(|bytes| bytes == right).unwrap();
    let error = laws::read(&spoiled(&system, "DSDT", at, wrong)).map(drop).unwrap_err();
    assert!(error.starts_with(said), "{error}");
}

proptest! {
    #[test]
    fn the_tables_of_any_machine_say_what_it_is(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drive::any_machine(&bytes);
    }
}
