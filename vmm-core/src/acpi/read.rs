//! Reading tables as a guest does: numbers at offsets, runs of parts with a length, and how a wrong one is told.
//!
//! It shares nothing with what makes the tables, so that the one can judge the other. [`aml`] reads the DSDT.

pub mod aml;

/// What is read, or what is wrong.
pub type Read<T> = Result<T, String>;

/// The bytes of something with a name.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    /// What it is called where it is wrong.
    pub name: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// So many bytes from `at`.
    ///
    /// # Errors
    /// If there are not so many.
    pub fn run(self, at: usize, length: usize) -> Read<&'a [u8]> {
        let run = self.bytes.get(at..).and_then(|rest| rest.get(..length));
        run.ok_or_else(|| format!("{}: no {length} bytes at {at}", self.name))
    }

    /// The number of so many bytes at `at`, at most eight.
    ///
    /// # Errors
    /// If there are not so many.
    pub fn number(self, at: usize, length: usize) -> Read<u64> {
        Ok(self.run(at, length)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A byte.
    ///
    /// # Errors
    /// If there is none.
    pub fn u8(self, at: usize) -> Read<u8> {
        Ok(self.number(at, 1)? as u8)
    }

    /// A word.
    ///
    /// # Errors
    /// If there is none.
    pub fn u16(self, at: usize) -> Read<u16> {
        Ok(self.number(at, 2)? as u16)
    }

    /// A dword.
    ///
    /// # Errors
    /// If there is none.
    pub fn u32(self, at: usize) -> Read<u32> {
        Ok(self.number(at, 4)? as u32)
    }

    /// A qword.
    ///
    /// # Errors
    /// If there is none.
    pub fn u64(self, at: usize) -> Read<u64> {
        self.number(at, 8)
    }

    /// What is at these offsets is 0.
    ///
    /// # Errors
    /// If it is not.
    pub fn zero(self, at: usize, length: usize) -> Read<()> {
        let run = self.run(at, length)?;
        self.holds(run.iter().all(|byte| *byte == 0), &format!("reserved bytes at {at}"))
    }

    /// A value is the one that it must be.
    ///
    /// # Errors
    /// If it is not.
    pub fn is<T: PartialEq + std::fmt::LowerHex>(self, what: &str, seen: T, must: T) -> Read<()> {
        self.holds(seen == must, &format!("{what} is {seen:#x}, not {must:#x}"))
    }

    /// Something holds.
    ///
    /// # Errors
    /// If it does not: this.
    pub fn holds(self, holds: bool, what: &str) -> Read<()> {
        if holds { Ok(()) } else { Err(format!("{}: {what}", self.name)) }
    }

    /// The parts from `at` to the end, with their offsets; `length` says how long the one is that begins there.
    ///
    /// # Errors
    /// If a part has no length or passes the end.
    pub fn parts(self, mut at: usize, length: impl Fn(Self) -> Read<usize>) -> Read<Vec<(usize, Self)>> {
        let mut parts = Vec::new();
        while at < self.bytes.len() {
            let rest = Self { bytes: self.run(at, self.bytes.len().saturating_sub(at))?, ..self };
            let length = length(rest)?;
            self.holds(length > 0, &format!("a part without length at {at}"))?;
            parts.push((at, Self { bytes: rest.run(0, length)?, ..self }));
            at = at.saturating_add(length);
        }
        Ok(parts)
    }
}

/// The sum of bytes, as checksums have it.
pub fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
