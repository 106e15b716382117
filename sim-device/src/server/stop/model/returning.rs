//! Clients that come again, as a machine does that has lost its device: the next one is served when nothing of the last
//! is held any more, though the last one's connection ends before that.

use std::io;

use shuttle::rand::Rng;
use shuttle::sync::Arc;
use shuttle::sync::atomic::AtomicUsize;
use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use super::SCHEDULES;
use super::Wire;
use super::gate::End;
use super::gate::Gate;

/// A connection: what is asked, and what is told of it: how much the server holds for this client.
struct Line {
    asked: Arc<Wire<()>>,
    told: Arc<Wire<usize>>,
}

/// The server's end of a connection. Dropping it is what the client hears.
struct Accepted(Arc<Line>);

impl Drop for Accepted {
    fn drop(&mut self) {
        self.0.told.end();
    }
}

/// What a socket is to the gate.
enum Side {
    Door(Arc<Wire<Accepted>>),
    Client(Arc<Line>),
}

impl End for Side {
    fn end(&self) {
        match self {
            Self::Door(door) => door.end(),
            Self::Client(line) => line.asked.end(),
        }
    }
}

struct Server {
    door: Arc<Wire<Accepted>>,
    gate: Gate<Side>,
    /// What clients have made it hold.
    holds: Arc<AtomicUsize>,
    answered: AtomicUsize,
}

impl Server {
    fn new() -> Arc<Self> {
        let door = Wire::new(false);
        let (holds, answered) = (Arc::default(), AtomicUsize::new(0));
        Arc::new(Self { gate: Gate::new(Side::Door(Arc::clone(&door))), door, holds, answered })
    }

    /// As the real one: the connection goes when its client is served, and then what it made the server hold is
    /// dropped by `drop_all`.
    fn serve(&self, drop_all: impl Fn(&Arc<AtomicUsize>)) {
        let next = || self.door.take().map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
        let watched = |client: &Accepted| Some(Side::Client(Arc::clone(&client.0)));
        let served = self.gate.serve_each(next, watched, |client| {
            let line = Arc::clone(&client.0);
            while line.asked.take().is_some() {
                line.told.put(self.holds.fetch_add(1, Ordering::SeqCst) + 1);
                self.answered.fetch_add(1, Ordering::SeqCst);
            }
            drop(client);
            drop_all(&self.holds);
        });
        served.unwrap();
        // The listener goes, and with it whoever still waits to be let in.
        while let Some(waiting) = self.door.take() {
            drop(waiting);
        }
    }

    /// A client that comes so often and asks twice each time. It gives up when the server has gone.
    fn is_visited(&self, times: usize) {
        for _ in 0..times {
            let line = Arc::new(Line { asked: Wire::new(false), told: Wire::new(false) });
            if !self.door.offer(Accepted(Arc::clone(&line))) {
                return assert!(self.gate.is_closed());
            }
            for expected in [1, 2] {
                line.asked.put(());
                match line.told.take() {
                    Some(held) => assert_eq!(held, expected, "what the last one left is still held"),
                    None => return assert!(self.gate.is_closed()),
                }
            }
            line.asked.end();
        }
    }
}

fn at_once(holds: &Arc<AtomicUsize>) {
    thread::yield_now();
    holds.store(0, Ordering::SeqCst);
}

/// The server, two clients that come twice each, and perhaps somebody who stops it meanwhile. Gives how much was
/// answered.
fn life(is_stopped: bool, drop_all: fn(&Arc<AtomicUsize>)) -> usize {
    let server = Server::new();
    let run = |what: fn(&Server)| {
        let server = Arc::clone(&server);
        thread::spawn(move || what(&server))
    };
    let serving = thread::spawn({
        let server = Arc::clone(&server);
        move || server.serve(drop_all)
    });
    let clients = [(), ()].map(|()| run(|server| server.is_visited(2)));
    if is_stopped {
        for _ in 0..shuttle::rand::thread_rng().gen_range(0..80) {
            thread::yield_now();
        }
        server.gate.close();
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    server.gate.close();
    serving.join().unwrap();
    server.answered.load(Ordering::SeqCst)
}

#[test]
fn whoever_comes_again_is_served_with_nothing_of_the_last_one_left() {
    shuttle::check_random(|| assert_eq!(life(false, at_once), 8, "nobody is forgotten"), SCHEDULES);
    shuttle::check_pct(|| assert_eq!(life(false, at_once), 8, "nobody is forgotten"), SCHEDULES, 3);
}

#[test]
fn a_stop_while_clients_come_again_ends_the_server_and_lets_every_client_go() {
    shuttle::check_random(|| assert!(life(true, at_once) <= 8), SCHEDULES);
    shuttle::check_pct(|| assert!(life(true, at_once) <= 8), SCHEDULES, 3);
}

#[test]
fn the_search_finds_a_server_that_drops_what_it_holds_while_it_serves_the_next() {
    fn elsewhere(holds: &Arc<AtomicUsize>) {
        let holds = Arc::clone(holds);
        thread::spawn(move || at_once(&holds));
    }
    let search = || shuttle::check_random(|| assert_eq!(life(false, elsewhere), 8), SCHEDULES);
    assert!(std::panic::catch_unwind(search).is_err());
}
