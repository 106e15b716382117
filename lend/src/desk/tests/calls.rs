//! Containers, the group, and the calls of a device.

use rstest::rstest;

use super::*;

const MAP: u32 = 0x3b71;
const UNMAP: u32 = 0x3b72;

fn map(flags: u32, vaddr: u64, iova: u64, size: u64) -> Vec<u8> {
    [words(&[32, flags]), longs(&[vaddr, iova, size])].concat()
}

fn unmap(flags: u32, iova: u64, size: u64) -> Vec<u8> {
    [words(&[24, flags]), longs(&[iova, size])].concat()
}

#[test]
fn a_container_without_an_iommu_tells_its_extensions_and_maps_nothing() {
    let mut user = User::new();
    user.open(3, Door::Container);
    assert_eq!(user.call(3, 0x3b64, 0), Ok(0));
    let there: Vec<_> = (0..12).filter(|kind| user.call(3, 0x3b65, *kind) == Ok(1)).collect();
    assert_eq!(there, [1, 3, 9]);
    assert_eq!(user.call(3, 0x3b66, 3), Err(Errno::EINVAL), "there is no group");
    assert_eq!(user.give(3, MAP, &map(3, BASE, 0, 0x1000)), Err(Errno::EINVAL));
    assert_eq!(user.call(3, 0x3bff, 0), Err(Errno::EINVAL));
}

#[test]
fn a_container_takes_type_1_once() {
    let mut user = User::new();
    user.open(3, Door::Container);
    user.open(4, Door::Group);
    user.give(4, 0x3b68, &words(&[3])).unwrap();
    assert_eq!(user.call(3, 0x3b66, 7), Err(Errno::ENODEV));
    assert_eq!(user.call(3, 0x3b66, 9), Err(Errno::EINVAL));
    assert_eq!(user.call(3, 0x3b66, 1), Ok(0));
    assert_eq!(user.call(3, 0x3b66, 1), Err(Errno::EINVAL));
    assert_eq!(user.call(3, 0x3bff, 0), Err(Errno::ENOTTY));
}

#[test]
fn a_group_says_whether_it_is_in_a_container() {
    let mut user = User::new();
    user.open(3, Door::Container);
    user.open(4, Door::Group);
    assert_eq!(user.give(4, 0x3b67, &words(&[7, 0])), Err(Errno::EINVAL));
    assert_eq!(user.give(4, 0x3b67, &words(&[8, 9])), Ok(0));
    assert_eq!(user.fake.word(BASE + 4), 1);
    assert_eq!(user.give(4, 0x3b69, &[]), Err(Errno::EINVAL), "it is in none");
    user.give(4, 0x3b68, &words(&[3])).unwrap();
    user.give(4, 0x3b67, &words(&[8, 9])).unwrap();
    assert_eq!(user.fake.word(BASE + 4), 3);
    assert_eq!(user.call(4, 0x3b69, 0), Ok(0));
    user.give(4, 0x3b67, &words(&[8, 9])).unwrap();
    assert_eq!(user.fake.word(BASE + 4), 1);
}

#[rstest]
#[case::a_closed_descriptor(9, Errno::EBADF)]
#[case::a_negative_one(-1_i32 as u32, Errno::EINVAL)]
#[case::some_other_file(100, Errno::EBADFD)]
#[case::the_group_itself(4, Errno::EBADFD)]
fn only_a_container_takes_a_group(#[case] file: u32, #[case] errno: Errno) {
    let mut user = User::new();
    user.open(4, Door::Group);
    assert_eq!(user.give(4, 0x3b68, &words(&[file])), Err(errno));
    assert_eq!(user.call(4, 0x3b68, 0x40), Err(Errno::EFAULT));
}

#[test]
fn a_device_is_opened_by_its_name_once_there_is_an_iommu() {
    let mut user = User::new();
    user.open(3, Door::Container);
    user.open(4, Door::Group);
    let name = b"0000:c1:00.0\0";
    assert_eq!(user.give(4, 0x3b6a, name), Err(Errno::EINVAL));
    user.give(4, 0x3b68, &words(&[3])).unwrap();
    assert_eq!(user.give(4, 0x3b6a, name), Err(Errno::EINVAL));
    user.call(3, 0x3b66, 3).unwrap();
    assert_eq!(user.give(4, 0x3b6a, b"0000:c1:00.1\0"), Err(Errno::ENODEV));
    let (one, other) = (user.give(4, 0x3b6a, name).unwrap(), user.give(4, 0x3b6a, name).unwrap());
    assert_ne!(one, other);
    assert_eq!(user.call(4, 0x3b69, 0), Err(Errno::EBUSY), "its device is open");
    assert_eq!(user.call(one as i32, 0x3bff, 0), Err(Errno::ENOTTY));
}

