//! A program that may do anything with the kernel's interface, as values: property tests and fuzzers are two callers
//! of [`run`].
//!
//! What must hold, whatever the program does:
//!
//! - every call is answered, and an error is one that the kernel has for that call;
//! - what an answer writes lies in the caller's structure or in the array that this tells, and nowhere else;
//! - what is refused changes nothing, but where the kernel too has done it before it cannot tell, and the device says
//!   of itself what it always says;
//! - what is open, bound and mapped is what a model of lists has, and ranges of a space are apart;
//! - the device writes only memory that is mapped for it to be written;
//! - when all is closed nothing is kept; opened again, the device says of itself what it said at first, decodes
//!   memory, is no bus master, and has its pin enabled.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

mod calls;
mod model;
mod process;
mod step;

pub use step::Step;

use sim_device::kernel::DEFAULT_ABI;
use sim_device::kernel::Kernel;
use sim_device::profile::Profile;
use sim_device::server::Irqs;
use sim_device::silicon::Silicon;
use vfio_abi::errno::Errno;

use super::Desk;
use super::Done;
use super::Door;
use super::Node;
use super::info::OFFSET_SHIFT;
use crate::caller::Caller;
use crate::caller::Open;
use crate::caller::Piece;
use crate::fields::Fields;
use crate::number;
use calls::Call;
use model::Model;
use process::BASE;
use process::Process;

/// The device's address.
const NAME: &str = "0000:c1:00.0";

/// The most steps that are done: more tell nothing new.
const MOST_STEPS: usize = 64;

/// Where a structure is put, and how much is looked at there.
const ARGUMENT: u64 = BASE + 0x40;
const LOOKED_AT: u64 = 128;

/// The region of configuration space, what opening decides of the Command register, and the interrupts of a device.
const CONFIG: u64 = 7;
const COMMAND: u32 = 0x0406;
const IRQS: u32 = 5;

/// A device with all kinds of interrupts.
const PROFILE: &str = "[interrupts]\npin = true";

/// Lets a program do `steps`, then closes all that it has open.
pub fn run(steps: &[Step]) {
    let Some(mut program) = Program::new() else { return };
    for step in steps.iter().take(MOST_STEPS) {
        step.carry_out(&mut program);
        program.model.check(&program.desk);
    }
    program.end();
}

fn desk() -> Option<Desk> {
    let profile = Profile::parse("drive", PROFILE).ok()?.check().ok()?;
    let kernel = Kernel::bind(Silicon::power_on(profile).ok()?, DEFAULT_ABI).ok()?;
    Some(Desk::new(NAME.to_owned(), 5, kernel))
}

/// Nothing is kept.
fn is_empty(desk: &Desk) {
    assert!(desk.opens.is_empty() && desk.containers.is_empty() && desk.iommufds.is_empty());
    assert!(desk.bound.is_none() && desk.events.is_empty() && desk.events().count() == 0);
    assert!(!desk.group.is_used() && desk.group.container.is_none());
    assert_eq!(format!("{:?}", desk.irqs), format!("{:?}", Irqs::default()), "interrupts");
}

/// Another program opens the device, asks it everything, and closes it.
fn life(desk: &mut Desk, process: &Process) -> Vec<Vec<u8>> {
    let opened = [Door::Container, Door::Group].map(|door| desk.open(door));
    let [Ok(container), Ok(group)] = opened else {
        assert_eq!(opened.map(|opened| opened.err()), [None; 2], "nobody has it open");
        return Vec::new();
    };
    let file = process.add(container).unwrap_or(-1);
    process.set(ARGUMENT, &file.to_le_bytes());
    assert_eq!(desk.ioctl(group, number::GROUP_SET_CONTAINER, ARGUMENT, process), Ok(Done::Value(0)));
    assert_eq!(desk.ioctl(container, number::SET_IOMMU, 3, process), Ok(Done::Value(0)));
    process.set(ARGUMENT, format!("{NAME}\0").as_bytes());
    let device = desk.ioctl(group, number::GROUP_GET_DEVICE_FD, ARGUMENT, process);
    assert!(matches!(device, Ok(Done::Opened(_))), "{device:?}");
    let Ok(Done::Opened(device)) = device else { return Vec::new() };
    let mut said = said(desk, device, process);
    let into = Piece { at: BASE, count: 8 };
    assert_eq!(desk.read(device, CONFIG << OFFSET_SHIFT, into, process), Ok(8), "configuration space");
    let header = peek(process, BASE, into.count);
    said.push([header.u32(0), header.u32(4) & COMMAND].map(u32::to_le_bytes).concat());
    process.close(file);
    process.take_writes();
    [device, group, container].into_iter().for_each(|open| desk.closed(open));
    is_empty(desk);
    said
}

