//! A user of VFIO who may read and write anything, as values: property tests and fuzzers are two callers of [`run`]
//! and of [`differ`].
//!
//! What must hold of one kernel, whatever the user does:
//!
//! - an access to the component registers moves as many bytes as the kernel's document says, or is refused;
//! - what is refused changes nothing, and what is taken changes no dword that was not written;
//! - the decoder that firmware locked never moves, and the address that a kernel hides is nowhere to be read;
//! - the array of capabilities reads the same for ever.
//!
//! And what must hold between the kernels: where vfio-cxl adds nothing, all of them show the same.
//!
//! What must hold of a kernel whose mistakes are mended is in [`mended`].
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

pub mod mended;
pub(crate) mod shape;

use cxl_spec::component::hdm;
use shape::Shape;
use vfio_abi::errno::Errno;
use vfio_abi::info::region;

use super::ABIS;
use super::Abi;
use super::Kernel;
use crate::profile::Profile;
use crate::silicon::Silicon;

/// Something that a user does.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Step {
    /// Writes a region.
    Write {
        /// Which of `PLACES`.
        place: u8,
        /// Where, from the start of the place.
        offset: u16,
        /// What, of which 16 bytes count.
        data: Vec<u8>,
    },
    /// Reads a region.
    Read {
        /// Which of `PLACES`.
        place: u8,
        /// Where, from the start of the place.
        offset: u16,
        /// How many bytes, up to 16.
        count: u8,
    },
    /// Resets the device.
    Reset,
    /// Closes the device and opens it again.
    Reopen,
}

/// The most steps that are done: more tell nothing new.
const MOST_STEPS: usize = 64;

/// The most bytes of an access.
const MOST_BYTES: usize = 16;

/// Where a user's accesses go: a region and an offset in it. The last is the component registers.
const PLACES: [(u32, u64); 5] =
    [(region::CONFIG, 0), (region::CONFIG, 0x150), (0, 0xc000), (2, 0x2_1000), (COMPONENT_REGISTERS, 0)];

/// Stands for the region of the component registers, whose index each kernel has for itself.
const COMPONENT_REGISTERS: u32 = u32::MAX;

/// Does `steps` to the default device, bound by one of the kernels with vfio-cxl, and checks what must hold.
pub fn run(kernel: u8, steps: &[Step]) {
    let shapes = Shape::ALL;
    let Some(shape) = shapes.into_iter().cycle().nth(kernel.into()) else { return };
    let Some(mut kernel) = Abi::named(shape.abi).and_then(bound) else { return };
    let host = kernel.silicon().profile().host_range();
    let array = image(&kernel, shape);
    let mut before = array.clone();
    for step in steps.iter().take(MOST_STEPS) {
        let wrote = step.carry_out(&mut kernel, shape);
        let after = image(&kernel, shape);
        if let Some((start, taken)) = wrote {
            let written = start..start.saturating_add(taken);
            for (dword, (before, after)) in before.iter().zip(&after).enumerate() {
                let at = shape.first() + 4 * dword as u64;
                let is_written = written.start < at + 4 && at < written.end;
                assert!(is_written || before == after, "{}: {at:#x} was not written", shape.abi);
            }
        }
        if shape.abi == "v2" && !decoder_is_written(&kernel, shape) {
            hides(&kernel, shape, host.start().get());
        }
        let entries = shape.array_dwords();
        assert_eq!(after.get(..entries), array.get(..entries), "{}: the array changed", shape.abi);
        let decoder = kernel.silicon().component().programming(0);
        assert_eq!(decoder.range(), Some(host), "{}: firmware's decoder moved", shape.abi);
        before = after;
    }
}

/// Does `steps`, but for those that touch what vfio-cxl adds, to the default device bound by every kernel: all must
/// answer alike.
pub fn differ(steps: &[Step]) {
    let mut kernels: Vec<Kernel> = ABIS.iter().filter_map(bound).collect();
    for step in steps.iter().take(MOST_STEPS) {
        let answers: Vec<_> = kernels.iter_mut().filter_map(|kernel| step.plainly(kernel)).collect();
        let first = answers.first();
        assert!(answers.iter().all(|answer| Some(answer) == first), "{step:?}: {answers:x?}");
    }
}

fn bound(abi: &'static Abi) -> Option<Kernel> {
    bound_to(&Profile::default(), abi)
}

fn bound_to(profile: &Profile, abi: &'static Abi) -> Option<Kernel> {
    let silicon = Silicon::power_on(profile.check().ok()?).ok()?;
    let mut kernel = Kernel::bind(silicon, abi).ok()?;
    kernel.open();
    Some(kernel)
}

