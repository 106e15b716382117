use rstest::rstest;
use sim_device::profile::Profile;
use sim_device::profile::source::LONGEST;

use super::super::Beside;
use super::super::Loaded;
use super::super::step::Step;
use super::*;

/// A device that is refused, so that no step is needed.
const DEVICE: &str = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"gpu0\"\n";

/// The scenarios of the first file, which may include the others.
fn all(files: &[(&str, &str)]) -> Result<Vec<Loaded>, String> {
    let reader = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "there is no such file".to_owned())
    };
    let (file, text) = files[0];
    let beside = Beside { folder: None, reader: &reader };
    Loaded::all(("x", file), text, beside).map_err(|mistake| mistake.to_string())
}

fn one(files: &[(&str, &str)]) -> Loaded {
    let mut all = all(files).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn names(text: &str) -> Vec<String> {
    all(&[("x.toml", text)]).unwrap().into_iter().map(|one| one.name).collect()
}

fn mistake(text: &str) -> String {
    all(&[("x.toml", text)]).unwrap_err()
}

#[test]
fn what_is_included_is_there_and_the_scenarios_own_counts_more() {
    let base = "proves = \"base\"\nabi = [\"v2\", \"v3\"]\n[machine]\nram = \"32MiB\"\naddress_bits = 40\n\
                [[device]]\nname = \"gpu0\"\n[[step]]\nmachine_reset = {}\n";
    let own = "include = [\"base.toml\"]\nproves = \"own\"\nabi = [\"v3\"]\n[machine]\nram = \"64MiB\"\n\
               [[device]]\nname = \"gpu1\"\n[[step]]\nvfio_reset = { device = \"gpu1\" }\n";
    let loaded = one(&[("x.toml", own), ("base.toml", base)]);
    assert_eq!(loaded.scenario.proves, "own");
    assert_eq!(loaded.scenario.abi, ["v3"]);
    assert_eq!((loaded.machine.ram, loaded.machine.address_bits), (64 << 20, 40));
    let devices: Vec<_> = loaded.scenario.devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(devices, ["gpu0", "gpu1"]);
    assert_eq!(
        loaded.scenario.steps.iter().map(Step::kind).collect::<Vec<_>>(),
        ["machine_reset", "vfio_reset"]
    );
    assert_eq!(loaded.includes, ["base.toml"]);
}

#[test]
fn of_two_files_the_later_counts_more_and_a_file_is_named_from_the_one_that_names_it() {
    let own = "include = [\"../a.toml\", \"below/b.toml\"]\nproves = \"x\"\nrefused = \"y\"\n";
    let a = "[machine]\nram = \"32MiB\"\naddress_bits = 40\n[[device]]\nname = \"a\"\n";
    let b = "include = [\"c.toml\"]\n[machine]\nram = \"64MiB\"\n";
    let c = "[machine]\nram = \"128MiB\"\n[[device]]\nname = \"c\"\n";
    let files = [("here/x.toml", own), ("a.toml", a), ("here/below/b.toml", b), ("here/below/c.toml", c)];
    let loaded = one(&files);
    assert_eq!((loaded.machine.ram, loaded.machine.address_bits), (64 << 20, 40));
    let devices: Vec<_> = loaded.scenario.devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(devices, ["a", "c"]);
    assert_eq!(loaded.includes, ["a.toml", "here/below/b.toml", "here/below/c.toml"]);
}

#[test]
fn a_file_that_two_others_include_is_read_once() {
    let own = "include = [\"a.toml\", \"b.toml\", \"a.toml\"]\nproves = \"x\"\nrefused = \"y\"\n";
    let (a, b) =
        ("include = [\"base.toml\"]\n", "include = [\"base.toml\", \"./base.toml\", \"c/../base.toml\"]\n");
    let base = "[[device]]\nname = \"gpu0\"\n";
    let loaded = one(&[("x.toml", own), ("a.toml", a), ("b.toml", b), ("base.toml", base)]);
    assert_eq!(loaded.scenario.devices.len(), 1);
    assert_eq!(loaded.includes.len(), 3);
}

#[rstest]
#[case::itself("x.toml", "x.toml:1: include \"x.toml\": includes itself: x.toml, x.toml")]
#[case::in_a_circle(
    "a.toml",
    "b.toml:2: include \"x.toml\": includes itself: x.toml, a.toml, b.toml, x.toml"
)]
#[case::nobody("none.toml", "x.toml:1: include \"none.toml\": there is no such file")]
#[case::another_kind(
    "a.txt",
    "x.toml:1: include \"a.txt\": must be a path from this file's folder, and end in .toml"
)]
#[case::an_absolute_path(
    "/etc/a.toml",
    "x.toml:1: include \"/etc/a.toml\": must be a path from this file's folder, and end in .toml"
)]
fn what_cannot_be_included_is_named(#[case] name: &str, #[case] told: &str) {
    let own = format!("include = [\"{name}\"]\n{DEVICE}");
    let files = [
        ("x.toml", own.as_str()),
        ("a.toml", "include = [\"b.toml\"]\n"),
        ("b.toml", "\ninclude = [\"x.toml\"]\n"),
        ("a.txt", ""),
        ("/etc/a.toml", ""),
    ];
    assert_eq!(all(&files).unwrap_err(), told);
}

