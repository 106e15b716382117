//! Address spaces as objects, and the device's own node.

use rstest::rstest;

use super::*;

const ALLOC: u32 = 0x3b81;
const MAP: u32 = 0x3b85;
const UNMAP: u32 = 0x3b86;

/// A desk with an iommufd as 5 and an address space in it, whose id is 1.
fn user() -> User {
    let mut user = User::new();
    user.open(5, Door::Iommufd);
    user.give(5, ALLOC, &words(&[12, 0, 0])).unwrap();
    assert_eq!(user.fake.word(BASE + 8), 1);
    user
}

/// The device's own node as 6, bound, and with id 2.
fn bound() -> User {
    let mut user = user();
    user.open(6, Door::Device);
    user.give(6, 0x3b76, &words(&[16, 0, 5, 0])).unwrap();
    assert_eq!(user.fake.word(BASE + 12), 2);
    user
}

fn map(flags: u32, ioas: u32, vaddr: u64, length: u64, iova: u64) -> Vec<u8> {
    [words(&[40, flags, ioas, 0]), longs(&[vaddr, length, iova])].concat()
}

fn unmap(ioas: u32, iova: u64, length: u64) -> Vec<u8> {
    [words(&[24, ioas]), longs(&[iova, length])].concat()
}

#[rstest]
#[case::shorter_than_it_may_be(ALLOC, words(&[11, 0, 0]), Errno::EINVAL)]
#[case::a_flag(ALLOC, words(&[12, 1, 0]), Errno::EOPNOTSUPP)]
#[case::something_behind_what_is_known(ALLOC, words(&[16, 0, 0, 1]), Errno::E2BIG)]
#[case::longer_than_a_page(ALLOC, words(&[0x1001, 0, 0, 0]), Errno::E2BIG)]
#[case::a_call_that_is_not_known(0x3b94, words(&[64, 0, 0, 0]), Errno::ENOTTY)]
#[case::a_call_of_containers(0x3b64, words(&[64, 0, 0, 0]), Errno::ENOTTY)]
#[case::destroying_nothing(0x3b80, words(&[8, 9]), Errno::ENOENT)]
#[case::mapping_in_nothing(MAP, map(7, 9, BASE, 0x1000, 0), Errno::ENOENT)]
#[case::mapping_with_an_unknown_flag(MAP, map(0xf, 1, BASE, 0x1000, 0), Errno::EOPNOTSUPP)]
#[case::mapping_with_something_reserved(
    MAP, [words(&[40, 7, 1, 1]), longs(&[BASE, 0x1000, 0])].concat(), Errno::EOPNOTSUPP)]
#[case::mapping_for_nothing(MAP, map(1, 1, BASE, 0x1000, 0), Errno::EINVAL)]
#[case::mapping_no_length(MAP, map(7, 1, BASE, 0, 0), Errno::EINVAL)]
#[case::mapping_what_is_not_there(MAP, map(7, 1, 0x1000, 0x1000, 0), Errno::EFAULT)]
#[case::mapping_what_is_read_only_for_writing(MAP, map(7, 1, READ_ONLY, 0x1000, 0), Errno::EFAULT)]
#[case::mapping_the_device(MAP, map(5, 1, MAPPED_DEVICE, 0x1000, 0), Errno::EFAULT)]
#[case::mapping_past_the_end(MAP, map(7, 1, BASE, 0x1000, u64::MAX - 0x7ff), Errno::EOVERFLOW)]
#[case::unmapping_what_is_not_mapped(UNMAP, unmap(1, 0, 0x1000), Errno::ENOENT)]
#[case::unmapping_no_length(UNMAP, unmap(1, 0, 0), Errno::EINVAL)]
#[case::unmapping_in_nothing(UNMAP, unmap(9, 0, 0x1000), Errno::ENOENT)]
#[case::unmapping_past_the_end(UNMAP, unmap(1, 0x1000, u64::MAX - 1), Errno::EOVERFLOW)]
#[case::an_option_that_is_not_there(0x3b87, words(&[24, 2, 1, 0, 0, 0]), Errno::EOPNOTSUPP)]
#[case::no_address_space_for_containers(0x3b88, words(&[12, 0, 0]), Errno::ENODEV)]
#[case::the_hardware_of_no_device(
    0x3b8a, words(&[40, 0, 1, 0, 0, 0, 0, 0, 0, 0]), Errno::ENOENT)]
fn what_cannot_be_is_refused(#[case] number: u32, #[case] bytes: Vec<u8>, #[case] errno: Errno) {
    assert_eq!(user().give(5, number, &bytes), Err(errno));
}

