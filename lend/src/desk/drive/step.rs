//! What a program does, and the bytes that make it: numbers are mostly small, and addresses mostly meet.

use super::ARGUMENT;
use super::NAME;
use super::Program;
use super::calls::CALLS;
use super::calls::Call;
use super::peek;
use super::process::BASE;
use super::process::DEVICE;
use super::process::EVENTS;
use super::process::READ_ONLY;
use super::process::SIZE;
use crate::caller::Open;
use crate::caller::Piece;
use crate::desk::Door;
use crate::desk::info::OFFSET_SHIFT;
use crate::fields::Fields;
use crate::number;

/// Something that a program does. `file` is one of the files that it has open.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Step {
    /// It opens a node.
    Open {
        /// Which of the four.
        door: u8,
    },
    /// It has one more descriptor of a file.
    Dup {
        /// Of which.
        file: u8,
    },
    /// It closes a descriptor.
    Close {
        /// Which.
        file: u8,
    },
    /// It opens all that a device needs, in one of the ways.
    Usual {
        /// In which.
        way: u8,
    },
    /// It makes a call that there is.
    Call {
        /// On which file.
        file: u8,
        /// Which call; the upper half means those of other files too.
        call: u8,
        /// The length that the structure tells; the upper half means the right one.
        length: u8,
        /// Where the structure is; mostly where it should be.
        at: u8,
        /// What the structure's words are, each by a byte.
        words: Vec<u8>,
    },
    /// It makes any call.
    Any {
        /// On which file.
        file: u8,
        /// The call's number.
        number: u32,
        /// The call's argument.
        argument: u64,
    },
    /// It maps memory for the device.
    Map {
        /// In which file.
        file: u8,
        /// In which address space of it.
        space: u8,
        /// The flags.
        flags: u8,
        /// Which page of the device's addresses, or an edge.
        iova: u8,
        /// How many pages, or an edge.
        pages: u8,
        /// Which page of memory, or the device.
        memory: u8,
    },
    /// It unmaps memory.
    Unmap {
        /// In which file.
        file: u8,
        /// In which address space of it.
        space: u8,
        /// The flags.
        flags: u8,
        /// Which page of the device's addresses, or an edge.
        iova: u8,
        /// How many pages, or an edge.
        pages: u8,
    },
    /// It attaches, masks or triggers interrupts.
    Irqs {
        /// Of which file.
        file: u8,
        /// The flags.
        flags: u8,
        /// Of which index.
        index: u8,
        /// From which vector on.
        start: u8,
        /// How many vectors.
        count: u8,
        /// An event for each, or what else the data is.
        data: Vec<u8>,
    },
    /// It reads a region.
    Read {
        /// Of which file.
        file: u8,
        /// Which region.
        region: u8,
        /// Where.
        offset: u64,
        /// How many bytes.
        count: u16,
        /// To which page of memory.
        memory: u8,
    },
    /// It writes a region.
    Write {
        /// Of which file.
        file: u8,
        /// Which region.
        region: u8,
        /// Where.
        offset: u16,
        /// What.
        data: Vec<u8>,
    },
    /// It asks to map a region.
    MayMap {
        /// Of which file.
        file: u8,
        /// Which region.
        region: u8,
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// Shared with the device.
        shared: bool,
    },
    /// It lets an event stand for a write, or not any more.
    Event {
        /// Of which file.
        file: u8,
        /// How many bytes are written, and more flags.
        flags: u8,
        /// Where in the first region.
        offset: u16,
        /// Which event, or none.
        event: u8,
    },
    /// It lets the device copy.
    Copy {
        /// Of which file.
        file: u8,
        /// Pages of both sides.
        sides: [u8; 2],
        /// How many bytes.
        length: u16,
        /// The direction, and what else the control register has.
        control: u8,
    },
    /// It signals an event.
    Signal {
        /// Which.
        event: u8,
    },
}

/// The engine's registers in the first region.
const ENGINE: u64 = 0xc000;

