//! The defects on record, put back one by one and looked for by the fuzz drivers, from nothing but random bytes.
//!
//! ```text
//!  row ─▶ device and machine with the defect ─▶ driver ◀─ bytes ◀─ seed
//!                                                 │ its law breaks: found
//!         the same without the defect ─▶ driver ◀─┴─ the same bytes: the law must hold
//! ```
//!
//! A driver that finds a defect and finds as much where the defect is not has found something else, so both are tried
//! each time. What no driver can find is listed with the reason: see [`rows`].

mod bytes;
mod given;
pub mod rows;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;
use given::Given;
use sim_device::kernel::drive::Step;
use sim_device::kernel::drive::mended;
use sim_device::kernel::drive::mended::Law;
use sim_device::server::drive::maps;
use vmm_core::drive::machines;
use vmm_core::plan::dma::Wish;

use crate::replay::with;
use crate::soak;
use crate::soak::Changed;

/// Who looks for a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A user of this kernel, without these laws.
    Kernel(&'static str, &'static [Law]),
    /// Clients that map memory.
    Maps,
    /// Lives of machines. With these words a machine may refuse its devices.
    Lives(Option<&'static str>),
    /// What is planned for machines.
    Plans,
}

/// A defect.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number in the list of defects.
    pub number: u8,
    /// What the device and the machine are like with the defect and without it, as TOML.
    pub always: &'static [&'static str],
    /// What puts it back.
    pub knob: &'static str,
    /// Who looks for it.
    pub driver: Driver,
    /// What must be among the words of the law that breaks; another law is another defect.
    pub law: &'static str,
}

/// How long is looked for a defect.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// No input is tried after so long.
    pub time: Option<Duration>,
    /// So many inputs are tried and no more.
    pub inputs: Option<u64>,
}

/// A defect that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// With this input, counted from 1.
    pub inputs: u64,
    /// After so long.
    pub took: Duration,
    /// What broke.
    pub broke: String,
    /// The input.
    pub input: Vec<u8>,
}

/// Why a defect was not found.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// No input found it.
    #[error("not found by {0} inputs")]
    NotFound(u64),
    /// The law breaks where the defect is not.
    #[error("it breaks without the defect, too: {0}")]
    BreaksAnyway(String),
    /// What puts it back cannot be understood.
    #[error("{0}")]
    Knob(String),
}

impl Driver {
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Kernel(abi, _) => format!("mended kernel {abi}"),
            Self::Maps => "maps".to_owned(),
            Self::Lives(_) => "lives".to_owned(),
            Self::Plans => "plans".to_owned(),
        }
    }

    /// Checks what must hold, whatever these bytes mean. It asserts.
    fn run(self, given: &Given, bytes: &[u8]) {
        match self {
            Self::Kernel(abi, left_out) => {
                with(bytes, |steps: Vec<Step>| mended::run(&given.profile, abi, left_out, &steps));
            }
            Self::Maps => with(bytes, |steps: Vec<maps::Step>| maps::run(&given.profile, &steps)),
            Self::Lives(refusal) => {
                let changed = Changed {
                    device: given.device.clone(),
                    defects: given.defects.clone(),
                    policy: given.policy,
                    after_reset: given.after_reset,
                };
                soak::drive::changed_life(changed, refusal, bytes);
            }
            Self::Plans => {
                let dma = Wish { policy: given.policy.unwrap_or_default(), ats: given.ats };
                machines::any_plan(&given.defects, dma, bytes);
            }
        }
    }

    /// What these bytes break.
    fn broken_by(self, given: &Given, bytes: &[u8]) -> Option<String> {
        catch_unwind(AssertUnwindSafe(|| self.run(given, bytes))).err().map(|why| words(why.as_ref()))
    }
}

/// What an assertion said, in a line.
fn words(why: &dyn Any) -> String {
    let said = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied());
    let said = said.unwrap_or("no words");
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    let line = lines.join(", ");
    ["assertion `left == right` failed: ", "assertion `left == right` failed, "]
        .iter()
        .find_map(|before| line.strip_prefix(before))
        .map_or(line.clone(), str::to_owned)
}

impl Row {
    /// Looks for the defect.
    ///
    /// # Errors
    /// If it is not found, or if what is found is something else.
    pub fn find(&self, seed: u64, until: Until) -> Result<Found, Missing> {
        let healthy = Given::parse(self.always).map_err(Missing::Knob)?;
        let all: Vec<_> = self.always.iter().copied().chain([self.knob]).collect();
        let broken = Given::parse(&all).map_err(Missing::Knob)?;
        let (begun, mut rng) = (Instant::now(), Rng::with_seed(seed));
        let mut tried = 0;
        let goes_on = |tried: u64| {
            until.time.is_none_or(|time| begun.elapsed() < time)
                && until.inputs.is_none_or(|most| tried < most)
        };
        while goes_on(tried) {
            let input = bytes::any(&mut rng);
            tried += 1;
            let Some(broke) = self.driver.broken_by(&broken, &input) else { continue };
            if !broke.contains(self.law) {
                continue;
            }
            let took = begun.elapsed();
            return match self.driver.broken_by(&healthy, &input) {
                None => Ok(Found { inputs: tried, took, broke, input }),
                Some(why) => Err(Missing::BreaksAnyway(why)),
            };
        }
        Err(Missing::NotFound(tried))
    }
}

#[cfg(test)]
mod tests;
