//! Faults of a proxy's connections: what is set, and how its connections hear of it.
//!
//! A connection without a fault looks at one number per chunk. When a fault is set, the number changes and every
//! connection's task is woken; what is set is then read under the lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::stream::Side;
use crate::case::CutAt;

/// The faults of one proxy: they act on all its present and future connections until they are undone. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Another one after every change.
    epoch: AtomicU64,
    statements: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    set: Set,
    refuses: bool,
    /// When the bytes that were let onto the link have left it, from the client and from the server.
    leaves: [Option<Instant>; 2],
    /// Of the next connection.
    next: u64,
    /// Connections before this one are to be closed.
    closes_before: u64,
    /// The tasks of the open ones.
    open: BTreeMap<u64, Option<Waker>>,
}

/// What is set for every connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::proxy) struct Set {
    /// The delay, and how much it may be off; one way.
    pub latency: Option<(Duration, Duration)>,
    /// Bytes per second; one way.
    pub bandwidth: Option<u64>,
    /// Where to cut; the numbers are what is left of them.
    pub cut: Option<CutAt>,
    pub black_hole: bool,
    pub partition: bool,
}

impl Faults {
    /// Whether new connections are closed before anything is said.
    pub fn refuse(&self, refuses: bool) {
        self.change(|state| state.refuses = refuses);
    }

    /// Delays every byte by a duration that is off by at most the second one; each way, in order, without a limit on
    /// how much is under way but the proxy's memory (8 MiB).
    pub fn latency(&self, latency: Option<(Duration, Duration)>) {
        self.change(|state| state.set.latency = latency);
    }

    /// Lets at most so many bytes per second pass each way, all connections together. Zero counts as one.
    pub fn bandwidth(&self, bytes_per_second: Option<u64>) {
        self.change(|state| {
            state.set.bandwidth = bytes_per_second.map(|rate| rate.max(1));
            state.leaves = [None; 2];
        });
    }

    /// Closes the one connection that comes to this place first, both sides of it, once. Counted from now; zero
    /// statements count as one.
    pub fn cut(&self, cut: Option<CutAt>) {
        self.change(|state| state.set.cut = cut);
    }

    /// Closes all present connections, and says how many.
    pub fn reset(&self) -> usize {
        let mut open = 0;
        self.change(|state| {
            state.closes_before = state.next;
            open = state.open.len();
        });
        open
    }

    /// Reads and drops all bytes of both sides, who do not hear of each other's end either; new connections are
    /// accepted. Undone, the connections are closed.
    pub fn black_hole(&self, swallows: bool) {
        self.change(|state| {
            if state.set.black_hole && !swallows {
                state.closes_before = state.next;
            }
            state.set.black_hole = swallows;
        });
    }

    /// Passes nothing on, and reads nothing either; new connections are accepted. Undone, everything goes on.
    pub fn partition(&self, holds: bool) {
        self.change(|state| state.set.partition = holds);
    }

    /// Statements (Redis: commands) that the clients have sent so far.
    pub fn statements(&self) -> u64 {
        self.shared.statements.load(Ordering::Relaxed)
    }

    /// Counts statements of a client.
    pub(in crate::proxy) fn sent(&self, statements: u64) {
        self.shared.statements.fetch_add(statements, Ordering::Relaxed);
    }

    /// Whether a connection that comes now is closed at once.
    pub(in crate::proxy) fn refuses(&self) -> bool {
        self.shared.state.lock().refuses
    }

    /// Whether what was sent is not read.
    pub(in crate::proxy) fn is_partition(&self) -> bool {
        self.shared.state.lock().set.partition
    }

    /// A new connection.
    pub(in crate::proxy) fn of_connection(&self) -> ConnectionFaults {
        let mut state = self.shared.state.lock();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, None);
        ConnectionFaults { id, faults: self.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers: Vec<Waker> = {
            let mut state = self.shared.state.lock();
            change(&mut state);
            self.shared.epoch.fetch_add(1, Ordering::Release);
            state.open.values().flatten().cloned().collect()
        };
        wakers.iter().for_each(Waker::wake_by_ref);
    }
}

/// One connection's view of the faults.
#[derive(Debug)]
pub(in crate::proxy) struct ConnectionFaults {
    id: u64,
    faults: Faults,
}

impl ConnectionFaults {
    /// Who is woken by every change.
    pub fn register(&self, waker: &Waker) {
        self.faults.shared.state.lock().open.insert(self.id, Some(waker.clone()));
    }

    /// Changes with every fault that is set or undone.
    pub fn epoch(&self) -> u64 {
        self.faults.shared.epoch.load(Ordering::Acquire)
    }