/// Numbers at the edges of what can be.
const EDGES: [u32; 8] =
    [u32::MAX, 0xffff_f000, 0xffff_f001, 0x8000_0000, 0xfee0_0000, 0xffff, 0x1000, u32::MAX - 1];

/// Addresses at the edges: of where the IOMMU translates, and of what there is.
const IOVA_EDGES: [u64; 8] =
    [0xfedf_f000, 0xfef0_0000, (1 << 48) - 0x1000, 1 << 48, u64::MAX - 0xfff, u64::MAX, 0x1001, 0xfee0_0000];

/// Lengths at the edges.
const LENGTH_EDGES: [u64; 4] = [u64::MAX, 1, 0x1001, u64::MAX - 0xfff];

impl Step {
    /// Does it.
    pub(super) fn carry_out(&self, program: &mut Program) {
        match self {
            Self::Open { door } => _ = program.open(door_of(*door)),
            Self::Usual { way } => _ = usual(program, *way),
            Self::Signal { event } => {
                program.process.signal(*event);
                program.ring();
            }
            Self::Dup { file }
            | Self::Close { file }
            | Self::Call { file, .. }
            | Self::Any { file, .. }
            | Self::Map { file, .. }
            | Self::Unmap { file, .. }
            | Self::Irqs { file, .. }
            | Self::Read { file, .. }
            | Self::Write { file, .. }
            | Self::MayMap { file, .. }
            | Self::Event { file, .. }
            | Self::Copy { file, .. } => {
                if let Some((file, open)) = program.process.chosen(*file) {
                    self.on(program, file, open);
                }
            }
        }
    }

    fn on(&self, program: &mut Program, file: i32, on: Open) {
        match self {
            Self::Dup { .. } => _ = program.process.add(on),
            Self::Close { .. } => program.close(file),
            Self::Any { number, argument, .. } => _ = program.call(on, *number, *argument),
            Self::Call { call, length, at, words, .. } => {
                if let Some(call) = call_of(program.desk.door(on), *call) {
                    make(program, on, call, [*length, *at], words);
                }
            }
            Self::Map { space, flags, iova, pages, memory, .. } => {
                let place = [iova_of(*iova), length_of(*pages), memory_of(*memory)];
                map(program, on, [*space, *flags], place);
            }
            Self::Unmap { space, flags, iova, pages, .. } => {
                unmap(program, on, [*space, *flags], [iova_of(*iova), length_of(*pages)]);
            }
            Self::Irqs { flags, index, start, count, data, .. } => {
                let head = [*flags, index % 6, start % 10, count % 10].map(u32::from);
                irqs(program, on, head, data);
            }
            Self::Read { region, offset, count, memory, .. } => {
                let into = Piece { at: memory_of(*memory), count: (*count).into() };
                program.read(on, place(*region, *offset), into);
            }
            Self::Write { region, offset, data, .. } => _ = write(program, on, (*region, *offset), data),
            Self::MayMap { region, offset, length, shared, .. } => {
                program.may_map(on, place(*region, *offset), *length, *shared);
            }
            Self::Event { flags, offset, event, .. } => {
                let bytes =
                    Fields::default().with_u32(28).with_u32((*flags).into()).with_u64((*offset).into());
                let bytes = bytes.with_u64(9).with_u32(event_of(*event).cast_unsigned());
                _ = program.give(on, number::DEVICE_IOEVENTFD, &bytes.0);
            }
            Self::Copy { sides, length, control, .. } => copy(program, on, *sides, *length, *control),
            Self::Open { .. } | Self::Usual { .. } | Self::Signal { .. } => {}
        }
    }
}

fn door_of(door: u8) -> Door {
    match door % 4 {
        0 => Door::Container,
        1 => Door::Group,
        2 => Door::Device,
        _ => Door::Iommufd,
    }
}

/// The call that a byte means: mostly one that the file has.
fn call_of(on: Option<Door>, call: u8) -> Option<Call> {
    let known = |known: &Call| call >= 0x80 || Some(known.on) == on;
    let count = CALLS.iter().filter(|call| known(call)).count();
    let place = usize::from(call & 0x7f).checked_rem(count)?;
    CALLS.into_iter().filter(known).nth(place)
}

