//! Places and numbers in scenarios: `gpu0.window+0x1000`, `gpu0.bar2`, `0x10_0000`.
//!
//! | part               | where                                                  |
//! |--------------------|--------------------------------------------------------|
//! | `config`           | the device's configuration space                       |
//! | `bar0`..           | a base address register                                |
//! | `component`        | the 64 KiB component block in its BAR                  |
//! | `registers`        | the capability array in it                             |
//! | `hdm`              | the HDM decoder capability                             |
//! | `window`           | the device's memory                                    |
//! | `port`             | the configuration space of the root port above it      |
//! | `port_component`   | the component block of that port                       |
//! | `bridge_component` | the component block of the host bridge above that      |
//!
//! A bridge's name before the dot means the slot below it: its `config`, `window` and the last three are there whether
//! or not a device is.

use std::fmt;
use std::str::FromStr;

use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::hdm;
use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use sim_device::profile::quantity::Quantity;
use vmm_core::plan::Plan;

/// A number, or a place in the machine by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    base: Base,
    offset: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Base {
    Number,
    Part { device: String, part: Part },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Config,
    Bar(u8),
    Component,
    Registers,
    Hdm,
    Window,
    Port,
    PortComponent,
    BridgeComponent,
}

/// What an access to a place reaches, as far as the text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaches {
    /// A device's memory; a number may be there, too.
    Memory,
    /// Configuration space, from here on.
    Config(u64),
    /// A base address register.
    Bar,
    /// The component block.
    Component,
    /// What is the machine's own, or is shown in place of the device's.
    Machine,
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no place: write a number, or DEVICE.PART with an optional +OFFSET, where PART is config, \
     bar0 to bar5, component, registers, hdm, window, port, port_component or bridge_component"
)]
pub struct NoPlace {
    text: String,
}

/// A place that the machine does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: the machine has no such place")]
pub struct NotThere {
    place: String,
}

impl Place {
    /// The device or bridge that the place belongs to, if it has a name in it.
    pub fn device(&self) -> Option<&str> {
        match &self.base {
            Base::Number => None,
            Base::Part { device, .. } => Some(device),
        }
    }

    /// What an access to it reaches.
    pub(super) fn reaches(&self) -> Reaches {
        match &self.base {
            Base::Number | Base::Part { part: Part::Window, .. } => Reaches::Memory,
            Base::Part { part: Part::Config, .. } => Reaches::Config(self.offset),
            Base::Part { part: Part::Bar(_), .. } => Reaches::Bar,
            Base::Part { part: Part::Component | Part::Registers, .. } => Reaches::Component,
            Base::Part {
                part: Part::Hdm | Part::Port | Part::PortComponent | Part::BridgeComponent, ..
            } => Reaches::Machine,
        }
    }

    /// The number that the place is in a planned machine.
    ///
    /// # Errors
    /// If the machine does not have the place.
    pub fn resolve(&self, plan: &Plan) -> Result<u64, NotThere> {
        let not_there = || NotThere { place: self.to_string() };
        let base = match &self.base {
            Base::Number => Some(0),
            Base::Part { device, part } => {
                let planned = plan.devices.iter().find(|planned| planned.name == *device);
                planned.map_or_else(|| part.below(device, plan), |planned| part.of(planned, plan))
            }
        };
        base.and_then(|base| base.checked_add(self.offset)).ok_or_else(not_there)
    }
}

impl Part {
    fn of(self, device: &vmm_core::plan::Device, plan: &Plan) -> Option<u64> {
        let bridge = plan.bridges.get(device.bridge);
        let component = device.component.get();
        match self {
            Self::Config => Some(device.config.start().get()),
            Self::Bar(index) => {
                device.bars.iter().find(|bar| bar.index == index).map(|bar| bar.span.start().get())
            }
            Self::Component => Some(component),
            Self::Registers => component.checked_add(CACHEMEM_OFFSET),
            Self::Hdm => {
                let registers = device.overlay.span.start().get();
                registers.checked_add(device.programme.decoder.checked_sub(hdm::decoder_offset(0))?)
            }
            Self::Window => Some(device.window.span.start().get()),
            Self::Port => bridge.map(|bridge| bridge.port.config.start().get()),
            Self::PortComponent => bridge.map(|bridge| bridge.port.bar.start().get()),
            Self::BridgeComponent => bridge.map(|bridge| bridge.registers.start().get()),
        }
    }

