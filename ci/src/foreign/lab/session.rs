//! What the first program tells of its commands: a line for each, what it says, and how it ended.
//!
//! ```text
//!  > COMMAND
//!  whatever it says
//!  = STATUS
//! ```

/// What ends it.
pub(super) const END: &str = "all is told";

/// What was told of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The command.
    pub(super) command: String,
    /// What it said.
    pub(super) said: Vec<String>,
    /// How it ended: 0 is well.
    pub(super) status: u8,
}

impl Told {
    /// Whether it ended well.
    ///
    /// # Errors
    /// If not: the command, how it ended, and what it said.
    pub(super) fn well(&self) -> Result<(), String> {
        let Self { command, said, status } = self;
        match status {
            0 => Ok(()),
            _ => Err(format!("this ended with {status}: {command}\n{}", said.join("\n"))),
        }
    }
}

/// Takes lines apart. What is before the first command is not told of any.
///
/// # Errors
/// If a command has no end.
pub(super) fn told(lines: &[String]) -> Result<Vec<Told>, String> {
    let mut all = Vec::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in lines {
        let status = line.strip_prefix("= ").and_then(|status| status.parse().ok());
        match (open.take(), line.strip_prefix("> "), status) {
            (None, Some(command), _) => open = Some((command.to_owned(), Vec::new())),
            (None, None, _) => {}
            (Some((command, said)), _, Some(status)) => all.push(Told { command, said, status }),
            (Some((command, mut said)), _, None) => {
                said.push(line.clone());
                open = Some((command, said));
            }
        }
    }
    match open {
        None => Ok(all),
        Some((command, _)) => Err(format!("this does not end: {command}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn commands_have_what_they_said_and_how_they_ended() {
        let all = told(&lines("kernel 7\n> a b\none\n> two\n= x\n= 0\n> c\n= 127\n")).unwrap();
        let first = Told { command: "a b".to_owned(), said: lines("one\n> two\n= x"), status: 0 };
        assert_eq!(all, [first, Told { command: "c".to_owned(), said: Vec::new(), status: 127 }]);
        assert_eq!(told(&lines("kernel 7\n")).unwrap(), []);
    }

    #[test]
    fn a_command_that_did_not_end_well_is_told_with_what_it_said() {
        let all = told(&lines("> a b\none\n= 0\n> c d\ntwo\n= 2\n")).unwrap();
        assert_eq!(all[0].well(), Ok(()));
        assert_eq!(all[1].well().unwrap_err(), "this ended with 2: c d\ntwo");
    }

    #[test]
    fn a_command_without_an_end_is_named() {
        assert_eq!(told(&lines("> a\n= 0\n> b\nx\n")).unwrap_err(), "this does not end: b");
    }
}