/// A word of a structure that a byte means: a small number, a page, an address in memory, an edge.
fn word(byte: u8) -> u32 {
    let low = u32::from(byte & 0x3f);
    match byte >> 6 {
        0 => low,
        1 => low << 12,
        2 => BASE as u32 + ((low & 0xf) << 12) + (low & 0x30),
        _ => EDGES.into_iter().cycle().nth(low as usize).unwrap_or(low),
    }
}

fn iova_of(byte: u8) -> u64 {
    let page = u64::from(byte & 0x1f) << 12;
    if byte < 0xe0 { page } else { IOVA_EDGES.into_iter().cycle().nth(byte.into()).unwrap_or(page) }
}

fn length_of(byte: u8) -> u64 {
    let length = u64::from(byte & 7) << 12;
    if byte < 0xe0 { length } else { LENGTH_EDGES.into_iter().cycle().nth(byte.into()).unwrap_or(length) }
}

fn memory_of(byte: u8) -> u64 {
    if byte < 0xf0 { BASE + (u64::from(byte & 0xf) << 12) } else { DEVICE }
}

fn event_of(byte: u8) -> i32 {
    // Beside the events there are files of ours, the plain one, and none at all.
    if byte < 0xc0 { EVENTS.start + i32::from(byte & 7) } else { i32::from(byte & 0x3f) - 1 }
}

fn place(region: u8, offset: u64) -> u64 {
    (u64::from(region % 16) << OFFSET_SHIFT).wrapping_add(offset)
}

/// Where a structure is: mostly where it should be.
fn argument_of(at: u8) -> u64 {
    match at {
        0..0xe0 => ARGUMENT,
        0xe0..0xf0 => READ_ONLY + 0x40,
        0xf0..0xf4 => BASE + SIZE - u64::from(at & 3) * 8,
        0xf4..0xf8 => READ_ONLY - u64::from(at & 3) * 8,
        0xf8..0xfb => ARGUMENT + 1,
        0xfb..0xfd => 0,
        0xfd.. => u64::MAX - 7,
    }
}

/// Makes a call with a structure of such words.
fn make(program: &mut Program, on: Open, call: Call, [length, at]: [u8; 2], words: &[u8]) {
    let first = words.first().copied().unwrap_or_default();
    if call.on == Door::Container && matches!(call.number, number::CHECK_EXTENSION | number::SET_IOMMU) {
        _ = program.call(on, call.number, (first & 0xf).into());
        return;
    }
    let at = argument_of(at);
    let mut bytes = Fields::default();
    if call.length > 0 {
        bytes = bytes.with_u32(if length < 0x80 { length.into() } else { call.length });
    }
    bytes = words.iter().take(30).fold(bytes, |bytes, byte| bytes.with_u32(word(*byte)));
    if call.number == number::GROUP_GET_DEVICE_FD && length >= 0x40 {
        bytes = Fields(format!("{NAME}\0").into_bytes());
    }
    // What nobody chose is 0.
    bytes.0.resize(128, 0);
    program.process.set(at, &bytes.0);
    _ = program.call(on, call.number, at);
}

fn map(program: &mut Program, on: Open, [space, flags]: [u8; 2], [iova, length, memory]: [u64; 3]) {
    if program.desk.door(on) == Some(Door::Iommufd) {
        let head = Fields::default().with_u32(40).with_u32((flags & 7).into()).with_u32((space % 8).into());
        let bytes = head.with_u32(0).with_u64(memory).with_u64(length).with_u64(iova);
        _ = program.give(on, number::IOAS_MAP, &bytes.0);
    } else {
        let head = Fields::default().with_u32(32).with_u32((flags % 5).into());
        let bytes = head.with_u64(memory).with_u64(iova).with_u64(length);
        _ = program.give(on, number::IOMMU_MAP_DMA, &bytes.0);
    }
}

