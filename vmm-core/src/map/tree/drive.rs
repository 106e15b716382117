//! Any two maps of regions, as bytes, against a model that looks at every byte on its own: property tests and fuzzers
//! are two callers of [`any_regions`].
//!
//! What must hold:
//!
//! - the list of what is seen is in order, apart, as short as it can be, and shows at every byte what the model sees;
//! - while one map becomes another, every byte shows the old or the new, whether slots may overlap or not, and one
//!   that does not change is never without its piece unless its step says that it replaces.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::Piece;
use super::Region;
use super::Step;
use super::flat;
use super::joined;
use super::steps;

/// The model's address space.
const BYTES: u64 = 48;

/// How many bytes a region takes.
const REGION_BYTES: usize = 4;

/// The most regions of a map, and how deep they lie in each other.
const MOST_REGIONS: usize = 24;
const DEEPEST: u8 = 3;

/// A map: regions that show a letter.
type Map = Vec<Region<char>>;

/// Any bytes are two maps, half of them each: what is seen of both is checked, and how one becomes the other.
pub fn any_regions(bytes: &[u8]) {
    let (before, after) = bytes.split_at(bytes.len() / 2);
    check(&map(before), &map(after));
}

/// Checks what is seen of two maps, and how one becomes the other.
pub(super) fn check(before: &[Region<char>], after: &[Region<char>]) {
    let [old, new] = [before, after].map(|map| {
        let pieces = flat(map);
        check_list(&pieces);
        let seen = seen(map);
        assert_eq!(shown(&pieces), seen, "what is seen");
        (pieces, seen)
    });
    let changes = steps(&old.0, &new.0);
    overlapping(&changes, &old, &new);
    apart(&changes, &old, &new);
}

/// What one list of pieces, or one map, shows at each byte.
type Bytes = Vec<Option<(char, u64)>>;

fn check_list(pieces: &[Piece<char>]) {
    for (first, second) in pieces.iter().zip(pieces.iter().skip(1)) {
        assert!(first.span.end() <= second.span.start(), "in order, and apart");
        assert!(joined(first, second).is_none(), "as few as there can be");
    }
}

/// Slots may overlap, and what was added last is seen: each step adds before it removes.
fn overlapping(changes: &[Step<char>], old: &(Vec<Piece<char>>, Bytes), new: &(Vec<Piece<char>>, Bytes)) {
    let mut now = old.0.clone();
    let either = |now: &[Piece<char>]| {
        let seen = shown(now).into_iter().zip(old.1.iter().zip(&new.1));
        for (byte, (shown, (old, new))) in seen.enumerate() {
            assert!(shown == *old || shown == *new, "byte {byte} shows {shown:?}");
        }
    };
    for step in changes {
        for piece in &step.add {
            assert!(!old.0.contains(piece), "it was there");
            now.push(piece.clone());
            either(&now);
        }
        for piece in &step.remove {
            assert!(!new.0.contains(piece), "it stays");
            let count = now.len();
            now.retain(|there| there != piece);
            assert_eq!(now.len() + 1, count, "it was there once");
            either(&now);
        }
    }
    now.sort_by_key(|piece| piece.span.start());
    assert_eq!(now, new.0, "in the end");
}

/// Slots may not overlap: each step removes before it adds.
fn apart(changes: &[Step<char>], old: &(Vec<Piece<char>>, Bytes), new: &(Vec<Piece<char>>, Bytes)) {
    let mut now = old.0.clone();
    for step in changes {
        let kept = shown(&now);
        now.retain(|piece| !step.remove.contains(piece));
        let left = shown(&now);
        let mut stays = kept.iter().zip(&left).zip(old.1.iter().zip(&new.1));
        let lost = stays.any(|((kept, left), (old, new))| kept.is_some() && left.is_none() && old == new);
        assert!(step.replaces() || !lost, "a byte that stays is gone");
        for piece in &step.add {
            assert!(now.iter().all(|there| !there.span.overlaps(piece.span)), "slots overlap");
            now.push(piece.clone());
        }
    }
}

/// What a list of pieces shows: what was added last is seen.
fn shown(pieces: &[Piece<char>]) -> Bytes {
    let at = |byte| {
        let piece = pieces.iter().rfind(|piece| piece.span.contains(Gpa::new(byte)))?;
        Some((piece.shows, piece.offset + byte - piece.span.start().get()))
    };
    (0..BYTES).map(at).collect()
}

/// What is seen of regions, told from the top: the first region that shows something there.
fn seen(regions: &[Region<char>]) -> Bytes {
    (0..BYTES).map(|byte| seen_at(regions, byte)).collect()
}

fn seen_at(regions: &[Region<char>], at: u64) -> Option<(char, u64)> {
    let here = regions.iter().enumerate().filter(|(_, region)| region.span.contains(Gpa::new(at)));
    let mut best_first: Vec<_> = here.collect();
    best_first.sort_by_key(|(index, region)| std::cmp::Reverse((region.priority, *index)));
    best_first.into_iter().find_map(|(_, region)| {
        let own = region.shows.map(|shows| (shows, at - region.span.start().get()));
        seen_at(&region.inside, at).or(own)
    })
}

/// The map that these bytes are: a region each four of them, which says how deep it lies.
fn map(bytes: &[u8]) -> Map {
    let mut map = Map::new();
    for bytes in bytes.chunks_exact(REGION_BYTES).take(MOST_REGIONS) {
        let [start, size, shows, depth] = bytes else { continue };
        let start = u64::from(*start) % BYTES;
        let size = 1 + u64::from(*size) % (BYTES - start);
        let Some(span) = Span::new(Gpa::new(start), size) else { continue };
        let shows = (*shows & 7 != 0).then(|| char::from(b'a' + (*shows & 7)));
        let priority = i32::from(*depth >> 4) - 8;
        put(&mut map, Region { span, priority, shows, inside: Vec::new() }, *depth & DEEPEST);
    }
    map
}

/// Puts a region into the last of a map, so many deep.
fn put(map: &mut Map, region: Region<char>, depth: u8) {
    match (map.last_mut(), depth.checked_sub(1)) {
        (Some(last), Some(left)) => put(&mut last.inside, region, left),
        _ => map.push(region),
    }
}
