//! What an SMMU remembers of stream table entries, context descriptors and translations.
//!
//! It forgets only what it is told to forget. So a guest that does not invalidate what it changed sees the old
//! translation, as on hardware. Refusals are not remembered. When there is no room, nothing more is.

use std::collections::BTreeMap;

use super::context::Context;
use super::context::canonical;
use super::stream::Stream;
use super::walk::Leaf;

/// The most streams and the most translations that are remembered.
pub(super) const MOST: usize = 256;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cache {
    streams: BTreeMap<u32, Stream>,
    contexts: BTreeMap<u32, Context>,
    translations: Vec<(u16, Leaf)>,
}

impl Cache {
    pub(super) fn stream(&self, stream: u32) -> Option<Stream> {
        self.streams.get(&stream).copied()
    }

    pub(super) fn context(&self, stream: u32) -> Option<Context> {
        self.contexts.get(&stream).copied()
    }

    /// The translation of an address in an address space.
    pub(super) fn translation(&self, asid: u16, address: u64) -> Option<Leaf> {
        let found = self.translations.iter().find(|(of, leaf)| {
            let is_here = leaf.first <= address && address <= leaf.last;
            is_here && (leaf.global || *of == asid)
        });
        found.map(|(_, leaf)| *leaf)
    }

    pub(super) fn keep_stream(&mut self, stream: u32, entry: Stream) {
        if self.streams.len() < MOST {
            self.streams.insert(stream, entry);
        }
    }

    pub(super) fn keep_context(&mut self, stream: u32, context: Context) {
        if self.contexts.len() < MOST {
            self.contexts.insert(stream, context);
        }
    }

    pub(super) fn keep_translation(&mut self, asid: u16, leaf: Leaf) {
        if self.translations.len() < MOST {
            self.translations.push((asid, leaf));
        }
    }

    /// Forgets the configuration of streams, both included.
    pub(super) fn forget_streams(&mut self, first: u32, last: u32) {
        let stays = |stream: &u32| *stream < first || *stream > last;
        self.streams.retain(|stream, _| stays(stream));
        self.contexts.retain(|stream, _| stays(stream));
    }

    /// Forgets the context descriptor of a stream.
    pub(super) fn forget_context(&mut self, stream: u32) {
        self.contexts.remove(&stream);
    }

    /// Forgets all translations.
    pub(super) fn forget_translations(&mut self) {
        self.translations.clear();
    }

    /// Forgets the translations of an address space, but for global ones.
    pub(super) fn forget_asid(&mut self, asid: u16) {
        self.translations.retain(|(of, leaf)| leaf.global || *of != asid);
    }

    /// Forgets the translations of an address: global ones, and those of one address space or of all.
    pub(super) fn forget_address(&mut self, asid: Option<u16>, address: u64) {
        let address = canonical(address);
        self.translations.retain(|(of, leaf)| {
            let is_here = leaf.first <= address && address <= leaf.last;
            let is_meant = leaf.global || asid.is_none_or(|asid| asid == *of);
            !(is_here && is_meant)
        });
    }
}
