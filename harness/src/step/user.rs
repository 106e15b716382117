//! Carrying out one call of a user of VFIO on a device.

use std::fmt;
use std::sync::Arc;

use cxl_spec::access::Width;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::chain::Area;
use vfio_abi::errno::Errno;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::request::DmaFlags;
use vmm_core::backend::BackendError;
use vmm_core::backend::Failure;
use vmm_core::map::memory::HostMemory;

use super::Verdict;
use super::info;
use super::judged;
use super::reached;
use crate::opened::CallError;
use crate::opened::Device;
use crate::opened::Opened;
use crate::scenario::region::Bytes;
use crate::scenario::region::ErrnoName;
use crate::scenario::step::Step;
use crate::scenario::user;

/// What came of a call that moves bytes, or that moves none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Done(Vec<u8>),
    Refused(Errno),
    Short(usize),
    Lost(String),
}

impl Answer {
    fn of(result: Result<(), BackendError>, bytes: Vec<u8>) -> Self {
        match result.map_err(|error| error.failure) {
            Ok(()) => Self::Done(bytes),
            Err(Failure::Refused(errno)) => Self::Refused(errno),
            Err(Failure::Explained(refusal)) => Self::Refused(refusal.errno),
            Err(Failure::Short { done, .. }) => Self::Short(done),
            Err(Failure::Lost(reason)) => Self::Lost(reason),
        }
    }

