//! A table by its layout: structures with named fields.

use vmm_core::acpi::read::Bytes;
use vmm_core::acpi::read::Read;

use super::Seen;
use super::Structure;
use super::layout::Bits;
use super::layout::Field;
use super::layout::Length;
use super::layout::MAPPING;
use super::layout::REVISION;
use super::layout::Table;
use super::layout::What;

/// Length of an ID mapping.
const MAPPING_SIZE: usize = 20;

/// The field of an ID mapping that leads to a node.
const OUTPUT: &str = "output_reference";

/// What a table says: its own fields, and its structures in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it has once.
    pub own: Structure,
    /// Its structures.
    pub structures: Vec<Structure>,
}

/// Takes a table apart.
///
/// # Errors
/// If a structure is not known, or does not hold what it should.
pub fn decode(layout: &Table, bytes: &[u8]) -> Read<Decoded> {
    let table = Bytes { name: layout.signature, bytes };
    let mut own = fields(table, layout.fields)?;
    own.push((REVISION.name.to_owned(), field(table, &REVISION)?));
    let mut structures = Vec::new();
    let mut places = Vec::new();
    for (at, part) in parts(layout, table)? {
        let kind = if let Length::Fixed(_) = layout.length { 0 } else { part.u8(0)? };
        let known = layout.structures.iter().find(|known| known.kind == kind);
        let known = known.ok_or_else(|| format!("{}: type {kind} at {at} is not known", table.name))?;
        let before = places.iter().filter(|(_, name, _)| *name == known.name).count();
        places.push((at, known.name, before));
        structures.push(Structure { name: known.name.to_owned(), fields: fields(part, known.fields)? });
    }
    structures.iter_mut().for_each(|structure| lead(structure, &places));
    Ok(Decoded { own: Structure { name: layout.signature.to_owned(), fields: own }, structures })
}

fn parts<'a>(layout: &Table, table: Bytes<'a>) -> Read<Vec<(usize, Bytes<'a>)>> {
    match layout.length {
        Length::None => Ok(Vec::new()),
        Length::Fixed(size) => table.parts(layout.first, |_| Ok(size)),
        Length::At(at, size) => table
            .parts(layout.first, |part| Ok(usize::try_from(part.number(at, size)?).unwrap_or(usize::MAX))),
    }
}

fn fields(part: Bytes<'_>, layouts: &[Field]) -> Read<Vec<(String, Seen)>> {
    layouts.iter().map(|layout| Ok((layout.name.to_owned(), field(part, layout)?))).collect()
}

fn field(part: Bytes<'_>, layout: &Field) -> Read<Seen> {
    Ok(match layout.what {
        What::Number(size) => Seen::Number(part.number(layout.at, size)?),
        What::Flags(size, bits) => Seen::Names(names(part.number(layout.at, size)?, bits)),
        What::Text(size) => Seen::Text(String::from_utf8_lossy(part.run(layout.at, size)?).into_owned()),
        What::Numbers(rule) => Seen::Numbers(rule(part)?),
        What::Mappings => Seen::Structures(mappings(part)?),
    })
}

/// The names of the bits that are set. One without a name is called by its number.
fn names(value: u64, bits: Bits) -> Vec<String> {
    let set = (0..u64::BITS).filter(|bit| value >> bit & 1 == 1);
    let name = |bit| bits.iter().find(|(_, known)| *known == bit).map(|(name, _)| (*name).to_owned());
    set.map(|bit| name(bit).unwrap_or_else(|| format!("bit-{bit}"))).collect()
}

fn mappings(node: Bytes<'_>) -> Read<Vec<Structure>> {
    let (count, at) = (node.u32(8)? as usize, node.u32(12)? as usize);
    let all = node.run(at, count.saturating_mul(MAPPING_SIZE))?;
    let mappings = all.chunks_exact(MAPPING_SIZE).map(|bytes| {
        let fields = fields(Bytes { name: node.name, bytes }, MAPPING)?;
        Ok(Structure { name: "mappings".to_owned(), fields })
    });
    mappings.collect()
}

