mod attach;
mod commits;
mod interrupts;
mod losses;
mod plug;
mod races;
mod resets;

use cxl_spec::address::Span;
use rstest::rstest;
use vfio_abi::errno::Errno;

use super::*;
use crate::backend::Failure;
use crate::backend::fake::CONTROL;
use crate::backend::fake::DECODER;
use crate::backend::fake::Fake;
use crate::backend::fake::HDM_IN_BAR;
use crate::backend::fake::HOST_BASE;
use crate::backend::recording::Recording;
use crate::map::map;
use crate::plan::bar::Reach;
use crate::plan::machine::Machine;
use crate::plan::plan;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A soft guest, and one of KVM where there is KVM and a guest for it.
fn hypervisors() -> Vec<Hypervisor> {
    let vm = if kvm_can_run(Machine::default().arch) { kvm::Vm::new().ok() } else { None };
    vm.map(Hypervisor::Kvm).into_iter().chain([Hypervisor::Soft]).collect()
}

/// A machine with one device, running a guest of this kind.
fn running_on(hypervisor: &Hypervisor, fake: &Fake) -> Running {
    let attached = fake.attached(Recording::default());
    let plan = plan(&Machine::default(), &[("gpu0", &attached.inventory)]).unwrap();
    let programmed = map(plan, vec![attached], hypervisor.slots()).unwrap().machine_done().unwrap();
    programmed.run(hypervisor, TIMEOUT).unwrap()
}

/// A machine with one device, running a soft guest.
fn running(fake: &Fake) -> Running {
    recorded(fake).0
}

/// The same, and what its machine-done wrote to the component registers, by offset in the HDM capability.
fn recorded(fake: &Fake) -> (Running, Vec<(u64, u64)>) {
    let recording = Recording::default();
    let attached = fake.attached(recording.clone());
    let hdm = attached.inventory.cxl.as_ref().unwrap().hdm;
    let plan = plan(&Machine::default(), &[("gpu0", &attached.inventory)]).unwrap();
    let mappings = map(plan, vec![attached], Hypervisor::Soft.slots()).unwrap();
    recording.take();
    let programmed = mappings.machine_done().unwrap();
    let written = recording.stop().into_iter().filter(|access| access.is_write);
    let written = written.map(|access| (access.offset - hdm, access.value)).collect();
    (programmed.run(&Hypervisor::Soft, TIMEOUT).unwrap(), written)
}

fn bar2(running: &Running, offset: u64) -> Gpa {
    running.plan().devices[0].bars[1].span.start().checked_add(offset).unwrap()
}

fn window(running: &Running, offset: u64) -> Gpa {
    running.plan().devices[0].window.span.start().checked_add(offset).unwrap()
}

fn config(running: &Running, offset: u64) -> Gpa {
    running.plan().devices[0].config.start().checked_add(offset).unwrap()
}

#[test]
fn what_the_guest_stores_at_the_window_is_in_the_devices_memory() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let at = window(&running, 0x1000);
    running.store(at, Width::Qword, 0x1122_3344_5566_7788).unwrap();
    let mut seen = [0; 8];
    running.device_read(0, 9, 0x1000, &mut seen).unwrap();
    assert_eq!(u64::from_le_bytes(seen), 0x1122_3344_5566_7788);
    running.device_write(0, 9, 0x1002, &[0xaa, 0xbb]).unwrap();
    assert_eq!(running.load(at, Width::Qword), Ok(0x1122_3344_bbaa_7788));
    assert_eq!(running.refused(), 0);
}

#[test]
fn the_guest_reads_the_component_registers_through_the_bar() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let array = bar2(&running, 0x2_1000);
    assert_eq!(running.load(array, Width::Dword), Ok(0x0211_0001));
    let control = bar2(&running, 0x2_1000 + CONTROL);
    assert_eq!(running.load(control, Width::Dword), Ok(0x700));
    let base = bar2(&running, 0x2_1000 + DECODER);
    assert_eq!(running.load(base, Width::Qword), Ok(0x1_1000_0000), "a qword is two dwords");
}

#[rstest]
#[case::a_byte(Width::Byte, 0xff)]
#[case::a_word(Width::Word, 0xffff)]
fn a_narrow_access_to_the_component_registers_reads_ones_and_is_counted(
    #[case] width: Width,
    #[case] ones: u64,
) {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let control = bar2(&running, 0x2_1000 + CONTROL);
    assert_eq!(running.load(control, width), Ok(ones));
    running.store(control, width, 0).unwrap();
    assert_eq!((fake.dword(10, CONTROL), running.refused()), (0x700, 2));
}

