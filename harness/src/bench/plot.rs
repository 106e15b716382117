//! The ratios as a drawing: an SVG that needs nothing else, and can be put into a page as it is.
//!
//! A bar begins at 1, where what was measured is as fast as what it was compared with, and ends at the ratio; twice as
//! much is as far from 1 as half of it is. It is green where the ratio is at least as good as 1.

use std::fmt::Write;

use super::Better;
use super::Results;
use super::Row;

/// The page, in its own units.
const WIDTH: f64 = 960.0;
const LINE: f64 = 22.0;
const TOP: f64 = 40.0;

/// Where the bars may be, between names and numbers.
const LEFT: f64 = 400.0;
const RIGHT: f64 = 880.0;

/// The colours of what is at least as good as what it was compared with, and of what is not.
const GOOD: &str = "#2e7d32";
const LESS_GOOD: &str = "#b26a00";

/// Powers of ten: the scale goes from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    from: i32,
    to: i32,
}

impl Scale {
    /// The scale that has 1 and all of these ratios, which are above 0.
    fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let logs: Vec<f64> = ratios.map(f64::log10).chain([0.0]).collect();
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        // At least one power of ten to each side, so that 1 is not at an edge.
        Self { from: least.min(-1.0) as i32, to: most.max(1.0) as i32 }
    }

    /// Where a ratio is on the page.
    fn x(self, ratio: f64) -> f64 {
        let (from, to) = (f64::from(self.from), f64::from(self.to));
        LEFT + (ratio.log10() - from) / (to - from) * (RIGHT - LEFT)
    }
}

/// The drawing of these results. A ratio that is no number above 0 has no bar.
pub fn svg(results: &Results) -> String {
    let scale = Scale::of(results.rows.iter().map(|row| row.ratio_p50).filter(|ratio| is_drawn(*ratio)));
    let bottom = TOP + LINE * results.rows.len() as f64;
    let height = bottom + LINE * 2.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>cxl-sim bench: ratios of the \
         middles, guest {}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(results.guest)
    );
    let about = "ratio of what was measured to what it was compared with; green is at least as good";
    // Writing to a text cannot fail, here and below.
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.1}\">{about}</text>", TOP / 2.0);
    for power in scale.from..=scale.to {
        grid(&mut out, scale, power, bottom);
    }
    for (number, row) in results.rows.iter().enumerate() {
        bar(&mut out, scale, row, TOP + LINE * number as f64);
    }
    out.push_str("</svg>\n");
    out
}

fn is_drawn(ratio: f64) -> bool {
    ratio.is_finite() && ratio > 0.0
}

/// A line for a power of ten, and its name.
fn grid(out: &mut String, scale: Scale, power: i32, bottom: f64) {
    let value = 10_f64.powi(power);
    let x = scale.x(value);
    let colour = if power == 0 { "#444444" } else { "#dddddd" };
    // Writing to a text cannot fail.
    let _ =
        writeln!(out, "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>");
    let y = bottom + LINE;
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{value}</text>");
}

/// A row: its names, its bar, its ratio.
fn bar(out: &mut String, scale: Scale, row: &Row, top: f64) {
    let (baseline, ratio) = (top + LINE * 0.7, row.ratio_p50);
    let names = format!("{} / {}", row.name, row.against);
    let x = LEFT - 10.0;
    let _ =
        writeln!(out, "<text x=\"{x}\" y=\"{baseline:.1}\" text-anchor=\"end\">{}</text>", escaped(&names));
    if !is_drawn(ratio) {
        return;
    }
    let (one, end) = (scale.x(1.0), scale.x(ratio));
    let (start, width) = (one.min(end), (one - end).abs());
    let is_good = match row.better {
        Better::Less => ratio <= 1.0,
        Better::More => ratio >= 1.0,
    };
    let (y, height) = (top + 3.0, LINE - 6.0);
    let colour = if is_good { GOOD } else { LESS_GOOD };
    let _ = writeln!(
        out,
        "<rect x=\"{start:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
    let x = RIGHT + 10.0;
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{baseline:.1}\">{}</text>", significant(ratio));
}

/// A ratio with three digits that mean something.
fn significant(ratio: f64) -> String {
    if ratio < 0.001 { format!("{ratio:.2e}") } else { format!("{ratio:.3}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A page with the drawing and the numbers.
pub fn page(results: &Results) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>cxl-sim bench</title></head>\n\
         <body>\n{}<pre>{}</pre>\n</body>\n</html>\n",
        svg(results),
        escaped(&results.text())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, better: Better, ratio_p50: f64) -> Row {
        let (name, against) = (name.to_owned(), "x".to_owned());
        let (p50, p99, against_p50, against_p99, ratio_p99) = (1.0, 1.0, 1.0, 1.0, 1.0);
        Row { name, against, unit: "us", better, p50, p99, against_p50, against_p99, ratio_p50, ratio_p99 }
    }

    fn drawn(rows: Vec<Row>) -> String {
        svg(&Results { version: "0", guest: "soft", rows, left_out: vec![] })
    }

    /// The numbers of a bar: where it begins, how wide it is, its colour.
    fn bars(svg: &str) -> Vec<(f64, f64, String)> {
        let value = |line: &str, key: &str| {
            let rest = line.split_once(&format!(" {key}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        };
        let bars = svg.lines().filter(|line| line.starts_with("<rect x="));
        let number = |line: &str, key: &str| value(line, key).parse::<f64>().unwrap();
        bars.map(|line| (number(line, "x"), number(line, "width"), value(line, "fill"))).collect()
    }

    #[test]
    fn twice_and_half_are_as_far_from_one_to_both_sides() {
        let bars = bars(&drawn(vec![row("a", Better::Less, 2.0), row("b", Better::Less, 0.5)]));
        // From 0.1 to 10 on 480 units: 1 is in the middle, at 640, and log10(2) is 0.30103 of 240 units.
        assert_eq!(bars[0], (640.0, 72.2, LESS_GOOD.to_owned()));
        assert_eq!(bars[1], (567.8, 72.2, GOOD.to_owned()));
    }

    #[test]
    fn what_is_good_depends_on_what_is_better() {
        let bars = bars(&drawn(vec![row("a", Better::More, 2.0), row("b", Better::More, 0.5)]));
        assert_eq!(bars.iter().map(|bar| bar.2.as_str()).collect::<Vec<_>>(), [GOOD, LESS_GOOD]);
    }

    #[test]
    fn every_ratio_is_on_the_page_however_small_or_large() {
        let rows =
            vec![row("a", Better::Less, 3e-7), row("b", Better::Less, 4e5), row("c", Better::Less, 1.0)];
        for (start, width, _) in bars(&drawn(rows)) {
            assert!(start >= LEFT - 0.1 && start + width <= RIGHT + 0.1, "{start} {width}");
        }
        assert_eq!(Scale::of([3e-7, 4e5].into_iter()), Scale { from: -7, to: 6 });
    }

    #[test]
    fn what_is_no_ratio_has_a_name_and_no_bar() {
        let svg = drawn(vec![row("a", Better::Less, f64::NAN), row("b", Better::Less, 0.0)]);
        assert!(bars(&svg).is_empty() && svg.contains(">a / x<") && svg.contains(">b / x<"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn names_cannot_break_out_of_the_drawing() {
        let svg = drawn(vec![row("a<b>&\"c\"", Better::Less, 1.5)]);
        assert!(svg.contains("a&lt;b&gt;&amp;&quot;c&quot; / x"), "{svg}");
        let opened = svg.matches("<text").count();
        assert_eq!(opened, svg.matches("</text>").count());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
