//! Steps, as they are written.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::args::{ActorArgs, Beats, Counted, Holds, Processes, Restarts, Signals, Sources};
use super::fault::FaultFile;
use super::http::HttpFile;
use super::task::{EnqueueFile, ScheduleFile};
use crate::case::model::Scalar;

/// The verbs of a step, in the order of the documentation.
pub const VERBS: [&str; 22] = [
    "start", "stop", "signal", "kill", "pause", "resume", "restart", "hold", "release", "beat", "enqueue", "schedule",
    "tick", "drain", "python", "sql", "read", "http", "wait", "advance", "measure", "fault",
];

/// One step: one verb, `as` to name it, and for some verbs what stands beside them.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a step (a mapping with one verb)")]
#[schemars(extend("oneOf" = [
    {"required": ["start"]}, {"required": ["stop"]}, {"required": ["signal"]}, {"required": ["kill"]},
    {"required": ["pause"]}, {"required": ["resume"]}, {"required": ["restart"]}, {"required": ["hold"]},
    {"required": ["release"]}, {"required": ["beat"]}, {"required": ["enqueue"]}, {"required": ["schedule"]},
    {"required": ["tick"]}, {"required": ["drain"]}, {"required": ["python"]}, {"required": ["sql"]},
    {"required": ["read"]}, {"required": ["wait"]}, {"required": ["advance"]}, {"required": ["measure"]},
    {"required": ["fault"]}, {"required": ["http"]}
]))]
pub struct StepFile {
    /// Starts a cluster; a simulated one gets a new identity and one registering beat. With `expect: exit` a real
    /// one is to end by itself; `as: boot` then gives the readings `boot.reached`, `boot.exit` (its exit code, or a
    /// text such as `signal 9`) and `boot.seconds`. With `within` it is killed if it has not ended then: `boot.exit`
    /// is null.
    pub start: Option<String>,
    /// Stops a real cluster (SIGTERM) and waits for its end; one that has ended already is stopped. `as: halt` gives
    /// the readings `halt.reached`, `halt.exit` (its exit code, or a text such as `signal 9`; null if it had to be
    /// killed; of several clusters the first that is not 0) and `halt.seconds`.
    pub stop: Option<String>,
    /// Sends a signal to a real cluster, and waits for nothing: TERM to its parent, or
    /// `{q: worker, send: USR1}`.
    #[schemars(with = "Option<Signals>")]
    pub signal: Option<ActorArgs>,
    /// SIGKILL of a real cluster: all of it, or `{q: worker}`.
    #[schemars(with = "Option<Processes>")]
    pub kill: Option<ActorArgs>,
    /// SIGSTOP of a real cluster: all of it, or `{q: sentinel}`.
    #[schemars(with = "Option<Processes>")]
    pub pause: Option<ActorArgs>,
    /// SIGCONT of a real cluster: all of it, or `{q: sentinel}`.
    #[schemars(with = "Option<Processes>")]
    pub resume: Option<ActorArgs>,
    /// Restarts a cluster, once or `{q: 121}` times: a simulated one 4 virtual seconds later, a real one with SIGTERM
    /// or `{q: 3, by: kill}`.
    #[schemars(with = "Option<Restarts>")]
    pub restart: Option<ActorArgs>,
    /// The first process of a real cluster that reaches the moment stops itself there: `{q: before_ack}`; with
    /// `role: worker` only a process of that role does. Of a web actor it is a thread, or with `every: true` every one.
    #[schemars(with = "Option<Holds>")]
    pub hold: Option<ActorArgs>,
    /// The held process of this actor goes on; of a web actor, all threads that are held.
    pub release: Option<String>,
    /// Heartbeats of a cluster: one, or `{q: 200, every: 2s}`.
    #[schemars(with = "Option<Beats>")]
    pub beat: Option<ActorArgs>,
    /// Puts tasks into the queue: `{charge: [order-$i], times: 5}`. `as: put` gives the readings `put.accepted` and
    /// `put.refused`.
    pub enqueue: Option<EnqueueFile>,
    /// Makes a schedule: `{charge: [order-1], type: hourly, due: -4d}`.
    pub schedule: Option<ScheduleFile>,
    /// Runs the scheduler of a simulated cluster, once or `{q: 2}` times.
    #[schemars(with = "Option<Counted>")]
    pub tick: Option<ActorArgs>,
    /// Runs queued tasks in a simulated cluster's process, or waits for a real one, until none is left. Of a real
    /// one, `as: NAME` gives the readings `NAME.reached` and `NAME.seconds`.
    pub drain: Option<String>,
    /// Runs Python source in a python actor: `{app: "code", times: 5}`.
    #[schemars(with = "Option<Sources>")]
    pub python: Option<ActorArgs>,
    /// One SQL statement, run as the harness, or `{psql: "statement"}` as a stranger; with `as`, its rows
    /// or single value are a reading.
    pub sql: Option<SqlFile>,
    /// Readings: name -> Python expression, evaluated apart from all measurements.
    pub read: Option<IndexMap<String, String>>,
    /// Web requests: `{get: /status/$id, via: corporate, until: {$.state: SUCCESS}, times: 6}`. `as: polls` gives the
    /// readings `polls.status` (of the last answer), `polls.answers`, `polls.errors`, and with `until` `polls.reached`;
    /// without `as`, an answer of 400 or more, or none, is an error.
    pub http: Option<HttpFile>,
    /// Waits: `{until: "expression", within: 5s}`, `{held: q}` or `{quiet: web}`; needs `as: NAME`, and gives the readings
    /// `NAME.reached` and `NAME.seconds`.
    pub wait: Option<WaitFile>,
    /// Moves the virtual clock: `2.5s`, `10min`, `1d`.
    pub advance: Option<Scalar>,
    /// Several steps as one window, or `{for: 20s}` of real time; needs `as`.
    pub measure: Option<MeasureFile>,
    /// Something breaks, for as long as the steps under `while` are played, or until the arm ends.
    pub fault: Option<FaultFile>,
    /// The name of the step's window and the readings that it gives.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// Of `start`: the cluster is to `exit` by itself.
    pub expect: Option<ExpectFile>,
    /// Of `stop`, `drain` and a `start` that expects an exit: how long it may take, e.g. `10s`.
    pub within: Option<Scalar>,
    /// Of `fault`: what is done while it lasts. Of `http`: what is done while the requests are under way.
    #[serde(rename = "while")]
    pub steps: Option<Vec<StepFile>>,
}