#[test]
fn around_the_component_registers_the_guest_reaches_the_bar() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    running.device_write(0, 2, 0x2_0ffc, &0x1234_5678u32.to_le_bytes()).unwrap();
    running.device_write(0, 2, 0x2_1140, &0x9abc_def0u32.to_le_bytes()).unwrap();
    let (before, behind) = (bar2(&running, 0x2_0ffc), bar2(&running, 0x2_1140));
    assert_eq!(running.load(before, Width::Dword), Ok(0x1234_5678));
    assert_eq!(running.load(behind, Width::Dword), Ok(0x9abc_def0));
    let last = bar2(&running, 0x2_113c);
    let crooked = running.load(last, Width::Qword).unwrap();
    assert_eq!(crooked >> 32, 0x9abc_def0, "half of it is the overlay's, half the BAR's");
}

#[test]
fn an_access_across_the_end_of_memory_is_taken_apart() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let end = window(&running, (256 << 20) - 2);
    running.store(end, Width::Dword, 0x1122_3344).unwrap();
    assert_eq!(running.load(end, Width::Dword), Ok(0xffff_3344));
}

#[test]
fn where_there_is_nothing_the_guest_reads_ones() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    assert_eq!(running.load(Gpa::new(0x8000_0000), Width::Qword), Ok(u64::MAX));
    running.store(Gpa::new(0x8000_0000), Width::Qword, 7).unwrap();
    assert_eq!(running.refused(), 16, "each byte of both");
}

#[test]
fn the_guest_finds_its_device_in_configuration_space_and_no_other() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (ids, class) = (config(&running, 0), config(&running, 8));
    assert_eq!(running.load(ids, Width::Dword), Ok(0xc7f2_1e98));
    assert_eq!(running.load(class, Width::Qword), Ok(0x1200_0001), "two dwords");
    assert_eq!(running.load(Gpa::new(0xb000_0000), Width::Dword), Ok(0xffff_ffff), "no function 00:00.0");
    assert_eq!(running.load(Gpa::new(0xb0d0_1000), Width::Word), Ok(0xffff), "no function 0d:00.1");
    assert_eq!(running.load(Gpa::new(0xb0d0_8000), Width::Word), Ok(0xffff), "no function 0d:01.0");
    assert_eq!(running.load(Gpa::new(0xb0e0_0000), Width::Word), Ok(0xffff), "no function 0e:00.0");
    assert_eq!(running.refused(), 0, "looking for functions is no mistake");
}

#[test]
fn the_guest_finds_the_port_above_its_device() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let bridge = running.plan().bridges[0].clone();
    let port = |offset| bridge.port.config.start().checked_add(offset).unwrap();
    assert_eq!(running.load(port(0), Width::Dword), Ok(0x7075_8086));
    assert_eq!(running.load(port(0x18), Width::Qword), Ok(0x000d_0d0c), "two dwords: buses, and no I/O");
    running.store(port(0x18), Width::Dword, 0x0003_0201).unwrap();
    running.store(port(0x04), Width::Word, 0x0006).unwrap();
    assert_eq!(running.load(port(0x18), Width::Dword), Ok(0x000d_0d0c));
    assert_eq!(running.load(port(0x04), Width::Dword), Ok(0x0010_0006));
    assert_eq!(running.refused(), 0);
}

#[test]
fn component_registers_of_bridge_and_port_take_dwords_and_qwords_alone() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let bridge = running.plan().bridges[0].clone();
    let policy = bridge.registers.start().checked_add(0x1084).unwrap();
    let array = bridge.port.bar.start().checked_add(0x1000).unwrap();
    assert_eq!(running.load(policy, Width::Dword), Ok(2));
    assert_eq!(running.load(array, Width::Qword), Ok(0x0802_0002_0211_0001));
    running.store(policy, Width::Dword, 1).unwrap();
    assert_eq!((running.load(policy, Width::Dword), running.refused()), (Ok(1), 0));
    running.store(policy, Width::Byte, 0).unwrap();
    assert_eq!(running.load(array, Width::Word), Ok(0xffff));
    assert_eq!((running.load(policy, Width::Dword), running.refused()), (Ok(1), 2));
}

