use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use rstest::rstest;

use super::*;
use crate::backend::fake::Fake;
use crate::discover::discover;
use crate::irq::soft::SoftApic;
use crate::plan::Plan;
use crate::plan::machine::Machine;
use crate::plan::plan;
use crate::plan::topology::BridgeIntent;
use crate::plan::topology::Topology;

/// Two bridges: an endpoint is below the second, and nothing below the first.
fn planned() -> Plan {
    let bridges = vec![BridgeIntent { name: "empty".to_owned(), bus: Some(12), ..BridgeIntent::default() }];
    let topology = Topology { bridges, ..Topology::default() };
    let inventory = discover(&Fake::committed().shared()).unwrap();
    plan(&Machine { topology, ..Machine::default() }, &[("gpu0", &inventory)]).unwrap()
}

fn bridge() -> HostBridge {
    HostBridge::new(&planned().bridges[1], true, Arc::new(SoftApic::default()))
}

fn empty() -> HostBridge {
    HostBridge::new(&planned().bridges[0], false, Arc::new(SoftApic::default()))
}

fn access(offset: u64, width: Width) -> Access {
    Access::new(offset, width).unwrap()
}

fn dword(bridge: &HostBridge, offset: u64) -> u64 {
    bridge.config_read(access(offset, Width::Dword))
}

/// The configuration space as the printed tables have it, with bus 20 and the windows of the plan.
#[rstest]
#[case::ids(0x00, 0x7075_8086)]
#[case::command_and_status(0x04, 0x0010_0000)]
#[case::class(0x08, 0x0604_0000)]
#[case::header_type(0x0c, 0x0001_0000)]
#[case::bar_0(0x10, 0xc010_0004)]
#[case::bar_1(0x14, 0)]
#[case::buses(0x18, 0x0015_1514)]
#[case::no_io(0x1c, 0)]
#[case::memory(0x20, 0xc020_c020)]
#[case::prefetchable(0x24, 0x0001_0001)]
#[case::prefetchable_base_high(0x28, 1)]
#[case::prefetchable_limit_high(0x2c, 1)]
#[case::capabilities(0x34, 0x40)]
#[case::express_root_port_with_a_slot(0x40, 0x0142_7c10)]
#[case::device_capabilities(0x44, 0x0000_8000)]
#[case::link_capabilities_and_port_1(0x4c, 0x0150_0105)]
#[case::link_status_active(0x50, 0x2105_0000)]
#[case::slot_2_comes_and_goes(0x54, 0x0010_0060)]
#[case::slot_status_present(0x58, 0x0040_0000)]
#[case::speeds(0x6c, 0x0000_003e)]
#[case::msi_of_64_bits_and_one_vector(0x7c, 0x0080_0005)]
#[case::message_address(0x80, 0)]
#[case::message_address_high(0x84, 0)]
#[case::message_data(0x88, 0)]
#[case::dvsec_3(0x100, 0x1281_0023)]
#[case::dvsec_3_header_1(0x104, 0x0280_1e98)]
#[case::dvsec_3_initialised(0x108, 0x0001_0003)]
#[case::dvsec_3_resets_are_masked(0x10c, 0)]
#[case::dvsec_4(0x128, 0x1381_0023)]
#[case::dvsec_4_header_1(0x12c, 0x0100_1e98)]
#[case::dvsec_4_header_2(0x130, 0x0000_0004)]
#[case::dvsec_7(0x138, 0x1581_0023)]
#[case::dvsec_7_header_1(0x13c, 0x0202_1e98)]
#[case::dvsec_7_capability(0x140, 0x0027_0007)]
#[case::dvsec_7_control_and_status(0x144, 0x0027_0027)]
#[case::dvsec_8(0x158, 0x0001_0023)]
#[case::dvsec_8_header_1(0x15c, 0x0140_1e98)]
#[case::dvsec_8_header_2(0x160, 0x0000_0008)]
#[case::dvsec_8_component_in_bar_0(0x164, 0x0000_0100)]
#[case::dvsec_8_high(0x168, 0)]
fn the_port_reads_as_the_tables_say(#[case] offset: u64, #[case] value: u64) {
    let read = dword(&bridge(), offset);
    assert_eq!(read, value, "{read:#010x} at {offset:#x}");
}

#[test]
fn a_port_without_a_device_has_trained_nothing_and_forwards_nothing() {
    let port = empty();
    assert_eq!(dword(&port, 0x18), 0x000d_0d0c);
    assert_eq!(
        (dword(&port, 0x20), dword(&port, 0x24)),
        (0x0000_fff0, 0x0001_fff1),
        "the end is before the start"
    );
    assert_eq!((dword(&port, 0x28), dword(&port, 0x2c)), (0, 0));
    assert_eq!(dword(&port, 0x4c) >> 24, 0, "its own port number");
    assert_eq!((dword(&port, 0x50), dword(&port, 0x144)), (0, 0x0000_0027));
    assert_eq!((dword(&port, 0x108), dword(&port, 0x58)), (3, 0));
}

