//! `cxl-sim serve`, and what attaches to it.

use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Output;
use std::process::Stdio;

use rstest::rstest;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::bundled;
use crate::complaint;
use crate::cxl_sim;
use crate::run;
use crate::scenarios;

/// A server that a test started. It is ended when dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
    folder: TempDir,
}

impl Serving {
    pub(crate) fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("device.sock");
        let mut command = cxl_sim(folder.path());
        command.arg("serve").arg("--socket").arg(&socket).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, format!("listening on {}\n", socket.display()));
        Self { child, socket, folder }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(process, signal).unwrap();
    }

    pub(crate) fn name(&self) -> String {
        format!("vfio-user:{}", self.socket.display())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    cxl_sim(Path::new("/tmp")).args(arguments).output().unwrap()
}

#[rstest]
#[case::asked_to_end(Signal::TERM)]
#[case::interrupted(Signal::INT)]
fn a_signal_ends_it_with_0_and_the_socket_goes(#[case] signal: Signal) {
    let mut serving = Serving::start(&[]);
    assert_eq!(std::fs::metadata(&serving.socket).unwrap().permissions().mode() & 0o777, 0o600);
    serving.signal(signal);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    assert!(!serving.socket.exists());
}

#[test]
fn a_signal_ends_it_while_a_client_is_there() {
    let mut serving = Serving::start(&[]);
    let _client = std::os::unix::net::UnixStream::connect(&serving.socket).unwrap();
    serving.signal(Signal::TERM);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    assert!(!serving.socket.exists());
}

#[test]
fn the_socket_of_a_living_server_is_refused() {
    let serving = Serving::start(&[]);
    let second = output(&["serve", "--socket", serving.socket.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    let expected =
        format!("cxl-sim: socket {}: a living server listens there already\n", serving.socket.display());
    assert_eq!(complaint(&second), expected);
    assert!(serving.socket.exists());
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("device.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let mut child = cxl_sim(folder.path())
        .args(["serve", "--socket"])
        .arg(&socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn it_serves_a_profile_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("mine.toml");
    std::fs::write(&profile, "[ids]\ndevice = 0x4242\n[memory]\nsize = \"1GiB\"\n").unwrap();
    let serving = Serving::start(&["--profile", profile.to_str().unwrap()]);
    let seen = output(&["inspect", &serving.name(), "--json"]);
    let seen: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(seen["ids"]["device"], "0x4242");
    let memory = seen["regions"].as_array().unwrap().iter().find(|region| region["index"] == 9).unwrap();
    assert_eq!(memory["size"], "0x40000000");
}

#[rstest]
#[case::unknown("t3", "profile \"t3\" is neither a preset (PRESETS) nor a file")]
#[case::a_device("/dev/zero", "/dev/zero: not a file")]
fn a_profile_that_cannot_be_is_refused(#[case] profile: &str, #[case] message: &str) {
    let refused = output(&["serve", "--socket", "/tmp/never.sock", "--profile", profile]);
    let presets =
        sim_device::profile::PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
    let message = message.replace("PRESETS", &presets);
    assert_eq!((refused.status.code(), complaint(&refused)), (Some(2), format!("cxl-sim: {message}\n")));
}

#[test]
fn an_impossible_profile_is_refused_by_file_line_field_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("mine.toml");
    std::fs::write(&profile, "# mine\n[memory]\nsize = \"100MiB\"\n").unwrap();
    let refused = output(&["serve", "--socket", "/tmp/never.sock", "--profile", profile.to_str().unwrap()]);
    let line = "memory.size = 100MiB: must be a multiple of 256MiB from 256MiB to 64TiB";
    assert_eq!(complaint(&refused), format!("cxl-sim: {}:3: {line}\n", profile.display()));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn scenarios_run_against_a_server_of_somebody_else_one_after_another() {
    let serving = Serving::start(&[]);
    let ran = run(&bundled(), &["--device", &serving.name(), "--jobs", "4"]);
    assert_eq!(ran.code, 0);
    let summary = &ran.report["summary"];
    let [passed, failed, skipped] = ["passed", "failed", "skipped"].map(|key| summary[key].as_u64().unwrap());
    assert_eq!((passed + skipped, failed), (scenarios("") as u64, 0));
    assert!(passed >= 25, "only {passed} were run");
    let skipped: Vec<_> = ran.report["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["outcome"] == "skipped")
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    assert!(
        skipped.iter().all(|reason| reason.starts_with("needs ") || reason.contains("--abi is v2")),
        "{skipped:?}"
    );
    let strict = run(&bundled(), &["--device", &serving.name(), "--no-skip"]);
    assert_eq!(strict.code, 1, "what is skipped counts as failed when asked so");
}

#[test]
fn a_client_that_misbehaves_is_named_and_the_next_is_served() {
    let mut serving = Serving::start(&[]);
    let client = std::os::unix::net::UnixStream::connect(&serving.socket).unwrap();
    std::io::Write::write_all(&mut &client, &[0; 64]).unwrap();
    drop(client);
    assert_eq!(output(&["inspect", &serving.name()]).status.code(), Some(0));
    serving.signal(Signal::TERM);
    serving.child.wait().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(serving.child.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert!(said.contains("it sent what is no message: header: size cannot be 0x0"), "{said}");
    assert!(serving.folder.path().exists());
}
