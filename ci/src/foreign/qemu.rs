//! The step `qemu`: QEMU attaches to each preset as a vfio-user client, and sees what we see.
//!
//! More devices are tried that no preset is. Of one nothing can be mapped, and only then QEMU posts its writes: how
//! many of them were answered, QEMU's own trace says.
//!
//! QEMU runs without a vCPU; what a guest would do is said to it line by line. Not tried here is DMA, in neither
//! direction: the device has no engine that could begin it yet.

use std::path::PathBuf;
use std::process::ChildStdin;

use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::component::array;
use cxl_spec::component::ras;
use cxl_spec::dvsec::register_locator::Location;
use cxl_spec::pci::header;
use vfio_abi::frame::Command;

use super::client;
use super::config;
use super::config::Bar;
use super::config::Config;
use super::device::Device;
use super::device::presets;
use super::process::PATIENCE;
use super::process::Running;
use super::qtest::Dialogue;
use super::qtest::SLOT;
use super::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The first bytes of the accelerator's registers, typed anew: QEMU must bring exactly these.
const MAGIC: [u8; 8] = *b"CXL-SIM\0";

/// What is written to a register of the accelerator.
const PATTERN: u64 = 0x1234_5678;

/// How many writes follow each other without an answer.
const POSTED: u64 = 16;

/// Devices that are tried besides: a name, a preset or the file of a profile, and the kernel that shows it. Of the
/// first nothing can be mapped. The kernel of June 2026 is not among them: it refuses what QEMU does to the block.
const OTHERS: [(&str, &str, &str); 3] = [
    ("block-alone", "ci/devices/block-alone.toml", "v2"),
    ("t2-committed without vfio-cxl", "t2-committed", "plain"),
    ("t2-committed in the newest shape", "t2-committed", "next"),
];

/// Name of the trace in the device's folder.
const TRACE: &str = "trace";

/// Attaches QEMU to every preset, and to one device more, and takes every case.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let root = match Root::find(workspace) {
        Ok(root) => root,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let presets = match presets(workspace) {
        Ok(presets) => presets,
        Err(said) => return Outcome::Failed(said),
    };
    let presets = presets.iter().map(|preset| (preset.as_str(), preset.as_str(), "v2"));
    let mut told = Vec::new();
    let mut all_well = true;
    for (name, profile, abi) in presets.chain(OTHERS) {
        let outcome = Device::serve(workspace, &root, profile, abi)
            .and_then(|device| attach(&root, device, |said| told.push(format!("{name}: {said}"))));
        all_well &= outcome.is_ok();
        told.extend(outcome.err().map(|said| format!("{name}: FAILED {said}")));
    }
    let told = told.join("\n");
    if all_well { Outcome::Passed(told) } else { Outcome::Failed(told) }
}

/// Attaches QEMU to one device, and tells of each case that passed. The first that does not ends it: each case
/// builds on those before.
fn attach(root: &Root, device: Device, mut tell: impl FnMut(&str)) -> Result<(), String> {
    let (config, sizes) = client::look(&device.socket())?;
    let bars = config.bars(&sizes)?;
    let trace = device.path(TRACE);
    let mut command = root.command("qemu-system-x86_64");
    command.args(arguments(&root.inside(&device.socket())?, &root.inside(&trace)?));
    let (mut qemu, lines) = Running::start(command)?;
    let input = qemu.take_input().ok_or("QEMU has no input")?;
    let mut attached = Attached { dialogue: Dialogue::new(input, lines, PATIENCE), config, bars, trace };
    for (name, case) in CASES {
        match case(&mut attached) {
            Ok(note) => tell(&format!("{name}{note}")),
            Err(said) => return Err(format!("{name}: {said}; QEMU: {}", qemu.kill())),
        }
    }
    // Closing its input does not end it.
    qemu.kill();
    device.end()?;
    tell("everything is taken down");
    Ok(())
}

/// A machine with memory that the device could map, and nothing but the device in it.
fn arguments(socket: &str, trace: &str) -> Vec<String> {
    let device = format!(
        "{{\"driver\":\"vfio-user-pci\",\"bus\":\"pcie.0\",\"addr\":\"{SLOT:x}\",\
         \"socket\":{{\"type\":\"unix\",\"path\":\"{socket}\"}}}}"
    );
    let fixed = "-M q35,memory-backend=mem -object memory-backend-memfd,id=mem,size=256M,share=on -m 256M \
                 -accel qtest -qtest stdio -qtest-log none -nodefaults -display none -trace vfio_user_recv_hdr";
    let named = ["-D".to_owned(), trace.to_owned(), "-device".to_owned(), device];
    fixed.split_whitespace().map(str::to_owned).chain(named).collect()
}