#[test]
fn a_structure_that_is_longer_by_zeros_is_taken() {
    assert_eq!(user().give(5, ALLOC, &words(&[16, 0, 0, 0])), Ok(0));
}

#[test]
fn a_mapping_goes_where_it_is_said_or_where_there_is_room() {
    let mut user = user();
    user.give(5, MAP, &map(7, 1, BASE, 0x2000, 0x1000)).unwrap();
    assert_eq!(user.give(5, MAP, &map(7, 1, BASE, 0x1000, 0x2000)), Err(Errno::EEXIST));
    user.give(5, MAP, &map(6, 1, BASE, 0x1000, 0)).unwrap();
    assert_eq!(user.fake.get(BASE + 32, 8), longs(&[0x3000]));
    assert_eq!(user.give(5, UNMAP, &unmap(1, 0x1000, 0x1000)), Err(Errno::ENOENT), "it is half of one");
    assert_eq!(user.give(5, UNMAP, &unmap(1, 0, u64::MAX)), Ok(0));
    assert_eq!(user.fake.get(BASE + 16, 8), longs(&[0x3000]));
    assert_eq!(user.give(5, UNMAP, &unmap(1, 0, u64::MAX)), Ok(0), "all of nothing");
}

#[test]
fn where_a_space_can_map_depends_on_whether_a_device_is_there() {
    let mut user = bound();
    let ranges = |room| [words(&[32, 1, room, 0]), longs(&[BASE + 0x100, 0])].concat();
    user.give(5, 0x3b84, &ranges(4)).unwrap();
    assert_eq!((user.fake.word(BASE + 8), user.fake.get(BASE + 24, 8)), (1, longs(&[1])));
    assert_eq!(user.fake.get(BASE + 0x100, 16), longs(&[0, u64::MAX]));
    user.give(6, 0x3b77, &words(&[12, 0, 1])).unwrap();
    user.give(5, 0x3b84, &ranges(4)).unwrap();
    assert_eq!((user.fake.word(BASE + 8), user.fake.get(BASE + 24, 8)), (2, longs(&[0x1000])));
    assert_eq!(user.fake.get(BASE + 0x100, 32), longs(&[0, 0xfedf_ffff, 0xfef0_0000, 0xffff_ffff_ffff]));
    assert_eq!(user.give(5, 0x3b84, &ranges(1)), Err(Errno::EMSGSIZE));
    assert_eq!(user.fake.word(BASE + 8), 2);
    assert_eq!(user.give(5, MAP, &map(7, 1, BASE, 0x1000, 0xfee0_0000)), Err(Errno::EINVAL));
    assert_eq!(user.give(5, MAP, &map(7, 1, BASE, 0x800, 0)), Err(Errno::EINVAL));
}

#[test]
fn a_space_that_maps_where_the_device_cannot_is_not_attached() {
    let mut user = bound();
    user.give(5, MAP, &map(7, 1, BASE, 0x1000, 0xfee0_0000)).unwrap();
    assert_eq!(user.give(6, 0x3b77, &words(&[12, 0, 1])), Err(Errno(98)));
}

#[test]
fn a_space_maps_by_itself_where_it_is_allowed() {
    let mut user = user();
    user.fake.put(BASE + 0x100, &longs(&[0x10_0000, 0x10_1fff]));
    let allow = [words(&[24, 1, 1, 0]), longs(&[BASE + 0x100])].concat();
    user.give(5, 0x3b82, &allow).unwrap();
    user.give(5, MAP, &map(6, 1, BASE, 0x2000, 0)).unwrap();
    assert_eq!(user.fake.get(BASE + 32, 8), longs(&[0x10_0000]));
    assert_eq!(user.give(5, MAP, &map(6, 1, BASE, 0x1000, 0)), Err(Errno::ENOSPC));
}

#[test]
fn a_mapping_is_copied_into_another_space_with_no_more_permissions() {
    let mut user = user();
    user.give(5, ALLOC, &words(&[12, 0, 0])).unwrap();
    user.give(5, MAP, &map(5, 1, BASE, 0x2000, 0x4000)).unwrap();
    let copy = |flags, source| [words(&[40, flags, 2, 1]), longs(&[0x1000, 0x9000, source])].concat();
    assert_eq!(user.give(5, 0x3b83, &copy(7, 0x5000)), Err(Errno::EPERM));
    assert_eq!(user.give(5, 0x3b83, &copy(5, 0x6000)), Err(Errno::ENOENT));
    assert_eq!(user.give(5, 0x3b83, &copy(5, 0x5000)), Ok(0));
    assert_eq!(user.give(5, UNMAP, &unmap(2, 0x9000, 0x1000)), Ok(0));
}

