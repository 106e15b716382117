//! The vfio-user server: one device, one client at a time, one thread.
//!
//! ```text
//!  Listener ── accept ──▶ Connection ── message ──▶ Session ── access ──▶ Kernel
//!  path, mode,            one receive and one       negotiates, checks,
//!  stale or alive         send per message          answers; no I/O
//!                              ▲                        │
//!                              └─ DMA_READ, DMA_WRITE ── Carrier: what the copy engine asks for
//! ```
//!
//! A client can do wrong in any way; it gets an error number or loses its connection, and what was wrong is
//! counted. The next client meets a device that was just opened.

pub mod drive;

mod carry;
mod connection;
mod dma;
mod irqs;
mod listener;
mod session;
mod stop;

use std::io;
use std::time::Duration;

use connection::Connection;
pub use listener::ListenError;
pub use listener::Listener;
pub use session::Answer;
pub use session::Demand;
pub use session::Session;
pub use stop::Stop;

use crate::kernel::Kernel;

/// Why a client's session ended.
#[derive(Debug)]
pub enum Ending {
    /// The client closed the connection between two messages.
    ClientLeft,
    /// The client stopped in the middle of a message, or does not read its answers.
    OutOfPatience,
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
    /// How many of the device's own requests it did not answer in time.
    pub unanswered: u64,
}

/// Serves `kernel`'s device to one client after another until `stop` says to end. A client may take `patience`
/// over the middle of a message, leave an answer unread for so long, and take so long over an answer that the device
/// waits for. After each, `report` is told.
///
/// # Errors
/// If no client can be accepted any more.
pub fn serve(
    listener: &Listener,
    kernel: &mut Kernel,
    stop: &Stop,
    patience: Duration,
    mut report: impl FnMut(Served),
) -> io::Result<()> {
    let mut session = Session::new();
    while let Some(stream) = listener.accept(stop)? {
        let Some(connection) = Connection::new(stream, patience).ok().filter(|client| stop.watch(client))
        else {
            continue;
        };
        session = session.successor(kernel);
        let served = serve_one(connection, &mut session, kernel, stop);
        stop.forget();
        report(served);
    }
    Ok(())
}

/// Lets a client wait for its answer, if the profile says so.
fn delay(kernel: &Kernel) {
    let after = kernel.silicon().profile().profile().faults.answer_after_ms;
    if after > 0 {
        std::thread::sleep(Duration::from_millis(after));
    }
}

fn serve_one(mut connection: Connection, session: &mut Session, kernel: &mut Kernel, stop: &Stop) -> Served {
    kernel.open();
    let ending = loop {
        if let Err(ending) = take_one(&mut connection, session, kernel)
            .and_then(|()| carry_on(&mut connection, session, kernel))
        {
            break ending;
        }
    };
    let ending = if stop.is_stopping() { Ending::Stopped } else { ending };
    Served {
        ending,
        messages: session.messages(),
        refused: session.refused(),
        unanswered: session.unanswered(),
    }
}

/// Takes a message, or has waited too long for one, and answers it.
fn take_one(connection: &mut Connection, session: &mut Session, kernel: &mut Kernel) -> Result<(), Ending> {
    let Some(taken) = connection.take()? else {
        session.give_up();
        return Ok(());
    };
    match session.answer(kernel, taken) {
        Answer::Nothing => Ok(()),
        Answer::Reply { frame, file } => {
            delay(kernel);
            connection.send(frame, file.as_ref())
        }
        Answer::Half { frame } => {
            let (half, _) = frame.split_at(frame.len() / 2);
            connection.send(half, None).and(Err(Ending::Fault))
        }
        Answer::HangUp => Err(Ending::Fault),
        Answer::Silence => connection.wait_for_end(),
    }
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
