//! `cxl-sim plan`: what a scenario's machine would do, before anything is touched.

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use cxl_spec::address::Address;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use serde::Serialize;
use vmm_core::plan::Device;
use vmm_core::plan::FixedWindow;
use vmm_core::plan::OVERLAY_PRIORITY;
use vmm_core::plan::Plan;
use vmm_core::plan::life::Committer;

use super::Failure;
use super::args;
use super::args::Seconds;
use super::run::say;
use super::this_program;
use crate::report::drawn;
use crate::report::json;
use crate::report::paint::Paint;
use crate::report::planned;
use crate::scenario::Loaded;
use crate::scenario::find::bundled;
use crate::scenario::find::find;
use crate::world::GuestKind;
use crate::world::Hardware;
use crate::world::Maker;
use crate::world::Source;

/// A plan as JSON: numbers are hex texts.
#[derive(Serialize)]
struct Document {
    map: Vec<Placed>,
    bridges: Vec<Bridge>,
    windows: Vec<Window>,
    overlays: Vec<Overlay>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smmus: Vec<Smmu>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pins: Vec<Pin>,
    programme: Vec<Step>,
    dma: Vec<Dma>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Placed {
    name: String,
    kind: &'static str,
    start: String,
    size: String,
    why: String,
}

#[derive(Serialize)]
struct Bridge {
    name: String,
    uid: u8,
    bus: u8,
    last_bus: u8,
    registers: String,
    window_32: Range,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_64: Option<Range>,
    port: Port,
}

#[derive(Serialize)]
struct Port {
    number: u8,
    bdf: String,
    secondary: u8,
    component: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

#[derive(Serialize)]
struct Range {
    start: String,
    size: String,
}

/// A window, and the memory that is in it. A window for nobody has no device.
#[derive(Serialize)]
struct Window {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<u32>,
    start: String,
    size: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coherency: Option<&'static str>,
    targets: Vec<String>,
    why: String,
}

#[derive(Serialize)]
struct Overlay {
    device: String,
    region: u32,
    bar: u8,
    start: String,
    size: String,
    priority: u32,
}

/// An SMMU, and how the devices behind it reach memory.
#[derive(Serialize)]
struct Smmu {
    name: String,
    bus: &'static str,
    start: String,
    size: String,
    reach: &'static str,
}

/// A device's interrupt pin, and the input of the I/O APIC that it is wired to. Without one the machine is told.
#[derive(Serialize)]
struct Pin {
    device: String,
    pin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<u8>,
}

#[derive(Serialize)]
struct Step {
    device: String,
    action: &'static str,
    register: String,
    region: u32,
    offset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

#[derive(Serialize)]
struct Dma {
    device: String,
    name: String,
    start: String,
    size: String,
    decision: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<String>,
}

pub(super) fn plan(args: &args::Plan) -> Result<ExitCode, Failure> {
    let plan = planned(&scenario(&args.scenario)?, args.timeout)?;
    let document = Document::of(&plan);
    let text = || format!("{}\n{}", drawing(&plan, Paint::of_standard_output()), document.text());
    say(if args.json { json::pretty(&document) } else { text() }.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// What a scenario's machine will do.
pub(super) fn planned(scenario: &Loaded, timeout: Seconds) -> Result<Plan, Failure> {
    if !scenario.scenario.attach {
        return Err(Failure::Usage(format!("{}: has no machine to plan: `attach = false`", scenario.file)));
    }
    // Discovery reads and changes nothing; no guest is needed for it.
    let maker = Maker {
        program: this_program()?,
        source: Source::Sim,
        abi: None,
        guest: GuestKind::Soft,
        timeout: timeout.0,
        hardware: Hardware::default(),
        journal: None,
    };
    let devices = maker.devices(scenario)?;
    devices.plan(scenario).map_err(|error| Failure::Failed(error.to_string()))
}

/// The scenario in this file, or the bundled one of this name. One of several that a file has by a matrix is named with
/// its values in brackets behind the file's name.
pub(super) fn scenario(path: &Path) -> Result<Loaded, Failure> {
    let is_named = |one: &Loaded| Path::new(&one.place()) == path || Path::new(&one.name) == path;
    let file =
        path.to_str().and_then(|text| text.split_once(".toml[")).map(|(stem, _)| format!("{stem}.toml"));
    let file = file.map(PathBuf::from).filter(|file| file.exists());
    if !path.exists() && file.is_none() {
        let all = bundled()?;
        if let Some(one) = all.iter().find(|one| is_named(one)) {
            return Ok(one.clone());
        }
        let of_file = |one: &Loaded| one.name.split('[').next().map(Path::new) == Some(path);
        if all.iter().any(|one| of_file(one) || Path::new(&one.file) == path) {
            return Err(several(path));
        }
    }
    if path.is_dir() {
        return Err(Failure::Usage(format!("{}: is a folder; a plan is for one scenario", path.display())));
    }
    let mut found = find(&[file.clone().unwrap_or_else(|| path.to_owned())])?;
    if file.is_some() {
        found.retain(is_named);
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(several(path)),
        (None, _) => Err(Failure::Usage(format!("{}: no scenario", path.display()))),
    }
}

fn several(path: &Path) -> Failure {
    let why = "has several scenarios; a plan is for one, such as FILE.toml[KEY=VALUE]";
    Failure::Usage(format!("{}: {why}", path.display()))
}

/// The map as a drawing, with what the boxes mean.
fn drawing(plan: &Plan, paint: Paint) -> String {
    let mut lines = vec!["drawing".to_owned(), format!("  {}", drawn::legend(paint))];
    lines.extend(drawn::map(&planned::map(plan), paint));
    lines.join("\n")
}

fn ends<A: Address>(span: Span<A>) -> (String, String) {
    (format!("{:#x}", span.start().get()), format!("{:#x}", span.size()))
}

impl Document {
    fn of(plan: &Plan) -> Self {
        let tables = [&plan.tables.root, &plan.tables.others];
        let mut map: Vec<_> = plan.map.iter().chain(tables).collect();
        map.sort_by_key(|placed| placed.span);
        let placed = map.into_iter().map(|placed| {
            let (start, size) = ends(placed.span);
            let why = placed.why.to_string();
            Placed { name: placed.name.clone(), kind: placed.kind.name(), start, size, why }
        });
        let dma = plan.dma.iter().map(|dma| {
            let (start, size) = ends(dma.span);
            let (decision, reason) = (dma.decision.name(), dma.decision.reason());
            let (device, name) = (dma.device.clone(), dma.name.clone());
            Dma { device, name, start, size, decision, reason, through: dma.through.clone() }
        });
        Self {
            map: placed.collect(),
            bridges: plan.bridges.iter().map(|bridge| Bridge::of(bridge, plan)).collect(),
            windows: plan.windows.iter().map(|window| Window::of(window, plan)).collect(),
            overlays: plan.devices.iter().map(Overlay::of).collect(),
            smmus: plan.smmus.iter().map(Smmu::of).collect(),
            pins: plan.devices.iter().filter_map(Pin::of).collect(),
            programme: plan.devices.iter().flat_map(Step::all_of).collect(),
            dma: dma.collect(),
            notes: plan.notes.clone(),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec!["map".to_owned()];
        let map = self
            .map
            .iter()
            .map(|at| format!("  {:>15}  {:>13}  {:9} {}: {}", at.start, at.size, at.kind, at.name, at.why));
        lines.extend(map);
        lines.push("bridges".to_owned());
        lines.extend(self.bridges.iter().flat_map(Bridge::lines));
        lines.push("windows".to_owned());
        lines.extend(self.windows.iter().map(Window::line));
        lines.push("overlays".to_owned());
        lines.extend(self.overlays.iter().map(|overlay| {
            let Overlay { device, region, bar, start, size, priority } = overlay;
            format!("  {start:>15}  {size:>13}  {device} region {region} over bar{bar}, priority {priority}")
        }));
        if !self.smmus.is_empty() {
            lines.push("smmus".to_owned());
            lines.extend(self.smmus.iter().map(|smmu| {
                let Smmu { name, bus, start, size, reach } = smmu;
                format!("  {start:>15}  {size:>13}  {name} on {bus}: {reach}")
            }));
        }
        if !self.pins.is_empty() {
            lines.push("pins".to_owned());
            lines.extend(self.pins.iter().map(Pin::line));
        }
        lines.push("programme".to_owned());
        lines.extend(self.programme.iter().map(|step| {
            let value = step.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
            let Step { device, action, register, region, offset, .. } = step;
            format!("  {device}: {action} {register} (region {region} at {offset}){value}")
        }));
        lines.push("dma".to_owned());
        lines.extend(self.dma.iter().map(|dma| {
            let Dma { device, name, start, size, decision, reason, through } = dma;
            let through = through.as_ref().map(|smmu| format!(", through {smmu}")).unwrap_or_default();
            format!("  {start:>15}  {size:>13}  {device}: {decision} {name}: {reason}{through}")
        }));
        if !self.notes.is_empty() {
            lines.push("notes".to_owned());
            lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        }
        lines.join("\n")
    }
}

impl Range {
    fn of(span: Span<Gpa>) -> Self {
        let (start, size) = ends(span);
        Self { start, size }
    }
}

impl Smmu {
    fn of(smmu: &vmm_core::plan::Smmu) -> Self {
        let (start, size) = ends(smmu.registers);
        let (name, bus, reach) = (smmu.name.clone(), smmu.bus.name(), smmu.reach.name());
        Self { name, bus, start, size, reach }
    }
}

impl Pin {
    fn of(device: &Device) -> Option<Self> {
        let planned = device.pin?;
        let pin = match planned.number {
            1 => "INTA",
            2 => "INTB",
            3 => "INTC",
            _ => "INTD",
        };
        Some(Self { device: device.name.clone(), pin, input: planned.input })
    }

    fn line(&self) -> String {
        let Self { device, pin, input } = self;
        match input {
            Some(input) => format!("  {device}: {pin} is input {input} of the I/O APIC"),
            None => format!("  {device}: {pin} is told to the machine"),
        }
    }
}

impl Bridge {
    fn of(bridge: &vmm_core::plan::Bridge, plan: &Plan) -> Self {
        let port = &bridge.port;
        let device = port.device.and_then(|device| plan.devices.get(device));
        Self {
            name: bridge.name.clone(),
            uid: bridge.bus,
            bus: bridge.bus,
            last_bus: bridge.last_bus,
            registers: bridge.registers.start().to_string(),
            window_32: Range::of(bridge.window_32),
            window_64: bridge.window_64.map(Range::of),
            port: Port {
                number: port.number,
                bdf: port.bdf.to_string(),
                secondary: port.secondary,
                component: port.bar.start().to_string(),
                device: device.map(|device| device.name.clone()),
            },
        }
    }

    fn lines(&self) -> Vec<String> {
        let Self { name, bus, last_bus, registers, port, .. } = self;
        let device = port.device.as_deref().unwrap_or("nothing");
        let ranges = [Some(&self.window_32), self.window_64.as_ref()].into_iter().flatten();
        let ranges: Vec<_> = ranges.map(|range| format!("{} of {}", range.start, range.size)).collect();
        vec![
            format!("  {name}: buses {bus} to {last_bus}, registers at {registers}"),
            format!("    windows {}", ranges.join(" and ")),
            format!(
                "    port {} at {}, registers at {}, below it on bus {} {device}",
                port.number, port.bdf, port.component, port.secondary
            ),
        ]
    }
}

impl Window {
    fn of(window: &FixedWindow, plan: &Plan) -> Self {
        let (start, size) = ends(window.span);
        let device = window.device.and_then(|device| plan.devices.get(device));
        let targets = window.targets.iter().filter_map(|target| plan.bridges.get(*target));
        Self {
            device: device.map(|device| device.name.clone()),
            region: device.map(|device| device.window.region),
            start,
            size,
            mapped: device.map(|device| device.window.mapped),
            coherency: (window.targets.len() == 1).then_some(if window.back_invalidate {
                "hdm-db"
            } else {
                "hdm-d"
            }),
            targets: targets.map(|bridge| bridge.name.clone()).collect(),
            why: window.why.to_string(),
        }
    }

    fn line(&self) -> String {
        let Self { start, size, targets, why, .. } = self;
        let memory = match (&self.device, self.region, self.mapped) {
            (Some(device), Some(region), Some(true)) => format!("{device} region {region}, mapped"),
            (Some(device), Some(region), _) => format!("{device} region {region}, every access is a call"),
            _ => "nothing".to_owned(),
        };
        format!("  {start:>15}  {size:>13}  {memory}, by {}: {why}", targets.join(", "))
    }
}

impl Overlay {
    fn of(device: &Device) -> Self {
        let (start, size) = ends(device.overlay.span);
        let vmm_core::plan::Overlay { region, bar, .. } = device.overlay;
        Self { device: device.name.clone(), region, bar, start, size, priority: OVERLAY_PRIORITY }
    }
}

impl Step {
    fn all_of(device: &Device) -> impl Iterator<Item = Self> + '_ {
        // What the guest commits, the machine does not programme.
        let steps = device.programme.steps().into_iter().filter(|_| device.committer == Committer::Machine);
        steps.map(|step| Self {
            device: device.name.clone(),
            action: if step.is_write() { "write" } else { "read" },
            register: step.register().to_string(),
            region: device.programme.region,
            offset: format!("{:#x}", device.programme.offset(step.register())),
            value: step.value(),
        })
    }
}
