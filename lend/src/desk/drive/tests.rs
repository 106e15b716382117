//! Arbitrary steps, and desks that are broken on purpose.

use proptest::prelude::*;

use super::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn file_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<u8>()).prop_map(|door| Step::Open { door }),
        (any::<u8>()).prop_map(|file| Step::Dup { file }),
        (any::<u8>()).prop_map(|file| Step::Close { file }),
        (any::<u8>()).prop_map(|way| Step::Usual { way }),
        (any::<u8>()).prop_map(|event| Step::Signal { event }),
    ]
}

fn call_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), bytes(12))
            .prop_map(|(file, call, length, at, words)| Step::Call { file, call, length, at, words }),
        // The usual length, where it should be, of small numbers: most of these are taken.
        4 => (any::<u8>(), 0u8..0x80, prop::collection::vec(0u8..8, 0..12))
            .prop_map(|(file, call, words)| Step::Call { file, call, length: 0xff, at: 0, words }),
        1 => (any::<u8>(), any::<u32>(), any::<u64>())
            .prop_map(|(file, number, argument)| Step::Any { file, number, argument }),
    ]
}

fn memory_step() -> impl Strategy<Value = Step> {
    let numbers = || (any::<u8>(), 0u8..8, any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>());
    prop_oneof![
        numbers().prop_map(|(file, space, flags, iova, pages, memory)| Step::Map {
            file,
            space,
            flags,
            iova,
            pages,
            memory
        }),
        numbers().prop_map(|(file, space, flags, iova, pages, _)| Step::Unmap {
            file,
            space,
            flags,
            iova,
            pages
        }),
        (any::<u8>(), any::<[u8; 2]>(), 0u16..0x2000, any::<u8>())
            .prop_map(|(file, sides, length, control)| Step::Copy { file, sides, length, control }),
    ]
}

fn device_step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![Just(0x24u8), Just(0x21), Just(0x22), Just(0x14), any::<u8>()];
    prop_oneof![
        (any::<u8>(), flags, any::<u8>(), any::<u8>(), any::<u8>(), bytes(12)).prop_map(
            |(file, flags, index, start, count, data)| Step::Irqs { file, flags, index, start, count, data }
        ),
        (any::<u8>(), any::<u8>(), prop_oneof![0u64..0x3_0000, any::<u64>()], any::<u16>(), any::<u8>())
            .prop_map(|(file, region, offset, count, memory)| Step::Read {
                file,
                region,
                offset,
                count,
                memory
            }),
        (any::<u8>(), any::<u8>(), any::<u16>(), bytes(20))
            .prop_map(|(file, region, offset, data)| Step::Write { file, region, offset, data }),
        (any::<u8>(), any::<u8>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
            |(file, region, offset, length, shared)| Step::MayMap { file, region, offset, length, shared }
        ),
        (any::<u8>(), prop_oneof![Just(4u8), Just(8), any::<u8>()], any::<u16>(), any::<u8>())
            .prop_map(|(file, flags, offset, event)| Step::Event { file, flags, offset, event }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![1 => file_step(), 3 => call_step(), 3 => memory_step(), 2 => device_step()]
}

proptest! {
    #[test]
    fn any_program_keeps_what_must_hold(way in any::<u8>(), steps in prop::collection::vec(step(), 0..40)) {
        run(&[Step::Usual { way }].into_iter().chain(steps).collect::<Vec<_>>());
    }
}

/// Something that must not hold is seen, and told with these words.
fn stops(words: &str, broken: impl FnOnce()) {
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(broken)).unwrap_err();
    let said = stopped.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| stopped.downcast_ref::<&str>().copied()).unwrap();
    assert!(said.contains(words), "{said}");
}

/// A program that has the device open through a container, and its files: container, group, device.
fn program() -> (Program, [Open; 3]) {
    let mut program = Program::new().unwrap();
    Step::Usual { way: 1 }.carry_out(&mut program);
    let opens: Vec<_> = program.desk.opens().collect();
    (program, opens.try_into().unwrap())
}