/// Device info, told anew: 24 bytes, and with vfio-cxl's second version a capability of 32 bytes.
fn told(cap: Option<u32>, room: u32) -> Result<(u32, u32, u32), Errno> {
    match cap {
        _ if room < 16 => Err(Errno::EINVAL),
        None => Ok((room, 3, 0)),
        Some(length) if room < 24 + length => Ok((24 + length, 0x283, 0)),
        Some(_) => Ok((room, 0x283, 24)),
    }
}

#[rstest]
#[case("v2", Some(32))]
#[case("v3", Some(48))]
#[case("plain", None)]
fn device_info_is_told_for_any_room(#[case] abi: &str, #[case] cap: Option<u32>) {
    for room in 0..=128 {
        let mut user = User::of(abi, "");
        let device = user.with_device();
        user.fake.put(BASE, &[0xee; 160]);
        user.fake.put(BASE, &words(&[room]));
        let answer = user.call(device, 0x3b6b, BASE).map(|_| {
            // What lies behind the room of a small structure is not touched.
            let offset = if room >= 20 { user.fake.word(BASE + 16) } else { 0 };
            (user.fake.word(BASE), user.fake.word(BASE + 4), offset)
        });
        assert_eq!(answer, told(cap, room), "with argsz {room}");
        let written =
            answer.map_or(4, |(_, _, offset)| if offset > 0 { 24 + cap.unwrap_or(0) } else { room.min(24) });
        let behind = user.fake.get(BASE + u64::from(written), 8);
        assert_eq!(behind, [0xee; 8], "behind argsz {room}");
    }
}

#[test]
fn region_info_is_told_for_any_room() {
    for room in 0..=128 {
        let mut user = User::new();
        let device = user.with_device();
        let answer = user.give(device, 0x3b6c, &words(&[room, 0, 9, 0, 0, 0, 0, 0]));
        if room < 32 {
            assert_eq!(answer, Err(Errno::EINVAL));
            continue;
        }
        assert_eq!(answer, Ok(0));
        let (needed, offset) = if room < 48 { (48, 0) } else { (room, 32) };
        let fixed = [words(&[needed, 0xf, 9, offset]), longs(&[0x1000_0000, 9 << 40])].concat();
        assert_eq!(user.fake.get(BASE, 32), fixed, "with argsz {room}");
    }
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.give(device, 0x3b6c, &words(&[32, 0, 11, 0, 0, 0, 0, 0])), Err(Errno::EINVAL));
    assert_eq!(user.call(device, 0x3b6c, 0x10), Err(Errno::EFAULT));
}

#[rstest]
#[case::msix([16, 0, 2, 0], Ok([16, 9, 2, 8]))]
#[case::msix_in_more_room([64, 0, 2, 0], Ok([64, 9, 2, 8]))]
#[case::error([16, 0, 3, 0], Ok([16, 9, 3, 1]))]
#[case::too_little_room([15, 0, 2, 0], Err(Errno::EINVAL))]
#[case::no_such_index([16, 0, 5, 0], Err(Errno::EINVAL))]
fn an_interrupt_is_told(#[case] asked: [u32; 4], #[case] told: Result<[u32; 4], Errno>) {
    let mut user = User::new();
    let device = user.with_device();
    let answer = user.give(device, 0x3b6d, &words(&asked)).map(|_| user.fake.get(BASE, 16));
    assert_eq!(answer, told.map(|told| words(&told)));
}

