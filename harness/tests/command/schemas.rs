//! The schemas that the command prints, and what is valid by them: all that comes with the program is, and what the
//! program refuses is not.

use std::path::Path;

use jsonschema::Validator;
use rstest::rstest;
use serde_json::Value;
use serde_json::json;
use sim_device::profile::PRESETS;
use sim_device::profile::Profile;

use crate::bundled;
use crate::cxl_sim;
use crate::run;
use crate::scenario_file;

/// The schema of a kind of file, as the command prints it.
fn printed(kind: &str) -> Value {
    let nowhere = tempfile::tempdir().unwrap();
    let output = cxl_sim(nowhere.path()).args(["schema", kind]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn validator(kind: &str) -> Validator {
    let schema = printed(kind);
    assert_eq!(schema["$id"], format!("urn:cxl-sim:{kind}"));
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// What is wrong with a value, a line each.
fn wrong(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn toml(text: &str) -> Value {
    toml::from_str(text).unwrap()
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_bundled_scenario_is_valid() {
    let schema = validator("scenario");
    let files = files(&bundled());
    assert!(files.len() > 200);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(wrong(&schema, &toml(&text)), [] as [String; 0], "{}", file.display());
    }
}

#[test]
fn every_preset_is_valid_short_and_in_full() {
    let schema = validator("profile");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim-device/profiles");
    let files = files(&folder);
    assert_eq!(files.len(), PRESETS.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(wrong(&schema, &toml(&text)), [] as [String; 0], "{}", file.display());
    }
    for preset in PRESETS {
        let text = Profile::find(preset.name).unwrap().to_toml();
        assert_eq!(wrong(&schema, &toml(&text)), [] as [String; 0], "{}", preset.name);
    }
}

#[test]
fn the_report_of_a_run_is_valid_whatever_became_of_it() {
    let schema = validator("report");
    let step = "load = { at = \"gpu0.hdm\", width = 4, is = 0 }";
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n{step}\n");
    let (_folder, failing) = scenario_file(&text);
    let runs_code = bundled().join("overlay/the-hosts-address-is-hidden.toml");
    for (path, outcome) in
        [(bundled().join("decoder/first-light.toml"), "passed"), (failing, "failed"), (runs_code, "")]
    {
        let ran = run(&path, &[]);
        assert!(outcome.is_empty() || ran.scenario()["outcome"] == outcome);
        assert_eq!(wrong(&schema, &ran.report), [] as [String; 0]);
    }
    let skipped = run(&bundled().join("decoder/first-light.toml"), &["--abi", "plain"]);
    assert_eq!(skipped.scenario()["outcome"], "skipped");
    assert_eq!(wrong(&schema, &skipped.report), [] as [String; 0]);
}

#[test]
fn what_is_no_report_is_not_valid() {
    let schema = validator("report");
    let good = run(&bundled().join("decoder/first-light.toml"), &[]).report;
    let with = |pointer: &str, value: Value| {
        let mut report = good.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        report
    };
    for bad in [
        json!({}),
        json!([]),
        with("/version", json!(1)),
        with("/summary/passed", json!(-1)),
        with("/run/shard", json!("1")),
        with("/scenarios/0/outcome", json!("perhaps")),
        with("/scenarios/0/steps/0/detail", json!(null)),
        with("/scenarios/0/duration_s", json!("soon")),
    ] {
        assert!(!schema.is_valid(&bad), "{bad}");
    }
}

const DEVICE: &str = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\n";

#[rstest]
#[case::as_it_is("")]
#[case::a_variable_for_a_number("[[step]]\nload = { at = \"a.window\", width = \"${width}\", is = 1 }")]
#[case::a_variable_in_a_place("[[step]]\nload = { at = \"${device}.window+${far}\", width = 4, is = 1 }")]
#[case::a_variable_for_a_name("[machine]\narch = \"${arch}\"")]
#[case::a_variable_for_a_switch("[machine]\nats = \"${ats}\"")]
#[case::variables("[vars]\nsize = \"256MiB\"\nwidth = 4\nats = true")]
#[case::a_matrix("[matrix]\nprofile = [\"t2-large\"]\nabi = [\"v2\"]\nguest = [\"soft\"]\nwidth = [1, 2]")]
fn a_scenario_is_valid(#[case] more: &str) {
    assert_eq!(wrong(&validator("scenario"), &toml(&format!("{DEVICE}{more}\n"))), [] as [String; 0]);
}

#[test]
fn what_is_required_may_be_in_a_file_that_is_included() {
    let schema = validator("scenario");
    assert_eq!(wrong(&schema, &toml("include = [\"base.toml\"]\n")), [] as [String; 0]);
    assert!(!schema.is_valid(&toml("refused = \"x\"\n")));
    assert!(!schema.is_valid(&toml("include = [\"/etc/base.toml\"]\n")));
    assert!(!schema.is_valid(&toml("include = \"base.toml\"\n")));
}

#[rstest]
#[case::an_unknown_key("[machine]\nrom = 1")]
#[case::an_unknown_key_of_a_profile("with.memory.colour = 1")]
#[case::a_text_for_a_switch("[machine]\nats = \"yes\"")]
#[case::a_text_for_a_number("[[bridge]]\nname = \"b\"\nbus = \"twelve\"")]
#[case::a_number_for_a_text("on_loss = 1")]
#[case::a_name_that_nobody_has("on_loss = \"panic\"")]
#[case::a_kernel_that_nobody_has("[matrix]\nabi = [\"v9\"]")]
#[case::a_guest_that_nobody_has("[matrix]\nguest = [\"xen\"]")]
#[case::a_matrix_of_nothing("[matrix]\nwidth = []")]
#[case::a_matrix_without_a_list("[matrix]\nwidth = 1")]
#[case::a_variable_without_a_name("[vars]\n\"a b\" = 1")]
#[case::a_variable_of_two_values("[vars]\na = [1, 2]")]
#[case::an_unknown_step("[[step]]\nlaod = { at = \"a.window\", width = 4, is = 1 }")]
#[case::two_steps_in_one("[[step]]\nreset = { device = \"a\" }\nreopen = { device = \"a\" }")]
#[case::no_place("[[step]]\nload = { at = \"a.windows\", width = 4, is = 1 }")]
#[case::a_place_below_0("[[step]]\nload = { at = -1, width = 4, is = 1 }")]
#[case::no_size("[[window]]\nsize = \"5MB\"\ntargets = []")]
#[case::no_width("[[step]]\nload = { at = \"a.window\", is = 1 }")]
#[case::no_region("[[step]]\nregion_info = { device = \"a\", region = \"regs\", size = 1 }")]
#[case::no_error("[[step]]\nreset = { device = \"a\", errno = \"EOOPS\" }")]
#[case::half_a_byte("[[step]]\nregion_write = { device = \"a\", region = 0, offset = 0, bytes = \"012\" }")]
fn what_is_no_scenario_is_not_valid(#[case] more: &str) {
    let value = toml(&format!("{DEVICE}{more}\n"));
    assert!(!validator("scenario").is_valid(&value), "{value}");
}

/// Where the program says that it does not know a name, the schema must not know it either, and the names that it
/// tells must be those of the schema.
#[rstest]
#[case("arch = \"?\"", "/$defs/MachineKeys/properties/arch")]
#[case("assume = \"?\"", "/$defs/MachineKeys/properties/assume")]
#[case("after_reset = \"?\"", "/$defs/MachineKeys/properties/after_reset")]
#[case("defects = [\"?\"]", "/$defs/MachineKeys/properties/defects/items")]
#[case("dma = \"?\"", "/$defs/MachineKeys/properties/dma")]
fn the_schema_knows_the_names_that_the_program_tells(#[case] key: &str, #[case] at: &str) {
    let (_folder, path) = scenario_file(&format!("{DEVICE}[machine]\n{key}\n"));
    let said = crate::complaint(&run(&path, &[]).output);
    let names = printed("scenario").pointer(at).unwrap()["anyOf"][0]["enum"].clone();
    let names: Vec<String> = serde_json::from_value(names).unwrap();
    let told = said.trim_end().rsplit(&[':', '='][..]).next().unwrap().replace(" or ", ", ");
    for name in &names {
        assert!(told.contains(name.as_str()), "{name} is not in {said}");
    }
    assert_eq!(told.split(", ").count(), names.len(), "{said}");
}
