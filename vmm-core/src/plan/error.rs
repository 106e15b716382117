//! Why there is no plan: every reason names what it is about, the field and its value.

use super::bar::SparseError;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The machine cannot be.
    #[error("machine: {field} = {value:#x}: {why}")]
    Machine {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A bridge or a window cannot be.
    #[error("{what}: {field} = {value}: {why}")]
    Topology {
        /// Which bridge or window.
        what: String,
        /// Which field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A device cannot be attached.
    #[error("{device}: refused at attach: {why}")]
    Refused {
        /// The machine's name of the device.
        device: String,
        /// Why.
        why: Refusal,
    },
    /// Something has no place.
    #[error("{name}: no place for {size:#x} bytes below {limit:#x}")]
    NoRoom {
        /// What has no place.
        name: String,
        /// Its length.
        size: u64,
        /// Where the space ends.
        limit: u64,
    },
}

/// Why a device cannot be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a CXL device, or its kernel does not show it as one.
    #[error("not a CXL device: VFIO_DEVICE_FLAGS_CXL is clear")]
    NotCxl,
    /// Nobody committed its decoder, and a guest could not do so either.
    #[error("host firmware did not commit HDM decoder 0: {0} is clear")]
    NotCommitted(&'static str),
    /// Its memory is off, and a guest's request to turn it on does not reach the hardware.
    #[error("CXL.mem is off: Mem_Enable is clear in the CXL device DVSEC{}", locked_for_good(*locked))]
    MemoryOff {
        /// It cannot be turned on by anybody either.
        locked: bool,
    },
    /// Another decoder than the first is committed, too. Only the first is moved to a window, so the guest would
    /// see the host's address in this one, or memory that is not there.
    #[error("HDM decoder {0} is committed, too: decoder 0 alone can be given a window")]
    AnotherDecoder(u64),
    /// The component registers are in a BAR that is not in memory.
    #[error("the component registers are in BAR {0}, which is no memory BAR")]
    PortBar(u8),
    /// Its memory is no multiple of what a decoder can decode.
    #[error("memory region of {0:#x} bytes: HDM decoders decode multiples of 0x10000000")]
    MemorySize(u64),
    /// Its decoder covers something else than its memory.
    #[error("HDM decoder 0 covers {decoder:#x} bytes and the memory region has {memory:#x}")]
    DecoderSize {
        /// What the decoder covers.
        decoder: u64,
        /// The region's length.
        memory: u64,
    },
    /// Its decoder interleaves.
    #[error("HDM decoder 0 interleaves (ways code {0:#x}): one device per window is all that can be done")]
    Interleaved(u8),
    /// What it says about mapping a region cannot be.
    #[error("region {region}: {error}")]
    Sparse {
        /// Which region.
        region: u32,
        /// What is wrong.
        error: SparseError,
    },
    /// It has no place in configuration space.
    #[error("there is no configuration space for its bus")]
    NoFunction,
    /// The bridge that it shall be below is not there.
    #[error("bridge = {0:?}: the machine has no such bridge")]
    NoBridge(String),
    /// Another device is below its bridge, and nothing there could tell the two apart.
    #[error("bridge = {bridge:?}: {other} is below it, and there is one endpoint below a host bridge")]
    BridgeTaken {
        /// The bridge.
        bridge: String,
        /// The device that is below it.
        other: String,
    },
    /// The machine has no windows.
    #[error("fixed_windows = false: its memory has no window")]
    WindowsOff,
    /// No window leads to its bridge.
    #[error("no window has the target {0:?}, which is its bridge")]
    NoWindow(String),
    /// Only a window that leads to other bridges, too, leads to its own.
    #[error("{window} has {targets} targets: its memory needs one that leads to its bridge alone")]
    SharedWindow {
        /// The window.
        window: String,
        /// How many bridges it leads to.
        targets: usize,
    },
    /// Several windows lead to its bridge alone.
    #[error("{first} and {second} both have the target {bridge:?} alone: which is meant, nothing says")]
    AmbiguousWindow {
        /// Its bridge.
        bridge: String,
        /// The first window.
        first: String,
        /// The second.
        second: String,
    },
    /// The machine has another device of its name.
    #[error("the machine has another device of this name")]
    NameTaken,
    /// Its window was announced for memory of another kind.
    #[error("{window}: is for memory kept coherent {}, and its memory is not", coherency(*back_invalidate))]
    OtherCoherency {
        /// The window.
        window: String,
        /// The window is for back-invalidation.
        back_invalidate: bool,
    },
    /// Its window is too short.
    #[error("{window}: size = {size:#x}: its memory has {memory:#x}")]
    SmallWindow {
        /// The window.
        window: String,
        /// Its length.
        size: u64,
        /// The memory's.
        memory: u64,
    },
}

/// How memory is kept coherent.
fn coherency(back_invalidate: bool) -> &'static str {
    if back_invalidate { "by back-invalidation" } else { "over CXL.cache" }
}

fn locked_for_good(locked: bool) -> &'static str {
    if locked { ", and CONFIG_LOCK keeps it so" } else { "" }
}
