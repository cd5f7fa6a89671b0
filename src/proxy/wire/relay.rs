//! One connection's bytes: unchanged both ways, each counted before it is passed on. What one side does not take is not
//! read from the other: a slow reader slows the writer. Where a fault is set, `faulty` takes over.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use super::connection_counts::ConnectionCounts;
use super::faults::ConnectionFaults;
use super::in_flight::InFlight;
use super::observer::{Broken, Observer};
use super::stream::{Side, Stream};

/// Per direction.
const BUFFER: usize = 64 << 10;

/// Why a way of relaying stops.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The connection is over.
    Over,
    /// The other way has to go on.
    Switch,
}

/// A connection of both sides.
pub struct Relay<'a, O> {
    pub client: &'a Stream,
    pub server: &'a Stream,
    pub counts: &'a Mutex<ConnectionCounts<O>>,
    pub faults: &'a ConnectionFaults,
    pub up: Half,
    pub down: Half,
    /// Nothing more is passed to the server.
    pub up_is_done: bool,
    /// Of the faults, as they were looked at last.
    pub epoch: u64,
    /// The statement whose answer is not passed on.
    pub doomed: Option<u64>,
    /// When bytes under way are due.
    pub timer: Option<Pin<Box<Sleep>>>,
}

/// One direction.
pub struct Half {
    pub side: Side,
    pub buffer: Box<[u8]>,
    /// Read, and to be written.
    pub start: usize,
    pub end: usize,
    /// What is between `start` and `end` has not been counted yet.
    pub is_uncounted: bool,
    /// What a fault has under way.
    pub in_flight: InFlight,
    /// The last bytes under way that may begin the answer to a COMMIT.
    pub undecided: usize,
    /// Nothing more can be read.
    pub ended: bool,
    /// Nothing is read before: the link is full.
    pub reads_at: Option<Instant>,
    /// Of the jitter.
    pub seed: u64,
}

/// Relays until either side is done. `first` has been read from the client, and counted.
pub async fn relay<O: Observer>(
    client: &Stream,
    server: &Stream,
    first: &[u8],
    counts: &Mutex<ConnectionCounts<O>>,
    faults: &ConnectionFaults,
) {
    if let Some(passes) = faults.cut_after_bytes(first.len()) {
        let _ = server.try_write(&first[..passes]);
        return;
    }
    let (mut up, down) = (Half::new(Side::Client), Half::new(Side::Server));
    up.end = first.len();
    up.buffer[..first.len()].copy_from_slice(first);
    let (up_is_done, epoch, doomed, timer) = (false, 0, None, None);
    let mut relay = Relay { client, server, counts, faults, up, down, up_is_done, epoch, doomed, timer };
    loop {
        if poll_fn(|cx| relay.poll_faulty(cx)).await == Stop::Over || poll_fn(|cx| relay.poll(cx)).await == Stop::Over {
            return;
        }
    }
}

impl<O: Observer> Relay<'_, O> {
    /// Relays without faults.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        if self.faults.epoch() != self.epoch {
            return Poll::Ready(Stop::Switch);
        }
        let (counts, changed) = (self.counts, || self.faults.epoch() != self.epoch);
        if !self.up_is_done
            && let Poll::Ready(result) = self.up.poll(cx, self.client, self.server, counts, changed)
        {
            match result {
                Ok(Stop::Switch) => return Poll::Ready(Stop::Switch),
                // The server may still have something to say; a failed write does not keep it from that.
                Ok(Stop::Over) | Err(Broken::Io) => self.finish_up(),
                Err(Broken::Malformed) => return Poll::Ready(Stop::Over),
            }
        }
        let changed = || self.faults.epoch() != self.epoch;
        self.down.poll(cx, self.server, self.client, counts, changed).map(|result| result.unwrap_or(Stop::Over))
    }

    /// The server hears that the client is done.
    pub fn finish_up(&mut self) {
        self.up_is_done = true;
        self.counts.lock().ended(Side::Client);
        self.server.finish_writing();
    }
}

impl Half {
    fn new(side: Side) -> Self {
        Self {
            side,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            is_uncounted: false,
            in_flight: InFlight::default(),
            undecided: 0,
            ended: false,
            reads_at: None,
            // Each way has a sequence of its own.
            seed: u64::from(side == Side::Server),
        }
    }

    /// Passes on until the end of `from`, or until either must be waited for, or faults have changed.
    fn poll<O: Observer>(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        counts: &Mutex<ConnectionCounts<O>>,
        changed: impl Fn() -> bool,
    ) -> Poll<Result<Stop, Broken>> {
        loop {
            while self.start < self.end {
                ready!(to.poll_write_ready(cx))?;
                match to.try_write(&self.buffer[self.start..self.end]) {
                    Ok(length) => self.start += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            ready!(from.poll_read_ready(cx))?;
            let mut counts = counts.lock();
            match from.read(&mut self.buffer) {
                Ok(0) => {
                    counts.ended(self.side);
                    return Poll::Ready(Ok(Stop::Over));
                }
                Ok(length) => {
                    (self.start, self.end) = (0, length);
                    if changed() {
                        self.is_uncounted = true;
                        return Poll::Ready(Ok(Stop::Switch));
                    }
                    counts.received(self.side, &self.buffer[..length], None)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    counts.ended(self.side);
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }
}
