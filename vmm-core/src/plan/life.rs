//! What is chosen about a device's life in the machine: who commits its decoder, what follows a reset, and what is
//! done when the device is lost.

/// Who commits HDM decoder 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Committer {
    /// The machine, at machine-done. A device that host firmware did not commit is refused.
    #[default]
    Machine,
    /// The guest, when and where in the device's window it likes. Until then its memory is nowhere.
    Guest,
}

/// What the machine does with a decoder that a reset has taken away from its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterReset {
    /// It is programmed again, in the order of machine-done.
    #[default]
    Reprogram,
    /// Nothing, as the QEMU series does: the guest reads what the reset has left.
    Nothing,
}

/// What the machine does about a device that is lost: its process has died, or does not answer, or cannot be
/// understood. Whatever it does, the guest goes on, and reads ones from it meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// Nothing: what is mapped stays, and whoever runs the machine is told that it has failed.
    #[default]
    Fail,
    /// All of the device is taken out at once.
    Detach,
    /// The same, and it is sought anew: if it is found and is the same device, it is brought back.
    Reconnect,
}

/// What is chosen about the lives of all devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// What follows a reset.
    pub after_reset: AfterReset,
    /// The devices whose decoder the guest commits, by name. Of a device that is not there nothing comes.
    pub guest_commits: Vec<String>,
    /// What is done about devices that are lost, by name. Of a device that is not there nothing comes.
    pub on_loss: Vec<(String, OnLoss)>,
}

impl Committer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Machine, Self::Guest];

    /// The name in scenarios: the machine takes over what host firmware has committed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "firmware",
            Self::Guest => "guest",
        }
    }
}

impl AfterReset {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Reprogram, Self::Nothing];

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reprogram => "reprogram",
            Self::Nothing => "nothing",
        }
    }
}

impl OnLoss {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fail, Self::Detach, Self::Reconnect];

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Detach => "detach",
            Self::Reconnect => "reconnect",
        }
    }
}

impl Life {
    /// What is done when this device is lost.
    pub fn on_loss(&self, device: &str) -> OnLoss {
        let mut chosen = self.on_loss.iter();
        chosen.find(|(name, _)| name == device).map_or(OnLoss::default(), |(_, chosen)| *chosen)
    }

    /// Who commits the decoder of this device.
    pub fn committer(&self, device: &str) -> Committer {
        if self.guest_commits.iter().any(|name| name == device) {
            Committer::Guest
        } else {
            Committer::Machine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_named_is_the_guests_to_commit_and_no_other() {
        let life = Life { guest_commits: vec!["gpu1".to_owned()], ..Life::default() };
        assert_eq!(life.committer("gpu1"), Committer::Guest);
        assert_eq!(life.committer("gpu0"), Committer::Machine);
    }

    #[test]
    fn a_loss_is_a_failure_unless_something_else_was_chosen_for_the_device() {
        let life = Life { on_loss: vec![("gpu1".to_owned(), OnLoss::Detach)], ..Life::default() };
        assert_eq!((life.on_loss("gpu1"), life.on_loss("gpu0")), (OnLoss::Detach, OnLoss::Fail));
    }
}
