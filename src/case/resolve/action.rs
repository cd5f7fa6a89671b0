//! Steps with nothing left to substitute.

use std::time::Duration;

use indexmap::IndexMap;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Fault, Http};
use crate::case::model::{Role, What};

/// One step with nothing left to substitute.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name of its window.
    pub name: Option<String>,
    /// What is done.
    pub action: Action,
    /// Line in the case file, 1-based.
    pub line: usize,
}

/// What a step does; see [`model::Action`](crate::case::model::Action).
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of model::Action")]
pub enum Action {
    /// Starts an actor; with `expect_exit`, waits for its end, and kills it if that takes longer than `within`.
    Start { actor: String, expect_exit: bool, within: Option<Duration> },
    /// Stops a real cluster, which is killed if it takes longer than `within`.
    Stop { actor: String, within: Option<Duration> },
    /// A signal; nothing is waited for.
    Signal { actor: String, role: Role, send: Signal },
    /// SIGKILL.
    Kill { actor: String, role: Role },
    /// SIGSTOP.
    Pause { actor: String, role: Role },
    /// SIGCONT.
    Resume { actor: String, role: Role },
    /// Restarts a cluster `count` times.
    Restart { actor: String, count: u64, by_kill: bool },
    /// Arms a hold.
    Hold { actor: String, hold: HoldSpec },
    /// The held process goes on.
    Release { actor: String },
    /// `count` heartbeats, `every` so much virtual time.
    Beat { actor: String, count: u64, every: Option<Duration> },
    /// Puts tasks into the queue.
    Enqueue(Enqueue),
    /// Makes a schedule.
    Schedule(Schedule),
    /// Runs a simulated cluster's scheduler `count` times.
    Tick { actor: String, count: u64 },
    /// Runs queued tasks until none is left, or waits for a real cluster to do so.
    Drain { actor: String, within: Option<Duration> },
    /// Runs Python source `times` times.
    Python { actor: String, source: String, times: u64 },
    /// Runs one SQL statement as a stranger, or as the harness.
    Sql { actor: Option<String>, statement: String },
    /// Evaluates expressions as the actor `probe`.
    Read { readings: IndexMap<String, String> },
    /// Waits for something; without `within`, for as long as the reference arm allows.
    Wait { for_: WaitFor, within: Option<Duration> },
    /// Moves the virtual clock.
    Advance { by: Duration },
    /// Several steps as one window.
    Measure { steps: Vec<Step> },
    /// A window of so much real time.
    MeasureFor { time: Duration },
    /// Something breaks; without steps, until the arm ends.
    Fault { fault: Fault, steps: Vec<Step> },
    /// Web requests, and what is done while they are under way.
    Http { http: Box<Http>, steps: Vec<Step> },
}

/// Where a process stops itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HoldSpec {
    /// `module:function`, `module:Class.method`, or a named moment.
    pub moment: String,
    /// When the function returns, not when it is entered.
    pub at_return: bool,
    /// At the n-th call, from 1.
    pub call: u64,
    /// Only calls by a process of this role count.
    pub role: Option<Role>,
    /// Of a web actor: every thread that comes is held.
    pub every: bool,
}

/// What is waited for; see [`model::WaitFor`](crate::case::model::WaitFor).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of model::WaitFor")]
pub enum WaitFor {
    /// A Python expression that becomes true, evaluated as the actor `probe`.
    Until { expression: String },
    /// A process, of a web actor a thread, that reached a hold.
    Held { actor: String },
    /// All requests under way of a web actor are held, or wait.
    Quiet { actor: String },
}

/// Tasks for the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Enqueue {
    /// The actor that enqueues: a python actor, or [`CLIENT`](crate::case::model::CLIENT).
    pub by: String,
    /// What, with dotted names; `$i` stands in arguments for the index of the enqueueing, from 0.
    pub what: What,
    /// How often.
    pub times: u64,
    /// The group's name; may hold `$i`.
    pub group: Option<String>,
    /// `cached` of `async_task`.
    pub cached: Option<Value>,
    /// Further keyword arguments of `async_task`.
    pub options: IndexMap<String, Value>,
    /// Whether an exception ends the enqueueing and is a reading.
    pub until_refused: bool,
}

/// A schedule to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The actor that makes it: a python actor, or [`CLIENT`](crate::case::model::CLIENT).
    pub by: String,
    /// The dotted name of the function.
    pub task: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: IndexMap<String, Value>,
    /// Of [`SCHEDULES`](crate::case::model::SCHEDULES).
    pub kind: String,
    /// Other fields of the row: `minutes`, `cron`, `repeats`, `name`, ...
    pub fields: IndexMap<String, Value>,
    /// When it is due, in nanoseconds from the virtual now; may lie in the past.
    pub due_ns: i64,
}

impl Step {
    /// It, and then the steps that are played within it, in the order of the case.
    pub fn all(&self) -> Vec<&Self> {
        let within = self.action.steps().iter().flat_map(Self::all);
        std::iter::once(self).chain(within).collect()
    }
}

impl Action {
    /// The steps that are played within it.
    pub fn steps(&self) -> &[Step] {
        match self {
            Self::Measure { steps } | Self::Fault { steps, .. } | Self::Http { steps, .. } => steps,
            _ => &[],
        }
    }
}
