//! `cxl-sim serve` under attack: what its clients make it hold, who they may be, and the sandbox that it is in.

use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rstest::rstest;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::process::Signal;

use crate::bundled;
use crate::complaint;
use crate::run;
use crate::serve::Serving;
use crate::serve::output;

/// A `VERSION` without a text.
const VERSION: [u8; 20] = [1, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// A `DMA_MAP` of a page, with or without a file.
const MAP: [u8; 48] = [
    2, 0, 2, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16,
    0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0,
];

/// A `DEVICE_SET_IRQS` that attaches an event to MSI-X vector 0.
const ATTACH: [u8; 36] = [
    3, 0, 8, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 36, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    0, 0,
];

fn connect(serving: &Serving) -> UnixStream {
    let mut stream = UnixStream::connect(&serving.socket).unwrap();
    stream.write_all(&VERSION).unwrap();
    stream.read_exact(&mut [0; 20]).unwrap();
    stream
}

/// Sends bytes with so many copies of a file.
fn send(stream: &UnixStream, bytes: &[u8], count: usize) {
    let file = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let files = vec![file.as_fd(); count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(files.is_empty() || control.push(SendAncillaryMessage::ScmRights(&files)));
    rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
}

/// What a process holds: descriptors, mappings of files in memory, threads.
fn held(process: u32) -> [usize; 3] {
    let of = |what: &str| Path::new("/proc").join(process.to_string()).join(what);
    let entries = |what| std::fs::read_dir(of(what)).unwrap().count();
    let maps = std::fs::read_to_string(of("maps")).unwrap();
    [entries("fd"), maps.lines().filter(|line| line.contains("memfd:")).count(), entries("task")]
}

#[rstest]
fn two_hundred_clients_that_end_badly_leave_nothing_behind(#[values(false, true)] sandbox: bool) {
    let more: &[&str] = if sandbox { &["--sandbox"] } else { &[] };
    let mut serving = Serving::start(more);
    let first = connect(&serving);
    let before = held(serving.child.id());
    drop(first);
    for number in 0..200 {
        let mut stream = connect(&serving);
        let (message, files) = match number % 4 {
            0 => (&MAP[..], 1),
            1 => (&ATTACH[..], 1),
            2 => (&MAP[..number % 48], 16),
            _ => (&MAP[..], 17),
        };
        if !message.is_empty() {
            send(&stream, message, files);
        }
        if number % 3 == 0 {
            // Some wait for an answer and some do not.
            stream.set_nonblocking(true).unwrap();
            let _ = stream.read(&mut [0; 16]);
        }
    }
    // Whoever is served now comes when all others have gone.
    let last = connect(&serving);
    assert_eq!(held(serving.child.id()), before);
    drop(last);
    serving.signal(Signal::TERM);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    serving.child.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
    let lines =
        said.lines().filter(|line| line.contains("wrong were: messages with too much in them: 1")).count();
    assert_eq!(lines, 50, "one line for each client with 17 files: {said}");
}

#[test]
fn every_thread_of_a_server_in_a_sandbox_is_confined() {
    let serving = Serving::start(&["--sandbox"]);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", serving.child.id())).unwrap();
    let states: Vec<_> =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect();
    assert_eq!(states.len(), 2, "one serves, one waits for signals");
    for state in states {
        assert!(state.contains("NoNewPrivs:\t1\n") && state.contains("Seccomp:\t2\n"), "{state}");
    }
}

/// The scenarios of a run against this server, and how each ended.
fn outcomes(serving: &Serving) -> Vec<(String, String)> {
    let ran = run(&bundled(), &["--device", &serving.name()]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let scenarios = ran.report["scenarios"].as_array().unwrap();
    scenarios.iter().map(|scenario| (text(&scenario["name"]), text(&scenario["outcome"]))).collect()
}

#[test]
fn scenarios_end_in_a_sandbox_as_they_do_without() {
    let confined = outcomes(&Serving::start(&["--sandbox"]));
    assert_eq!(confined, outcomes(&Serving::start(&[])));
    let passed = |part: &str| {
        confined.iter().filter(|(name, outcome)| name.contains(part) && outcome == "passed").count()
    };
    assert!(passed("") > 20 && passed("dma/") > 0 && passed("regression/18") > 0, "{confined:?}");
}

#[rstest]
#[case::asked_to_end(Signal::TERM)]
#[case::interrupted(Signal::INT)]
fn a_server_in_a_sandbox_ends_with_0_and_takes_its_socket_away(#[case] signal: Signal) {
    let mut serving = Serving::start(&["--sandbox=best-effort"]);
    let _client = connect(&serving);
    serving.signal(signal);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    assert!(!serving.socket.exists());
}

#[test]
fn another_user_may_connect_only_where_it_is_asked_for() {
    let own = rustix::process::geteuid().as_raw();
    let mode = |serving: &Serving| std::fs::metadata(&serving.socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&Serving::start(&["--allow-uid", &own.to_string(), "--allow-uid", "0"])), 0o600);
    assert_eq!(mode(&Serving::start(&["--allow-uid", &(own + 1).to_string()])), 0o666);
}

#[rstest]
#[case::no_maps("--max-dma-maps=0", "0 is not in 1..=65535")]
#[case::more_maps_than_a_client_takes_for_an_answer("--max-dma-maps=65536", "65536 is not in 1..=65535")]
#[case::less_data_than_a_message_without("--max-data=4095", "4095 is not in 4096..=1048576")]
#[case::more_data_than_there_is_a_buffer_for("--max-data=1048577", "1048577 is not in 4096..=1048576")]
#[case::no_such_sandbox("--sandbox=some", "invalid value 'some'")]
#[case::no_user("--allow-uid=root", "invalid value 'root'")]
fn a_limit_that_cannot_be_is_refused(#[case] option: &str, #[case] message: &str) {
    let refused = output(&["serve", "--socket", "/tmp/never.sock", option]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(complaint(&refused).contains(message), "{}", complaint(&refused));
}
