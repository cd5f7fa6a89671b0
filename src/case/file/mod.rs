//! The language as it is written: serde types from which both the loader and the JSON Schema come.

mod args;
mod change;
mod fault;
mod http;
mod invariant;
mod service;
mod step;
mod task;

use std::fmt;
use std::num::NonZeroU32;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::{Number, Value};

pub use self::args::ActorArgs;
pub use self::change::{ControlFile, EditFile, FixFile, TakeFile};
pub use self::fault::FaultFile;
pub use self::http::HttpFile;
pub use self::invariant::InvariantFile;
pub use self::service::{PostgresFile, RedisFile, ServicesFile};
pub use self::step::{ExpectFile, ForFile, MeasureFile, SqlFile, StepFile, VERBS, WaitFile};
pub use self::task::{ENQUEUE_OPTIONS, EnqueueFile, SCHEDULE_OPTIONS, ScheduleFile, UntilFile};
use super::decode::VERBATIM;
use super::model::Scalar;
use crate::case::verdict::Verdict;

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
    /// The case's own Django app: a package beside the case file (`./poll`), added to INSTALLED_APPS; its `urls` are the
    /// ROOT_URLCONF. Fixes may edit it.
    pub app: Option<String>,
    /// Distribution -> version of the reverted state, e.g. `{django: 5.2.*, django-q2: 1.9.0}`.
    #[serde(default)]
    pub packages: IndexMap<String, Verbatim>,
    /// Files of another release's wheel, put in place of the base's.
    pub take: Option<TakeFile>,
    /// A unified diff of the base, or the path of one (`.diff`, `.patch`) relative to the case file.
    pub patch: Option<String>,
    /// Named spans of the base's source: what breaks it, where no release is broken like that.
    #[serde(default)]
    pub edits: IndexMap<String, EditFile>,
    /// Django settings, merged over the shop's.
    #[serde(default)]
    pub settings: IndexMap<String, Value>,
    /// Environment variables of the actors.
    #[serde(default)]
    pub env: IndexMap<String, Verbatim>,
    /// Values for `$name` in settings, env, services, steps and bounds.
    #[serde(default)]
    pub vars: IndexMap<String, Value>,
    /// What the servers are: settings of Postgres, memory and policy of Redis, images.
    #[serde(default)]
    pub services: ServicesFile,
    /// The processes that the harness drives, by name.
    #[serde(default)]
    pub actors: IndexMap<String, ActorFile>,
    /// Named fixes, each a change over the base. Without one the case reproduces an open bug.
    #[serde(default)]
    pub fixes: IndexMap<String, FixFile>,
    /// The change that must make the bug go away, and the bounds that then hold.
    pub control: Option<ControlFile>,
    /// How often each state is run (default 1).
    #[schemars(with = "Option<NonZeroU32>")]
    pub repeat: Option<Scalar>,
    /// A var and the values that it takes one after the other: `{restarts: [1, 2, 4, 8, 16]}`.
    #[schemars(with = "Option<IndexMap<String, Vec<Number>>>")]
    pub growth: Option<IndexMap<String, Vec<Scalar>>>,
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

/// An actor: one of `cluster`, `python`, `serve`, `cache`, `stranger`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an actor (a mapping)")]
#[schemars(extend("oneOf" = [
    {"required": ["cluster"]}, {"required": ["python"]}, {"required": ["serve"]}, {"required": ["cache"]},
    {"required": ["stranger"]}
]))]
pub struct ActorFile {
    /// A django-q2 cluster.
    pub cluster: Option<ClusterFile>,
    /// Of a real cluster: how many of them (default 1).
    pub count: Option<Scalar>,
    /// A process that runs Python of the case in the namespace of this module (may be left empty).
    #[serde(default, deserialize_with = "present")]
    pub python: Option<ModuleFile>,
    /// The app's pages, over WSGI.
    pub serve: Option<ServeFile>,
    /// Of `serve`: requests that it handles at the same time (default 4).
    pub threads: Option<Scalar>,
    /// A proxy between browsers and the app: what it keeps (`none`, `strict`, `aggressive`, `broken`, `nginx`).
    pub cache: Option<Scalar>,
    /// Of `cache`: the web actor, or the next proxy, that it asks.
    pub to: Option<String>,
    /// Of `cache`: real time that it waits for an answer (default 60s).
    pub timeout: Option<Scalar>,
    /// Who connects to the database alone, not through Django, under this application_name.
    pub stranger: Option<String>,
    /// Of a cluster, python or web actor: other releases, for it alone.
    #[serde(default)]
    pub packages: IndexMap<String, Verbatim>,
    /// Of a cluster, python or web actor: Django settings, merged deeply over the state's for it alone.
    #[serde(default)]
    pub settings: IndexMap<String, Value>,
    /// Of a cluster, python or web actor: environment variables, for it alone.
    #[serde(default)]
    pub env: IndexMap<String, Verbatim>,
}

/// A dotted module, or nothing.
#[derive(Debug, serde::Deserialize, JsonSchema)]
pub struct ModuleFile(pub Option<String>);

/// How pages are served.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServeFile {
    /// Django's WSGI handler, by waitress.
    Wsgi,
}

/// How a cluster is played.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClusterFile {
    /// Inside one process, under the virtual clock.
    Simulated,
    /// The `qcluster` command in its own process group, in real time.
    Real,
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