#[rstest]
#[case("include = \"a.toml\"\n", "x.toml:1: include: must be a list of files")]
#[case("include = [\n1]\n", "x.toml:2: include: must be a list of files")]
fn include_is_a_list_of_files(#[case] include: &str, #[case] told: &str) {
    assert_eq!(mistake(&format!("{include}{DEVICE}")), told);
}

#[test]
fn sixteen_files_are_a_scenario_and_seventeen_are_not() {
    let text = |number: usize| format!("include = [\"{}.toml\"]\n", number + 1);
    let texts: Vec<_> = (1..20).map(|number| (format!("{number}.toml"), text(number))).collect();
    for (last, told) in
        [(15, None), (16, Some("15.toml:1: include \"16.toml\": a scenario is written in 16"))]
    {
        let own = format!("include = [\"1.toml\"]\n{DEVICE}");
        let mut files = vec![("x.toml", own.as_str())];
        files.extend(texts.iter().take(last - 1).map(|(name, text)| (name.as_str(), text.as_str())));
        let end = format!("{last}.toml");
        files.push((&end, "[machine]\nram = \"64MiB\"\n"));
        match (all(&files), told) {
            (Ok(_), None) => {}
            (Err(wrong), Some(told)) => assert!(wrong.starts_with(told), "{wrong}"),
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_together_are_no_longer_than_one_may_be() {
    let own = format!("include = [\"a.toml\"]\n{DEVICE}");
    let with = |length: usize| all(&[("x.toml", &own), ("a.toml", &"#".repeat(length))]);
    let most = LONGEST as usize - own.len() - 1;
    assert!(with(most).is_ok());
    let told = "x.toml:1: include \"a.toml\": with it the scenario is longer than 1048576 bytes";
    assert_eq!(with(most + 1).unwrap_err(), told);
}

#[rstest]
#[case::of_the_reader("\n[machine]\nrom = 1\n", "base.toml:3: unknown field `rom`")]
#[case::of_a_type(
    "[machine]\n\nats = 1\n",
    "base.toml:3: invalid type: integer `1`, expected a boolean, in `ats = 1`"
)]
#[case::of_a_value("\n\n[machine]\nram = \"3MiB\"\n", "base.toml:4: ram = 3MiB: must be a multiple of 2MiB")]
#[case::of_toml("a = = 1\n", "base.toml:1: ")]
#[case::of_a_variable("abi = [\n\"${x}\"]\n", "base.toml:2: ${x}: no variable has this name; there is none")]
fn a_mistake_in_a_file_that_is_included_is_told_there(#[case] base: &str, #[case] told: &str) {
    let own = format!("include = [\"base.toml\"]\n{DEVICE}");
    let wrong = all(&[("x.toml", &own), ("base.toml", base)]).unwrap_err();
    assert!(wrong.starts_with(told), "{wrong}");
}

#[test]
fn a_mistake_behind_an_include_is_told_in_the_file_that_has_it() {
    let own = format!("include = [\"base.toml\"]\n{DEVICE}[machine]\nram = \"3MiB\"\n");
    let wrong =
        all(&[("x.toml", &own), ("base.toml", "[machine]\nram = \"64MiB\"\n\n\n\n\n\n")]).unwrap_err();
    assert!(wrong.starts_with("x.toml:7: ram = 3MiB"), "{wrong}");
    let wrong = all(&[("x.toml", "\ninclude = [\"base.toml\"]\n"), ("base.toml", "\n\n")]).unwrap_err();
    assert!(wrong.starts_with("x.toml:1: missing field `proves`"), "{wrong}");
}

#[test]
fn a_variable_stands_for_its_value_in_any_text() {
    let text = "proves = \"${name} has ${size} and ${bits} bits, $${size}, ${yes}${yes}\"\nrefused = \"y\"\n\
                [vars]\nname = \"gpu7\"\nsize = \"512MiB\"\nbits = 40\nyes = true\nnot_used = 1\n\
                [machine]\nram = \"${size}\"\naddress_bits = \"${bits}\"\nats = \"${yes}\"\n\
                [[device]]\nname = \"${name}\"\nwith.memory.size = \"${size}\"\n";
    let loaded = one(&[("x.toml", text)]);
    assert_eq!(loaded.scenario.proves, "gpu7 has 512MiB and 40 bits, ${size}, truetrue");
    assert_eq!((loaded.machine.ram, loaded.machine.address_bits), (512 << 20, 40));
    assert!(loaded.scenario.machine.ats);
    assert_eq!(loaded.scenario.devices[0].name, "gpu7");
    assert_eq!(loaded.profiles[0].as_ref().unwrap().memory.size.0, 512 << 20);
}

#[test]
fn a_place_is_written_with_variables_and_numbers_keep_their_base() {
    let text = "proves = \"x\"\n[vars]\nfar = \"0x1_000\"\nnear = 0x20\nwidth = 4\n[[device]]\nname = \"gpu0\"\n\
                [[step]]\nload = { at = \"gpu0.window+${far}\", width = \"${width}\", is = \"${near}\" }\n\
                [[step]]\nload = { at = \"gpu0.window+${near}\", width = 8, is = 0 }\n";
    let loaded = one(&[("x.toml", text)]);
    let places = loaded.scenario.steps.iter().filter_map(|step| match step {
        Step::Load(load) => Some((load.at.to_string(), load.width, load.is.as_ref().unwrap().to_string())),
        _ => None,
    });
    let places: Vec<_> = places.collect();
    let expected = [("gpu0.window+0x1000", 4, "0x20"), ("gpu0.window+0x20", 8, "0x0")];
    assert_eq!(places, expected.map(|(at, width, is)| (at.to_owned(), width, is.to_owned())));
}

#[test]
fn a_variable_of_an_included_file_can_be_another_here() {
    let base = "[vars]\nsize = \"32MiB\"\n[machine]\nram = \"${size}\"\n";
    for (own, ram) in [("", 32 << 20), ("[vars]\nsize = \"64MiB\"\n", 64 << 20)] {
        let own = format!("include = [\"base.toml\"]\n{DEVICE}{own}");
        assert_eq!(one(&[("x.toml", &own), ("base.toml", base)]).machine.ram, ram);
    }
}

#[rstest]
#[case::unknown("[machine]\nram = \"${size}\"", 6, "${size}: no variable has this name; there is none")]
#[case::misspelled(
    "[vars]\nsize = 1\nbits = 2\n[machine]\nram = \"${sise}\"",
    9,
    "${sise}: no variable has this name; there is bits, size"
)]
#[case::unclosed(
    "[machine]\nram = \"${size\"",
    6,
    "\"${size\": has ${ and no } behind it; $${ stands for ${ itself"
)]
#[case::of_a_wrong_type(
    "[vars]\nx = \"many\"\n[machine]\naddress_bits = \"${x}\"",
    8,
    "invalid type: string \"many\", expected u32, in `address_bits = \"${x}\"`"
)]
#[case::of_a_wrong_value(
    "[vars]\nx = 60\n[machine]\naddress_bits = \"${x}\"",
    8,
    "address_bits = 60: must be 36 to 52"
)]
#[case::in_a_variable("[vars]\na = 1\nb = \"${a}\"", 7, "vars.b: a variable's value has no variable in it")]
#[case::a_list("[vars]\na = [1]", 6, "vars.a: must be a text, a whole number, or true or false")]
#[case::a_fraction("[vars]\na = 1.5", 6, "vars.a: must be a text, a whole number, or true or false")]
#[case::an_odd_name(
    "[vars]\n\"a b\" = 1",
    6,
    "\"a b\": a variable's name has letters, digits and _, and no digit first"
)]
#[case::no_name(
    "[vars]\n\"\" = 1",
    6,
    "\"\": a variable's name has letters, digits and _, and no digit first"
)]
fn a_mistake_with_a_variable_is_told_at_its_line(
    #[case] more: &str,
    #[case] line: usize,
    #[case] told: &str,
) {
    assert_eq!(mistake(&format!("{DEVICE}{more}\n")), format!("x.toml:{line}: {told}"));
}

