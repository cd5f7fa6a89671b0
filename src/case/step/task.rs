//! Tasks for the queue, and schedules.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

use crate::case::actor::CLIENT;
use crate::case::moment::Moment;
use crate::case::unit::{self, Time};
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::text::Verbatim;

/// Where a task is looked for whose name has no module.
const TASKS: &str = "shop.tasks";

/// Tasks for the queue: `{enqueue: charge, args: [order-$i], times: 5}`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
pub struct Enqueue {
    /// The python actor that enqueues; absent: `client`, which every case has.
    #[serde(default = "client")]
    pub by: String,
    /// What.
    #[serde(rename = "$rest")]
    #[schemars(flatten)]
    pub what: What,
    /// How often (default once). `$i` in arguments, kwargs and group is the index, from 0.
    #[serde(default = "unit::once", deserialize_with = "unit::read_count")]
    pub times: u64,
    /// The group of the tasks.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether results go to the cache: true, or seconds.
    pub cached: Option<Value>,
    /// Further keyword arguments of async_task: save, timeout, ack_failure, hook, ...
    #[serde(default)]
    pub options: IndexMap<String, Value>,
    /// `refused`: an exception ends the enqueueing and is counted.
    #[serde(rename = "until", default, deserialize_with = "until")]
    #[schemars(with = "Option<Until>")]
    pub until_refused: bool,
}

/// What is enqueued.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(from = "Written")]
#[schemars(with = "Written")]
pub enum What {
    /// `async_task`.
    Task {
        /// The function.
        task: String,
        /// Its arguments.
        args: Vec<Value>,
        /// Its keyword arguments.
        kwargs: IndexMap<String, Value>,
    },
    /// `async_iter`: the function once for each.
    Iter {
        /// The function.
        task: String,
        /// One argument each.
        args: Vec<Value>,
    },
    /// `async_chain`: one after the other.
    Chain {
        /// Functions with their arguments.
        links: Vec<(String, Vec<Value>)>,
    },
}

/// The keys that say what is enqueued.
#[derive(serde::Deserialize, JsonSchema)]
struct Written {
    /// The task, by its dotted name or its name in shop.tasks; or a list of tasks that run one after the other
    /// (async_chain): `[{charge: [order-1]}, {ship: [order-1]}]`.
    enqueue: Tasks,
    /// The task's arguments.
    #[serde(default)]
    args: Vec<Value>,
    /// The task's keyword arguments.
    #[serde(default)]
    kwargs: IndexMap<String, Value>,
    /// The task runs once for each of these arguments (async_iter).
    iter: Option<Vec<Value>>,
}

impl From<Written> for What {
    fn from(Written { enqueue, args, kwargs, iter }: Written) -> Self {
        match (enqueue, iter) {
            (Tasks::Chain(links), _) => {
                Self::Chain { links: links.into_iter().map(|Link(task, args)| (task, args)).collect() }
            }
            (Tasks::One(Task(task)), Some(args)) => Self::Iter { task, args },
            (Tasks::One(Task(task)), None) => Self::Task { task, args, kwargs },
        }
    }
}

/// One task, or several in a chain.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(expecting = "a task, or a list of tasks")]
#[schemars(untagged)]
enum Tasks {
    #[serde(rename = "$text")]
    One(Task),
    #[serde(rename = "$list")]
    Chain(Vec<Link>),
}

/// The dotted name of a function.
#[derive(PartialEq, Eq, Hash, serde::Deserialize, JsonSchema)]
#[serde(try_from = "String")]
struct Task(String);

impl TryFrom<String> for Task {
    type Error = Diagnostic;

    fn try_from(name: String) -> Result<Self, Diagnostic> {
        let is_dotted = name.split('.').all(|part| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        });
        if !is_dotted {
            let help = "it is a function, such as `charge` (of shop.tasks) or `shop.tasks.charge`";
            return Err(Diagnostic::new(format!("`{name}` is not the name of a task")).help(help));
        }
        Ok(Self(if name.contains('.') { name } else { format!("{TASKS}.{name}") }))
    }
}

fn task<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Task::deserialize(deserializer).map(|Task(task)| task)
}

