//! `cxl-sim run --watch`: runs, waits until a file of the scenarios changes, and runs again, until it is interrupted.
//!
//! Files are looked at a few times a second, by their times and lengths: that works on any file system and with any
//! editor. Looked at are the files and folders that the command names, what they include, and profiles beside them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

use super::Failure;
use super::args::Run;
use super::complain_of;
use super::run::once;
use super::run::say;
use crate::scenario::Loaded;
use crate::scenario::find::files;
use crate::scenario::find::find;

/// How often files are looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// What a file is known by; nothing if it is not there.
type Looks = BTreeMap<PathBuf, Option<(SystemTime, u64, u64)>>;

/// Runs again and again, and ends with the code of the last run.
pub(super) fn watch(args: &Run) -> Result<ExitCode, Failure> {
    let interrupted = Interrupted::listen().map_err(|error| Failure::Failed(error.to_string()))?;
    let mut beside = Vec::new();
    loop {
        // A change while it runs is one, too.
        beside = found_beside(&args.paths).unwrap_or(beside);
        let before = looks(&args.paths, &beside);
        let code = interrupted.while_running(|| match once(args) {
            Ok(code) => code,
            Err(failure) => {
                complain_of(&failure.to_string());
                ExitCode::from(failure.code())
            }
        });
        say(&format!("watching {} files", before.len()))?;
        let mut now = before.clone();
        // Who writes a file may be in the middle of it: it is run when it looks twice alike.
        while now == before || now != looks(&args.paths, &beside) {
            if interrupted.is_told() {
                return Ok(code);
            }
            now = looks(&args.paths, &beside);
            std::thread::sleep(GLANCE);
        }
    }
}

/// Whether the user has had enough. While scenarios run, this program ends as it does without `--watch`: at once, and
/// the devices with it.
struct Interrupted {
    is_running: Arc<AtomicBool>,
    is_told: Arc<AtomicBool>,
}

impl Interrupted {
    fn listen() -> std::io::Result<Self> {
        let interrupted = Self { is_running: Arc::default(), is_told: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, interrupted.is_running.clone())?;
            flag::register(signal, interrupted.is_told.clone())?;
        }
        Ok(interrupted)
    }

    fn while_running<T>(&self, run: impl FnOnce() -> T) -> T {
        self.is_running.store(true, Ordering::SeqCst);
        let done = run();
        self.is_running.store(false, Ordering::SeqCst);
        done
    }

    fn is_told(&self) -> bool {
        self.is_told.load(Ordering::SeqCst)
    }
}

/// The files that scenarios at these paths have beside themselves; nothing where one has a mistake.
fn found_beside(paths: &[PathBuf]) -> Option<Vec<PathBuf>> {
    let scenarios = find(paths).ok()?;
    Some(scenarios.iter().flat_map(beside).collect())
}

fn beside(scenario: &Loaded) -> Vec<PathBuf> {
    let folder = Path::new(&scenario.file).parent().unwrap_or(Path::new(""));
    let profiles = scenario.scenario.devices.iter().filter_map(|device| device.profile.as_ref());
    let profiles = profiles.map(|profile| folder.join(profile)).filter(|path| path.is_file());
    scenario.includes.iter().map(PathBuf::from).chain(profiles).collect()
}

fn looks(paths: &[PathBuf], beside: &[PathBuf]) -> Looks {
    // A folder that cannot be read has no files, until it can be.
    let named = files(paths).unwrap_or_default();
    let look = |path: PathBuf| {
        let seen = std::fs::metadata(&path).ok();
        let known = seen.and_then(|seen| Some((seen.modified().ok()?, seen.len(), seen.ino())));
        (path, known)
    };
    named.into_iter().chain(beside.iter().cloned()).map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\n";

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn what_is_looked_at_is_the_files_what_they_include_and_profiles_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("all")).unwrap();
        write(
            &at("all/a.toml"),
            &format!("include = [\"../base.toml\"]\n{SCENARIO}profile = \"gpu.profile\"\n"),
        );
        write(&at("all/gpu.profile"), "");
        write(&at("all/other.txt"), "");
        write(&at("base.toml"), "");
        let paths = [at("all")];
        let beside = found_beside(&paths).unwrap();
        let seen: Vec<_> = looks(&paths, &beside).into_keys().collect();
        assert_eq!(seen, [at("all/a.toml"), at("all/gpu.profile"), at("base.toml")]);
    }

    #[test]
    fn a_file_that_comes_goes_or_is_written_looks_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        let paths = [folder.path().to_owned()];
        let mut all = vec![looks(&paths, &[])];
        let mut changed = |what: &str| {
            let now = looks(&paths, &[]);
            assert_ne!(all.last(), Some(&now), "{what}");
            all.push(now);
        };
        write(&first, SCENARIO);
        changed("the first came");
        write(&second, SCENARIO);
        changed("the second came");
        write(&first, "");
        changed("the first was written");
        std::fs::rename(&second, &first).unwrap();
        changed("the second is the first");
        std::fs::remove_file(&first).unwrap();
        changed("the first went");
        assert_eq!(looks(&paths, &[]), looks(&paths, &[]));
    }

    #[test]
    fn with_a_mistake_it_is_not_known_what_is_beside() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a.toml"), "proves = 1\n");
        assert_eq!(found_beside(&[folder.path().to_owned()]), None);
    }
}