#[test]
fn variables_are_in_a_table() {
    assert_eq!(mistake(&format!("vars = 1\n{DEVICE}")), "x.toml:1: vars: must be a table");
    assert_eq!(mistake(&format!("matrix = 1\n{DEVICE}")), "x.toml:1: matrix: must be a table");
}

#[test]
fn what_variables_make_of_a_text_has_an_end() {
    let value = "a".repeat(60_000);
    let uses = |count: usize| {
        let text = "${x}".repeat(count);
        all(&[("x.toml", &format!("{DEVICE}[vars]\nx = \"{value}\"\n[machine]\ndefects = [\"{text}\"]\n"))])
    };
    assert!(uses(100).unwrap_err().contains("defects has"));
    assert_eq!(uses(100_000).unwrap_err(), "x.toml:1: its scenarios together are longer than 8388608 bytes");
}

#[test]
fn a_matrix_is_a_scenario_for_each_combination() {
    let text = format!(
        "{DEVICE}[machine]\naddress_bits = \"${{bits}}\"\n\
         [matrix]\nprofile = [\"t2-committed\", \"t2-large\"]\nabi = [\"v3\", \"v2\"]\nbits = [40, 44]\n"
    );
    let all = all(&[("x.toml", &text)]).unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|one| (one.name.as_str(), one.abis[0].name, one.machine.address_bits, one.profiles[0].clone()))
        .collect();
    let large = || Some(Profile::find("t2-large").unwrap());
    assert_eq!(
        seen,
        [
            ("x[profile=t2-committed,abi=v3,bits=40]", "v3", 40, None),
            ("x[profile=t2-committed,abi=v3,bits=44]", "v3", 44, None),
            ("x[profile=t2-committed,abi=v2,bits=40]", "v2", 40, None),
            ("x[profile=t2-committed,abi=v2,bits=44]", "v2", 44, None),
            ("x[profile=t2-large,abi=v3,bits=40]", "v3", 40, large()),
            ("x[profile=t2-large,abi=v3,bits=44]", "v3", 44, large()),
            ("x[profile=t2-large,abi=v2,bits=40]", "v2", 40, large()),
            ("x[profile=t2-large,abi=v2,bits=44]", "v2", 44, large()),
        ]
    );
    assert!(all.iter().all(|one| one.file == "x.toml"));
}

