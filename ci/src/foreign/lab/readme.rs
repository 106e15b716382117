//! The README's section about a machine in a lab: what it says is what is done.

use std::fs;

use super::session::Told;
use crate::workspace::Workspace;

/// Where the section begins.
const HEADING: &str = "\n## On your lab machine\n";

/// What begins a line that root types.
const PROMPT: &str = "# ";

/// The lines that root types, in order.
///
/// # Errors
/// If there is no such section, or no such line in it.
pub(super) fn sequence(workspace: &Workspace) -> Result<Vec<String>, String> {
    let readme = fs::read_to_string(workspace.root.join("README.md"));
    typed(&readme.map_err(|error| format!("README.md: {error}"))?)
}

/// The lines of the section's blocks that begin with root's prompt.
fn typed(readme: &str) -> Result<Vec<String>, String> {
    let (_, section) =
        readme.split_once(HEADING).ok_or("README.md has no section about a machine in a lab")?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let blocks = section.split("```").skip(1).step_by(2);
    let lines: Vec<_> =
        blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix(PROMPT)).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err("README.md says nothing that root types on a machine in a lab".to_owned());
    }
    Ok(lines)
}

/// Whether each of them was done, in order, and ended well.
///
/// # Errors
/// If not: which one, and what it said.
pub(super) fn judge(sequence: &[String], told: &[Told]) -> Result<(), String> {
    for (index, command) in sequence.iter().enumerate() {
        match told.get(index) {
            Some(told) if told.command == *command && told.status == 0 => {}
            Some(told) => {
                let (said, status) = (told.said.join("\n"), told.status);
                return Err(format!("README.md has this, which ended with {status}: {command}\n{said}"));
            }
            None => return Err(format!("README.md has this, which was not done: {command}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# x\n```text\n# not this\n```\n\n## On your lab machine\n\nText.\n\n```text\n$ not this\n\
                          # modprobe vfio-pci\n# cxl-sim run\npassed 3\n```\n\n# Nor this\n\n## Next\n\n```\n\
                          # nor\n```\n";

    fn told(command: &str, status: u8) -> Told {
        Told { command: command.to_owned(), said: vec!["what it says".to_owned()], status }
    }

    #[test]
    fn what_root_types_is_in_the_blocks_of_the_section_alone() {
        assert_eq!(typed(README).unwrap(), ["modprobe vfio-pci", "cxl-sim run"]);
        assert!(typed("# x\n").unwrap_err().contains("no section"));
        assert!(typed("\n## On your lab machine\n\n# x\n").unwrap_err().contains("says nothing"));
    }

    #[test]
    fn a_line_that_fails_or_was_not_done_is_named() {
        let sequence = typed(README).unwrap();
        let all = [told("modprobe vfio-pci", 0), told("cxl-sim run", 0), told("more", 1)];
        assert_eq!(judge(&sequence, &all), Ok(()));
        let failed = [told("modprobe vfio-pci", 0), told("cxl-sim run", 1)];
        let why = judge(&sequence, &failed).unwrap_err();
        assert_eq!(why, "README.md has this, which ended with 1: cxl-sim run\nwhat it says");
        let missing = judge(&sequence, &all[..1]).unwrap_err();
        assert_eq!(missing, "README.md has this, which was not done: cxl-sim run");
    }
}
