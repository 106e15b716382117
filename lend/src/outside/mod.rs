//! How the calls of a program get to the desk.
//!
//! ```text
//!  supervisor ── starts ──▶ this program again: enter
//!   desk                      private namespaces, our entries in /dev and /sys   (stage, tree)
//!   │                         the filter                                        (filter, seccomp)
//!   │ ◀── the filter's listener ──┤
//!   │                             └ becomes COMMAND
//!   └ answers what COMMAND and all that it starts ask, until COMMAND ends (supervise, answer, thread, files)
//! ```

mod answer;
mod enter;
mod files;
mod filter;
mod seccomp;
mod stage;
mod supervise;
mod thread;
mod tree;

use std::fmt;
use std::io;
use std::str::FromStr;

use sim_device::kernel::Abi;
use sim_device::kernel::BindError;
use sim_device::profile::Checked;
use vfio_abi::errno::Errno;

pub use enter::enter;
pub use supervise::exit_code;
pub use supervise::supervise;

/// The address of a device on the bus: domain, bus, device and function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bdf(String);

impl fmt::Display for Bdf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for Bdf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lengths: Vec<_> = text.split([':', '.']).map(str::len).collect();
        let separators: String = text.chars().filter(|letter| matches!(letter, ':' | '.')).collect();
        let is_hex = |letter: char| matches!(letter, '0'..='9' | 'a'..='f');
        let numbers = text.split([':', '.']).all(|part| part.chars().all(is_hex));
        let device = text.split([':', '.']).nth(2).and_then(|part| u8::from_str_radix(part, 16).ok());
        let function = text.split('.').nth(1).and_then(|part| part.parse::<u8>().ok());
        let is_one = lengths == [4, 2, 2, 1] && separators == "::." && numbers;
        if is_one && device.is_some_and(|device| device < 32) && function.is_some_and(|function| function < 8)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text} is no address of a device: it is as 0000:c1:00.0 is"))
        }
    }
}

/// What is lent, and under which names.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which device to be.
    pub profile: Checked,
    /// The kernel that shows it.
    pub abi: &'static Abi,
    /// Its address.
    pub bdf: Bdf,
    /// The number of its group.
    pub group: u32,
    /// The number of its own node.
    pub index: u32,
}

/// Why nothing was lent.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// The machine has such a device itself.
    #[error("{0} is a device of this machine")]
    Taken(Bdf),
    /// A region would not fit into the file that all of them are in.
    #[error("the device has {0:#x} bytes of memory, and a region of a VFIO device ends before 2^40")]
    TooLarge(u64),
    /// The kernel does not bind.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// The program could not be started, which it has said itself.
    #[error("the program was not started")]
    NotStarted,
}

impl LendError {
    /// An error of the system with what was tried.
    fn at(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::System { what, error }
    }
}

/// A number for a group that no group of the machine has.
pub fn free_group() -> u32 {
    behind_all("/sys/kernel/iommu_groups", "")
}

/// A number for a device's own node that none of the machine has.
pub fn free_index() -> u32 {
    behind_all("/sys/class/vfio-dev", "vfio")
}

/// A number greater than all that entries of a folder have behind a prefix.
fn behind_all(folder: &str, prefix: &str) -> u32 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = names.filter_map(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
    numbers.max().map_or(0, |greatest| greatest.saturating_add(1))
}

/// The system's number as the desk's.
fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0000:c1:00.0", true)]
    #[case("ffff:ff:1f.7", true)]
    #[case("0000:c1:20.0", false)]
    #[case("0000:c1:00.8", false)]
    #[case("0000:C1:00.0", false)]
    #[case("c1:00.0", false)]
    #[case("0000.c1:00:0", false)]
    #[case("0000:c1:00.0/..", false)]
    #[case("", false)]
    fn an_address_has_four_parts_in_small_hex_digits(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(text.parse::<Bdf>().is_ok(), is_one);
    }
}
