//! A device of the host's as the user names it: `vfio:0002:81:00.0`, and behind a comma, by which way.

use std::fmt;
use std::str::FromStr;

/// A device, and by which way it is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Which device.
    pub function: Function,
    /// By which way; nothing takes the device's own file where there is one.
    pub way: Option<Way>,
}

/// A PCI function of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// By which way a device is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its group in a container, with an IOMMU of type 1.
    Type1,
    /// Its own file, and an address space of an iommufd.
    Iommufd,
}

impl Way {
    /// The name behind the comma.
    pub fn name(self) -> &'static str {
        match self {
            Self::Type1 => "type1",
            Self::Iommufd => "iommufd",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(out, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "vfio:{}", self.function)?;
        self.way.map_or(Ok(()), |way| write!(out, ",{}", way.name()))
    }
}

/// What a function's name must look like.
const FUNCTION: &str = "must be DOMAIN:BUS:DEVICE.FUNCTION in hex, such as 0000:81:00.0";

impl FromStr for Function {
    type Err = String;

    /// The function with this name. Without a domain it is in domain 0, as `lspci` prints it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: {FUNCTION}");
        let (rest, function) = text.rsplit_once('.').ok_or_else(wrong)?;
        let mut parts = rest.rsplit(':');
        let (device, bus) = (parts.next().unwrap_or_default(), parts.next().ok_or_else(wrong)?);
        let domain = parts.next().unwrap_or("0");
        let number = |digits: &str, most: usize, below: u32| {
            let plain =
                (1..=most).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let value = u32::from_str_radix(digits, 16).ok().filter(|value| plain && *value < below);
            value.ok_or_else(wrong)
        };
        let found = Self {
            domain: number(domain, 8, u32::MAX)?,
            bus: number(bus, 2, 0x100)? as u8,
            device: number(device, 2, 32)? as u8,
            function: number(function, 1, 8)? as u8,
        };
        if parts.next().is_some() { Err(wrong()) } else { Ok(found) }
    }
}

impl FromStr for Address {
    type Err = String;

    /// What follows `vfio:`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (function, way) = match text.split_once(',') {
            None => (text, None),
            Some((function, "type1")) => (function, Some(Way::Type1)),
            Some((function, "iommufd")) => (function, Some(Way::Iommufd)),
            Some((_, other)) => return Err(format!("{other}: must be type1 or iommufd")),
        };
        Ok(Self { function: function.parse()?, way })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0002:81:00.0", "vfio:0002:81:00.0")]
    #[case("81:1f.7", "vfio:0000:81:1f.7")]
    #[case("0000:0A:00.0,type1", "vfio:0000:0a:00.0,type1")]
    #[case("10000:e1:00.0,iommufd", "vfio:10000:e1:00.0,iommufd")]
    fn a_device_is_named_in_full(#[case] text: &str, #[case] full: &str) {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), full);
    }

    #[rstest]
    #[case("")]
    #[case("0002:81:00")]
    #[case("81.0")]
    #[case("0002:81:20.0")]
    #[case("0002:81:00.8")]
    #[case("0002:181:00.0")]
    #[case("1:0002:81:00.0")]
    #[case("0002:81:+0.0")]
    #[case("../../etc:81:00.0")]
    #[case("81:00.0,")]
    #[case("81:00.0,type2")]
    fn what_is_no_device_is_refused(#[case] text: &str) {
        assert!(text.parse::<Address>().is_err());
    }
}
