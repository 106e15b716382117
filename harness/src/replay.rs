//! What is fuzzed, by name: the drivers beside the code as functions of bytes. The fuzz targets, the tests that replay
//! what was found, and `cxl-sim replay` are callers of it.
//!
//! Bytes become steps as libFuzzer makes them, so a file that it leaves is the same input here.

use std::fmt::Debug;

use arbitrary::Arbitrary;
use arbitrary::Unstructured;
use lend::desk;
use sim_device::kernel;
use sim_device::kernel::drive::mended;
use sim_device::profile;
use sim_device::profile::Profile;
use sim_device::server;
use sim_device::server::drive::maps;
use sim_device::server::drive::stream;
use sim_device::silicon;
use sim_device::silicon::drive::Area;
use vmm_core::acpi;
use vmm_core::drive::hostile_device;
use vmm_core::drive::machines;
use vmm_core::map::tree;
use vmm_core::plan::dma::Wish;
use vmm_core::smmu;

use crate::scenario;
use crate::soak;

/// Something that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its fuzz target, and of the folder of its inputs.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    run: fn(&[u8]),
    tell: fn(&[u8]) -> Vec<String>,
}

/// All that is fuzzed.
pub const TARGETS: [Target; 20] = [
    of_bytes("wire_frame", "any bytes as a stream of messages, both ways", vfio_abi::drive::wire_frame),
    of_bytes(
        "capability_chain",
        "what a hostile kernel or server says of a device or a region",
        vfio_abi::drive::capability_chain,
    ),
    Target {
        name: "session",
        about: "any client against a whole server",
        run: |bytes| with(bytes, |steps: Vec<server::drive::Step>| server::drive::run(&steps)),
        tell: |bytes| list::<Vec<server::drive::Step>>(bytes, |steps| steps.iter().map(words).collect()),
    },
    Target {
        name: "maps",
        about: "clients that map memory, one after another",
        run: |bytes| with(bytes, |steps: Vec<maps::Step>| maps::run(&Profile::default(), &steps)),
        tell: |bytes| list::<Vec<maps::Step>>(bytes, |steps| steps.iter().map(words).collect()),
    },
    Target {
        name: "stream",
        about: "a client that sends any bytes; what was recorded of a scenario is one",
        run: stream::any_stream,
        tell: stream::told,
    },
    Target {
        name: "config_space",
        about: "software that may write anything to configuration space",
        run: |bytes| silicon(Area::Config, bytes),
        tell: tell_silicon,
    },
    Target {
        name: "component",
        about: "software that may write anything to the component registers",
        run: |bytes| silicon(Area::Component, bytes),
        tell: tell_silicon,
    },
    Target {
        name: "decoder",
        about: "software that may write anything to HDM decoders",
        run: |bytes| silicon(Area::Decoders, bytes),
        tell: tell_silicon,
    },
    Target {
        name: "comp_regs",
        about: "a user of VFIO against the kernels that show the component registers",
        run: |bytes| with(bytes, |(abi, steps): Used| kernel::drive::run(abi, &steps)),
        tell: |bytes| list::<Used>(bytes, |(_, steps)| steps.iter().map(words).collect()),
    },
    Target {
        name: "mended",
        about: "a user of a kernel without the mistakes that it has",
        run: |bytes| {
            with(bytes, |(abi, steps): Used| {
                mended::run(&mended::profile(), mended_abi(abi), &[], &steps);
            });
        },
        tell: |bytes| list::<Used>(bytes, |(_, steps)| steps.iter().map(words).collect()),
    },
    Target {
        name: "kernels",
        about: "the kernels against each other, where vfio-cxl adds nothing",
        run: |bytes| with(bytes, |steps: Vec<kernel::drive::Step>| kernel::drive::differ(&steps)),
        tell: |bytes| list::<Vec<kernel::drive::Step>>(bytes, |steps| steps.iter().map(words).collect()),
    },
    Target {
        name: "lend_ioctl",
        about: "a program that may do anything with the kernel's interface of a device that is lent",
        run: |bytes| with(bytes, |steps: Vec<desk::drive::Step>| desk::drive::run(&steps)),
        tell: |bytes| list::<Vec<desk::drive::Step>>(bytes, |steps| steps.iter().map(words).collect()),
    },
    of_bytes("discover_plan", "any device through every stage of the machine", |bytes| {
        hostile_device(bytes);
    }),
    of_bytes("machines", "what is planned for machines whose BARs may be large", |bytes| {
        machines::any_plan(&[], Wish::default(), bytes);
    }),
    of_bytes("region_tree", "regions over each other", tree::drive::any_regions),
    of_bytes("smmu", "a guest that may do anything with an SMMU", |bytes| {
        smmu::drive::hostile_guest(bytes);
    }),
    Target {
        name: "acpi",
        about: "any machine told in ACPI tables, and taken apart again",
        run: |bytes| {
            acpi::drive::any_machine(bytes);
        },
        tell: acpi::drive::told,
    },
    of_bytes("life", "lives of machines whose devices have accidents", soak::drive::any_life),
    of_text("scenario_file", "any text as a scenario", |bytes| text(bytes, scenario::drive::any_text)),
    of_text("profile_file", "any text as a profile", |bytes| text(bytes, profile::drive::any_text)),
];

