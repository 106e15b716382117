//! What a bit may become, from its attribute alone (PCIe 6.2, 7.4): a second telling of the register engine, without
//! it.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::register::Attribute;
use cxl_spec::register::Field;

use super::Done;
use super::places::Place;
use super::places::Space;

/// A write as software did it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) space: Space,
    pub(super) access: Access,
    pub(super) value: u64,
}

impl Written {
    /// Whether it is, in part, where the register is.
    fn touches(&self, place: &Place) -> bool {
        let (Self { space, access, .. }, register) = (self, place.register);
        *space == place.space && register.offset < access.end() && access.offset() < register.end()
    }

    /// What of it reaches a register: the bits that are written, and their values.
    fn reaching(&self, place: &Place) -> (u64, u64) {
        // What is narrower than a dword reaches nothing in the block (CXL 3.2, 8.2.4).
        let is_lost = self.space == Space::Component && self.access.width() < Width::Dword;
        if !self.touches(place) || is_lost {
            return (0, 0);
        }
        let mut reaching = (0, 0);
        for byte in 0..place.register.width.bytes() {
            let inside = (place.register.offset + byte).checked_sub(self.access.offset());
            let Some(inside) = inside.filter(|inside| *inside < self.access.width().bytes()) else {
                continue;
            };
            reaching.0 |= 0xff << (8 * byte);
            reaching.1 |= ((self.value >> (8 * inside)) & 0xff) << (8 * byte);
        }
        reaching
    }
}

impl Done {
    /// Whether a register may be another now, or should be.
    fn reaches(&self, place: &Place) -> bool {
        match self {
            Self::Written(written) => written.touches(place),
            Self::Reset | Self::Error => true,
        }
    }
}

/// Registers in which hardware answers a write: in fields that software cannot write, or by what it clears.
const ANSWER: [&str; 8] = [
    "HDM Decoder Control",
    "DVSEC CXL Status 2",
    "DOE Status",
    "DOE Read Data Mailbox",
    // Which error was the first changes as errors are cleared, and with it the header that is shown.
    "Header Log",
    // An error that was recorded again before it was cleared is raised again.
    "Uncorrectable Error Status",
    "Error Capabilities and Control",
    "Advanced Error Capabilities and Control",
];

/// Checks one register over one step. `first` is what it read after power-on.
pub(super) fn check(place: &Place, first: u64, before: u64, after: u64, done: &Done) {
    if before == after && !done.reaches(place) {
        return;
    }
    let register = place.register;
    let named = register.fields.iter().fold(0, |all, field| all | field.mask());
    assert_eq!(after & !named, 0, "{}: a bit without a name is set", register.name);
    for field in register.fields {
        let [first, before, after] = [first, before, after].map(|value| value & field.mask());
        let fixed = matches!(field.attribute, Attribute::HwInit);
        let kept = match done {
            Done::Written(written) => {
                let (enabled, value) = written.reaching(place);
                let (enabled, value) = (enabled & field.mask(), value & enabled & field.mask());
                let answers = ANSWER.contains(&register.name);
                allowed(field, [before, after], enabled, value, answers)
            }
            Done::Reset | Done::Error => field.attribute != Attribute::RsvdZ || after == 0,
        };
        let said = (register.name, field.name, place.space, register.offset);
        assert!(kept && (!fixed || after == first), "{said:x?}: {before:#x} became {after:#x}");
    }
}

/// Whether a field may go from one value to another where the bits `enabled` of it were written with `value`.
fn allowed(field: &Field, [before, after]: [u64; 2], enabled: u64, value: u64, answers: bool) -> bool {
    let changed = before ^ after;
    match field.attribute {
        Attribute::RsvdZ => after == 0,
        Attribute::HwInit | Attribute::RsvdP => changed == 0,
        Attribute::Ro | Attribute::Ros => changed == 0 || answers,
        // A lock, or a device that cannot, leaves what was; nothing else comes than what was written.
        Attribute::Rw | Attribute::Rws | Attribute::Rwl => changed & !(enabled & (before ^ value)) == 0,
        Attribute::Rw1c | Attribute::Rw1cs if answers => changed & !(before & enabled & value) == 0,
        Attribute::Rw1c | Attribute::Rw1cs => after == before & !(enabled & value),
        Attribute::Rwo => after == before | (enabled & value) || changed == 0,
    }
}