#[rstest]
#[case::it_is_mapped(map(3, BASE, 0x4000, 0x1000), Ok(0))]
#[case::for_reading_what_is_read_only(map(1, READ_ONLY, 0x4000, 0x1000), Ok(0))]
#[case::for_writing_what_is_read_only(map(3, READ_ONLY, 0x4000, 0x1000), Err(Errno::EFAULT))]
#[case::the_device_itself(map(3, MAPPED_DEVICE, 0x4000, 0x1000), Ok(0))]
#[case::no_memory(map(3, 0x1000, 0x4000, 0x1000), Err(Errno::EFAULT))]
#[case::no_permission(map(0, BASE, 0x4000, 0x1000), Err(Errno::EINVAL))]
#[case::an_unknown_flag(map(9, BASE, 0x4000, 0x1000), Err(Errno::EINVAL))]
#[case::an_address_of_nothing_mapped(map(4, BASE, 0x4000, 0x1000), Err(Errno::ENOENT))]
#[case::an_address_and_a_permission(map(5, BASE, 0x4000, 0x1000), Err(Errno::EINVAL))]
#[case::no_length(map(3, BASE, 0x4000, 0), Err(Errno::EINVAL))]
#[case::half_a_page(map(3, BASE, 0x4000, 0x800), Err(Errno::EINVAL))]
#[case::between_pages(map(3, BASE, 0x4800, 0x1000), Err(Errno::EINVAL))]
#[case::memory_between_pages(map(3, BASE + 8, 0x4000, 0x1000), Err(Errno::EINVAL))]
#[case::past_the_end(map(3, BASE, u64::MAX - 0xfff, 0x2000), Err(Errno::EINVAL))]
#[case::over_another(map(3, BASE, 0x8000, 0x2000), Err(Errno::EEXIST))]
#[case::where_interrupts_are_written(map(3, BASE, 0xfee0_0000, 0x1000), Err(Errno::EINVAL))]
#[case::beyond_what_the_iommu_translates(map(3, BASE, 1 << 48, 0x1000), Err(Errno::EINVAL))]
#[case::a_short_structure([words(&[31, 3]), longs(&[BASE, 0x4000, 0x1000])].concat(), Err(Errno::EINVAL))]
fn memory_is_mapped_or_refused(#[case] bytes: Vec<u8>, #[case] answer: Result<i64, Errno>) {
    let mut user = User::new();
    user.with_iommu(3);
    user.give(3, MAP, &map(3, BASE, 0x9000, 0x1000)).unwrap();
    assert_eq!(user.give(3, MAP, &bytes), answer);
}

#[rstest]
#[case::exactly(3, unmap(0, 0x4000, 0x2000), Ok(0x2000))]
#[case::with_what_is_beside_it(3, unmap(0, 0x1000, 0x8000), Ok(0x3000))]
#[case::nothing(3, unmap(0, 0x10_0000, 0x1000), Ok(0))]
#[case::all(3, unmap(2, 0, 0), Ok(0x3000))]
#[case::all_of_a_range(3, unmap(2, 0x4000, 0x1000), Err(Errno::EINVAL))]
#[case::the_first_half(3, unmap(0, 0x4000, 0x1000), Err(Errno::EINVAL))]
#[case::the_second_half(3, unmap(0, 0x5000, 0x1000), Err(Errno::EINVAL))]
#[case::the_first_half_of_version_1(1, unmap(0, 0x4000, 0x1000), Ok(0x2000))]
#[case::the_second_half_of_version_1(1, unmap(0, 0x5000, 0x1000), Ok(0))]
#[case::between_pages(3, unmap(0, 0x4001, 0x1000), Err(Errno::EINVAL))]
#[case::no_length(3, unmap(0, 0x4000, 0), Err(Errno::EINVAL))]
#[case::past_the_end(3, unmap(0, 0x4000, u64::MAX - 0xfff), Err(Errno::EINVAL))]
#[case::an_unknown_flag(3, unmap(8, 0x4000, 0x2000), Err(Errno::EINVAL))]
#[case::with_what_is_dirty(3, unmap(1, 0x4000, 0x2000), Err(Errno::EINVAL))]
#[case::a_short_structure(3, [words(&[23, 0]), longs(&[0x4000, 0x2000])].concat(), Err(Errno::EINVAL))]
fn memory_is_unmapped_or_not(#[case] kind: u64, #[case] bytes: Vec<u8>, #[case] answer: Result<u32, Errno>) {
    let mut user = User::new();
    user.with_iommu(kind);
    user.give(3, MAP, &map(3, BASE, 0x4000, 0x2000)).unwrap();
    user.give(3, MAP, &map(3, BASE, 0x8000, 0x1000)).unwrap();
    let done = user.give(3, UNMAP, &bytes).map(|_| user.fake.word(BASE + 16));
    assert_eq!(done, answer);
}