/// A QEMU with the device in it, and what we saw of the device ourselves.
struct Attached {
    dialogue: Dialogue<ChildStdin>,
    config: Config,
    bars: Vec<Bar>,
    trace: PathBuf,
}

/// A case: a note for whom it has nothing to try, or what is wrong.
type Case = fn(&mut Attached) -> Result<&'static str, String>;

/// The cases by what they show, in their order.
const CASES: [(&str, Case); 6] = [
    ("the 64 bytes of the header are what our own client reads, after reset", Attached::header),
    ("the BARs are as long as their regions", Attached::lengths),
    ("the BARs keep their addresses and memory is enabled", Attached::addresses),
    ("the accelerator has its magic and keeps what is written", Attached::accelerator),
    ("the component block begins with the CXL capability header", Attached::component),
    ("of many writes in a row the last one stays", Attached::writes),
];

impl Attached {
    /// A machine resets what is in it, and then nothing decodes: only these bits are not as the device was.
    fn header(&mut self) -> Result<&'static str, String> {
        let decoding =
            header::Command::new(0).with_io_space(true).with_memory_space(true).with_bus_master(true);
        for offset in (0..header::SIZE).step_by(4) {
            let reset = if offset == header::COMMAND { u32::from(decoding.raw()) } else { 0 };
            let value = self.dialogue.config_read(offset)?;
            same(
                &format!("configuration space at {offset:#04x}"),
                value,
                self.config.dword(offset) & !reset,
            )?;
        }
        Ok("")
    }

    fn lengths(&mut self) -> Result<&'static str, String> {
        for bar in self.bars.clone() {
            let mask = !bar.size.wrapping_sub(1) | u64::from(bar.kind);
            self.write_bar(&bar, u64::MAX)?;
            self.same_bar(&bar, mask)?;
        }
        Ok("")
    }

    fn addresses(&mut self) -> Result<&'static str, String> {
        for bar in self.bars.clone() {
            self.write_bar(&bar, bar.address)?;
            self.same_bar(&bar, bar.address | u64::from(bar.kind))?;
        }
        let command = header::Command::new(0).with_memory_space(true).with_bus_master(true).raw();
        self.dialogue.config_write(header::COMMAND, command.into())?;
        let now = header::Command::new(self.dialogue.config_read(header::COMMAND)? as u16);
        same("memory space enable", u32::from(now.memory_space()), 1)?;
        Ok("")
    }

    fn accelerator(&mut self) -> Result<&'static str, String> {
        let Some((component, bar)) = self.component_bar()? else { return Ok(" (there is none)") };
        let is_first = component.offset > 0;
        if is_first {
            let first = self.dialogue.ask(&format!("readq {:#x}", bar.address))?;
            same("the first 8 bytes", first, u64::from_le_bytes(MAGIC))?;
        }
        // The registers lie before the component block, or else behind it.
        let register = if is_first { MAGIC.len() as u64 } else { BLOCK_SIZE };
        if register.saturating_add(4) > bar.size {
            return Ok(" (the BAR has no room for its registers)");
        }
        let at = bar.address.saturating_add(register);
        self.dialogue.tell(&format!("writel {at:#x} {PATTERN:#x}"))?;
        same(
            &format!("what was written to {at:#x}"),
            self.dialogue.ask(&format!("readl {at:#x}"))?,
            PATTERN,
        )?;
        Ok("")
    }

    fn component(&mut self) -> Result<&'static str, String> {
        let Some((component, bar)) = self.component_bar()? else { return Ok(" (there is none)") };
        let header = array::Header::new(self.array(&component, &bar, 0)?);
        same("the capability id", header.id(), array::id::ARRAY)?;
        same("the capability's version", u8::from(header.version()), 1)?;
        same("the version of the layout", u8::from(header.cachemem_version()), 1)?;
        match self.capability(&component, &bar, array::id::HDM_DECODER)? {
            Some(_) => Ok(""),
            None => Err("no entry is of HDM decoders".to_owned()),
        }
    }

    /// Writes the mask of uncorrectable errors again and again. Where nothing can be mapped, which is where the
    /// block is all of its BAR, QEMU must not be answered; elsewhere every write must be.
    fn writes(&mut self) -> Result<&'static str, String> {
        let Some((component, bar)) = self.component_bar()? else {
            return Ok(" (there is no register to write)");
        };
        let Some(capability) = self.capability(&component, &bar, array::id::RAS)? else {
            return Ok(" (there is no register to write)");
        };
        let inside = config::array(&component).saturating_add(capability);
        let at = bar.address.saturating_add(inside).saturating_add(ras::UNCORRECTABLE_MASK);
        let before = self.answered_writes()?;
        for value in 0..POSTED {
            self.dialogue.tell(&format!("writel {at:#x} {value:#x}"))?;
        }
        let last = POSTED.saturating_sub(1);
        same("the last of the values", self.dialogue.ask(&format!("readl {at:#x}"))?, last)?;
        let (posted, expected) = if bar.size == BLOCK_SIZE { (" (posted)", 0) } else { ("", POSTED) };
        same("writes that were answered", self.answered_writes()?.saturating_sub(before), expected)?;
        Ok(posted)
    }

    /// How many writes to regions were answered so far.
    fn answered_writes(&self) -> Result<u64, String> {
        let trace = std::fs::read_to_string(&self.trace);
        trace.map(|trace| answered_writes(&trace)).map_err(|error| format!("QEMU's trace: {error}"))
    }

    /// The component block and the BAR that it is in, if the device has one.
    fn component_bar(&self) -> Result<Option<(Location, Bar)>, String> {
        let Some(component) = self.config.component() else { return Ok(None) };
        match self.bars.iter().find(|bar| bar.index == component.bar) {
            Some(bar) => Ok(Some((component, *bar))),
            None => Err(format!("{component:?}: there is no such BAR")),
        }
    }

    /// The dword at `offset` from the capability array.
    fn array(&mut self, component: &Location, bar: &Bar, offset: u64) -> Result<u32, String> {
        let at = bar.address.saturating_add(config::array(component)).saturating_add(offset);
        self.dialogue.ask(&format!("readl {at:#x}")).map(|value| value as u32)
    }

    /// Where, from the capability array, the capability with this id is.
    fn capability(&mut self, component: &Location, bar: &Bar, id: u16) -> Result<Option<u64>, String> {
        let entries = array::Header::new(self.array(component, bar, 0)?).entries();
        for index in 1..=entries {
            let entry = array::Entry::new(self.array(component, bar, array::entry_offset(index))?);
            if entry.id() == id {
                return Ok(Some(entry.pointer().value().into()));
            }
        }
        Ok(None)
    }

    fn write_bar(&mut self, bar: &Bar, value: u64) -> Result<(), String> {
        self.dialogue.config_write(header::bar_offset(bar.index), value as u32)?;
        if bar.is_64_bit {
            self.dialogue
                .config_write(header::bar_offset(bar.index.saturating_add(1)), (value >> 32) as u32)?;
        }
        Ok(())
    }

    fn same_bar(&mut self, bar: &Bar, expected: u64) -> Result<(), String> {
        let what = format!("BAR {}", bar.index);
        same(&what, self.dialogue.config_read(header::bar_offset(bar.index))?, expected as u32)?;
        if bar.is_64_bit {
            let high = self.dialogue.config_read(header::bar_offset(bar.index.saturating_add(1)))?;
            same(&format!("{what}'s upper half"), high, (expected >> 32) as u32)?;
        }
        Ok(())
    }
}

