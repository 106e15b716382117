//! How far a long run is, for who sits before a terminal.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::report::Outcome;

/// A run that ends before this shows nothing.
const LONG: Duration = Duration::from_secs(1);

/// How often what is shown is renewed.
const TICK: Duration = Duration::from_millis(250);

/// How far a run is. It is shown on standard error if that is a terminal, below the lines of the run.
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    failed: AtomicUsize,
}

impl Progress {
    /// Nothing of so many is done.
    pub(super) fn of(count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len}, failed {msg}, {elapsed}");
        Self {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message("0"),
            begun: Instant::now(),
            failed: AtomicUsize::new(0),
        }
    }

    /// One more is done, and `say` says so.
    pub(super) fn done(&self, outcome: Outcome, say: impl FnOnce()) {
        self.bar.suspend(say);
        if outcome == Outcome::Failed {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            self.bar.set_message(failed.to_string());
        }
        if self.bar.is_hidden() && self.begun.elapsed() >= LONG {
            // Where standard error is no terminal, this target shows nothing either.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(TICK);
        }
        self.bar.inc(1);
    }

    /// All is done: what was shown goes away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
