//! `_DSM` of a host bridge: may the guest move what firmware has placed?
//!
//! Function 5 answers 0: it may not. Where it may, there would be no function, and so there is no method.

use acpi_tables::aml::Arg;
use acpi_tables::aml::BufferData;
use acpi_tables::aml::Equal;
use acpi_tables::aml::GreaterEqual;
use acpi_tables::aml::If;
use acpi_tables::aml::LessEqual;
use acpi_tables::aml::Method;
use acpi_tables::aml::Path;
use acpi_tables::aml::Return;
use acpi_tables::aml::Uuid;
use acpi_tables::aml::ZERO;

use super::code::Code;

/// Functions of PCI.
const PCI: &str = "E5C937D0-3553-4D7A-9117-EA4D19C3434D";

/// The revisions that are known: Linux has asked with the one, and now also asks with the other.
const REVISIONS: (u8, u8) = (1, 2);

/// Which functions there are.
const SUPPORTED: u8 = 0;

/// Whether firmware's assignment of resources may be ignored.
const IGNORE_BOOT_CONFIGURATION: u8 = 5;

/// What function 0 answers: a bit for itself, and one for function 5.
const FUNCTIONS: u8 = 1 << SUPPORTED | 1 << IGNORE_BOOT_CONFIGURATION;

/// The arguments: UUID, revision, function.
const UUID: Arg = Arg(0);
const REVISION: Arg = Arg(1);
const FUNCTION: Arg = Arg(2);

/// The method.
pub(super) fn method() -> Code {
    let mut body = Code::default();
    body.add(&If::new(&Equal::new(&UUID, &Uuid::new(PCI)), vec![&known()]));
    // No function is known.
    body.add(&Return::new(&BufferData::new(vec![0])));
    Code::of(&Method::new(Path::new("_DSM"), 4, true, vec![&body]))
}

/// What is answered to a known UUID, if the revision is one as well.
fn known() -> Code {
    let (first, last) = REVISIONS;
    let mut functions = Code::default();
    let supported = BufferData::new(vec![FUNCTIONS]);
    functions.add(&If::new(&Equal::new(&FUNCTION, &SUPPORTED), vec![&Return::new(&supported)]));
    let ignore = Equal::new(&FUNCTION, &IGNORE_BOOT_CONFIGURATION);
    functions.add(&If::new(&ignore, vec![&Return::new(&ZERO)]));
    let not_too_new = Code::of(&If::new(&LessEqual::new(&REVISION, &last), vec![&functions]));
    Code::of(&If::new(&GreaterEqual::new(&REVISION, &first), vec![&not_too_new]))
}
