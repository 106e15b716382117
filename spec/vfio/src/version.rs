//! The text of `VERSION`: a JSON object of capabilities with a final NUL.
//!
//! What one side states is what it can *receive*. Every key is optional and has the protocol's default; unknown
//! keys are ignored.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::Serialize;

use crate::malformed::Malformed;

/// The major version that is spoken.
pub const MAJOR: u16 = 0;

/// The highest minor version that is spoken. QEMU offers 0 and refuses any other answer.
pub const MINOR: u16 = 1;

/// File descriptors in one message, unless stated otherwise.
pub const DEFAULT_MAX_MSG_FDS: u32 = 1;

/// Bytes of data in one message, unless stated otherwise.
pub const DEFAULT_MAX_DATA_XFER_SIZE: u32 = 1 << 20;

/// What a side can receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// File descriptors in one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_msg_fds: Option<u32>,
    /// Bytes of data in one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_data_xfer_size: Option<u32>,
    /// DMA mappings at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_dma_maps: Option<u32>,
    /// Page sizes of DMA mappings, as a mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgsizes: Option<u64>,
    /// Understands `REGION_WRITE_MULTI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_multiple: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(default)]
    capabilities: Capabilities,
}

impl Capabilities {
    /// The capabilities that a `VERSION` text states. An empty text states the defaults.
    ///
    /// # Errors
    /// If the text has no final NUL or is no JSON object of this shape.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let malformed = Malformed::Text { what: "VERSION" };
        let json = text.strip_suffix(&[0]).ok_or(malformed)?;
        serde_json::from_slice(json).map(|text: Text| text.capabilities).map_err(|_| malformed)
    }

    /// The text that states these capabilities, with its NUL.
    pub fn encode(&self) -> Vec<u8> {
        // Serialising a structure of numbers cannot fail; if it did, an empty object states the defaults.
        let text = Text { capabilities: self.clone() };
        let json = serde_json::to_string(&text).unwrap_or_else(|_| String::from("{}"));
        let mut bytes = json.into_bytes();
        bytes.push(0);
        bytes
    }

    /// The same, without the keys that `other` does not have: an answer that is no longer than the question.
    #[must_use]
    pub fn limited_to_keys_of(&self, other: &Self) -> Self {
        Self {
            max_msg_fds: self.max_msg_fds.filter(|_| other.max_msg_fds.is_some()),
            max_data_xfer_size: self.max_data_xfer_size.filter(|_| other.max_data_xfer_size.is_some()),
            max_dma_maps: self.max_dma_maps.filter(|_| other.max_dma_maps.is_some()),
            pgsizes: self.pgsizes.filter(|_| other.pgsizes.is_some()),
            write_multiple: self.write_multiple.filter(|_| other.write_multiple.is_some()),
        }
    }

    /// File descriptors in one message.
    pub fn msg_fds(&self) -> u32 {
        self.max_msg_fds.unwrap_or(DEFAULT_MAX_MSG_FDS)
    }

    /// Bytes of data in one message.
    pub fn data_xfer_size(&self) -> u32 {
        self.max_data_xfer_size.unwrap_or(DEFAULT_MAX_DATA_XFER_SIZE)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What QEMU 11.1.3 sends, as seen on the wire.
    const QEMU: &[u8] = b"{\"capabilities\":{\"pgsizes\":4096,\"max_msg_fds\":16,\"max_dma_maps\":65535,\
        \"max_data_xfer_size\":1048576,\"migration\":{\"max_bitmap_size\":268435456,\"pgsize\":4096},\
        \"write_multiple\":true}}\0";

    #[test]
    fn what_qemu_sends_is_understood() {
        let capabilities = Capabilities::parse(QEMU).unwrap();
        assert_eq!(capabilities.msg_fds(), 16);
        assert_eq!(capabilities.data_xfer_size(), 1 << 20);
        assert_eq!(capabilities.max_dma_maps, Some(65535));
        assert_eq!(capabilities.write_multiple, Some(true));
    }

    #[test]
    fn an_answer_limited_to_the_keys_of_qemu_is_no_longer_than_its_question() {
        let all = Capabilities {
            max_msg_fds: Some(16),
            max_data_xfer_size: Some(1 << 20),
            max_dma_maps: Some(65535),
            pgsizes: Some(4096),
            write_multiple: Some(false),
        };
        let answer = all.limited_to_keys_of(&Capabilities::parse(QEMU).unwrap());
        assert_eq!(answer, all);
        assert!(answer.encode().len() <= QEMU.len());
    }

    #[test]
    fn an_empty_text_states_the_defaults() {
        let capabilities = Capabilities::parse(b"").unwrap();
        assert_eq!((capabilities.msg_fds(), capabilities.data_xfer_size()), (1, 1 << 20));
    }

    #[test]
    fn an_object_without_capabilities_states_the_defaults() {
        assert_eq!(Capabilities::parse(b"{}\0"), Ok(Capabilities::default()));
    }

    #[rstest]
    #[case::no_final_nul(b"{}")]
    #[case::no_json(b"hello\0")]
    #[case::no_object(b"[]\0 ")]
    #[case::a_negative_number(b"{\"capabilities\":{\"max_msg_fds\":-1}}\0")]
    #[case::a_text_for_a_number(b"{\"capabilities\":{\"max_msg_fds\":\"16\"}}\0")]
    #[case::two_nuls(b"{}\0\0")]
    fn a_text_that_is_not_what_it_must_be_is_malformed(#[case] text: &[u8]) {
        assert_eq!(Capabilities::parse(text), Err(Malformed::Text { what: "VERSION" }));
    }

    #[test]
    fn what_is_encoded_parses_back() {
        let some = Capabilities { max_msg_fds: Some(3), ..Capabilities::default() };
        assert_eq!(some.encode(), b"{\"capabilities\":{\"max_msg_fds\":3}}\0");
        assert_eq!(Capabilities::parse(&some.encode()), Ok(some));
    }
}
