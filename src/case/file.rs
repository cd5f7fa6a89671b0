//! The language as it is written: serde types from which both the loader and the JSON Schema come.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::decode::VERBATIM;
use super::model::{Per, Scalar, StatementUnit};
use crate::judge::Verdict;

/// One case of dj-regress.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a case (a mapping)")]
#[schemars(title = "dj-regress case")]
pub struct CaseFile {
    /// What goes wrong, in one line.
    pub title: String,
    /// Upstream threads, e.g. `django-q2#321`.
    #[serde(default)]
    pub issues: Vec<String>,
    /// The Python to run with, e.g. "3.11"; absent: the one the run was given.
    pub python: Option<Verbatim>,
    /// What the machine must have; a need that is not met makes the case SKIPPED.
    #[serde(default)]
    pub needs: NeedsFile,
    /// Distribution -> version of the reverted state, e.g. `{django: 5.2.*, django-q2: 1.9.0}`.
    #[serde(default)]
    pub packages: IndexMap<String, Verbatim>,
    /// Django settings, merged over the shop's.
    #[serde(default)]
    pub settings: IndexMap<String, Value>,
    /// Environment variables of the actors.
    #[serde(default)]
    pub env: IndexMap<String, Verbatim>,
    /// Values for `$name` in settings, env, steps and bounds.
    #[serde(default)]
    pub vars: IndexMap<String, Value>,
    /// The processes that the harness drives, by name.
    #[serde(default)]
    pub actors: IndexMap<String, ActorFile>,
    /// Named fixes, each a change over the base. Without one the case reproduces an open bug.
    #[serde(default)]
    pub fixes: IndexMap<String, FixFile>,
    /// The change that must make the bug go away, and the bounds that then hold.
    pub control: Option<ControlFile>,
    /// For a case without fixes: the verdict it must get (default REPRODUCED).
    pub verdict: Option<Verdict>,
    /// The incident, step by step.
    pub steps: Vec<StepFile>,
    /// What is judged, by name.
    pub invariants: IndexMap<String, InvariantFile>,
}

/// What the machine must have.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "needs (a mapping)")]
pub struct NeedsFile {
    /// Least major version of Postgres.
    pub postgres: Option<u32>,
}

/// An actor.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActorFile {
    /// A django-q2 cluster.
    Cluster(ClusterFile),
    /// A process that runs Python of the case in the namespace of this module (may be left empty).
    Python(Option<String>),
}

/// How a cluster is played.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClusterFile {
    /// Inside one process, under the virtual clock.
    Simulated,
}

/// A change over the base, and the verdict it must get.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a fix (a mapping)")]
pub struct FixFile {
    /// Other releases.
    pub packages: IndexMap<String, Verbatim>,
    /// Files of another release's wheel.
    pub take: Option<TakeFile>,
    /// A unified diff, or the path of one (`.diff`, `.patch`) relative to the case file.
    pub patch: Option<String>,
    /// Named spans of the applied state, each with its reverted text.
    pub edits: IndexMap<String, EditFile>,
    /// Django settings, merged deeply over the base.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, Verbatim>,
    /// Other values for the case's vars.
    pub vars: IndexMap<String, Value>,
    /// The verdict that this fix must get (default PROVEN); a known wrong fix says NOT FIXED.
    pub verdict: Option<Verdict>,
}

/// A change that must make the bug go away; every other key is an invariant with the bound that then holds.
#[derive(Debug, Default, JsonSchema)]
#[serde(default)]
pub struct ControlFile {
    /// Other releases.
    pub packages: IndexMap<String, Verbatim>,
    /// Files of another release's wheel.
    pub take: Option<TakeFile>,
    /// A unified diff, or the path of one (`.diff`, `.patch`) relative to the case file.
    pub patch: Option<String>,
    /// Named spans of source text.
    pub edits: IndexMap<String, EditFile>,
    /// Django settings, merged deeply over the base.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, Verbatim>,
    /// Other values for the case's vars.
    pub vars: IndexMap<String, Value>,
    /// Invariant -> bound.
    #[serde(flatten)]
    pub bounds: IndexMap<String, Scalar>,
}

/// Files of another release: `{django-q2: 1.10.0, files: [django_q/status.py]}`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(extend("minProperties" = 2, "maxProperties" = 2))]
pub struct TakeFile {
    /// Files inside the wheel.
    pub files: Vec<String>,
    /// The distribution and its version.
    #[serde(flatten)]
    pub release: IndexMap<String, Verbatim>,
}

