//! What the device moves, and whom it tells.

use super::*;

const HOST_TO_DEVICE: u32 = 0x5;
const DEVICE_TO_HOST: u32 = 0x3;
const WITH_VECTOR_3: u32 = 3 << 16 | 8;

/// Registers of the copy engine in BAR 0.
const ENGINE: u64 = 0xc000;

impl User {
    /// Copies 16 bytes, and reads the status.
    fn copy(&mut self, device: i32, from: u64, to: u64, control: u32) -> u32 {
        let registers = [longs(&[from, to]), words(&[16])].concat();
        self.write(device, ENGINE, &registers).unwrap();
        self.write(device, ENGINE + 0x14, &words(&[control])).unwrap();
        self.read(device, ENGINE + 0x18, 4).unwrap();
        self.fake.word(BASE + 0x1000)
    }

    fn bus_master(&mut self, device: i32) {
        self.write(device, 7 << 40 | 4, &[6, 0]).unwrap();
    }
}

#[test]
fn a_copy_goes_through_a_container_into_the_callers_memory_and_signals() {
    let mut user = User::new();
    let device = user.with_device();
    user.bus_master(device);
    let map = |vaddr, iova| [words(&[32, 3]), longs(&[vaddr, iova, 0x1000])].concat();
    // The two pages stand the other way round.
    user.give(3, 0x3b71, &map(BASE + 0x4000, 0x1_1000)).unwrap();
    user.give(3, 0x3b71, &map(BASE + 0x5000, 0x1_0000)).unwrap();
    user.fake.put(BASE + 0x5ff8, &[1, 2, 3, 4, 5, 6, 7, 8]);
    user.fake.put(BASE + 0x4000, &[9, 10, 11, 12, 13, 14, 15, 16]);
    user.give(device, 0x3b6e, &words(&[24, 0x24, 2, 3, 1, 100])).unwrap();
    assert_eq!(user.copy(device, 0x1_0ff8, 0x40, HOST_TO_DEVICE | WITH_VECTOR_3), 2);
    assert_eq!(user.fake.counted(100), 1);
    user.read(device, 9 << 40 | 0x40, 16).unwrap();
    assert_eq!(user.fake.get(BASE + 0x1000, 16), (1..=16).collect::<Vec<u8>>());
    assert_eq!(user.copy(device, 0x40, 0x1_0100, DEVICE_TO_HOST), 2);
    assert_eq!(user.fake.get(BASE + 0x5100, 16), (1..=16).collect::<Vec<u8>>());
}

#[test]
fn a_copy_that_cannot_be_says_why_and_moves_nothing() {
    let mut user = User::new();
    let device = user.with_device();
    assert_eq!(user.copy(device, 0x1_0000, 0, HOST_TO_DEVICE), 0x100, "the bus master is off");
    user.bus_master(device);
    assert_eq!(user.copy(device, 0x1_0000, 0, HOST_TO_DEVICE), 0x1000, "nothing is mapped");
    let map = [words(&[32, 1]), longs(&[BASE, 0x1_0000, 0x1000])].concat();
    user.give(3, 0x3b71, &map).unwrap();
    assert_eq!(user.copy(device, 0, 0x1_0000, DEVICE_TO_HOST), 0x2000, "it may only be read");
    assert_eq!(user.copy(device, 0x1_0ff8, 0, HOST_TO_DEVICE), 0x1000, "only half of it is mapped");
    let unmap = [words(&[24, 4]), longs(&[0x1_0000, 0x1000])].concat();
    user.give(3, 0x3b72, &unmap).unwrap();
    assert_eq!(user.copy(device, 0x1_0000, 0, HOST_TO_DEVICE), 0x4000, "its address is taken back");
}

#[test]
fn an_event_stands_for_a_write() {
    let mut user = User::new();
    let device = user.with_device();
    let asked = |flags: u32, offset: u64, file: i32| {
        [words(&[32, flags]), longs(&[offset, 0x1234]), words(&[file as u32, 0])].concat()
    };
    assert_eq!(user.give(device, 0x3b74, &asked(4, 2 << 40 | 8, 100)), Ok(0));
    assert_eq!(user.give(device, 0x3b74, &asked(4, 2 << 40 | 8, 101)), Err(Errno::EEXIST));
    assert_eq!(user.give(device, 0x3b74, &asked(4, 7 << 40, 101)), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b74, &asked(6, 2 << 40, 101)), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b74, &asked(4, (2 << 40) + 0xf_fffe, 101)), Err(Errno::EINVAL));
    assert_eq!(user.give(device, 0x3b74, &asked(4, 2 << 40, -1)), Err(Errno::ENODEV));
    let value = |user: &mut User| {
        user.read(device, 2 << 40 | 8, 4).unwrap();
        user.fake.word(BASE + 0x1000)
    };
    user.desk.ring(&user.fake);
    assert_eq!(value(&mut user), 0, "it was not signalled");
    rustix::io::write(&user.fake.events[&100], &1_u64.to_ne_bytes()).unwrap();
    user.desk.ring(&user.fake);
    assert_eq!((value(&mut user), user.desk.events().count()), (0x1234, 1));
    assert_eq!(user.give(device, 0x3b74, &asked(4, 2 << 40 | 8, -1)), Ok(0));
    assert_eq!(user.desk.events().count(), 0);
}

#[test]
fn a_copy_goes_through_an_address_space_of_an_iommufd() {
    let mut user = User::new();
    user.open(5, Door::Iommufd);
    user.open(6, Door::Device);
    user.give(6, 0x3b76, &words(&[16, 0, 5, 0])).unwrap();
    user.give(5, 0x3b81, &words(&[12, 0, 0])).unwrap();
    let ioas = user.fake.word(BASE + 8);
    let map = [words(&[40, 7, ioas, 0]), longs(&[BASE + 0x4000, 0x1000, 0x1_0000])].concat();
    user.give(5, 0x3b85, &map).unwrap();
    user.bus_master(6);
    user.fake.put(BASE + 0x4000, &[7; 16]);
    assert_eq!(user.copy(6, 0x1_0000, 0, HOST_TO_DEVICE), 0x1000, "it is not attached");
    user.give(6, 0x3b77, &words(&[12, 0, ioas])).unwrap();
    assert_eq!(user.copy(6, 0x1_0000, 0, HOST_TO_DEVICE), 2);
    user.read(6, 9 << 40, 16).unwrap();
    assert_eq!(user.fake.get(BASE + 0x1000, 16), [7; 16]);
    user.give(6, 0x3b78, &words(&[8, 0])).unwrap();
    assert_eq!(user.copy(6, 0x1_0000, 0, HOST_TO_DEVICE), 0x1000, "it is not attached any more");
}
