use cxl_spec::address::Gpa;
use rstest::rstest;

use super::*;
use crate::acpi::sample;
use crate::acpi::system::Cpu;
use crate::acpi::system::FmwsInCrs;

fn span(base: u64, size: u64) -> Span<Gpa> {
    Span::new(Gpa::new(base), size).unwrap()
}

fn said(mut system: System, change: fn(&mut System)) -> String {
    change(&mut system);
    system.check().unwrap_err().to_string()
}

fn gic(system: &mut System) -> &mut Gic {
    match &mut system.platform {
        Platform::Aarch64 { gic, .. } => gic,
        Platform::X86_64 { .. } => panic!("a GIC"),
    }
}

fn timer(system: &mut System) -> &mut Timer {
    match &mut system.platform {
        Platform::Aarch64 { timer, .. } => timer,
        Platform::X86_64 { .. } => panic!("a timer"),
    }
}

fn smmus(system: &mut System) -> &mut Vec<Smmu> {
    match &mut system.platform {
        Platform::Aarch64 { smmus, .. } => smmus,
        Platform::X86_64 { .. } => panic!("SMMUs"),
    }
}

fn set_kind(system: &mut System, index: usize, registers: u64, port: u32) {
    system.bridges[index].kind = BridgeKind::Cxl { registers: Gpa::new(registers), port };
}

#[test]
fn the_samples_can_be_told_and_stay_as_they_are() {
    for (_, system) in sample::all() {
        assert_eq!(system.clone().check().unwrap().system(), &system);
    }
}

#[rstest]
#[case::no_cpu(|s: &mut System| s.cpus.clear(), "cpus = 0x0: there must be one")]
#[case::many_cpus(
    |s: &mut System| s.cpus = (0..513).map(|id| Cpu { id, node: 0 }).collect(), "cpus = 0x201: there are too many")]
#[case::mpidr(|s: &mut System| s.cpus[1].id = 1 << 31, "cpus[1].id = 0x80000000: must have affinity bits only")]
#[case::one_id(|s: &mut System| s.cpus[1].id = 0, "cpus[1].id = 0x0: another processor has it")]
#[case::no_ram(|s: &mut System| s.ram.clear(), "ram = 0x0: there must be one")]
#[case::tables_apart(
    |s: &mut System| s.tables = Gpa::new(0x5000_0100),
    "tables = 0x50000100: must be a multiple of 4 KiB")]
#[case::tables_outside(
    |s: &mut System| s.tables = Gpa::new(0x1_3ff0_1000),
    "tables = 0x13ff01000: the tables must lie in RAM")]
#[case::root_odd(|s: &mut System| s.root = Gpa::new(0x7000_0008), "root = 0x70000008: must be a multiple of 16")]
#[case::root_outside(
    |s: &mut System| s.root = Gpa::new(0xbfff_fff0),
    "root = 0xbffffff0: the root pointer must lie in RAM")]
#[case::root_among_tables(
    |s: &mut System| s.root = Gpa::new(0x7fef_fff0),
    "root = 0x7feffff0: is among the other tables")]
#[case::buses(|s: &mut System| s.ecam.buses = 96, "ecam.buses = 0x60: must be a power of two, at most 256")]
#[case::all_buses(|s: &mut System| s.ecam.buses = 512, "ecam.buses = 0x200: must be a power of two, at most 256")]
#[case::ecam(
    |s: &mut System| s.ecam.base = Gpa::new(0x40_1800_0000),
    "ecam.base = 0x4018000000: must be a multiple of 256 MiB")]
#[case::ecam_at_0(|s: &mut System| s.ecam.base = Gpa::new(0), "ecam.base = 0x0: nothing may be at 0")]
#[case::no_buses(|s: &mut System| s.bridges[1].last_bus = 11, "bridges[1].last_bus = 0xb: is before the first bus")]
#[case::outside(|s: &mut System| s.ecam.buses = 128, "bridges[2].last_bus = 0xff: is outside configuration space")]
#[case::one_uid(
    |s: &mut System| s.bridges[2].bus = 12,
    "platform.smmus[0].bus = 0x14: no host bridge begins with this bus")]
