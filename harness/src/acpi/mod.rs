//! What the ACPI tables in guest memory say, as a guest finds and reads them.
//!
//! ```text
//!  root pointer ─▶ XSDT ─▶ table ─▶ signature, length, checksum ─▶ layout ─▶ structures with named fields
//!   [`memory`]              └─▶ FADT ─▶ DSDT                       [`layout`]  [`decode`], [`devices`]
//! ```
//!
//! Layouts are typed from the specifications. Nothing here knows how the tables were made.

pub mod decode;
pub mod devices;
pub mod layout;
pub mod memory;

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// The names of the bits that are set, or of things that are there.
    Names(Vec<String>),
    /// Numbers.
    Numbers(Vec<u64>),
    /// Structures.
    Structures(Vec<Structure>),
}

/// A structure of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// What it is called in scenarios.
    pub name: String,
    /// Its fields.
    pub fields: Vec<(String, Seen)>,
}

impl Structure {
    /// What a field says.
    pub fn field(&self, name: &str) -> Option<&Seen> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, seen)| seen)
    }
}
