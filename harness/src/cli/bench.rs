//! `cxl-sim bench`.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;

use super::Failure;
use super::args;
use super::args::PeerKind;
use super::file_failure;
use super::run::say;
use super::this_program;
use crate::bench;
use crate::bench::Effort;
use crate::bench::Results;
use crate::bench::baseline::Baseline;
use crate::bench::peer;
use crate::bench::plot;

/// `cxl-sim bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Write the numbers as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a drawing of the ratios: FILE.svg, or FILE.html with the numbers
    #[arg(long, value_name = "FILE", value_parser = drawing)]
    report: Option<PathBuf>,
    /// Keep the ratios in this file, for a later --compare
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Name each ratio that is worse than in this file, which --baseline wrote; 1 if there is one
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// How many times worse a ratio may be
    #[arg(long, value_name = "FACTOR", default_value = "1.5", requires = "compare")]
    tolerance: Factor,
    /// Small machines, and a few turns of each: whether it works, and no number to rely on
    #[arg(long)]
    quick: bool,
}

/// A factor from 1 up.
#[derive(Clone, Copy, Debug)]
struct Factor(f64);

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor >= 1.0);
        factor.map(Self).ok_or_else(|| "must be a number from 1 up".to_owned())
    }
}

/// A file whose name says how it is to be written.
fn drawing(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(OsStr::to_str) {
        Some("svg" | "html") => Ok(path),
        _ => Err("must end in .svg or .html".to_owned()),
    }
}

pub(super) fn bench(args: &Bench) -> Result<ExitCode, Failure> {
    // A baseline that cannot be read is found out before anything is measured.
    let former = args.compare.as_deref().map(read).transpose()?;
    let effort = if args.quick { Effort::Quick } else { Effort::Whole };
    let results = bench::run(&this_program()?, effort).map_err(|error| Failure::Failed(error.to_string()))?;
    say(&results.text())?;
    let is_page = |path: &Path| path.extension() == Some(OsStr::new("html"));
    let drawn = |path: &Path| if is_page(path) { plot::page(&results) } else { plot::svg(&results) };
    write(args.json.as_deref(), |_| results.json())?;
    write(args.report.as_deref(), drawn)?;
    write(args.baseline.as_deref(), |_| Baseline::of(&results).json())?;
    match (former, &args.compare) {
        (Some(former), Some(path)) => judge(&former, path, &results, args.tolerance.0),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn read(path: &Path) -> Result<Baseline, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| file_failure(path, &error))?;
    Baseline::parse(&text).map_err(|error| Failure::File(format!("{}: {error}", path.display())))
}

fn write(path: Option<&Path>, text: impl FnOnce(&Path) -> String) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text(path)).map_err(|error| file_failure(path, &error))
}

/// Says what is worse than it was.
fn judge(former: &Baseline, path: &Path, results: &Results, tolerance: f64) -> Result<ExitCode, Failure> {
    let file = path.display();
    let worse = former.compare(results, tolerance);
    let worse = worse.map_err(|error| Failure::File(format!("{file}: {error}")))?;
    for regression in &worse {
        say(&format!("worse: {regression}"))?;
    }
    match worse.len() {
        0 => {
            say(&format!("no ratio is more than {tolerance} times worse than in {file}"))?;
            Ok(ExitCode::SUCCESS)
        }
        count => Err(Failure::Failed(format!("{count} ratios are worse than in {file}"))),
    }
}

pub(super) fn peer(args: &args::Peer) -> Result<ExitCode, Failure> {
    let socket: &Path = &args.socket;
    let served = match args.kind {
        PeerKind::Raw => peer::serve_raw(socket),
        PeerKind::Crate => peer::serve_crate(socket),
    };
    served.map_err(Failure::Failed)?;
    Ok(ExitCode::SUCCESS)
}
