//! `cxl-sim replay`.

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use sim_device::server::Record;

use super::Failure;
use super::args;
use super::run::say;
use crate::replay::TARGETS;
use crate::replay::Target;

/// The longest input that is read: a record. Fuzzers keep theirs far below.
const LONGEST: u64 = Record::LONGEST;

pub(super) fn replay(args: &args::Replay) -> Result<ExitCode, Failure> {
    let target = target(args)?;
    let bytes = read(&args.file).map_err(|why| Failure::File(format!("{}: {why}", args.file.display())))?;
    say(&format!("{}: {}", target.name, target.about))?;
    for (index, line) in target.tell(&bytes).iter().enumerate() {
        say(&format!("{:4}  {line}", index + 1))?;
    }
    // What does not hold is told by the assertion itself, with its place.
    match catch_unwind(|| target.run(&bytes)) {
        Ok(()) => say("holds").map(|()| ExitCode::SUCCESS),
        Err(_) => Err(Failure::Failed("it does not hold".to_owned())),
    }
}

/// What was fuzzed: as the user says, or the folder of the file.
fn target(args: &args::Replay) -> Result<Target, Failure> {
    let folder = args.file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = args.target.clone().or(folder).unwrap_or_default();
    Target::named(&name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        Failure::Usage(format!("--target: nothing is fuzzed as {name:?}; there are {}", names.join(", ")))
    })
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > LONGEST {
        return Err(format!("{length} bytes, where at most {LONGEST} are read"));
    }
    std::fs::read(file).map_err(|error| error.to_string())
}
