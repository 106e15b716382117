//! The devices of a DSDT: their names with values, and which methods they have. Only what the DSDT uses.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::bytes::Bytes;
use super::bytes::Read;

/// The value of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Integer(u64),
    Text(String),
    Buffer(Vec<u8>),
    Package(Vec<Value>),
}

/// A device.
#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    pub(super) path: String,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) methods: BTreeSet<String>,
}

/// A descriptor of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Range { bits: u8, kind: u8, consumer: bool, first: u64, last: u64, translation: u64 },
    Memory32 { base: u32, size: u32 },
    Ports { first: u16, size: u8 },
    Interrupt { flags: u8, number: u32 },
}

pub(super) const MEMORY: u8 = 0;
pub(super) const IO: u8 = 1;
pub(super) const BUS: u8 = 2;

impl Device {
    pub(super) fn integer(&self, name: &str) -> Read<u64> {
        match self.values.get(name) {
            Some(Value::Integer(value)) => Ok(*value),
            other => Err(format!("DSDT: {}.{name} is {other:?}", self.path)),
        }
    }

    pub(super) fn is_called(&self, hid: &Value) -> bool {
        self.values.get("_HID") == Some(hid)
    }

    pub(super) fn resources(&self) -> Read<Vec<Resource>> {
        match self.values.get("_CRS") {
            Some(Value::Buffer(bytes)) => resources(Bytes { name: "DSDT", bytes }),
            other => Err(format!("DSDT: {}._CRS is {other:?}", self.path)),
        }
    }
}

/// All devices of a table, which has its objects in scopes and devices.
pub(super) fn devices(table: Bytes<'_>) -> Read<Vec<Device>> {
    let mut found = vec![Device::default()];
    let mut reader = Reader { table, at: 36, found: &mut found };
    reader.objects(table.bytes.len(), 0)?;
    Ok(found.split_off(1))
}

struct Reader<'a, 'b> {
    table: Bytes<'a>,
    at: usize,
    found: &'b mut Vec<Device>,
}

impl Reader<'_, '_> {
    fn byte(&mut self) -> Read<u8> {
        self.at += 1;
        self.table.u8(self.at - 1)
    }

    /// The objects up to `end`, of device number `owner`.
    fn objects(&mut self, end: usize, owner: usize) -> Read<()> {
        while self.at < end {
            let path = self.found[owner].path.clone();
            match self.byte()? {
                0x08 => {
                    let name = self.name()?;
                    let value = self.value()?;
                    self.found[owner].values.insert(name, value);
                }
                0x10 => {
                    let end = self.package_end()?;
                    self.name()?;
                    self.objects(end, owner)?;
                }
                0x14 => {
                    let end = self.package_end()?;
                    let name = self.name()?;
                    self.found[owner].methods.insert(name);
                    self.at = end;
                }
                0x5b if self.table.u8(self.at)? == 0x82 => {
                    self.at += 1;
                    let end = self.package_end()?;
                    let path = format!("{path}.{}", self.name()?);
                    let one = self.found.len();
                    self.found.push(Device { path, ..Device::default() });
                    self.objects(end, one)?;
                }
                code => return Err(format!("DSDT: {code:#x} at {} in {path}", self.at - 1)),
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
        let bytes = self.table.run(self.at, size)?;
        self.at += size;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn value(&mut self) -> Read<Value> {
        Ok(match self.byte()? {
            small @ (0x00 | 0x01) => Value::Integer(small.into()),
            0x0a => Value::Integer(self.integer(1)?),
            0x0b => Value::Integer(self.integer(2)?),
            0x0c => Value::Integer(self.integer(4)?),
            0x0e => Value::Integer(self.integer(8)?),
            0x0d => {
                let mut text = Vec::new();
                loop {
                    match self.byte()? {
                        0 => break Value::Text(String::from_utf8_lossy(&text).into_owned()),
                        letter => text.push(letter),
                    }
                }
            }
            0x11 => {
                let end = self.package_end()?;
                let Value::Integer(size) = self.value()? else { return Err("DSDT: a buffer's size".into()) };
                let bytes = self.table.run(self.at, size as usize)?;
                self.at += bytes.len();
                self.table.holds(self.at == end, "a buffer has another length than its package")?;
                Value::Buffer(bytes.to_vec())
            }
            0x12 => {
                let end = self.package_end()?;
                let count = self.byte()?;
                let values = (0..count).map(|_| self.value()).collect::<Read<_>>()?;
                self.table.holds(self.at == end, "a package has another length")?;
                Value::Package(values)
            }
            code => return Err(format!("DSDT: value {code:#x} at {}", self.at - 1)),
        })
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
    let tag = part.u8(0)?;
    let size = match tag {
        0x88 => 2,
        0x87 => 4,
        0x8a => 8,
        0x86 => return Ok(Resource::Memory32 { base: part.u32(4)?, size: part.u32(8)? }),
        0x47 => return Ok(Resource::Ports { first: part.u16(2)?, size: part.u8(7)? }),
        0x89 => return Ok(Resource::Interrupt { flags: part.u8(3)?, number: part.u32(5)? }),
        tag => return Err(format!("DSDT: descriptor {tag:#x}")),
    };
    let field = |index: usize| {
        let bytes = part.run(6 + index * size, size)?;
        Read::Ok(bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let (first, last, translation) = (field(1)?, field(2)?, field(3)?);
    part.is("granularity", field(0)?, 0)?;
    part.is("length of a range", field(4)?, last - first + 1)?;
    let general = part.u8(4)?;
    part.is("minimum and maximum fixed, positive decode", general & !1, 0b1100)?;
    let (kind, consumer) = (part.u8(3)?, general & 1 == 1);
    Ok(Resource::Range { bits: 8 * size as u8, kind, consumer, first, last, translation })
}
