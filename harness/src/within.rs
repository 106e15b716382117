//! A device that is served in this very thread: what a client sends is answered before the call returns. There is no
//! socket, no thread and no clock, so the same calls come to the same end every time.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Instant;

use sim_device::kernel::Abi;
use sim_device::kernel::Kernel;
use sim_device::profile::Profile;
use sim_device::server::Answer;
use sim_device::server::Demand;
use sim_device::server::Session;
use sim_device::silicon::Silicon;
use vfio_abi::inbox::Inbox;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::backend::vfio_user::wire::Awaited;
use vmm_core::backend::vfio_user::wire::Wire;

/// The longest message behind its header that the device takes: data of 1 MiB, and what is before it.
const LONGEST: usize = (1 << 20) + 64;

/// A server without a socket.
#[derive(Debug)]
pub struct Within {
    kernel: Kernel,
    session: Session,
    inbox: Inbox<OwnedFd>,
    /// What it has said and the client has not taken.
    said: VecDeque<Said>,
    /// It says nothing more.
    is_gone: bool,
}

#[derive(Debug)]
struct Said {
    frame: Vec<u8>,
    file: Option<OwnedFd>,
}

impl Within {
    /// A device of this profile, bound by this kernel, and a client that has agreed on a version with it.
    ///
    /// # Errors
    /// If the profile cannot be, the kernel does not take the device, or the system does not give what it needs.
    ///
    /// A VMM's first two stages, and what it would do then:
    ///
    /// ```
    /// use harness::within::Within;
    /// use sim_device::kernel::DEFAULT_ABI;
    /// use sim_device::profile::Profile;
    /// use vmm_core::backend::Shared;
    /// use vmm_core::discover::discover;
    /// use vmm_core::plan::machine::Machine;
    /// use vmm_core::plan::plan;
    ///
    /// let device = Shared::new(Within::client(&Profile::default(), DEFAULT_ABI)?);
    /// let inventory = discover(&device)?;
    /// let plan = plan(&Machine::default(), &[("gpu0", &inventory)])?;
    /// assert_eq!(plan.windows.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client(profile: &Profile, abi: &Abi) -> Result<VfioUser, String> {
        let checked = profile.check().map_err(|error| error.to_string())?;
        let silicon = Silicon::power_on(checked).map_err(|error| error.to_string())?;
        let mut kernel = Kernel::bind(silicon, abi).map_err(|error| error.to_string())?;
        kernel.open();
        let (session, inbox) = (Session::new(), Inbox::new(LONGEST));
        let within = Self { kernel, session, inbox, said: VecDeque::new(), is_gone: false };
        VfioUser::over("within".to_owned(), Box::new(within)).map_err(|error| error.to_string())
    }

    /// Answers whatever has come, and lets the device carry on.
    fn serve(&mut self) -> Result<(), String> {
        while let Some(taken) = self.inbox.take().map_err(|error| error.to_string())? {
            match self.session.answer(&mut self.kernel, taken) {
                Answer::Reply { frame, file } => self.said.push_back(Said { frame: frame.to_vec(), file }),
                Answer::Nothing | Answer::Silence => {}
                Answer::HangUp | Answer::Half { .. } => self.is_gone = true,
            }
            if let Demand::Ask { frame } = self.session.carry_on(&mut self.kernel) {
                self.said.push_back(Said { frame: frame.to_vec(), file: None });
            }
        }
        Ok(())
    }
}

impl Wire for Within {
    fn send(&mut self, frame: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), String> {
        if self.is_gone {
            return Err("the server hung up".to_owned());
        }
        let files = files.iter().map(|file| file.try_clone_to_owned()).collect::<Result<_, _>>();
        let mut files = Some(files.map_err(|error| error.to_string())?);
        let mut rest = frame;
        while !rest.is_empty() {
            let space = self.inbox.space();
            let count = rest.len().min(space.len());
            let (now, later) = rest.split_at(count);
            space.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.inbox.received(count, files.take().unwrap_or_default());
            self.serve()?;
            rest = later;
        }
        Ok(())
    }

    fn fill(&mut self, inbox: &mut Inbox<OwnedFd>, _awaited: Awaited) -> Result<(), String> {
        while !inbox.is_ready().map_err(|malformed| malformed.to_string())? {
            let Some(Said { frame, file }) = self.said.pop_front() else {
                return Err("the server hung up instead of answering".to_owned());
            };
            let space = inbox.space();
            if space.len() < frame.len() {
                return Err("the answer is longer than what is taken".to_owned());
            }
            space.iter_mut().zip(&frame).for_each(|(to, from)| *to = *from);
            inbox.received(frame.len(), file.into_iter().collect());
        }
        Ok(())
    }

    fn has_something(&self) -> Result<bool, String> {
        Ok(!self.said.is_empty())
    }

    /// There is no clock: a device asks no more than its copy needs.
    fn must_have_time(&self, _begun: &mut Option<Instant>) -> Result<(), String> {
        Ok(())
    }
}
