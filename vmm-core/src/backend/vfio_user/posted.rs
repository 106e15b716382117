//! Writes to BARs that no answer is waited for, as memory writes are posted on a bus.
//!
//! Such a write costs one send and no round trip. The stream keeps the order: whatever is asked behind it is
//! answered after it was carried out. What a client gives up for it:
//!
//! - **A refusal is not seen.** The server may not answer, so it can only count. A server that is gone is noticed at
//!   the next call that has an answer.
//! - **Memory that is mapped is another way.** An access to it can overtake a write that is still in the socket.
//!   QEMU posts nothing where any region of a device can be mapped, for that reason.
//!
//! Devices here have memory that is mapped, so this is off unless somebody asks for it. Configuration space and
//! component registers are always answered.

use vfio_abi::info::region;
use vfio_abi::request::Request;

use super::VfioUser;
use super::access;
use super::lost_earlier;
use crate::backend::BackendError;
use crate::backend::Call;
use crate::backend::Failure;

impl VfioUser {
    /// The same connection, whose writes to BARs are posted.
    #[must_use]
    pub fn posting(mut self) -> Self {
        self.posts = true;
        self
    }

    /// Whether a write to a region is one that is posted.
    pub(super) fn is_posted(&self, region: u32) -> bool {
        self.posts && region <= region::BAR5
    }

    /// Sends a write and waits for nothing.
    pub(super) fn post(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        let mut at = offset;
        for piece in data.chunks(self.max_data.max(1)) {
            let call = Call::Write { region, offset: at, count: piece.len() };
            let request = Request::RegionWrite(access(region, at, piece.len()), piece);
            let link = match &mut self.link {
                Ok(link) => link,
                Err(lost) => {
                    let reason = lost_earlier(lost);
                    return Err(self.error(call, Failure::Lost(reason)));
                }
            };
            if let Err(wrong) = link.post(&request) {
                return Err(self.give_up(call, wrong.to_string()));
            }
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(())
    }
}
