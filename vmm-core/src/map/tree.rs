//! Regions that lie in and over each other, as what is seen at each address; and what to do when that changes.
//!
//! ```text
//!  priority 1        ▓▓▓▓▓
//!  priority 0   ████████████████      ░░░░░░░░
//!  seen         █████▓▓▓▓▓██████      ░░░░░░░░     four pieces, disjoint, in order
//! ```
//!
//! A region may have regions inside. They are seen only within it, and where none of them is seen, the region
//! itself is, if it shows something. Priorities count among the regions inside the same one. Of two with the same
//! priority the later one is seen.
//!
//! [`flat`] makes the list of what is seen. [`steps`] compares two such lists. A piece that is in both is left
//! alone. The others come as steps, and each step adds before it removes: where what was added last is seen, every
//! byte shows at every moment what it showed before or what it shows in the end, so a byte that is the same before
//! and after is never without its piece. A hypervisor whose slots may not overlap cannot do that. It removes before
//! it adds, and an access that comes during a step that [replaces](Step::replaces) must wait for its end; all other
//! steps only add or only remove, and touch no byte that stays.

pub mod drive;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

/// A region: what is seen in a part of the address space. `T` says what: memory, or somebody who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<T> {
    /// Where it is, by the addresses of the whole space.
    pub span: Span<Gpa>,
    /// Which of overlapping regions is seen: the one with the higher priority.
    pub priority: i32,
    /// What is seen; nothing if only what is inside can be seen.
    pub shows: Option<T>,
    /// What lies inside, earlier ones first.
    pub inside: Vec<Region<T>>,
}

/// A run of addresses at which the same is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<T> {
    /// Where it is.
    pub span: Span<Gpa>,
    /// What is seen.
    pub shows: T,
    /// How far behind the start of its region the piece begins.
    pub offset: u64,
}

/// Pieces that go and pieces that come, and that have to do with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<T> {
    /// What comes, in order. It comes first.
    pub add: Vec<Piece<T>>,
    /// What goes, in order.
    pub remove: Vec<Piece<T>>,
}

impl<T> Region<T> {
    /// A region with nothing inside.
    pub fn new(span: Span<Gpa>, priority: i32, shows: T) -> Self {
        Self { span, priority, shows: Some(shows), inside: Vec::new() }
    }

    /// A region that shows only what is inside.
    pub fn around(span: Span<Gpa>, priority: i32, inside: Vec<Self>) -> Self {
        Self { span, priority, shows: None, inside }
    }
}

impl<T> Step<T> {
    /// Whether something takes the place of something else: then the order matters.
    pub fn replaces(&self) -> bool {
        !self.add.is_empty() && !self.remove.is_empty()
    }
}

/// What is seen of these regions: disjoint pieces in order, as few as there can be.
pub fn flat<T: Clone + PartialEq>(regions: &[Region<T>]) -> Vec<Piece<T>> {
    let mut seen = Vec::new();
    paint_all(&mut seen, regions, None);
    seen.sort_unstable_by_key(|piece| piece.span.start());
    let mut pieces: Vec<Piece<T>> = Vec::new();
    for piece in seen {
        match pieces.last_mut().and_then(|last| Some((joined(last, &piece)?, last))) {
            Some((span, last)) => last.span = span,
            None => pieces.push(piece),
        }
    }
    pieces
}

/// What is to be done so that `new` is seen where `old` was, in order. Both are lists as [`flat`] makes them.
///
/// No shorter list does it: what goes is in `old` only, and what comes in `new` only.
pub fn steps<T: Clone + PartialEq>(old: &[Piece<T>], new: &[Piece<T>]) -> Vec<Step<T>> {
    let gone = only_in(old, new).map(|piece| (piece, false));
    let mut changed: Vec<_> = gone.chain(only_in(new, old).map(|piece| (piece, true))).collect();
    changed.sort_by_key(|(piece, _)| piece.span.start());
    let mut steps: Vec<Step<T>> = Vec::new();
    let mut end = Gpa::new(0);
    for (piece, comes) in changed {
        // What only touches is a step of its own.
        if steps.is_empty() || piece.span.start() >= end {
            steps.push(Step { add: Vec::new(), remove: Vec::new() });
        }
        end = end.max(piece.span.end());
        let Some(step) = steps.last_mut() else { continue };
        let list = if comes { &mut step.add } else { &mut step.remove };
        list.push(piece.clone());
    }
    steps
}

/// The pieces of one list that the other does not have.
fn only_in<'a, T: PartialEq>(
    list: &'a [Piece<T>],
    other: &'a [Piece<T>],
) -> impl Iterator<Item = &'a Piece<T>> {
    list.iter().filter(move |piece| {
        let found = other.binary_search_by_key(&piece.span.start(), |other| other.span.start());
        found.ok().and_then(|at| other.get(at)) != Some(piece)
    })
}

/// Paints regions over what is there, those that win last. `within` is all that can be seen of them.
fn paint_all<T: Clone>(seen: &mut Vec<Piece<T>>, regions: &[Region<T>], within: Option<Span<Gpa>>) {
    let mut order: Vec<_> = regions.iter().collect();
    // The sort is stable: of the same priority the later one is painted later.
    order.sort_by_key(|region| region.priority);
    for region in order {
        let visible = within.map_or(Some(region.span), |within| shared(within, region.span));
        let Some(visible) = visible else { continue };
        if let Some(shows) = &region.shows {
            let offset = visible.start().get().saturating_sub(region.span.start().get());
            paint(seen, Piece { span: visible, shows: shows.clone(), offset });
        }
        paint_all(seen, &region.inside, Some(visible));
    }
}

/// Paints one piece over what is there.
fn paint<T: Clone>(seen: &mut Vec<Piece<T>>, piece: Piece<T>) {
    let mut rest = Vec::with_capacity(seen.len().saturating_add(2));
    for below in seen.drain(..) {
        if below.span.overlaps(piece.span) {
            rest.extend(part(&below, below.span.start(), piece.span.start()));
            rest.extend(part(&below, piece.span.end(), below.span.end()));
        } else {
            rest.push(below);
        }
    }
    rest.push(piece);
    *seen = rest;
}

/// The part of a piece between two addresses in it, if it is not empty.
fn part<T: Clone>(piece: &Piece<T>, start: Gpa, end: Gpa) -> Option<Piece<T>> {
    let span = between(start, end)?;
    let further = start.offset_from(piece.span.start())?;
    Some(Piece { span, shows: piece.shows.clone(), offset: piece.offset.checked_add(further)? })
}

/// Both as one span, if the second only goes on where the first ends.
fn joined<T: PartialEq>(first: &Piece<T>, second: &Piece<T>) -> Option<Span<Gpa>> {
    let goes_on = first.span.end() == second.span.start()
        && first.shows == second.shows
        && first.offset.checked_add(first.span.size()) == Some(second.offset);
    goes_on.then(|| between(first.span.start(), second.span.end()))?
}

/// What two spans have in common.
fn shared(one: Span<Gpa>, other: Span<Gpa>) -> Option<Span<Gpa>> {
    between(one.start().max(other.start()), one.end().min(other.end()))
}

fn between(start: Gpa, end: Gpa) -> Option<Span<Gpa>> {
    Span::new(start, end.offset_from(start)?)
}

#[cfg(test)]
mod tests;