fn page(memory: u8) -> Step {
    Step::Map { file: 0, space: 0, flags: 3, iova: 1, pages: 1, memory }
}

#[test]
fn a_device_writes_what_is_mapped_for_it() {
    let (mut program, [.., device]) = program();
    page(2).carry_out(&mut program);
    program.process.take_writes();
    step::copy(&mut program, device, [0, 1], 16, 2);
    let status = Piece { at: BASE, count: 4 };
    program.read(device, 0xc018, status);
    assert_eq!(peek(&program.process, BASE, 4).u32(0), 2, "the copy is done");
    program.end();
}

#[test]
fn a_device_that_writes_beside_what_is_mapped_is_seen() {
    stops("the device wrote", || {
        let (mut program, _) = program();
        page(2).carry_out(&mut program);
        program.process.write_of(7, BASE + 0x2ff8, &[0; 9]).unwrap();
        program.check_copies();
    });
}

#[test]
fn a_range_that_is_kept_after_it_was_unmapped_is_seen() {
    stops("what is mapped", || {
        let (mut program, [container, ..]) = program();
        page(2).carry_out(&mut program);
        let unmap = Fields::default().with_u32(24).with_u32(0).with_u64(0x1000).with_u64(0x1000);
        program.model.learn(
            &model::Done {
                on: container,
                number: number::IOMMU_UNMAP_DMA,
                argument: 0,
                before: &unmap,
                after: &unmap,
            },
            &program.process,
        );
        program.model.check(&program.desk);
    });
}

#[test]
fn a_range_that_is_mapped_twice_is_seen() {
    stops("is mapped", || {
        let (mut program, [container, ..]) = program();
        page(2).carry_out(&mut program);
        // The desk forgets it, and takes it again.
        program.desk.containers.get_mut(&container).unwrap().space.remove(0x1000);
        page(3).carry_out(&mut program);
    });
}

#[test]
fn an_answer_that_is_longer_than_the_structure_is_seen() {
    stops("wrote", || {
        let (program, _) = program();
        let call = Call::find(Door::Group, number::GROUP_GET_STATUS);
        program.process.write_of(7, ARGUMENT + 8, &[0]).unwrap();
        program.check_writes(call, ARGUMENT, &Fields::default().with_u32(8), Ok(Done::Value(0)));
    });
}

#[test]
fn a_refusal_that_writes_is_seen() {
    stops("was refused and wrote", || {
        let (program, _) = program();
        let call = Call::find(Door::Group, number::GROUP_GET_STATUS);
        program.process.write_of(7, ARGUMENT, &[0]).unwrap();
        program.check_writes(call, ARGUMENT, &Fields::default().with_u32(8), Err(Errno::EINVAL));
    });
}

#[test]
fn a_refusal_that_changes_what_is_kept_is_seen() {
    stops("EINVAL of", || {
        let (mut program, [.., device]) = program();
        let kept = program.kept();
        program.desk.group.devices += 1;
        program.refused(device, None, Errno::EINVAL, &kept);
    });
}

#[test]
fn a_device_that_says_something_else_after_a_refusal_is_seen() {
    stops("after EINVAL of", || {
        let (mut program, [.., device]) = program();
        program.first[3][20] ^= 1;
        let kept = program.kept();
        program.refused(device, None, Errno::EINVAL, &kept);
    });
}

#[test]
fn an_error_that_the_kernel_does_not_have_is_seen() {
    stops("is no error of", || {
        let (mut program, [container, ..]) = program();
        // The desk has forgotten what the file is of.
        program.desk.containers.remove(&container);
        _ = program.call(container, number::GET_API_VERSION, 0);
    });
}

#[test]
fn a_device_that_is_not_as_it_was_is_seen() {
    stops("the device is as it was", || {
        let (mut program, _) = program();
        program.first[3][20] ^= 1;
        program.end();
    });
}
