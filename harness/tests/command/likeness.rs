//! `cxl-sim capture`, `compare`, and what `inspect` says of a device without vfio-cxl.

use std::path::Path;

use rstest::rstest;
use sim_device::profile::Profile;
use tempfile::TempDir;

use crate::complaint;
use crate::files::lines;
use crate::serve::Serving;
use crate::serve::output;

/// Serves a profile of this text, by this kernel.
fn served(text: &str, abi: &str) -> (TempDir, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.toml");
    std::fs::write(&file, text).unwrap();
    let serving = Serving::start(&["--profile", file.to_str().unwrap(), "--abi", abi]);
    (folder, serving)
}

/// What is captured of a device: the text of the file, and what was said.
fn captured(device: &str, file: &Path) -> (String, Vec<String>) {
    let done = output(&["capture", device, "--out", file.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{}", complaint(&done));
    (std::fs::read_to_string(file).unwrap(), lines(&done))
}

#[rstest]
#[case("t2-committed")]
#[case("t2-uncommitted")]
#[case("t2-committed-unlocked")]
#[case("t2-config-locked")]
#[case("t2-block-start")]
#[case("t2-block-end")]
#[case("t2-block-whole-bar")]
#[case("t2-hdm-db")]
#[case("t2-large")]
fn what_is_captured_is_the_device_that_was_served(
    #[case] preset: &str,
    #[values("v2", "v3", "next", "plain")] abi: &str,
) {
    captured_as_served(preset, abi);
}

/// The kernel of June 2026 has no such device.
#[rstest]
fn so_is_one_of_many_decoders(#[values("v2", "next", "plain")] abi: &str) {
    captured_as_served("t2-many-decoders", abi);
}

fn captured_as_served(preset: &str, abi: &str) {
    let serving = Serving::start(&["--profile", preset, "--abi", abi]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("captured.toml");
    let (text, said) = captured(&serving.name(), &file);
    assert_eq!(Profile::parse("captured", &text).unwrap(), Profile::find(preset).unwrap());
    assert!(!text.contains("does not have") && said.len() == 1, "{text}");
    let compared = output(&["compare", file.to_str().unwrap(), &serving.name()]);
    assert_eq!(compared.status.code(), Some(0), "{:?}", lines(&compared));
    assert!(lines(&compared)[0].starts_with("0 differences, --abi "), "{:?}", lines(&compared));
}

#[rstest]
#[case("[kernel]\nshow_uncommitted = true\n[firmware]\ncommitted = false", "v2")]
#[case("[kernel]\nshow_uncommitted = true\n[firmware]\ncommitted = false", "next")]
#[case("[kernel]\nshow_lock = true", "v2")]
#[case("[kernel]\nmemory_without_mmap = true", "v3")]
#[case("[interrupts]\npin = true\nmsix_vectors = 3", "v3")]
#[case("[dvsec]\ncxl_reset_timeout = 4\nmem_clear_capable = true", "v2")]
#[case("[decoder]\ninterleave_11_8 = true\nsixteen_way = true\npoison_on_decode_error = true", "v3")]
#[case("[component]\nbar = 4\nbar_size = \"256KiB\"\noffset = \"64KiB\"\nras = 0x400\nhdm = 0x600", "next")]
#[case("[firmware]\nconfig_lock = \"after-mem-enable\"", "v2")]
#[case("[firmware]\nzero_size = true", "v2")]
#[case("[kernel]\nzero_size_counts = true\n[firmware]\nzero_size = true", "v2")]
#[case("[ids]\nvendor = 0x10de\ndevice = 0x2342\nsubsystem = 7\nrevision = 0xa1\nclass = 0x030200", "v3")]
fn what_a_profile_can_say_is_captured(#[case] text: &str, #[case] abi: &str) {
    let (folder, serving) = served(text, abi);
    let (captured, _) = captured(&serving.name(), &folder.path().join("captured.toml"));
    assert_eq!(
        Profile::parse("captured", &captured).unwrap(),
        Profile::parse("served", text).unwrap(),
        "{captured}"
    );
}

/// A captured device is a device: it is served, a scenario runs with it, and it is captured alike.
#[rstest]
fn what_is_captured_can_be_served(#[values("v2", "v3", "next")] abi: &str) {
    let (folder, first) = served("[ids]\ndevice = 0x2342\n[interrupts]\nmsix_vectors = 4", abi);
    let (file, again) = (folder.path().join("captured.toml"), folder.path().join("again.toml"));
    let (text, _) = captured(&first.name(), &file);
    let second = Serving::start(&["--profile", file.to_str().unwrap(), "--abi", abi]);
    let compared = output(&["compare", file.to_str().unwrap(), &first.name()]);
    assert_eq!(compared.status.code(), Some(0), "{:?}", lines(&compared));
    assert_eq!(captured(&second.name(), &again).0, text);
    let light = ["run", "--filter", "^decoder/first-light$", "--abi", abi, "--guest", "soft", "--no-skip"];
    let ran = output(&[&light[..], &["--device", &second.name()]].concat());
    assert_eq!(ran.status.code(), Some(0), "{:?}", lines(&ran));
}

#[test]
fn what_no_profile_can_say_is_a_comment_in_the_file_that_is_served_all_the_same() {
    let (folder, serving) = served("[faults]\ncannot_be_reset = true", "v2");
    let file = folder.path().join("captured.toml");
    let (text, said) = captured(&serving.name(), &file);
    let comment = "# What this profile does not have as the device has it:\n\
                   #   device info flags: the profile has 0x283, and the device 0x282";
    assert!(text.contains(comment), "{text}");
    assert_eq!(said[1], "1 things of the device are not in the profile: they are comments in the file");
    assert_eq!(Profile::parse("captured", &text).unwrap(), Profile::default());
    let compared = output(&["compare", file.to_str().unwrap(), &serving.name()]);
    assert_eq!(compared.status.code(), Some(1), "{:?}", lines(&compared));
}

#[rstest]
#[case("[ids]\nclass = 0x030200", &["class: the profile has 0x120000, and the device 0x30200"])]
#[case("[interrupts]\nmsix_vectors = 4", &[
    "MSI-X: the profile has 8 vectors, table at bar0 + 0x0, pending bits at bar0 + 0x8000, and the device 4 vectors, \
     table at bar0 + 0x0, pending bits at bar0 + 0x8000",
    "interrupt 2: the profile has 8 vectors",
])]
#[case("[component]\nras = 0x400", &[
    "component capability 2 (RAS): the profile has version 2 at 0x80, and the device version 2 at 0x400",
])]
#[case("[dvsec]\ncxl_reset_timeout = 4", &[
    "CXL DVSEC 0 at 0xa (DVSEC CXL Capability): the profile has 0xc2df, and the device 0xc4df",
])]
#[case("[firmware]\nlocked = false", &[
    "decoder 0 base: the profile has 0x0, and the device 0x4830000000",
])]
fn a_device_that_was_changed_differs_in_what_was_changed(#[case] text: &str, #[case] expected: &[&str]) {
    let (_folder, serving) = served(text, "v2");
    let compared = output(&["compare", "t2-committed", &serving.name()]);
    assert_eq!(compared.status.code(), Some(1));
    let said = lines(&compared);
    let (last, differences) = said.split_last().unwrap();
    for (seen, expected) in differences.iter().zip(expected) {
        assert!(seen.starts_with(expected), "{said:?}");
    }
    assert_eq!(
        (differences.len(), last.as_str()),
        (expected.len(), &*format!("{} differences, --abi v2", differences.len()))
    );
}

