//! What an invariant looks at: the measurements, and what each takes.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::count::{
    CacheCount, Direction, HttpCount, RedisField, StatementFilter, StatementUnit, StatusFilter, TaskCount, all_writes,
    writes,
};
use super::yaml::shape;

/// What an invariant looks at.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Quantity")]
#[serde(rename = "$of")]
pub enum Quantity {
    /// A reading of a step.
    #[serde(rename = "$reading")]
    Reading(String),
    /// Statements that went over the actors' wires.
    #[serde(rename = "statements")]
    Statements {
        /// Which.
        #[serde(rename = "$rest")]
        #[schemars(flatten)]
        filter: StatementFilter,
        /// Count them (default) or their rows.
        #[serde(default)]
        unit: StatementUnit,
    },
    /// `count(*)` of a table, at the end of the window or of the case.
    #[serde(rename = "rows")]
    Rows {
        /// The table.
        #[serde(default)]
        table: String,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// Bytes between actors and Postgres.
    #[serde(rename = "wire_bytes")]
    WireBytes {
        /// From the app to the server, from it, or both ways (default).
        #[serde(default)]
        direction: Direction,
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// Connections that actors opened to Postgres.
    #[serde(rename = "connections")]
    Connections {
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// Bytes that statements wrote to the write-ahead log.
    #[serde(rename = "wal_bytes")]
    WalBytes {
        /// The first table that they name; absent: any.
        table: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// Statements that wrote to a table and came from a writer that is not allowed.
    #[serde(rename = "writers")]
    Writers {
        /// The table.
        #[serde(default)]
        table: String,
        /// INSERT, UPDATE, DELETE, TRUNCATE (default: all of them).
        #[serde(default = "all_writes", deserialize_with = "writes")]
        verbs: Vec<String>,
        /// The actors that may. What others write is counted.
        #[serde(default)]
        allowed: Vec<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// What became of the arm's tasks, over the whole case.
    #[serde(
        rename = "tasks.lost",
        alias = "tasks.duplicated",
        alias = "tasks.executed",
        alias = "tasks.queued",
        alias = "tasks.succeeded",
        alias = "tasks.failed"
    )]
    Tasks(TaskCount),
    /// How often an effect happened, over the whole case.
    #[serde(rename = "effects")]
    Effects {
        /// The effect; absent: all of them.
        key: Option<String>,
    },
    /// Lines of the arm's log.
    #[serde(rename = "log")]
    Log {
        /// A part of them.
        #[serde(default)]
        matching: String,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// What Redis says of itself, at the end of the window or of the case.
    #[serde(rename = "redis")]
    Redis {
        /// What of it.
        #[serde(default)]
        field: RedisField,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// Requests that a web actor has begun to handle.
    #[serde(rename = "requests")]
    Requests {
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// A part of path and query.
        matching: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// Answers that the harness's own clients got.
    #[serde(rename = "http.answers", alias = "http.errors", alias = "http.latency")]
    Http {
        /// What of them.
        #[serde(rename = "$rest")]
        #[schemars(skip)]
        count: HttpCount,
        /// Of answers: `200`, or `2xx`; absent: any.
        status: Option<StatusFilter>,
        /// Of answers: a part of the body.
        matching: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// What a proxy did.
    #[serde(
        rename = "cache.hits",
        alias = "cache.misses",
        alias = "cache.revalidations",
        alias = "cache.entries",
        alias = "cache.bytes",
        alias = "cache.errors"
    )]
    Cache {
        /// What of it.
        #[serde(rename = "$rest")]
        #[schemars(skip)]
        count: CacheCount,
        /// The proxy; absent: all of them.
        actor: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// How another invariant's value grows over the case's `growth`: one of [`GROWTHS`].
    #[serde(rename = "growth")]
    Growth {
        /// The invariant whose value grows `constant`, `linear` or `quadratic`, or is `falling`.
        #[serde(rename = "in", default)]
        of: String,
    },
    /// How far an actor's process grew at its peak, in bytes.
    #[serde(rename = "memory")]
    Memory {
        /// The actor: one process of ours.
        #[serde(default)]
        actor: String,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// FETCHes of server-side cursors.
    #[serde(rename = "fetches")]
    Fetches {
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// Count them (default) or their rows.
        #[serde(default)]
        unit: StatementUnit,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
    /// How often the app tried to reach somebody who is not of the arm. Without it none may be tried.
    #[serde(rename = "outbound")]
    Outbound {
        /// A part of whom, e.g. of `10.0.0.1:5432`.
        matching: Option<String>,
        /// The window (`as` of a step); absent: the whole case.
        during: Option<String>,
    },
}

/// The ways to grow.
pub const GROWTHS: [&str; 4] = ["constant", "linear", "quadratic", "falling"];

/// The measurements: what `of` knows besides readings.
pub fn measurements() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| shape::variants::<Quantity>().into_iter().filter(|name| !name.starts_with('$')).collect());
    &NAMES
}

/// The keys that a measurement takes.
pub fn takes(measurement: &str) -> Vec<&'static str> {
    let fields = shape::fields_of::<Quantity>(measurement).into_iter();
    // Only answers have a status and a body.
    let is_hidden =
        |field: &&str| matches!(measurement, "http.errors" | "http.latency") && matches!(*field, "status" | "matching");
    fields.filter(|field| !is_hidden(field) && !measurements().contains(field)).collect()
}

/// The measurements that take a key.
pub fn takers(key: &str) -> Vec<&'static str> {
    measurements().iter().copied().filter(|measurement| takes(measurement).contains(&key)).collect()
}

impl Quantity {
    /// Whether it can be divided by what happened in its window.
    pub fn is_rate(&self) -> bool {
        match self {
            Self::Statements { .. }
            | Self::WireBytes { .. }
            | Self::Connections { .. }
            | Self::WalBytes { .. }
            | Self::Requests { .. }
            | Self::Fetches { .. } => true,
            Self::Http { count, .. } => *count == HttpCount::Answers,
            Self::Cache { count, .. } => {
                matches!(count, CacheCount::Hits | CacheCount::Misses | CacheCount::Revalidations)
            }
            _ => false,
        }
    }

    /// The window (the name of a step), where one is named.
    pub fn during(&self) -> Option<&str> {
        match self {
            Self::Statements { filter, .. } => filter.during.as_deref(),
            Self::Rows { during, .. }
            | Self::WireBytes { during, .. }
            | Self::Connections { during, .. }
            | Self::WalBytes { during, .. }
            | Self::Writers { during, .. }
            | Self::Log { during, .. }
            | Self::Http { during, .. }
            | Self::Requests { during, .. }
            | Self::Cache { during, .. }
            | Self::Memory { during, .. }
            | Self::Fetches { during, .. }
            | Self::Redis { during, .. }
            | Self::Outbound { during, .. } => during.as_deref(),
            Self::Reading(_) | Self::Tasks(_) | Self::Effects { .. } | Self::Growth { .. } => None,
        }
    }

    /// The one actor that it looks at, where one is named.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Statements { filter, .. } => filter.actor.as_deref(),
            Self::WireBytes { actor, .. }
            | Self::Connections { actor, .. }
            | Self::Requests { actor, .. }
            | Self::Fetches { actor, .. }
            | Self::Cache { actor, .. } => actor.as_deref(),
            Self::Memory { actor, .. } => Some(actor),
            _ => None,
        }
    }
}
