//! The step `qemu`: QEMU attaches to each preset as a vfio-user client, and sees what we see.
//!
//! More devices are tried that no preset is. Of one nothing can be mapped, and only then QEMU posts its writes: how
//! many of them were answered, QEMU's own trace says.
//!
//! QEMU runs without a vCPU; what a guest would do is said to it line by line.
//!
//! The device reads and writes the machine's memory, too: through its file where the machine has one, and where it
//! has none by asking QEMU, which its trace shows.

use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::Instant;

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
use super::process::deadline;
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

/// What is tried: a device, and a machine that it is put into.
#[derive(Clone, Copy, Debug)]
struct Tried<'a> {
    name: &'a str,
    /// A preset or the file of a profile.
    profile: &'a str,
    /// The kernel that shows it.
    abi: &'a str,
    /// The machine's memory is a file that the device gets.
    memory_is_shared: bool,
}

/// What is tried besides the presets. Of the first nothing can be mapped. The kernel of June 2026 is not among them:
/// it refuses what QEMU does to the block.
const OTHERS: [Tried<'static>; 5] = [
    Tried { name: "block-alone", profile: "ci/devices/block-alone.toml", abi: "v2", memory_is_shared: true },
    Tried {
        name: "block-alone in a machine that shares no memory",
        profile: "ci/devices/block-alone.toml",
        abi: "v2",
        memory_is_shared: false,
    },
    Tried {
        name: "t2-committed in a machine that shares no memory",
        profile: "t2-committed",
        abi: "v2",
        memory_is_shared: false,
    },
    Tried {
        name: "t2-committed without vfio-cxl",
        profile: "t2-committed",
        abi: "plain",
        memory_is_shared: true,
    },
    Tried {
        name: "t2-committed in the newest shape",
        profile: "t2-committed",
        abi: "next",
        memory_is_shared: true,
    },
];

/// Where in the machine's memory the device reads, and where it writes: each crosses a page.
const FROM: u64 = 0x100_0f80;
const TO: u64 = 0x200_0fc0;

/// Where in the device's memory the data is in between, and how long it is.
const INSIDE: u64 = 0x1_2340;
const LENGTH: u64 = 0x100;

/// The copy engine's registers in BAR 0, and what is written to its control register and read of its status, typed
/// anew.
const ENGINE: u64 = 0xc000;
const HOST_TO_DEVICE: u64 = 0x5;
const DEVICE_TO_HOST: u64 = 0x3;
const BUSY: u64 = 0x1;
const DONE: u64 = 0x2;
const BUS_MASTER_OFF: u64 = 0x100;

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
    let presets = presets.iter().map(|name| Tried { name, profile: name, abi: "v2", memory_is_shared: true });
    let mut told = Vec::new();
    let mut all_well = true;
    for tried in presets.chain(OTHERS) {
        let name = tried.name;
        let outcome = Device::serve(workspace, &root, tried.profile, tried.abi)
            .and_then(|device| attach(&root, tried, device, |said| told.push(format!("{name}: {said}"))));
        all_well &= outcome.is_ok();
        told.extend(outcome.err().map(|said| format!("{name}: FAILED {said}")));
    }
    let told = told.join("\n");
    if all_well { Outcome::Passed(told) } else { Outcome::Failed(told) }
}

/// Attaches QEMU to one device, and tells of each case that passed. The first that does not ends it: each case
/// builds on those before.
fn attach(root: &Root, tried: Tried<'_>, device: Device, mut tell: impl FnMut(&str)) -> Result<(), String> {
    let (config, sizes) = client::look(&device.socket())?;
    let bars = config.bars(&sizes)?;
    let trace = device.path(TRACE);
    let mut command = root.command("qemu-system-x86_64");
    let shared = tried.memory_is_shared;
    command.args(arguments(&root.inside(&device.socket())?, &root.inside(&trace)?, shared));
    let (mut qemu, lines) = Running::start(command)?;
    let input = qemu.take_input().ok_or("QEMU has no input")?;
    let dialogue = Dialogue::new(input, lines, PATIENCE);
    let trace = Some(trace);
    let attached = Attached { dialogue, config, bars, trace, memory_is_shared: shared };
    attached.take_cases(&mut tell).map_err(|said| format!("{said}; QEMU: {}", qemu.kill()))?;
    // Closing its input does not end it.
    qemu.kill();
    device.end()?;
    tell("everything is taken down");
    Ok(())
}

