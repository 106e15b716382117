//! The revisions of vfio-cxl side by side: the structures, and what one device says in each.

use serde_json::Value;

use super::comments::members;
use super::comments::source;
use super::markdown::LINE;
use super::markdown::code;
use super::markdown::page;
use super::markdown::table;
use super::served::Served;
use super::served::json;
use crate::workspace::Workspace;

/// The kernels, as the program calls them.
const KERNELS: [&str; 4] = ["v2", "v3", "next", "plain"];

/// The structures: the source, what its bytes are called there, and what it is.
const STRUCTURES: [(&str, &str, &str); 3] = [
    ("v2", "DeviceCapability", "v2: the device capability, behind its header"),
    ("v3", "DeviceCapability", "v3: the device capability, behind its header"),
    (
        "next",
        "ComponentRegisters",
        "next: the capability of the component register region, behind its header",
    ),
];

/// What is asked of a device in each revision: a name, and where it is in what `inspect --json` says.
const ASKED: [(&str, &str); 15] = [
    ("flags of the device", "/flags"),
    ("capabilities of the device", "/capabilities"),
    ("firmware committed", "/cxl/firmware_committed"),
    ("speaks CXL.cache", "/cxl/cache_capable"),
    ("decoders take what is written", "/cxl/decoders_programmable"),
    ("BAR of the component block", "/cxl/bar"),
    ("its offset in the BAR", "/cxl/component"),
    ("index of the memory region", "/cxl/memory_region"),
    ("index of the register region", "/cxl/register_region"),
    ("where the register region begins in the BAR", "/cxl/bar_offset"),
    ("base of decoder\u{a0}0", "/cxl/decoders/0/base"),
    ("size of decoder\u{a0}0", "/cxl/decoders/0/size"),
    ("control of decoder\u{a0}0", "/cxl/decoders/0/control"),
    ("decoder\u{a0}0 is committed", "/cxl/decoders/0/committed"),
    ("decoder\u{a0}0 is locked", "/cxl/decoders/0/locked"),
];

/// The page.
///
/// # Errors
/// If a device cannot be asked, or a source not read.
pub(super) fn written(workspace: &Workspace) -> Result<String, String> {
    let mut page = page(
        "What one device says in each revision",
        "The preset `t2-committed`, as `cxl-sim inspect --json` sees it behind each kernel.",
    );
    let mut told = Vec::new();
    for kernel in KERNELS {
        let served = Served::start(workspace, "t2-committed", kernel)?;
        told.push(json(workspace, &format!("inspect --json vfio-user:{}", served.socket().display()))?);
    }
    let answers =
        ASKED.map(|(name, pointer)| row(name, told.iter().map(|told| shown(told.pointer(pointer)))));
    let regions = [
        row(
            "length of the register region",
            told.iter().map(|told| region(told, "component registers", "size")),
        ),
        row("what can be mapped of the BAR", told.iter().map(|told| region(told, "bar2", "areas"))),
    ];
    page.push_str(&table(&["", "v2", "v3", "next", "plain"], &[answers.to_vec(), regions.to_vec()].concat()));
    page.push_str("\n## The structures\n");
    for (file, name, about) in STRUCTURES {
        page.push_str(&structure(workspace, file, name, about)?);
    }
    Ok(page)
}

fn row(name: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    [name.to_owned()].into_iter().chain(cells).collect()
}

/// A value as a cell; what is not said is a dash.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(all)) if all.is_empty() => "none".to_owned(),
        Some(Value::Array(all)) if all.iter().all(Value::is_object) => {
            all.iter().map(|one| shown(Some(one))).collect::<Vec<_>>().join(LINE)
        }
        Some(Value::Array(all)) => all.iter().map(|one| shown(Some(one))).collect::<Vec<_>>().join(", "),
        Some(Value::Object(area)) => {
            let part = |key| area.get(key).and_then(Value::as_str).unwrap_or_default();
            code(&format!("{}+{}", part("offset"), part("size")))
        }
        // A register in words: its name, which the row has, its value, and its bits that are 1.
        Some(Value::String(text)) if text.contains(' ') => {
            text.replace("HDM Decoder Control ", "").replace(" 0x1", "")
        }
        Some(Value::String(text)) => code(text),
        Some(other) => code(&other.to_string()),
    }
}

/// What is said of the region of this name.
fn region(told: &Value, name: &str, key: &str) -> String {
    let regions = told.get("regions").and_then(Value::as_array);
    let found = regions.into_iter().flatten().find(|region| region.get("name").is_some_and(|is| is == name));
    shown(found.and_then(|region| region.get(key)))
}

/// A structure as its fields with their offsets.
fn structure(workspace: &Workspace, file: &str, name: &str, about: &str) -> Result<String, String> {
    let path = format!("spec/vfio/src/cxl/{file}.rs");
    let source = source(&workspace.root, &path)?;
    let told = members(&source, name)?;
    // Behind the header, which every capability has.
    let mut offset: u64 = 8;
    let mut rows = Vec::new();
    for field in members(&source, "Bytes")? {
        let size =
            size(&field.kind).ok_or_else(|| format!("{path}: nobody knows how long {} is", field.kind))?;
        let about = told.iter().find(|member| member.name == field.name);
        let about = about.map(|member| member.about.clone()).unwrap_or_default();
        rows.push(vec![format!("`+{offset}`"), size.to_string(), code(&field.name), about]);
        offset = offset.saturating_add(size);
    }
    let heading = format!("\n### {about}\n\nWith its header it has {offset:#x} bytes.\n");
    Ok(heading + &table(&["Offset", "Bytes", "Field", "What it is"], &rows))
}

/// How many bytes a type has.
fn size(kind: &str) -> Option<u64> {
    match kind {
        "u8" => Some(1),
        "U32" => Some(4),
        "U64" => Some(8),
        array => array.strip_prefix("[u8; ")?.strip_suffix(']')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!(null), "–")]
    #[case(json!(true), "yes")]
    #[case(json!([]), "none")]
    #[case(json!(["a", 6]), "`a`, `6`")]
    #[case(json!("HDM Decoder Control 0x600 (commit 0x1)"), "0x600 (commit)")]
    #[case(json!([{"offset": "0x0", "size": "0x1"}, {"offset": "0x2", "size": "0x3"}]), "`0x0+0x1`<br>`0x2+0x3`")]
    #[case(json!([{"offset": "0x0", "size": "0x1000"}]), "`0x0+0x1000`")]
    fn a_value_is_a_cell(#[case] value: Value, #[case] cell: &str) {
        assert_eq!(shown(Some(&value)), cell);
    }

    #[test]
    fn the_structures_are_as_long_as_the_kernels() {
        let workspace = Workspace::load().unwrap();
        let lengths = ["0x20", "0x30", "0x18"];
        for ((file, name, about), length) in STRUCTURES.into_iter().zip(lengths) {
            let told = structure(&workspace, file, name, about).unwrap();
            assert!(told.contains(&format!("it has {length} bytes")), "{told}");
        }
    }
}
