//! Who may be a client: processes of these users. The kernel says whose a process is; nobody can lie about it.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;

use rustix::fs::Mode;

/// The users whose processes may be clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    uids: BTreeSet<u32>,
}

/// A client that is no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The user whose process it is, if the kernel says.
    pub uid: Option<u32>,
}

impl Peers {
    /// The user that this process acts for, and root.
    pub fn own() -> Self {
        Self::only([rustix::process::geteuid().as_raw(), 0])
    }

    /// These users and nobody else, not even our own.
    pub fn only(uids: impl IntoIterator<Item = u32>) -> Self {
        Self { uids: uids.into_iter().collect() }
    }

    /// These users, too.
    #[must_use]
    pub fn and(mut self, uids: impl IntoIterator<Item = u32>) -> Self {
        self.uids.extend(uids);
        self
    }

    /// Whether this user is one.
    pub fn admits(&self, uid: u32) -> bool {
        self.uids.contains(&uid)
    }

    /// The mode of a socket that they can connect to: where others than our own user may, anybody can, and is asked
    /// who it is.
    pub(super) fn socket_mode(&self) -> Mode {
        let owner = Mode::RUSR | Mode::WUSR;
        let own = Self::own();
        if self.uids.iter().all(|uid| own.admits(*uid)) {
            owner
        } else {
            owner | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH
        }
    }

    /// Asks the kernel whose process is at the other end.
    pub(super) fn check(&self, client: &UnixStream) -> Result<(), Stranger> {
        let uid = rustix::net::sockopt::socket_peercred(client).ok().map(|peer| peer.uid.as_raw());
        if uid.is_some_and(|uid| self.admits(uid)) { Ok(()) } else { Err(Stranger { uid }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_and_root_are_admitted_and_nobody_else() {
        let own = rustix::process::geteuid().as_raw();
        let peers = Peers::own();
        assert!(peers.admits(own) && peers.admits(0));
        assert!(!peers.admits(own + 1) && !peers.admits(u32::MAX));
        assert!(peers.and([own + 1]).admits(own + 1));
    }

    #[test]
    fn the_kernel_is_asked_who_a_client_is() {
        let (client, _server) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(Peers::own().check(&client), Ok(()));
        assert_eq!(Peers::only([own + 1]).check(&client), Err(Stranger { uid: Some(own) }));
    }

    #[test]
    fn a_socket_is_open_to_others_only_if_one_of_them_may_connect() {
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(Peers::own().socket_mode().bits(), 0o600);
        assert_eq!(Peers::own().and([own + 1]).socket_mode().bits(), 0o666);
    }
}
