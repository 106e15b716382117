//! The command line, as types.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::value_parser;
use lend::outside::Bdf;
use regex::Regex;
use sim_device::kernel::ABIS;
use sim_device::kernel::Abi;
use sim_device::kernel::DEFAULT_ABI;
use sim_device::server::Limits;
use vmm_core::backend::kernel::Way;
use vmm_core::plan::machine::Arch;

use super::bench::Bench;
use super::doctor::Doctor;
use super::merge::Merge;
use super::pages::Completions;
use super::pages::Man;
use super::shard::Shard;
use crate::world::Source;

/// Tests CXL Type-2 passthrough without hardware.
#[derive(Debug, Parser)]
#[command(name = "cxl-sim", version)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run scenarios: the bundled ones, or these files and folders
    Run(Run),
    /// Serve a simulated device over vfio-user until SIGTERM or SIGINT
    Serve(Serve),
    /// Show everything that can be found out about a device
    Inspect(Inspect),
    /// Write a profile of a device, which `serve` can play: no memory, no serial number
    Capture(Capture),
    /// Show in what a profile's device and another one differ, without harm to either
    Compare(Compare),
    /// Show what a scenario's machine would do, before anything is touched
    Plan(Plan),
    /// Write the ACPI tables of a scenario's machine
    Acpi(Acpi),
    /// List profiles or scenarios
    List(List),
    /// Print the JSON schema of a kind of file
    Schema(Schema),
    /// Put the JSON reports of all shards of a run together
    Merge(Merge),
    /// Live many lives of machines with accidents, and look what is left of each
    Soak(Soak),
    /// Tell in words what a fuzzer found, and try it again
    Replay(Replay),
    /// Put the defects on record back, one by one, and let the fuzz drivers find them again
    Refind(Refind),
    /// Measure against a raw socket, another crate and plain memory in the same run
    Bench(Bench),
    /// Say what this machine can do, and what each thing that is missing would enable
    Doctor(Doctor),
    /// Write the manual pages
    Man(Man),
    /// Print what a shell reads to complete words
    Completions(Completions),
    /// Run a program with the kernel's VFIO interface answered by a simulated device
    Lend(Lend),
    /// Become the program that a device is lent to
    #[command(hide = true)]
    LendEnter(LendEnter),
    /// Be what a device is compared with
    #[command(hide = true)]
    BenchPeer(Peer),
}

/// `cxl-sim replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The input, as a fuzzer left it
    pub(super) file: PathBuf,

    /// What was fuzzed. Without it, the name of the folder of the file
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
}

/// `cxl-sim refind`.
#[derive(Debug, Args)]
pub(super) struct Refind {
    /// How long is looked for each
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(super) seconds: Seconds,

    /// What all inputs follow from. Without it, some seed, which is told
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
}

impl Default for Command {
    fn default() -> Self {
        Self::Run(Run {
            paths: Vec::new(),
            device: DeviceName(Source::Sim),
            guest: Guest::Auto,
            abi: None,
            reports: Vec::new(),
            filter: None,
            shard: Shard::WHOLE,
            jobs: 1,
            no_skip: false,
            watch: false,
            timeout: DEFAULT_TIMEOUT,
            allow_touch: false,
            lend: None,
            as_wanted: false,
        })
    }
}

