//! The part of a proxy that all protocols share: listens, knows its connections, adds up their counts.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::connection_counts::{ConnectionCounts, is_readable};
use super::counters::Counters;
use super::faults::{ConnectionFaults, Faults};
use super::observer::Observer;
use super::relay::relay;
use super::statement_counts::{Class, Sent};
use super::stream::{Side, Stream};
use crate::error::{Context as _, Error, Result};
use crate::proxy::Endpoint;

/// The longest address of a unix socket, for the kernel and for libpq.
const MAX_ADDRESS: usize = 107;

/// How long [`Proxy::settled`] waits for silence.
const SETTLE_DEADLINE: Duration = Duration::from_secs(1);

/// What a proxy speaks.
pub trait Protocol: Send + Sync + 'static {
    /// Understands its connections.
    type Observer: Observer;

    /// What understands a new connection.
    fn observer(&self) -> Self::Observer;

    /// Does what comes before bytes are relayed; nothing if the connection ends there.
    fn open(
        &self,
        client: &Stream,
        upstream: &Endpoint,
        counts: &Mutex<ConnectionCounts<Self::Observer>>,
    ) -> impl Future<Output = Option<Opened>> + Send;
}

/// A connection with its server.
pub struct Opened {
    /// The server.
    pub server: Stream,
    /// What was read from the client, and counted, and is for the server.
    pub first: Vec<u8>,
}

/// A proxy for one actor. Dropped, it closes all its connections and removes its socket.
#[derive(Debug)]
pub struct Proxy<P: Protocol> {
    socket: PathBuf,
    shared: Arc<Shared<P>>,
    accepting: JoinHandle<()>,
}

/// What the proxy and its connections share.
#[derive(Debug)]
struct Shared<P: Protocol> {
    protocol: P,
    listener: UnixListener,
    upstream: Endpoint,
    faults: Faults,
    registry: Mutex<Registry<P::Observer>>,
}

#[derive(Debug)]
struct Registry<O> {
    next: u64,
    open: BTreeMap<u64, Arc<Mutex<ConnectionCounts<O>>>>,
    closed: Counters,
    /// Statements of closed connections.
    sent: Vec<Sent>,
    /// Each class once.
    classes: HashMap<Class, Arc<Class>>,
}

/// Refuses a socket whose address would be too long.
pub fn check(socket: &Path) -> Result<()> {
    let length = socket.as_os_str().as_bytes().len();
    if length > MAX_ADDRESS {
        let message = format!("listen on {}: {length} bytes, at most {MAX_ADDRESS}", socket.display());
        return Err(Error::cannot_run(message).hint("set TMPDIR to a folder with a shorter path"));
    }
    Ok(())
}

/// Listens at a socket that only this user can reach.
pub fn bind(socket: &Path) -> Result<UnixListener> {
    check(socket)?;
    let doing = || format!("listen on {}", socket.display());
    let listener = UnixListener::bind(socket).cannot_run(doing)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).cannot_run(doing)?;
    Ok(listener)
}

impl<P: Protocol> Proxy<P> {
    /// Listens at a socket, and passes on to `upstream`.
    pub(in crate::proxy) fn listen(protocol: P, upstream: Endpoint, socket: &Path) -> Result<Self> {
        let listener = bind(socket)?;
        let registry = Mutex::new(Registry {
            next: 0,
            open: BTreeMap::new(),
            closed: Counters::default(),
            sent: Vec::new(),
            classes: HashMap::new(),
        });
        let shared = Arc::new(Shared { protocol, listener, upstream, faults: Faults::default(), registry });
        let accepting = tokio::spawn(accept(Arc::clone(&shared)));
        Ok(Self { socket: socket.to_owned(), shared, accepting })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What can be done to its connections.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Everything counted so far. What a client has sent and not been answered yet may be missing.
    pub fn counters(&self) -> Counters {
        self.shared.registry.lock().counters()
    }

    /// Each statement that was sent so far, in the order of its connection's answers.
    pub fn sent(&self) -> Vec<Sent> {
        let mut registry = self.shared.registry.lock();
        let Registry { open, sent, classes, .. } = &mut *registry;
        let mut sent = sent.clone();
        for counts in open.values() {
            sent.extend(counts.lock().sent(classes));
        }
        sent
    }

    /// Connections whose client waits: for an answer, or to be let in.
    pub fn awaited(&self) -> usize {
        self.shared.registry.lock().open.values().filter(|counts| counts.lock().is_awaited()).count()
    }

    /// Everything sent so far, even what needs no answer, like a client's good-bye: waits until nothing is under way,
    /// which is at once with a quiet actor, and for at most a second with one that never is. What a partition holds is
    /// not waited for.
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
            while !self.shared.registry.lock().open.is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        self.counters()
    }
}

