//! What lives how long.

use super::*;

/// Whether the device's file can still map memory in the container that only the group holds.
fn status(user: &mut User) -> u32 {
    user.give(4, 0x3b67, &words(&[8, 0])).unwrap();
    user.fake.word(BASE + 4)
}

#[test]
fn a_group_is_open_once_and_as_long_as_a_device_of_it_is() {
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.desk.open(Door::Group), Err(Errno::EBUSY));
    user.close(4);
    assert_eq!(user.desk.open(Door::Group), Err(Errno::EBUSY));
    user.close(device);
    user.open(4, Door::Group);
    assert_eq!(status(&mut user), 1, "it has left its container");
}

#[test]
fn a_container_that_is_closed_lives_while_the_group_is_in_it() {
    let mut user = User::new();
    let device = user.with_device();
    user.close(3);
    assert_eq!((user.desk.containers.len(), status(&mut user)), (1, 3));
    user.close(device);
    assert_eq!(user.desk.containers.len(), 1);
    user.close(4);
    assert_eq!(user.desk.containers.len(), 0);
}

#[test]
fn a_container_whose_group_has_left_can_be_used_again() {
    let mut user = User::new();
    let device = user.with_device();
    let map = [words(&[32, 3]), longs(&[BASE, 0, 0x1000])].concat();
    user.give(3, 0x3b71, &map).unwrap();
    user.close(device);
    user.close(4);
    assert_eq!(user.give(3, 0x3b71, &map), Err(Errno::EINVAL), "its IOMMU is gone, and what was mapped");
    user.open(4, Door::Group);
    user.give(4, 0x3b68, &words(&[3])).unwrap();
    user.call(3, 0x3b66, 3).unwrap();
    assert_eq!(user.give(3, 0x3b71, &map), Ok(0));
}

#[test]
fn a_device_that_is_opened_again_is_reset_and_has_no_interrupts() {
    let mut user = User::new();
    let device = user.with_device();
    let name = b"0000:c1:00.0\0";
    user.give(device, 0x3b6e, &words(&[24, 0x24, 2, 0, 1, 100])).unwrap();
    user.write(device, 7 << 40 | 0x3c, &[0x55]).unwrap();
    let again = user.give(4, 0x3b6a, name).unwrap() as i32;
    user.close(device);
    user.read(again, 7 << 40 | 0x82, 2).unwrap();
    assert_eq!(user.fake.get(BASE + 0x1001, 1)[0] & 0x80, 0x80, "one of two files is open");
    user.close(again);
    let anew = user.give(4, 0x3b6a, name).unwrap() as i32;
    user.read(anew, 7 << 40 | 0x82, 2).unwrap();
    assert_eq!(user.fake.get(BASE + 0x1001, 1)[0] & 0x80, 0);
    user.give(anew, 0x3b6e, &words(&[20, 0x21, 2, 0, 1])).unwrap();
    assert_eq!(user.fake.counted(100), 0);
}

#[test]
fn an_iommufd_that_is_closed_lives_while_the_device_is_bound_to_it() {
    let mut user = User::new();
    user.open(5, Door::Iommufd);
    user.open(6, Door::Device);
    user.give(6, 0x3b76, &words(&[16, 0, 5, 0])).unwrap();
    user.close(5);
    assert_eq!(user.desk.iommufds.len(), 1);
    user.close(6);
    assert_eq!((user.desk.iommufds.len(), user.desk.bound.is_none()), (0, true));
    user.open(4, Door::Group);
}

#[test]
fn a_device_that_was_closed_can_be_bound_again() {
    let mut user = User::new();
    user.open(5, Door::Iommufd);
    for file in [6, 7, 8] {
        user.open(file, Door::Device);
        user.give(file, 0x3b76, &words(&[16, 0, 5, 0])).unwrap();
        user.close(file);
    }
    assert_eq!(user.desk.opens().count(), 1);
}

#[test]
fn a_pin_that_was_disabled_is_not_when_the_device_is_opened_again() {
    let mut user = User::of("v2", "[interrupts]\npin = true");
    let device = user.with_device();
    assert_eq!(user.write(device, 7 << 40 | 5, &[4]), Ok(1));
    for file in [device, 4, 3] {
        user.close(file);
    }
    let device = user.with_device();
    assert_eq!(user.read(device, 7 << 40 | 4, 2), Ok(2));
    assert_eq!(user.fake.get(BASE + 0x1000, 2), [2, 0], "memory decode is on, and nothing else");
}