#[case::one_bus(
    |s: &mut System| s.bridges[1].last_bus = 20,
    "bridges[2].bus = 0x14: another host bridge has one of its buses")]
#[case::bridge_node(
    |s: &mut System| s.bridges[0].node = Some(9),
    "bridges[0].node = 0x9: has neither processors nor RAM")]
#[case::above(
    |s: &mut System| s.bridges[0].memory32 = Some(span(0xffff_0000, 0x2_0000)),
    "bridges[0].memory32 = 0xffff0000: must lie below 4 GiB")]
#[case::io(
    |s: &mut System| s.bridges[0].io = Some(IoWindow { first: 9, last: 8, at: 9 }),
    "bridges[0].io.last = 0x8: is before the first port")]
#[case::io_at(
    |s: &mut System| s.bridges[0].io = Some(IoWindow { first: 9, last: 9, at: 8 }),
    "bridges[0].io.at = 0x8: must be from the first port on and below 4 GiB")]
#[case::chbcr(
    |s: &mut System| set_kind(s, 1, 0x40_0010_8000, 2),
    "bridges[1].registers = 0x4000108000: must be a multiple of 64 KiB")]
#[case::chbcr_at_0(|s: &mut System| set_kind(s, 1, 0, 2), "bridges[1].registers = 0x0: nothing may be at 0")]
#[case::port_of_cpus(
    |s: &mut System| set_kind(s, 1, 0x40_0010_0000, 1),
    "bridges[1].port = 0x1: the domain must be its own")]
#[case::one_port(
    |s: &mut System| set_kind(s, 1, 0x40_0010_0000, 3),
    "bridges[1].port = 0x3: the domain must be its own")]
#[case::window_base(
    |s: &mut System| s.windows[0].span = span(0x100_0800_0000, 1 << 28),
    "windows[0].base = 0x10008000000: must be a multiple of 256 MiB")]
#[case::window_at_0(
    |s: &mut System| s.windows[0].span = span(0, 1 << 28),
    "windows[0].base = 0x0: nothing may be at 0")]
#[case::window_size(
    |s: &mut System| s.windows[0].span = span(0x100_0000_0000, 3 << 27),
    "windows[0].size = 0x18000000: must be a multiple of 256 MiB")]
#[case::no_target(
    |s: &mut System| s.windows[1].target = 21,
    "windows[1].target = 0x15: no CXL host bridge has this unique ID")]
#[case::pcie_target(
    |s: &mut System| s.windows[1].target = 0,
    "windows[1].target = 0x0: no CXL host bridge has this unique ID")]
#[case::no_latency(|s: &mut System| s.access.local.latency = 0, "access.local.latency = 0x0: must be 1 to 0xfffe")]
#[case::unreachable(
    |s: &mut System| s.access.remote.bandwidth = 0xffff, "access.remote.bandwidth = 0xffff: must be 1 to 0xfffe")]
#[case::gicd(
    |s: &mut System| gic(s).distributor = Gpa::new(0x0800_1000),
    "platform.gic.distributor = 0x8001000: must be a multiple of 64 KiB")]
#[case::its(|s: &mut System| gic(s).its = Gpa::new(0), "platform.gic.its = 0x0: nothing may be at 0")]
#[case::no_gicr(
    |s: &mut System| gic(s).redistributors.clear(),
    "platform.gic.redistributors = 0x0: there must be one")]
#[case::few_gicr(
    |s: &mut System| gic(s).redistributors = vec![span(0x080a_0000, 0x4_0000)],
    "platform.gic.redistributors = 0x2: there are more processors than this many redistributors")]
#[case::gicr(
    |s: &mut System| gic(s).redistributors = vec![span(0x080a_8000, 0x8_0000)],
    "platform.gic.redistributors[0] = 0x80a8000: must be a multiple of 64 KiB")]
#[case::long_gicr(
    |s: &mut System| gic(s).redistributors = vec![span(0x60_0000_0000, 1 << 32)],
    "platform.gic.redistributors[0].size = 0x100000000: must be below 4 GiB")]
#[case::shared_timer(
    |s: &mut System| timer(s).virtual_el1 = 32,
    "platform.timer.virtual_el1 = 0x20: must be a private interrupt of its own, 16 to 31")]
