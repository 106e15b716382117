//! Our own client: as little vfio-user as it takes to see what a device shows.
//!
//! It reads and never writes, and needs no file descriptors; those that come are closed by the kernel.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use vfio_abi::frame;
use vfio_abi::inbox::Inbox;
use vfio_abi::inbox::Taken;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::region;
use vfio_abi::reply::Reply;
use vfio_abi::request::RegionAccess;
use vfio_abi::request::Request;
use vfio_abi::request::VersionNumbers;

use super::config::Config;
use super::process::PATIENCE;

/// Length of configuration space in bytes, and the longest payload that is asked for.
const CONFIG_SIZE: u32 = 0x1000;

/// Room for a region info and its chain.
const INFO_SIZE: u32 = 0x400;

/// What the device shows: configuration space, and the length of each BAR.
///
/// # Errors
/// If the device does not answer as it should.
pub(crate) fn look(socket: &Path) -> Result<(Config, [u64; 6]), String> {
    let mut client = Client::connect(socket)?;
    let mut bars = [0; 6];
    for (index, size) in (region::BAR0..).zip(&mut bars) {
        *size = client.region_size(index)?;
    }
    Ok((client.config()?, bars))
}

/// What registers in a region read, dword by dword.
///
/// # Errors
/// If the device does not answer as it should.
pub(crate) fn registers(socket: &Path, region: u32, offset: u64, length: u32) -> Result<Vec<u8>, String> {
    let mut client = Client::connect(socket)?;
    let mut bytes = Vec::new();
    for at in (offset..offset.saturating_add(length.into())).step_by(4) {
        bytes.extend(client.read(RegionAccess {
            offset: at.into(),
            region: region.into(),
            count: 4.into(),
        })?);
    }
    Ok(bytes)
}

struct Client {
    stream: UnixStream,
    inbox: Inbox<()>,
    id: u16,
}

impl Client {
    fn connect(socket: &Path) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("{}: {error}", socket.display());
        let stream = UnixStream::connect(socket).map_err(said)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(said)?;
        let mut client = Self::new(stream);
        client.negotiate()?;
        Ok(client)
    }

    fn new(stream: UnixStream) -> Self {
        Self { stream, inbox: Inbox::new(2 * CONFIG_SIZE as usize), id: 0 }
    }

    fn negotiate(&mut self) -> Result<(), String> {
        let numbers = VersionNumbers { major: 0.into(), minor: 0.into() };
        self.ask(&Request::Version(numbers, &[]), |reply| match reply {
            Reply::Version(theirs, _) => Ok(theirs.major.get()),
            other => Err(format!("{other:?}")),
        })
        .and_then(|major| if major == 0 { Ok(()) } else { Err(format!("version {major}")) })
    }

    fn region_size(&mut self, index: u32) -> Result<u64, String> {
        let request = Request::DeviceGetRegionInfo { argsz: INFO_SIZE, index };
        self.ask(&request, |reply| match reply {
            Reply::DeviceGetRegionInfo(bytes) => {
                RegionInfo::parse(bytes).map(|(info, _)| info.size).map_err(|error| error.to_string())
            }
            other => Err(format!("{other:?}")),
        })
    }

    fn config(&mut self) -> Result<Config, String> {
        let access =
            RegionAccess { offset: 0.into(), region: region::CONFIG.into(), count: CONFIG_SIZE.into() };
        self.ask(&Request::RegionRead(access), |reply| match reply {
            Reply::RegionRead(_, bytes) if bytes.len() == CONFIG_SIZE as usize => Ok(Config(bytes.to_vec())),
            Reply::RegionRead(_, bytes) => {
                Err(format!("configuration space has {} bytes, not {CONFIG_SIZE}", bytes.len()))
            }
            other => Err(format!("{other:?}")),
        })
    }

    fn read(&mut self, access: RegionAccess) -> Result<Vec<u8>, String> {
        self.ask(&Request::RegionRead(access), |reply| match reply {
            Reply::RegionRead(_, bytes) => Ok(bytes.to_vec()),
            other => Err(format!("{other:?}")),
        })
    }

    /// Asks, and makes something of the reply.
    fn ask<T>(
        &mut self,
        request: &Request<'_>,
        make: impl FnOnce(Reply<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let command = request.command();
        let wrong = |what: String| format!("{}: {what}", command.name());
        self.id = self.id.wrapping_add(1);
        let mut bytes = Vec::new();
        frame::encode_request(&mut bytes, self.id, request);
        self.stream.write_all(&bytes).map_err(|error| wrong(error.to_string()))?;
        while !self.inbox.is_ready().map_err(|error| wrong(error.to_string()))? {
            let count = self.stream.read(self.inbox.space()).map_err(|error| wrong(error.to_string()))?;
            if count == 0 {
                return Err(wrong("the device hung up".to_owned()));
            }
            self.inbox.received(count, Vec::new());
        }
        match self.inbox.take() {
            Ok(Some(Taken::Message { header, payload, .. })) => {
                if !header.is_reply() || header.id.get() != self.id {
                    return Err(wrong(format!("{header:?} does not answer it")));
                }
                if let Some(errno) = header.errno() {
                    return Err(wrong(errno.to_string()));
                }
                let reply = Reply::parse(command, payload).map_err(|error| wrong(error.to_string()))?;
                make(reply).map_err(wrong)
            }
            taken => Err(wrong(format!("{taken:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use vfio_abi::errno::Errno;
    use vfio_abi::frame::Command;

    use super::*;

    /// A client to whom these bytes were sent already, and the other end.
    fn answered(bytes: &[u8]) -> (Client, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(bytes).unwrap();
        (Client::new(ours), theirs)
    }

    fn read_of(count: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let access = RegionAccess { offset: 0.into(), region: 7.into(), count: count.into() };
        frame::encode_reply(&mut bytes, 1, &Reply::RegionRead(access, &vec![0xa5; count as usize]));
        bytes
    }

    #[test]
    fn configuration_space_is_asked_for_by_its_region_and_comes_whole() {
        let (mut client, mut device) = answered(&read_of(0x1000));
        assert_eq!(client.config(), Ok(Config(vec![0xa5; 0x1000])));
        let mut asked = [0; 32];
        device.read_exact(&mut asked).unwrap();
        let expected = [
            1, 0, 9, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 16, 0, 0,
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn configuration_space_may_not_be_shorter() {
        let (mut client, _device) = answered(&read_of(0x100));
        let said = "REGION_READ: configuration space has 256 bytes, not 4096";
        assert_eq!(client.config(), Err(said.to_owned()));
    }

    #[test]
    fn a_refusal_is_told_with_what_was_asked() {
        let mut bytes = Vec::new();
        frame::encode_error(&mut bytes, 1, Command::DeviceGetRegionInfo.number(), Errno::EINVAL);
        let (mut client, _device) = answered(&bytes);
        assert_eq!(client.region_size(0), Err("DEVICE_GET_REGION_INFO: EINVAL".to_owned()));
    }

    #[test]
    fn a_reply_to_something_else_is_not_taken() {
        let (mut client, _device) = answered(&read_of(0x1000));
        client.id = 1;
        let said = client.config().unwrap_err();
        assert!(said.ends_with(" does not answer it"), "{said}");
    }

    #[test]
    fn a_device_that_hangs_up_is_told() {
        let (mut client, device) = answered(&read_of(0x1000)[..40]);
        drop(device);
        let said = client.config().unwrap_err();
        assert!(said.starts_with("REGION_READ: "), "{said}");
    }
}