type Written = (u8, Vec<silicon::drive::Step>);
type Used = (u8, Vec<kernel::drive::Step>);

/// The kernels whose mistakes can be mended.
fn mended_abi(number: u8) -> &'static str {
    if number & 1 == 0 { "v2" } else { "v3" }
}

impl Target {
    /// The target of this name.
    ///
    /// A constant of it makes a program that has this target alone: libFuzzer counts, of each input, what is in the
    /// whole program.
    pub const fn named(name: &str) -> Option<Self> {
        let mut left: &[Self] = &TARGETS;
        while let [first, others @ ..] = left {
            if is_same(first.name.as_bytes(), name.as_bytes()) {
                return Some(*first);
            }
            left = others;
        }
        None
    }

    /// Checks what must hold, whatever these bytes mean. It asserts.
    pub fn run(&self, bytes: &[u8]) {
        (self.run)(bytes);
    }

    /// What these bytes mean, a line for each step.
    pub fn tell(&self, bytes: &[u8]) -> Vec<String> {
        (self.tell)(bytes)
    }
}

/// Whether two names are the same, as a constant can tell.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([first, one @ ..], [second, other @ ..]) => *first == *second && is_same(one, other),
        _ => false,
    }
}

const fn of_bytes(name: &'static str, about: &'static str, run: fn(&[u8])) -> Target {
    Target { name, about, run, tell: |bytes| vec![format!("{} bytes: {bytes:02x?}", bytes.len())] }
}

const fn of_text(name: &'static str, about: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        about,
        run,
        tell: |bytes| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect(),
    }
}

/// Hands on what bytes mean; nothing if they are too few.
pub(crate) fn with<T: for<'a> Arbitrary<'a>>(bytes: &[u8], run: impl FnOnce(T)) {
    if let Ok(meant) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
        run(meant);
    }
}

fn list<T: for<'a> Arbitrary<'a>>(bytes: &[u8], tell: impl FnOnce(&T) -> Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    with(bytes, |meant: T| lines = tell(&meant));
    lines
}

fn words(step: &impl Debug) -> String {
    format!("{step:x?}")
}

fn silicon(area: Area, bytes: &[u8]) {
    with(bytes, |(device, steps): Written| silicon::drive::run(area, device, &steps));
}

fn tell_silicon(bytes: &[u8]) -> Vec<String> {
    list::<Written>(bytes, |(device, steps)| {
        let device = format!("device {}", silicon::drive::device(*device));
        [device].into_iter().chain(steps.iter().map(words)).collect()
    })
}

/// Hands on the text that bytes are, if they are one.
fn text(bytes: &[u8], run: fn(&str)) {
    std::str::from_utf8(bytes).into_iter().for_each(run);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_fuzz_target_is_one_and_no_name_is_twice() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let named = |file: PathBuf| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let itself = std::fs::read_to_string(&file).unwrap().contains(&format!("named(\"{name}\")"));
            assert!(itself || name == "nothing", "{name} fuzzes something else");
            name
        };
        let mut files: BTreeSet<_> = files.map(named).collect();
        assert!(files.remove("nothing"), "what all of them are measured against");
        let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!((files, names.len()), (names, TARGETS.len()));
    }

    /// Runs each file in a folder of folders, which have the names of targets.
    fn run_all_in(folder: &Path) {
        let targets = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for target in targets.filter(|path| path.is_dir()) {
            let name = target.file_name().unwrap().to_str().unwrap();
            let Some(found) = Target::named(name) else { panic!("nothing is fuzzed as {name}") };
            for file in std::fs::read_dir(&target).unwrap() {
                found.run(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }

    #[test]
    fn what_was_found_once_is_not_found_again() {
        run_all_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions"));
    }

    /// The variable is for those who want to know which lines the fuzzers' inputs reach.
    #[test]
    fn what_fuzzers_keep_holds_where_a_folder_of_it_is_named() {
        std::env::var_os("CXL_SIM_CORPUS").into_iter().for_each(|folder| run_all_in(Path::new(&folder)));
    }

    #[test]
    fn no_bytes_and_few_bytes_are_taken_by_every_target() {
        for target in TARGETS {
            for bytes in [&b""[..], b"\0", b"a", &[0xff; 40]] {
                target.run(bytes);
                target.tell(bytes);
            }
        }
    }

    #[test]
    fn steps_are_told_a_line_each() {
        // A device, and a reset: the second kind of three.
        let target = Target::named("decoder").unwrap();
        let told = target.tell(&[2, 0x55, 0x55, 0x55, 0x55, 3, 1]);
        assert!(told[0].starts_with("device ") && told.len() > 1, "{told:?}");
    }
}
