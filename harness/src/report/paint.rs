//! Colours in a terminal, where they are wanted.

use anstyle::AnsiColor;
use anstyle::Style;

use super::Outcome;
use super::story::Reach;

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// Colours, as terminals take them.
    Colours,
}

impl Paint {
    /// What standard output wants: colours if it is a terminal, and neither `NO_COLOR` nor the terminal's own name
    /// speaks against them.
    pub fn of_standard_output() -> Self {
        match anstream::AutoStream::choice(&std::io::stdout()) {
            anstream::ColorChoice::Never => Self::Plain,
            _ => Self::Colours,
        }
    }

    /// A text in this style.
    fn styled(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colours => format!("{style}{text}{style:#}"),
        }
    }

    /// What became of something.
    pub fn outcome(self, outcome: Outcome, text: &str) -> String {
        let colour = match outcome {
            Outcome::Passed => AnsiColor::Green,
            Outcome::Failed => AnsiColor::Red,
            Outcome::Skipped => AnsiColor::Yellow,
        };
        let style = Style::new().fg_color(Some(colour.into()));
        self.styled(if outcome == Outcome::Failed { style.bold() } else { style }, text)
    }

    /// What an access reaches.
    pub fn reach(self, reach: Reach, text: &str) -> String {
        let colour = match reach {
            Reach::Maps => AnsiColor::Green,
            Reach::Traps | Reach::Mixed => AnsiColor::Yellow,
            Reach::Overlay => AnsiColor::Magenta,
            Reach::Nothing => return self.quiet(text),
        };
        self.styled(Style::new().fg_color(Some(colour.into())), text)
    }

    /// What is to be read last.
    pub fn quiet(self, text: &str) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// What is to be read first.
    pub fn strong(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_text_is_itself_and_with_them_it_ends_as_it_began() {
        assert_eq!(Paint::Plain.outcome(Outcome::Failed, "failed"), "failed");
        assert_eq!(Paint::Plain.reach(Reach::Overlay, "x") + &Paint::Plain.quiet("y"), "xy");
        assert_eq!(Paint::Colours.outcome(Outcome::Passed, "passed"), "\u{1b}[32mpassed\u{1b}[0m");
        assert!(Paint::Colours.reach(Reach::Maps, "x").ends_with("x\u{1b}[0m"));
    }
}
