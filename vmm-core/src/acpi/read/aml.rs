//! The devices of a DSDT: their names with values, and which methods they have. Only what the DSDT uses.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Bytes;
use super::Read;

/// The value of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Integer(u64),
    /// A text.
    Text(String),
    /// Bytes.
    Buffer(Vec<u8>),
    /// Several values.
    Package(Vec<Value>),
}

/// A device.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Its name, below those of the devices that it is in.
    pub path: String,
    /// Its names, with their values.
    pub values: BTreeMap<String, Value>,
    /// The names of its methods.
    pub methods: BTreeSet<String>,
}

/// A descriptor of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A range of an address space.
    Range {
        /// Of 16, 32 or 64 bits.
        bits: u8,
        /// What it is a range of: [`MEMORY`], [`IO`] or [`BUS`].
        kind: u8,
        /// The device takes it for itself.
        consumer: bool,
        /// The first address.
        first: u64,
        /// The last address.
        last: u64,
        /// What is added to an address on the way to the processor.
        translation: u64,
    },
    /// A range of memory with a fixed place below 4 GiB.
    Memory32 {
        /// Where it begins.
        base: u32,
        /// How long it is.
        size: u32,
    },
    /// Ports.
    Ports {
        /// The first one.
        first: u16,
        /// How many.
        size: u8,
    },
    /// An interrupt.
    Interrupt {
        /// How it is signalled.
        flags: u8,
        /// Which one.
        number: u32,
    },
}

/// A range of memory.
pub const MEMORY: u8 = 0;
/// A range of I/O ports.
pub const IO: u8 = 1;
/// A range of bus numbers.
pub const BUS: u8 = 2;

/// How deep objects may be in each other.
const DEEPEST: usize = 16;

impl Device {
    /// The value of a name that is an integer.
    ///
    /// # Errors
    /// If there is no such name, or its value is none.
    pub fn integer(&self, name: &str) -> Read<u64> {
        match self.values.get(name) {
            Some(Value::Integer(value)) => Ok(*value),
            other => Err(format!("DSDT: {}.{name} is {other:?}", self.path)),
        }
    }

    /// Whether this is its hardware ID.
    pub fn is_called(&self, hid: &Value) -> bool {
        self.values.get("_HID") == Some(hid)
    }

    /// The descriptors of its `_CRS`.
    ///
    /// # Errors
    /// If it has none, or there is something wrong with it.
    pub fn resources(&self) -> Read<Vec<Resource>> {
        match self.values.get("_CRS") {
            Some(Value::Buffer(bytes)) => resources(Bytes { name: "DSDT", bytes }),
            other => Err(format!("DSDT: {}._CRS is {other:?}", self.path)),
        }
    }
}

/// All devices of a table, which has its objects in scopes and devices.
///
/// # Errors
/// If the table has something else in it, or is no AML.
pub fn devices(table: Bytes<'_>) -> Read<Vec<Device>> {
    let mut reader = Reader { table, at: 36, found: Vec::new() };
    reader.objects(table.bytes.len(), &mut Device::default(), 0)?;
    reader.found.sort_by_key(|(at, _)| *at);
    Ok(reader.found.into_iter().map(|(_, device)| device).collect())
}

struct Reader<'a> {
    table: Bytes<'a>,
    at: usize,
    /// Devices, and where they begin.
    found: Vec<(usize, Device)>,
}