#[test]
fn a_device_that_goes_and_comes_is_told_of_until_the_guest_has_read_it() {
    let port = bridge();
    let told = || (dword(&port, 0x50), dword(&port, 0x58), dword(&port, 0x108), dword(&port, 0x144));
    port.set_present(false);
    // Neither present nor active nor trained; presence and link have changed.
    assert_eq!(told(), (0, 0x0108_0000, 3, 0x0000_0027));
    port.config_write(access(0x5a, Width::Word), 0x0108).unwrap();
    assert_eq!(told(), (0, 0, 3, 0x0000_0027), "each bit is cleared by 1");
    port.config_write(access(0x58, Width::Word), 0x1028).unwrap();
    port.set_present(true);
    // The write to Slot Control was a command, and is done.
    assert_eq!(told(), (0x2105_0000, 0x0158_1028, 0x0001_0003, 0x0027_0027));
    port.config_write(access(0x5a, Width::Word), 0x0008).unwrap();
    assert_eq!(dword(&port, 0x58), 0x0150_1028, "and no other with it");
}

/// An empty port whose messages are number 0x61, and how often that was taken.
fn with_messages() -> (HostBridge, SoftApic) {
    let apic = SoftApic::default();
    let port = HostBridge::new(&planned().bridges[0], false, Arc::new(apic.clone()));
    for (offset, width, value) in
        [(0x80, Width::Dword, 0xfee0_0000), (0x88, Width::Word, 0x61), (0x7e, Width::Word, 1)]
    {
        port.config_write(access(offset, width), value).unwrap();
    }
    (port, apic)
}

fn taken(apic: &SoftApic) -> u64 {
    apic.take(|_| true);
    apic.taken(0x61)
}

fn control(port: &HostBridge, value: u64) {
    port.config_write(access(0x58, Width::Word), value).unwrap();
}

fn clear(port: &HostBridge) {
    port.config_write(access(0x5a, Width::Word), 0xffff).unwrap();
}

#[test]
fn a_device_that_comes_and_goes_is_one_message_each_once_the_guest_has_cleared_the_one_before() {
    let (port, apic) = with_messages();
    control(&port, 0x1028);
    assert_eq!(taken(&apic), 0);
    port.set_present(true);
    assert_eq!(taken(&apic), 1);
    port.set_present(false);
    assert_eq!(taken(&apic), 1, "nothing was cleared");
    clear(&port);
    port.set_present(true);
    assert_eq!(taken(&apic), 2);
}

#[test]
fn a_command_that_is_completed_is_a_message_where_that_is_on() {
    let (port, apic) = with_messages();
    control(&port, 0x0030);
    assert_eq!((taken(&apic), dword(&port, 0x58)), (1, 0x0010_0030));
    clear(&port);
    port.config_write(access(0x58, Width::Byte), 0x30).unwrap();
    assert_eq!(taken(&apic), 2, "a byte of the register is a command, too");
    clear(&port);
    port.config_write(access(0x5a, Width::Word), 0).unwrap();
    assert_eq!((taken(&apic), dword(&port, 0x58)), (2, 0x0030), "the status is none of it");
}

#[test]
fn what_comes_while_msi_is_off_is_no_message_then_or_later_and_a_message_that_changes_is_the_new_one() {
    let (port, apic) = with_messages();
    control(&port, 0x0028);
    port.config_write(access(0x7e, Width::Word), 0).unwrap();
    port.set_present(true);
    port.config_write(access(0x7e, Width::Word), 1).unwrap();
    assert_eq!(taken(&apic), 0);
    clear(&port);
    port.config_write(access(0x88, Width::Word), 0x62).unwrap();
    port.set_present(false);
    assert_eq!((taken(&apic), apic.taken(0x62)), (0, 1));
}

