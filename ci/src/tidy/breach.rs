//! A breach: where the law is broken, and how.

use std::fmt;

/// One breach of the law.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Breach {
    path: String,
    line: Option<usize>,
    what: String,
}

impl Breach {
    /// A breach in a line of a file; the first line is 1.
    pub(super) fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), what: what.into() }
    }

    /// A breach that a file commits as a whole.
    pub(super) fn whole(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.what),
            None => write!(formatter, "{}: {}", self.path, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_says_where_and_what() {
        assert_eq!(Breach::at("a.rs", 7, "a tab").to_string(), "a.rs:7: a tab");
        assert_eq!(Breach::whole("a.rs", "too long").to_string(), "a.rs: too long");
    }
}
