//! The files that a run is reported in: the ending of a name says which kind it is.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::Failure;
use super::file_failure;
use crate::report::html;
use crate::report::json;
use crate::report::json::Report;
use crate::report::junit;

/// A kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// For scripts.
    Json,
    /// For the pages of others.
    Junit,
    /// To look at.
    Html,
}

impl Kind {
    /// The kind of the report in this file.
    fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(OsStr::to_str) {
            Some("json") => Ok(Self::Json),
            Some("xml") => Ok(Self::Junit),
            Some("html") => Ok(Self::Html),
            _ => {
                Err(Failure::Usage(format!("--report {}: must end in .json, .xml or .html", path.display())))
            }
        }
    }

    /// The report as a text.
    fn render(self, report: &Report) -> Result<String, Failure> {
        match self {
            Self::Json => Ok(json::render(report)),
            Self::Junit => {
                junit::render(&report.scenarios).map_err(|error| Failure::Failed(error.to_string()))
            }
            Self::Html => Ok(html::render(&report.scenarios)),
        }
    }

    /// Whether it wants to know what there is to see of each scenario.
    fn is_seen(self) -> bool {
        match self {
            Self::Json | Self::Html => true,
            Self::Junit => false,
        }
    }
}

/// A report that can be written.
#[derive(Debug)]
pub(super) struct Open<'a> {
    path: &'a Path,
    kind: Kind,
    file: File,
}

impl Open<'_> {
    /// Whether it wants to know what there is to see of each scenario.
    pub(super) fn is_seen(&self) -> bool {
        self.kind.is_seen()
    }
}

/// Opens the reports before anything runs: a report that cannot be written is found out at once.
pub(super) fn open_reports(paths: &[PathBuf]) -> Result<Vec<Open<'_>>, Failure> {
    let kinds = paths.iter().map(|path| Ok((path.as_path(), Kind::of(path)?)));
    let kinds: Vec<_> = kinds.collect::<Result<_, Failure>>()?;
    let open = |(path, kind)| {
        let file = File::create(path).map_err(|error| file_failure(path, &error))?;
        Ok(Open { path, kind, file })
    };
    kinds.into_iter().map(open).collect()
}

/// Writes all of them.
pub(super) fn write_reports(reports: Vec<Open<'_>>, report: &Report) -> Result<(), Failure> {
    for Open { path, kind, mut file } in reports {
        let text = kind.render(report)?;
        file.write_all(text.as_bytes()).map_err(|error| file_failure(path, &error))?;
    }
    Ok(())
}
