//! What a client may make the server hold. The client is told of it where vfio-user has a word for it.
//!
//! | what                          | bound                                                    | the client is told as |
//! |-------------------------------|----------------------------------------------------------|-----------------------|
//! | ranges that it maps           | [`Limits::dma_maps`]                                     | `max_dma_maps`        |
//! | files behind them             | [`Limits::dma_files`]; one behind many ranges counts once|                       |
//! | bytes of data in one message  | [`Limits::data`]                                         | `max_data_xfer_size`  |
//! | files with one message        | 16, as many as one receive takes                         | `max_msg_fds`         |
//! | interrupts that it attaches   | as many as the device has                                | the interrupts' info  |
//! | a copy of the device's engine | what the engine takes at once                            |                       |
//!
//! There is one buffer for what comes, one for an answer, one for the data of a read and one for a copy.

use vfio_abi::version;

/// What one client may make the server hold. A limit outside of what can be is taken as the nearest that can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ranges that it maps, from 1 to [`MAX_DMA_MAPS`](Self::MAX_DMA_MAPS).
    pub dma_maps: u32,
    /// Files behind these ranges.
    pub dma_files: u32,
    /// Bytes of data in one message, from [`MIN_DATA`](Self::MIN_DATA) to [`MAX_DATA`](Self::MAX_DATA).
    pub data: u32,
}

impl Limits {
    /// The most ranges: there is a client that takes no larger number for an answer.
    pub const MAX_DMA_MAPS: u32 = 65535;

    /// The least bytes of data: the longest message without data must fit.
    pub const MIN_DATA: u32 = 4096;

    /// The most bytes of data: what a client expects who is told nothing.
    pub const MAX_DATA: u32 = version::DEFAULT_MAX_DATA_XFER_SIZE;

    /// The nearest limits that can be.
    #[must_use]
    pub(super) fn possible(self) -> Self {
        Self {
            dma_maps: self.dma_maps.clamp(1, Self::MAX_DMA_MAPS),
            data: self.data.clamp(Self::MIN_DATA, Self::MAX_DATA),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { dma_maps: Self::MAX_DMA_MAPS, dma_files: 256, data: Self::MAX_DATA }
    }
}
