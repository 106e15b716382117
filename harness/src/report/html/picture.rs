//! The guest address map as a picture: what is where, how large it is, and whether it maps or traps. Heights tell of
//! sizes only roughly: between a page and a terabyte there is no scale that shows both.

use maud::Markup;
use maud::html;

use super::shortened;
use crate::report::amount;
use crate::report::story::Part;
use crate::report::story::Placed;
use crate::report::story::Reach;

/// How wide the picture is, in its own units.
const WIDTH: u32 = 352;

/// Where the boxes begin, and how wide they are.
const LEFT: u32 = 104;
const BOX: u32 = 64;

/// Where texts begin.
const TEXT: u32 = LEFT + BOX + 10;

/// How high a row is at least.
const ROW: u32 = 32;

/// How high a line in it is.
const LINE: u32 = 17;

/// How high a place is where nothing is.
const GAP: u32 = 30;

/// Hatching for what traps, once for all pictures.
pub(super) fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.traps-ground width="6" height="6" {}
                    rect.traps-line width="2.4" height="6" {}
                }
                pattern #grid width="5" height="5" patternUnits="userSpaceOnUse" {
                    rect.overlay-ground width="5" height="5" {}
                    circle.overlay-line cx="2.5" cy="2.5" r="1.3" {}
                }
            }
        }
    }
}

/// The word by which the style knows what an access reaches.
pub(super) fn class(reach: Reach) -> &'static str {
    match reach {
        Reach::Maps => "maps",
        Reach::Traps | Reach::Mixed => "traps",
        Reach::Overlay => "overlay",
        Reach::Nothing => "nothing",
    }
}

/// A row of the picture at its height.
enum Row<'a> {
    Gap { y: u32, size: u64 },
    Placed { y: u32, height: u32, placed: &'a Placed, inside: Vec<&'a Placed> },
}

/// The map, by rising address.
pub(super) fn map(map: &[Placed]) -> Markup {
    let (rows, height) = rows(map);
    html! {
        svg.map viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) role="img"
            aria-label="the guest address map" {
            @for row in &rows {
                @match row {
                    Row::Gap { y, size } => {
                        line.gap x1=(LEFT) y1=(y) x2=(LEFT) y2=(y + GAP) {}
                        line.gap x1=(LEFT + BOX) y1=(y) x2=(LEFT + BOX) y2=(y + GAP) {}
                        text.quiet x=(TEXT) y=(y + GAP / 2 + 4) { "unused " (amount::size(*size)) }
                    }
                    Row::Placed { y, height, placed, inside } => (place(*y, *height, placed, inside)),
                }
            }
        }
    }
}

/// The rows, and how high they are together. What lies inside of something else is drawn in it.
fn rows(map: &[Placed]) -> (Vec<Row<'_>>, u32) {
    let mut rows = Vec::new();
    let mut y = 12;
    let mut end = 0;
    let mut rest = map;
    while let [placed, others @ ..] = rest {
        let (start, after) = (placed.start, placed.start.saturating_add(placed.size));
        let count = others.iter().take_while(|other| other.start < after).count();
        let (inside, behind) = others.split_at_checked(count).unwrap_or((others, &[]));
        if start > end {
            rows.push(Row::Gap { y, size: start.saturating_sub(end) });
            y += GAP;
        }
        let inside: Vec<_> = inside.iter().collect();
        let height = height(placed, inside.len());
        rows.push(Row::Placed { y, height, placed, inside });
        y += height;
        end = end.max(after);
        rest = behind;
    }
    (rows, y + 12)
}

/// How high something is: more if it is larger, and enough for what is in it.
fn height(placed: &Placed, inside: usize) -> u32 {
    let larger = placed.size.max(1).ilog2().saturating_sub(16);
    let lines = u32::try_from(inside.max(placed.parts.len())).unwrap_or(u32::MAX).min(1000);
    if lines > 0 { ROW + LINE * lines } else { ROW + larger }
}

fn place(y: u32, height: u32, placed: &Placed, inside: &[&Placed]) -> Markup {
    let (name, size) = (shortened(&placed.name, 30), amount::size(placed.size));
    html! {
        g {
            title { (placed.name) ": " (placed.why) }
            text.address x=(LEFT - 6) y=(y + 4) { (amount::address(placed.start)) }
            line.tick x1=(LEFT - 4) y1=(y) x2=(LEFT) y2=(y) {}
            rect.(if placed.parts.is_empty() { class(placed.reach) } else { "head" }) x=(LEFT) y=(y) width=(BOX)
                height=(height) {}
            text x=(TEXT) y=(y + 13) { (name) }
            text.quiet x=(TEXT) y=(y + 26) { (size) ", " (placed.reach.word()) }
            @for (line, part) in (0..).zip(&placed.parts) { (part_line(y, line, part)) }
            @for (line, one) in (0u32..).zip(inside) {
                rect.inside x=(LEFT + BOX / 2) y=(y + ROW + LINE * line) width=(BOX / 2) height="12" {
                    title { (one.name) ": " (one.why) }
                }
                text.quiet x=(TEXT) y=(y + ROW + 10 + LINE * line) {
                    (amount::address(one.start)) " " (shortened(&one.name, 20))
                }
            }
        }
    }
}

/// A part of a place: its share of the box, and a line beside it.
fn part_line(y: u32, line: u32, part: &Part) -> Markup {
    let top = y + ROW + LINE * line;
    html! {
        rect.(class(part.reach)) x=(LEFT) y=(top) width=(BOX) height=(LINE) {
            title { (part.name) ", " (amount::size(part.size)) ", " (part.reach.word()) }
        }
        text.quiet x=(TEXT) y=(top + 12) {
            (format!("+{:#x}", part.offset)) " " (amount::size(part.size)) " "
            (if part.reach == Reach::Overlay { "COMP_REGS" } else { part.reach.word() })
        }
    }
}