impl Reader<'_> {
    fn byte(&mut self) -> Read<u8> {
        let byte = self.table.u8(self.at)?;
        self.at += 1;
        Ok(byte)
    }

    /// The objects up to `end`, which are `owner`'s.
    fn objects(&mut self, end: usize, owner: &mut Device, depth: usize) -> Read<()> {
        self.table.holds(depth <= DEEPEST, "objects are too deep in each other")?;
        while self.at < end {
            let start = self.at;
            match self.byte()? {
                0x08 => {
                    let name = self.name()?;
                    let value = self.value(depth)?;
                    owner.values.insert(name, value);
                }
                0x10 => {
                    let end = self.package_end()?;
                    self.name()?;
                    self.objects(end, owner, depth + 1)?;
                }
                0x14 => {
                    let end = self.package_end()?;
                    owner.methods.insert(self.name()?);
                    self.at = end;
                }
                0x5b if self.table.u8(self.at)? == 0x82 => {
                    self.at += 1;
                    let end = self.package_end()?;
                    let path = format!("{}.{}", owner.path, self.name()?);
                    let mut device = Device { path, ..Device::default() };
                    self.objects(end, &mut device, depth + 1)?;
                    self.found.push((start, device));
                }
                code => return Err(format!("DSDT: {code:#x} at {start} in {}", owner.path)),
            }
        }
        self.table.holds(self.at == end, &format!("an object reaches past {end}"))
    }

    /// Where the package ends that has its length here.
    fn package_end(&mut self) -> Read<usize> {
        let start = self.at;
        let lead = usize::from(self.byte()?);
        let more = lead >> 6;
        let mut length = if more == 0 { lead & 0x3f } else { lead & 0xf };
        for index in 0..more {
            length |= usize::from(self.byte()?) << (4 + 8 * index);
        }
        self.table.run(start, length)?;
        Ok(start + length)
    }

    fn name(&mut self) -> Read<String> {
        if self.table.u8(self.at)? == b'\\' {
            self.at += 1;
        }
        let name = self.table.run(self.at, 4)?;
        self.at += 4;
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    fn integer(&mut self, size: usize) -> Read<u64> {
        let value = self.table.number(self.at, size)?;
        self.at += size;
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.table.holds(depth <= DEEPEST, "values are too deep in each other")?;
        Ok(match self.byte()? {
            small @ (0x00 | 0x01) => Value::Integer(small.into()),
            0x0a => Value::Integer(self.integer(1)?),
            0x0b => Value::Integer(self.integer(2)?),
            0x0c => Value::Integer(self.integer(4)?),
            0x0e => Value::Integer(self.integer(8)?),
            0x0d => self.text()?,
            0x11 => self.buffer(depth)?,
            0x12 => {
                let end = self.package_end()?;
                let count = self.byte()?;
                let values = (0..count).map(|_| self.value(depth + 1)).collect::<Read<_>>()?;
                self.table.holds(self.at == end, "a package has another length")?;
                Value::Package(values)
            }
            code => return Err(format!("DSDT: value {code:#x} at {}", self.at)),
        })
    }

    fn text(&mut self) -> Read<Value> {
        let mut text = Vec::new();
        loop {
            match self.byte()? {
                0 => return Ok(Value::Text(String::from_utf8_lossy(&text).into_owned())),
                letter => text.push(letter),
            }
        }
    }

    fn buffer(&mut self, depth: usize) -> Read<Value> {
        let end = self.package_end()?;
        let Value::Integer(size) = self.value(depth + 1)? else { return Err("DSDT: a buffer's size".into()) };
        let bytes = self.table.run(self.at, usize::try_from(size).unwrap_or(usize::MAX))?;
        self.at += bytes.len();
        self.table.holds(self.at == end, "a buffer has another length than its package")?;
        Ok(Value::Buffer(bytes.to_vec()))
    }
}

fn resources(buffer: Bytes<'_>) -> Read<Vec<Resource>> {
    let length = |rest: Bytes<'_>| match rest.u8(0)? {
        small if small < 0x80 => Ok(1 + usize::from(small & 7)),
        _ => Ok(3 + usize::from(rest.u16(1)?)),
    };
    let parts = buffer.parts(0, length)?;
    let (last, parts) = parts.split_last().ok_or("DSDT: no resources")?;
    buffer.is("the end tag", last.1.u8(0)?, 0x79)?;
    parts.iter().map(|(_, part)| resource(*part)).collect()
}

