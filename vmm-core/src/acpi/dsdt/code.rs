//! Encoded AML that is put into something larger.

use acpi_tables::Aml;
use acpi_tables::AmlSink;

/// A run of AML.
#[derive(Debug, Default)]
pub(super) struct Code(Vec<u8>);

impl Code {
    /// One object.
    pub(super) fn of(object: &dyn Aml) -> Self {
        let mut code = Self::default();
        code.add(object);
        code
    }

    /// Puts an object behind what is there.
    pub(super) fn add(&mut self, object: &dyn Aml) {
        object.to_aml_bytes(&mut self.0);
    }
}

impl Aml for Code {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}
