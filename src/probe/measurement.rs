//! What a measurement is: what it needs of the arm, what it looks at when its window ends, and what it makes of what the arm
//! has left.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::pin::Pin;

use serde_json::Value;
use tokio_postgres::Client;

use super::arm_log::ArmLog;
use super::exchange::Exchange;
use super::journal::{Journal, TaskCounts};
use super::peaks::Peaks;
use super::statement::Statement;
use super::triggers::Write;
use super::window::{Snapshot, Window};
use super::writer::Writer;
use crate::service::redis::Redis;

/// A value, or why there is none.
pub type Sample = Result<Value, String>;

/// A sample that is being taken.
pub type Sampling<'s> = Pin<Box<dyn Future<Output = Option<Sample>> + Send + 's>>;

/// What an invariant looks at. Each has a file of its own; `registry` lists them.
pub trait Measurement: Send + Sync {
    /// What has to be there for it.
    fn requires(&self) -> Requires<'_> {
        Requires::default()
    }

    /// Its window begins.
    ///
    /// # Errors
    ///
    /// It cannot be measured: the arm is over.
    fn begin(&self, _watch: &mut Watch, _window: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    /// What is to be seen at the end of its window, and never again. Nothing for what the arm leaves.
    fn sample<'s>(&'s self, _now: &'s mut Now<'_>) -> Sampling<'s> {
        Box::pin(ready(None))
    }

    /// What was measured. Without more, what was sampled.
    ///
    /// # Errors
    ///
    /// It was not, in words.
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        left.sample.cloned().unwrap_or_else(|| Err("its window did not end".to_owned())).map(Found::from)
    }

    /// By what share of the greater one two measurements of the same may differ: nothing where it is exact. `None` if two say
    /// nothing about each other.
    fn tolerance(&self) -> Option<f64> {
        Some(0.0)
    }
}

/// What a measurement needs, which costs what does not need it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requires<'m> {
    /// Triggers on this table, which record who writes to it.
    pub triggers_on: Option<&'m str>,
    /// This actor's process, from the beginning of its window.
    pub process_of: Option<&'m str>,
    /// The server's statistics at both ends of each window.
    pub statistics: bool,
    /// What django-q2 says of its tasks in the end.
    pub tasks: bool,
}

/// What is watched while windows go on.
#[derive(Debug, Default)]
pub struct Watch {
    /// Processes of actors, by name.
    pub processes: HashMap<String, u32>,
    /// The memory of each.
    pub peaks: HashMap<String, Peaks>,
}

/// What can be looked at when a window ends.
pub struct Now<'n> {
    /// The window; without one, the case.
    pub window: Option<&'n str>,
    /// The harness's connection to the arm's database.
    pub client: Option<&'n Client>,
    /// The arm's Redis.
    pub redis: Option<&'n Redis>,
    /// What was watched.
    pub watch: &'n mut Watch,
}

/// What an arm has left when its steps are played.
#[derive(Clone, Copy)]
pub struct Left<'l> {
    /// Its statements.
    pub statements: &'l [Statement],
    /// What its processes wrote down.
    pub journal: &'l Journal,
    /// What became of its tasks, if somebody needs it.
    pub tasks: &'l TaskCounts,
    /// What was read, by name.
    pub readings: &'l HashMap<String, Value>,
    /// What the harness's own clients asked.
    pub exchanges: &'l [Exchange],
    /// Its log.
    pub log: &'l ArmLog,
    /// What triggers recorded, by table.
    pub writes: &'l HashMap<String, Vec<Write>>,
    /// The measurement's window.
    pub window: &'l Window,
    /// What flowed in it.
    pub flow: &'l Snapshot,
    /// What was sampled at its end.
    pub sample: Option<&'l Sample>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The value.
    pub value: Value,
    /// For counts of statements: who sent the most.
    pub writers: Vec<Writer>,
}

impl<V: Into<Value>> From<V> for Found {
    fn from(value: V) -> Self {
        Self { value: value.into(), writers: Vec::new() }
    }
}
