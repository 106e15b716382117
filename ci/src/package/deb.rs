//! Debian packages of the static programs, with the pages and completions that the program writes itself.
//!
//! A package of a static program depends on nothing: it is installed where there is nothing, tried there, and removed.

use std::path::Path;
use std::path::PathBuf;

use super::PACKAGE;
use super::PROGRAM;
use super::TRIALS;
use super::add_command;
use super::musl::TARGETS;
use super::musl::Target;
use super::musl::build;
use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::foreign::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// What a package must have, beside a page for each command.
const FILES: [&str; 7] = [
    "./usr/bin/cxl-sim",
    "./usr/share/bash-completion/completions/cxl-sim",
    "./usr/share/doc/cxl-sim/copyright",
    "./usr/share/fish/vendor_completions.d/cxl-sim.fish",
    "./usr/share/man/man1/cxl-sim-doctor.1.gz",
    "./usr/share/man/man1/cxl-sim.1.gz",
    "./usr/share/zsh/vendor-completions/_cxl-sim",
];

/// The shells, and what the manifest calls what each reads.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "cxl-sim.bash"), ("zsh", "_cxl-sim"), ("fish", "cxl-sim.fish")];

/// Sees what is wrong with a page, where one of these is there.
const READERS: [&str; 2] = ["mandoc -T lint -W warning", "groff -man -ww -Tutf8 -z"];

/// Makes a root of the folder for dpkg, installs the package there, and says what was installed.
const INSTALL: &str =
    "set -e; mkdir -p \"$0/var/lib/dpkg/info\" \"$0/var/lib/dpkg/updates\" \"$0/proc\" \"$0/tmp\"
touch \"$0/var/lib/dpkg/status\"; dpkg --root=\"$0\" --install \"$1\" >&2
busybox mount -t proc proc \"$0/proc\"; trap 'busybox umount \"$0/proc\"' EXIT
for words in \"$2\" \"$3\" \"$4\" \"$5\"; do chroot \"$0\" cxl-sim $words; done
dpkg --root=\"$0\" --purge cxl-sim >&2; test ! -e \"$0/usr/bin/cxl-sim\"";

/// Makes both packages, and tries that of this machine.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    if let Err(said) = add_command(workspace, "deb") {
        return Outcome::Skipped(format!("no cargo-deb: {}", reason(&said)));
    }
    let mut programs = Vec::new();
    for target in &TARGETS {
        match build(workspace, target) {
            Ok(file) => programs.push((target, file)),
            Err(outcome) => return outcome,
        }
    }
    match packed(workspace, &programs) {
        Ok(told) => Outcome::Passed(told.join("\n")),
        Err(said) => Outcome::Failed(said),
    }
}

fn packed(workspace: &Workspace, programs: &[(&Target, PathBuf)]) -> Result<Vec<String>, String> {
    let here = programs.iter().find(|(target, _)| target.is_here());
    let (_, here) = here.ok_or("no program is for this machine, which was to write the pages")?;
    let mut told = Vec::new();
    for (target, file) in programs {
        let beside = file.parent().unwrap_or(file).join("package");
        write_pages(here, &beside)?;
        let pages = pages(&beside.join("man"))?;
        if told.is_empty() {
            told.push(pages_read(workspace, &pages)?);
        }
        let mut pack = program(workspace, "gzip", "-9n");
        pack.args(&pages);
        run(pack)?;
        let package = made(workspace, target)?;
        let listed = run(dpkg_deb(workspace, "--contents", &package))?;
        let lacks = lacking(&listed);
        if !lacks.is_empty() {
            return Err(format!("{} lacks {}", package.display(), lacks.join(", ")));
        }
        let tried =
            if target.is_here() { installed(workspace, &package)? } else { "not installed here".to_owned() };
        told.push(format!("{}: {tried}", package.display()));
    }
    Ok(told)
}

/// Writes the manual pages and the completions, by the program.
fn write_pages(with: &Path, folder: &Path) -> Result<(), String> {
    // Pages of a command that is no more would be packed, too.
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut man = std::process::Command::new(with);
    man.arg("man").arg("--out").arg(folder.join("man"));
    run(man)?;
    for (shell, name) in COMPLETIONS {
        let mut command = std::process::Command::new(with);
        command.args(["completions", shell]);
        std::fs::write(folder.join(name), run(command)?).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// The pages in a folder.
fn pages(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.flatten().map(|page| page.path()).collect())
}

/// Whether a reader of pages has nothing to say of any of them.
fn pages_read(workspace: &Workspace, pages: &[PathBuf]) -> Result<String, String> {
    for reader in READERS {
        let (name, arguments) = reader.split_once(' ').unwrap_or((reader, ""));
        if run(program(workspace, name, "--version")).is_err_and(|said| said.contains("No such file")) {
            continue;
        }
        let mut command = program(workspace, name, arguments);
        command.args(pages);
        let said = run(command)?;
        return match said.trim() {
            "" => Ok(format!("{} pages, and {name} has nothing to say of them", pages.len())),
            said => Err(format!("{name}: {said}")),
        };
    }
    Ok(format!("{} pages, and nobody here who reads them: neither mandoc nor groff", pages.len()))
}

/// Where the package is.
fn made(workspace: &Workspace, target: &Target) -> Result<PathBuf, String> {
    let folder = workspace.target.join("debian");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join(format!("{PROGRAM}_{}.deb", target.debian));
    let mut command = cargo(
        workspace,
        &format!("deb --package {PACKAGE} --no-build --no-strip --target {} --output", target.name),
    );
    command.arg(&path);
    run(command).map(|_| path)
}

fn dpkg_deb(workspace: &Workspace, what: &str, package: &Path) -> std::process::Command {
    let mut command = program(workspace, "dpkg-deb", what);
    command.arg(package);
    command
}

/// What is missing in what dpkg-deb lists.
fn lacking(listed: &str) -> Vec<&'static str> {
    let paths: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next_back()).collect();
    FILES.into_iter().filter(|file| !paths.contains(file)).collect()
}

/// Installs a package in an empty root, and tries what is there.
fn installed(workspace: &Workspace, package: &Path) -> Result<String, String> {
    let root = match Root::find(workspace) {
        Ok(root) => root,
        Err(why) => return Ok(format!("not installed: {why}")),
    };
    let folder = root.folder()?;
    let copy = folder.path().join("package.deb");
    std::fs::copy(package, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    let new = folder.path().join("root");
    let mut command = root.command("sh");
    command.args(["-c", INSTALL, &root.inside(&new)?, &root.inside(&copy)?]).args(TRIALS);
    let said = run(command)?;
    let ended = said
        .lines()
        .find(|line| line.starts_with("passed ") && line.contains(", failed "))
        .unwrap_or_default();
    Ok(format!("installed where nothing else is, and removed: {ended}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(files: &[&str]) -> String {
        files.iter().map(|file| format!("-rw-r--r-- root/root 12 2026-01-01 00:00 {file}\n")).collect()
    }

    #[test]
    fn a_package_has_the_program_its_pages_and_its_completions() {
        assert_eq!(lacking(&listed(&FILES)), [""; 0]);
        for file in FILES {
            let others: Vec<_> = FILES.into_iter().filter(|other| *other != file).collect();
            assert_eq!(lacking(&listed(&others)), [file]);
        }
    }
}
