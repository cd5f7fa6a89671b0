//! A caching reverse proxy for HTTP/1.1: what stands between browsers and the app.
//!
//! `connection` serves a client, `exchange` answers one request, `target` says what it is for. `store` keeps answers,
//! `policy` says which and for how long, `directives` reads Cache-Control, `conditions` those of requests, `clock` dates.
//! `origin` asks, `body` passes on what it says and stores it as it passes, `fields` leaves away what is for one hop.
//!
//! Nothing that decides what is fresh looks at the machine's clock. Deadlines do: they are for peers that hang.

mod body;
mod clock;
mod conditions;
mod connection;
mod counters;
mod directives;
mod exchange;
mod fields;
mod origin;
mod policy;
mod shared;
mod store;
mod target;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use self::clock::Clock;
use self::shared::{Shared, State};
use crate::case::{CacheKind, word};
use crate::error::{Error, Result};
use crate::proxy::Endpoint;
use crate::proxy::wire::listener;

pub use counters::HttpCounters;

/// Clients that are served at once; more of them wait in the socket's queue.
const MAX_CONNECTIONS: usize = 512;

/// For the head of the origin's answer, where a case does not say.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a caching proxy is to be.
#[derive(Debug, Clone)]
pub struct HttpProxySpec {
    /// What it keeps; never nginx, which is a program of its own.
    pub kind: CacheKind,
    /// The unix socket of the app, or of the next proxy.
    pub origin: PathBuf,
    /// Real time for the whole head of the origin's answer; then the client is told 504. 60 s where nothing is said.
    pub timeout: Option<Duration>,
}

/// A caching proxy. Dropped, it closes all its connections and removes its socket.
pub struct HttpProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl HttpProxy {
    /// Listens at a socket. What is fresh is decided by `now`, the arm's clock.
    pub fn start(spec: HttpProxySpec, socket: &Path, now: Arc<dyn Fn() -> SystemTime + Send + Sync>) -> Result<Self> {
        if spec.kind == CacheKind::Nginx {
            return Err(Error::bug("the proxy of the controller was asked to be nginx"));
        }
        let listener = listener::bind(socket)?;
        let shared = Arc::new(Shared {
            kind: spec.kind,
            origin: Endpoint::Unix(spec.origin),
            timeout: spec.timeout.unwrap_or(TIMEOUT),
            clock: Clock(now),
            state: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener));
        Ok(Self { socket: socket.to_owned(), shared, accepting })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything counted so far.
    pub fn counters(&self) -> HttpCounters {
        let State { counters, store } = &*self.shared.state.lock();
        HttpCounters { entries: store.entries(), bytes: store.bytes(), evictions: store.evictions(), ..*counters }
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = fs::remove_file(&self.socket);
    }
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpProxy({}, {})", word(self.shared.kind), self.socket.display())
    }
}

async fn accept(shared: Arc<Shared>, listener: UnixListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection::serve(Arc::clone(&shared), stream))),
                // Out of descriptors: others may be closed meanwhile.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
