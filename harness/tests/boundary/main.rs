//! A whole life of a machine with a device behind a socket, and an accident at each message of it in turn.
//!
//! There is one test here, so that no other opens files meanwhile.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod proxy;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use harness::host::Host;
use harness::process::DeviceProcess;
use harness::scenario::Loaded;
use harness::step;
use harness::step::Scene;
use harness::step::Verdict;
use harness::world::GuestKind;
use harness::world::Hardware;
use harness::world::Maker;
use harness::world::Source;
use harness::world::World;
use proxy::Accident;
use proxy::Proxy;
use sim_device::kernel::Abi;
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;
use vmm_core::program::Kept;
use vmm_core::run::bus::Then;

/// How long a device may take over an answer where it never answers.
const SHORT: Duration = Duration::from_millis(200);

const RAM: Gpa = Gpa::new(0x20_0000);
const PATTERN: u64 = 0x1122_3344_5566_7788;

const COPY: &str =
    "copy = { device = \"gpu0\", from = \"0x20_0000\", to_memory = 0x3000, length = 8, ends = \"done\" }";

/// A life with all ways to the device in it: memory, registers, configuration, a copy, both resets.
fn scenario(on_loss: &str) -> Loaded {
    let steps = [
        "store = { at = \"gpu0.window+0x1000\", width = 8, value = \"0x1122_3344_5566_7788\" }",
        "load = { at = \"gpu0.registers\", width = 4, is = 0x0211_0001 }",
        "store = { at = \"gpu0.component\", width = 4, value = 1 }",
        "load = { at = \"gpu0.config\", width = 4, is = 0xc7f2_1e98 }",
        COPY,
        "vfio_reset = { device = \"gpu0\" }",
        "machine_reset = {}",
        "load = { at = \"gpu0.window+0x1000\", width = 8, is = \"0x1122_3344_5566_7788\" }",
    ];
    let steps = steps.map(|step| format!("[[step]]\n{step}\n")).concat();
    let device = format!("[[device]]\nname = \"gpu0\"\non_loss = \"{on_loss}\"\n");
    Loaded::parse("x", "x.toml", &format!("proves = \"x\"\n{device}{steps}"), None).unwrap()
}

/// What a request is called, by the number of its command.
fn name(command: u16) -> &'static str {
    match command {
        1 => "VERSION",
        2 => "DMA_MAP",
        3 => "DMA_UNMAP",
        4 => "DEVICE_GET_INFO",
        5 => "DEVICE_GET_REGION_INFO",
        6 => "DEVICE_GET_REGION_IO_FDS",
        7 => "DEVICE_GET_IRQ_INFO",
        8 => "DEVICE_SET_IRQS",
        9 => "REGION_READ",
        10 => "REGION_WRITE",
        13 => "DEVICE_RESET",
        other => panic!("command {other}"),
    }
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

/// Where lives are lived.
struct Stage {
    proxy: Proxy,
    host: Host,
    maker: Maker,
}

/// When an accident came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// While the device was attached.
    Attaching,
    /// While the machine ran.
    Running,
    /// While it was undone, or never.
    Over,
}

impl Stage {
    /// One life with this accident at this request. When that was; the phase decides what must have come of it.
    fn live(&self, at: usize, accident: Accident, on_loss: &str) -> Phase {
        let before = files();
        self.proxy.expect(at, accident);
        let phase = self.attach_and_run(at, accident, on_loss);
        if accident == Accident::Freeze {
            self.host.thaw();
        }
        self.proxy.settle();
        if accident == Accident::Kill {
            // The new process has pipes of its own, as many as the old one had.
            self.host.restart(None).unwrap();
            assert_eq!(files().len(), before.len(), "files after {accident:?} at message {at}");
        } else {
            assert_eq!(files(), before, "files after {accident:?} at message {at}");
        }
        phase
    }

    fn attach_and_run(&self, at: usize, accident: Accident, on_loss: &str) -> Phase {
        let scenario = scenario(on_loss);
        let world = match self.maker.world(&scenario) {
            Ok(world) => world,
            Err(error) => {
                let request = name(self.proxy.commands()[at - 1]);
                assert!(accident != Accident::Slow, "slow at message {at}: {error}");
                assert!(error.to_string().contains(request), "{accident:?} at message {at}: {error}");
                return Phase::Attaching;
            }
        };
        if accident != Accident::Slow {
            assert!(self.proxy.commands().len() < at, "attached in spite of {accident:?} at message {at}");
        }
        let attached = self.proxy.commands().len();
        let mut scene = Scene::Machine(Box::new(world));
        let verdicts: Vec<_> =
            scenario.scenario.steps.iter().map(|step| step::carry_out(&mut scene, step)).collect();
        let made = self.proxy.commands();
        let failed = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Failed(_)));
        if made.len() < at || accident == Accident::Slow {
            assert!(!failed, "{accident:?} at message {at}: {verdicts:?}");
            return match made.len() {
                all if all < at => Phase::Over,
                _ if at <= attached => Phase::Attaching,
                _ => Phase::Running,
            };
        }
        let Scene::Machine(world) = &mut scene else { panic!("a machine") };
        let story = format!("{accident:?} at message {at}, {}: {verdicts:?}", name(made[at - 1]));
        judge(world, name(made[at - 1]), on_loss, &story);
        if on_loss == "reconnect" {
            let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n{COPY}\n");
            let again = Loaded::parse("x", "x.toml", &text, None).unwrap().scenario.steps.remove(0);
            assert!(matches!(step::carry_out(&mut scene, &again), Verdict::Passed(_)), "{story}");
        }
        Phase::Running
    }
}