    /// The part of a slot, by its bridge's name: what is there without a device.
    fn below(self, name: &str, plan: &Plan) -> Option<u64> {
        let (number, bridge) = plan.bridges.iter().enumerate().find(|(_, bridge)| bridge.name == name)?;
        match self {
            Self::Config => bridge.endpoint(plan.ecam).map(|(_, config)| config.start().get()),
            Self::Window => {
                let mut windows = plan.windows.iter();
                windows
                    .find(|window| window.only_target() == Some(number))
                    .map(|window| window.span.start().get())
            }
            Self::Port => Some(bridge.port.config.start().get()),
            Self::PortComponent => Some(bridge.port.bar.start().get()),
            Self::BridgeComponent => Some(bridge.registers.start().get()),
            Self::Bar(_) | Self::Component | Self::Registers | Self::Hdm => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "config" => Self::Config,
            "component" => Self::Component,
            "registers" => Self::Registers,
            "hdm" => Self::Hdm,
            "window" => Self::Window,
            "port" => Self::Port,
            "port_component" => Self::PortComponent,
            "bridge_component" => Self::BridgeComponent,
            bar => Self::Bar(bar.strip_prefix("bar")?.parse().ok().filter(|index| *index < 6)?),
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => out.write_str("config"),
            Self::Bar(index) => write!(out, "bar{index}"),
            Self::Component => out.write_str("component"),
            Self::Registers => out.write_str("registers"),
            Self::Hdm => out.write_str("hdm"),
            Self::Window => out.write_str("window"),
            Self::Port => out.write_str("port"),
            Self::PortComponent => out.write_str("port_component"),
            Self::BridgeComponent => out.write_str("bridge_component"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Number => write!(out, "{:#x}", self.offset),
            Base::Part { device, part } if self.offset == 0 => write!(out, "{device}.{part}"),
            Base::Part { device, part } => write!(out, "{device}.{part}+{:#x}", self.offset),
        }
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let no_place = || NoPlace { text: text.to_owned() };
        let number = |text: &str| text.parse().map(|Quantity(number)| number).map_err(|_| no_place());
        let (base, offset) = match text.split_once('+') {
            Some((base, offset)) => (base.trim(), number(offset)?),
            None => (text.trim(), 0),
        };
        match base.split_once('.') {
            Some((device, part)) => {
                let part = Part::parse(part).ok_or_else(no_place)?;
                Ok(Self { base: Base::Part { device: device.to_owned(), part }, offset })
            }
            None => {
                let offset = number(base)?.checked_add(offset).ok_or_else(no_place)?;
                Ok(Self { base: Base::Number, offset })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Place;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, or a place such as \"gpu0.window+0x1000\"")
    }

    fn visit_u64<E: de::Error>(self, offset: u64) -> Result<Place, E> {
        Ok(Place { base: Base::Number, offset })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Place, E> {
        u64::try_from(number)
            .map_err(|_| E::custom(format!("{number} is below 0")))
            .and_then(|it| self.visit_u64(it))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Place, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("gpu0.window")]
    #[case("gpu0.window+0x1000")]
    #[case("a-b_c.bar5+0x1")]
    #[case("x.config")]
    #[case("x.component+0x40")]
    #[case("x.registers")]
    #[case("x.hdm+0x20")]
    #[case("x.port+0x138")]
    #[case("x.port_component")]
    #[case("x.bridge_component+0x1000")]
    #[case("0x1000")]
    fn a_place_is_printed_as_it_is_written(#[case] text: &str) {
        assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
    }

    #[test]
    fn a_sum_of_numbers_is_a_number() {
        assert_eq!("1MiB + 0x10".parse::<Place>().unwrap().to_string(), "0x100010");
    }

    #[rstest]
    #[case("gpu0")]
    #[case("gpu0.bar6")]
    #[case("gpu0.windows")]
    #[case("gpu0.window-4")]
    #[case("gpu0.window+far")]
    #[case("")]
    #[case("0xffff_ffff_ffff_ffff+1")]
    fn what_is_no_place_is_refused_with_the_text(#[case] text: &str) {
        let error = text.parse::<Place>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{text:?} is no place")), "{error}");
    }
}
