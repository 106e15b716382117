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

const WIDTH: u32 = 380;

/// How high a BAR is with its labels.
const BAR: u32 = 78;

/// How high the picture of the window is.
const WINDOW: u32 = 112;

/// How narrow a part is at least.
const NARROW: u32 = 46;

/// A device's pictures, one below the other.
pub(super) fn device(device: &Device, map: &[Placed]) -> Markup {
    let bars: Vec<_> =
        device.bars.iter().filter_map(|bar| map.iter().find(|placed| placed.name == *bar)).collect();
    let below = BAR * u32::try_from(bars.len()).unwrap_or(u32::MAX).min(100);
    let height = below + WINDOW;
    html! {
        svg.device viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) role="img"
            aria-label="the device's BARs and memory" {
            @for (row, placed) in (0u32..).zip(bars) { (bar(row * BAR, placed)) }
            (window(below, device))
        }
    }
}

/// A BAR from left to right. What covers it is drawn above it.
fn bar(y: u32, placed: &Placed) -> Markup {
    let whole = [Part { name: placed.name.clone(), offset: 0, size: placed.size, reach: placed.reach }];
    let parts = if placed.parts.is_empty() { whole.as_slice() } else { placed.parts.as_slice() };
    let top = y + 38;
    html! {
        text x="0" y=(y + 12) { (shortened(&placed.name, 28)) }
        text.quiet.right x=(WIDTH) y=(y + 12) { (amount::size(placed.size)) " at " (amount::address(placed.start)) }
        @for (x, width, part) in widths(parts) {
            @let covers = part.reach == Reach::Overlay;
            g {
                title { (part.name) ", " (amount::size(part.size)) " at +" (format!("{:#x}", part.offset)) ", " (part.reach.word()) }
                @if covers { rect.traps x=(x) y=(top) width=(width) height="22" {} }
                rect.(class(part.reach)) x=(x) y=(if covers { top - 14 } else { top }) width=(width)
                    height=(if covers { 26 } else { 22 }) {}
                text.quiet.small x=(x + 1) y=(top + 34) { (format!("+{:#x}", part.offset)) }
            }
        }
        @if parts.iter().any(|part| part.reach == Reach::Overlay) {
            text.quiet.small x="0" y=(y + 30) { "COMP_REGS cover what is below" }
        }
    }
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
    for part in parts {
        let width = narrow + spread * weight(part) / all.max(1);
        placed.push((x, width, part));
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
        text.middle x="190" y=(y + 14) { "HDM decoder 0" }
        text.right x=(WIDTH) y=(y + 14) { "device memory" }
        polygon.decoder points={ "96," (top) " 284," (top) " 284," (bottom) " 96," (bottom) } {}
        rect.(class(reach)) x="0" y=(top) width="96" height="56" {}
        rect.(class(reach)) x="284" y=(top) width="96" height="56" {}
        text.quiet.small x="0" y=(top - 5) { (amount::address(device.base)) }
        text.quiet.small x="0" y=(bottom + 13) { (amount::address(end)) }
        text.quiet.small.right x=(WIDTH) y=(top - 5) { "DPA 0x0" }
        text.quiet.small.right x=(WIDTH) y=(bottom + 13) { "DPA " (amount::address(device.size)) }
        text.quiet.middle x="190" y=(top + 24) { (amount::size(device.size)) }
        text.quiet.middle x="190" y=(top + 40) {
            (if device.mapped { "mapped" } else { "every access is a call" })
        }
    }
}
