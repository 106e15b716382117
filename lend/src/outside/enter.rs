//! The process that becomes the program: it sees to its namespaces and its filter, and hands the filter's listener to
//! the supervisor, which takes it by its number.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::process::Signal;
use sim_device::kernel::Kernel;
use sim_device::silicon::Silicon;

use super::LendError;
use super::Order;
use super::filter;
use super::seccomp;
use super::stage;
use super::tree;

/// Becomes the program, with the device in its `/dev` and `/sys`.
///
/// # Errors
/// If that cannot be.
pub fn enter(order: &Order, channel: &str, command: &[OsString]) -> Result<Infallible, LendError> {
    let at = LendError::at;
    let address = SocketAddr::from_abstract_name(channel).map_err(at("the supervisor's socket"))?;
    let channel = UnixStream::connect_addr(&address).map_err(at("the supervisor's socket"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .map_err(at("ending with the supervisor"))?;
    let silicon = Silicon::power_on(order.profile.clone()).map_err(at("the device"))?;
    let mut kernel = Kernel::bind(silicon, order.abi)?;
    kernel.open();
    let entries = tree::entries(order, &kernel);
    drop(kernel);
    stage::leave()?;
    stage::set(&entries)?;
    let (program, arguments) = command.split_first().ok_or(LendError::NotStarted)?;
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from).map_err(at("no new privileges"))?;
    let mut filter = filter::filter().map_err(io::Error::other).map_err(at("the filter"))?;
    let listener = seccomp::install(&mut filter).map_err(at("the filter"))?;
    // From here on no call may be made that the filter looks at, until the supervisor answers.
    let number = listener.as_raw_fd().to_ne_bytes();
    let told = rustix::net::send(&channel, &number, SendFlags::NOSIGNAL)
        .and_then(|_| rustix::net::recv(&channel, &mut [0; 1], RecvFlags::empty()));
    told.map_err(io::Error::from).map_err(at("the supervisor"))?;
    drop((listener, channel));
    let error = Command::new(program).args(arguments).exec();
    Err(LendError::System { what: program.to_string_lossy().into_owned(), error })
}
