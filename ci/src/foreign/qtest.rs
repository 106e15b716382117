//! The dialogue with a QEMU that has no vCPU: a line asked, a line answered (QEMU's `qtest` protocol).
//!
//! Configuration space is reached as a PC does: the address to port 0xcf8, the data from port 0xcfc.

use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use super::process::Lines;
use super::process::Silence;

/// Slot of the device on the root bus.
pub(super) const SLOT: u32 = 5;

/// The bit of an address that makes it one of configuration space.
const ENABLE: u32 = 1 << 31;

/// Both directions of the dialogue.
#[derive(Debug)]
pub(super) struct Dialogue<W> {
    input: W,
    lines: Lines,
    patience: Duration,
}

impl<W: Write> Dialogue<W> {
    /// A dialogue in which no answer may take longer than `patience`.
    pub(super) fn new(input: W, lines: Lines, patience: Duration) -> Self {
        Self { input, lines, patience }
    }

    /// Reads the dword of configuration space at `offset`.
    ///
    /// # Errors
    /// If an answer is missing or wrong, with the command; as all below.
    pub(super) fn config_read(&mut self, offset: u64) -> Result<u32, String> {
        self.tell(&format!("outl 0xcf8 {:#x}", address(offset)?))?;
        self.ask("inl 0xcfc").map(|value| value as u32)
    }

    /// Writes the dword of configuration space at `offset`.
    pub(super) fn config_write(&mut self, offset: u64, value: u32) -> Result<(), String> {
        self.tell(&format!("outl 0xcf8 {:#x}", address(offset)?))?;
        self.tell(&format!("outl 0xcfc {value:#x}"))
    }

    /// Gives a command whose answer is a number.
    pub(super) fn ask(&mut self, command: &str) -> Result<u64, String> {
        self.say(command)?.ok_or_else(|| format!("{command}: answered without a value"))
    }

    /// Gives a command whose answer is only that it is done.
    pub(super) fn tell(&mut self, command: &str) -> Result<(), String> {
        self.say(command).map(drop)
    }

    fn say(&mut self, command: &str) -> Result<Option<u64>, String> {
        let sent = writeln!(self.input, "{command}").and_then(|()| self.input.flush());
        sent.map_err(|error| format!("{command}: {error}"))?;
        let now = Instant::now();
        let deadline = now.checked_add(self.patience).unwrap_or(now);
        match self.lines.find(deadline, answer) {
            Ok(answer) => answer.map_err(|said| format!("{command}: {said}")),
            Err(Silence::TooLong) => {
                Err(format!("{command}: no answer within {} s", self.patience.as_secs_f64()))
            }
            Err(Silence::Ended) => Err(format!("{command}: QEMU ended instead of answering")),
        }
    }
}

/// What goes to port 0xcf8 for the dword at `offset`.
fn address(offset: u64) -> Result<u32, String> {
    match u8::try_from(offset) {
        Ok(offset) if offset.is_multiple_of(4) => Ok(ENABLE | SLOT << 11 | u32::from(offset)),
        _ => Err(format!("{offset:#x} is no place of a dword in the first 256 bytes")),
    }
}

/// The answer that a line is, if it is one: a value or none, or what went wrong. Interrupts are told in between.
fn answer(line: &str) -> Option<Result<Option<u64>, String>> {
    let mut words = line.split_whitespace();
    match (words.next()?, words.next()) {
        ("OK", None) => Some(Ok(None)),
        ("OK", Some(value)) => Some(number(value).map(Some).ok_or_else(|| line.to_owned())),
        ("FAIL" | "ERR" | "ERROR", _) => Some(Err(line.to_owned())),
        _ => None,
    }
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What comes of a dialogue with a QEMU that says this, and what was said to it.
    fn with<T>(answers: &str, talk: impl FnOnce(&mut Dialogue<Vec<u8>>) -> T) -> (T, String) {
        let (lines, _silence) = Lines::from_text(answers);
        let mut dialogue = Dialogue::new(Vec::new(), lines, Duration::ZERO);
        let result = talk(&mut dialogue);
        (result, String::from_utf8(dialogue.input).unwrap())
    }

    #[rstest]
    #[case("OK", Some(Ok(None)))]
    #[case("OK 0x0000000002110001", Some(Ok(Some(0x0211_0001))))]
    #[case("OK 0xffffffffffffffff", Some(Ok(Some(u64::MAX))))]
    #[case("OK 12", Some(Ok(Some(12))))]
    #[case("OK maybe", Some(Err("OK maybe".to_owned())))]
    #[case("FAIL Unknown command 'x'", Some(Err("FAIL Unknown command 'x'".to_owned())))]
    #[case("ERR no", Some(Err("ERR no".to_owned())))]
    #[case("IRQ raise 5", None)]
    #[case("", None)]
    fn a_line_may_be_an_answer(#[case] line: &str, #[case] expected: Option<Result<Option<u64>, String>>) {
        assert_eq!(answer(line), expected);
    }

    #[test]
    fn configuration_space_is_read_and_written_through_its_two_ports() {
        let (value, said) = with("OK\nOK 0xc7f21e98\n", |qemu| qemu.config_read(0));
        assert_eq!((value, said.as_str()), (Ok(0xc7f2_1e98), "outl 0xcf8 0x80002800\ninl 0xcfc\n"));
        let (done, said) = with("OK\nIRQ lower 3\nOK\n", |qemu| qemu.config_write(0x14, 0xffff_ffff));
        assert_eq!((done, said.as_str()), (Ok(()), "outl 0xcf8 0x80002814\noutl 0xcfc 0xffffffff\n"));
    }

    #[rstest]
    #[case(0x100)]
    #[case(0x02)]
    fn the_ports_reach_only_dwords_of_the_first_256_bytes(#[case] offset: u64) {
        let (result, said) = with("OK\nOK 0x0\n", |qemu| qemu.config_read(offset));
        assert!(result.is_err());
        assert_eq!(said, "");
    }

    #[test]
    fn the_command_that_is_not_answered_is_told() {
        let (result, _) = with("OK\n", |qemu| qemu.config_read(0));
        assert_eq!(result, Err("inl 0xcfc: no answer within 0 s".to_owned()));
    }

    #[test]
    fn the_command_at_which_qemu_ends_is_told() {
        let (lines, silence) = Lines::from_text("");
        drop(silence);
        let mut dialogue = Dialogue::new(Vec::new(), lines, Duration::MAX);
        let said = dialogue.ask("readl 0x0").unwrap_err();
        assert_eq!(said, "readl 0x0: QEMU ended instead of answering");
    }

    #[test]
    fn a_value_may_not_be_missing_and_a_refusal_is_told_with_its_command() {
        assert_eq!(
            with("OK\n", |qemu| qemu.ask("readl 0")).0.unwrap_err(),
            "readl 0: answered without a value"
        );
        assert_eq!(with("FAIL no\n", |qemu| qemu.tell("writel 0 1")).0.unwrap_err(), "writel 0 1: FAIL no");
    }
}
