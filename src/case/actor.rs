//! Actors: processes (groups) of the app that the harness drives, and what stands between them.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::change;
use super::unit::{self, Time};
use super::yaml::text;
use crate::input::limit;

/// The python actor that every arm has: it enqueues and schedules where no other is named.
pub const CLIENT: &str = "client";

/// An actor, as one key says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "Actor")]
#[serde(rename = "$an actor/kind", deny_unknown_fields, expecting = "an actor (a mapping)")]
pub enum Actor {
    /// A django-q2 cluster played inside one process, under the virtual clock.
    #[serde(rename = "cluster: simulated")]
    SimulatedCluster,
    /// The `qcluster` command in its own process group, in real time.
    #[serde(rename = "cluster: real")]
    RealCluster {
        /// How many of them (default 1).
        #[serde(default = "unit::once", deserialize_with = "clusters")]
        count: u64,
    },
    /// A process that runs Python of the case in the namespace of this module (may be left empty).
    #[serde(rename = "python")]
    Python {
        /// Dotted module; may be empty.
        #[serde(rename = "python", deserialize_with = "module")]
        #[schemars(with = "Option<String>")]
        module: String,
    },
    /// The app's pages, over WSGI.
    #[serde(rename = "serve: wsgi")]
    Web {
        /// Requests that it handles at the same time (default 4, as waitress has it).
        #[serde(default = "threads", deserialize_with = "read_threads")]
        threads: u32,
    },
    /// A proxy between browsers and the app.
    #[serde(rename = "cache")]
    Proxy {
        /// What it keeps.
        #[serde(rename = "cache")]
        kind: CacheKind,
        /// The web actor, or the next proxy, that it asks.
        #[serde(default)]
        to: String,
        /// Real time that it waits for an answer (default 60s).
        #[serde(default, deserialize_with = "unit::read_optional_real_time")]
        #[schemars(with = "Option<Time>")]
        timeout: Option<Duration>,
    },
    /// Who connects to the database alone, not through Django, under this application_name.
    #[serde(rename = "stranger")]
    Stranger {
        /// The name that it gives to the server.
        #[serde(rename = "stranger", deserialize_with = "application_name")]
        application_name: String,
    },
}

/// What one actor changes of the state, for itself alone: a rolling deploy has clusters of different releases.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActorChange {
    /// Of a cluster, python or web actor: other releases, for it alone.
    #[serde(deserialize_with = "change::versions")]
    #[schemars(with = "IndexMap<String, text::Verbatim>")]
    pub packages: IndexMap<String, String>,
    /// Of a cluster, python or web actor: Django settings, merged deeply over the state's for it alone.
    pub settings: IndexMap<String, Value>,
    /// Of a cluster, python or web actor: environment variables, for it alone.
    #[serde(deserialize_with = "text::verbatim_each")]
    #[schemars(with = "IndexMap<String, text::Verbatim>")]
    pub env: IndexMap<String, String>,
}

/// The keys of [`ActorChange`].
pub const CHANGE: [&str; 3] = ["packages", "settings", "env"];

impl Actor {
    /// Whether it is a cluster of django-q2.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::SimulatedCluster | Self::RealCluster { .. })
    }

    /// Whether it answers web requests.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Web { .. } | Self::Proxy { .. })
    }

    /// Whether it runs the app.
    pub fn runs_the_app(&self) -> bool {
        !matches!(self, Self::Proxy { .. } | Self::Stranger { .. })
    }

    /// Whether it is one process of ours from its fork to the end of its arm, whose memory can be told.
    pub fn is_one_process(&self) -> bool {
        matches!(self, Self::SimulatedCluster | Self::Python { .. } | Self::Web { .. })
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SimulatedCluster => "a simulated cluster",
            Self::RealCluster { .. } => "a real cluster",
            Self::Python { .. } => "a python actor",
            Self::Web { .. } => "a web actor",
            Self::Proxy { .. } => "a proxy",
            Self::Stranger { .. } => "a stranger",
        }
    }
}

/// What a proxy between browsers and the app keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CacheKind")]
#[serde(rename = "a kind of cache", rename_all = "lowercase", expecting = "a text")]
pub enum CacheKind {
    /// Nothing: it only passes on.
    None,
    /// What RFC 9111 allows a shared cache, no longer than that.
    Strict,
    /// Whatever is not forbidden, for a while of its own choice where the answer says nothing.
    Aggressive,
    /// Even what is forbidden: it does not know `no-cache`.
    Broken,
    /// A real nginx, set up as its documentation shows.
    Nginx,
}

fn module<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn threads() -> u32 {
    4
}

fn read_threads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    unit::at_most(deserializer, limit::THREADS).map(|threads| threads as u32)
}

fn clusters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    unit::at_most(deserializer, limit::CLUSTERS)
}

fn application_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    // The server would cut it or put question marks, and the name would not be found again.
    if name.trim().is_empty() || name.len() > 63 || !name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(de::Error::custom("a stranger's application_name has 1 to 63 printable ASCII characters"));
    }
    Ok(name)
}
