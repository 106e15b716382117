//! Attaching a served device, with every call on it failing in turn: this process has no file more than before, and
//! the device nothing that it was given.
//!
//! There is one test here, so that no other opens files meanwhile.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use harness::fused::Fuse;
use harness::fused::Fused;
use harness::process::DeviceProcess;
use sim_device::kernel::Abi;
use vmm_core::backend::Backend;
use vmm_core::backend::Shared;
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::map::Attached;
use vmm_core::map::map;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::dma::Wish;
use vmm_core::plan::machine::Machine;
use vmm_core::plan::plan;
use vmm_core::run::Hypervisor;

/// Attaches the device to a machine that lets devices reach windows, starts its guest, and ends it. Whether a call had
/// failed when it ran.
fn attach(client: &Shared, fuse: &Fuse) -> Result<bool, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let device = Attached::discovered(client.clone()).map_err(|error| text(&error))?;
    let dma = Wish { policy: Policy::Map, ats: false };
    let planned = plan(&Machine { dma, ..Machine::default() }, &[("gpu0", &device.inventory)]);
    let slots = Hypervisor::Soft.slots();
    let mappings =
        map(planned.map_err(|error| text(&error))?, vec![device], slots).map_err(|error| text(&error))?;
    let programmed = mappings.machine_done().map_err(|error| text(&error))?;
    let running = programmed.run(&Hypervisor::Soft, DEFAULT_TIMEOUT).map_err(|error| text(&error))?;
    let had_failed = !fuse.is_lit();
    drop(running);
    Ok(had_failed)
}

/// The files that this process has open, by number.
fn files() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
    let named = entries.map(|entry| {
        let target = std::fs::read_link(entry.path()).map(|path| path.display().to_string());
        (entry.file_name().into_string().unwrap(), target.unwrap_or_default())
    });
    // The folder that is being read is open itself.
    named.filter(|(_, target)| !target.ends_with("/fd") && !target.is_empty()).collect()
}

/// What the device shows: its command register and its component registers, from the array to the end.
fn shown(client: &mut VfioUser) -> (Vec<u8>, Vec<u8>) {
    let (mut command, mut registers) = (vec![0; 2], Vec::new());
    client.read(7, 4, &mut command).unwrap();
    for offset in (0..0x140).step_by(4) {
        let mut dword = [0; 4];
        client.read(10, offset, &mut dword).unwrap();
        registers.extend(dword);
    }
    (command, registers)
}

/// Fails the call with this number, and looks at what is left. Nothing if there was no such call; else what came of
/// it, which is nothing where the rest could be attached.
fn attempt(socket: &Path, at: u64) -> Option<String> {
    let mut inner = VfioUser::connect(socket, DEFAULT_TIMEOUT).unwrap();
    let (before, open) = (shown(&mut inner), files());
    let fuse = Arc::new(Fuse::default());
    fuse.light(at - 1, false);
    let client = Shared::new(Fused::new(inner, fuse.clone()));
    let outcome = attach(&client, &fuse);
    if outcome == Ok(false) {
        // What is undone afterwards is no part of it.
        return None;
    }
    assert_eq!(files(), open, "files after call {at}: {outcome:?}");
    drop(client);
    let mut again = VfioUser::connect(socket, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(shown(&mut again), before, "the device after call {at}: {outcome:?}");
    Some(outcome.err().unwrap_or_default())
}

#[test]
fn whatever_call_fails_no_file_is_left_and_the_device_is_as_before() {
    let program = Path::new(env!("CARGO_BIN_EXE_cxl-sim"));
    let process = DeviceProcess::start(program, None, Abi::named("v2").unwrap(), DEFAULT_TIMEOUT).unwrap();
    let before = files();
    let mut failed = Vec::new();
    for at in 1.. {
        let Some(why) = attempt(process.socket(), at) else { break };
        failed.push(why);
        assert_eq!(files(), before, "files when call {at} had failed and all was let go");
    }
    for call in [
        "DEVICE_GET_INFO",
        "dpa_region_index = 0x9: the device has no region with this index",
        "REGION_READ of region 7",
        "REGION_WRITE of region 7 at 0x4",
        "DMA_MAP of [0x0, 0x4000000)",
        "DMA_MAP of [0x110000000, 0x120000000)",
        "writing HDM Decoder Base Low",
        "reading HDM Decoder Control",
    ] {
        assert!(failed.iter().any(|why| why.contains(call)), "no failure at {call}: {failed:#?}");
    }
    assert!(failed.len() > 35, "{} calls were failed", failed.len());
}
