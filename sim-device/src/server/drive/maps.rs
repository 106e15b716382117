//! Clients that map memory for DMA, one after another, against a list of what is mapped: property tests and fuzzers
//! are two callers of [`run`].
//!
//! - Every message is answered.
//! - A range is mapped if it overlaps nothing that is, and refused with `EEXIST` if it does.
//! - What is unmapped is gone: the device asks for nothing there.
//! - The next client begins with nothing mapped.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

use std::ops::Range;

use vfio_abi::errno::Errno;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Taken;
use vfio_abi::request::DmaAccess;

use super::Sent;
use super::answer;
use super::read_request;
use crate::kernel::DEFAULT_ABI;
use crate::kernel::Kernel;
use crate::profile::Profile;
use crate::server::Answer;
use crate::server::Demand;
use crate::server::Session;
use crate::silicon::Silicon;

/// Something that a client does. Pages are of the first sixteen, where ranges meet.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Step {
    /// It maps pages, without a file: the device asks for what is in them.
    Map {
        /// The first.
        page: u8,
        /// How many.
        pages: u8,
    },
    /// It unmaps pages.
    Unmap {
        /// The first.
        page: u8,
        /// How many.
        pages: u8,
    },
    /// It lets the device's engine copy from one page to another.
    Copy {
        /// From here.
        from: u8,
        /// To here.
        to: u8,
    },
    /// It leaves, and another one comes.
    Leave,
}

/// The most steps that are done: more tell nothing new.
const MOST_STEPS: usize = 64;

/// A range may be so many pages long, and begins in one of so many.
const MOST_PAGES: u8 = 4;
const PAGES: u8 = 16;
const PAGE: u64 = 0x1000;

/// How much is copied.
const LENGTH: u16 = 0x40;

/// Lets clients do `steps` to a device of this profile, and checks what must hold.
pub fn run(profile: &Profile, steps: &[Step]) {
    let Ok(checked) = profile.check() else { return };
    let Ok(silicon) = Silicon::power_on(checked) else { return };
    let Ok(mut kernel) = Kernel::bind(silicon, DEFAULT_ABI) else { return };
    kernel.open();
    let mut client = Client { kernel, session: Session::new(), mapped: Vec::new(), asked: None };
    client.comes();
    for step in steps.iter().take(MOST_STEPS) {
        client.carry_out(step);
    }
}

/// A client, the server, and what is mapped by rights.
struct Client {
    kernel: Kernel,
    session: Session,
    mapped: Vec<Range<u64>>,
    asked: Option<(Header, DmaAccess)>,
}

impl Client {
    fn comes(&mut self) {
        let version = super::Step::Version { minor: 0, text: Vec::new() };
        assert_eq!(self.ask(&version), Ok(()), "a client can negotiate");
    }

    fn carry_out(&mut self, step: &Step) {
        match *step {
            Step::Map { page, pages } => self.map(range(page, pages)),
            Step::Unmap { page, pages } => self.unmap(&range(page, pages)),
            Step::Copy { from, to } => self.copy([from, to]),
            Step::Leave => {
                self.session.end(&self.kernel);
                self.kernel.open();
                self.mapped.clear();
                self.asked = None;
                self.comes();
            }
        }
    }

    fn map(&mut self, range: Range<u64>) {
        let size = range.end - range.start;
        let map = super::Step::Map { flags: 3, address: range.start, size, files: 0 };
        let overlaps = self.mapped.iter().any(|mapped| mapped.start < range.end && range.start < mapped.end);
        match self.ask(&map) {
            Ok(()) => assert!(!overlaps, "{range:x?} is mapped over what is there"),
            Err(errno) => {
                assert_eq!(errno, Errno::EEXIST, "{range:x?} is refused");
                assert!(overlaps, "{range:x?} is refused with EEXIST, and nothing is there");
                return;
            }
        }
        self.mapped.push(range);
    }