#[test]
fn the_guest_of_a_matrix_is_the_scenarios() {
    let all = all(&[("x.toml", &format!("{DEVICE}[matrix]\nguest = [\"kvm\", \"soft\"]\n"))]).unwrap();
    let guests: Vec<_> = all.iter().map(|one| one.scenario.guest.as_deref().unwrap()).collect();
    assert_eq!(guests, ["kvm", "soft"]);
}

#[test]
fn a_profile_of_a_matrix_is_for_devices_that_say_nothing_and_for_whoever_names_it() {
    let text = "proves = \"${profile}\"\nrefused = \"y\"\n[matrix]\nprofile = [\"t2-large\"]\n\
                [[device]]\nname = \"a\"\n[[device]]\nname = \"b\"\nwith.decoder.count = 2\n\
                [[device]]\nname = \"c\"\nprofile = \"t2-hdm-db\"\n";
    let loaded = one(&[("x.toml", text)]);
    assert_eq!(loaded.scenario.proves, "t2-large");
    let named = |name| Some(Profile::find(name).unwrap());
    assert_eq!(loaded.profiles[0], named("t2-large"));
    assert_eq!(loaded.profiles[1].as_ref().unwrap().decoder.count, 2);
    assert_eq!(loaded.profiles[2], named("t2-hdm-db"));
}