/// Says where ID mappings lead by the name of the node and its number among its like.
fn lead(structure: &mut Structure, places: &[(usize, &str, usize)]) {
    for (name, seen) in &mut structure.fields {
        match seen {
            Seen::Structures(inner) => inner.iter_mut().for_each(|one| lead(one, places)),
            Seen::Number(offset) if name == OUTPUT => {
                let node = places.iter().find(|(at, ..)| *at as u64 == *offset);
                let text = node.map(|(_, name, number)| format!("{name} {number}"));
                *seen = Seen::Text(text.unwrap_or_else(|| format!("no node at {offset:#x}")));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(signature: &str, body: &[u8]) -> Read<Decoded> {
        decode(Table::of(signature).unwrap(), &[&[0; 36], body].concat())
    }

    #[test]
    fn a_window_that_is_typed_by_hand_is_read_with_all_its_fields() {
        #[rustfmt::skip]
        let typed = [
            0x01, 0x00, 0x2c, 0x00, 0, 0, 0, 0, // type 1, length 44
            0x00, 0x00, 0x00, 0x10, 0x01, 0, 0, 0, // base
            0x00, 0x00, 0x00, 0x20, 0x00, 0, 0, 0, // size
            0x01, 0x00, 0, 0, 0x02, 0, 0, 0, // two ways, modulo, 1 KiB
            0x81, 0x00, 0x07, 0x00, // device coherent, and a bit that has no name; QTG 7
            0x0c, 0, 0, 0, 0x14, 0, 0, 0, // targets 12 and 20
        ];
        let decoded = read("CEDT", &typed).unwrap();
        let [window] = decoded.structures.as_slice() else { panic!("{decoded:?}") };
        let number = |name| window.field(name).cloned();
        assert_eq!(number("base"), Some(Seen::Number(0x1_1000_0000)));
        assert_eq!(number("size"), Some(Seen::Number(512 << 20)));
        assert_eq!(number("interleave_ways"), Some(Seen::Number(1)));
        assert_eq!(number("granularity"), Some(Seen::Number(2)));
        assert_eq!(number("qtg_id"), Some(Seen::Number(7)));
        let names = ["device-coherent", "bit-7"].map(str::to_owned).to_vec();
        assert_eq!(number("restrictions"), Some(Seen::Names(names)));
        assert_eq!(number("targets"), Some(Seen::Numbers(vec![12, 20])));
    }

    #[rstest]
    #[case::strange("CEDT", &[9, 0, 4, 0], "CEDT: type 9 at 36 is not known")]
    #[case::endless("CEDT", &[0, 0, 0, 0], "CEDT: a part without length at 36")]
    #[case::short("CEDT", &[0, 0, 8, 0, 1, 0, 0, 0], "CEDT: no 4 bytes at 8")]
    #[case::cut("CEDT", &[0, 0, 32, 0, 1, 0, 0, 0], "CEDT: no 32 bytes at 0")]
    #[case::half("MCFG", &[0; 16], "MCFG: no 16 bytes at 0")]
    fn what_no_structure_is_is_told_with_its_place(
        #[case] signature: &str,
        #[case] body: &[u8],
        #[case] said: &str,
    ) {
        assert_eq!(read(signature, body).unwrap_err(), said);
    }

    #[rstest]
    #[case::a_node(48, "its_group 0")]
    #[case::inside_of_a_node(52, "no node at 0x34")]
    fn a_mapping_leads_to_a_node_by_its_name(#[case] to: u8, #[case] said: &str) {
        #[rustfmt::skip]
        let group = [0, 24, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let mut root = vec![2, 56, 0, 3, 1, 0, 0, 0, 1, 0, 0, 0, 36, 0, 0, 0];
        root.extend([0; 20]);
        root.extend([0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, to, 0, 0, 0, 0, 0, 0, 0]);
        let decoded = read("IORT", &[&[2, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0], &group[..], &root].concat());
        let decoded = decoded.unwrap();
        let Some(Seen::Structures(mappings)) = decoded.structures[1].field("mappings") else {
            panic!("{decoded:?}")
        };
        assert_eq!(mappings[0].field("output_reference"), Some(&Seen::Text(said.to_owned())));
        assert_eq!(mappings[0].field("id_count"), Some(&Seen::Number(0xffff)));
    }
}
