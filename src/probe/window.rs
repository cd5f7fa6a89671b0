//! Windows: what was done between two moments.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use indexmap::IndexMap;

use crate::case::Per;
use crate::proxy::{Counters, HttpCounters, Shape};

pub use crate::proxy::monotonic;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// What the machine's wall clock has shown, as its `CLOCK_MONOTONIC` in nanoseconds: what lies between the two is the same for
/// all that is not long ago.
pub fn monotonic_of(wall: SystemTime) -> u64 {
    let ago = SystemTime::now().duration_since(wall).unwrap_or_default();
    monotonic().saturating_sub(ago.as_nanos() as u64)
}

/// A span of an arm's life, with what was done in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// `CLOCK_MONOTONIC` in nanoseconds, inclusive.
    pub begin: u64,
    /// `CLOCK_MONOTONIC` in nanoseconds, inclusive.
    pub end: u64,
    /// Heartbeats.
    pub beats: u64,
    /// Tasks executed.
    pub tasks: u64,
    /// Restarts.
    pub restarts: u64,
    /// Web requests of the harness's own clients.
    pub requests: u64,
    /// Where the arm's log stood at its beginning and at its end, in bytes.
    pub log: (u64, u64),
}

impl Window {
    /// Whether a moment lies in it.
    pub fn contains(&self, at: u64) -> bool {
        (self.begin..=self.end).contains(&at)
    }

    /// How many of a unit it holds. A day is projected: from the beats and the real time between two of them
    /// (`GUARD_CYCLE`, in seconds); in a window without beats from real time.
    pub fn units(&self, per: Per, guard_cycle: Option<f64>) -> f64 {
        let real_seconds = (self.end - self.begin) as f64 / 1e9;
        match per {
            Per::Beat => self.beats as f64,
            Per::Task => self.tasks as f64,
            Per::Restart => self.restarts as f64,
            Per::Request => self.requests as f64,
            Per::Second => real_seconds,
            Per::Day if self.beats > 0 => self.beats as f64 * guard_cycle.unwrap_or(f64::NAN) / SECONDS_PER_DAY,
            Per::Day => real_seconds / SECONDS_PER_DAY,
            // Of one actor or of all: its wire knows.
            Per::Fetch => f64::NAN,
        }
    }

    /// Takes in what was done in a part of it.
    pub fn add(&mut self, part: &Self) {
        self.beats += part.beats;
        self.tasks += part.tasks;
        self.restarts += part.restarts;
        self.requests += part.requests;
    }
}

/// What went over the wires and into the write-ahead log: so far, or in a window.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By actor.
    pub wire: IndexMap<String, Counters>,
    /// Commands that actors sent to Redis, but for those that set a connection up.
    pub commands: u64,
    /// What each proxy between browsers and the app did.
    pub http: IndexMap<String, HttpCounters>,
    /// Bytes of write-ahead log by statement; empty where no invariant asks for them.
    pub wal: BTreeMap<Shape, u64>,
}

impl Snapshot {
    /// What came since an earlier one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let wire = self.wire.iter().map(|(actor, after)| {
            let counters = before.wire.get(actor).map_or_else(|| after.clone(), |before| after - before);
            (actor.clone(), counters)
        });
        let wal = self.wal.iter().map(|(shape, after)| {
            (shape.clone(), after.saturating_sub(before.wal.get(shape).copied().unwrap_or_default()))
        });
        let http = self
            .http
            .iter()
            .map(|(proxy, after)| (proxy.clone(), before.http.get(proxy).map_or(*after, |before| after.since(before))));
        let commands = self.commands - before.commands;
        Self { wire: wire.collect(), commands, http: http.collect(), wal: wal.collect() }
    }

    /// The counters of one actor, or of all.
    pub fn wires<'s>(&'s self, actor: Option<&'s str>) -> impl Iterator<Item = &'s Counters> {
        self.wire.iter().filter(move |(name, _)| actor.is_none_or(|actor| actor == *name)).map(|(_, counters)| counters)
    }
}

/// The windows of an arm: all of it, and the named ones.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    /// From the first step to the last.
    pub whole: Window,
    /// By the name of their step.
    pub named: HashMap<String, Window>,
    /// What flowed in them; `None`: all of the arm.
    pub flows: HashMap<Option<String>, Snapshot>,
}

impl Windows {
    /// The window of this name; all of the arm without one.
    pub fn get(&self, during: Option<&str>) -> Window {
        during.map_or(self.whole, |name| self.named.get(name).copied().unwrap_or_default())
    }

    /// What flowed in the window of this name; in all of the arm without one.
    pub fn flow(&self, during: Option<&str>) -> Snapshot {
        self.flows.get(&during.map(str::to_owned)).cloned().unwrap_or_default()
    }
}
