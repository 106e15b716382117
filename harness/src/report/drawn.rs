//! An address map as lines of text: boxes for what is there, by rising address, and a word for where nothing is.

use super::amount;
use super::paint::Paint;
use super::story::Part;
use super::story::Placed;
use super::story::Reach;

/// How wide an address is written.
const ADDRESS: usize = 15;

/// How wide names are at least.
const NAME: usize = 32;

/// How wide sizes are written.
const SIZE: usize = 10;

/// A box's inside, by what an access reaches.
fn fill(reach: Reach) -> &'static str {
    match reach {
        Reach::Maps => "██████",
        Reach::Traps => "▒▒▒▒▒▒",
        Reach::Overlay => "▚▚▚▚▚▚",
        Reach::Mixed => "      ",
        Reach::Nothing => "······",
    }
}

/// What the boxes mean.
pub fn legend(paint: Paint) -> String {
    let keys = [
        (Reach::Maps, "maps"),
        (Reach::Traps, "traps"),
        (Reach::Overlay, "COMP_REGS, traps"),
        (Reach::Nothing, "nothing answers"),
    ];
    let keys = keys.map(|(reach, word)| {
        let two: String = fill(reach).chars().take(2).collect();
        format!("{} {word}", paint.reach(reach, &two))
    });
    keys.join("   ")
}

/// One address space: what is in it by rising address, and the places in between where nothing is.
pub fn map(map: &[Placed], paint: Paint) -> Vec<String> {
    let mut drawing = Drawing { paint, lines: Vec::new() };
    let mut end = map.first().map_or(0, |first| first.start);
    drawing.border("┌──────┐");
    for placed in map {
        if placed.start > end {
            drawing.gap(placed.start.saturating_sub(end));
        }
        drawing.placed(placed, placed.start < end);
        end = end.max(placed.start.saturating_add(placed.size));
    }
    drawing.border("└──────┘");
    drawing.lines
}

/// Things that are in no common address space: each by itself.
pub fn each(things: &[Placed], paint: Paint) -> Vec<String> {
    things.iter().flat_map(|thing| map(std::slice::from_ref(thing), paint)).collect()
}

struct Drawing {
    paint: Paint,
    lines: Vec<String>,
}

impl Drawing {
    fn border(&mut self, border: &str) {
        self.lines.push(format!("{:ADDRESS$} {border}", ""));
    }

    fn gap(&mut self, size: u64) {
        let words = format!("unused {}", amount::size(size));
        self.lines.push(format!("{:ADDRESS$} ┆  ⋮   ┆ {}", "", self.paint.quiet(&words)));
    }

    /// A line of a box: an address, the box, and words.
    fn line(&mut self, address: Option<u64>, reach: Reach, words: &str) {
        let address = address.map(amount::address).unwrap_or_default();
        let inside = self.paint.reach(reach, fill(reach));
        self.lines.push(format!("{address:>ADDRESS$} │{inside}│ {words}").trim_end().to_owned());
    }

    /// Something, inside of what came before or not.
    fn placed(&mut self, placed: &Placed, is_inside: bool) {
        let name = if is_inside { format!("  {}", placed.name) } else { placed.name.clone() };
        let name = format!("{name:NAME$}");
        let name = if is_inside { name } else { self.paint.strong(&name) };
        let size = format!("{:>SIZE$}", amount::size(placed.size));
        self.line(Some(placed.start), placed.reach, &format!("{name} {size}  {}", placed.reach.word()));
        placed.parts.iter().for_each(|part| self.part(part));
        for _ in 0..taller(placed) {
            self.line(None, placed.reach, "");
        }
    }

    fn part(&mut self, part: &Part) {
        let name = format!("  +{:#x} {}", part.offset, part.name);
        let size = amount::size(part.size);
        self.line(None, part.reach, &format!("{name:NAME$} {size:>SIZE$}  {}", part.reach.word()));
    }
}

/// How many lines more something has because it is large. What consists of parts is tall already.
fn taller(placed: &Placed) -> usize {
    match placed.size {
        _ if !placed.parts.is_empty() => 0,
        0..0x0100_0000 => 0,
        0x0100_0000..0x1_0000_0000 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(name: &str, start: u64, size: u64, reach: Reach) -> Placed {
        let (name, kind, why) = (name.to_owned(), "bar".to_owned(), String::new());
        Placed { name, kind, start, size, reach, why, parts: Vec::new() }
    }

    #[test]
    fn a_map_is_drawn_with_what_maps_what_traps_what_is_inside_and_what_is_unused() {
        let part = |name: &str, offset, size, reach| Part { name: name.to_owned(), offset, size, reach };
        let parts = vec![
            part("bar2", 0, 0x2_1000, Reach::Maps),
            part("COMP_REGS, region 10", 0x2_1000, 0x140, Reach::Overlay),
        ];
        let things = [
            placed("ram", 0, 0x400_0000, Reach::Maps),
            placed("tables", 0xe_0000, 0x1000, Reach::Maps),
            placed("ecam", 0xb000_0000, 0x1000, Reach::Traps),
            Placed { parts, ..placed("bar2", 0xb000_1000, 0x2_1140, Reach::Mixed) },
        ];
        let drawn = map(&things, Paint::Plain);
        let expected = [
            "                ┌──────┐",
            "            0x0 │██████│ ram                                  64 MiB  maps",
            "                │██████│",
            "       0xe_0000 │██████│   tables                              4 KiB  maps",
            "                ┆  ⋮   ┆ unused 2.7 GiB",
            "    0xb000_0000 │▒▒▒▒▒▒│ ecam                                  4 KiB  traps",
            "    0xb000_1000 │      │ bar2                              132.3 KiB  maps and traps",
            "                │██████│   +0x0 bar2                         132 KiB  maps",
            "                │▚▚▚▚▚▚│   +0x21000 COMP_REGS, region 10       320 B  overlay, traps",
            "                └──────┘",
        ];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn things_of_no_common_space_have_a_box_each_and_colours_change_no_letter() {
        let things = [placed("bar0", 0, 0x1000, Reach::Traps), placed("bar2", 0, 0x1000, Reach::Maps)];
        let plain = each(&things, Paint::Plain);
        assert_eq!(plain.iter().filter(|line| line.contains('┌')).count(), 2);
        let coloured = each(&things, Paint::Colours).join("\n");
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain.join("\n"));
    }

    #[test]
    fn what_ends_with_the_last_address_is_drawn() {
        let drawn = map(&[placed("top", u64::MAX, u64::MAX, Reach::Nothing)], Paint::Plain);
        assert_eq!(drawn.len(), 5);
        assert!(drawn[1].starts_with("0xffff_ffff_ffff_ffff │······│ top"), "{drawn:?}");
    }
}
