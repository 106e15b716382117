//! Files that a scenario includes.
//!
//! A file is named from the folder of the one that names it, ends in `.toml`, and cannot be an absolute path. What is
//! included is read first: tables are merged, lists of tables follow each other, and of anything else the last is
//! taken, which is the scenario's own. A file that is included twice is read once; one that includes itself is refused.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use sim_device::profile::source::LONGEST;
use sim_device::profile::source::Mistake;
use toml::Spanned;
use toml::de::DeArray;
use toml::de::DeTable;
use toml::de::DeValue;

use super::Reader;
use super::Texts;
use super::Tree;
use super::Value;

/// The most files that a scenario is written in.
const MOST_FILES: usize = 16;

/// The files of the scenario in this text: its own, and all that it includes.
pub(super) fn read(file: &str, text: &str, reader: Reader<'_>) -> Result<Texts, Mistake> {
    let texts = Texts { files: Vec::new(), order: Vec::new() };
    let mut reading = Reading { texts, reader, open: Vec::new(), seen: Vec::new() };
    reading.file(&plain(Path::new(file)), file, text.to_owned())?;
    Ok(reading.texts)
}

/// The tables of all files, above each other.
pub(super) fn merged(texts: &Texts) -> Result<Tree<'_>, Mistake> {
    let (mut all, mut span) = (DeTable::new(), 0..0);
    for file in texts.order.iter().filter_map(|number| texts.files.get(*number)) {
        let parsed =
            DeTable::parse(&file.text).map_err(|error| Mistake::of_reader(&file.name, &file.text, &error))?;
        span = moved(parsed.span(), file.begins);
        let mut own = table(parsed.into_inner(), file.begins);
        own.remove("include");
        merge(&mut all, own);
    }
    Ok(Spanned::new(span, all))
}

/// The files that a text includes, from this file's folder, as far as it can be read; and whether it says what it
/// proves: then it is a scenario.
pub(in super::super) fn names_of(file: &Path, text: &str) -> (Vec<PathBuf>, bool) {
    let Ok(table) = DeTable::parse(text) else { return (Vec::new(), false) };
    let is_scenario = table.get_ref().contains_key("proves");
    let names = match table.get_ref().get("include").map(Spanned::get_ref) {
        Some(DeValue::Array(names)) => names.iter().filter_map(|name| name.get_ref().as_str()).collect(),
        _ => Vec::new(),
    };
    (names.into_iter().map(|name| beside(file, name)).collect(), is_scenario)
}

/// The file with this name, from the folder of another.
fn beside(file: &Path, name: &str) -> PathBuf {
    plain(&file.parent().unwrap_or(Path::new("")).join(name))
}

/// The path without steps that lead back, so that one file has one path.
pub(in super::super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

struct Reading<'a> {
    texts: Texts,
    reader: Reader<'a>,
    /// The files that are being read, each included by the former.
    open: Vec<PathBuf>,
    seen: Vec<PathBuf>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, name: &str, text: String) -> Result<(), Mistake> {
        let (number, begins) = self.texts.take(name, text.clone());
        let parsed = DeTable::parse(&text).map_err(|error| Mistake::of_reader(name, &text, &error))?;
        let names = self.names(parsed.into_inner().remove("include"), begins)?;
        self.seen.push(path.to_owned());
        self.open.push(path.to_owned());
        for (name, place) in names {
            self.include(path, &name, place)?;
        }
        self.open.pop();
        self.texts.order.push(number);
        Ok(())
    }

    /// The names of files that `include` has, and where they are written.
    fn names(&self, include: Option<Value<'_>>, begins: usize) -> Result<Vec<(String, usize)>, Mistake> {
        let Some(include) = include else { return Ok(Vec::new()) };
        let wrong = |place| self.texts.mistake(place, "include: must be a list of files".to_owned());
        let place = begins.saturating_add(include.span().start);
        let DeValue::Array(names) = include.into_inner() else { return Err(wrong(place)) };
        let name = |name: Value<'_>| {
            let place = begins.saturating_add(name.span().start);
            match name.into_inner() {
                DeValue::String(text) => Ok((text.into_owned(), place)),
                _ => Err(wrong(place)),
            }
        };
        names.into_iter().map(name).collect()
    }

    fn include(&mut self, from: &Path, name: &str, place: usize) -> Result<(), Mistake> {
        let path = beside(from, name);
        if self.seen.contains(&path) && !self.open.contains(&path) {
            return Ok(());
        }
        let text = self.text(&path, name);
        let text = text.map_err(|why| self.texts.mistake(place, format!("include {name:?}: {why}")))?;
        self.file(&path, &path.display().to_string(), text)
    }

    /// What the file has in it, or why it cannot be included.
    fn text(&self, path: &PathBuf, name: &str) -> Result<String, String> {
        if Path::new(name).is_absolute() || !name.ends_with(".toml") {
            return Err("must be a path from this file's folder, and end in .toml".to_owned());
        }
        if self.open.contains(path) {
            let all: Vec<_> = self.open.iter().chain([path]).map(|path| path.display().to_string()).collect();
            return Err(format!("includes itself: {}", all.join(", ")));
        }
        if self.seen.len() >= MOST_FILES {
            return Err(format!("a scenario is written in {MOST_FILES} files at most"));
        }
        let text = (self.reader)(path)?;
        let length = self.texts.len().saturating_add(text.len());
        match length as u64 <= LONGEST {
            true => Ok(text),
            false => Err(format!("with it the scenario is longer than {LONGEST} bytes")),
        }
    }
}

/// Puts a table above another: what it says counts, and lists of tables follow each other.
fn merge<'a>(below: &mut DeTable<'a>, above: DeTable<'a>) {
    for (key, value) in above {
        let span = value.span();
        let merged = match (below.remove(key.get_ref().as_ref()).map(Spanned::into_inner), value.into_inner())
        {
            (Some(DeValue::Table(mut below)), DeValue::Table(above)) => {
                merge(&mut below, above);
                DeValue::Table(below)
            }
            (Some(DeValue::Array(mut below)), DeValue::Array(above))
                if of_tables(&below) && of_tables(&above) =>
            {
                above.into_iter().for_each(|one| below.push(one));
                DeValue::Array(below)
            }
            (_, above) => above,
        };
        below.insert(key, Spanned::new(span, merged));
    }
}

fn of_tables(array: &DeArray<'_>) -> bool {
    array.iter().all(|one| matches!(one.get_ref(), DeValue::Table(_)))
}

fn moved(span: std::ops::Range<usize>, by: usize) -> std::ops::Range<usize> {
    span.start.saturating_add(by)..span.end.saturating_add(by)
}

/// The table with all places so many bytes further. The reader bounds how deep it is.
fn table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let mut further = DeTable::new();
    for (key, one) in table {
        further.insert(Spanned::new(moved(key.span(), by), key.into_inner()), value(one, by));
    }
    further
}

fn value(from: Value<'_>, by: usize) -> Value<'_> {
    let span = moved(from.span(), by);
    let value = match from.into_inner() {
        DeValue::Table(inner) => DeValue::Table(table(inner, by)),
        DeValue::Array(inner) => {
            let mut array = DeArray::new();
            inner.into_iter().for_each(|one| array.push(value(one, by)));
            DeValue::Array(array)
        }
        other => other,
    };
    Spanned::new(span, value)
}
