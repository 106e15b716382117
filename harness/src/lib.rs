//! The harness: the only crate that knows both sides, the device and the VMM core.
//!
//! ```text
//!  scenario file ─▶ scenario ─▶ world { device processes ◀─ vfio-user ─▶ VMM core } ─▶ step by step ─▶ report
//! ```
//!
//! - [`scenario`]: what a file says, and where files are.
//! - [`requires`]: what a scenario needs that may not be there.
//! - [`process`], [`host`] and [`world`]: devices, each a process that a scenario can kill; the machine that they are
//!   attached to.
//! - [`reach`]: where devices come from, and the connection to one.
//! - [`lent`]: scenarios to which their device is lent, each run by another process.
//! - [`fused`]: a device whose calls can be made to fail; [`within`]: one that is served in this thread.
//! - [`fixture`]: a device for the tests of somebody else's VMM.
//! - [`opened`]: devices that are open, for a scenario without a machine.
//! - [`likeness`]: what a device is like: as a profile, and compared with another.
//! - [`acpi`]: what the tables in guest memory say.
//! - [`step`] and [`runner`]: what is done, and whether what was seen is what must be seen.
//! - [`trace`]: what is said to devices, in words; [`report`]: what a run has to say.
//! - [`mod@bench`]: how fast it is, against something else in the same run.
//! - [`mod@doctor`]: what this machine can do, and what is missing.
//! - [`mod@soak`]: many lives of machines, with accidents, and what is left of each.
//! - [`replay`]: what is fuzzed; [`refind`]: defects that are put back, and found by what is fuzzed.
//! - [`cli`]: the command `cxl-sim`.

pub mod acpi;
pub mod bench;
pub mod cli;
pub mod doctor;
pub mod fixture;
pub mod fused;
pub mod host;
pub mod lent;
pub mod likeness;
pub mod opened;
pub mod process;
pub mod reach;
pub mod refind;
pub mod replay;
pub mod report;
pub mod requires;
pub mod runner;
pub mod scenario;
pub mod soak;
pub mod step;
pub mod trace;
pub mod within;
pub mod world;
