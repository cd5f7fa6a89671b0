//! Tasks and schedules of django-q2: what to put there, and what became of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tasks to put into the queue.
///
/// In `args`, `kwargs` and `group` the text `$i` is replaced by the index of the call, from 0; an argument that is only
/// `$i` becomes a number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Enqueue {
    /// Dotted name of the function; empty for a chain.
    pub task: String,
    /// Its arguments. For an iter one item per task: a list is the arguments of that task, anything else is its only one.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: BTreeMap<String, Value>,
    /// `async_iter` in place of `async_task`.
    pub iter: bool,
    /// Where not empty, `async_chain` of these functions and their arguments.
    pub chain: Vec<(String, Vec<Value>)>,
    /// How many calls.
    pub times: u64,
    /// The tasks' group.
    pub group: Option<String>,
    /// django-q2's `cached`: `true`, or seconds.
    pub cached: Option<Value>,
    /// Further keyword arguments of the call: `save`, `timeout`, `ack_failure`, `hook` ...
    pub options: BTreeMap<String, Value>,
    /// Whether an exception only ends the calls. Otherwise the request fails.
    pub until_refused: bool,
}

/// A schedule to create: a row of django-q2's `Schedule`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// Dotted name of the function.
    pub task: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: BTreeMap<String, Value>,
    /// `once`, `minutes`, `hourly`, `daily`, `weekly`, `biweekly`, `monthly`, `bimonthly`, `quarterly`, `yearly` or
    /// `cron`.
    pub kind: String,
    /// Further fields of the row, by the names that it has there: `minutes`, `cron`, `repeats`, `name`, `hook`,
    /// `cluster`, `intended_date_kwarg`.
    pub fields: BTreeMap<String, Value>,
    /// Its next run.
    pub due: Due,
}

/// When something is due, by the arm's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// So many nanoseconds from now.
    In(i64),
    /// So many nanoseconds after the epoch.
    At(i64),
}

impl Default for Due {
    fn default() -> Self {
        Self::In(0)
    }
}

/// What django-q2 says of tasks, by id; each list is sorted. A task that is queued twice is in it twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tasks {
    /// In the broker's queue, taken by a cluster but not acknowledged included where the broker keeps those.
    pub queued: Vec<String>,
    /// With a row of a success.
    pub succeeded: Vec<String>,
    /// With a row of a failure.
    pub failed: Vec<String>,
}
