//! Steps, as they are written.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::case::model::Scalar;

/// The verbs of a step, in the order of the documentation.
pub const VERBS: [&str; 10] =
    ["start", "stop", "restart", "beat", "drain", "python", "sql", "read", "advance", "measure"];

/// One step: one verb, and `as` to name it.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a step (a mapping with one verb)")]
#[schemars(extend("oneOf" = [
    {"required": ["start"]}, {"required": ["stop"]}, {"required": ["restart"]}, {"required": ["beat"]},
    {"required": ["drain"]}, {"required": ["python"]}, {"required": ["sql"]}, {"required": ["read"]},
    {"required": ["advance"]}, {"required": ["measure"]}
]))]
pub struct StepFile {
    /// Starts a cluster; a simulated one gets a new identity and one registering beat.
    pub start: Option<String>,
    /// Stops a real cluster.
    pub stop: Option<String>,
    /// Restarts a cluster, once or `{q: 121}` times; 4 virtual seconds pass before each.
    #[schemars(with = "Option<Counted>")]
    pub restart: Option<ActorArgs>,
    /// Heartbeats of a cluster: one, or `{q: 200, every: 2s}`.
    #[schemars(with = "Option<Beats>")]
    pub beat: Option<ActorArgs>,
    /// Runs queued tasks in the cluster's process until none is left.
    pub drain: Option<String>,
    /// Runs Python source in a python actor: `{app: "code", times: 5}`.
    #[schemars(with = "Option<Sources>")]
    pub python: Option<ActorArgs>,
    /// One SQL statement, run as the harness, or `{psql: "statement"}` as a stranger; with `as`, its rows
    /// or single value are a reading.
    pub sql: Option<SqlFile>,
    /// Readings: name -> Python expression, evaluated apart from all measurements.
    pub read: Option<IndexMap<String, String>>,
    /// Moves the virtual clock: `2.5s`, `10min`, `1d`.
    pub advance: Option<Scalar>,
    /// Several steps as one window, or `{for: 20s}` of real time; needs `as`.
    pub measure: Option<MeasureFile>,
    /// The name of the step's window.
    #[serde(rename = "as")]
    pub name: Option<String>,
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

/// An actor by name, or a mapping of one actor and the verb's options.
#[derive(Debug, Default)]
pub struct ActorArgs(pub IndexMap<String, Scalar>);

/// `q`, or `{q: 121}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
enum Counted {
    /// The actor; once.
    Once(String),
    /// The actor and a count.
    Times(IndexMap<String, Scalar>),
}

/// `q`, or `{q: 200, every: 2s}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
enum Beats {
    /// The actor; one beat.
    Once(String),
    /// The actor and a count.
    Times {
        /// Virtual time between two beats, e.g. `2s`.
        every: Option<String>,
        /// The actor and a count.
        #[serde(flatten)]
        actor: IndexMap<String, Scalar>,
    },
}

/// `{app: "code", times: 5}`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
struct Sources {
    /// How often the source runs (default once).
    times: Option<Scalar>,
    /// The actor and its source text.
    #[serde(flatten)]
    actor: IndexMap<String, Scalar>,
}

impl<'de> Deserialize<'de> for ActorArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Args;
        impl<'de> Visitor<'de> for Args {
            type Value = ActorArgs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an actor, or a mapping with an actor")
            }
            fn visit_str<E: de::Error>(self, actor: &str) -> Result<ActorArgs, E> {
                Ok(ActorArgs(IndexMap::from([(actor.to_owned(), Scalar(Value::Null))])))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ActorArgs, A::Error> {
                let mut args = IndexMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    args.insert(key, value);
                }
                Ok(ActorArgs(args))
            }
        }
        deserializer.deserialize_any(Args)
    }
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
