//! A program beside us: what it says line by line, and never a wait without an end.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::Instant;

/// How long a program may take over what it must do. It is there to end a wait that would have no end, and is far
/// from what anything needs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How often an ending program is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// The most of a program's complaints that is kept.
const MOST_COMPLAINTS: u64 = 4096;

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing came in time.
    TooLong,
    /// Nothing comes any more.
    Ended,
}

/// The lines that a program says.
#[derive(Debug)]
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    /// The lines of an output, read by a thread that ends with it.
    fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let read = BufReader::new(output).lines().map_while(Result::ok);
            // Whoever does not want more has dropped the other end.
            for line in read {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The next line for which `find` has a value; the lines before it are dropped.
    ///
    /// # Errors
    /// If none comes before the deadline.
    pub(crate) fn find<T>(&self, deadline: Instant, find: impl Fn(&str) -> Option<T>) -> Result<T, Silence> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.0.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => Silence::TooLong,
                RecvTimeoutError::Disconnected => Silence::Ended,
            })?;
            if let Some(found) = find(&line) {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
impl Lines {
    /// These lines and then none; with a sender kept, silence, without, the end.
    pub(super) fn from_text(text: &str) -> (Self, mpsc::Sender<String>) {
        let (sender, lines) = mpsc::channel();
        for line in text.lines() {
            sender.send(line.to_owned()).unwrap();
        }
        (Self(lines), sender)
    }
}

/// A program that runs. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    /// What it writes to standard error. A pipe would have to be waited for: its end may be held by others.
    complaints: File,
}

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn start(mut command: Command) -> Result<(Self, Lines), String> {
        let name = command.get_program().display().to_string();
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let complaints = tempfile::tempfile().map_err(failed)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints.try_clone().map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take();
        let input = child.stdin.take();
        let running = Self { child, input, complaints };
        match output {
            Some(output) => Ok((running, Lines::of(output))),
            None => Err(format!("{name}: has no output")),
        }
    }

    /// What the program reads, for whoever takes it first. It ends when that is dropped.
    pub(super) fn take_input(&mut self) -> Option<ChildStdin> {
        self.input.take()
    }

    /// Waits for the program to end.
    ///
    /// # Errors
    /// If it does not before the deadline.
    pub(super) fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, String> {
        self.input = None;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(GLANCE),
                Ok(None) => return Err("it does not end".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Asks the program to end, and waits until it has.
    ///
    /// # Errors
    /// If it does not before the deadline.
    pub(crate) fn end(&mut self, deadline: Instant) -> Result<ExitStatus, String> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        asked.map_err(|error| format!("kill: {error}"))?;
        self.wait(deadline)
    }

    /// Kills the program, and returns what it complained about in one line.
    pub(crate) fn kill(&mut self) -> String {
        // It has ended already, or does now.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut text = Vec::new();
        // What cannot be read is not there to be told.
        let _ = self.complaints.rewind();
        let _ = self.complaints.by_ref().take(MOST_COMPLAINTS).read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().replace('\n', "; ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A while from now.
pub(crate) fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(PATIENCE).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Running, Lines) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command).unwrap()
    }

    fn number(line: &str) -> Option<u32> {
        line.parse().ok()
    }

    #[test]
    fn a_line_is_found_behind_others_and_each_only_once() {
        let (lines, _more) = Lines::from_text("begin\n7\nmiddle\n8\n");
        assert_eq!(lines.find(deadline(), number), Ok(7));
        assert_eq!(lines.find(deadline(), number), Ok(8));
    }

    #[test]
    fn a_line_that_does_not_come_by_the_deadline_is_not_waited_for() {
        let (lines, _more) = Lines::from_text("begin\n");
        assert_eq!(lines.find(Instant::now(), number), Err(Silence::TooLong));
    }

    #[test]
    fn a_program_that_has_ended_is_not_waited_for() {
        let (lines, more) = Lines::from_text("begin\n");
        drop(more);
        assert_eq!(lines.find(deadline(), number), Err(Silence::Ended));
        let (_running, lines) = shell("echo begin");
        assert_eq!(lines.find(deadline(), number), Err(Silence::Ended));
    }

    #[test]
    fn a_program_that_reads_ends_when_its_input_does() {
        let (mut running, lines) = shell("echo 3; cat; exit 4");
        assert_eq!(lines.find(deadline(), number), Ok(3));
        assert_eq!(running.wait(deadline()).unwrap().code(), Some(4));
    }

    #[test]
    fn a_program_that_does_not_end_is_told_at_the_deadline_and_killed() {
        let (mut running, lines) = shell("echo one >&2; echo two >&2; echo 3; read line; read line");
        let input = running.take_input();
        assert_eq!(lines.find(deadline(), number), Ok(3));
        assert_eq!(running.wait(Instant::now()).unwrap_err(), "it does not end");
        assert_eq!(running.kill(), "one; two");
        drop(input);
    }

    #[test]
    fn a_program_is_killed_though_another_holds_its_outputs() {
        let (mut running, lines) = shell("echo one >&2; tail -f /dev/null & echo $!; wait");
        let other = lines.find(deadline(), number).unwrap();
        assert_eq!(running.kill(), "one");
        assert!(
            Command::new("kill").arg(other.to_string()).status().unwrap().success(),
            "it was still there"
        );
    }
}
