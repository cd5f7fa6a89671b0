//! Windows: what was done between two moments.

use std::collections::HashMap;

use crate::case::model::Per;

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
}

impl Window {
    /// Whether a moment lies in it.
    pub fn contains(&self, at: u64) -> bool {
        (self.begin..=self.end).contains(&at)
    }

    /// How many of a unit it holds.
    pub fn units(&self, per: Per) -> u64 {
        match per {
            Per::Beat => self.beats,
            Per::Task => self.tasks,
            Per::Restart => self.restarts,
            // Not counted in a window.
            Per::Day | Per::Second => 0,
        }
    }

    /// Takes in what was done in a part of it.
    pub fn add(&mut self, part: &Self) {
        self.beats += part.beats;
        self.tasks += part.tasks;
        self.restarts += part.restarts;
    }
}

/// The windows of an arm: all of it, and the named ones.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    /// From the first step to the last.
    pub whole: Window,
    /// By the name of their step.
    pub named: HashMap<String, Window>,
}

impl Windows {
    /// The window of this name; all of the arm without one.
    pub fn get(&self, during: Option<&str>) -> Window {
        during.map_or(self.whole, |name| self.named.get(name).copied().unwrap_or_default())
    }
}