/// How many answers to writes to regions a trace of QEMU has.
fn answered_writes(trace: &str) -> u64 {
    let command = format!(" cmd {:#x} ", Command::RegionWrite.number());
    let answers = trace.lines().filter(|line| line.contains("vfio_user_recv_hdr"));
    answers.filter(|line| line.contains(&command)).count() as u64
}

/// Whether QEMU sees what it should.
fn same<T: Into<u64> + Copy>(what: &str, seen: T, expected: T) -> Result<(), String> {
    let (seen, expected) = (seen.into(), expected.into());
    if seen == expected { Ok(()) } else { Err(format!("{what}: QEMU sees {seen:#x}, not {expected:#x}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_passes_and_what_is_not_is_told_with_both_values() {
        assert_eq!(same("x", 7_u32, 7), Ok(()));
        assert_eq!(same("x", 0x1f_u32, 0x20).unwrap_err(), "x: QEMU sees 0x1f, not 0x20");
    }

    #[test]
    fn answers_to_writes_are_counted_and_nothing_else_of_a_trace() {
        let trace = "vfio_user_recv_hdr  (unix:/s) id 0x28 cmd 0xa size 0x20 flags 0x1\n\
                     vfio_user_recv_hdr  (unix:/s) id 0x2d cmd 0x9 size 0x24 flags 0x1\n\
                     vfio_user_recv_read  id 0x2d read 0xa\n\
                     vfio_user_recv_hdr  (unix:/s) id 0xa cmd 0xa size 0x20 flags 0x1\n";
        assert_eq!(answered_writes(trace), 2);
    }

    #[test]
    fn the_device_is_named_to_qemu_by_its_socket_as_the_last_argument() {
        let arguments = arguments("/tmp/a/device.sock", "/tmp/a/trace");
        assert_eq!(
            arguments.last().unwrap(),
            "{\"driver\":\"vfio-user-pci\",\"bus\":\"pcie.0\",\"addr\":\"5\",\
             \"socket\":{\"type\":\"unix\",\"path\":\"/tmp/a/device.sock\"}}"
        );
        assert!(arguments.contains(&"qtest".to_owned()));
    }
}