#[test]
fn an_address_that_was_taken_back_is_given_anew() {
    let mut user = User::new();
    user.with_iommu(3);
    user.give(3, MAP, &map(3, BASE, 0x4000, 0x2000)).unwrap();
    assert_eq!(user.give(3, MAP, &map(4, BASE, 0x4000, 0x2000)), Err(Errno::EINVAL), "it has one");
    assert_eq!(user.give(3, UNMAP, &unmap(4, 0x4000, 0x2000)), Ok(0));
    assert_eq!(user.give(3, UNMAP, &unmap(4, 0x4000, 0x2000)), Err(Errno::EINVAL), "it has none");
    assert_eq!(user.give(3, MAP, &map(4, BASE, 0x4000, 0x1000)), Err(Errno::EINVAL), "it is longer");
    assert_eq!(user.give(3, MAP, &map(4, BASE + 0x2000, 0x4000, 0x2000)), Ok(0));
}

#[test]
fn what_an_iommu_can_do_is_told_with_two_capabilities() {
    let mut user = User::new();
    user.with_iommu(3);
    user.give(3, MAP, &map(3, BASE, 0x4000, 0x2000)).unwrap();
    assert_eq!(user.give(3, 0x3b70, &words(&[15])), Err(Errno::EINVAL));
    user.give(3, 0x3b70, &words(&[24, 0, 0, 0, 0, 0])).unwrap();
    assert_eq!(user.fake.get(BASE, 24), [words(&[88, 3]), longs(&[0x4020_1000, 0])].concat());
    user.give(3, 0x3b70, &words(&[128, 0, 0, 0, 0, 0])).unwrap();
    let available = words(&[0x0001_0003, 40, 65534, 0]);
    let ranges =
        [words(&[0x0001_0001, 0, 2, 0]), longs(&[0, 0xfedf_ffff, 0xfef0_0000, 0xffff_ffff_ffff])].concat();
    let fixed = [words(&[128, 3]), longs(&[0x4020_1000, 24])].concat();
    assert_eq!(user.fake.get(BASE, 88), [fixed, available, ranges].concat());
}

#[rstest]
#[case::no_such_index(&[20, 0x21, 5, 0, 0], Errno::EINVAL)]
#[case::a_short_structure(&[19, 0x21, 2, 0, 0], Errno::EINVAL)]
#[case::an_unknown_flag(&[20, 0x61, 2, 0, 0], Errno::EINVAL)]
#[case::two_kinds_of_data(&[24, 0x23, 2, 0, 1, 1], Errno::EINVAL)]
#[case::no_kind_of_data(&[20, 0x20, 2, 0, 1], Errno::EINVAL)]
#[case::behind_the_last_vector(&[24, 0x24, 2, 8, 1, 100], Errno::EINVAL)]
#[case::none_behind_the_last_vector(&[20, 0x21, 2, 8, 0], Errno::EINVAL)]
#[case::a_sum_beyond_32_bits(&[20, 0x21, 2, u32::MAX, 1], Errno::EINVAL)]
#[case::no_pin(&[20, 0x21, 0, 0, 1], Errno::EINVAL)]
#[case::data_that_is_not_there(&[24, 0x24, 2, 0, 2, 100, 101], Errno::EINVAL)]
#[case::a_closed_descriptor(&[24, 0x24, 2, 0, 1, 90], Errno::EBADF)]
#[case::a_file_that_is_no_event(&[24, 0x24, 2, 0, 1, 4], Errno::EINVAL)]
#[case::a_negative_descriptor(&[24, 0x24, 2, 0, 1, -2_i32 as u32], Errno::EINVAL)]
#[case::masking(&[20, 0x09, 2, 0, 1], Errno::ENOTTY)]
fn interrupts_that_cannot_be_are_refused(#[case] asked: &[u32], #[case] errno: Errno) {
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.give(device, 0x3b6e, &words(asked)), Err(errno));
}