/// The dwords of the component registers that are something.
fn image(kernel: &Kernel, shape: Shape) -> Vec<u32> {
    let dword = |at| {
        let mut buffer = [0; 4];
        assert_eq!(kernel.read(shape.region, at, &mut buffer), Ok(4), "{}: {at:#x}", shape.abi);
        u32::from_le_bytes(buffer)
    };
    (shape.first()..shape.last()).step_by(4).map(dword).collect()
}

/// Whether the user has put something into the decoder's base, which is then shown.
fn decoder_is_written(kernel: &Kernel, shape: Shape) -> bool {
    let base = shape.decoder() + hdm::BASE_LOW;
    let mut bytes = [0; 8];
    let read = [0, 4].map(|half| {
        let mut buffer = [0; 4];
        let read = kernel.read(shape.region, base + half, &mut buffer);
        bytes.get_mut(half as usize..).into_iter().for_each(|part| {
            part.iter_mut().zip(buffer).for_each(|(to, from)| *to = from);
        });
        read
    });
    read != [Ok(4); 2] || bytes != [0; 8]
}

/// The host's address is in none of the component registers.
fn hides(kernel: &Kernel, shape: Shape, host: u64) {
    let image = image(kernel, shape);
    let pairs = image.iter().zip(image.iter().skip(1));
    let mut joined = pairs.map(|(low, high)| u64::from(*low) | u64::from(*high) << 32);
    assert!(!joined.any(|value| value == host), "the host's address {host:#x} is shown");
}

impl Step {
    /// Carries out a step. Returns which offsets of the component registers it wrote; nothing of a reset, after
    /// which anything can be there.
    fn carry_out(&self, kernel: &mut Kernel, shape: Shape) -> Option<(u64, u64)> {
        let nothing = Some((0, 0));
        match self {
            Self::Write { place, offset, data } => {
                let data = data.get(..data.len().min(MOST_BYTES)).unwrap_or_default();
                let (index, at) = around(*place, *offset, shape);
                let taken = kernel.write(index, at, data).map(|taken| taken as u64);
                if index != shape.region {
                    // A reset through configuration space makes the shadow anew.
                    return (index != region::CONFIG).then_some((0, 0));
                }
                shape.check(taken, at, data.len() as u64);
                Some((at, taken.unwrap_or(0)))
            }
            Self::Read { place, offset, count } => {
                let mut buffer = vec![0; usize::from(*count).min(MOST_BYTES)];
                let (index, at) = around(*place, *offset, shape);
                let taken = kernel.read(index, at, &mut buffer).map(|taken| taken as u64);
                if index == shape.region {
                    shape.check(taken, at, buffer.len() as u64);
                }
                nothing
            }
            Self::Reset => {
                kernel.reset();
                None
            }
            Self::Reopen => {
                kernel.open();
                None
            }
        }
    }

    /// Carries out a step where every kernel is a plain one. What it read or how much it wrote.
    fn plainly(&self, kernel: &mut Kernel) -> Option<Result<Vec<u8>, Errno>> {
        match self {
            Self::Write { place, offset, data } => {
                let data = data.get(..data.len().min(MOST_BYTES)).unwrap_or_default();
                let (index, at) = plain_place(*place, *offset, data.len())?;
                Some(kernel.write(index, at, data).map(|taken| taken.to_le_bytes().to_vec()))
            }
            Self::Read { place, offset, count } => {
                let mut buffer = vec![0; usize::from(*count).min(MOST_BYTES)];
                let (index, at) = plain_place(*place, *offset, buffer.len())?;
                Some(
                    kernel.read(index, at, &mut buffer).map(|taken| buffer.into_iter().take(taken).collect()),
                )
            }
            Self::Reset | Self::Reopen => None,
        }
    }
}

fn around(place: u8, offset: u16, shape: Shape) -> (u32, u64) {
    let (index, origin) = PLACES.into_iter().cycle().nth(place.into()).unwrap_or_default();
    match index {
        COMPONENT_REGISTERS => (shape.region, shape.near(offset)),
        index => (index, origin + u64::from(offset & 0x1ff)),
    }
}

/// A place that vfio-cxl leaves alone: identification and BAR registers, capabilities in front of the DVSECs, the
/// first BAR, and the second one outside of the component block.
fn plain_place(place: u8, offset: u16, length: usize) -> Option<(u32, u64)> {
    let length = length as u64;
    let offset = u64::from(offset);
    let (index, origin, size) = match place % 4 {
        // From the BARs on: Command is where resets and memory enable begin, and kernels differ in those.
        0 => (region::CONFIG, 0x10, 0x30),
        1 => (region::CONFIG, 0x80, 0x0c),
        2 => (0, 0, 0x1_0000),
        _ => (2, 0, 0x2_0000),
    };
    let at = origin + offset % size;
    (at + length <= origin + size).then_some((index, at))
}

#[cfg(test)]
mod tests;