/// How long any one wait may take.
const DEFAULT_TIMEOUT: Seconds = Seconds(vmm_core::backend::vfio_user::DEFAULT_TIMEOUT);

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Scenario files, or folders of them
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Where devices come from: sim, vfio-user:SOCKET or vfio:BDF[,type1|,iommufd]
    #[arg(long, default_value = "sim")]
    pub(super) device: DeviceName,
    /// What runs the guest
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) guest: Guest,
    /// The kernel interface: of a simulated device, or what is assumed of another. Without it, a scenario's own
    #[arg(long, value_name = "v2|v3|next|plain", value_parser = abi)]
    pub(super) abi: Option<&'static Abi>,
    /// Write a report: FILE.json, FILE.xml or FILE.html
    #[arg(long = "report", value_name = "FILE")]
    pub(super) reports: Vec<PathBuf>,
    /// Run only scenarios whose name matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    pub(super) filter: Option<Regex>,
    /// Run only every Nth scenario, beginning with the Ith
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    pub(super) shard: Shard,
    /// Run so many scenarios at a time
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) jobs: usize,
    /// A scenario that is skipped counts as failed
    #[arg(long)]
    pub(super) no_skip: bool,
    /// Run again whenever a file of these scenarios changes, until Ctrl-C
    #[arg(long, requires = "paths")]
    pub(super) watch: bool,
    /// With vfio:BDF, run scenarios, too, that touch the device's memory, write its registers or reset it: this has
    /// hung real machines
    #[arg(long)]
    pub(super) allow_touch: bool,
    /// Lend each scenario its device by this way of the kernel's VFIO interface, instead of a socket
    #[arg(long, value_name = "type1|iommufd", value_parser = way, conflicts_with = "device")]
    pub(super) lend: Option<Way>,
    /// The device is the one that the scenario wants, and may be touched
    #[arg(long, hide = true)]
    pub(super) as_wanted: bool,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen
    #[arg(long, value_name = "PATH")]
    pub(super) socket: PathBuf,
    /// Which device to be: a preset's name, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = sim_device::profile::DEFAULT_PRESET)]
    pub(super) profile: String,
    /// The kernel interface that is simulated
    #[arg(long, value_name = "v2|v3|next|plain", value_parser = abi, default_value = DEFAULT_ABI.name)]
    pub(super) abi: &'static Abi,
    /// Keep what clients say in this folder, in a file with the number of the process for its name: `replay --target
    /// stream` tells it
    #[arg(long, value_name = "FOLDER", env = "CXL_SIM_RECORD")]
    pub(super) record: Option<PathBuf>,
    /// How long a client may take to negotiate, over the middle of a message, or over reading an answer
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
    /// The most ranges that a client may map for DMA
    #[arg(long, value_name = "N", default_value_t = Limits::MAX_DMA_MAPS,
        value_parser = value_parser!(u32).range(1..=i64::from(Limits::MAX_DMA_MAPS)))]
    pub(super) max_dma_maps: u32,
    /// The most files that may be behind these ranges
    #[arg(long, value_name = "N", default_value_t = Limits::default().dma_files)]
    pub(super) max_dma_files: u32,
    /// The most bytes of data in one message
    #[arg(long, value_name = "BYTES", default_value_t = Limits::MAX_DATA,
        value_parser = value_parser!(u32).range(i64::from(Limits::MIN_DATA)..=i64::from(Limits::MAX_DATA)))]
    pub(super) max_data: u32,
    /// Processes of this user may connect, too, not only of our own and root; may be given more than once
    #[arg(long, value_name = "UID")]
    pub(super) allow_uid: Vec<u32>,
    /// Give up what the server does not need, with seccomp and Landlock; best-effort does without Landlock where the
    /// kernel has none
    #[arg(long, value_enum, value_name = "full|best-effort", num_args = 0..=1, require_equals = true,
        default_missing_value = "full", hide_possible_values = true, conflicts_with = "lifeline")]
    pub(super) sandbox: Option<Sandbox>,
    /// End when standard input closes, too, and remove this folder at the end
    #[arg(long, hide = true, value_name = "FOLDER")]
    pub(super) lifeline: Option<PathBuf>,
}

/// How much of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sandbox {
    /// All of it, or no server
    Full,
    /// What the kernel has
    BestEffort,
}

#[derive(Debug, Args)]
pub(super) struct Lend {
    /// Which device to be: a preset's name, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = sim_device::profile::DEFAULT_PRESET)]
    pub(super) profile: String,
    /// The kernel interface that is simulated
    #[arg(long, value_name = "v2|v3|next|plain", value_parser = abi, default_value = DEFAULT_ABI.name)]
    pub(super) abi: &'static Abi,
    /// The address under which the program finds the device
    #[arg(long, value_name = "DDDD:BB:DD.F", default_value = "0000:c1:00.0")]
    pub(super) bdf: Bdf,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct LendEnter {
    /// Name of the supervisor's socket
    #[arg(long)]
    pub(super) channel: String,
    /// Number of the device's group
    #[arg(long)]
    pub(super) group: u32,
    /// Number of the device's own node
    #[arg(long)]
    pub(super) index: u32,
    #[command(flatten)]
    pub(super) lend: Lend,
}

#[derive(Debug, Args)]
pub(super) struct Peer {
    /// Where to listen
    #[arg(long)]
    pub(super) socket: PathBuf,
    /// What to be
    #[arg(long, value_enum)]
    pub(super) kind: PeerKind,
}

/// What a device is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerKind {
    /// Answers bytes with bytes
    Raw,
    /// Another crate's server
    Crate,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The device: sim, vfio-user:SOCKET or vfio:BDF[,type1|,iommufd]
    pub(super) device: DeviceName,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Debug, Args)]
pub(super) struct Capture {
    /// The device: sim, vfio-user:SOCKET or vfio:BDF[,type1|,iommufd]
    pub(super) device: DeviceName,
    /// The file for the profile
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The profile: a preset's name, or a file
    pub(super) profile: String,
    /// The device: sim, vfio-user:SOCKET or vfio:BDF[,type1|,iommufd]
    pub(super) device: DeviceName,
    /// The kernel interface that shows the profile's device. Without it, that of the other device
    #[arg(long, value_name = "v2|v3|next|plain", value_parser = abi)]
    pub(super) abi: Option<&'static Abi>,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The scenario's file, or the name of a bundled one
    pub(super) scenario: PathBuf,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Debug, Args)]
pub(super) struct Acpi {
    /// The scenario's file, or the name of a bundled one
    pub(super) scenario: PathBuf,
    /// The folder for the tables, NAME.dat each; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// The machine has the layout of this architecture, whatever the scenario says
    #[arg(long, value_name = "x86_64|aarch64", value_parser = arch)]
    pub(super) arch: Option<Arch>,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// What to list
    #[arg(value_enum)]
    pub(super) what: Listed,
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The kind of file
    #[arg(value_enum)]
    pub(super) what: Described,
}

