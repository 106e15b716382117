//! A device as a picture: its BARs with what maps and what the component registers cover, and the window through which
//! decoder 0 leads to its memory.

use maud::Markup;
use maud::html;

use super::picture::class;
use super::shortened;
use crate::report::amount;
use crate::report::story::Device;
use crate::report::story::Part;
use crate::report::story::Placed;
use crate::report::story::Reach;

const WIDTH: u32 = 352;

/// How high a BAR is with its labels, and how much more where something covers it.
const BAR: u32 = 64;
const COVER: u32 = 18;

/// How high the picture of the window is.
const WINDOW: u32 = 112;

/// How narrow a part is at least.
const NARROW: u32 = 44;

/// A device's pictures, one below the other.
pub(super) fn device(device: &Device, map: &[Placed]) -> Markup {
    let bars: Vec<_> =
        device.bars.iter().filter_map(|bar| map.iter().find(|placed| placed.name == *bar)).collect();
    let mut below = 0;
    let placed: Vec<_> = bars
        .into_iter()
        .map(|placed| {
            let y = below;
            below += BAR + cover(placed);
            (y, placed)
        })
        .collect();
    let height = below + WINDOW;
    html! {
        svg.device viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) role="img"
            aria-label="the device's BARs and memory" {
            @for (y, placed) in placed { (bar(y, placed)) }
            (window(below, device))
        }
    }
}

/// How much room is wanted above a BAR for what covers it.
fn cover(placed: &Placed) -> u32 {
    if placed.parts.iter().any(|part| part.reach == Reach::Overlay) { COVER } else { 0 }
}

/// A BAR from left to right. What covers it is drawn above it.
fn bar(y: u32, placed: &Placed) -> Markup {
    let whole = [Part { name: placed.name.clone(), offset: 0, size: placed.size, reach: placed.reach }];
    let parts = if placed.parts.is_empty() { whole.as_slice() } else { placed.parts.as_slice() };
    let top = y + 20 + cover(placed);
    html! {
        text x="0" y=(y + 12) { (shortened(&placed.name, 22)) }
        text.quiet.right x=(WIDTH) y=(y + 12) { (amount::size(placed.size)) " at " (amount::address(placed.start)) }
        @for (x, width, part) in widths(parts) {
            g {
                title { (spelt(part)) }
                @if part.reach == Reach::Overlay {
                    rect.traps x=(x) y=(top) width=(width) height="22" {}
                    rect.overlay x=(x) y=(top - 10) width=(width) height="24" {}
                } @else {
                    rect.(class(part.reach)) x=(x) y=(top) width=(width) height="22" {}
                }
                text.quiet.small x=(x + 1) y=(top + 34) { (format!("+{:#x}", part.offset)) }
            }
        }
    }
}

fn spelt(part: &Part) -> String {
    let Part { name, offset, size, reach } = part;
    format!("{name}, {} at +{offset:#x}, {}", amount::size(*size), reach.word())
}

/// Where each part is drawn: the larger the wider, and none too narrow to be seen.
fn widths(parts: &[Part]) -> Vec<(u32, u32, &Part)> {
    let weight = |part: &Part| part.size.max(1).ilog2() + 1;
    let all: u32 = parts.iter().map(weight).sum();
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let narrow = NARROW.min(WIDTH / count.max(1));
    let spread = WIDTH.saturating_sub(narrow * count);
    let mut x = 0;
    let mut placed = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let width = narrow + spread * weight(part) / all.max(1);
        placed.push((x, if is_last { WIDTH.saturating_sub(x) } else { width }, part));
        x += width;
    }
    placed
}

/// The window, decoder 0, and the device's memory behind it.
fn window(y: u32, device: &Device) -> Markup {
    let (top, bottom) = (y + 34, y + 90);
    let reach = if device.mapped { Reach::Maps } else { Reach::Traps };
    let end = device.base.saturating_add(device.size);
    html! {
        text x="0" y=(y + 14) { "window" }
        text.middle x="176" y=(y + 14) { "HDM decoder 0" }
        text.right x=(WIDTH) y=(y + 14) { "device memory" }
        polygon.decoder points={ "90," (top) " 262," (top) " 262," (bottom) " 90," (bottom) } {}
        rect.(class(reach)) x="0" y=(top) width="90" height="56" {}
        rect.(class(reach)) x="262" y=(top) width="90" height="56" {}
        text.quiet.small x="0" y=(top - 5) { (amount::address(device.base)) }
        text.quiet.small x="0" y=(bottom + 13) { (amount::address(end)) }
        text.quiet.small.right x=(WIDTH) y=(top - 5) { "DPA 0x0" }
        text.quiet.small.right x=(WIDTH) y=(bottom + 13) { "DPA " (amount::address(device.size)) }
        text.quiet.middle x="176" y=(top + 24) { (amount::size(device.size)) }
        text.quiet.middle x="176" y=(top + 40) {
            (if device.mapped { "mapped" } else { "every access is a call" })
        }
    }
}
