//! The step `lspci`: each preset's configuration space as lspci decodes it, compared with the text that is kept.
//!
//! It is the space of the silicon, which a kernel without vfio-cxl shows as it is. A text is kept for each preset
//! and none without one. What lspci says of a device is a matter of its version, which the root pins, and not of its
//! list of names: those are left out.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::client;
use super::config::Config;
use super::device::Device;
use super::device::presets;
use super::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// Where the texts are.
const GOLDEN: &str = "ci/golden/lspci";

/// Compares.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    with_root(workspace, |root| {
        let folder = workspace.root.join(GOLDEN);
        let names = presets(workspace)?;
        let mut wrong = strangers(&folder, &names)?;
        for name in &names {
            let kept = fs::read_to_string(file(&folder, name)).unwrap_or_default();
            let difference = difference(&kept, &decoded(workspace, root, name)?);
            wrong.extend(difference.map(|difference| format!("{GOLDEN}/{name}.txt: {difference}")));
        }
        if wrong.is_empty() { Ok(format!("{} presets", names.len())) } else { Err(wrong.join("\n")) }
    })
}

/// Writes the texts anew. What changed is for a person to judge.
pub(crate) fn bless(workspace: &Workspace) -> Outcome {
    with_root(workspace, |root| {
        let folder = workspace.root.join(GOLDEN);
        let failed = |error| format!("{GOLDEN}: {error}");
        fs::create_dir_all(&folder).map_err(failed)?;
        let names = presets(workspace)?;
        for name in &names {
            fs::write(file(&folder, name), decoded(workspace, root, name)?).map_err(failed)?;
        }
        Ok(format!("wrote {} texts", names.len()))
    })
}

fn with_root(workspace: &Workspace, work: impl FnOnce(&Root) -> Result<String, String>) -> Outcome {
    match Root::find(workspace).map(|root| work(&root)) {
        Ok(Ok(said)) => Outcome::Passed(said),
        Ok(Err(said)) => Outcome::Failed(said),
        Err(reason) => Outcome::Skipped(reason),
    }
}

fn file(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(format!("{name}.txt"))
}

/// The texts that are of no preset.
fn strangers(folder: &Path, names: &[String]) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("{}: {error}", folder.display());
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !names.iter().any(|name| file(folder, name) == path) {
            wrong.push(format!("{}: of no preset", path.display()));
        }
    }
    Ok(wrong)
}

/// What lspci makes of a preset.
fn decoded(workspace: &Workspace, root: &Root, preset: &str) -> Result<String, String> {
    let device = Device::serve(workspace, root, preset, "plain")?;
    let (config, _) = client::look(&device.socket())?;
    device.end()?;
    let folder = root.folder()?;
    let path = folder.path().join("dump");
    fs::write(&path, dump(&config)).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut command = root.command("lspci");
    command.arg("-F").arg(root.inside(&path)?).args(["-vvv", "-n"]);
    // What it misses in this root and does not need here, it says on the other output.
    let output = command.output().map_err(|error| format!("lspci: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned() + "\n")
    } else {
        Err(format!("lspci: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
    }
}

/// A configuration space as lspci writes and reads it: an address, then sixteen bytes in each line.
fn dump(config: &Config) -> String {
    let mut text = String::from("00:01.0 device\n");
    for (row, bytes) in config.0.chunks(16).enumerate() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{:03x}:", row.saturating_mul(16));
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

/// The first line in which two texts differ.
fn difference(kept: &str, said: &str) -> Option<String> {
    let mut said_lines = said.lines();
    let mut kept_lines = kept.lines();
    for number in 1.. {
        match (kept_lines.next(), said_lines.next()) {
            (None, None) => return None,
            (kept, said) if kept == said => {}
            (kept, said) => {
                let [kept, said] = [kept, said].map(|line| line.map_or("nothing", str::trim));
                return Some(format!("line {number} is\n  {kept}\nand lspci says\n  {said}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_dump_has_three_digits_of_address_and_sixteen_bytes_in_a_line() {
        let mut bytes = vec![0; 0x1000];
        bytes[..4].copy_from_slice(&[0x98, 0x1e, 0xf2, 0xc7]);
        bytes[0xfff] = 0xab;
        let text = dump(&Config(bytes));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 257);
        assert_eq!(lines[0], "00:01.0 device");
        assert_eq!(lines[1], "000: 98 1e f2 c7 00 00 00 00 00 00 00 00 00 00 00 00");
        assert_eq!(lines[256], "ff0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ab");
    }

    #[test]
    fn texts_that_agree_have_no_difference() {
        assert_eq!(difference("a\n\tb\n", "a\n\tb\n"), None);
    }

    #[rstest]
    #[case("a\n\tb\n", "a\n\tc\n", "line 2 is\n  b\nand lspci says\n  c")]
    #[case("a\n", "a\nb\n", "line 2 is\n  nothing\nand lspci says\n  b")]
    #[case("a\nb\n", "a\n", "line 2 is\n  b\nand lspci says\n  nothing")]
    #[case("", "a\n", "line 1 is\n  nothing\nand lspci says\n  a")]
    fn the_first_line_that_differs_is_told(#[case] kept: &str, #[case] said: &str, #[case] told: &str) {
        assert_eq!(difference(kept, said).as_deref(), Some(told));
    }

    #[test]
    fn a_text_must_be_of_a_preset() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t2.txt", "t9.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let wrong = strangers(folder.path(), &["t2".to_owned()]).unwrap();
        assert_eq!(wrong, [format!("{}: of no preset", folder.path().join("t9.txt").display())]);
        assert!(strangers(&folder.path().join("nothing"), &[]).is_err());
    }
}