#[test]
fn a_kernel_that_answers_otherwise_differs_in_its_answers() {
    let serving = Serving::start(&["--abi", "v3"]);
    let compared = output(&["compare", "t2-committed", &serving.name(), "--abi", "v2"]);
    let said = lines(&compared).join("\n");
    for expected in [
        "vfio-cxl revision: the profile has v2, and the device v3",
        "decoder 0 base: the profile has 0x0, and the device 0x4830000000",
        "read of 8 bytes of component registers at decoder 0 + 0x0: the profile has EINVAL, and the device 0x",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert_eq!(compared.status.code(), Some(1));
}

#[test]
fn comparing_leaves_the_device_as_it_was() {
    let serving = Serving::start(&[]);
    let seen = || output(&["inspect", &serving.name(), "--json"]).stdout;
    let before = seen();
    for _ in 0..2 {
        assert_eq!(output(&["compare", "t2-committed", &serving.name()]).status.code(), Some(0));
    }
    assert_eq!(seen(), before);
}

#[rstest]
#[case("[firmware]\ncommitted = false", "v2", &["CXL.mem is off", "decoder 0 is not committed: firmware has not put"])]
#[case("", "plain", &["the device has what vfio-cxl needs, so the kernel has no vfio-cxl"])]
#[case("[decoder]\ncount = 4", "plain", &["it has 4 decoders"])]
#[case("[decoder]\ncount = 4\n[firmware]\ncommitted = false", "v3", &[
    "CXL.mem is off", "decoder 0 is not", "it has 4 decoders",
])]
fn without_vfio_cxl_inspect_says_what_is_missing(
    #[case] text: &str,
    #[case] abi: &str,
    #[case] expected: &[&str],
) {
    let (_folder, serving) = served(text, abi);
    let seen = lines(&output(&["inspect", &serving.name()]));
    let at = seen.iter().position(|line| line.starts_with("not a CXL device")).unwrap();
    let said: Vec<_> = seen[at + 1..].iter().map(|line| line.trim()).collect();
    assert_eq!(said.len(), expected.len(), "{said:?}");
    assert!(said.iter().zip(expected).all(|(said, start)| said.starts_with(start)), "{said:?}");
}

#[test]
fn with_vfio_cxl_inspect_misses_nothing() {
    let seen: serde_json::Value =
        serde_json::from_slice(&output(&["inspect", "sim", "--json"]).stdout).unwrap();
    assert!(seen["missing"].is_null() && seen["cxl"].is_object());
}
