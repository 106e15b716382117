//! A scenario as it is written: with files that it includes, variables, and a matrix that makes several of one.
//!
//! ```text
//!  file ─▶ parse ─▶ include: other files below it ─▶ for each combination of the matrix: variables filled in ─▶ table
//! ```
//!
//! ```toml
//! include = ["base.toml"]         # from this file's folder
//! proves = "a window is as long as memory of ${size}"
//!
//! [vars]
//! size = "512MiB"                 # a text, a whole number or a boolean
//!
//! [matrix]
//! abi = ["v2", "v3"]              # two scenarios: NAME[abi=v2] and NAME[abi=v3]
//!
//! [[device]]
//! name = "gpu0"
//! with.memory.size = "${size}"    # what is nothing but a variable has the variable's type
//! ```
//!
//! What comes out is a table whose values know where they were written, in whichever file, so that a mistake is told at
//! its line.

mod include;
mod matrix;
mod variables;

use std::path::Path;

use sim_device::profile::source::Mistake;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;
use variables::Variables;

pub(super) use include::names_of;
pub(super) use include::plain;
pub(super) use matrix::MOST;

/// A table whose values know where they were written.
pub(super) type Tree<'a> = Spanned<DeTable<'a>>;

/// A value that knows where it was written.
type Value<'a> = Spanned<DeValue<'a>>;

/// The most text that all scenarios of one file are made of: a file with a matrix is read once for each of them.
const MOST_TEXT: usize = 8 << 20;

/// Reads a file that another one includes, or says why not.
pub type Reader<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

/// The files that a scenario is written in. They count as one text, each behind the former, so that a number is a place
/// in one of them. The scenario's own is the first.
#[derive(Debug)]
pub(super) struct Texts {
    files: Vec<File>,
    /// In which order they are put above each other.
    order: Vec<usize>,
}

#[derive(Debug)]
struct File {
    name: String,
    text: String,
    begins: usize,
}

impl Texts {
    /// Takes a file, and says its number and where it begins.
    fn take(&mut self, name: &str, text: String) -> (usize, usize) {
        let (number, begins) = (self.files.len(), self.len());
        self.files.push(File { name: name.to_owned(), text, begins });
        (number, begins)
    }

    /// Up to where there are files. One is apart from the next, so that the end of one is no place in the next.
    fn len(&self) -> usize {
        self.files.last().map_or(0, |last| last.begins.saturating_add(last.text.len()).saturating_add(1))
    }

    fn at(&self, place: usize) -> Option<(&File, usize)> {
        let file = self.files.iter().rev().find(|file| file.begins <= place)?;
        Some((file, place.saturating_sub(file.begins)))
    }

    /// A mistake at this place.
    pub(super) fn mistake(&self, place: usize, message: String) -> Mistake {
        match self.at(place) {
            Some((file, offset)) => Mistake::at(&file.name, &file.text, offset, message),
            None => Mistake { file: String::new(), line: 1, message },
        }
    }

    /// What the reader says, whose places are ours.
    pub(super) fn misread(&self, error: &toml::de::Error) -> Mistake {
        let place = error.span().map_or(0, |span| span.start);
        match self.at(place) {
            Some((file, offset)) => Mistake::read(&file.name, &file.text, offset, error.message()),
            None => Mistake { file: String::new(), line: 1, message: error.message().to_owned() },
        }
    }

    /// The files behind the first one.
    pub(super) fn included(&self) -> Vec<String> {
        self.files.iter().skip(1).map(|file| file.name.clone()).collect()
    }
}

/// One scenario of a file.
#[derive(Debug)]
pub(super) struct One<'a> {
    /// What its name has behind the file's: nothing, or the values of the matrix in brackets.
    pub(super) suffix: String,
    /// What it says.
    pub(super) tree: Tree<'a>,
}

impl Texts {
    /// The files of the scenario in this text.
    pub(super) fn read(file: &str, text: &str, reader: Reader<'_>) -> Result<Self, Mistake> {
        include::read(file, text, reader)
    }

    /// The scenarios in these files.
    pub(super) fn scenarios(&self) -> Result<Vec<One<'_>>, Mistake> {
        let mut tree = include::merged(self)?;
        let (vars, matrix) = (tree.get_mut().remove("vars"), tree.get_mut().remove("matrix"));
        let vars = variables::declared(self, vars)?;
        let mut left = MOST_TEXT;
        let one = |combination| self.one(&tree, &vars, combination, &mut left);
        matrix::combinations(self, matrix)?.into_iter().map(one).collect()
    }

    fn one<'a>(
        &self,
        tree: &Tree<'a>,
        vars: &Variables<'a>,
        combination: Variables<'a>,
        left: &mut usize,
    ) -> Result<One<'a>, Mistake> {
        self.spend(left, self.len())?;
        let mut tree = tree.clone();
        let placed = matrix::place(self, &mut tree, &combination)?;
        // A value of the matrix counts more than one of the same name.
        let variables: Variables<'_> = combination.iter().chain(vars).cloned().collect();
        let used = variables::fill(self, &mut tree, &variables, left)?;
        let is_idle = |key: &String| !placed.contains(key) && !used.contains(key);
        match combination.iter().find(|(key, _)| is_idle(key)) {
            None => Ok(One { suffix: matrix::suffix(&combination), tree }),
            Some((key, value)) => {
                let message = format!("matrix.{key}: nothing in the scenario has ${{{key}}} in it");
                Err(self.mistake(value.span().start, message))
            }
        }
    }

    /// Takes so many bytes from what is left for a file's scenarios.
    fn spend(&self, left: &mut usize, bytes: usize) -> Result<(), Mistake> {
        match left.checked_sub(bytes) {
            Some(now) => {
                *left = now;
                Ok(())
            }
            None => {
                let message = format!("its scenarios together are longer than {MOST_TEXT} bytes");
                Err(self.mistake(0, message))
            }
        }
    }
}

/// Where the value at `path` was written, a list of keys and indices. Where it is not written, because it is a default,
/// it is the nearest table that should hold it.
pub(super) fn place_of(tree: &Tree<'_>, path: &[&str]) -> usize {
    let mut place = tree.span().start;
    let Some((first, rest)) = path.split_first() else { return place };
    let Some(mut value) = tree.get_ref().get(*first) else { return place };
    place = value.span().start;
    for key in rest {
        let inner = match value.get_ref() {
            DeValue::Table(table) => table.get(*key),
            DeValue::Array(array) => key.parse().ok().and_then(|index: usize| array.get(index)),
            _ => None,
        };
        let Some(inner) = inner else { break };
        place = inner.span().start;
        value = inner;
    }
    place
}

#[cfg(test)]
mod tests;
