//! What is known of one connection: what it counts, and whether anything waits to be read.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::counters::Counters;
use super::cut_finder::CutFinder;
use super::faults::Faults;
use super::observer::{Broken, Observer};
use super::statement_counts::{Class, Sent};
use super::stream::{Side, Stream};

/// One connection's counts. Whoever reads from its sockets holds the lock until what was read is counted: so under the
/// lock, all that has been sent is either counted or still in a socket.
#[derive(Debug)]
pub struct ConnectionCounts<O> {
    observer: O,
    faults: Faults,
    /// What can still be read from.
    client: Option<Arc<Stream>>,
    server: Option<Arc<Stream>>,
}

impl<O: Observer> ConnectionCounts<O> {
    /// Of a client that was just accepted.
    pub fn new(observer: O, client: Arc<Stream>, faults: Faults) -> Self {
        Self { observer, faults, client: Some(client), server: None }
    }

    /// What understands its bytes.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// The connection now has a server.
    pub fn connected(&mut self, server: Arc<Stream>) {
        self.server = Some(server);
    }

    /// Counts outside the messages of a session.
    pub fn totals(&mut self) -> &mut Counters {
        &mut self.observer.counts_mut().totals
    }

    /// Everything counted so far.
    pub fn counters(&self) -> Counters {
        self.observer.counts().counters()
    }

    /// Each statement that was recorded so far, and what is under way.
    pub fn sent(&self, known: &mut HashMap<Class, Arc<Class>>) -> Vec<Sent> {
        self.observer.counts().sent(&self.observer.under_way(), known)
    }

    /// See [`Observer::undecided`].
    pub fn undecided(&self) -> usize {
        self.observer.undecided()
    }

    /// Counts bytes of a session.
    ///
    /// # Errors
    ///
    /// Where the connection cannot go on.
    pub fn received(&mut self, side: Side, bytes: &[u8], cut: Option<&mut CutFinder<'_>>) -> Result<(), Broken> {
        let (length, sent) = (bytes.len() as u64, self.observer.sent());
        match side {
            Side::Client => self.totals().bytes_up += length,
            Side::Server => self.totals().bytes_down += length,
        }
        let result = self.observer.received(side, bytes, cut);
        let new = self.observer.sent() - sent;
        if new > 0 {
            self.faults.sent(new);
        }
        result
    }

    /// One side sends no more.
    pub fn ended(&mut self, side: Side) {
        let stream = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        if stream.take().is_some() && !self.observer.is_between_messages(side) {
            self.totals().truncated += 1;
        }
    }

    /// Nothing more comes from either side.
    pub fn closed(&mut self) {
        self.observer.end();
        (self.client, self.server) = (None, None);
    }

    /// See [`Observer::is_awaited`]. One that has no server yet is.
    pub fn is_awaited(&self) -> bool {
        self.client.is_some() && (self.server.is_none() || self.observer.is_awaited())
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