/// What must have come of a loss while the machine ran.
fn judge(world: &mut World, request: &str, on_loss: &str, story: &str) {
    let running = &mut world.running;
    let losses = running.losses();
    assert_eq!(losses.len(), 1, "{story}");
    assert!(losses[0].error.call.to_string().contains(request), "{losses:?}: {story}");
    let device = running.plan().devices[0].clone();
    let places = [device.window.span.start().checked_add(0x1000).unwrap(), device.overlay.span.start()];
    let seen = match on_loss {
        "fail" => {
            assert_eq!((&losses[0].then, running.lost().is_some()), (&Then::Failed, true), "{story}");
            return;
        }
        "detach" => {
            assert_eq!((&losses[0].then, running.lost()), (&Then::Detached, None), "{story}");
            [u64::MAX, 0xffff_ffff]
        }
        _ => {
            assert_eq!((&losses[0].then, running.lost()), (&Then::Back(Kept::Same), None), "{story}");
            [PATTERN, 0x0211_0001]
        }
    };
    assert_eq!(running.load(places[0], Width::Qword), Ok(seen[0]), "{story}");
    assert_eq!(running.load(places[1], Width::Dword), Ok(seen[1]), "{story}");
    running.store(RAM, Width::Qword, PATTERN).unwrap();
    assert_eq!(running.load(RAM, Width::Qword), Ok(PATTERN), "{story}");
}

#[test]
fn whatever_befalls_the_server_at_whatever_message_is_told_and_survived_and_nothing_is_left() {
    let program = Path::new(env!("CARGO_BIN_EXE_cxl-sim"));
    let abi = Abi::named("v2").unwrap();
    let process = DeviceProcess::start(program, None, abi, DEFAULT_TIMEOUT).unwrap();
    let folder = process.socket().parent().unwrap().to_owned();
    let host = Host::new(process, program.to_owned(), None, abi);
    let between = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(between.path(), host.clone());
    let source = Source::VfioUser(proxy.path.clone());
    let maker = Maker {
        program: program.to_owned(),
        source,
        abi: Some(abi),
        guest: GuestKind::Soft,
        timeout: DEFAULT_TIMEOUT,
        hardware: Hardware::default(),
        journal: None,
    };
    let mut stage = Stage { proxy, host: host.clone(), maker };

    // A life without an accident: how many messages it has, and of which kinds.
    assert_eq!(stage.live(usize::MAX, Accident::None, "detach"), Phase::Over);
    let commands = stage.proxy.commands();

    for (accident, on_loss) in [
        (Accident::Cut, "fail"),
        (Accident::Cut, "detach"),
        (Accident::Cut, "reconnect"),
        (Accident::Half, "detach"),
        (Accident::Slow, "detach"),
        (Accident::Kill, "detach"),
    ] {
        let phases: Vec<_> = (1..=commands.len() + 1).map(|at| stage.live(at, accident, on_loss)).collect();
        assert!(phases.is_sorted(), "{accident:?}, {on_loss}: {phases:?}");
        let count = |phase| phases.iter().filter(|seen| **seen == phase).count();
        let counts = [Phase::Attaching, Phase::Running, Phase::Over].map(count);
        assert!(counts[0] >= 40 && counts[1] >= 25 && counts[2] >= 5, "{accident:?}, {on_loss}: {counts:?}");
    }

    // Of those that cost a time-out each, one of each kind in each phase.
    stage.maker.timeout = SHORT;
    let mut kinds = BTreeSet::new();
    for (index, command) in commands.iter().enumerate() {
        let is_late = index >= 45;
        if kinds.insert((is_late, *command)) {
            stage.live(index + 1, Accident::Freeze, "detach");
        }
    }
    assert!(kinds.len() >= 11, "{kinds:?}");

    // The process ends with the last who has it.
    assert!(folder.exists());
    stage.proxy.let_go();
    drop((stage, host));
    assert!(!folder.exists());
}
