//! What is known of one connection: what it counts, and whether anything waits to be read.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::counters::Counters;
use super::framing::{Framer, Malformed, Side};
use super::session::Session;
use super::stream::Stream;

/// One connection's counts. Whoever reads from its sockets holds the lock until what was read is counted: so under the
/// lock, all that has been sent is either counted or still in a socket.
#[derive(Debug)]
pub struct Meter {
    session: Session,
    up: Framer,
    down: Framer,
    /// What can still be read from.
    client: Option<Arc<Stream>>,
    server: Option<Arc<Stream>>,
}

impl Meter {
    /// Of a client that was just accepted.
    pub fn new(client: Arc<Stream>) -> Self {
        Self {
            session: Session::default(),
            up: Framer::new(Side::Frontend),
            down: Framer::new(Side::Backend),
            client: Some(client),
            server: None,
        }
    }

    /// The connection now has a server.
    pub fn connected(&mut self, server: Arc<Stream>) {
        self.server = Some(server);
    }

    /// Counts outside the messages of a session.
    pub fn totals(&mut self) -> &mut Counters {
        self.session.totals()
    }

    /// Everything counted so far.
    pub fn counters(&self) -> Counters {
        self.session.counters()
    }

    /// Counts bytes of a session.
    ///
    /// # Errors
    ///
    /// Where they are no messages.
    pub fn received(&mut self, side: Side, bytes: &[u8]) -> Result<(), Malformed> {
        let (session, length) = (&mut self.session, bytes.len() as u64);
        let result = match side {
            Side::Frontend => {
                session.totals().bytes_up += length;
                self.up.push(bytes, |message| session.frontend(&message))
            }
            Side::Backend => {
                session.totals().bytes_down += length;
                self.down.push(bytes, |message| session.backend(&message))
            }
        };
        if result.is_err() {
            self.session.totals().malformed += 1;
        }
        result
    }

    /// One side sends no more.
    pub fn ended(&mut self, side: Side) {
        let (framer, stream) = match side {
            Side::Frontend => (&self.up, &mut self.client),
            Side::Backend => (&self.down, &mut self.server),
        };
        if stream.take().is_some() && !framer.is_between_messages() {
            self.session.totals().truncated += 1;
        }
    }

    /// Nothing more comes from either side.
    pub fn closed(&mut self) {
        self.session.end();
        (self.client, self.server) = (None, None);
    }

    /// Whether nothing waits to be read.
    pub fn is_quiet(&self) -> bool {
        let mut sockets: Vec<PollFd<'_>> = Vec::with_capacity(2);
        sockets.extend(
            self.client.iter().chain(&self.server).map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN)),
        );
        !is_readable(&mut sockets)
    }
}

/// Whether any of them has something to read, or has been closed at its other end.
pub fn is_readable(sockets: &mut [PollFd<'_>]) -> bool {
    !sockets.is_empty() && poll(sockets, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// A lock; the proxy's data stay true even if a thread panicked over them.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
