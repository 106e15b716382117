//! What this process holds of the system: files, mappings, threads and child processes.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

/// How often it is looked again whether something that ends has ended.
const GLANCE: Duration = Duration::from_millis(2);

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Open files.
    pub files: usize,
    /// Mappings of files of devices, guests and vCPUs.
    pub mappings: usize,
    /// Threads.
    pub threads: usize,
    /// Child processes, also those that have ended and that nobody has waited for.
    pub processes: usize,
}

impl Left {
    /// What there is now.
    pub fn now() -> Self {
        let mappings = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let ours = |line: &&str| line.contains("/memfd:") || line.contains("anon_inode:");
        Self {
            // The folder that is being read is open itself.
            files: entries("/proc/self/fd").saturating_sub(1),
            mappings: mappings.lines().filter(ours).count(),
            threads: entries("/proc/self/task"),
            processes: children(),
        }
    }

    /// What is more now than there was. What ends by itself has until `patience` is at its end.
    pub fn since(before: &Self, patience: Duration) -> Self {
        let begun = Instant::now();
        loop {
            let left = Self::now().less(before);
            if left.is_nothing() || begun.elapsed() > patience {
                return left;
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn less(self, before: &Self) -> Self {
        Self {
            files: self.files.saturating_sub(before.files),
            mappings: self.mappings.saturating_sub(before.mappings),
            threads: self.threads.saturating_sub(before.threads),
            processes: self.processes.saturating_sub(before.processes),
        }
    }

    /// Whether there is nothing.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// How many processes have this one for a parent.
fn children() -> usize {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter(|process| parent(&process.path()).as_deref() == Some(own.as_str())).count()
}

/// The number of a process's parent: what is second behind the name, which is in parentheses.
fn parent(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1).map(str::to_owned)
}

/// Bytes of memory of its own that this process has in use.
pub(super) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return out.write_str("nothing");
        }
        let Self { files, mappings, threads, processes } = self;
        write!(out, "{files} files, {mappings} mappings, {threads} threads, {processes} processes")
    }
}
