//! A connection while a fault is set: bytes may be delayed, held, dropped or cut off. Without one, the bytes under way
//! are passed on and `relay` takes over again.

use std::future::Future as _;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::connection_counts::ConnectionCounts;
use super::cut_finder::CutFinder;
use super::faults::{ConnectionFaults, Set};
use super::in_flight::jittered;
use super::observer::{Broken, Observer};
use super::relay::{Half, Relay, Stop};
use super::stream::{Side, Stream};
use crate::case::CutAt;

/// A slow link takes what it passes on in so long: its reader sees a stream, not bursts.
const SLICE: Duration = Duration::from_millis(20);

/// Where a direction is after as much as can be done now.
enum Now {
    /// It waits for a socket, or for this moment.
    Waits(Option<Instant>),
    /// All was passed on, and no more will come.
    Done,
    /// The place of the cut was reached.
    Cut,
}

impl<O: Observer> Relay<'_, O> {
    /// Relays with faults.
    pub fn poll_faulty(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        loop {
            self.epoch = self.faults.epoch();
            let Some(set) = self.faults.set() else { return Poll::Ready(Stop::Over) };
            if set.partition {
                return Poll::Pending;
            }
            if set.black_hole {
                return self.swallow(cx);
            }
            let wakes_at = match self.pass(cx, set) {
                Ok(wakes_at) => wakes_at,
                Err(stop) => return Poll::Ready(stop),
            };
            let Some(wakes_at) = wakes_at else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wakes_at)));
            timer.as_mut().reset(wakes_at);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Passes on what is due; when more will be.
    fn pass(&mut self, cx: &mut Context<'_>, set: Set) -> Result<Option<Instant>, Stop> {
        let now = Instant::now();
        let (counts, faults, doomed) = (self.counts, self.faults, &mut self.doomed);
        let mut up = Now::Waits(None);
        if !self.up_is_done {
            up = match self.up.poll_faulty(cx, self.client, self.server, counts, faults, set, doomed, now) {
                Ok(up) => up,
                Err(Broken::Io) => Now::Done,
                Err(Broken::Malformed) => return Err(Stop::Over),
            };
            if matches!(up, Now::Done) {
                self.up.in_flight.clear();
                self.finish_up();
            }
        }
        let doomed = &mut self.doomed;
        let down = self.down.poll_faulty(cx, self.server, self.client, counts, faults, set, doomed, now);
        match (up, down) {
            (_, Err(_) | Ok(Now::Done)) => Err(Stop::Over),
            (Now::Cut, _) | (_, Ok(Now::Cut)) => {
                self.up.flush(self.server);
                self.down.flush(self.client);
                Err(Stop::Over)
            }
            (up, Ok(down)) => {
                let is_idle = self.up.is_idle() && self.down.is_idle() && self.doomed.is_none();
                if is_idle && set == Set::default() {
                    return Err(Stop::Switch);
                }
                let [up, down] = [up, down].map(|now| if let Now::Waits(at) = now { at } else { None });
                Ok(up.into_iter().chain(down).min())
            }
        }
    }

    /// Reads and drops; an end is kept from the other side.
    fn swallow(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        for (half, from) in [(&mut self.up, self.client), (&mut self.down, self.server)] {
            half.in_flight.clear();
            loop {
                let mut counts = self.counts.lock();
                let counted =
                    if half.is_uncounted { counts.received(half.side, half.unwritten(), None) } else { Ok(()) };
                (half.start, half.end, half.is_uncounted) = (0, 0, false);
                if counted.is_err() {
                    return Poll::Ready(Stop::Over);
                }
                if half.ended || from.poll_read_ready(cx).is_pending() {
                    break;
                }
                half.read(from, half.buffer.len(), &mut counts);
            }
        }
        Poll::Pending
    }
}

impl Half {
    fn unwritten(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether nothing is under way here but what the way without faults knows of.
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.start == self.end && !self.is_uncounted
    }

