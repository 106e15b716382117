//! Reading the capability array and the decoders, a dword at a time, wherever they are.

use cxl_spec::component::array;
use cxl_spec::component::hdm;

use super::DiscoverError;
use super::Here;
use super::cxl::Component;
use super::cxl::Decoder;
use super::cxl::Rest;
use crate::backend::Shared;

/// A part of a region in which registers are.
#[derive(Clone, Copy)]
pub(super) struct Registers<'a> {
    pub(super) backend: &'a Shared,
    pub(super) here: &'a Here<'a>,
    /// Which region.
    pub(super) region: u32,
    /// Where the part begins in it.
    pub(super) start: u64,
    /// Length of the part.
    pub(super) size: u64,
}

impl Registers<'_> {
    /// The dword at an offset of the part.
    pub(super) fn dword(&self, offset: u64) -> Result<u32, DiscoverError> {
        Ok(self.backend.read_dword(self.region, self.start.saturating_add(offset))?)
    }

    /// Whether `length` bytes from `offset` are in the part.
    fn holds(&self, offset: u64, length: u64) -> bool {
        self.size.checked_sub(offset).is_some_and(|left| length <= left)
    }

    /// The capability array, with which the part begins.
    pub(super) fn capability_array(&self) -> Result<Vec<Component>, DiscoverError> {
        let header = array::Header::new(self.dword(0)?);
        if header.id() != array::id::ARRAY {
            let why = "unexpected capability array id: a dead device reads all ones";
            return Err(self.here.impossible("CXL capability header", header.raw().into(), why));
        }
        let mut list = Vec::new();
        for index in 1..=header.entries() {
            let at = array::entry_offset(index);
            if !self.holds(at, 4) {
                let why = "the capability array does not fit the component register region";
                let field = "entries of the capability array";
                return Err(self.here.impossible(field, header.entries().into(), why));
            }
            let entry = array::Entry::new(self.dword(at)?);
            list.push(Component {
                id: entry.id(),
                version: entry.version().value(),
                offset: entry.pointer().value().into(),
            });
        }
        Ok(list)
    }

    /// Offset of the HDM decoder capability in the part, by the capability array.
    pub(super) fn hdm_pointer(&self, capabilities: &[Component]) -> Result<u64, DiscoverError> {
        let entry = capabilities.iter().find(|entry| entry.id == array::id::HDM_DECODER);
        let missing = "the capability array has no HDM decoder capability (id 5)";
        let pointer = entry.ok_or_else(|| self.here.missing(missing))?.offset;
        if !pointer.is_multiple_of(4) || !self.holds(pointer, hdm::length(1)) {
            let why = "the HDM decoder capability does not fit the component register region";
            return Err(self.here.impossible("pointer to the HDM decoder capability", pointer, why));
        }
        Ok(pointer)
    }

    /// The HDM decoder capability at an offset of the part: what it can do, and its decoders.
    pub(super) fn hdm(&self, at: u64) -> Result<(hdm::Capability, Vec<Decoder>), DiscoverError> {
        if !self.holds(at, hdm::length(1)) {
            let why = "the HDM decoder capability does not fit the component register region";
            return Err(self.here.impossible("size of the component register region", self.size, why));
        }
        let capability = hdm::Capability::new(self.dword(at.saturating_add(hdm::CAPABILITY))?);
        let code = capability.decoder_count();
        let impossible = |why| self.here.impossible("HDM decoder count code", code.value().into(), why);
        let count =
            hdm::DecoderCount::from_code(code).ok_or_else(|| impossible("the code is reserved"))?.number();
        if !self.holds(at, hdm::length(count)) {
            return Err(impossible("so many decoders do not fit the component register region"));
        }
        let decoders = (0..count).map(|index| self.decoder(at.saturating_add(hdm::decoder_offset(index))));
        Ok((capability, decoders.collect::<Result<_, _>>()?))
    }

    /// What the HDM decoder capability at an offset of the part, with so many decoders, shows beside those.
    pub(super) fn rest(
        &self,
        at: u64,
        capability: hdm::Capability,
        count: usize,
    ) -> Result<Rest, DiscoverError> {
        let register = |offset: u64| self.dword(at.saturating_add(offset));
        let decoders = (0..u8::MAX).take(count).map(hdm::decoder_offset);
        let skips = decoders.map(|decoder| {
            Ok(hdm::join(register(decoder + hdm::SKIP_LOW)?, register(decoder + hdm::SKIP_HIGH)?))
        });
        Ok(Rest {
            capability,
            global: hdm::GlobalControl::new(register(hdm::GLOBAL_CONTROL)?),
            skips: skips.collect::<Result<_, DiscoverError>>()?,
        })
    }

    fn decoder(&self, at: u64) -> Result<Decoder, DiscoverError> {
        let register = |offset: u64| self.dword(at.saturating_add(offset));
        Ok(Decoder {
            base: hdm::join(register(hdm::BASE_LOW)?, register(hdm::BASE_HIGH)?),
            size: hdm::join(register(hdm::SIZE_LOW)?, register(hdm::SIZE_HIGH)?),
            control: hdm::Control::new(register(hdm::CONTROL)?),
        })
    }
}