/// A machine with nothing but the device in it. Its memory is a file that the device gets, or is not.
fn arguments(socket: &str, trace: &str, memory_is_shared: bool) -> Vec<String> {
    let device = format!(
        "{{\"driver\":\"vfio-user-pci\",\"bus\":\"pcie.0\",\"addr\":\"{SLOT:x}\",\
         \"socket\":{{\"type\":\"unix\",\"path\":\"{socket}\"}}}}"
    );
    let machine = if memory_is_shared {
        "-M q35,memory-backend=mem -object memory-backend-memfd,id=mem,size=256M,share=on"
    } else {
        "-M q35"
    };
    let fixed = format!(
        "{machine} -m 256M -accel qtest -qtest stdio -qtest-log none -nodefaults -display none \
         -trace vfio_user_recv_hdr"
    );
    let named = ["-D".to_owned(), trace.to_owned(), "-device".to_owned(), device];
    fixed.split_whitespace().map(str::to_owned).chain(named).collect()
}

/// A QEMU with the device in it, and what we saw of the device ourselves.
pub(super) struct Attached {
    pub(super) dialogue: Dialogue<ChildStdin>,
    pub(super) config: Config,
    pub(super) bars: Vec<Bar>,
    /// Where QEMU tells of messages, where there are any.
    pub(super) trace: Option<PathBuf>,
    pub(super) memory_is_shared: bool,
}

/// A case: a note for whom it has nothing to try, or what is wrong.
type Case = fn(&mut Attached) -> Result<&'static str, String>;

/// The cases by what they show, in their order.
const CASES: [(&str, Case); 8] = [
    ("the 64 bytes of the header are what our own client reads, after reset", Attached::header),
    ("the BARs are as long as their regions", Attached::lengths),
    ("the BARs keep their addresses and memory is enabled", Attached::addresses),
    ("the accelerator has its magic and keeps what is written", Attached::accelerator),
    ("the component block begins with the CXL capability header", Attached::component),
    ("of many writes in a row the last one stays", Attached::writes),
    ("the device reads memory of the machine", Attached::device_reads),
    ("the device writes memory of the machine", Attached::device_writes),
];

