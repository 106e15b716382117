//! What is said to the devices of a scenario, in words, for whoever wants to see it afterwards.
//!
//! ```text
//!  machine ──▶ Traced ──▶ Recorded ──▶ device
//!                │ what passed
//!                ▼
//!              words ──▶ Journal ──▶ Timeline
//! ```
//!
//! What a device asks for by messages is told, too. What it does without one is not seen: interrupts that it signals,
//! and memory that is mapped, of either side.
//!
//! Nothing of this stands before a device if nobody wants it. Of each step the first and the last of what was said is
//! kept, so that a guest that runs for long fills neither memory nor a page; what is left out is counted.

pub mod names;
pub mod words;

mod asked;
mod cause;
mod traced;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use vmm_core::backend::Backend;
use vmm_core::backend::Shared;
use vmm_core::plan::Plan;

use self::names::Names;
use self::traced::Traced;
use crate::report::planned;
use crate::report::story::Event;
use crate::report::story::Story;
use crate::report::story::Timeline;
use crate::report::story::Who;

/// How much is kept of what a step says first, and last.
const OF_A_STEP: (usize, usize) = (12, 20);

/// How much is kept of what is said first, and last, to find out what a device is.
const OF_DISCOVERY: (usize, usize) = (3, 5);

/// How much is kept of a scenario. What comes then leaves only the last of each step.
const MOST: usize = 600;

/// What was said so far. Clones share it.
#[derive(Clone, Debug)]
pub struct Journal {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug)]
struct Notes {
    begun: Instant,
    step: usize,
    who: Who,
    count: usize,
    /// How much was said in this part of a step.
    in_part: usize,
    /// How much of this part is kept first, and last.
    room: (usize, usize),
    kept: Vec<Event>,
    /// What was said last in this step, as far as it is not kept for good.
    last: VecDeque<Event>,
    story: Story,
}

impl Default for Journal {
    fn default() -> Self {
        let notes = Notes {
            begun: Instant::now(),
            step: 0,
            who: Who::Machine,
            count: 0,
            in_part: 0,
            room: OF_A_STEP,
            kept: Vec::new(),
            last: VecDeque::new(),
            story: Story::default(),
        };
        Self { notes: Arc::new(Mutex::new(notes)) }
    }
}

impl Journal {
    /// What follows belongs to this step, from 1, and is said on behalf of `who`.
    pub fn begin(&self, step: usize, who: Who) {
        let mut notes = self.notes();
        notes.close();
        notes.step = step;
        notes.who = who;
    }

    /// What follows is said to find out what a device is, or it is not any more.
    fn discovers(&self, discovers: bool) {
        let mut notes = self.notes();
        notes.close();
        notes.room = if discovers { OF_DISCOVERY } else { OF_A_STEP };
    }

    /// This is what the machine will be like.
    pub fn planned(&self, plan: &Plan) {
        let mut notes = self.notes();
        notes.story.map = planned::map(plan);
        notes.story.topology = Some(planned::topology(plan));
    }

    /// The number of what the failure of this step is about; where nothing was said in it, of what was said last.
    /// Nothing if nothing was.
    pub fn cause(&self, failure: &str) -> Option<usize> {
        let notes = self.notes();
        let events = notes.kept.iter().chain(&notes.last).filter(|event| event.step == notes.step);
        cause::cause(events, failure).or(Some(notes.count).filter(|count| *count > 0))
    }

    /// What was said before the steps belongs to the first: there are no others, as it failed.
    pub fn belongs_to_first(&self) {
        let mut notes = self.notes();
        notes.close();
        notes.kept.iter_mut().for_each(|event| event.step = 1);
    }

    /// Everything that there is to see.
    pub fn story(&self) -> Story {
        let mut notes = self.notes();
        notes.close();
        let timeline = Timeline { count: notes.count, events: notes.kept.clone() };
        Story { timeline, ..notes.story.clone() }
    }

