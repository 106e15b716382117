//! Tests of what others take into their CI: the files parse, and what they run exists.
//!
//! That the program knows the options is seen by the step `commands`, which asks it.

use std::collections::BTreeSet;
use std::fs;

use saphyr::LoadableYamlNode;
use saphyr::Yaml;

use crate::step::ALL;
use crate::step::STEPS;
use crate::workspace::Workspace;

/// The programs that lines of the templates may begin with.
const PROGRAMS: [&str; 9] =
    ["apt-get", "cargo", "cxl-sim", "echo", "export", "git", "rustup", "seq", "useradd"];

fn text(name: &str) -> String {
    fs::read_to_string(Workspace::load().unwrap().root.join("ci/workflow").join(name)).unwrap()
}

/// The values of these keys, wherever they are below a node, each as lines of shell.
fn below(node: &Yaml<'_>, keys: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(mapping) = node.as_mapping() {
        for (key, value) in mapping {
            if key.as_str().is_some_and(|key| keys.contains(&key)) {
                lines.extend(value.as_str().into_iter().flat_map(str::lines).map(str::to_owned));
                let each = value.as_vec().into_iter().flatten();
                lines.extend(each.filter_map(Yaml::as_str).map(str::to_owned));
            }
            lines.extend(below(value, keys));
        }
    }
    lines.extend(node.as_vec().into_iter().flatten().flat_map(|each| below(each, keys)));
    lines
}

/// The lines of shell in a file of YAML.
fn shell(name: &str) -> Vec<String> {
    let text = text(name);
    let documents = Yaml::load_from_str(&text).unwrap();
    let lines: Vec<_> =
        documents.iter().flat_map(|document| below(document, &["run", "script", "before_script"])).collect();
    assert!(!lines.is_empty(), "{name} runs nothing");
    lines
}

/// The lines of shell in the Dockerfile.
fn docker() -> Vec<String> {
    text("Dockerfile").lines().filter_map(|line| line.strip_prefix("RUN ")).map(str::to_owned).collect()
}

fn everything() -> Vec<String> {
    [shell("action.yml"), shell("github.yml"), shell("gitlab.yml"), docker()].concat()
}

#[test]
fn every_line_runs_a_program_that_is_known() {
    for line in everything() {
        for part in line.split("&&") {
            let program = part.split_whitespace().next().unwrap();
            assert!(PROGRAMS.contains(&program), "{line}");
        }
    }
}

#[test]
fn every_step_that_is_taken_exists() {
    let taken: Vec<_> =
        everything().iter().filter_map(|line| line.strip_prefix("cargo ci ").map(str::to_owned)).collect();
    assert!(!taken.is_empty());
    for line in taken {
        let step = line.split(' ').next().unwrap();
        assert!(step == ALL || STEPS.iter().any(|known| known.command() == step), "{line}");
    }
}

/// Whatever somebody gives for an input must not become a line of shell.
#[test]
fn no_input_is_put_into_a_line_of_shell() {
    for line in everything() {
        assert!(!line.contains("${{") && !line.contains("$[["), "{line}");
    }
}

#[test]
fn every_step_may_be_skipped_or_must_pass_and_none_is_both() {
    let text = text("github.yml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let list = |key| {
        let lists = below(&documents[0], &[key]);
        assert_eq!(lists.len(), 1);
        lists[0].split(',').map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (may_skip, must_pass) = (list("MAY_SKIP"), list("MUST_PASS"));
    assert_eq!(may_skip.intersection(&must_pass).count(), 0);
    let both: BTreeSet<_> = may_skip.union(&must_pass).map(String::as_str).collect();
    let taken: BTreeSet<_> =
        STEPS.iter().filter(|step| step.is_taken_by(ALL)).map(|step| step.command()).collect();
    assert_eq!(both, taken);
}

#[test]
fn nothing_is_run_as_root_in_the_image() {
    let text = text("Dockerfile");
    let stages = text.split("FROM ").skip(1);
    for stage in stages {
        assert!(stage.contains("\nUSER "), "{stage}");
        let (_, as_user) = stage.split_once("\nUSER ").unwrap();
        assert!(!as_user.contains("USER root") && !as_user.contains("apt-get"), "{stage}");
    }
}
