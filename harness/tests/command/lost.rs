//! The other process goes away, or falls silent, at every message.

use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;

use rstest::rstest;

use crate::assert_nothing_left;
use crate::cxl_sim;
use crate::processes_with;
use crate::run;
use crate::scenario_file;

/// A short scenario that uses all ways to the device.
fn text(fault: &str) -> String {
    format!(
        "proves = \"x\"\n[[device]]\nname = \"gpu0\"\n{fault}\n\
         [[step]]\nload = {{ at = \"gpu0.registers\", width = 4, is = 0x0211_0001 }}\n\
         [[step]]\nstore = {{ at = \"gpu0.component\", width = 4, value = 1 }}\n\
         [[step]]\nload = {{ at = \"gpu0.config\", width = 4, is = 0xc7f2_1e98 }}\n\
         [[step]]\ndevice_holds = {{ device = \"gpu0\", offset = 0, width = 4, is = 0 }}\n"
    )
}

/// What the run says when the server is gone, or silent.
fn names_the_loss(reason: &str, how: &str) -> bool {
    let requests = [
        "VERSION",
        "GET_INFO",
        "GET_REGION_INFO",
        "GET_IRQ_INFO",
        "REGION_READ",
        "REGION_WRITE",
        "DMA_MAP",
        "SET_IRQS",
        "GET_REGION_IO_FDS",
    ];
    reason.contains(how) && requests.iter().any(|request| reason.contains(request))
}

#[test]
fn a_device_that_hangs_up_at_any_message_is_named_with_the_request_and_nothing_is_left() {
    let mut failing = 0;
    for message in 1.. {
        let (_folder, path) = scenario_file(&text(&format!("with.faults.disconnect_at_message = {message}")));
        let ran = run(&path, &[]);
        ran.assert_clean();
        if ran.code == 0 {
            break;
        }
        assert!(names_the_loss(ran.reason(), "the server hung up"), "message {message}: {}", ran.reason());
        failing += 1;
    }
    // Version, device info twice, ten regions (most twice), interrupts, configuration, registers; then attaching
    // and the steps. What comes after them undoes, and nothing of that is worth a failure.
    assert!(failing > 45, "only {failing} messages were lost");
}

#[rstest]
#[case::version(1)]
#[case::device_info(2)]
#[case::a_region(5)]
#[case::configuration(30)]
#[case::machine_done(40)]
fn a_device_that_falls_silent_is_given_up_within_the_timeout_and_nothing_is_left(#[case] message: u32) {
    let (_folder, path) = scenario_file(&text(&format!("with.faults.silent_at_message = {message}")));
    let ran = run(&path, &["--timeout", "0.2"]);
    assert_eq!(ran.code, 1);
    assert!(names_the_loss(ran.reason(), "no answer within 0.2 s"), "message {message}: {}", ran.reason());
    ran.assert_clean();
}

/// A scenario that goes on for a while: the guest reads the component block again and again.
fn long_text() -> String {
    let step = "[[step]]\nhidden = { address = \"0xdead_0000_0000\", from = \"gpu0.component\", size = \"64KiB\" }\n";
    format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n{}", step.repeat(200))
}

/// Waits until the device process of a run is there; the process's number.
fn device_process(run: &mut Child, folder: &Path) -> i32 {
    loop {
        assert_eq!(run.try_wait().unwrap(), None, "the run ended without a device process");
        let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        for entry in entries {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains("serve --lifeline") && line.contains(folder.to_str().unwrap()) {
                return entry.file_name().to_str().unwrap().parse().unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn start_long(temporary: &Path, scenario: &Path, timeout: &str) -> Child {
    let mut command = cxl_sim(temporary);
    command.arg("run").arg(scenario).args(["--guest", "soft", "--timeout", timeout]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(process: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(process).unwrap(), signal).unwrap();
}

#[rstest]
#[case::killed(rustix::process::Signal::KILL, "the server hung up")]
#[case::frozen(rustix::process::Signal::STOP, "no answer within 0.5 s")]
fn a_device_process_that_is_killed_or_frozen_ends_the_run_in_a_clear_error(
    #[case] how: rustix::process::Signal,
    #[case] reason: &str,
) {
    let temporary = tempfile::tempdir().unwrap();
    let (_folder, path) = scenario_file(&long_text());
    let mut run = start_long(temporary.path(), &path, "0.5");
    let device = device_process(&mut run, temporary.path());
    std::thread::sleep(Duration::from_millis(100));
    signal(device, how);
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(reason), "{said}");
    assert_nothing_left(temporary.path());
}

/// Whether this process ignores a signal, and with it those that it starts.
fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[rstest]
#[case::killed(rustix::process::Signal::KILL)]
#[case::asked_to_end(rustix::process::Signal::TERM)]
#[case::interrupted(rustix::process::Signal::INT)]
fn a_run_that_is_ended_from_outside_leaves_nothing(#[case] how: rustix::process::Signal) {
    let temporary = tempfile::tempdir().unwrap();
    let (_folder, path) = scenario_file(&long_text());
    let mut run = start_long(temporary.path(), &path, "5");
    device_process(&mut run, temporary.path());
    std::thread::sleep(Duration::from_millis(100));
    signal(run.id().cast_signed(), how);
    if is_ignored(how) {
        // Whoever started us had it so, as a shell does for what it starts in the background.
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(run.try_wait().unwrap(), None, "it ends at a signal that is ignored");
        signal(run.id().cast_signed(), rustix::process::Signal::TERM);
    }
    run.wait().unwrap();
    // The device process notices by itself; it is waited for.
    while !processes_with(temporary.path()).is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_nothing_left(temporary.path());
}
