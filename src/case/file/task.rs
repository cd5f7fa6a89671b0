//! Tasks and schedules, as they are written: options, and every other key is a task.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::case::model::Scalar;

/// The options of `enqueue`.
pub const ENQUEUE_OPTIONS: [&str; 9] =
    ["by", "times", "group", "cached", "kwargs", "options", "until", "iter", "chain"];

/// The options of `schedule`.
pub const SCHEDULE_OPTIONS: [&str; 9] =
    ["by", "type", "minutes", "cron", "repeats", "due", "name", "kwargs", "options"];

/// Tasks for the queue: `{charge: [order-$i], times: 5}`.
#[derive(Debug, Default, JsonSchema)]
#[serde(default)]
pub struct EnqueueFile {
    /// The python actor that enqueues; absent: `client`, which every case has.
    pub by: Option<String>,
    /// How often (default once). `$i` in arguments, kwargs and group is the index, from 0.
    pub times: Option<Scalar>,
    /// The group of the tasks.
    pub group: Option<Scalar>,
    /// Whether results go to the cache: true, or seconds.
    pub cached: Option<Value>,
    /// Keyword arguments of the task.
    pub kwargs: IndexMap<String, Value>,
    /// Further keyword arguments of async_task: save, timeout, ack_failure, hook, ...
    pub options: IndexMap<String, Value>,
    /// `refused`: an exception ends the enqueueing and is counted.
    pub until: Option<UntilFile>,
    /// The task runs once for each of the arguments (async_iter).
    pub iter: Option<bool>,
    /// Tasks that run one after the other (async_chain): `[{charge: [order-1]}, {ship: [order-1]}]`.
    pub chain: Option<Vec<IndexMap<String, Value>>>,
    /// The task, by its dotted name or its name in shop.tasks, and the list of its arguments.
    #[serde(flatten)]
    pub tasks: IndexMap<String, Value>,
}

/// What ends an enqueueing before its time.
#[derive(Debug, Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UntilFile {
    /// A task that is not accepted.
    Refused,
}

/// A schedule: `{charge: [order-1], type: hourly, due: -4d}`.
#[derive(Debug, Default, JsonSchema)]
#[serde(default)]
pub struct ScheduleFile {
    /// The python actor that makes it; absent: `client`, which every case has.
    pub by: Option<String>,
    /// once (default), minutes, hourly, daily, weekly, monthly or cron.
    #[serde(rename = "type")]
    pub kind: Option<Scalar>,
    /// Of type minutes: how many.
    pub minutes: Option<Value>,
    /// Of type cron: the expression.
    pub cron: Option<Value>,
    /// How often it runs; -1: for ever.
    pub repeats: Option<Value>,
    /// When it is due, from now on: `10min`, `-4d` (default 0s).
    pub due: Option<Scalar>,
    /// Its name.
    pub name: Option<Value>,
    /// Keyword arguments of the task.
    pub kwargs: IndexMap<String, Value>,
    /// Further fields of the row.
    pub options: IndexMap<String, Value>,
    /// The task, by its dotted name or its name in shop.tasks, and the list of its arguments.
    #[serde(flatten)]
    pub tasks: IndexMap<String, Value>,
}

// By hand, because serde's `flatten` buffers what it reads and so forgets where it was.
impl<'de> Deserialize<'de> for EnqueueFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tasks;
        impl<'de> Visitor<'de> for Tasks {
            type Value = EnqueueFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with a task and its arguments")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EnqueueFile, A::Error> {
                let mut file = EnqueueFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "by" => file.by = map.next_value()?,
                        "times" => file.times = map.next_value()?,
                        "group" => file.group = map.next_value()?,
                        "cached" => file.cached = map.next_value()?,
                        "kwargs" => file.kwargs = map.next_value()?,
                        "options" => file.options = map.next_value()?,
                        "until" => file.until = map.next_value()?,
                        "iter" => file.iter = map.next_value()?,
                        "chain" => file.chain = map.next_value()?,
                        _ => {
                            file.tasks.insert(key, map.next_value()?);
                        }
                    }
                }
                Ok(file)
            }
        }
        deserializer.deserialize_map(Tasks)
    }
}

impl<'de> Deserialize<'de> for ScheduleFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tasks;
        impl<'de> Visitor<'de> for Tasks {
            type Value = ScheduleFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with a task and its arguments")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ScheduleFile, A::Error> {
                let mut file = ScheduleFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "by" => file.by = map.next_value()?,
                        "type" => file.kind = map.next_value()?,
                        "minutes" => file.minutes = map.next_value()?,
                        "cron" => file.cron = map.next_value()?,
                        "repeats" => file.repeats = map.next_value()?,
                        "due" => file.due = map.next_value()?,
                        "name" => file.name = map.next_value()?,
                        "kwargs" => file.kwargs = map.next_value()?,
                        "options" => file.options = map.next_value()?,
                        _ => {
                            file.tasks.insert(key, map.next_value()?);
                        }
                    }
                }
                Ok(file)
            }
        }
        deserializer.deserialize_map(Tasks)
    }
}