    /// Writes down an event; its number, step and time are the journal's to say. What was read directly after it was
    /// written goes to the write, with the words that both have: `back`.
    fn note(&self, event: Event, back: Option<String>) {
        let mut notes = self.notes();
        let at_us = u64::try_from(notes.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if back.is_some_and(|words| notes.read_back(&event, words)) {
            return;
        }
        notes.count = notes.count.saturating_add(1);
        let who = if event.who == Who::Device { Who::Device } else { notes.who };
        let event = Event { number: notes.count, step: notes.step, at_us, who, ..event };
        notes.keep(event);
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn keep(&mut self, event: Event) {
        self.in_part = self.in_part.saturating_add(1);
        let (first, last) = if self.kept.len() < MOST { self.room } else { (0, 1) };
        if self.in_part <= first {
            self.kept.push(event);
            return;
        }
        self.last.push_back(event);
        while self.last.len() > last {
            self.last.pop_front();
        }
    }

    fn close(&mut self) {
        self.kept.extend(self.last.drain(..));
        self.in_part = 0;
    }

    /// Puts what was read back to the write before it, if that is the last that was said in this step.
    fn read_back(&mut self, read: &Event, words: String) -> bool {
        if self.in_part == 0 {
            return false;
        }
        let Some(write) = self.last.back_mut().or(self.kept.last_mut()) else { return false };
        let is_its = write.device == read.device && write.what == "write" && write.failure.is_none();
        if is_its {
            "write, read back".clone_into(&mut write.what);
            write.value = format!("{}, {}", write.value, read.value);
            write.words = words;
        }
        is_its
    }
}

/// How what is said to a device gets into a journal, if anybody wants it.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<(Journal, String)>);

impl Tracer {
    /// Of the device with this name, into this journal if there is one.
    pub fn new(journal: Option<&Journal>, device: &str) -> Self {
        Self(journal.map(|journal| (journal.clone(), device.to_owned())))
    }

    /// Whether anybody wants it.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Stands before a device whose registers have these names, or gets out of the way.
    pub fn before(&self, inner: Box<dyn Backend>, names: impl FnOnce() -> Names) -> Box<dyn Backend> {
        match &self.0 {
            None => inner,
            Some((journal, device)) => Box::new(Traced::new(inner, journal.clone(), device.clone(), names())),
        }
    }

    /// Does what finds out what a device is, and writes down what is said to it meanwhile, and not what is said later.
    pub fn discovering<T>(
        &self,
        inner: Box<dyn Backend>,
        discover: impl FnOnce(&Shared) -> T,
    ) -> (Shared, T) {
        let Some((journal, device)) = &self.0 else {
            let shared = Shared::of(inner);
            let found = discover(&shared);
            return (shared, found);
        };
        let traced = Traced::new(inner, journal.clone(), device.clone(), Names::of_any());
        let ends = traced.ends();
        let shared = Shared::new(traced);
        journal.discovers(true);
        let found = discover(&shared);
        ends.store(true, Ordering::Relaxed);
        journal.discovers(false);
        (shared, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: usize) -> Event {
        Event {
            number: 0,
            step: 0,
            at_us: 0,
            who: Who::Guest,
            device: "gpu0".to_owned(),
            what: "read".to_owned(),
            place: "bar0 + 0x10".to_owned(),
            offset: String::new(),
            value: format!("{value:#x}"),
            words: String::new(),
            failure: None,
        }
    }

    fn numbers(journal: &Journal) -> Vec<usize> {
        journal.story().timeline.events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn of_a_step_that_says_much_the_first_and_the_last_is_kept_and_the_rest_is_counted() {
        let journal = Journal::default();
        journal.begin(1, Who::Guest);
        (0..100).for_each(|value| journal.note(event(value), None));
        journal.begin(2, Who::Scenario);
        journal.note(event(100), None);
        let kept: Vec<_> = (1..=12).chain(81..=101).collect();
        assert_eq!(numbers(&journal), kept);
        let timeline = journal.story().timeline;
        assert_eq!((timeline.count, journal.cause("x")), (101, Some(101)));
        let last = timeline.events.last().unwrap();
        assert_eq!((last.step, last.who), (2, Who::Scenario));
    }

    #[test]
    fn of_a_scenario_that_says_very_much_each_step_keeps_its_last() {
        let journal = Journal::default();
        for step in 0..100 {
            journal.begin(step, Who::Guest);
            (0..32).for_each(|value| journal.note(event(value), None));
        }
        let numbers = numbers(&journal);
        assert!(numbers.len() <= MOST + 20 + 100, "{}", numbers.len());
        assert_eq!(numbers.last(), Some(&3200));
        assert!(numbers.contains(&(32 * 60)) && !numbers.contains(&(32 * 60 - 1)));
    }

    #[test]
    fn what_is_read_back_takes_the_place_of_the_write_before_it_and_of_no_other() {
        let write = Event { what: "write".to_owned(), words: "COMMIT 0→1".to_owned(), ..event(0x600) };
        let read = Event { words: "COMMITTED 0→1".to_owned(), ..event(0x700) };
        let both = || Some("COMMIT 0→1, COMMITTED 0→1".to_owned());
        let journal = Journal::default();
        journal.note(write.clone(), None);
        journal.note(read.clone(), both());
        let events = journal.story().timeline.events;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].what.as_str(), events[0].value.as_str()), ("write, read back", "0x600, 0x700"));
        assert_eq!(events[0].words, "COMMIT 0→1, COMMITTED 0→1");
        journal.note(Event { device: "gpu1".to_owned(), ..write }, None);
        journal.note(read, both());
        assert_eq!(journal.story().timeline.events.len(), 3);
    }
}
