//! Defects of VMMs that are on record, each of which a machine can have on purpose.
//!
//! A machine has none of them unless somebody says so. They are there to see that what looks for them finds them: a
//! check that passes with its defect put back checks nothing.

/// A mistake that a VMM once made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A device that host firmware did not commit is taken, and its memory is nowhere. QEMU, as the series was first
    /// posted in May 2026: nobody could program the decoder of such a device any more.
    UncommittedTaken,
    /// The second MMIO range of `virt` is too short for a large BAR. QEMU, the backport of June 2026. That its size was
    /// wrong is on record, and by how much is not: here it is 64 GiB.
    ShortSecondMmio,
    /// What is skipped is skipped when it would be mapped, and unmapped all the same. QEMU, June 2026, where a flag of
    /// a region was asked for on one of the two ways.
    UnmapsWhatItSkipped,
    /// A device that comes and does not fit ends the machine. QEMU, July 2026, where the way of a device that is there
    /// from the start was taken, and that ends the process.
    EndsOverARefusedDevice,
    /// A second endpoint below a host bridge is taken, and given the window that the first has. QEMU, July 2026, before
    /// reviewers asked that it be rejected.
    SecondEndpointTaken,
    /// Every device is given the first window, whichever leads to it. QEMU until July 2026: there was one base for
    /// all.
    FirstWindowForAll,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::UncommittedTaken,
        Self::ShortSecondMmio,
        Self::UnmapsWhatItSkipped,
        Self::EndsOverARefusedDevice,
        Self::SecondEndpointTaken,
        Self::FirstWindowForAll,
    ];

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::UncommittedTaken => "uncommitted-taken",
            Self::ShortSecondMmio => "short-second-mmio",
            Self::UnmapsWhatItSkipped => "unmaps-what-it-skipped",
            Self::EndsOverARefusedDevice => "ends-over-a-refused-device",
            Self::SecondEndpointTaken => "second-endpoint-taken",
            Self::FirstWindowForAll => "first-window-for-all",
        }
    }
}

#[cfg(test)]
mod tests;