#[case::one_timer(
    |s: &mut System| timer(s).virtual_el1 = 30,
    "platform.timer.virtual_el1 = 0x1e: must be a private interrupt of its own, 16 to 31")]
#[case::smmu(
    |s: &mut System| smmus(s)[1].base = Gpa::new(0x0c00_1000),
    "platform.smmus[1].base = 0xc001000: must be a multiple of 64 KiB")]
#[case::smmu_bus(
    |s: &mut System| smmus(s)[1].bus = 1,
    "platform.smmus[1].bus = 0x1: no host bridge begins with this bus")]
#[case::two_smmus(|s: &mut System| smmus(s)[1].bus = 20, "platform.smmus[1].bus = 0x14: another SMMU serves it")]
#[case::last_interrupt(
    |s: &mut System| smmus(s)[0].first_interrupt = 1017,
    "platform.smmus[0].first_interrupt = 0x3f9: its four must be shared interrupts, 32 to 1019")]
#[case::one_interrupt(
    |s: &mut System| smmus(s)[1].first_interrupt = 107,
    "platform.smmus[1].first_interrupt = 0x6b: one of its four is taken")]
#[case::console_interrupt(
    |s: &mut System| smmus(s)[0].first_interrupt = 33,
    "platform.smmus[0].first_interrupt = 0x21: one of its four is taken")]
#[case::pl011_interrupt(
    |s: &mut System| s.uart.as_mut().unwrap().interrupt = 31,
    "uart.interrupt = 0x1f: must be a shared interrupt, 32 to 1019")]
#[case::pl011(
    |s: &mut System| s.uart.as_mut().unwrap().at = Gpa::new(0x1_0900_0000),
    "uart.at = 0x109000000: must lie below 4 GiB")]
fn an_aarch64_machine_may_not_be(#[case] change: fn(&mut System), #[case] why: &str) {
    assert_eq!(said(sample::virt(), change), why);
}

#[rstest]
#[case::apic_id(|s: &mut System| s.cpus[1].id = 256, "cpus[1].id = 0x100: must be a byte")]
#[case::all_apics(|s: &mut System| s.cpus[1].id = 255, "cpus[1].id = 0xff: means all processors")]
#[case::many_cpus(
    |s: &mut System| s.cpus = (0..256).map(|id| Cpu { id, node: 0 }).collect(), "cpus = 0x100: there are too many")]
#[case::apic(
    |s: &mut System| if let Platform::X86_64 { local_apic, .. } = &mut s.platform { *local_apic = Gpa::new(1 << 32) },
    "platform.local_apic = 0x100000000: must lie below 4 GiB")]
#[case::io_apic(
    |s: &mut System| if let Platform::X86_64 { io_apic, .. } = &mut s.platform { io_apic.base = Gpa::new(0x800) },
    "platform.io_apic.base = 0x800: must be a multiple of 4 KiB")]
#[case::io(
    |s: &mut System| s.bridges[0].io.as_mut().unwrap().at = 0x2000,
    "bridges[0].io.at = 0x2000: must be the first port on x86-64")]
#[case::ports(
    |s: &mut System| s.uart.as_mut().unwrap().at = Gpa::new(0xfff9),
    "uart.at = 0xfff9: must be a port with seven behind it")]
#[case::interrupt(
    |s: &mut System| s.uart.as_mut().unwrap().interrupt = 256,
    "uart.interrupt = 0x100: must be an input of an I/O APIC, below 256")]
fn an_x86_64_machine_may_not_be(#[case] change: fn(&mut System), #[case] why: &str) {
    assert_eq!(said(sample::q35(), change), why);
}

#[rstest]
#[case::ram(
    sample::q35, |s: &mut System| s.ram[1].span = span(0x7fff_f000, 0x2000),
    "ram[1] [0x7ffff000, 0x80001000) overlaps ram[0] [0x0, 0x80000000)")]
#[case::ecam(
    sample::q35, |s: &mut System| s.bridges[0].memory32 = Some(span(0xafff_f000, 0x2000)),
    "ecam [0xb0000000, 0xc0000000) overlaps bridges[0].memory32 [0xaffff000, 0xb0001000)")]
