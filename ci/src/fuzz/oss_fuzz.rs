//! The targets as OSS-Fuzz and `ClusterFuzzLite` build them: by the script that they run, with each sanitizer.
//!
//! ```text
//!  ci/oss-fuzz/build.sh ─▶ $OUT/TARGET, its dictionary, options and seeds ─▶ each runs there for a second
//! ```
//!
//! Their image has a nightly toolchain, and so has this step. Which sanitizers there are, the compiler is asked.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::LONGEST;
use super::NOTHING;
use super::dictionary;
use super::found;
use super::targets;
use super::unreadable;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::nightly;
use crate::nightly::nightly;
use crate::step::Outcome;
use crate::workspace::Workspace;

const SCRIPT: &str = "ci/oss-fuzz/build.sh";

/// The dictionary as the script copies it.
const DICTIONARY: &str = "ci/oss-fuzz/registers.dict";

/// The sanitizer that must be there; it is the only one that OSS-Fuzz has for Rust.
const ADDRESS: &str = "address";

/// The others that it has for other languages. They are tried if the compiler has them.
const OTHERS: [&str; 2] = [MEMORY, "undefined"];

/// The sanitizer for memory that is read before it is written.
const MEMORY: &str = "memory";

/// What the script leaves out with the sanitizer for memory, which does not know what fstat writes: the targets whose
/// clients map files.
const UNKNOWN_TO_MEMORY: [&str; 3] = ["life", "session", "stream"];

/// The standard library's sources: the sanitizer for memory wants them compiled too.
const SOURCES: &str = "rust-src";

/// What the script and the step need besides the compiler.
const TOOLS: [&str; 4] = ["bash", "c++", "zip", "unzip"];

/// Builds the targets by the script with every sanitizer that there is, and runs each from where it was put.
pub(crate) fn build_and_run(workspace: &Workspace) -> Outcome {
    if let Err(why) = ready(workspace) {
        return Outcome::Skipped(why);
    }
    let others = OTHERS.map(|sanitizer| match lacks(workspace, sanitizer) {
        Some(why) => Ok(format!("{sanitizer:9} not built: {why}")),
        None => sanitized(workspace, sanitizer),
    });
    let all = [kept(workspace), sanitized(workspace, ADDRESS)].into_iter().chain(others);
    match all.collect::<Result<Vec<_>, _>>() {
        Ok(told) => Outcome::Passed(told.join("\n").trim_start().to_owned()),
        Err(said) => Outcome::Failed(said),
    }
}

/// Writes the dictionary anew.
pub(crate) fn bless(workspace: &Workspace) -> Outcome {
    let file = workspace.root.join(DICTIONARY);
    match std::fs::write(&file, dictionary::text()) {
        Ok(()) => Outcome::Passed(format!("{DICTIONARY} is written")),
        Err(error) => Outcome::Failed(unreadable(&file, &error)),
    }
}

/// The toolchain and the tools, or why the step cannot be taken.
fn ready(workspace: &Workspace) -> Result<(), String> {
    for tool in TOOLS {
        let version = if tool.ends_with("zip") { "-v" } else { "--version" };
        run(program(workspace, tool, version)).map_err(|said| format!("no {tool}: {}", reason(&said)))?;
    }
    nightly::add(workspace, &[]).map_err(|said| format!("no nightly toolchain: {}", reason(&said)))?;
    lacks(workspace, ADDRESS).map_or(Ok(()), Err)
}

/// Why there is no such sanitizer, if there is none.
fn lacks(workspace: &Workspace, sanitizer: &str) -> Option<String> {
    let probe = nightly(workspace, &format!("rustc -Zsanitizer={sanitizer} --print cfg"));
    let sources = if sanitizer == MEMORY { &[SOURCES][..] } else { &[] };
    let said = run(probe).and_then(|_| nightly::add(workspace, sources)).err()?;
    Some(in_short(reason(&said)).to_owned())
}

/// What the compiler refuses, without the list of what it would take.
fn in_short(said: &str) -> &str {
    said.split(" - ").next().unwrap_or(said)
}

/// Whether the dictionary that is kept is that of the tables.
fn kept(workspace: &Workspace) -> Result<String, String> {
    let file = workspace.root.join(DICTIONARY);
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
    if text == dictionary::text() {
        return Ok(String::new());
    }
    Err(format!("{DICTIONARY} is not what the tables say; cargo ci oss-fuzz --bless writes it anew"))
}

