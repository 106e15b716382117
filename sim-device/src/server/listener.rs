//! The socket in the file system: bound with mode 0600, removed at the end, never stolen from a living server.
//!
//! Whoever connects is asked whose process it is. While one client is served the next waits, up to a number of them;
//! whoever comes then waits in its own `connect`.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::Peers;
use super::Stop;
use super::Stranger;

/// How many clients may wait while one is served.
const BACKLOG: i32 = 16;

/// How long to wait where the system has no file descriptor, or no memory, for a client.
const SHORTAGE: Duration = Duration::from_millis(100);

/// A listening socket. Dropping it removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    peers: Peers,
    stop: Stop,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another server lives there.
    #[error("socket {}: a living server listens there already", path.display())]
    Alive {
        /// The path.
        path: PathBuf,
    },
    /// Something is there that is no socket.
    #[error("socket {}: the file exists and is no socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("socket {}: {error}", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

impl Listener {
    /// Listens at `path`, for processes of our own user and root. The file of a server that died is replaced.
    ///
    /// # Errors
    /// If a living server or something else is there, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        Self::bind_for(path, Peers::own())
    }

    /// Listens at `path`, for these peers.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_for(path: &Path, peers: Peers) -> Result<Self, ListenError> {
        clear_stale(path)?;
        let system = |error: io::Error| ListenError::System { path: path.to_owned(), error };
        let socket = bound_socket(path, peers.socket_mode()).map_err(system)?;
        let stop = Stop::new(&socket).map_err(system)?;
        Ok(Self { socket: UnixListener::from(socket), path: path.to_owned(), peers, stop })
    }

    /// The handle that stops the server of this socket.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next client and comes back with none if there was one that is no more, or that the system has
    /// nothing left for. A stranger is dropped and told of.
    ///
    /// # Errors
    /// If the system refuses for a reason that will not pass.
    pub(super) fn accept(&self, refused: impl FnOnce(Stranger)) -> io::Result<Option<UnixStream>> {
        match self.socket.accept() {
            Ok((stream, _)) => Ok(self.peers.check(&stream).map_err(refused).is_ok().then_some(stream)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) if is_shortage(&error) => {
                self.stop.rest(SHORTAGE);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // If somebody removed the file already, that is as well.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// A socket whose mode is set before it has a name: nobody can connect in between.
fn bound_socket(path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::fs::fchmod(&socket, mode)?;
    rustix::net::bind(&socket, &address)?;
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        // The file creation mask may have taken from it.
        rustix::fs::chmod(path, mode)?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Removes the socket of a server that died.
fn clear_stale(path: &Path) -> Result<(), ListenError> {
    let system = |error| ListenError::System { path: path.to_owned(), error };
    let file = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(system)?,
    };
    if !file.file_type().is_socket() {
        return Err(ListenError::NoSocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(system)
        }
        // Whoever answers, or is too busy to, is alive.
        Ok(_) => Err(ListenError::Alive { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(ListenError::Alive { path: path.to_owned() })
        }
        Err(error) => Err(system(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.sock");
        (folder, path)
    }

    #[test]
    fn only_the_owner_may_connect() {
        let (_folder, path) = path();
        let _listener = Listener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_socket_goes_with_the_listener() {
        let (_folder, path) = path();
        drop(Listener::bind(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_dead_server_is_replaced() {
        let (_folder, path) = path();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert!(Listener::bind(&path).is_ok());
    }

    #[test]
    fn the_socket_of_a_living_server_is_refused_and_stays() {
        let (_folder, path) = path();
        let _alive = Listener::bind(&path).unwrap();
        assert!(matches!(Listener::bind(&path), Err(ListenError::Alive { .. })));
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_refused_and_stays() {
        let (_folder, path) = path();
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(Listener::bind(&path), Err(ListenError::NoSocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_path_that_is_too_long_is_refused_by_name() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let error = Listener::bind(&path).unwrap_err().to_string();
        assert!(error.starts_with("socket /tmp/xxx"), "{error}");
    }

    #[test]
    fn a_stopped_listener_accepts_nobody() {
        let (_folder, path) = path();
        let listener = Listener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        listener.stop().stop();
        let next = || listener.accept(|_| panic!("nobody is refused"));
        listener.stop().serve_each(next, |_| panic!("nobody is served")).unwrap();
    }

    #[test]
    fn a_stranger_is_dropped_and_told_of_and_the_others_may_connect() {
        let (_folder, path) = path();
        let own = rustix::process::geteuid().as_raw();
        let listener = Listener::bind_for(&path, Peers::only([own + 1])).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        let mut client = UnixStream::connect(&path).unwrap();
        let mut refused = None;
        assert!(listener.accept(|stranger| refused = Some(stranger)).unwrap().is_none());
        assert_eq!(refused, Some(Stranger { uid: Some(own) }));
        assert_eq!(io::Read::read(&mut client, &mut [0]).unwrap(), 0, "dropped");
    }
}