    fn number(&self, width: Width) -> Option<u64> {
        let Self::Done(bytes) = self else { return None };
        let whole = bytes.len() as u64 == width.bytes();
        whole.then(|| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Whether the call ended as it must, where it must not simply be done.
    fn ended_as(&self, errno: Option<ErrnoName>, count: Option<u64>, lost: Option<&str>) -> bool {
        match (self, errno, count, lost) {
            (Self::Refused(seen), Some(errno), _, _) => *seen == errno.0,
            (Self::Short(seen), _, Some(count), _) => *seen as u64 == count,
            (Self::Lost(seen), _, _, Some(text)) => seen.contains(text),
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(bytes) if bytes.is_empty() => out.write_str("done"),
            Self::Done(bytes) => write!(out, "{}", Bytes(bytes.clone())),
            Self::Refused(errno) => write!(out, "refused with {errno}"),
            Self::Short(count) => write!(out, "{count} bytes done"),
            Self::Lost(reason) => write!(out, "the device is lost: {reason}"),
        }
    }
}

/// What must come of a call, where it must not simply be done.
fn ending(errno: Option<ErrnoName>, count: Option<u64>, lost: Option<&str>) -> String {
    let errno = errno.map(|errno| errno.0.to_string());
    let count = count.map(|count| format!("{count} bytes done"));
    let lost = lost.map(|text| format!("the device lost: {text:?}"));
    errno.or(count).or(lost).unwrap_or_else(|| "it done".to_owned())
}

/// Carries a step out.
pub fn carry_out(opened: &mut Opened, step: &Step) -> Verdict {
    let named = opened.devices.iter_mut().find(|device| Some(device.name()) == step.device());
    let Some(device) = named else {
        return Verdict::Failed(format!("{}: nothing that is done without a machine", step.kind()));
    };
    let outcome = match step {
        Step::DeviceInfo(step) => info::device(device, step),
        Step::RegionInfo(step) => info::region(device, step),
        Step::RegionRead(step) => region_read(device, step),
        Step::RegionWrite(step) => region_write(device, step),
        Step::Sweep(step) => sweep(device, step),
        Step::Map(step) => map(device, step),
        Step::DmaMap(step) => dma(device, step, true),
        Step::DmaUnmap(step) => dma(device, step, false),
        Step::DmaMemory(step) => reached::memory(device, step),
        Step::DmaCopy(step) => reached::copy(device, step),
        Step::Vectors(step) => reached::vectors(device, step),
        Step::Vector(step) => Ok(reached::vector(device, step)),
        Step::Reset(step) => reset(device, step),
        Step::Reopen(_) => reopen(device),
        other => Ok(Verdict::Failed(format!("{}: needs a machine", other.kind()))),
    };
    outcome.unwrap_or_else(|error| Verdict::Failed(error.to_string()))
}

/// The width, which loading the scenario has checked.
fn width(bytes: Option<u64>) -> Width {
    bytes.and_then(Width::of).unwrap_or(Width::Byte)
}

fn region_read(device: &mut Device, step: &user::RegionRead) -> Result<Verdict, CallError> {
    let index = device.index(step.region)?;
    let length = step.width.or(step.count).unwrap_or(0);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let result = device.client()?.read(index, step.offset.0, &mut bytes);
    let answer = Answer::of(result, bytes);
    let what = format!("{}: {} at {:#x}, {length} bytes", device.name(), step.region, step.offset.0);
    let width = width(step.width);
    let mask = step.mask.map_or(u64::MAX, |mask| mask.0) & width.mask();
    let number = answer.number(width).filter(|_| step.width.is_some()).map(|value| value & mask);
    let seen = match number {
        Some(value) => format!("{what}: {value:#x}"),
        None => format!("{what}: {answer}"),
    };
    Ok(match (step.is, step.is_not, &step.bytes) {
        (Some(is), _, _) => judged(number == Some(is.0), seen, || format!("{:#x}", is.0)),
        (_, Some(is_not), _) => {
            let holds = number.is_some_and(|value| value != is_not.0);
            judged(holds, seen, || format!("anything but {:#x}", is_not.0))
        }
        (_, _, Some(bytes)) => judged(answer == Answer::Done(bytes.0.clone()), seen, || bytes.to_string()),
        (None, None, None) => {
            let holds = answer.ended_as(step.errno, step.count_is, step.lost.as_deref());
            judged(holds, seen, || ending(step.errno, step.count_is, step.lost.as_deref()))
        }
    })
}

fn region_write(device: &mut Device, step: &user::RegionWrite) -> Result<Verdict, CallError> {
    let index = device.index(step.region)?;
    let bytes = match (&step.bytes, step.value) {
        (Some(bytes), _) => bytes.0.clone(),
        (None, value) => {
            let (bytes, length) = width(step.width).to_bytes(value.map_or(0, |value| value.0));
            bytes.get(..length).unwrap_or_default().to_vec()
        }
    };
    let answer = Answer::of(device.client()?.write(index, step.offset.0, &bytes), Vec::new());
    let at = format!("{}: {} at {:#x}", device.name(), step.region, step.offset.0);
    let seen = format!("{at} written {}: {answer}", Bytes(bytes));
    let plain = step.errno.is_none() && step.count_is.is_none() && step.lost.is_none();
    let holds = match plain {
        true => matches!(answer, Answer::Done(_)),
        false => answer.ended_as(step.errno, step.count_is, step.lost.as_deref()),
    };
    Ok(judged(holds, seen, || ending(step.errno, step.count_is, step.lost.as_deref())))
}

fn sweep(device: &mut Device, step: &user::Sweep) -> Result<Verdict, CallError> {
    let index = device.index(step.region)?;
    let (info, _) = device.client()?.region_info(index)?;
    let (info, _) = RegionInfo::parse(&info).map_err(|malformed| device.malformed(malformed))?;
    let offsets = || (0..info.size.min(MOST_SWEPT)).step_by(4);
    let client = device.client()?;
    for offset in offsets() {
        client.write(index, offset, &(step.value.0 as u32).to_le_bytes())?;
    }
    let mut wrong = Vec::new();
    for offset in offsets() {
        let mut bytes = [0; 4];
        client.read(index, offset, &mut bytes)?;
        let seen = u64::from(u32::from_le_bytes(bytes));
        let listed = step.reads.iter().find(|dword| dword.offset.0 == offset);
        let wanted = listed.map_or(0, |dword| dword.is.0);
        if seen != wanted {
            wrong.push(format!("{offset:#x} reads {seen:#x} and not {wanted:#x}"));
        }
    }
    let beyond = step.reads.iter().find(|dword| dword.offset.0 >= info.size);
    wrong.extend(beyond.map(|dword| format!("there is nothing at {:#x}", dword.offset.0)));
    let size = info.size;
    let swept = format!("{}: {} of {size:#x} bytes written {:#x}", device.name(), step.region, step.value.0);
    Ok(match wrong.is_empty() {
        true => Verdict::Passed(swept),
        false => Verdict::Failed(format!("{swept}: {}", wrong.join("; "))),
    })
}

/// The longest region that is swept.
const MOST_SWEPT: u64 = 1 << 16;

fn map(device: &mut Device, step: &user::Map) -> Result<Verdict, CallError> {
    let index = device.index(step.region)?;
    let (info, file) = device.client()?.region_info(index)?;
    let (info, _) = RegionInfo::parse(&info).map_err(|malformed| device.malformed(malformed))?;
    let areas = info.chain.sparse_areas().map_err(|malformed| device.malformed(malformed))?;
    let what =
        format!("{}: {} from {:#x}, {:#x} bytes", device.name(), step.region, step.offset.0, step.size.0);
    let mapped = match (may_be_mapped(&info, areas.as_deref(), step), file) {
        (Err(why), _) => Err(why.to_owned()),
        (Ok(_), None) => Err("no file came with it".to_owned()),
        (Ok(at), Some(file)) => {
            HostMemory::of_file(Arc::new(file), at, step.size.0).map_err(|error| error.to_string())
        }
    };
    let memory = match mapped {
        Err(why) => {
            let seen = format!("{what}: cannot be mapped: {why}");
            return Ok(judged(step.refused, seen, || "a mapping".to_owned()));
        }
        Ok(_) if step.refused => {
            return Ok(judged(false, format!("{what}: can be mapped"), || "no mapping".to_owned()));
        }
        Ok(memory) => memory,
    };
    let width = width(step.width);
    if let Some(value) = step.store {
        let stored = memory.store(0, width, value.0).is_some();
        return Ok(judged(stored, format!("{what}: stored {:#x}", value.0), || "memory".to_owned()));
    }
    let (seen, is) = (memory.load(0, width), step.is.map(|is| is.0));
    Ok(judged(seen.is_some() && seen == is, format!("{what}: holds {seen:x?}"), || format!("{is:x?}")))
}

/// Where in its file the part of a region begins, if what the region says allows that it is mapped.
fn may_be_mapped(info: &RegionInfo, areas: Option<&[Area]>, step: &user::Map) -> Result<u64, &'static str> {
    if !info.flags.contains(RegionFlags::MMAP) {
        return Err("the flag is clear");
    }
    let inside = |offset: u64, size: u64| {
        let begins = step.offset.0.checked_sub(offset);
        begins.and_then(|begins| size.checked_sub(begins)).is_some_and(|left| step.size.0 <= left)
    };
    if !inside(0, info.size) {
        return Err("it ends outside the region");
    }
    if areas.is_some_and(|areas| !areas.iter().any(|area| inside(area.offset, area.size))) {
        return Err("it is in none of the areas");
    }
    info.offset.checked_add(step.offset.0).ok_or("its file does not reach there")
}

fn dma(device: &mut Device, step: &user::Dma, mapping: bool) -> Result<Verdict, CallError> {
    let size = step.size.0;
    let name = device.name().to_owned();
    let at = format!("{name}: {size:#x} bytes at {:#x}", step.address.0);
    let Some(range) = Span::new(Iova::new(step.address.0), size) else {
        return Ok(Verdict::Failed(format!("{at}: there are no such addresses")));
    };
    let result = match (mapping, HostMemory::ram(size)) {
        (false, _) => {
            let unmapped = device.client()?.dma_unmap(range);
            device.let_go(range, unmapped)
        }
        (true, Ok(memory)) => {
            let allowed = DmaFlags::READ | DmaFlags::WRITE;
            let mapped = device.client()?.dma_map(range, memory.file(), 0, allowed);
            device.let_reach(range, memory, mapped)
        }
        (true, Err(error)) => return Ok(Verdict::Failed(format!("{at}: {error}"))),
    };
    Ok(done_or_refused(&format!("{at} {}", if mapping { "mapped" } else { "unmapped" }), result, step.errno))
}

fn reset(device: &mut Device, step: &user::Reset) -> Result<Verdict, CallError> {
    let what = format!("{}: reset", device.name());
    Ok(done_or_refused(&what, device.client()?.reset(), step.errno))
}

fn done_or_refused(what: &str, result: Result<(), BackendError>, errno: Option<ErrnoName>) -> Verdict {
    let answer = Answer::of(result, Vec::new());
    let holds = match errno {
        None => matches!(answer, Answer::Done(_)),
        Some(_) => answer.ended_as(errno, None, None),
    };
    judged(holds, format!("{what}: {answer}"), || ending(errno, None, None))
}

fn reopen(device: &mut Device) -> Result<Verdict, CallError> {
    device.reopen()?;
    Ok(Verdict::Passed(format!("{}: open again", device.name())))
}
