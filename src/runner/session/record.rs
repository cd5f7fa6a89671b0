//! What is on record of an arm: evidence, and what measurements look at.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::case::Step;
use crate::probe::arm_log::ArmLog;
use crate::probe::sample::Samples;
use crate::probe::window::Windows;
use crate::runner::event::{FaultReport, seconds};

/// The record of an arm.
pub struct Record {
    /// What was read, by name.
    pub readings: HashMap<String, Value>,
    /// What was looked at when windows ended.
    pub samples: Samples,
    /// The windows so far.
    pub windows: Windows,
    /// Faults so far.
    pub faults: Vec<FaultReport>,
    /// How long waits took, by line.
    pub waits: HashMap<usize, Duration>,
    /// Whose processes were killed, and whose wires were under a fault: what is seen of them are bounds, not counts.
    pub disturbed: Disturbed,
    /// Time spent on the clone, beyond that of the fork that goes on meanwhile.
    pub cloning: Duration,
    opened: Instant,
}

/// Whom a fault has reached.
#[derive(Debug, Default)]
pub struct Disturbed {
    actors: BTreeSet<String>,
    is_all: bool,
}

impl Disturbed {
    /// Something has happened to these.
    pub fn add<'a>(&mut self, actors: impl IntoIterator<Item = &'a str>) {
        self.actors.extend(actors.into_iter().map(str::to_owned));
    }

    /// Something has happened to a server.
    pub fn all(&mut self) {
        self.is_all = true;
    }

    /// Whether anything has happened.
    pub fn is_any(&self) -> bool {
        self.is_all || !self.actors.is_empty()
    }

    /// Whether anything has happened to this actor.
    pub fn is(&self, actor: &str) -> bool {
        self.is_all || self.actors.contains(actor)
    }
}

impl Record {
    /// Of an arm that is opened now.
    pub fn new() -> Self {
        Self {
            readings: HashMap::new(),
            samples: Samples::default(),
            windows: Windows::default(),
            faults: Vec::new(),
            waits: HashMap::new(),
            disturbed: Disturbed::default(),
            cloning: Duration::ZERO,
            opened: Instant::now(),
        }
    }

    /// Takes what a step gives, and writes it into the log.
    pub fn take(&mut self, log: &ArmLog, readings: impl IntoIterator<Item = (String, Value)>) {
        for (name, value) in readings {
            log.note(&format!("   {name} = {value}"));
            self.readings.insert(name, value);
        }
    }

    /// The fault of this step begins; gives its place among the reports.
    pub fn fault_begins(&mut self, step: &Step, at: Instant) -> usize {
        let began = seconds(at.saturating_duration_since(self.opened));
        self.faults.push(FaultReport { fault: step.written.clone(), line: step.line, began, ended: None });
        self.faults.len() - 1
    }

    /// The fault of this report is over.
    pub fn fault_ends(&mut self, report: usize) {
        self.faults[report].ended = Some(seconds(self.opened.elapsed()));
    }
}