#[test]
fn a_soft_guest_runs_in_either_layout_and_kvms_program_where_ram_is_at_0() {
    for arch in Arch::ALL {
        let attached = Fake::committed().attached(Recording::default());
        let machine = Machine { arch, address_bits: 48, ..Machine::default() };
        let plan = plan(&machine, &[("gpu0", &attached.inventory)]).unwrap();
        let ram = plan.map.iter().find(|placed| placed.name == "ram").unwrap().span.start();
        assert_eq!(kvm_can_run(arch), ram == Gpa::new(0));
        let mappings = map(plan, vec![attached], Hypervisor::Soft.slots()).unwrap();
        let mut running = mappings.machine_done().unwrap().run(&Hypervisor::Soft, TIMEOUT).unwrap();
        for at in [ram, window(&running, 8)] {
            running.store(at, Width::Qword, 0x1234_5678).unwrap();
            assert_eq!(running.load(at, Width::Qword), Ok(0x1234_5678));
        }
    }
}

#[test]
fn a_bar_reads_its_place_and_after_ones_its_size() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (low, high) = (config(&running, 0x18), config(&running, 0x1c));
    assert_eq!(running.load(low, Width::Qword), Ok(0x1_0000_000c));
    running.store(low, Width::Dword, 0xffff_ffff).unwrap();
    running.store(high, Width::Dword, 0xffff_ffff).unwrap();
    assert_eq!(running.load(low, Width::Qword), Ok(0xffff_ffff_fff0_000c));
    running.store(low, Width::Dword, 0x8000_0123).unwrap();
    running.store(high, Width::Dword, 0).unwrap();
    assert_eq!(running.load(low, Width::Qword), Ok(0x8000_000c), "the address, and not what is read-only");
    assert_eq!(fake.dword(7, 0x18), 0x0000_000c, "the device was never told");
}

/// Where the port above the device forwards what is not prefetchable: there BAR 0 is.
fn forwarded(running: &Running) -> Span<Gpa> {
    running.plan().bridges[0].port.memory.unwrap()
}

/// The guest writes both halves of BAR 2, the low one first.
fn write_bar2(running: &mut Running, low: u64, high: u64) {
    let at = [config(running, 0x18), config(running, 0x1c)];
    running.store(at[0], Width::Dword, low).unwrap();
    running.store(at[1], Width::Dword, high).unwrap();
}

fn dword(running: &mut Running, at: Gpa) -> u64 {
    running.load(at, Width::Dword).unwrap()
}

/// What is read where nothing is.
const NOTHING: u64 = 0xffff_ffff;

/// What begins the component registers.
const ARRAY: u64 = 0x0211_0001;

#[test]
fn a_bar_that_the_guest_writes_moves_with_its_overlay() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (old, new) = (bar2(&running, 0), forwarded(&running).start());
    running.store(old, Width::Dword, 0x1234_5678).unwrap();
    write_bar2(&mut running, new.get(), 0);
    assert_eq!(dword(&mut running, new), 0x1234_5678);
    assert_eq!(dword(&mut running, new.checked_add(0x2_1000).unwrap()), ARRAY);
    for offset in [0, 0x2_1000, 0xf_fffc] {
        assert_eq!(dword(&mut running, old.checked_add(offset).unwrap()), NOTHING, "at {offset:#x}");
    }
    write_bar2(&mut running, old.get() & 0xffff_ffff, old.get() >> 32);
    assert_eq!(dword(&mut running, old), 0x1234_5678, "and back");
}

#[test]
fn a_bar_moves_when_either_half_is_written() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (old, high) = (bar2(&running, 0x2_1000), config(&running, 0x1c));
    running.store(high, Width::Dword, 2).unwrap();
    assert_eq!(dword(&mut running, old), NOTHING);
    running.store(high, Width::Byte, 1).unwrap();
    assert_eq!(dword(&mut running, old), ARRAY, "a byte of it will do");
    let third = config(&running, 0x1a);
    running.store(third, Width::Byte, 0xf0).unwrap();
    assert_eq!(dword(&mut running, old), NOTHING);
}