impl<P: Protocol> Drop for Proxy<P> {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = fs::remove_file(&self.socket);
    }
}

impl<O: Observer> Registry<O> {
    fn counters(&self) -> Counters {
        let mut counters = self.closed.clone();
        for counts in self.open.values() {
            counters += &counts.lock().counters();
        }
        counters
    }
}

impl<P: Protocol> Shared<P> {
    fn counters_if_quiet(&self) -> Option<Counters> {
        let registry = self.registry.lock();
        let mut listener = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        let is_quiet = !is_readable(&mut listener)
            && (self.faults.is_partition() || registry.open.values().all(|counts| counts.lock().is_quiet()));
        is_quiet.then(|| registry.counters())
    }

    /// Accepts and enters the connection under one lock: it is never neither in the queue nor known.
    async fn next(self: &Arc<Self>) -> io::Result<(Arc<Stream>, OpenConnection<P>)> {
        poll_fn(|cx| {
            let mut registry = self.registry.lock();
            loop {
                let client = match self.listener.poll_accept(cx) {
                    Poll::Ready(Ok((client, _))) => Arc::new(Stream::Unix(client)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                };
                if self.faults.refuses() {
                    continue;
                }
                let observer = self.protocol.observer();
                let counts = ConnectionCounts::new(observer, Arc::clone(&client), self.faults.clone());
                let counts = Arc::new(Mutex::new(counts));
                let (id, faults) = (registry.next, self.faults.of_connection());
                registry.next += 1;
                registry.open.insert(id, Arc::clone(&counts));
                return Poll::Ready(Ok((client, OpenConnection { id, faults, counts, shared: Arc::clone(self) })));
            }
        })
        .await
    }
}

/// A connection's place among the open ones, given up when it ends, however it ends.
struct OpenConnection<P: Protocol> {
    id: u64,
    faults: ConnectionFaults,
    counts: Arc<Mutex<ConnectionCounts<P::Observer>>>,
    shared: Arc<Shared<P>>,
}

impl<P: Protocol> Drop for OpenConnection<P> {
    fn drop(&mut self) {
        let mut registry = self.shared.registry.lock();
        let mut counts = self.counts.lock();
        counts.closed();
        registry.closed += &counts.counters();
        let sent = counts.sent(&mut registry.classes);
        registry.sent.extend(sent);
        registry.open.remove(&self.id);
    }
}

async fn accept<P: Protocol>(shared: Arc<Shared<P>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            next = shared.next() => match next {
                Ok((client, connection)) => {
                    connections.spawn(async move {
                        let shared = &connection.shared;
                        serve(&shared.protocol, &shared.upstream, client, &connection.counts, &connection.faults).await;
                        drop(connection);
                    });
                }
                // Out of descriptors: others may be closed meanwhile.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves a client until either side is done.
pub(in crate::proxy) async fn serve<P: Protocol>(
    protocol: &P,
    upstream: &Endpoint,
    client: Arc<Stream>,
    counts: &Mutex<ConnectionCounts<P::Observer>>,
    faults: &ConnectionFaults,
) {
    let opened = {
        let mut opening = pin!(protocol.open(&client, upstream, counts));
        poll_fn(|cx| {
            faults.register(cx.waker());
            match faults.set() {
                None => Poll::Ready(None),
                Some(set) if set.partition => Poll::Pending,
                Some(set) if set.black_hole => {
                    swallow(cx, &client, counts);
                    Poll::Pending
                }
                Some(_) => opening.as_mut().poll(cx),
            }
        })
        .await
    };
    let Some(Opened { server, first }) = opened else { return };
    let server = Arc::new(server);
    counts.lock().connected(Arc::clone(&server));
    relay(&client, &server, &first, counts, faults).await;
}

/// Drops what the client says before it has a server.
fn swallow<O: Observer>(cx: &mut Context<'_>, client: &Stream, counts: &Mutex<ConnectionCounts<O>>) {
    let mut buffer = [0; 4096];
    while client.poll_read_ready(cx).is_ready() {
        let mut counts = counts.lock();
        match client.read(&mut buffer) {
            Ok(length) if length > 0 => counts.totals().bytes_up += length as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return counts.ended(Side::Client),
        }
    }
}