    fn unmap(&mut self, range: &Range<u64>) {
        let size = range.end - range.start;
        let unmap = super::Step::Unmap { flags: 0, address: range.start, size };
        if self.ask(&unmap) == Ok(()) {
            let cut = |mapped: &Range<u64>| mapped.start < range.start && range.start < mapped.end;
            let cut_behind = |mapped: &Range<u64>| mapped.start < range.end && range.end < mapped.end;
            let is_cut = self.mapped.iter().any(|mapped| cut(mapped) || cut_behind(mapped));
            assert!(!is_cut, "{range:x?} is unmapped, and cuts what is mapped");
            self.mapped.retain(|mapped| !(range.start <= mapped.start && mapped.end <= range.end));
        }
    }

    fn copy(&mut self, pages: [u8; 2]) {
        let [source, destination] = pages.map(|page| u16::from(page % PAGES) << 12);
        for write in super::copy([source, destination], LENGTH, 0, true) {
            assert_eq!(self.ask(&write), Ok(()), "the engine can be programmed");
        }
    }

    /// Sends what a step sends, and lets the device carry on with what it is at.
    fn ask(&mut self, step: &super::Step) -> Result<(), Errno> {
        let mut result = Ok(());
        for message in step.messages(0, None) {
            result = self.send(message);
            while self.device_asks() {
                let answers: Vec<_> =
                    self.asked.take().iter().map(|asked| answer(asked, 0, 0, false)).collect();
                for answer in answers {
                    assert_eq!(self.send(answer), Ok(()), "an answer has none of its own");
                }
            }
        }
        result
    }

    fn send(&mut self, sent: Sent) -> Result<(), Errno> {
        let Sent { header, payload, .. } = sent;
        let taken = Taken::Message { header, payload: &payload, files: Vec::new() };
        match self.session.answer(&mut self.kernel, taken) {
            Answer::Reply { frame, .. } => {
                let errno = Header::parse(frame).ok().flatten().and_then(|header| header.errno());
                errno.map_or(Ok(()), Err)
            }
            Answer::Nothing => Ok(()),
            Answer::HangUp | Answer::Silence | Answer::Half { .. } => {
                assert!(header.is_reply(), "a message is owed its answer, and the server is gone");
                Ok(())
            }
        }
    }

    /// Whether the device asks for something, which must be mapped.
    fn device_asks(&mut self) -> bool {
        let Demand::Ask { frame } = self.session.carry_on(&mut self.kernel) else { return false };
        self.asked = read_request(frame);
        let Some((_, access)) = &self.asked else { return false };
        let (start, count) = (access.address.get(), access.count.get());
        let is_mapped = |mapped: &Range<u64>| mapped.start <= start && start + count <= mapped.end;
        assert!(self.mapped.iter().any(is_mapped), "the device asks for {start:#x}, which nobody mapped");
        true
    }
}

fn range(page: u8, pages: u8) -> Range<u64> {
    let start = u64::from(page % PAGES) * PAGE;
    start..start + u64::from(pages % MOST_PAGES + 1) * PAGE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = Step> {
        let any = || (any::<u8>(), any::<u8>());
        prop_oneof![
            3 => any().prop_map(|(page, pages)| Step::Map { page, pages }),
            2 => any().prop_map(|(page, pages)| Step::Unmap { page, pages }),
            2 => any().prop_map(|(from, to)| Step::Copy { from, to }),
            1 => Just(Step::Leave),
        ]
    }

    proptest! {
        #[test]
        fn whatever_clients_map_is_theirs_alone_and_apart(steps in prop::collection::vec(step(), 0..40)) {
            run(&Profile::default(), &steps);
        }
    }

    #[test]
    fn a_device_that_reaches_what_was_unmapped_is_seen() {
        let mut profile = Profile::default();
        profile.faults.unmaps_forget_nothing = true;
        let map = Step::Map { page: 0, pages: 1 };
        let unmap = Step::Unmap { page: 0, pages: 1 };
        let steps = [map, unmap, Step::Copy { from: 0, to: 1 }];
        let seen = std::panic::catch_unwind(|| run(&profile, &steps)).unwrap_err();
        let said = seen.downcast::<String>().unwrap();
        assert!(said.contains("0x0, which nobody mapped"), "{said}");
    }
}