#[test]
fn a_bar_outside_of_what_its_port_forwards_is_nowhere() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (ram, array) = (Gpa::new(0x10_0000), bar2(&running, 0x2_1000));
    running.store(ram, Width::Dword, 0x5555_6666).unwrap();
    let places =
        [ram, running.plan().bridges[0].registers.start(), window(&running, 0), Gpa::new(0x9_0000_0000)];
    let before: Vec<_> = places.iter().map(|at| dword(&mut running, *at)).collect();
    for (place, before) in places.into_iter().zip(before) {
        write_bar2(&mut running, place.get() & 0xffff_ffff, place.get() >> 32);
        assert_eq!(dword(&mut running, place), before, "at {place}");
        assert_eq!(dword(&mut running, array), NOTHING);
    }
}

#[test]
fn a_bar_is_out_while_it_reads_its_size() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let array = bar2(&running, 0x2_1000);
    let low = config(&running, 0x18);
    running.store(low, Width::Dword, 0xffff_ffff).unwrap();
    assert_eq!(dword(&mut running, low), 0xfff0_000c);
    assert_eq!(dword(&mut running, array), NOTHING);
    running.store(low, Width::Dword, 0).unwrap();
    assert_eq!(dword(&mut running, array), ARRAY);
}

#[test]
fn without_memory_space_the_bars_are_out_and_the_devices_memory_stays() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let command = config(&running, 4);
    let bar0 = forwarded(&running).start();
    let (memory, array) = (window(&running, 0x40), bar2(&running, 0x2_1000));
    running.store(memory, Width::Dword, 0x1234_5678).unwrap();
    running.store(command, Width::Word, 0x4).unwrap();
    assert_eq!(fake.dword(7, 4) & 0xffff, 4, "the device knows");
    for at in [bar0, bar2(&running, 0), array, bar2(&running, 0x3_0000)] {
        assert_eq!(dword(&mut running, at), NOTHING, "at {at}");
    }
    assert_eq!(dword(&mut running, memory), 0x1234_5678);
    running.store(command, Width::Byte, 0x6).unwrap();
    assert_eq!((dword(&mut running, bar0), dword(&mut running, array)), (0, ARRAY));
}

#[test]
fn the_other_bits_of_command_move_nothing() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (command, array) = (config(&running, 4), bar2(&running, 0x2_1000));
    running.store(command, Width::Word, 0x402).unwrap();
    assert_eq!(dword(&mut running, array), ARRAY);
    let upper = config(&running, 5);
    running.store(upper, Width::Byte, 0).unwrap();
    assert_eq!(dword(&mut running, array), ARRAY, "the upper byte has no Memory Space Enable");
}

#[test]
fn a_bar_that_moves_while_memory_space_is_off_is_at_its_new_place_when_it_is_on() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (command, array) = (config(&running, 4), bar2(&running, 0x2_1000));
    let new = forwarded(&running).start().checked_add(0x2_1000).unwrap();
    running.store(command, Width::Word, 0).unwrap();
    write_bar2(&mut running, new.get() & !0xf_ffff, 0);
    assert_eq!((dword(&mut running, array), dword(&mut running, new)), (NOTHING, NOTHING));
    running.store(command, Width::Word, 2).unwrap();
    assert_eq!((dword(&mut running, array), dword(&mut running, new)), (NOTHING, ARRAY));
}

#[test]
fn a_device_that_refuses_memory_space_has_no_bars() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (command, array) = (config(&running, 4), bar2(&running, 0x2_1000));
    running.store(command, Width::Word, 0).unwrap();
    let next = fake.look(|state| state.calls.len()) + 1;
    let _fake = fake.with(|state| state.fail_at = Some((next, Failure::Refused(Errno::EIO))));
    running.store(command, Width::Word, 2).unwrap();
    assert_eq!(dword(&mut running, array), NOTHING);
}

#[test]
fn a_bar_that_is_not_there_reads_zero() {
    let fake = Fake::committed().with(|state| state.set(7, 0x20, 0xdead_0000));
    let mut running = running(&fake);
    let bar4 = config(&running, 0x20);
    running.store(bar4, Width::Dword, 0xffff_ffff).unwrap();
    assert_eq!(running.load(bar4, Width::Dword), Ok(0));
}

#[test]
fn the_range_bases_read_the_window_and_never_the_hosts_address() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let (high, low) = (config(&running, 0x170), config(&running, 0x174));
    assert_eq!(running.load(high, Width::Dword), Ok(1));
    assert_eq!(running.load(low, Width::Dword), Ok(0x1000_0000));
    running.store(low, Width::Dword, 0x7000_0000).unwrap();
    assert_eq!(running.load(low, Width::Byte), Ok(0));
    assert_eq!(running.load(config(&running, 0x177), Width::Byte), Ok(0x10));
    assert_eq!(fake.dword(7, 0x174), 0x3000_0000);
}