#[test]
fn objects_that_are_used_are_not_destroyed() {
    let mut user = bound();
    user.give(6, 0x3b77, &words(&[12, 0, 1])).unwrap();
    let table = user.fake.word(BASE + 8);
    for id in [1, 2, table] {
        assert_eq!(user.give(5, 0x3b80, &words(&[8, id])), Err(Errno::EBUSY));
    }
    user.give(6, 0x3b78, &words(&[8, 0])).unwrap();
    assert_eq!(user.give(5, 0x3b80, &words(&[8, table])), Err(Errno::ENOENT), "it went with the attachment");
    assert_eq!(user.give(5, 0x3b80, &words(&[8, 1])), Ok(0));
}

#[test]
fn a_page_table_that_was_made_stays_until_it_is_destroyed() {
    let mut user = bound();
    let make = |device, space| words(&[48, 0, device, space, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(user.give(5, 0x3b89, &make(1, 1)), Err(Errno::ENOENT));
    assert_eq!(user.give(5, 0x3b89, &make(2, 2)), Err(Errno::EINVAL));
    user.give(5, 0x3b89, &make(2, 1)).unwrap();
    let table = user.fake.word(BASE + 16);
    user.give(6, 0x3b77, &words(&[12, 0, table])).unwrap();
    assert_eq!(user.fake.word(BASE + 8), table);
    user.give(6, 0x3b78, &words(&[8, 0])).unwrap();
    assert_eq!(user.give(5, 0x3b80, &words(&[8, table])), Ok(0));
}

#[test]
fn options_and_the_space_of_containers_are_kept() {
    let mut user = user();
    assert_eq!(user.give(5, 0x3b87, &words(&[24, 1, 0, 1, 0, 0])), Ok(0));
    user.give(5, 0x3b87, &words(&[24, 1, 1, 1, 9, 9])).unwrap();
    assert_eq!(user.fake.get(BASE + 16, 8), longs(&[0]));
    assert_eq!(user.give(5, 0x3b88, &words(&[12, 1, 1])), Ok(0));
    user.give(5, 0x3b88, &words(&[12, 0, 0])).unwrap();
    assert_eq!(user.fake.word(BASE + 4), 1);
    user.give(5, 0x3b88, &words(&[12, 0, 2])).unwrap();
    assert_eq!(user.give(5, 0x3b88, &words(&[12, 0, 0])), Err(Errno::ENODEV));
}

#[test]
fn of_the_hardware_there_is_nothing_to_tell() {
    let mut user = bound();
    user.fake.put(BASE + 0x100, &[0xee; 16]);
    let ask = [words(&[40, 0, 2, 8]), longs(&[BASE + 0x100, 0xffff_ffff, u64::MAX])].concat();
    user.give(5, 0x3b8a, &ask).unwrap();
    assert_eq!((user.fake.word(BASE + 12), user.fake.word(BASE + 24)), (0, 0));
    assert_eq!(user.fake.get(BASE + 0x100, 9), [0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
}

#[rstest]
#[case::a_short_structure(&[15, 0, 5, 0], Errno::EINVAL)]
#[case::a_flag(&[16, 1, 5, 0], Errno::EINVAL)]
#[case::a_negative_descriptor(&[16, 0, -1_i32 as u32, 0], Errno::EINVAL)]
#[case::a_closed_descriptor(&[16, 0, 9, 0], Errno::EBADF)]
#[case::another_file(&[16, 0, 100, 0], Errno::EBADFD)]
#[case::itself(&[16, 0, 6, 0], Errno::EBADFD)]
fn a_device_is_bound_to_an_iommufd_only(#[case] asked: &[u32], #[case] errno: Errno) {
    let mut user = user();
    user.open(6, Door::Device);
    assert_eq!(user.give(6, 0x3b76, &words(asked)), Err(errno));
}

#[test]
fn before_it_is_bound_a_device_does_nothing_and_it_is_bound_once() {
    let mut user = user();
    let open = user.open(6, Door::Device);
    assert_eq!(user.give(6, 0x3b6b, &words(&[24, 0, 0, 0, 0, 0])), Err(Errno::EINVAL));
    assert_eq!(user.read(6, 7 << 40, 4), Err(Errno::EINVAL));
    assert_eq!(user.desk.may_map(open, 9 << 40, 0x1000, true), Err(Errno::EINVAL));
    user.give(6, 0x3b76, &words(&[16, 0, 5, 0])).unwrap();
    assert_eq!(user.give(6, 0x3b76, &words(&[16, 0, 5, 0])), Err(Errno::EINVAL));
    assert_eq!(user.read(6, 7 << 40, 4), Ok(4));
    user.open(7, Door::Device);
    assert_eq!(user.give(7, 0x3b76, &words(&[16, 0, 5, 0])), Err(Errno::EINVAL), "another has it");
    assert_eq!(user.desk.open(Door::Group), Err(Errno::EBUSY));
}

#[rstest]
#[case::a_short_structure(&[11, 0, 1], Errno::EINVAL)]
#[case::a_flag(&[12, 2, 1], Errno::EINVAL)]
#[case::nothing(&[12, 0, 9], Errno::ENOENT)]
#[case::itself(&[12, 0, 2], Errno::EINVAL)]
fn a_device_is_attached_to_a_space_or_a_page_table_only(#[case] asked: &[u32], #[case] errno: Errno) {
    assert_eq!(bound().give(6, 0x3b77, &words(asked)), Err(errno));
}

#[test]
fn a_device_whose_group_is_open_is_not_bound() {
    let mut user = user();
    user.open(6, Door::Device);
    user.open(4, Door::Group);
    assert_eq!(user.give(6, 0x3b76, &words(&[16, 0, 5, 0])), Err(Errno::EBUSY));
}

#[test]
fn no_room_is_found_in_what_is_allowed_at_the_end_of_all_addresses() {
    let mut user = user();
    user.fake.put(BASE + 0x100, &longs(&[u64::MAX - 0xffe, u64::MAX]));
    let allow = [words(&[24, 1, 1, 0]), longs(&[BASE + 0x100])].concat();
    assert_eq!(user.give(5, 0x3b82, &allow), Ok(0));
    assert_eq!(user.give(5, MAP, &map(6, 1, BASE, 0x1000, 0)), Err(Errno::ENOSPC));
}

/// A call with a structure that can only be read.
fn give_read_only(user: &mut User, file: i32, number: u32, bytes: &[u8]) -> Result<i64, Errno> {
    user.fake.put(BASE, bytes);
    user.fake.is_read_only.set(true);
    let done = user.call(file, number, BASE);
    user.fake.is_read_only.set(false);
    done
}

#[test]
fn a_binding_that_cannot_be_told_is_none() {
    let mut user = user();
    user.open(6, Door::Device);
    assert_eq!(give_read_only(&mut user, 6, 0x3b76, &words(&[16, 0, 5, 0])), Err(Errno::EFAULT));
    assert_eq!(user.give(6, 0x3b6b, &words(&[16, 0, 0, 0])), Err(Errno::EINVAL), "it is not bound");
    assert_eq!(user.give(6, 0x3b76, &words(&[16, 0, 5, 0])), Ok(0));
}

#[test]
fn an_attachment_that_cannot_be_told_is_none() {
    let mut user = bound();
    assert_eq!(give_read_only(&mut user, 6, 0x3b77, &words(&[12, 0, 1])), Err(Errno::EFAULT));
    assert_eq!(user.give(5, 0x3b80, &words(&[8, 1])), Ok(0), "nothing is attached to the address space");
}

#[rstest]
#[case::an_address_space(ALLOC, words(&[12, 0, 0]), 2)]
#[case::a_page_table(0x3b89, words(&[48, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]), 4)]
fn an_object_that_cannot_be_told_is_none_and_its_id_is_free(
    #[case] number: u32,
    #[case] bytes: Vec<u8>,
    #[case] place: u64,
) {
    let mut user = bound();
    assert_eq!(give_read_only(&mut user, 5, number, &bytes), Err(Errno::EFAULT));
    assert_eq!(user.give(5, number, &bytes), Ok(0));
    assert_eq!(user.fake.word(BASE + 4 * place), 3, "the lowest that is free");
}

#[test]
fn what_has_no_answer_but_that_it_was_done_needs_no_memory_to_be_written() {
    let mut user = user();
    assert_eq!(give_read_only(&mut user, 5, 0x3b88, &words(&[12, 1, 1])), Ok(0));
    assert_eq!(user.give(5, 0x3b88, &words(&[12, 0, 0])), Ok(0), "it is set");
    let allow = [words(&[24, 1, 0, 0]), longs(&[0])].concat();
    assert_eq!(give_read_only(&mut user, 5, 0x3b82, &allow), Ok(0));
}

#[test]
fn a_mapping_that_finds_its_room_keeps_its_place_in_the_page() {
    let mut user = user();
    user.give(5, MAP, &map(7, 1, BASE, 0x10, 0x1000)).unwrap();
    user.give(5, MAP, &map(6, 1, BASE + 0x18, 0x10, 0)).unwrap();
    assert_eq!(user.fake.get(BASE + 32, 8), longs(&[0x2018]));
}
