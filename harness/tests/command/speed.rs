//! `cxl-sim bench`, with little effort: what it writes, and what it says of a baseline. No number is looked at.

use std::path::Path;
use std::process::Output;

use rstest::rstest;
use serde_json::Value;
use serde_json::json;

use crate::cxl_sim;
use crate::files::lines;

fn bench(folder: &Path, arguments: &[&str]) -> Output {
    cxl_sim(folder).current_dir(folder).args(["bench", "--quick"]).args(arguments).output().unwrap()
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn a_baseline_is_kept_and_what_is_worse_than_it_is_named_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, kept) = (folder.path(), folder.path().join("kept.json"));
    let ran = bench(folder, &["--baseline", "kept.json", "--json", "all.json", "--report", "drawn.svg"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let (all, mut baseline) = (read(&folder.join("all.json")), read(&kept));
    let rows = all["rows"].as_array().unwrap();
    let attached = rows.iter().filter(|row| row["name"].as_str().unwrap().starts_with("attach, "));
    assert_eq!(attached.count(), 2);
    assert_eq!(baseline["ratios"].as_object().unwrap().len(), rows.len());
    let drawn = std::fs::read_to_string(folder.join("drawn.svg")).unwrap();
    assert_eq!(drawn.matches("<rect x=").count(), rows.len());

    let ran = bench(folder, &["--compare", "kept.json", "--tolerance", "1e9", "--report", "drawn.html"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(lines(&ran).last().unwrap(), "no ratio is more than 1000000000 times worse than in kept.json");
    let page = std::fs::read_to_string(folder.join("drawn.html")).unwrap();
    assert!(page.contains("<svg ") && page.contains("region read, 4 bytes       raw socket"), "{page}");

    // A time that was nothing, and a rate that could not be had: both are worse now.
    let spoiled = ["region read, 4 bytes / raw socket ping-pong", "scenarios / processes doing nothing"];
    baseline["ratios"][spoiled[0]] = json!(1e-9);
    baseline["ratios"][spoiled[1]] = json!(1e9);
    std::fs::write(&kept, baseline.to_string()).unwrap();
    let ran = bench(folder, &["--compare", "kept.json", "--tolerance", "10000"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let lines = lines(&ran);
    let worse: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("worse: ")).collect();
    assert_eq!(worse.len(), 2, "{worse:?}");
    assert!(worse.iter().zip(spoiled).all(|(line, name)| line.starts_with(name)), "{worse:?}");
}

#[rstest]
#[case(&["--compare", "none.json"], "none.json: No such file")]
#[case(&["--compare", "text.json"], "text.json: no baseline: ")]
#[case(&["--report", "drawn.png"], "must end in .svg or .html")]
#[case(&["--compare", "text.json", "--tolerance", "0.5"], "must be a number from 1 up")]
#[case(&["--tolerance", "2"], "--compare <FILE>")]
fn what_cannot_be_compared_or_drawn_is_wrong_before_anything_is_measured(
    #[case] arguments: &[&str],
    #[case] why: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.json"), "1.5").unwrap();
    let ran = bench(folder.path(), arguments);
    assert_eq!((ran.status.code(), lines(&ran)), (Some(2), vec![]));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains(why), "{said}");
}