/// A kind of file that has a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Described {
    /// A profile: which device to be
    Profile,
    /// A scenario: what is done and seen
    Scenario,
    /// What `run` reports as JSON
    Report,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("end").args(["seconds", "cycles"]).required(true).multiple(true))]
pub(super) struct Soak {
    /// No life begins after so long
    #[arg(long, value_name = "SECONDS")]
    pub(super) seconds: Option<Seconds>,
    /// The first life's seed; the others follow. Without it, some seed, which is told
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// So many lives and no more
    #[arg(long, value_name = "N")]
    pub(super) cycles: Option<u64>,
    /// What runs the guest: with KVM some lives have a soft guest, too
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) guest: Guest,
    /// How long any one wait may take
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: Seconds,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Listed {
    /// Profiles that come with the program
    Profiles,
    /// Scenarios that come with the program
    Scenarios,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Guest {
    /// KVM where it works, else soft
    Auto,
    /// A KVM vCPU
    Kvm,
    /// No hypervisor
    Soft,
}

/// The architecture with a name.
fn arch(name: &str) -> Result<Arch, String> {
    let names = || Arch::ALL.map(Arch::name).join(", ");
    Arch::ALL
        .into_iter()
        .find(|arch| arch.name() == name)
        .ok_or_else(|| format!("must be one of {}", names()))
}

/// The kernel with a name.
fn way(name: &str) -> Result<Way, String> {
    let known = [Way::Type1, Way::Iommufd].into_iter().find(|way| way.name() == name);
    known.ok_or_else(|| "must be type1 or iommufd".to_owned())
}

fn abi(name: &str) -> Result<&'static Abi, String> {
    let names = || ABIS.iter().map(|abi| abi.name).collect::<Vec<_>>().join(", ");
    Abi::named(name).ok_or_else(|| format!("must be one of {}", names()))
}

/// A device as the user names it.
#[derive(Clone, Debug)]
pub(super) struct DeviceName(Source);

impl DeviceName {
    /// Where the device comes from.
    pub(super) fn source(&self) -> Source {
        self.0.clone()
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "sim" => Ok(Self(Source::Sim)),
            Some(("vfio-user", path)) if !path.is_empty() => Ok(Self(Source::VfioUser(PathBuf::from(path)))),
            Some(("vfio", address)) => Ok(Self(Source::Vfio(address.parse()?))),
            _ => Err("must be sim, vfio-user:SOCKET or vfio:BDF[,type1|,iommufd]".to_owned()),
        }
    }
}

/// A regular expression, or what is wrong with it in one line.
fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

/// A time in seconds, above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seconds(pub(super) Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0.as_secs_f64())
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be a number of seconds from 0.001 to 86400".to_owned();
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        if (0.001..=86400.0).contains(&seconds) {
            Ok(Self(Duration::from_secs_f64(seconds)))
        } else {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[rstest]
    #[case("cxl-sim run --lend type1", true)]
    #[case("cxl-sim run --lend iommufd --jobs 2", true)]
    #[case("cxl-sim run --lend type2", false)]
    #[case("cxl-sim run --lend type1 --device sim", false)]
    #[case("cxl-sim lend --bdf 0000:c1:00.0 -- true", true)]
    #[case("cxl-sim lend -- true --abi v9", true)]
    #[case("cxl-sim lend --bdf c1:00.0 -- true", false)]
    #[case("cxl-sim lend --abi v9 -- true", false)]
    #[case("cxl-sim lend --abi v2", false)]
    #[case("cxl-sim lend true", false)]
    fn a_device_is_lent_by_a_way_that_there_is_and_to_a_program(#[case] line: &str, #[case] is_sound: bool) {
        assert_eq!(Arguments::try_parse_from(line.split(' ')).is_ok(), is_sound);
    }

    #[rstest]
    #[case("sim", "sim")]
    #[case("vfio-user:/run/device.sock", "vfio-user:/run/device.sock")]
    #[case("vfio:0002:81:00.0", "vfio:0002:81:00.0")]
    #[case("vfio:81:00.0,type1", "vfio:0000:81:00.0,type1")]
    fn a_device_is_named_as_it_is_understood(#[case] text: &str, #[case] named: &str) {
        assert_eq!(text.parse::<DeviceName>().unwrap().source().to_string(), named);
    }

    #[rstest]
    #[case("simulated")]
    #[case("vfio-user:")]
    #[case("vfio:")]
    #[case("vfio:81:00.0,type2")]
    #[case("")]
    fn what_is_no_device_is_refused(#[case] text: &str) {
        assert!(text.parse::<DeviceName>().is_err());
    }

    #[rstest]
    #[case("0")]
    #[case("-1")]
    #[case("NaN")]
    #[case("inf")]
    #[case("soon")]
    fn what_is_no_time_is_refused(#[case] text: &str) {
        assert!(text.parse::<Seconds>().is_err());
    }
}