    /// What is set; nothing if the connection is to be closed.
    pub fn set(&self) -> Option<Set> {
        let state = self.faults.shared.state.lock();
        (self.id >= state.closes_before).then_some(state.set)
    }

    /// Where to cut.
    pub fn cut(&self) -> Option<CutAt> {
        self.faults.shared.state.lock().set.cut
    }

    /// Takes this cut, if it is still there: it is made once.
    pub fn take_cut(&self, cut: CutAt) -> bool {
        self.faults.shared.state.lock().set.cut.take_if(|set| *set == cut).is_some()
    }

    /// The client sends so many bytes: how many of them come before the cut, if it is among them.
    pub fn cut_after_bytes(&self, length: usize) -> Option<usize> {
        let mut state = self.faults.shared.state.lock();
        let Some(CutAt::AfterBytes(left)) = &mut state.set.cut else { return None };
        let passes = usize::try_from(*left).ok().filter(|left| *left <= length);
        *left -= length.min(usize::try_from(*left).unwrap_or(length)) as u64;
        if passes.is_some() {
            state.set.cut = None;
        }
        passes
    }

    /// The client sends so many statements: the index of the one to be cut after, if it is among them.
    pub fn cut_after_statements(&self, statements: u64) -> Option<u64> {
        let mut state = self.faults.shared.state.lock();
        let Some(CutAt::AfterStatements(left)) = &mut state.set.cut else { return None };
        let index = left.saturating_sub(1);
        if index >= statements {
            *left -= statements;
            return None;
        }
        state.set.cut = None;
        Some(index)
    }

    /// Lets bytes of a side onto the link: when the last of them has left it.
    pub fn leaves(&self, side: Side, length: usize, now: Instant) -> Instant {
        let mut state = self.faults.shared.state.lock();
        let Some(rate) = state.set.bandwidth else { return now };
        let leaves = &mut state.leaves[usize::from(side == Side::Server)];
        let begins = leaves.map_or(now, |leaves| leaves.max(now));
        let ends = begins + Duration::from_secs_f64(length as f64 / rate as f64);
        *leaves = Some(ends);
        ends
    }
}

impl Drop for ConnectionFaults {
    fn drop(&mut self) {
        self.faults.shared.state.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_after_bytes_counts_those_of_all_connections() {
        let faults = Faults::default();
        let (one, other) = (faults.of_connection(), faults.of_connection());
        faults.cut(Some(CutAt::AfterBytes(10)));
        assert_eq!((one.cut_after_bytes(4), other.cut_after_bytes(5)), (None, None));
        assert_eq!((one.cut_after_bytes(3), other.cut_after_bytes(100)), (Some(1), None));
        faults.cut(Some(CutAt::AfterBytes(0)));
        assert_eq!(one.cut_after_bytes(1), Some(0));
    }

    #[test]
    fn a_cut_after_statements_counts_those_of_all_connections() {
        let faults = Faults::default();
        let (one, other) = (faults.of_connection(), faults.of_connection());
        faults.cut(Some(CutAt::AfterStatements(3)));
        assert_eq!((one.cut_after_statements(1), other.cut_after_statements(1)), (None, None));
        assert_eq!((one.cut_after_statements(2), other.cut_after_statements(9)), (Some(0), None));
    }

    #[test]
    fn a_cut_is_made_once() {
        let faults = Faults::default();
        let own = faults.of_connection();
        faults.cut(Some(CutAt::AfterCommit));
        assert!(!own.take_cut(CutAt::BeforeCommit));
        assert!(own.take_cut(CutAt::AfterCommit) && !own.take_cut(CutAt::AfterCommit));
    }

    #[test]
    fn connections_share_the_bandwidth_of_each_direction() {
        let faults = Faults::default();
        let (one, other, now) = (faults.of_connection(), faults.of_connection(), Instant::now());
        faults.bandwidth(Some(1000));
        assert_eq!(one.leaves(Side::Client, 500, now), now + Duration::from_millis(500));
        assert_eq!(other.leaves(Side::Client, 500, now), now + Duration::from_secs(1));
        assert_eq!(other.leaves(Side::Server, 100, now), now + Duration::from_millis(100));
        faults.bandwidth(None);
        assert_eq!(one.leaves(Side::Client, 500, now), now);
    }

    #[test]
    fn a_reset_closes_what_is_there_and_nothing_that_comes_after() {
        let faults = Faults::default();
        let (there, gone) = (faults.of_connection(), faults.of_connection());
        drop(gone);
        assert_eq!(faults.reset(), 1);
        assert_eq!((there.set(), faults.of_connection().set()), (None, Some(Set::default())));
    }
}
