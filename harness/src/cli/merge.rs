//! `cxl-sim merge`.

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::file_failure;
use super::reports::open_reports;
use super::reports::write_reports;
use super::run::ended;
use crate::report::json;
use crate::report::shard;

/// `cxl-sim merge`.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// Reports that end in .json: of every shard, each once. Those of several runs follow each other
    #[arg(required = true, value_name = "REPORT")]
    pub(super) inputs: Vec<PathBuf>,
    /// Write a report: FILE.json, FILE.xml or FILE.html
    #[arg(long = "report", value_name = "FILE")]
    pub(super) reports: Vec<PathBuf>,
    /// A scenario that was skipped counts as failed
    #[arg(long)]
    pub(super) no_skip: bool,
}

pub(super) fn merge(args: &Merge) -> Result<ExitCode, Failure> {
    // All are read before one is written: what comes out may be at the place of what went in.
    let inputs = args.inputs.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let merged = shard::merge(inputs).map_err(|wrong| Failure::File(wrong.to_string()))?;
    write_reports(open_reports(&args.reports)?, &merged)?;
    ended(&merged, args.no_skip)
}

fn read(path: &Path) -> Result<shard::Named, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| file_failure(path, &error))?;
    let report = json::parse(&text);
    let report = report
        .map_err(|error| Failure::File(format!("{}: no report of cxl-sim: {error}", path.display())))?;
    Ok((path.display().to_string(), report))
}
