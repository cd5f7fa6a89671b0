//! An actor and what the verb does to it, as they are written.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::case::model::Scalar;

/// An actor by name, or a mapping of one actor and the verb's options.
#[derive(Debug, Default)]
pub struct ActorArgs(pub IndexMap<String, Scalar>);

/// `q`, or `{q: 121}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
pub enum Counted {
    /// The actor; once.
    Once(String),
    /// The actor and a count.
    Times(IndexMap<String, Scalar>),
}

/// `q`, or `{q: worker}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
pub enum Processes {
    /// The actor; all of its processes.
    Group(String),
    /// The actor and which of its processes: group, parent, sentinel, pusher, monitor, worker or held.
    Role(IndexMap<String, Option<String>>),
}

/// `q`, or `{q: worker, send: USR1}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
pub enum Signals {
    /// The actor; TERM to its parent.
    Term(String),
    /// The actor and which of its processes.
    Send {
        /// TERM (default), INT, HUP, USR1 or USR2.
        send: Option<String>,
        /// The actor and which of its processes: parent (default), sentinel, pusher, monitor, worker, held, or group for
        /// all of them.
        #[serde(flatten)]
        actor: IndexMap<String, Option<String>>,
    },
}

/// `q`, or `{q: 3, by: kill}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
pub enum Restarts {
    /// The actor; once.
    Once(String),
    /// The actor and a count.
    Times {
        /// Of a real cluster: `kill` it instead of stopping it.
        by: Option<String>,
        /// The actor and a count.
        #[serde(flatten)]
        actor: IndexMap<String, Scalar>,
    },
}

/// `{q: before_ack, call: 2}`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
pub struct Holds {
    /// Of a function: its `entry` (default) or its `return`.
    at: Option<String>,
    /// The n-th call counts (default 1).
    call: Option<Scalar>,
    /// Only calls by a process of this role count: parent, sentinel, pusher, monitor or worker.
    role: Option<String>,
    /// Of a web actor: true holds every thread that comes, not only the first.
    every: Option<bool>,
    /// The actor and the moment: `before_task`, `after_task`, `before_ack`, `after_ack`, one of the app's own, or
    /// `module:function`.
    #[serde(flatten)]
    actor: IndexMap<String, Scalar>,
}

/// `q`, or `{q: 200, every: 2s}`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes ActorArgs to the schema")]
pub enum Beats {
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
pub struct Sources {
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