#[test]
fn a_value_of_the_matrix_counts_more_than_a_variable() {
    let text = format!(
        "{DEVICE}[vars]\nbits = 36\n[matrix]\nbits = [40]\n[machine]\naddress_bits = \"${{bits}}\"\n"
    );
    assert_eq!(one(&[("x.toml", &text)]).machine.address_bits, 40);
}

#[rstest]
#[case::no_list("bits = 40", "matrix.bits: must be a list of values")]
#[case::nothing("bits = []", "matrix.bits: an empty list makes no scenario")]
#[case::twice("bits = [40, 41, 40]", "matrix.bits: \"40\" is there twice")]
#[case::not_used("bits = [40]", "matrix.bits: nothing in the scenario has ${bits} in it")]
#[case::a_list_of_lists("bits = [[40]]", "matrix.bits: must be a text, a whole number, or true or false")]
#[case::an_odd_name(
    "\"a-b\" = [1]",
    "\"a-b\": a variable's name has letters, digits and _, and no digit first"
)]
#[case::no_kernel("abi = [\"v9\"]", "abi = \"v9\": must be one of v2, v3, next, plain")]
#[case::no_text("abi = [2]", "matrix.abi: must be a text")]
#[case::no_guest("guest = [\"xen\"]", "guest = \"xen\": must be one of kvm, soft")]
#[case::no_profile("profile = [\"t9\"]", "profile \"t9\" is neither a preset")]
#[case::a_line_in_a_name(
    "bits = [\"a\\nb\"]",
    "matrix.bits: is a part of a name: 100 bytes at most, and no control"
)]
fn a_mistake_in_a_matrix_is_told_at_its_line(#[case] line: &str, #[case] told: &str) {
    let wrong = mistake(&format!("{DEVICE}[matrix]\n{line}\n"));
    assert!(wrong.starts_with(&format!("x.toml:6: {told}")), "{wrong}");
}

#[rstest]
#[case("abi = [\"v2\"]", "abi = [\"v3\"]", "x.toml:1: abi: either the scenario says it or its matrix")]
#[case("guest = \"soft\"", "guest = [\"kvm\"]", "x.toml:1: guest: either the scenario says it or its matrix")]
fn what_the_scenario_says_itself_no_matrix_says(#[case] own: &str, #[case] line: &str, #[case] told: &str) {
    assert_eq!(mistake(&format!("{own}\n{DEVICE}[matrix]\n{line}\n")), told);
}

#[test]
fn a_profile_that_no_device_takes_is_a_mistake() {
    let text = format!("{DEVICE}with.decoder.count = 2\n[matrix]\nprofile = [\"t2-large\"]\n");
    assert_eq!(mistake(&text), "x.toml:7: matrix.profile: nothing in the scenario has ${profile} in it");
}

#[test]
fn a_file_is_two_hundred_and_fifty_six_scenarios_at_most() {
    let list = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<_>>().join(", ");
    let text = |a: usize, b: usize| {
        format!(
            "{DEVICE}[machine]\nram = \"${{a}}${{b}}MiB\"\n[matrix]\na = [{}]\nb = [{}]\n",
            list(a),
            list(b)
        )
    };
    assert!(mistake(&text(16, 16)).contains("ram = "));
    assert_eq!(mistake(&text(16, 17)), "x.toml:9: matrix.b: makes 272 scenarios of one; 256 is the most");
    let lists: String = (0..60).map(|it| format!("v{it} = [{}]\n", list(256))).collect();
    let told = mistake(&format!("{DEVICE}[matrix]\n{lists}"));
    assert_eq!(told, "x.toml:7: matrix.v1: makes 65536 scenarios of one; 256 is the most");
}

#[test]
fn a_long_file_has_no_large_matrix() {
    let list = (0..256).map(|it| it.to_string()).collect::<Vec<_>>().join(", ");
    let comment = "#".repeat(100_000);
    let text = format!("{DEVICE}[machine]\naddress_bits = \"${{a}}\"\n[matrix]\na = [{list}]\n{comment}\n");
    assert_eq!(mistake(&text), "x.toml:1: its scenarios together are longer than 8388608 bytes");
}

#[test]
fn a_scenario_without_any_of_it_has_its_name_alone() {
    assert_eq!(names(DEVICE), ["x"]);
    assert_eq!(names(&format!("{DEVICE}[matrix]\n")), ["x"]);
}