#[test]
fn other_configuration_is_the_devices() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let line = config(&running, 0x3c);
    running.store(line, Width::Byte, 0x5a).unwrap();
    assert_eq!(fake.dword(7, 0x3c), 0x5a);
}

#[test]
fn a_refused_access_reads_ones_and_the_machine_goes_on() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let control = bar2(&running, 0x2_1000 + CONTROL);
    let next = fake.look(|state| state.calls.len()) + 1;
    let _fake = fake.with(|state| state.fail_at = Some((next, Failure::Refused(Errno::EIO))));
    assert_eq!(running.load(control, Width::Dword), Ok(0xffff_ffff));
    assert_eq!(running.load(control, Width::Dword), Ok(0x700));
    assert_eq!((running.refused(), running.lost()), (1, None));
}

#[test]
fn a_device_that_is_lost_reads_ones_and_the_first_call_is_kept() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let control = bar2(&running, 0x2_1000 + CONTROL);
    let next = fake.look(|state| state.calls.len()) + 1;
    let _fake = fake.with(|state| state.fail_at = Some((next, Failure::Lost("gone".to_owned()))));
    assert_eq!(running.load(control, Width::Dword), Ok(0xffff_ffff));
    running.store(config(&running, 0x3c), Width::Byte, 1).unwrap();
    let lost = running.lost().unwrap().to_string();
    assert_eq!(lost, "fake: REGION_READ of region 10 at 0x130, 4 bytes: gone");
    let memory = window(&running, 0);
    assert_eq!(running.load(memory, Width::Dword), Ok(0), "what is mapped is still there");
}

#[test]
fn a_fill_covers_its_range_and_nothing_else() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let at = window(&running, 8);
    running.fill(at, 3, 0x5555_5555_5555_5555).unwrap();
    let words = [0, 8, 24, 32].map(|offset| {
        let at = window(&running, offset);
        running.load(at, Width::Qword).unwrap()
    });
    assert_eq!(words, [0, 0x5555_5555_5555_5555, 0x5555_5555_5555_5555, 0]);
}

#[rstest]
#[case::nothing(Order::Fill { at: Gpa::new(0), count: 0, value: 0 })]
#[case::too_much(Order::Fill { at: Gpa::new(0), count: (guest::MAX_FILL / 8) + 1, value: 0 })]
#[case::beyond_counting(Order::Fill { at: Gpa::new(0), count: u64::MAX, value: 0 })]
#[case::past_the_end(Order::Load { at: Gpa::new(u64::MAX - 3), width: Width::Qword })]
fn an_order_that_no_guest_can_carry_out_is_refused(#[case] order: Order) {
    assert!(matches!(order.checked(), Err(GuestError::Impossible { .. })));
}

#[test]
fn a_running_machine_that_is_dropped_leaves_nothing_behind() {
    let fake = Fake::committed();
    let clean = fake.look(|state| (state.dma.len(), state.dword(7, 4), state.dword(10, CONTROL)));
    drop(running(&fake));
    assert_eq!(fake.look(|state| (state.dma.len(), state.dword(7, 4), state.dword(10, CONTROL))), clean);
    assert_eq!(fake.dword(10, DECODER + 4), 0);
}

/// Base, size and control of decoder 0 as the guest reads them through the BAR.
fn guests_decoder(running: &mut Running) -> (u64, u64, u64) {
    let mut register = |offset, width| {
        let at = bar2(running, HDM_IN_BAR + offset);
        running.load(at, width).unwrap()
    };
    (register(0x10, Width::Qword), register(0x18, Width::Qword), register(0x20, Width::Dword))
}

#[test]
fn machine_done_writes_the_same_whatever_the_kernel() {
    for fake in Fake::of_every_kernel() {
        let (_running, written) = recorded(&fake);
        assert_eq!(written, [(0x10, 0x1000_0000), (0x14, 1), (0x20, 0x700)]);
    }
}