/// What becomes of a cluster that is started.
#[derive(Debug, Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExpectFile {
    /// It ends by itself.
    Exit,
}

/// What is waited for, and until when.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "`{until: \"expression\"}`, `{held: q}` or `{quiet: web}`")]
#[schemars(extend("oneOf" = [{"required": ["until"]}, {"required": ["held"]}, {"required": ["quiet"]}]))]
pub struct WaitFile {
    /// A Python expression, evaluated apart from all measurements, again and again until it is true.
    pub until: Option<String>,
    /// The actor of which a process is to reach a hold.
    pub held: Option<String>,
    /// The web actor whose requests are all to be held, or to wait for each other.
    pub quiet: Option<String>,
    /// The deadline, e.g. `5s`; absent: 20 times what it took with the fix or under the control, at least 2 s.
    pub within: Option<Scalar>,
}

/// A statement of the harness, or of a stranger.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum SqlFile {
    /// The statement.
    Plain(String),
    /// `{psql: "statement"}`
    As(IndexMap<String, String>),
}

/// What a window spans.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum MeasureFile {
    /// These steps.
    Steps(Vec<StepFile>),
    /// Real time.
    For(ForFile),
}

/// `{for: 20s}`
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a list of steps, or `{for: 20s}`")]
pub struct ForFile {
    /// So much real time.
    #[serde(rename = "for")]
    pub time: Scalar,
}

impl<'de> Deserialize<'de> for SqlFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Statement;
        impl<'de> Visitor<'de> for Statement {
            type Value = SqlFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a statement, or a mapping with a stranger and a statement")
            }
            fn visit_str<E: de::Error>(self, statement: &str) -> Result<SqlFile, E> {
                Ok(SqlFile::Plain(statement.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SqlFile, A::Error> {
                IndexMap::deserialize(MapAccessDeserializer::new(map)).map(SqlFile::As)
            }
        }
        deserializer.deserialize_any(Statement)
    }
}

impl<'de> Deserialize<'de> for MeasureFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Window;
        impl<'de> Visitor<'de> for Window {
            type Value = MeasureFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of steps, or `{for: 20s}`")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<MeasureFile, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(MeasureFile::Steps)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MeasureFile, A::Error> {
                ForFile::deserialize(MapAccessDeserializer::new(map)).map(MeasureFile::For)
            }
        }
        deserializer.deserialize_any(Window)
    }
}