/// A span of source text in both states.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an edit (a mapping)")]
pub struct EditFile {
    /// The file, named from a folder of sys.path: `django_q/status.py`.
    #[serde(rename = "in")]
    pub file: String,
    /// Its text with the fix.
    pub applied: String,
    /// Its text without it.
    pub reverted: String,
    /// Why no invariant needs this edit; without it, an edit that nothing pins fails the run.
    pub unpinned: Option<String>,
}

/// The verbs of a step, in the order of the documentation.
pub const VERBS: [&str; 9] = ["start", "restart", "beat", "drain", "python", "sql", "read", "advance", "measure"];

/// One step: one verb, and `as` to name it.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a step (a mapping with one verb)")]
#[schemars(extend("oneOf" = [
    {"required": ["start"]}, {"required": ["restart"]}, {"required": ["beat"]}, {"required": ["drain"]},
    {"required": ["python"]}, {"required": ["sql"]}, {"required": ["read"]}, {"required": ["advance"]},
    {"required": ["measure"]}
]))]
pub struct StepFile {
    /// Starts a cluster: a new identity and one registering beat.
    pub start: Option<String>,
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
    /// One SQL statement, run as the harness; with `as`, its rows or single value are a reading.
    pub sql: Option<String>,
    /// Readings: name -> Python expression, evaluated apart from all measurements.
    pub read: Option<IndexMap<String, String>>,
    /// Moves the virtual clock: `2.5s`, `10min`, `1d`.
    pub advance: Option<Scalar>,
    /// Several steps as one window; needs `as`.
    pub measure: Option<Vec<StepFile>>,
    /// The name of the step's window.
    #[serde(rename = "as")]
    pub name: Option<String>,
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

/// What is judged. `applied` and `reverted` tell the states apart; `both` is a guard.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an invariant (a mapping)")]
pub struct InvariantFile {
    /// `statements`, `rows`, or a reading; absent: the reading of the invariant's own name.
    pub of: Option<String>,
    /// Of statements: SELECT, INSERT, UPDATE, DELETE, ...
    pub verb: Option<String>,
    /// Of statements or rows: the table.
    pub table: Option<String>,
    /// Of statements: a part of the text.
    pub matching: Option<String>,
    /// Of statements: a part of `file:line:function`.
    pub site: Option<String>,
    /// Of statements: the actor.
    pub actor: Option<String>,
    /// The window (`as` of a step); absent: the whole case.
    pub during: Option<String>,
    /// Divides the count by what happened in the window.
    pub per: Option<Per>,
    /// Of statements: count them (default) or their rows.
    pub unit: Option<StatementUnit>,
    /// What must hold with the fix: a value, `<= x`, `>= x`, `a..b`, `x +- 1 %`, with units.
    #[serde(default, deserialize_with = "present")]
    pub applied: Option<Scalar>,
    /// What must hold without it.
    #[serde(default, deserialize_with = "present")]
    pub reverted: Option<Scalar>,
    /// What must hold in every state.
    #[serde(default, deserialize_with = "present")]
    pub both: Option<Scalar>,
}

/// A null that is written is a value; only a key that is left out is absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A scalar's characters as they stand in the file: the version `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub struct Verbatim(pub String);

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Verbatim;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Verbatim, E> {
                Ok(Verbatim(text.to_owned()))
            }
        }
        deserializer.deserialize_newtype_struct(VERBATIM, Text)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Single;
        impl Visitor<'_> for Single {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(Value::Null))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.into()))
            }
        }
        deserializer.deserialize_any(Single)
    }
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

// By hand, because serde's `flatten` buffers what it reads and so forgets where it was.
impl<'de> Deserialize<'de> for TakeFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Release;
        impl<'de> Visitor<'de> for Release {
            type Value = TakeFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a package with its version, and `files`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TakeFile, A::Error> {
                let mut take = TakeFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "files" {
                        take.files = map.next_value()?;
                    } else {
                        take.release.insert(key, map.next_value()?);
                    }
                }
                Ok(take)
            }
        }
        deserializer.deserialize_map(Release)
    }
}

impl<'de> Deserialize<'de> for ControlFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Change;
        impl<'de> Visitor<'de> for Change {
            type Value = ControlFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a control (a mapping)")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ControlFile, A::Error> {
                let mut control = ControlFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "packages" => control.packages = map.next_value()?,
                        "take" => control.take = map.next_value()?,
                        "patch" => control.patch = map.next_value()?,
                        "edits" => control.edits = map.next_value()?,
                        "settings" => control.settings = map.next_value()?,
                        "env" => control.env = map.next_value()?,
                        "vars" => control.vars = map.next_value()?,
                        _ => {
                            control.bounds.insert(key, map.next_value()?);
                        }
                    }
                }
                Ok(control)
            }
        }
        deserializer.deserialize_map(Change)
    }
}
