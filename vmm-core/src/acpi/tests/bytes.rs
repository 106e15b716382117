//! Reading tables: numbers at offsets, runs of parts with a length, and how a wrong one is told.

/// What is read, or what is wrong.
pub(super) type Read<T> = Result<T, String>;

/// The bytes of something with a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn run(self, at: usize, length: usize) -> Read<&'a [u8]> {
        let run = self.bytes.get(at..).and_then(|rest| rest.get(..length));
        run.ok_or_else(|| format!("{}: no {length} bytes at {at}", self.name))
    }

    fn number<const N: usize>(self, at: usize) -> Read<[u8; N]> {
        Ok(self.run(at, N)?.try_into().unwrap())
    }

    pub(super) fn u8(self, at: usize) -> Read<u8> {
        self.number(at).map(u8::from_le_bytes)
    }

    pub(super) fn u16(self, at: usize) -> Read<u16> {
        self.number(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Read<u32> {
        self.number(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(self, at: usize) -> Read<u64> {
        self.number(at).map(u64::from_le_bytes)
    }

    /// What is at these offsets is 0.
    pub(super) fn zero(self, at: usize, length: usize) -> Read<()> {
        let run = self.run(at, length)?;
        self.holds(run.iter().all(|byte| *byte == 0), &format!("reserved bytes at {at}"))
    }

    pub(super) fn is<T: PartialEq + std::fmt::LowerHex>(self, what: &str, seen: T, must: T) -> Read<()> {
        self.holds(seen == must, &format!("{what} is {seen:#x}, not {must:#x}"))
    }

    pub(super) fn holds(self, holds: bool, what: &str) -> Read<()> {
        if holds { Ok(()) } else { Err(format!("{}: {what}", self.name)) }
    }

    /// The parts from `at` to the end; `length` says how long the one is that begins there.
    pub(super) fn parts(
        self,
        mut at: usize,
        length: impl Fn(Self) -> Read<usize>,
    ) -> Read<Vec<(usize, Self)>> {
        let mut parts = Vec::new();
        while at < self.bytes.len() {
            let rest = Bytes { bytes: &self.bytes[at..], ..self };
            let length = length(rest)?;
            self.holds(length > 0, &format!("a part without length at {at}"))?;
            parts.push((at, Bytes { bytes: rest.run(0, length)?, ..self }));
            at += length;
        }
        Ok(parts)
    }
}

/// The sum of bytes, as checksums have it.
pub(super) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