fn resource(part: Bytes<'_>) -> Read<Resource> {
    match part.u8(0)? {
        0x88 => range(part, 2),
        0x87 => range(part, 4),
        0x8a => range(part, 8),
        0x86 => Ok(Resource::Memory32 { base: part.u32(4)?, size: part.u32(8)? }),
        0x47 => Ok(Resource::Ports { first: part.u16(2)?, size: part.u8(7)? }),
        0x89 => Ok(Resource::Interrupt { flags: part.u8(3)?, number: part.u32(5)? }),
        tag => Err(format!("DSDT: descriptor {tag:#x}")),
    }
}

/// A range whose numbers have `size` bytes.
fn range(part: Bytes<'_>, size: usize) -> Read<Resource> {
    let field = |index: usize| part.number(6 + index * size, size);
    let (first, last, translation) = (field(1)?, field(2)?, field(3)?);
    part.is("granularity", field(0)?, 0)?;
    let length = last.wrapping_sub(first).wrapping_add(1);
    part.is("length of a range", field(4)?, length)?;
    let general = part.u8(4)?;
    part.is("minimum and maximum fixed, positive decode", general & !1, 0b1100)?;
    let (kind, consumer) = (part.u8(3)?, general & 1 == 1);
    Ok(Resource::Range { bits: 8 * size as u8, kind, consumer, first, last, translation })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A header, and this behind it.
    fn read(body: &[u8]) -> Read<Vec<Device>> {
        let bytes = [&[0; 36], body].concat();
        devices(Bytes { name: "DSDT", bytes: &bytes })
    }

    #[test]
    fn devices_come_in_the_order_of_their_beginnings() {
        // Device AAAA has AAAB inside, which has a name; then comes BBBB with a method.
        #[rustfmt::skip]
        let body = [
            0x5b, 0x82, 0x12, b'A', b'A', b'A', b'A',
            0x5b, 0x82, 0x0b, b'A', b'A', b'A', b'B', 0x08, b'_', b'U', b'I', b'D', 0x01,
            0x5b, 0x82, 0x0c, b'B', b'B', b'B', b'B', 0x14, 0x06, b'_', b'O', b'S', b'C', 0x00,
        ];
        let found = read(&body).unwrap();
        let paths: Vec<_> = found.iter().map(|device| device.path.as_str()).collect();
        assert_eq!(paths, [".AAAA", ".AAAA.AAAB", ".BBBB"]);
        assert_eq!((found[0].values.len(), found[1].integer("_UID")), (0, Ok(1)));
        assert!(found[2].methods.contains("_OSC"));
        assert!(found[2].resources().is_err());
    }

    #[rstest]
    #[case::no_object(&[0xa0], "DSDT: 0xa0 at 36 in ")]
    #[case::past_the_end(&[0x10, 0x20, b'_', b'S', b'B', b'_'], "DSDT: no 32 bytes at 37")]
    #[case::past_the_scope(&[0x10, 0x06, b'_', b'S', b'B', b'_', 0x08, b'A', b'B', b'C', b'D', 0],
        "DSDT: an object reaches past 43")]
    #[case::no_value(&[0x08, b'A', b'B', b'C', b'D', 0x70], "DSDT: value 0x70 at 42")]
    #[case::long_buffer(&[0x08, b'A', b'B', b'C', b'D', 0x11, 0x03, 0x0a, 0x40], "DSDT: no 64 bytes at 45")]
    fn what_is_not_understood_is_told_with_its_place(#[case] body: &[u8], #[case] said: &str) {
        let error = read(body).map(drop).unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let mut scopes = Vec::new();
        for depth in 0..20 {
            let length = 6 + 7 * depth;
            let package = [0x40 | (length & 0xf) as u8, (length >> 4) as u8];
            let head = [&[0x10][..], &package, b"DEEP"].concat();
            scopes = [head, scopes].concat();
        }
        assert_eq!(read(&scopes).map(drop).unwrap_err(), "DSDT: objects are too deep in each other");
        let packages = [&[0x08, b'A', b'B', b'C', b'D'][..], &[0x12, 0x02, 0x01].repeat(20)].concat();
        assert_eq!(read(&packages).map(drop).unwrap_err(), "DSDT: values are too deep in each other");
    }
}