/// All that a device says of itself.
fn said(desk: &mut Desk, device: Open, asker: &Process) -> Vec<Vec<u8>> {
    let mut ask = |number, index: u32| {
        let asked = [0x200, 0, index, 0].map(u32::to_le_bytes).concat();
        // What was there is not to be taken for an answer.
        asker.set(BASE, &[0x5a; 0x200]);
        asker.set(BASE, &asked);
        match desk.ioctl(device, number, BASE, asker) {
            Ok(done) => assert_eq!(done, Done::Value(0), "{number:#x} of {index}"),
            // Not every region that is counted is there.
            Err(errno) => asker.set(BASE, &errno.0.to_le_bytes()),
        }
        peek(asker, BASE, 0x200)
    };
    let info = ask(number::DEVICE_GET_INFO, 0);
    let regions = info.u32(8);
    let mut said = vec![info.0];
    said.extend((0..regions).map(|index| ask(number::DEVICE_GET_REGION_INFO, index).0));
    said.extend((0..IRQS).map(|index| ask(number::DEVICE_GET_IRQ_INFO, index).0));
    said
}

/// What is in memory, as much as there is.
fn peek(process: &Process, at: u64, length: u64) -> Fields {
    let by: &dyn Caller = process;
    let there = (0..=length).rev().find_map(|length| by.fields(at, length as usize).ok());
    there.unwrap_or_default()
}

/// Whether all of a piece lies in another.
fn lies_in(piece: &Piece, from: u64, count: u64) -> bool {
    let end = |from: u64, count| u128::from(from) + u128::from(count);
    piece.count == 0 || from <= piece.at && end(piece.at, piece.count) <= end(from, count)
}

/// A program, what it asks, and what should be.
struct Program {
    desk: Desk,
    process: Process,
    model: Model,
    /// Another program, which asks the device and then is gone.
    other: Process,
    /// What the device said when it was first opened.
    first: Vec<Vec<u8>>,
}

impl Program {
    /// One that has nothing open yet.
    fn new() -> Option<Self> {
        let (mut desk, other) = (desk()?, Process::new());
        let first = life(&mut desk, &other);
        Some(Self { desk, process: Process::new(), model: Model::default(), other, first })
    }

    /// Closes all that is open, after which nothing is kept.
    fn end(&mut self) {
        while let Some((file, _)) = self.process.chosen(0) {
            self.close(file);
            self.model.check(&self.desk);
        }
        is_empty(&self.desk);
        assert_eq!(life(&mut self.desk, &self.other), self.first, "the device is as it was");
    }

    /// Opens a node, if that can be now.
    fn open(&mut self, door: Door) -> Option<(i32, Open)> {
        let kept = self.kept();
        match self.desk.open(door) {
            Ok(open) => {
                let node = match door {
                    Door::Container => Node::Container,
                    Door::Group => Node::Group,
                    Door::Device => Node::Device,
                    Door::Iommufd => Node::Iommufd,
                };
                self.opened(open, node)
            }
            Err(errno) => {
                assert_eq!((door, errno), (Door::Group, Errno::EBUSY));
                assert_eq!(self.kept(), kept, "a group that is not opened");
                None
            }
        }
    }

    fn opened(&mut self, open: Open, node: Node) -> Option<(i32, Open)> {
        self.model.opened(open, node);
        let file = self.process.add(open);
        if file.is_none() {
            // It has no descriptor free, so it is closed again.
            self.desk.closed(open);
            self.model.closed(open);
        }
        file.map(|file| (file, open))
    }

    fn close(&mut self, file: i32) {
        if let Some(open) = self.process.close(file) {
            self.desk.closed(open);
            self.model.closed(open);
        }
    }

    /// A call with a structure, which is where it usually is.
    fn give(&mut self, on: Open, number: u32, bytes: &[u8]) -> Result<Option<Open>, Errno> {
        self.process.set(ARGUMENT, bytes);
        self.call(on, number, ARGUMENT)
    }

    /// A call, and all that must hold of it. Gives the file of the device that it opened.
    fn call(&mut self, on: Open, number: u32, argument: u64) -> Result<Option<Open>, Errno> {
        let Some(door) = self.desk.door(on) else { return Err(Errno::EBADF) };
        let call = Call::find(door, number);
        let before = peek(&self.process, argument, LOOKED_AT);
        let kept = self.kept();
        self.process.take_writes();
        let done = self.desk.ioctl(on, number, argument, &self.process);
        self.check_writes(call, argument, &before, done);
        let after = peek(&self.process, argument, LOOKED_AT);
        match done {
            Ok(done) => {
                assert!(call.is_some(), "{number:#x} is no call of a {door:?}");
                let is_bit = door == Door::Container && number == number::CHECK_EXTENSION;
                assert!(
                    !matches!(done, Done::Value(value) if value != 0 && (value != 1 || !is_bit)),
                    "{done:?}"
                );
                self.model.learn(
                    &model::Done { on, number, argument, before: &before, after: &after },
                    &self.process,
                );
                Ok(self.take_opened(done))
            }
            Err(errno) => {
                let known = call.map_or(calls::is_for_strangers(door, errno), |call| call.has(errno));
                assert!(known, "{errno} is no error of {number:#x} of a {door:?}");
                self.refused(on, call, errno, &kept);
                Err(errno)
            }
        }
    }