/// Builds with one sanitizer and runs every target.
fn sanitized(workspace: &Workspace, sanitizer: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (sources, out) = (folder.path().join("src"), folder.path().join("out"));
    for made in [&sources, &out] {
        std::fs::create_dir(made).map_err(|error| unreadable(made, &error))?;
    }
    let link = sources.join("cxl-sim");
    symlink(&workspace.root, &link).map_err(|error| unreadable(&link, &error))?;
    let mut build = nightly(workspace, &format!("bash {SCRIPT}"));
    build.env("SRC", &sources).env("OUT", &out).env("SANITIZER", sanitizer).env_remove("RUSTFLAGS");
    build.env("CARGO_TARGET_DIR", workspace.root.join(format!("fuzz/target/oss-fuzz-{sanitizer}")));
    run(build).map_err(|said| format!("{sanitizer}: {said}"))?;
    let mut names = targets(&workspace.root.join("fuzz/fuzz_targets"))?;
    names.retain(|name| name != NOTHING);
    let left_out = if sanitizer == MEMORY { &UNKNOWN_TO_MEMORY[..] } else { &[] };
    let (left_out, names): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| left_out.contains(&name.as_str()));
    for target in &names {
        run(for_a_second(workspace, &out, target)?)
            .map_err(|said| format!("{sanitizer}: {}", found(target, &said)))?;
    }
    let ran = format!("{sanitizer:9} {} targets built, and each ran for a second", names.len());
    let why = "as it does not know what fstat writes";
    Ok(if left_out.is_empty() { ran } else { format!("{ran}; left out {why}: {}", left_out.join(", ")) })
}

/// A target beside its files, as their runner starts it: with its seeds, its dictionary and its longest input.
fn for_a_second(workspace: &Workspace, out: &Path, target: &str) -> Result<Command, String> {
    let corpus = seeds(workspace, out, target)?;
    let options = std::fs::read_to_string(out.join(format!("{target}.options")));
    let expected = format!("[libfuzzer]\nmax_len = {LONGEST}\n");
    if options.ok().as_ref() != Some(&expected) {
        return Err(format!("{target}.options is not {expected:?}"));
    }
    let options = format!("-max_total_time=1 -max_len={LONGEST} -dict={target}.dict -verbosity=0");
    let mut command = program(workspace, &out.join(target).display().to_string(), &options);
    command.arg(corpus).current_dir(out);
    Ok(command)
}

/// The folder of a target's corpus, with what the archive of its seeds has, if there is one.
fn seeds(workspace: &Workspace, out: &Path, target: &str) -> Result<PathBuf, String> {
    let corpus = out.join(format!("{target}.corpus"));
    std::fs::create_dir(&corpus).map_err(|error| unreadable(&corpus, &error))?;
    let archive = out.join(format!("{target}_seed_corpus.zip"));
    if archive.exists() {
        let mut unpack = program(workspace, "unzip", "-q");
        unpack.arg(&archive).arg("-d").arg(&corpus);
        run(unpack)?;
    }
    Ok(corpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_that_is_kept_is_that_of_the_tables() {
        assert_eq!(kept(&Workspace::load().unwrap()), Ok(String::new()));
    }

    #[test]
    fn what_the_script_leaves_out_is_told() {
        let script = Workspace::load().unwrap().root.join(SCRIPT);
        let lists: Vec<_> = std::fs::read_to_string(script)
            .unwrap()
            .lines()
            .filter_map(|line| Some(line.trim().strip_prefix("left_out=")?.trim_matches('"').to_owned()))
            .collect();
        assert_eq!(lists, ["", &UNKNOWN_TO_MEMORY.join(" ")]);
    }

    #[test]
    fn a_refusal_is_told_without_the_list_of_what_there_is() {
        let said = "error: incorrect value `undefined` for `sanitizer` - one of `address` was expected";
        assert_eq!(in_short(said), "error: incorrect value `undefined` for `sanitizer`");
        assert_eq!(in_short("no network"), "no network");
    }

    #[test]
    fn a_target_runs_with_the_options_that_the_script_wrote_and_not_without() {
        let workspace = Workspace::load().unwrap();
        let out = tempfile::tempdir().unwrap();
        assert!(for_a_second(&workspace, out.path(), "wire").is_err());
        std::fs::write(out.path().join("chain.options"), format!("[libfuzzer]\nmax_len = {LONGEST}\n"))
            .unwrap();
        let command = for_a_second(&workspace, out.path(), "chain").unwrap();
        assert_eq!(command.get_program(), out.path().join("chain"));
        assert!(command.get_args().any(|argument| argument == "-dict=chain.dict"));
    }
}