impl Attached {
    /// Takes every case, and tells of each that passed. The first that does not ends it.
    ///
    /// # Errors
    /// What that case saw.
    pub(super) fn take_cases(mut self, tell: &mut impl FnMut(&str)) -> Result<(), String> {
        for (name, case) in CASES {
            let note = case(&mut self).map_err(|said| format!("{name}: {said}"))?;
            tell(&format!("{name}{note}"));
        }
        Ok(())
    }

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
        if self.trace.is_none() {
            return Ok("");
        }
        let (posted, expected) = if bar.size == BLOCK_SIZE { (" (posted)", 0) } else { ("", POSTED) };
        same("writes that were answered", self.answered_writes()?.saturating_sub(before), expected)?;
        Ok(posted)
    }

    /// What was read is seen when it is written again, in the next case. Without bus mastering nothing is read.
    fn device_reads(&mut self) -> Result<&'static str, String> {
        for (at, value) in (FROM..).step_by(8).zip(data()) {
            self.dialogue.tell(&format!("writeq {at:#x} {value:#x}"))?;
        }
        let command = header::Command::new(0).with_memory_space(true);
        self.dialogue.config_write(header::COMMAND, command.raw().into())?;
        same("the status without bus mastering", self.copy(FROM, INSIDE, HOST_TO_DEVICE)?, BUS_MASTER_OFF)?;
        self.dialogue.config_write(header::COMMAND, command.with_bus_master(true).raw().into())?;
        let before = self.heard(Command::DmaRead)?;
        same("the status", self.copy(FROM, INSIDE, HOST_TO_DEVICE)?, DONE)?;
        self.same_way(Command::DmaRead, before)
    }

    /// Around what the device writes nothing changes.
    fn device_writes(&mut self) -> Result<&'static str, String> {
        let before = self.heard(Command::DmaWrite)?;
        same("the status", self.copy(INSIDE, TO, DEVICE_TO_HOST)?, DONE)?;
        let expected = std::iter::once(0).chain(data()).chain([0]);
        for (at, value) in (TO.saturating_sub(8)..).step_by(8).zip(expected) {
            same(&format!("the memory at {at:#x}"), self.dialogue.ask(&format!("readq {at:#x}"))?, value)?;
        }
        self.same_way(Command::DmaWrite, before)
    }

    /// Lets the device copy, and waits for the end of it: its status then.
    fn copy(&mut self, source: u64, destination: u64, control: u64) -> Result<u64, String> {
        let bar = self.bars.iter().find(|bar| bar.index == 0).ok_or("there is no BAR 0")?;
        let engine = bar.address.saturating_add(ENGINE);
        let register = |offset: u64| engine.saturating_add(offset);
        self.dialogue.tell(&format!("writeq {:#x} {source:#x}", register(0)))?;
        self.dialogue.tell(&format!("writeq {:#x} {destination:#x}", register(8)))?;
        self.dialogue.tell(&format!("writel {:#x} {LENGTH:#x}", register(0x10)))?;
        self.dialogue.tell(&format!("writel {:#x} {control:#x}", register(0x14)))?;
        let deadline = deadline();
        while Instant::now() < deadline {
            let status = self.dialogue.ask(&format!("readl {:#x}", register(0x18)))?;
            if status & BUSY == 0 {
                return Ok(status);
            }
        }
        Err("the copy does not end".to_owned())
    }

    /// Whether the device asked QEMU if it had to, and did not if it had a file.
    fn same_way(&mut self, command: Command, before: u64) -> Result<&'static str, String> {
        if self.trace.is_none() {
            return Ok("");
        }
        let asked = self.heard(command)?.saturating_sub(before);
        let what = format!("requests {}", command.name());
        if self.memory_is_shared {
            same(&what, asked, 0).map(|()| " (through its file)")
        } else {
            same(&what, asked, 1).map(|()| " (by asking for it)")
        }
    }

    /// How many writes to regions were answered so far.
    fn answered_writes(&self) -> Result<u64, String> {
        self.heard(Command::RegionWrite)
    }

    /// How many messages with this command QEMU heard so far.
    fn heard(&self, command: Command) -> Result<u64, String> {
        let Some(trace) = &self.trace else { return Ok(0) };
        let trace = std::fs::read_to_string(trace);
        trace.map(|trace| heard(&trace, command)).map_err(|error| format!("QEMU's trace: {error}"))
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

/// What the device copies: no two are the same, and none is 0.
fn data() -> impl Iterator<Item = u64> {
    (1..=LENGTH / 8).map(|number| number.wrapping_mul(0x0101_1234_5678_9abd))
}

/// How many messages with this command, requests or answers, a trace of QEMU has.
fn heard(trace: &str, command: Command) -> u64 {
    let command = format!(" cmd {:#x} ", command.number());
    let heard = trace.lines().filter(|line| line.contains("vfio_user_recv_hdr"));
    heard.filter(|line| line.contains(&command)).count() as u64
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
    fn what_qemu_heard_is_counted_by_its_command_and_nothing_else_of_a_trace() {
        let trace = "vfio_user_recv_hdr  (unix:/s) id 0x28 cmd 0xa size 0x20 flags 0x1\n\
                     vfio_user_recv_hdr  (unix:/s) id 0x2d cmd 0x9 size 0x24 flags 0x1\n\
                     vfio_user_recv_read  id 0x2d read 0xa\n\
                     vfio_user_recv_hdr  (unix:/s) id 0x1 cmd 0xb size 0x20 flags 0x0\n\
                     vfio_user_recv_hdr  (unix:/s) id 0xa cmd 0xa size 0x20 flags 0x1\n";
        let commands = [Command::RegionWrite, Command::DmaRead, Command::DmaWrite];
        assert_eq!(commands.map(|command| heard(trace, command)), [2, 1, 0]);
    }

    #[test]
    fn the_device_is_named_to_qemu_by_its_socket_as_the_last_argument() {
        let arguments = arguments("/tmp/a/device.sock", "/tmp/a/trace", true);
        assert_eq!(
            arguments.last().unwrap(),
            "{\"driver\":\"vfio-user-pci\",\"bus\":\"pcie.0\",\"addr\":\"5\",\
             \"socket\":{\"type\":\"unix\",\"path\":\"/tmp/a/device.sock\"}}"
        );
        assert!(arguments.contains(&"qtest".to_owned()));
    }

    #[test]
    fn only_memory_that_is_to_be_shared_is_a_file() {
        let has_file = |shared| arguments("s", "t", shared).iter().any(|one| one.contains("memfd"));
        assert_eq!([true, false].map(has_file), [true, false]);
    }

    #[test]
    fn no_two_values_that_the_device_copies_are_the_same_and_none_is_zero() {
        let values: std::collections::BTreeSet<u64> = data().collect();
        assert_eq!((values.len(), values.contains(&0)), (32, false));
    }
}
