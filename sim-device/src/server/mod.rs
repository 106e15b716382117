//! The vfio-user server: one device, one client at a time, one thread.
//!
//! ```text
//!  Listener ── accept ──▶ Connection ── message ──▶ Session ── access ──▶ Kernel
//!  path, mode,            one receive and one       negotiates, checks,
//!  stale or alive         send per message          answers; no I/O
//!                              ▲                        │
//!                              └─ DMA_READ, DMA_WRITE ── Carrier: what the copy engine asks for
//!  doorbell, unmasking ── event ─────────▶ the same as a write, or a message
//! ```
//!
//! A client can do wrong in any way; it gets an error number or loses its connection, and what was wrong is
//! counted. What it made the server hold is dropped when it has gone: maps, files, interrupts. The next client meets
//! a device that was just opened. A second client waits until the first has gone.

pub mod drive;
pub mod guard;

mod carry;
mod connection;
mod dma;
mod doorbell;
mod event;
mod irqs;
mod limits;
mod listener;
mod peers;
mod pin;
mod record;
mod session;
mod stop;
mod wrong;

use std::io;
use std::time::Duration;

use connection::Connection;
pub use irqs::Irqs;
pub use limits::Limits;
pub use listener::ListenError;
pub use listener::Listener;
pub use peers::Peers;
pub use peers::Stranger;
pub use record::Record;
pub use session::Answer;
pub use session::Demand;
pub use session::Session;
pub use stop::Stop;
pub use wrong::Wrong;
pub use wrong::Wrongs;

use crate::kernel::Kernel;

/// Why a client's session ended.
#[derive(Debug)]
pub enum Ending {
    /// The client closed the connection between two messages.
    ClientLeft,
    /// The client left in the middle of a message.
    CutOff,
    /// The client took too long over something.
    OutOfPatience(Wrong),
    /// The client sent something from which no message can be told.
    Malformed(vfio_abi::malformed::Malformed),
    /// The connection broke.
    Broken(io::Error),
    /// The profile asked for it.
    Fault,
    /// The server was stopped.
    Stopped,
}

/// What one client did.
#[derive(Debug)]
pub struct Served {
    /// Why its session ended.
    pub ending: Ending,
    /// How many messages it sent.
    pub messages: u64,
    /// How many of them were answered with an error.
    pub refused: u64,
    /// What was wrong.
    pub wrongs: Wrongs,
}

/// What a server has to tell of.
#[derive(Debug)]
pub enum Report {
    /// A client has gone.
    Served(Served),
    /// Somebody who may not be a client was sent away.
    Refused(Stranger),
}

/// What clients are granted.
#[derive(Debug)]
pub struct Terms {
    /// How long a client may take until it has negotiated, over the middle of a message, to read an answer, and over
    /// an answer that the device waits for.
    pub patience: Duration,
    /// What it may make the server hold.
    pub limits: Limits,
    /// Where what it says is kept, if it is.
    pub record: Option<Record>,
}

/// Serves `kernel`'s device to one client after another until the listener's [`Stop`] says to end. After each,
/// `report` is told.
///
/// # Errors
/// If no client can be accepted any more.
pub fn serve(
    listener: &Listener,
    kernel: &mut Kernel,
    terms: &Terms,
    report: impl FnMut(Report),
) -> io::Result<()> {
    let (stop, report) = (listener.stop(), std::cell::RefCell::new(report));
    let tell = |what| (*report.borrow_mut())(what);
    let mut session = Session::with_limits(terms.limits);
    let next = || {
        let stream = listener.accept(|stranger| tell(Report::Refused(stranger)))?;
        // A client that left at once has no socket to set up.
        Ok(stream.and_then(|stream| Connection::new(stream, terms).ok()))
    };
    stop.serve_each(next, |connection| {
        let served = serve_one(connection, &mut session, kernel, (&stop, terms.record.as_ref()));
        session.end(kernel);
        tell(Report::Served(served));
    })
}

fn serve_one(
    mut connection: Connection,
    session: &mut Session,
    kernel: &mut Kernel,
    (stop, record): (&Stop, Option<&Record>),
) -> Served {
    kernel.open();
    let ending = loop {
        if let Err(ending) = take_one(&mut connection, session, kernel, (stop, record))
            .and_then(|()| carry_on(&mut connection, session, kernel))
        {
            break ending;
        }
    };
    let ending = if stop.is_stopping() { Ending::Stopped } else { ending };
    let mut wrongs = *session.wrongs();
    if let Some(wrong) = ending.wrong() {
        wrongs.note(wrong);
    }
    Served { ending, messages: session.messages(), refused: session.refused(), wrongs }
}

impl Ending {
    /// What the client did wrong to end so.
    fn wrong(&self) -> Option<Wrong> {
        match self {
            Self::ClientLeft | Self::Fault | Self::Stopped => None,
            Self::CutOff => Some(Wrong::Unfinished),
            Self::OutOfPatience(wrong) => Some(*wrong),
            Self::Malformed(_) => Some(Wrong::NoMessage),
            Self::Broken(_) => Some(Wrong::Vanished),
        }
    }
}

/// Takes a message, or has waited too long for one, and answers it.
fn take_one(
    connection: &mut Connection,
    session: &mut Session,
    kernel: &mut Kernel,
    (stop, record): (&Stop, Option<&Record>),
) -> Result<(), Ending> {
    if let Some(events) = session.events()
        && connection.waits_beside(events)?
    {
        session.heed_events(kernel);
        return Ok(());
    }
    let Some(taken) = connection.take()? else {
        session.give_up();
        return Ok(());
    };
    record.into_iter().for_each(|record| record.keep(&taken));
    let answer = session.answer(kernel, taken);
    match answer {
        Answer::Nothing => Ok(()),
        Answer::Reply { frame, file } => {
            stop.rest(delay(kernel));
            connection.send(frame, file.as_ref())
        }
        Answer::Half { frame } => {
            let (half, _) = frame.split_at(frame.len() / 2);
            connection.send(half, None).and(Err(Ending::Fault))
        }
        Answer::HangUp => Err(Ending::Fault),
        Answer::Silence => connection.wait_for_end(),
    }?;
    if session.is_negotiated() {
        connection.negotiated();
    }
    Ok(())
}

/// How long the profile lets a client wait for an answer.
fn delay(kernel: &Kernel) -> Duration {
    Duration::from_millis(kernel.silicon().profile().profile().faults.answer_after_ms)
}

/// Sends what the device wants to ask the client, if it does.
fn carry_on(connection: &mut Connection, session: &mut Session, kernel: &mut Kernel) -> Result<(), Ending> {
    match session.carry_on(kernel) {
        Demand::Nothing => connection.expect(false),
        Demand::Wait => {}
        Demand::Ask { frame } => {
            connection.send(frame, None)?;
            connection.expect(true);
        }
    }
    Ok(())
}