    fn take_opened(&mut self, done: Done) -> Option<Open> {
        let Done::Opened(open) = done else { return None };
        self.opened(open, Node::GroupDevice).map(|(_, open)| open)
    }

    fn check_writes(&self, call: Option<Call>, argument: u64, before: &Fields, done: Result<Done, Errno>) {
        let writes = self.process.take_writes();
        let structure = call.filter(|call| call.length > 0).map_or(0, |_| before.u32(0));
        let array = call.and_then(|call| call.array).map(|(address, count, width)| {
            (before.u64(address), u64::from(before.u32(count)).saturating_mul(width))
        });
        for write in &writes {
            let in_array = array.is_some_and(|(from, count)| lies_in(write, from, count));
            assert!(in_array || lies_in(write, argument, structure.into()), "{call:x?} wrote {write:x?}");
        }
        let tells = matches!(done, Ok(_) | Err(Errno::ENOSPC | Errno::EMSGSIZE)) || array.is_some();
        assert!(tells || writes.is_empty(), "{call:x?} was refused and wrote {writes:x?}");
    }

    /// A call was refused: nothing is another than before.
    fn refused(&mut self, on: Open, call: Option<Call>, errno: Errno, kept: &str) {
        if errno == Errno::EFAULT && call.is_some_and(|call| call.is_done_before_it_is_told()) {
            self.model.look(&self.desk);
            return;
        }
        assert_eq!(self.kept(), kept, "{errno} of {call:x?}");
        if self.desk.is_device(on) && self.desk.shown(on).is_ok() {
            let said = said(&mut self.desk, on, &self.other);
            self.other.take_writes();
            assert!(self.first.starts_with(&said), "after {errno} of {call:x?}");
        }
    }

    /// All that is kept beside the device itself.
    fn kept(&self) -> String {
        let Desk { opens, containers, group, iommufds, bound, events, irqs, .. } = &self.desk;
        format!("{opens:?} {containers:?} {group:?} {iommufds:?} {bound:?} {events:?} {irqs:?}")
    }

    /// Reads the device's file into memory.
    fn read(&mut self, on: Open, offset: u64, into: Piece) {
        self.process.take_writes();
        let done = self.desk.read(on, offset, into, &self.process);
        let writes = self.process.take_writes();
        assert!(writes.iter().all(|write| lies_in(write, into.at, into.count)), "{writes:x?}");
        match done {
            Ok(count) => assert!((0..=into.count.cast_signed()).contains(&count), "so many bytes: {count}"),
            Err(errno) => {
                assert!(matches!(errno, Errno::EINVAL | Errno::EFAULT | Errno::EIO), "{errno}");
                assert!(writes.is_empty());
            }
        }
    }

    /// Writes the device's file from memory. What the device does then is done when it is over.
    fn write(&mut self, on: Open, offset: u64, from: Piece) -> bool {
        let kept = self.kept();
        self.process.take_writes();
        let done = self.desk.write(on, offset, from, &self.process);
        self.check_copies();
        match done {
            Ok(count) => assert!((0..=from.count.cast_signed()).contains(&count), "so many bytes: {count}"),
            Err(errno) => {
                assert!(matches!(errno, Errno::EINVAL | Errno::EFAULT | Errno::EIO), "{errno}");
                assert_eq!(self.kept(), kept);
            }
        }
        done.is_ok()
    }

    /// The program's events are looked at.
    fn ring(&mut self) {
        self.process.take_writes();
        self.desk.ring(&self.process);
        self.check_copies();
    }

    fn check_copies(&self) {
        let writes = self.process.take_writes();
        assert!(writes.iter().all(|write| self.model.reaches(*write)), "the device wrote {writes:x?}");
    }

    /// Asks whether a range of a file can be mapped: only what a region has, and shared.
    fn may_map(&self, on: Open, offset: u64, length: u64, shared: bool) {
        let inside = offset & ((1 << OFFSET_SHIFT) - 1);
        match self.desk.may_map(on, offset, length, shared) {
            Ok(()) => {
                let region = self.desk.kernel.region((offset >> OFFSET_SHIFT) as u32);
                let size = region.map_or(0, |region| region.info.size.next_multiple_of(0x1000));
                assert!(shared && inside + length <= size, "{inside:#x} and {length:#x} of {size:#x}");
            }
            Err(errno) => assert!(matches!(errno, Errno::EINVAL | Errno::ENODEV), "{errno}"),
        }
    }
}

#[cfg(test)]
mod tests;