/// A task of a chain, and its arguments: `{charge: [order-1]}`.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(try_from = "IndexMap<Task, Option<Vec<Value>>>")]
#[schemars(with = "IndexMap<String, Option<Vec<Value>>>", extend("minProperties" = 1, "maxProperties" = 1))]
struct Link(String, Vec<Value>);

impl TryFrom<IndexMap<Task, Option<Vec<Value>>>> for Link {
    type Error = Diagnostic;

    fn try_from(tasks: IndexMap<Task, Option<Vec<Value>>>) -> Result<Self, Diagnostic> {
        let mut tasks = tasks.into_iter();
        match (tasks.next(), tasks.next()) {
            (Some((Task(task), args)), None) => Ok(Self(task, args.unwrap_or_default())),
            (Some(_), Some((Task(second), _))) => {
                let second = second.trim_start_matches("shop.tasks.");
                Err(Diagnostic::new(format!("a link of a chain is one task: `{second}` is a second one")))
            }
            (None, _) => Err(Diagnostic::new("a link of a chain without a task: each is one, `- charge: [order-1]`")),
        }
    }
}

/// What ends an enqueueing before its time.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Until {
    /// A task that is not accepted.
    Refused,
}

fn until<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Until::deserialize(deserializer).map(|Until::Refused| true)
}

/// The actor that does it where a step does not say.
pub(super) fn client() -> String {
    CLIENT.to_owned()
}

/// A schedule: `{schedule: charge, args: [order-1], type: hourly, due: -4d}`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The python actor that makes it; absent: `client`, which every case has.
    #[serde(default = "client")]
    pub by: String,
    /// The task, by its dotted name or its name in shop.tasks.
    #[serde(rename = "schedule", deserialize_with = "task")]
    pub task: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<Value>,
    /// Its keyword arguments.
    #[serde(default)]
    pub kwargs: IndexMap<String, Value>,
    /// once (default), minutes, hourly, daily, weekly, monthly or cron.
    #[serde(rename = "type", default)]
    pub kind: ScheduleType,
    /// Of type minutes: how many.
    pub minutes: Option<u64>,
    /// Of type cron: the expression.
    pub cron: Option<String>,
    /// How often it runs; -1: for ever.
    pub repeats: Option<i64>,
    /// Its name.
    pub name: Option<String>,
    /// Further fields of the row.
    #[serde(default)]
    pub options: IndexMap<String, Value>,
    /// When it is due: a time from now on, which may lie in the past (`10min`, `-4d`; default 0s), or a moment
    /// (`2026-10-25T02:30 Europe/Berlin`).
    #[serde(default)]
    pub due: Due,
}

/// When a schedule is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Due {
    /// So many nanoseconds from now on.
    In(#[schemars(with = "Time")] i64),
    /// At this moment.
    At(Moment),
}

impl Default for Due {
    fn default() -> Self {
        Self::In(0)
    }
}

impl<'de> Deserialize<'de> for Due {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Verbatim(text) = Verbatim::deserialize(deserializer)?;
        // A date begins with a year.
        let is_date =
            text.trim().split_once('-').is_some_and(|(year, _)| year.len() == 4 && year.parse::<u16>().is_ok());
        let due = if is_date { Moment::parse(&text).map(Self::At) } else { unit::distance(&text).map(Self::In) };
        due.map_err(serde::de::Error::custom)
    }
}

impl Schedule {
    /// The fields of its row beside task, arguments, type and time.
    pub fn fields(&self) -> IndexMap<String, Value> {
        let own = [
            ("minutes", self.minutes.map(Value::from)),
            ("cron", self.cron.clone().map(Value::from)),
            ("repeats", self.repeats.map(Value::from)),
            ("name", self.name.clone().map(Value::from)),
        ];
        let own = own.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
        own.chain(self.options.clone()).collect()
    }
}

/// The kinds of schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, JsonSchema)]
#[schemars(rename = "ScheduleType")]
#[serde(rename = "a type of schedule", rename_all = "lowercase", expecting = "a text")]
#[expect(missing_docs, reason = "they are django-q2's own words")]
pub enum ScheduleType {
    #[default]
    Once,
    Minutes,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Cron,
}