#[test]
fn the_guest_sees_its_decoder_at_the_window_whatever_the_kernel() {
    for fake in Fake::of_every_kernel() {
        let mut running = running(&fake);
        let start = window(&running, 0).get();
        assert_eq!(guests_decoder(&mut running), (start, 256 << 20, 0x700));
        let array = [0x2_1000, 0x2_1004, 0x2_1008].map(|offset| {
            let at = bar2(&running, offset);
            running.load(at, Width::Dword).unwrap()
        });
        assert_eq!(array, [0x0211_0001, 0x0802_0002, 0x1101_0005]);
        let at = window(&running, 0x1000);
        running.store(at, Width::Qword, 0x1122_3344_5566_7788).unwrap();
        let mut seen = [0; 8];
        let memory = running.plan().devices[0].window.region;
        running.device_read(0, memory, 0x1000, &mut seen).unwrap();
        assert_eq!(u64::from_le_bytes(seen), 0x1122_3344_5566_7788);
    }
}

#[test]
fn the_guest_cannot_move_its_decoder_whatever_the_kernel() {
    for fake in Fake::of_every_kernel() {
        let mut running = running(&fake);
        let before = guests_decoder(&mut running);
        for (offset, value) in [(0x10, 0x7000_0000), (0x14, 7), (0x18, 0), (0x20, 0x300), (0x10, 0x7000_0000)]
        {
            let at = bar2(&running, HDM_IN_BAR + offset);
            running.store(at, Width::Dword, value).unwrap();
        }
        assert_eq!(guests_decoder(&mut running), before);
    }
}

#[test]
fn the_hosts_address_is_nowhere_whatever_the_kernel() {
    let (low, high) = (u64::from(HOST_BASE as u32), HOST_BASE >> 32);
    // April's kernel shows the base of a decoder that firmware committed and did not lock.
    let unlocked = Fake::committed().with(|state| {
        state.set(10, DECODER, low as u32);
        state.set(10, DECODER + 4, high as u32);
    });
    for fake in Fake::of_every_kernel().into_iter().chain([unlocked]) {
        let shown = fake.look(|state| state.dword(7, 0x174));
        assert_eq!(u64::from(shown), low, "the kernel shows it");
        let mut running = running(&fake);
        let block = (0..0x1_0000).step_by(4).map(|offset| bar2(&running, 0x2_0000 + offset));
        let config = (0..0x1000).step_by(4).map(|offset| config(&running, offset));
        let all: Vec<_> = block.chain(config).collect();
        for at in all {
            let value = running.load(at, Width::Dword).unwrap();
            assert!(value != low && value != high, "{at} reads {value:#x}");
        }
    }
}

#[test]
fn a_machine_that_is_dropped_leaves_the_hosts_decoder_as_it_was_whatever_the_kernel() {
    for fake in Fake::of_every_kernel() {
        let registers = fake.look(|state| state.regions[&state.registers()].bytes.clone());
        let command = fake.dword(7, 4);
        drop(running(&fake));
        assert_eq!(fake.look(|state| state.regions[&state.registers()].bytes.clone()), registers);
        assert_eq!(fake.dword(7, 4), command);
    }
}

#[test]
fn pages_beside_the_decoders_alone_are_memory_and_the_rest_of_their_page_is_the_bar() {
    let mut running = running(&Fake::newest());
    let device = &running.plan().devices[0];
    let shape: Vec<_> =
        device.bars[1].pieces.iter().map(|piece| (piece.range.start, piece.range.end, piece.reach)).collect();
    assert_eq!(
        shape,
        [
            (0, 0x2_1000, Reach::Mapped),
            (0x2_1000, 0x2_1110, Reach::Trapped),
            (0x2_1110, 0x2_1140, Reach::Overlay),
            (0x2_1140, 0x2_2000, Reach::Trapped),
            (0x2_2000, 0x10_0000, Reach::Mapped),
        ]
    );
    running.device_write(0, 2, 0x2_1140, &0x9abc_def0u32.to_le_bytes()).unwrap();
    let behind = bar2(&running, 0x2_1140);
    assert_eq!(running.load(behind, Width::Dword), Ok(0x9abc_def0));
}

#[test]
fn the_whole_block_of_june_is_the_component_registers() {
    let running = running(&Fake::june());
    let device = &running.plan().devices[0];
    let shape: Vec<_> =
        device.bars[1].pieces.iter().map(|piece| (piece.range.start, piece.range.end, piece.reach)).collect();
    let expected = [
        (0, 0x2_0000, Reach::Mapped),
        (0x2_0000, 0x3_0000, Reach::Overlay),
        (0x3_0000, 0x10_0000, Reach::Mapped),
    ];
    assert_eq!(shape, expected);
}
