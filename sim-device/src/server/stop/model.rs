//! The gate under schedules that a search chooses: the same source, made of primitives that the search decides over.
//! Sockets are queues that behave as Linux's do: who takes gets what is there first, then the end.
//!
//! A schedule after which somebody waits for ever is reported by the search, so "it ends" needs no clock.

#[allow(clippy::duplicate_mod, reason = "the point: one source, two kinds of primitives")]
#[path = "gate.rs"]
mod gate;
mod returning;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use shuttle::rand::Rng;
use shuttle::sync::Arc;
use shuttle::sync::Condvar;
use shuttle::sync::Mutex;
use shuttle::sync::atomic::AtomicUsize;
use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use gate::End;
use gate::Gate;

mod sync {
    pub(super) use shuttle::sync::Condvar;
    pub(super) use shuttle::sync::Mutex;
    pub(super) use shuttle::sync::MutexGuard;
    pub(super) use std::sync::PoisonError;
}

/// How many schedules each search tries.
const SCHEDULES: usize = 1_500;

/// A socket: things arrive, one at a time is taken, and it can be ended from either side.
struct Wire<T> {
    /// It was made when the stop was over.
    late: bool,
    state: Mutex<(VecDeque<T>, bool)>,
    changed: Condvar,
}

impl<T> Wire<T> {
    fn new(late: bool) -> Arc<Self> {
        Arc::new(Self { late, state: Mutex::new((VecDeque::new(), false)), changed: Condvar::new() })
    }

    fn put(&self, thing: T) {
        self.state.lock().unwrap().0.push_back(thing);
        self.changed.notify_all();
    }

    /// Puts it there, unless the wire was ended.
    fn offer(&self, thing: T) -> bool {
        let mut state = self.state.lock().unwrap();
        if !state.1 {
            state.0.push_back(thing);
        }
        self.changed.notify_all();
        !state.1
    }

    fn end(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn take(&self) -> Option<T> {
        let mut state = self.state.lock().unwrap();
        loop {
            match state.0.pop_front() {
                None if !state.1 => state = self.changed.wait(state).unwrap(),
                taken => return taken,
            }
        }
    }
}

/// What a client says.
enum Message {
    /// What is answered at once.
    Quick,
    /// What is answered after a while.
    Slow,
}

type Client = Arc<Wire<Message>>;

/// What a socket is to the gate.
enum Side {
    Door(Arc<Wire<Client>>),
    Client(Client),
}

impl End for Side {
    fn end(&self) {
        match self {
            Self::Door(door) => door.end(),
            Self::Client(client) => client.end(),
        }
    }
}

/// A server, what it has served, and whether somebody has stopped it.
struct Server {
    door: Arc<Wire<Client>>,
    gate: Gate<Side>,
    begun: AtomicUsize,
    answered: AtomicUsize,
    left: AtomicUsize,
}

impl Server {
    fn new() -> Arc<Self> {
        let door = Wire::new(false);
        Arc::new(Self {
            gate: Gate::new(Side::Door(Arc::clone(&door))),
            door,
            begun: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        })
    }

    /// As the real one: waits at the door, takes messages, answers each after a while.
    fn serve(&self, end_of: impl Fn(&Client) -> Option<Side>) {
        let next = || self.door.take().map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
        let served = self.gate.serve_each(next, end_of, |client| {
            assert!(!client.late, "let in after the stop was over");
            self.begun.fetch_add(1, Ordering::SeqCst);
            while let Some(message) = client.take() {
                if matches!(message, Message::Slow) {
                    // The search's clock stands still: only the stop ends this.
                    self.gate.rest(Duration::from_secs(60));
                }
                self.answered.fetch_add(1, Ordering::SeqCst);
            }
            self.left.fetch_add(1, Ordering::SeqCst);
        });
        served.unwrap();
    }

    /// Stops it, sooner or later.
    fn stop(&self) {
        // One thread of many steps against one of few: left to chance alone, the few would always come first.
        for _ in 0..shuttle::rand::thread_rng().gen_range(0..60) {
            thread::yield_now();
        }
        self.gate.close();
        self.door.put(Wire::new(true));
    }
}

fn watched(client: &Client) -> Option<Side> {
    Some(Side::Client(Arc::clone(client)))
}

/// Two clients come, the first says two things and leaves, the second says one that is answered slowly, and stays; so
/// many others stop the server whenever it may be. Whoever has stopped it finds out that nobody is let in any more.
fn life(stoppers: usize, end_of: impl Fn(&Client) -> Option<Side> + Send + 'static) {
    let server = Server::new();
    let serving = thread::spawn({
        let server = Arc::clone(&server);
        move || server.serve(end_of)
    });
    let clients = thread::spawn({
        let door = Arc::clone(&server.door);
        move || {
            let (first, second) = (Wire::new(false), Wire::new(false));
            door.put(Arc::clone(&first));
            first.put(Message::Quick);
            door.put(Arc::clone(&second));
            first.put(Message::Quick);
            first.end();
            second.put(Message::Slow);
        }
    });
    let stopping: Vec<_> = (0..stoppers)
        .map(|_| Arc::clone(&server))
        .map(|server| thread::spawn(move || server.stop()))
        .collect();
    stopping.into_iter().for_each(|stopping| stopping.join().unwrap());
    serving.join().unwrap();
    clients.join().unwrap();
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    assert!(server.gate.is_closed());
    assert_eq!(count(&server.begun), count(&server.left), "whoever was let in was served to its end");
    assert!(count(&server.begun) <= 2 && count(&server.answered) <= 3);
}

#[test]
fn a_server_that_is_stopped_at_any_time_ends_and_lets_nobody_in_any_more() {
    shuttle::check_random(|| life(1, watched), SCHEDULES);
    shuttle::check_pct(|| life(1, watched), SCHEDULES, 3);
}

#[test]
fn a_server_that_is_stopped_twice_at_once_ends_too() {
    shuttle::check_random(|| life(2, watched), SCHEDULES);
}

#[test]
fn every_schedule_of_one_stop_and_one_silent_client_ends() {
    // Counted over all schedules, so not by a primitive that the search decides over.
    static SCHEDULES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    shuttle::check_dfs(
        || {
            SCHEDULES.fetch_add(1, Ordering::Relaxed);
            let server = Server::new();
            server.door.put(Wire::new(false));
            let serving = thread::spawn({
                let server = Arc::clone(&server);
                move || server.serve(watched)
            });
            server.gate.close();
            serving.join().unwrap();
        },
        None,
    );
    assert!(SCHEDULES.load(Ordering::Relaxed) > 10, "every one, not the first");
}

#[test]
fn the_search_finds_a_server_that_waits_for_ever_for_a_client_that_is_not_ended() {
    let wrong_one = |_: &Client| Some(Side::Client(Wire::new(false)));
    let search = std::panic::catch_unwind(|| shuttle::check_random(move || life(1, wrong_one), SCHEDULES));
    let found = search.unwrap_err().downcast::<String>().unwrap();
    assert!(found.contains("deadlock"), "{found}");
}