/// The bits that a guest may write, by hand, where it may write any: everything else stays.
#[test]
fn the_guest_changes_what_it_may_and_nothing_else() {
    let writable = [
        (0x04, 0x0546),
        (0x0c, 0xff),
        (0x3c, 0x0043_00ff),
        (0x48, 0xf9ff),
        (0x50, 0x43),
        (0x58, 0x1038),
        (0x5c, 0xf),
        (0x68, 0x10),
        (0x70, 0xf),
        (0x7c, 0x0071_0000),
        (0x80, 0xffff_fffc),
        (0x84, 0xffff_ffff),
        (0x88, 0xffff),
        (0x10c, 0xffff_401f),
        (0x110, 0xfff0_fff0),
        (0x114, 0xfff0_fff0),
        (0x118, 0xffff_ffff),
        (0x11c, 0xffff_ffff),
        (0x120, 0xffff_e001),
        (0x124, 0xffff_ffff),
        (0x134, 0x0f0f_0f0f),
        (0x144, 0x03fd),
    ];
    for offset in (0..0x1000).step_by(4).filter(|offset| !(0x10..0x18).contains(offset)) {
        let port = bridge();
        let may = writable.iter().find(|(at, _)| *at == offset).map_or(0, |(_, bits)| *bits);
        let before = dword(&port, offset);
        for value in [0xffff_ffff, 0] {
            port.config_write(access(offset, Width::Dword), value).unwrap();
            // A write to Slot Control is a command, which is completed; the next write clears what it finds.
            let command = if offset == 0x58 { 0x0010_0000 } else { 0 };
            let expected = before & !may | value & may | command;
            assert_eq!(dword(&port, offset), expected, "{offset:#x} after {value:#x}");
        }
    }
}

#[test]
fn the_bar_reads_its_place_and_after_ones_its_size() {
    let port = bridge();
    for offset in [0x10, 0x14] {
        port.config_write(access(offset, Width::Dword), 0xffff_ffff).unwrap();
    }
    assert_eq!((dword(&port, 0x10), dword(&port, 0x14)), (0xffff_0004, 0xffff_ffff));
    assert_eq!(port.config_read(access(0x12, Width::Word)), 0xffff);
    port.config_write(access(0x10, Width::Dword), 0x8000_0000).unwrap();
    port.config_write(access(0x14, Width::Dword), 0).unwrap();
    assert_eq!((dword(&port, 0x10), dword(&port, 0x14)), (0xc010_0004, 0));
}

#[rstest]
#[case::no_io_registers(0x0, 0)]
#[case::array(0x1000, 0x0211_0001)]
#[case::ras(0x1004, 0x0802_0002)]
#[case::link(0x1008, 0x1002_0004)]
#[case::no_third(0x100c, 0)]
#[case::uncorrectable_status(0x1080, 0)]
#[case::uncorrectable_mask(0x1084, 0x0001_cfff)]
#[case::uncorrectable_severity(0x1088, 0x0001_cfff)]
#[case::correctable_mask(0x1090, 0x7f)]
#[case::first_error(0x1094, 0x3f)]
#[case::behind_the_registers(0xfffc, 0)]
fn the_ports_component_registers_read_as_the_tables_say(#[case] offset: u64, #[case] value: u64) {
    assert_eq!(bridge().read(Component::RootPort(1), access(offset, Width::Dword)), Some(value));
}

#[rstest]
#[case::array(0x1000, 0x0111_0001)]
#[case::extended_security(0x1004, 0x0801_0006)]
#[case::no_decoders(0x1008, 0)]
#[case::one_port(0x1080, 1)]
#[case::not_trusted(0x1084, 2)]
#[case::port_1(0x1088, 1)]
fn the_bridges_component_registers_read_as_the_tables_say(#[case] offset: u64, #[case] value: u64) {
    assert_eq!(bridge().read(Component::HostBridge(1), access(offset, Width::Dword)), Some(value));
}

#[test]
fn masks_of_errors_and_trust_can_be_written() {
    let bridge = bridge();
    let port = Component::RootPort(1);
    bridge.write(port, access(0x1084, Width::Dword), 0xffff_fffe).unwrap();
    assert_eq!(bridge.read(port, access(0x1084, Width::Dword)), Some(0x0001_cffe));
    let host = Component::HostBridge(1);
    bridge.write(host, access(0x1080, Width::Qword), 0).unwrap();
    assert_eq!(bridge.read(host, access(0x1080, Width::Qword)), Some(1), "the number of ports stays");
}

#[rstest]
#[case(Width::Byte)]
#[case(Width::Word)]
fn component_registers_take_no_narrow_access(#[case] width: Width) {
    let bridge = bridge();
    let host = Component::HostBridge(1);
    assert_eq!(bridge.read(host, access(0x1084, width)), None);
    assert_eq!(bridge.write(host, access(0x1084, width), 0), None);
    assert_eq!(bridge.read(host, access(0x1084, Width::Dword)), Some(2));
}

#[test]
fn the_bar_of_the_plan_is_the_one_of_the_configuration_space() {
    let planned = planned();
    for bridge in &planned.bridges {
        let shown = dword(&HostBridge::new(bridge, false, Arc::new(SoftApic::default())), 0x10);
        assert_eq!(Gpa::new(shown & !0xf), bridge.port.bar.start());
    }
}
