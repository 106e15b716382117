//! What is below which bridge, as a picture.

use maud::Markup;
use maud::html;

use super::shortened;
use crate::report::amount;
use crate::report::story::Bridge;
use crate::report::story::Topology;
use crate::report::story::Window;

const WIDTH: u32 = 352;

/// How high a bridge's row is, and a box in it.
const ROW: u32 = 54;
const BOX: u32 = 40;

/// How high a window's line is.
const LINE: u32 = 18;

/// The topology: a row for each bridge, and below them the windows.
pub(super) fn topology(topology: &Topology) -> Markup {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).min(1000);
    let (bridges, windows) = (count(topology.bridges.len()), count(topology.windows.len()));
    let below = bridges * ROW + 8;
    let height = below + windows * LINE + 12;
    html! {
        svg.topology viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) role="img"
            aria-label="the topology" {
            @if bridges > 1 { line.wire x1="6" y1={ (BOX / 2) } x2="6" y2={ ((bridges - 1) * ROW + BOX / 2) } {} }
            @for (row, bridge) in (0u32..).zip(&topology.bridges) { (of_bridge(row * ROW, bridge, topology)) }
            @for (line, window) in (0u32..).zip(&topology.windows) { (of_window(below + LINE * line, window)) }
        }
    }
}

fn of_bridge(y: u32, bridge: &Bridge, topology: &Topology) -> Markup {
    let device = bridge.device.as_deref();
    let bdf =
        topology.devices.iter().find(|one| Some(one.name.as_str()) == device).map(|one| one.bdf.as_str());
    let buses = format!("buses {:02x} to {:02x}", bridge.bus, bridge.last_bus);
    let (port, middle) = (format!("port {}", bridge.port), y + BOX / 2);
    html! {
        line.wire x1="6" y1=(middle) x2="250" y2=(middle) {}
        (labelled((14, y, 116), "bridge", &bridge.name, &buses))
        (labelled((140, y, 100), "port", &port, "CXL root port"))
        @if let Some(name) = device {
            (labelled((250, y, 100), "device", name, bdf.unwrap_or_default()))
        } @else {
            (labelled((250, y, 100), "empty", "empty slot", ""))
        }
    }
}

/// A box at a place, of a width, with two lines of text.
fn labelled((x, y, width): (u32, u32, u32), class: &str, first: &str, second: &str) -> Markup {
    html! {
        g {
            title { (first) " " (second) }
            rect.(class) x=(x) y=(y + 1) width=(width) height=(BOX) rx="4" {}
            text x=(x + 7) y=(y + 17) { (shortened(first, 16)) }
            text.quiet x=(x + 7) y=(y + 32) { (shortened(second, 17)) }
        }
    }
}

fn of_window(y: u32, window: &Window) -> Markup {
    let memory = window.device.as_deref().map_or("nothing", |device| device);
    let targets = window.targets.join(", ");
    let line =
        format!("{} {} → {targets} → {memory}", amount::size(window.size), amount::address(window.start));
    html! {
        g {
            title { (window.name) ": " (line) }
            rect.window x="16" y=(y + 5) width="9" height="9" {}
            text.quiet x="31" y=(y + 14) { (shortened(&line, 50)) }
        }
    }
}