#[test]
fn events_are_attached_vector_by_vector_and_triggered() {
    let mut user = User::new();
    let device = user.with_device();
    let none = -1_i32 as u32;
    user.give(device, 0x3b6e, &words(&[32, 0x24, 2, 1, 3, 100, none, 101])).unwrap();
    user.give(device, 0x3b6e, &words(&[20, 0x21, 2, 0, 8])).unwrap();
    assert_eq!((user.fake.counted(100), user.fake.counted(101)), (1, 1));
    user.fake.put(BASE + 20, &[0, 0, 1]);
    user.fake.put(BASE, &words(&[23, 0x22, 2, 1, 3]));
    user.call(device, 0x3b6e, BASE).unwrap();
    assert_eq!((user.fake.counted(100), user.fake.counted(101)), (0, 1));
    user.give(device, 0x3b6e, &words(&[20, 0x21, 2, 0, 0])).unwrap();
    user.give(device, 0x3b6e, &words(&[20, 0x21, 2, 0, 8])).unwrap();
    assert_eq!((user.fake.counted(100), user.fake.counted(101)), (0, 0));
}

#[rstest]
#[case::configuration(7 << 40, &[(1, 1), (2, 2), (4, 4), (8, 8), (3, 3), (0, 0)])]
#[case::device_memory(9 << 40, &[(1, 1), (2, 2), (4, 4), (8, 8), (0, 0)])]
#[case::a_bar(2 << 40, &[(1, 1), (2, 2), (4, 4), (8, 8)])]
#[case::component_registers(10 << 40, &[(1, -22), (2, -22), (4, 4), (8, -22), (0, 0)])]
#[case::no_rom(6 << 40, &[(4, -22), (0, 0)])]
#[case::no_such_region(11 << 40, &[(4, -22), (0, 0)])]
fn a_region_is_read_at_every_width(#[case] offset: u64, #[case] widths: &[(u64, i64)]) {
    let mut user = User::new();
    let device = user.with_device();
    for (width, answer) in widths {
        let read = user.read(device, offset, *width).unwrap_or_else(|errno| -i64::from(errno.0));
        assert_eq!(read, *answer, "{width} bytes");
        let written = user.write(device, offset, &vec![0; *width as usize]);
        assert_eq!(written.unwrap_or_else(|errno| -i64::from(errno.0)), *answer, "{width} bytes written");
    }
}

#[test]
fn memory_of_the_caller_that_is_not_there_is_a_fault() {
    let mut user = User::new();
    let device = user.with_device();
    let open = user.fake.opens.borrow()[&device];
    let nowhere = Piece { at: 8, count: 4 };
    assert_eq!(user.desk.read(open, 7 << 40, nowhere, &user.fake), Err(Errno::EFAULT));
    assert_eq!(user.desk.write(open, 7 << 40, nowhere, &user.fake), Err(Errno::EFAULT));
}

#[rstest]
#[case::device_memory(9 << 40, 0x1000_0000, true, Ok(()))]
#[case::device_memory_and_more(9 << 40, 0x1000_1000, true, Err(Errno::EINVAL))]
#[case::a_page_in_the_middle((9 << 40) + 0x5000, 0x1000, true, Ok(()))]
#[case::privately(9 << 40, 0x1000, false, Err(Errno::EINVAL))]
#[case::component_registers(10 << 40, 0x1000, true, Err(Errno::EINVAL))]
#[case::before_the_block(2 << 40, 0x2_0000, true, Ok(()))]
#[case::across_the_block(2 << 40, 0x2_1000, true, Err(Errno::EINVAL))]
#[case::the_block((2 << 40) + 0x2_1000, 0x1000, true, Err(Errno::EINVAL))]
#[case::behind_the_block((2 << 40) + 0x3_0000, 0xd_0000, true, Ok(()))]
#[case::all_of_the_bar(2 << 40, 0x10_0000, true, Err(Errno::EINVAL))]
#[case::a_bar_with_side_effects(0, 0x1000, true, Err(Errno::EINVAL))]
#[case::configuration(7 << 40, 0x1000, true, Err(Errno::EINVAL))]
#[case::no_such_region(11 << 40, 0x1000, true, Err(Errno::EINVAL))]
#[case::past_all_numbers(9 << 40, u64::MAX, true, Err(Errno::EINVAL))]
fn only_what_the_region_says_is_mapped(
    #[case] offset: u64,
    #[case] length: u64,
    #[case] shared: bool,
    #[case] answer: Result<(), Errno>,
) {
    let mut user = User::new();
    let device = user.with_device();
    let open = user.fake.opens.borrow()[&device];
    assert_eq!(user.desk.may_map(open, offset, length, shared), answer);
}

