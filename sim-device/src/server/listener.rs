//! The socket in the file system: bound with mode 0600, removed at the end, never stolen from a living server.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::Stop;

/// How many clients may wait while one is served.
const BACKLOG: i32 = 16;

/// A listening socket. Dropping it removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
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
    /// Listens at `path`. The file of a server that died is replaced.
    ///
    /// # Errors
    /// If a living server or something else is there, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        clear_stale(path)?;
        let system = |error: io::Error| ListenError::System { path: path.to_owned(), error };
        let socket = bound_socket(path).map_err(system)?;
        let stop = Stop::new(&socket).map_err(system)?;
        Ok(Self { socket: UnixListener::from(socket), path: path.to_owned(), stop })
    }

    /// The handle that stops the server of this socket.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The next client; nothing once `stop` says to end.
    ///
    /// # Errors
    /// If the system refuses for a reason that will not pass.
    pub(super) fn accept(&self, stop: &Stop) -> io::Result<Option<UnixStream>> {
        loop {
            let accepted = self.socket.accept();
            if stop.is_stopping() {
                return Ok(None);
            }
            match accepted {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
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

/// A socket whose mode is set before it has a name: nobody can connect in between.
fn bound_socket(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
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
        let stop = listener.stop();
        stop.stop();
        assert!(listener.accept(&stop).unwrap().is_none());
    }
}
