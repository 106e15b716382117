//! A step is a value: its name, what it shows, and the function that takes it.

use crate::book;
use crate::commands;
use crate::coverage;
use crate::edges;
use crate::foreign::aarch64;
use crate::foreign::acpi;
use crate::foreign::fwts;
use crate::foreign::lab;
use crate::foreign::lend;
use crate::foreign::linux;
use crate::foreign::lspci;
use crate::foreign::qemu;
use crate::foreign::ways;
use crate::fuzz;
use crate::kani;
use crate::miri;
use crate::package::deb;
use crate::package::deny;
use crate::package::install;
use crate::package::musl;
use crate::package::sbom;
use crate::shown;
use crate::tidy;
use crate::unprivileged;
use crate::workspace::Workspace;

/// The subcommand that takes every step; also what is done without a subcommand.
pub(crate) const ALL: &str = "all";

/// Every step, in the order in which they are taken: quick ones first. Those that are aside have their own subcommands
/// only.
pub(crate) const STEPS: &[Step] = &[
    Step::new("fmt", "The sources are formatted", commands::format),
    Step::new("tidy", "The sources keep the law of the house", tidy::run),
    Step::new("edges", "The packages depend on each other as drawn", edges::run),
    Step::new("clippy", "The lints find nothing", commands::clippy),
    Step::new("doc", "The documentation builds without warnings", commands::document),
    Step::new("test", "The tests pass", commands::test),
    Step::new("scenarios soft", "The scenarios pass, with a soft guest and under KVM", commands::soft_guest),
    Step::new("scenarios kvm", "The scenarios pass under KVM", commands::kvm_guest),
    Step::new("book", "The book builds, and its pages of tables are as the code is", book::check)
        .blessed_by(book::bless),
    Step::new("commands", "README and book show what their commands say", shown::check),
    Step::new(
        "unprivileged",
        "Scenarios and tests pass as the user nobody, without a network",
        unprivileged::check,
    ),
    Step::new("lspci", "lspci decodes every preset as the texts that are kept say", lspci::check)
        .blessed_by(lspci::bless),
    Step::new("qemu", "QEMU attaches to every preset and sees what we see", qemu::check),
    Step::new("acpi", "ACPICA makes the ACPI tables anew and evaluates their methods", acpi::check),
    Step::new("fwts", "The Firmware Test Suite finds nothing wrong with the ACPI tables", fwts::check),
    Step::new(
        "linux",
        "A Linux boots with a machine's ACPI tables and finds what they tell of",
        linux::check,
    ),
    Step::new(
        "lab",
        "In a Linux with an IOMMU our program passes the device through as on a machine in a lab",
        lab::check,
    ),
    Step::new(
        "lab-aarch64",
        "The same in a Linux for aarch64, whose KVM runs our vCPU for the other processor",
        lab::check_aarch64,
    ),
    Step::new(
        "lend uapi",
        "Programs that use the kernel's VFIO interface take a device that is lent for one of the kernel's",
        lend::uapi,
    ),
    Step::new("lend qemu", "QEMU's vfio-pci attaches to a device that is lent", lend::emulator),
    Step::new("lend guest", "A Linux in QEMU finds a device that is lent", lend::guest),
    Step::new("lend scenarios", "The scenarios pass with devices that are lent", lend::scenarios),
    Step::new(
        "ways",
        "The scenarios come to the same end by every way to a device, or it is known why not",
        ways::check,
    )
    .aside(),
    Step::new("soak", "Lives of machines with accidents leave nothing over", commands::soak)
        .lasting(commands::soak_for),
    Step::new(
        "aarch64 build",
        "The workspace builds for aarch64 and passes its tests in an emulator",
        aarch64::build,
    ),
    Step::new("aarch64 test", "The tests pass for aarch64 in an emulator", aarch64::test),
    Step::new("fuzz", "The fuzz targets build and find nothing in a few seconds each", fuzz::smoke)
        .lasting(fuzz::smoke_for),
    Step::new("fuzz-bench", "How often a second each fuzz target is carried out", fuzz::bench).aside(),
    Step::new(
        "oss-fuzz",
        "The script of OSS-Fuzz builds the fuzz targets with sanitizers, and each runs for a second",
        fuzz::build_and_run,
    )
    .blessed_by(fuzz::bless)
    .aside(),
    Step::new("kani", "The proofs for Kani compile; it takes Kani itself to prove them", kani::compile),
    Step::new("miri", "The tests of the specifications have no undefined behaviour", miri::interpret),
    Step::new(
        "coverage",
        "Tests, and what fuzzers have kept, reach the lines of specifications, device and machine",
        coverage::measured,
    ),
    Step::new("install", "What `cargo install` installs runs where no sources are", install::check),
    Step::new(
        "deny",
        "The packages that we depend on have licences and origins that are allowed",
        deny::check,
    )
    .aside(),
    Step::new("sbom", "A list of all that is in the program is written, and is whole", sbom::check).aside(),
    Step::new(
        "static",
        "Static programs for two architectures, which run where nothing else is",
        musl::check,
    )
    .aside(),
    Step::new("deb", "Debian packages of the static programs, installed where nothing else is", deb::check)
        .aside(),
];

/// One check.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its name. The first word is the subcommand, which steps may share.
    pub(crate) name: &'static str,
    /// What it shows when it passes; of steps that share a subcommand, the first speaks for all.
    pub(crate) about: &'static str,
    /// Takes the step.
    pub(crate) run: Take,
    /// Takes what is found now for what is right from now on, where a step compares with something kept.
    pub(crate) bless: Option<Take>,
    /// Takes the step for so many seconds, where that can be chosen.
    pub(crate) lasting: Option<TakeFor>,
    /// It is taken only by its own subcommand.
    pub(crate) aside: bool,
}

/// How a step is taken.
pub(crate) type Take = fn(&Workspace) -> Outcome;

/// How a step is taken for some time.
pub(crate) type TakeFor = fn(&Workspace, u32) -> Outcome;

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well. The text is what the step has to tell all the same, mostly nothing.
    Passed(String),
    /// Something is wrong: everything that the step said.
    Failed(String),
    /// The step could not be taken here: why.
    Skipped(String),
}

impl Step {
    const fn new(name: &'static str, about: &'static str, run: Take) -> Self {
        Self { name, about, run, bless: None, lasting: None, aside: false }
    }

    const fn blessed_by(self, bless: Take) -> Self {
        Self { bless: Some(bless), ..self }
    }

    const fn lasting(self, lasting: TakeFor) -> Self {
        Self { lasting: Some(lasting), ..self }
    }

    const fn aside(self) -> Self {
        Self { aside: true, ..self }
    }

    /// Whether this subcommand takes the step.
    pub(crate) fn is_taken_by(&self, subcommand: &str) -> bool {
        subcommand == self.command() || subcommand == ALL && !self.aside
    }

    /// The subcommand that takes this step.
    pub(crate) fn command(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or(self.name)
    }
}
