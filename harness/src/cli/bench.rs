//! `cxl-sim bench`.

use std::path::Path;
use std::process::ExitCode;

use super::Failure;
use super::args;
use super::args::PeerKind;
use super::file_failure;
use super::run::say;
use super::this_program;
use crate::bench;
use crate::bench::peer;

pub(super) fn bench(args: &args::Bench) -> Result<ExitCode, Failure> {
    let results = bench::run(&this_program()?).map_err(|error| Failure::Failed(error.to_string()))?;
    say(&results.text())?;
    if let Some(path) = &args.json {
        std::fs::write(path, results.json()).map_err(|error| file_failure(path, &error))?;
    }
    Ok(ExitCode::SUCCESS)
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
