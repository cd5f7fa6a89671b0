//! The counting Postgres proxy: stands between an actor and the server, relays bytes unchanged, and counts them.
//!
//! `framing` cuts streams into messages, `startup` reads the packet before them, `session` makes counts of them,
//! `split` cuts a query into statements; `meter` is one connection's counts, `relay` its sockets; `counters` is what
//! comes out.
//!
//! Everything is counted before it is passed on: when a client has its answer, the counts include it.

mod counters;
mod framing;
mod meter;
mod relay;
mod session;
mod split;
mod startup;
mod stream;

use std::collections::BTreeMap;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

pub use counters::{Client, Counters, Tallies, Tally};
use meter::{Meter, is_readable, lock};
use stream::Stream;
pub use stream::Upstream;

use crate::error::{Context as _, Error, Result};
use crate::service::postgres::PORT;

/// The longest address of a unix socket, for the kernel and for libpq.
const MAX_ADDRESS: usize = 107;

/// How long [`PostgresProxy::settled`] waits for silence.
const SETTLE_DEADLINE: Duration = Duration::from_secs(1);

/// A proxy for one actor. Dropped, it closes all its connections and removes its socket.
#[derive(Debug)]
pub struct PostgresProxy {
    folder: PathBuf,
    socket: PathBuf,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What the proxy and its connections share.
#[derive(Debug)]
struct Shared {
    listener: UnixListener,
    upstream: Upstream,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    next: u64,
    open: BTreeMap<u64, Arc<Mutex<Meter>>>,
    closed: Counters,
}

impl PostgresProxy {
    /// Listens in `folder`, which is made, and passes on to `upstream`.
    ///
    /// # Errors
    ///
    /// Cannot run if the socket cannot be made, or its address would be too long.
    #[expect(clippy::unused_async, reason = "a listener needs the runtime: nobody can call this outside")]
    pub async fn start(upstream: Upstream, folder: &Path) -> Result<Self> {
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        let length = socket.as_os_str().as_bytes().len();
        if length > MAX_ADDRESS {
            let message = format!("listen on {}: {length} bytes, at most {MAX_ADDRESS}", socket.display());
            return Err(Error::cannot_run(message).hint("set TMPDIR to a folder with a shorter path"));
        }
        let doing = || format!("listen on {}", socket.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).cannot_run(doing)?;
        let listener = UnixListener::bind(&socket).cannot_run(doing)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).cannot_run(doing)?;
        let shared = Arc::new(Shared { listener, upstream, registry: Mutex::default() });
        let accepting = tokio::spawn(accept(Arc::clone(&shared)));
        Ok(Self { folder: folder.to_owned(), socket, shared, accepting })
    }

    /// What goes into libpq's `host`; the port is the server's.
    pub fn host(&self) -> &Path {
        &self.folder
    }

    /// Everything counted so far. What a client has sent and not been answered yet may be missing.
    pub fn counters(&self) -> Counters {
        lock(&self.shared.registry).counters()
    }

    /// Everything sent so far, even what needs no answer, like a client's good-bye: waits until nothing is under way,
    /// which is at once with a quiet actor, and for at most a second with one that never is.
    pub async fn settled(&self) -> Counters {
        let deadline = Instant::now() + SETTLE_DEADLINE;
        loop {
            if let Some(counters) = self.shared.counters_if_quiet() {
                return counters;
            }
            if Instant::now() > deadline {
                return self.counters();
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Closes all connections, once what was sent is read, and says what there was to count in the end.
    pub async fn finish(mut self) -> Counters {
        self.settled().await;
        self.accepting.abort();
        // Its connections end with it.
        let _ = (&mut self.accepting).await;
        let _ = tokio::time::timeout(SETTLE_DEADLINE, async {
            while !lock(&self.shared.registry).open.is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        self.counters()
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = fs::remove_file(&self.socket);
    }
}

impl Registry {
    fn counters(&self) -> Counters {
        let mut counters = self.closed.clone();
        for meter in self.open.values() {
            counters += &lock(meter).counters();
        }
        counters
    }
}

impl Shared {
    fn counters_if_quiet(&self) -> Option<Counters> {
        let registry = lock(&self.registry);
        let mut listener = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        let is_quiet = !is_readable(&mut listener) && registry.open.values().all(|meter| lock(meter).is_quiet());
        is_quiet.then(|| registry.counters())
    }

    /// Accepts and enters the connection under one lock: it is never neither in the queue nor known.
    async fn next(self: &Arc<Self>) -> io::Result<(Arc<Stream>, Entry)> {
        poll_fn(|cx| {
            let mut registry = lock(&self.registry);
            self.listener.poll_accept(cx).map_ok(|(client, _)| {
                let client = Arc::new(Stream::Unix(client));
                let (id, meter) = (registry.next, Arc::new(Mutex::new(Meter::new(Arc::clone(&client)))));
                registry.next += 1;
                registry.open.insert(id, Arc::clone(&meter));
                (client, Entry { id, meter, shared: Arc::clone(self) })
            })
        })
        .await
    }
}

/// A connection's place among the open ones, given up when it ends, however it ends.
struct Entry {
    id: u64,
    meter: Arc<Mutex<Meter>>,
    shared: Arc<Shared>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut registry = lock(&self.shared.registry);
        let mut meter = lock(&self.meter);
        meter.closed();
        registry.closed += &meter.counters();
        registry.open.remove(&self.id);
    }
}

async fn accept(shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            next = shared.next() => match next {
                Ok((client, entry)) => {
                    connections.spawn(async move {
                        relay::serve(client, &entry.shared.upstream, &entry.meter, relay::STARTUP_DEADLINE).await;
                        drop(entry);
                    });
                }
                // Out of descriptors: others may be closed meanwhile.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
