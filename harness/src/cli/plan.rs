//! `cxl-sim plan`: what a scenario's machine would do, before anything is touched.

use std::path::Path;
use std::process::ExitCode;

use cxl_spec::address::Address;
use cxl_spec::address::Span;
use serde::Serialize;
use vmm_core::plan::Device;
use vmm_core::plan::OVERLAY_PRIORITY;
use vmm_core::plan::Plan;

use super::Failure;
use super::args;
use super::run::say;
use super::this_program;
use crate::report::json;
use crate::scenario::Loaded;
use crate::scenario::find::bundled;
use crate::scenario::find::find;
use crate::world::GuestKind;
use crate::world::Maker;
use crate::world::Source;

/// A plan as JSON: numbers are hex texts.
#[derive(Serialize)]
struct Document {
    map: Vec<Placed>,
    windows: Vec<Window>,
    overlays: Vec<Overlay>,
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
}

#[derive(Serialize)]
struct Window {
    device: String,
    region: u32,
    start: String,
    size: String,
    mapped: bool,
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
    let scenario = scenario(&args.scenario)?;
    if !scenario.scenario.attach {
        return Err(Failure::Usage(format!("{}: has no machine to plan: `attach = false`", scenario.file)));
    }
    // Discovery reads and changes nothing; no guest is needed for it.
    let maker = Maker {
        program: this_program()?,
        source: Source::Sim,
        abi: None,
        guest: GuestKind::Soft,
        timeout: args.timeout.0,
    };
    let devices = maker.devices(&scenario)?;
    let plan = devices.plan(&scenario).map_err(|error| Failure::Failed(error.to_string()))?;
    let document = Document::of(&plan);
    say(if args.json { json::pretty(&document) } else { document.text() }.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The scenario in this file, or the bundled one of this name.
fn scenario(path: &Path) -> Result<Loaded, Failure> {
    let bundled =
        bundled()?.into_iter().find(|one| Path::new(&one.file) == path || Path::new(&one.name) == path);
    if let Some(one) = bundled.filter(|_| !path.exists()) {
        return Ok(one);
    }
    if path.is_dir() {
        return Err(Failure::Usage(format!("{}: is a folder; a plan is for one scenario", path.display())));
    }
    let mut found = find(&[path.to_owned()])?;
    found.pop().ok_or_else(|| Failure::Usage(format!("{}: no scenario", path.display())))
}

fn ends<A: Address>(span: Span<A>) -> (String, String) {
    (format!("{:#x}", span.start().get()), format!("{:#x}", span.size()))
}

impl Document {
    fn of(plan: &Plan) -> Self {
        let placed = plan.map.iter().map(|placed| {
            let (start, size) = ends(placed.span);
            Placed { name: placed.name.clone(), kind: placed.kind.name(), start, size }
        });
        let dma = plan.dma.iter().map(|dma| {
            let (start, size) = ends(dma.span);
            let (decision, reason) = (dma.decision.name(), dma.decision.reason());
            let (device, name) = (dma.device.clone(), dma.name.clone());
            Dma { device, name, start, size, decision, reason, through: dma.through.clone() }
        });
        Self {
            map: placed.collect(),
            windows: plan.devices.iter().map(Window::of).collect(),
            overlays: plan.devices.iter().map(Overlay::of).collect(),
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
            .map(|at| format!("  {:>14}  {:>12}  {:9} {}", at.start, at.size, at.kind, at.name));
        lines.extend(map);
        lines.push("windows".to_owned());
        lines.extend(self.windows.iter().map(|window| {
            let how = if window.mapped { "mapped" } else { "every access is a call" };
            let Window { device, region, start, size, .. } = window;
            format!("  {start:>14}  {size:>12}  {device} region {region}, {how}")
        }));
        lines.push("overlays".to_owned());
        lines.extend(self.overlays.iter().map(|overlay| {
            let Overlay { device, region, bar, start, size, priority } = overlay;
            format!("  {start:>14}  {size:>12}  {device} region {region} over bar{bar}, priority {priority}")
        }));
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
            format!("  {start:>14}  {size:>12}  {device}: {decision} {name}: {reason}{through}")
        }));
        if !self.notes.is_empty() {
            lines.push("notes".to_owned());
            lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        }
        lines.join("\n")
    }
}

impl Window {
    fn of(device: &Device) -> Self {
        let (start, size) = ends(device.window.span);
        Self {
            device: device.name.clone(),
            region: device.window.region,
            start,
            size,
            mapped: device.window.mapped,
        }
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
        device.programme.steps().into_iter().map(|step| Self {
            device: device.name.clone(),
            action: if step.is_write() { "write" } else { "read" },
            register: step.register().to_string(),
            region: device.programme.region,
            offset: format!("{:#x}", device.programme.offset(step.register())),
            value: step.value(),
        })
    }
}