#[case::windows(
    sample::virt, |s: &mut System| s.windows[1].span = span(0x100_3000_0000, 1 << 30),
    "windows[1] [0x10030000000, 0x10070000000) overlaps windows[0] [0x10000000000, 0x10040000000)")]
#[case::window_in_bridge(
    sample::q35, |s: &mut System| s.windows[0].span = span(0x3f_f000_0000 - 0xf_0000_0000, 1 << 28),
    "windows[0] [0x30f0000000, 0x3100000000) overlaps bridges[1].memory64 [0x3000000000, 0x4000000000)")]
#[case::chbcr_in_bridge(
    sample::q35, |s: &mut System| set_kind(s, 1, 0xe100_0000, 1),
    "bridges[1].registers [0xe1000000, 0xe1010000) overlaps bridges[1].memory32 [0xe0000000, 0xe4000000)")]
#[case::local_apic(
    sample::q35, |s: &mut System| s.bridges[0].memory32 = Some(span(0xf000_0000, 0xfff_0000)),
    "platform.io_apic [0xfec00000, 0xfec01000) overlaps bridges[0].memory32 [0xf0000000, 0xffff0000)")]
#[case::config_ports(
    sample::q35,
    |s: &mut System| *s.bridges[0].io.as_mut().unwrap() = IoWindow { first: 0x500, last: 0xfff, at: 0x500 },
    "the ports of configuration space [0xcf8, 0xd00) overlaps bridges[0].io [0x500, 0x1000)")]
#[case::console_ports(
    sample::q35, |s: &mut System| s.uart.as_mut().unwrap().at = Gpa::new(0x2000),
    "uart [0x2000, 0x2008) overlaps bridges[0].io [0x1000, 0x10000)")]
#[case::pl011(
    sample::virt, |s: &mut System| s.uart.as_mut().unwrap().at = Gpa::new(0x0c00_1000),
    "uart [0xc001000, 0xc002000) overlaps platform.smmus[1] [0xc000000, 0xc020000)")]
#[case::smmus(
    sample::virt, |s: &mut System| smmus(s)[0].base = Gpa::new(0x0c01_0000),
    "platform.smmus[0] [0xc010000, 0xc030000) overlaps platform.smmus[1] [0xc000000, 0xc020000)")]
#[case::gic(
    sample::virt, |s: &mut System| gic(s).its = Gpa::new(0x0809_0000),
    "platform.gic.redistributors[0] [0x80a0000, 0x9000000) overlaps platform.gic.its [0x8090000, 0x80b0000)")]
#[case::io_in_memory(
    sample::virt, |s: &mut System| s.bridges[0].io.as_mut().unwrap().at = 0x4000_0000,
    "ram[0] [0x40000000, 0x80000000) overlaps bridges[0].io [0x40000000, 0x40010000)")]
fn two_things_may_not_be_at_one_place(
    #[case] machine: fn() -> System,
    #[case] change: fn(&mut System),
    #[case] why: &str,
) {
    assert_eq!(said(machine(), change), why);
}

/// The range that a bridge's resources name has the gaps between windows in it.
#[test]
fn something_in_a_gap_between_windows_depends_on_where_their_range_is_announced() {
    let mut system = sample::virt();
    system.windows[1].span = span(0x100_8000_0000, 1 << 30);
    system.bridges[0].memory64 = Some(span(0x100_5000_0000, 1 << 28));
    system.fmws_in_crs = FmwsInCrs::Nowhere;
    assert!(system.clone().check().is_ok());
    system.fmws_in_crs = FmwsInCrs::FirstBridge;
    let said = system.check().unwrap_err().to_string();
    let why = "bridges[0].memory64 [0x10050000000, 0x10060000000) overlaps the range of the windows \
               [0x10000000000, 0x100c0000000)";
    assert_eq!(said, why);
}

#[test]
fn what_reaches_past_the_last_address_is_told_by_its_field() {
    let mut system = sample::virt();
    smmus(&mut system)[0].base = Gpa::new(u64::MAX - 0xffff);
    let said = system.check().unwrap_err().to_string();
    assert_eq!(said, "platform.smmus[0] = 0xffffffffffffffff: reaches past the last address");
}