    /// Reads, without counting.
    fn read<O: Observer>(&mut self, from: &Stream, at_most: usize, counts: &mut ConnectionCounts<O>) {
        match from.read(&mut self.buffer[..at_most]) {
            Ok(length) if length > 0 => (self.start, self.end, self.is_uncounted) = (0, length, true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => {
                self.ended = true;
                counts.ended(self.side);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "both directions share all but the first two")]
    fn poll_faulty<O: Observer>(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        counts: &Mutex<ConnectionCounts<O>>,
        faults: &ConnectionFaults,
        set: Set,
        doomed: &mut Option<u64>,
        now: Instant,
    ) -> Result<Now, Broken> {
        let is_prompt = set.latency.is_none() && set.bandwidth.is_none();
        if set.bandwidth.is_none() {
            self.reads_at = None;
        }
        loop {
            if self.start < self.end && self.admit(&mut counts.lock(), faults, set, doomed, now)? {
                return Ok(Now::Cut);
            }
            let held = if set.cut == Some(CutAt::AfterCommit) { self.undecided } else { 0 };
            let front = self.in_flight.front(held);
            let may_write = front.is_some_and(|(_, due)| is_prompt || due <= now);
            let has_room = if is_prompt { front.is_none() } else { self.in_flight.has_room() };
            let mut wakes_at = front.map(|(_, due)| due).filter(|_| !may_write);
            if let Some((bytes, _)) = front.filter(|_| may_write)
                && let Poll::Ready(ready) = to.poll_write_ready(cx)
            {
                ready?;
                match to.try_write(bytes) {
                    Ok(length) => self.in_flight.pass(length),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            if self.ended {
                let is_done = self.in_flight.is_empty();
                return Ok(if is_done { Now::Done } else { Now::Waits(wakes_at) });
            }
            let reads_later = self.reads_at.filter(|at| *at > now);
            if !has_room || reads_later.is_some() {
                wakes_at = wakes_at.into_iter().chain(reads_later).min();
                return Ok(Now::Waits(wakes_at));
            }
            if from.poll_read_ready(cx).is_pending() {
                return Ok(Now::Waits(wakes_at));
            }
            let slice = set.bandwidth.map_or(usize::MAX, |rate| (rate as f64 * SLICE.as_secs_f64()) as usize);
            self.read(from, slice.clamp(1, self.buffer.len()), &mut counts.lock());
        }
    }

    /// Counts what was read, and puts it under way as far as no cut comes before; whether one does.
    fn admit<O: Observer>(
        &mut self,
        counts: &mut ConnectionCounts<O>,
        faults: &ConnectionFaults,
        set: Set,
        doomed: &mut Option<u64>,
        now: Instant,
    ) -> Result<bool, Broken> {
        let length = self.end - self.start;
        let (mut passes, mut fires) = (length, false);
        let was_undecided = self.undecided;
        if std::mem::take(&mut self.is_uncounted) {
            let mut cut = CutFinder::new(faults, self.side, length, doomed);
            counts.received(self.side, &self.buffer[self.start..self.end], Some(&mut cut))?;
            (passes, fires) = cut.result();
            self.undecided = if self.side == Side::Server { counts.undecided() } else { 0 };
        }
        let leaves = faults.leaves(self.side, passes, now);
        self.reads_at = Some(leaves);
        let due = leaves + set.latency.map_or(Duration::ZERO, |latency| jittered(latency, &mut self.seed));
        self.in_flight.push(&self.buffer[self.start..][..passes], due);
        (self.start, self.end) = (0, 0);
        if fires {
            // What was undecided before belongs to the answer that begins this chunk.
            self.undecided = if passes == 0 { was_undecided } else { 0 };
        }
        Ok(fires)
    }

    /// Writes at once what is under way, as far as there is room: the connection is about to be closed.
    fn flush(&mut self, to: &Stream) {
        while let Some((bytes, _)) = self.in_flight.front(self.undecided) {
            match to.try_write(bytes) {
                Ok(length) => self.in_flight.pass(length),
                Err(_) => return,
            }
        }
    }
}