#[test]
fn nothing_else_than_a_device_is_mapped_or_read() {
    let mut user = User::new();
    user.with_device();
    let group = user.fake.opens.borrow()[&4];
    assert_eq!(user.desk.may_map(group, 0, 0x1000, true), Err(Errno::ENODEV));
    assert_eq!(user.read(3, 0, 4), Err(Errno::EINVAL));
}

#[rstest]
#[case::short(&[7, 0], Errno::EINVAL)]
#[case::an_unknown_flag(&[8, 1 << 19], Errno::EINVAL)]
#[case::to_get_and_to_set(&[8, 3 << 16], Errno::EINVAL)]
#[case::one_that_is_not_there(&[8, 1 << 16 | 11], Errno::ENOTTY)]
#[case::to_find_out(&[8, 7 << 16 | 1], Errno::ENOTTY)]
fn a_feature_is_not_there_or_wrongly_asked_for(#[case] asked: &[u32], #[case] errno: Errno) {
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.give(device, 0x3b75, &words(asked)), Err(errno));
}

#[test]
fn the_bus_is_reset_by_who_shows_the_group() {
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.give(device, 0x3b70, &words(&[11, 0, 0])), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b70, &words(&[12, 0, 0])), Err(Errno::ENOSPC));
    assert_eq!(user.fake.word(BASE + 8), 1);
    assert_eq!(user.give(device, 0x3b70, &words(&[20, 0, 0, 0, 0])), Ok(0));
    // Group 5, segment 0, bus 0xc1, device and function 0.
    assert_eq!(user.fake.get(BASE, 20), words(&[20, 0, 1, 5, 0x00c1_0000]));
    user.write(device, 7 << 40 | 4, &[6, 0]).unwrap();
    assert_eq!(user.give(device, 0x3b71, &words(&[16, 0, 1, 3])), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b71, &words(&[12, 0, 0])), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b71, &words(&[16, 1, 1, 4])), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b71, &words(&[16, 0, 1, 4])), Ok(0));
}

#[test]
fn a_device_that_cannot_be_reset_says_so_and_is_not() {
    let mut user = User::of("v2", "faults.cannot_be_reset = true");
    let device = user.with_device();
    user.give(device, 0x3b6b, &words(&[24, 0, 0, 0, 0, 0])).unwrap();
    assert_eq!(user.fake.word(BASE + 4) & 1, 0);
    assert_eq!(user.call(device, 0x3b6f, 0), Err(Errno::EINVAL));
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.call(device, 0x3b6f, 0), Ok(0));
}

#[test]
fn addresses_are_taken_back_of_all_ranges_or_of_none() {
    let mut user = User::new();
    user.with_iommu(3);
    for iova in [0x4000, 0x5000] {
        user.give(3, MAP, &map(3, BASE, iova, 0x1000)).unwrap();
    }
    assert_eq!(user.give(3, UNMAP, &unmap(4, 0x5000, 0x1000)), Ok(0));
    assert_eq!(user.give(3, UNMAP, &unmap(4, 0x4000, 0x2000)), Err(Errno::EINVAL), "the second has none");
    assert_eq!(user.give(3, UNMAP, &unmap(4, 0x4000, 0x1000)), Ok(0), "the first has one still");
}

#[test]
fn version_1_unmaps_nothing_where_the_first_range_begins_before() {
    let mut user = User::new();
    user.with_iommu(1);
    user.give(3, MAP, &map(3, BASE, 0x4000, 0x2000)).unwrap();
    user.give(3, MAP, &map(3, BASE, 0x6000, 0x1000)).unwrap();
    assert_eq!(user.give(3, UNMAP, &unmap(0, 0x5000, 0x2000)), Ok(0));
    assert_eq!(user.fake.word(BASE + 16), 0, "bytes that were unmapped");
    assert_eq!(user.give(3, MAP, &map(3, BASE, 0x6000, 0x1000)), Err(Errno::EEXIST));
}

#[test]
fn a_device_of_a_group_cannot_be_bound() {
    let mut user = User::new();
    let device = user.with_device();
    user.open(5, Door::Iommufd);
    assert_eq!(user.give(device, 0x3b76, &words(&[16, 0, 5, 0])), Err(Errno::EINVAL));
}
