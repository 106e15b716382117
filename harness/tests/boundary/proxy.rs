//! Somebody between a client and its server who counts the requests and, at one of them, does something to the server.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use harness::host::Host;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Inbox;
use vfio_abi::inbox::Taken;
use vfio_abi::socket;

/// How long an answer takes that is slow: far less than a client waits.
const SLOW: Duration = Duration::from_millis(10);

/// What befalls the server when a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// Nothing.
    None,
    /// The connection is cut, and the server lives on.
    Cut,
    /// The answer is cut in its middle.
    Half,
    /// The answer takes its time.
    Slow,
    /// The process dies.
    Kill,
    /// The process stands still.
    Freeze,
}

/// What has passed, and what is to befall the server.
#[derive(Debug, Default)]
struct State {
    at: usize,
    accident: Option<Accident>,
    /// The commands of all requests, in order.
    commands: Vec<u16>,
    /// The next answer is cut.
    half: bool,
    threads: Vec<JoinHandle<()>>,
}

/// The one between.
pub(crate) struct Proxy {
    pub(crate) path: PathBuf,
    state: Arc<Mutex<State>>,
    host: Arc<Mutex<Option<Host>>>,
}

impl Proxy {
    /// Listens at a path and lets through to the server of `host`.
    pub(crate) fn start(folder: &Path, host: Host) -> Self {
        let path = folder.join("between.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let behind = Arc::new(Mutex::new(Some(host)));
        let kept = behind.clone();
        // It ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Some(host) = behind.lock().unwrap().clone() else { return };
                let server = UnixStream::connect(host.socket());
                let mut known = shared.lock().unwrap();
                // A server that is dead leaves the client without anybody.
                let Ok(server) = server else { continue };
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (requests, answers) = (shared.clone(), shared.clone());
                known
                    .threads
                    .push(std::thread::spawn(move || forward(&client, &server, &requests, Some(&host))));
                known.threads.push(std::thread::spawn(move || forward(&ends.1, &ends.0, &answers, None)));
            }
        });
        Self { path, state, host: kept }
    }

    /// Nobody is let through any more.
    pub(crate) fn let_go(&self) {
        self.host.lock().unwrap().take();
    }

    /// From now on requests are counted anew, and this befalls the server at the one with this number, from 1.
    pub(crate) fn expect(&self, at: usize, accident: Accident) {
        let mut state = self.state.lock().unwrap();
        (state.at, state.accident, state.half) = (at, Some(accident), false);
        state.commands.clear();
    }

    /// The commands of all requests since.
    pub(crate) fn commands(&self) -> Vec<u16> {
        self.state.lock().unwrap().commands.clone()
    }

    /// Waits until nothing is forwarded any more: the clients have gone.
    pub(crate) fn settle(&self) {
        let threads = std::mem::take(&mut self.state.lock().unwrap().threads);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// The message as bytes again.
fn bytes(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(header.id.get().to_le_bytes());
    bytes.extend(header.command.get().to_le_bytes());
    bytes.extend([header.size.get(), header.flags.get(), header.error.get()].map(u32::to_le_bytes).concat());
    bytes.extend(payload);
    bytes
}

/// Lets messages through until one end has gone; then both have. Requests are those with a host.
fn forward(from: &UnixStream, to: &UnixStream, state: &Mutex<State>, host: Option<&Host>) {
    let mut inbox = Inbox::new(2 << 20);
    while let Ok(1..) = socket::receive(from, &mut inbox) {
        let mut is_cut = false;
        while let Ok(Some(Taken::Message { header, payload, files })) = inbox.take() {
            let frame = bytes(&header, payload);
            let accident = match host {
                Some(host) => befall(&header, state, host),
                None if std::mem::take(&mut state.lock().unwrap().half) => Accident::Half,
                None => Accident::None,
            };
            is_cut = matches!(accident, Accident::Cut | Accident::Half);
            let kept = match accident {
                Accident::Cut => 0,
                Accident::Half => frame.len() / 2,
                _ => frame.len(),
            };
            let file = files.first().map(AsFd::as_fd);
            let sent = socket::send(to, &frame[..kept.min(frame.len())], file).unwrap_or(frame.len());
            // Whoever has gone misses the rest.
            let _ = { to }.write_all(frame.get(sent..kept).unwrap_or_default());
        }
        if is_cut {
            break;
        }
    }
    for end in [from, to] {
        // It may have gone by itself.
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// Counts a request, and does to the server what is to be done.
fn befall(header: &Header, state: &Mutex<State>, host: &Host) -> Accident {
    let mut state = state.lock().unwrap();
    state.commands.push(header.command.get());
    let now = state.commands.len() == state.at;
    let Some(accident) = state.accident.take_if(|_| now) else { return Accident::None };
    match accident {
        Accident::Half => {
            state.half = true;
            return Accident::None;
        }
        Accident::Slow => std::thread::sleep(SLOW),
        Accident::Kill => host.kill(),
        Accident::Freeze => host.freeze(false),
        Accident::None | Accident::Cut => {}
    }
    accident
}