fn unmap(program: &mut Program, on: Open, [space, flags]: [u8; 2], [iova, length]: [u64; 2]) {
    let is_iommufd = program.desk.door(on) == Some(Door::Iommufd);
    let (number, which) =
        if is_iommufd { (number::IOAS_UNMAP, space % 8) } else { (number::IOMMU_UNMAP_DMA, flags & 0xf) };
    let bytes = Fields::default().with_u32(24).with_u32(which.into()).with_u64(iova).with_u64(length);
    _ = program.give(on, number, &bytes.0);
}

fn irqs(program: &mut Program, on: Open, [flags, index, start, count]: [u32; 4], data: &[u8]) {
    let is_events = flags & 4 != 0;
    let length = if is_events { 4 * data.len() } else { data.len() };
    let head = Fields::default().with_u32(20_u32.saturating_add(length as u32)).with_u32(flags);
    let head = head.with_u32(index).with_u32(start).with_u32(count);
    let bytes = data.iter().take(16).fold(head, |mut bytes, byte| {
        if is_events {
            return bytes.with_u32(event_of(*byte).cast_unsigned());
        }
        bytes.0.push(byte & 1);
        bytes
    });
    _ = program.give(on, number::DEVICE_SET_IRQS, &bytes.0);
}

fn write(program: &mut Program, on: Open, (region, offset): (u8, u16), data: &[u8]) -> bool {
    let data = data.get(..data.len().min(64)).unwrap_or_default();
    program.process.set(ARGUMENT, data);
    let offset = match region % 16 {
        // Most of the third region is plain memory; the component block is where something can go wrong.
        2 => 0x2_0000 + u64::from(offset),
        // Of configuration space the capabilities, and what is behind its end.
        7 => u64::from(offset & 0x10ff),
        _ => u64::from(offset),
    };
    let from = Piece { at: ARGUMENT, count: data.len() as u64 };
    program.write(on, place(region, offset), from)
}

/// Turns the bus master on, sets the engine's registers, and rings its doorbell.
pub(super) fn copy(program: &mut Program, on: Open, sides: [u8; 2], length: u16, control: u8) {
    let [source, destination] = sides.map(|side| iova_of(side & 0x1f));
    let registers = Fields::default().with_u64(source).with_u64(destination).with_u32(length.into());
    let doorbell = Fields::default().with_u32(u32::from(control) | 1);
    let engine = ENGINE as u16;
    for (region, offset, data) in
        [(7, 4, &[6, 0][..]), (0, engine, &registers.0), (0, engine + 0x14, &doorbell.0)]
    {
        write(program, on, (region, offset), data);
    }
}

/// Opens all that a device needs. Nothing if that cannot be now.
fn usual(program: &mut Program, way: u8) -> Option<()> {
    if way % 4 == 3 { by_own_node(program) } else { by_group(program, way) }
}

fn by_group(program: &mut Program, way: u8) -> Option<()> {
    let (file, container) = program.open(Door::Container)?;
    let (_, group) = program.open(Door::Group)?;
    program.give(group, number::GROUP_SET_CONTAINER, &file.to_le_bytes()).ok()?;
    program.call(container, number::SET_IOMMU, if way.is_multiple_of(4) { 1 } else { 3 }).ok()?;
    program.give(group, number::GROUP_GET_DEVICE_FD, format!("{NAME}\0").as_bytes()).ok()?;
    Some(())
}

fn by_own_node(program: &mut Program) -> Option<()> {
    let (file, iommufd) = program.open(Door::Iommufd)?;
    let (_, device) = program.open(Door::Device)?;
    let words = |words: [u32; 4]| words.map(u32::to_le_bytes).concat();
    program.give(device, number::DEVICE_BIND_IOMMUFD, &words([16, 0, file.cast_unsigned(), 0])).ok()?;
    program.give(iommufd, number::IOAS_ALLOC, &words([12, 0, 0, 0])).ok()?;
    let ioas = peek(&program.process, ARGUMENT, 12).u32(8);
    program.give(device, number::DEVICE_ATTACH_IOMMUFD_PT, &words([12, 0, ioas, 0])).ok()?;
    Some(())
}
