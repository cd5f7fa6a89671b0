//! What an invariant looks at: the measurements, and what each takes.

use std::fmt;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::yaml::diagnostic::Diagnostic;
use super::yaml::shape;
use super::yaml::text::Verbatim;

/// What an invariant looks at.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Quantity")]
#[serde(rename = "$of")]
pub enum Quantity {
    /// A reading of a step.
    #[serde(rename = "$reading")]
    Reading(String),
    /// Statements of the ledger, the probe's left out.
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
        /// The invariant whose value grows `constant`, `linear` or `quadratic`.
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
}

/// The verbs that write to a table.
pub const WRITES: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];

/// The ways to grow.
pub const GROWTHS: [&str; 3] = ["constant", "linear", "quadratic"];

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
            | Self::Redis { during, .. } => during.as_deref(),
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

/// What of the statements, or of the FETCHes, is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatementUnit {
    /// How many the server was asked to execute.
    #[default]
    Count,
    /// Rows that they touched or returned, where the driver knows.
    Rows,
}

/// What of the tasks is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "TaskCount")]
#[serde(rename = "$of")]
pub enum TaskCount {
    /// Accepted, never executed, and not in the queue any more.
    #[serde(rename = "tasks.lost")]
    Lost,
    /// Executions beyond the first of each task.
    #[serde(rename = "tasks.duplicated")]
    Duplicated,
    /// Executions.
    #[serde(rename = "tasks.executed")]
    Executed,
    /// Left in the queue.
    #[serde(rename = "tasks.queued")]
    Queued,
    /// Recorded as succeeded.
    #[serde(rename = "tasks.succeeded")]
    Succeeded,
    /// Recorded as failed.
    #[serde(rename = "tasks.failed")]
    Failed,
}

/// What of the requests of the harness's own clients is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename = "$of")]
pub enum HttpCount {
    /// Answers.
    #[serde(rename = "http.answers")]
    Answers,
    /// Requests that got none.
    #[serde(rename = "http.errors")]
    Errors,
    /// Seconds that the slowest answer took.
    #[serde(rename = "http.latency")]
    Latency,
}

/// What of a proxy is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename = "$of")]
pub enum CacheCount {
    /// Answered from the cache alone.
    #[serde(rename = "cache.hits")]
    Hits,
    /// Asked of the origin because nothing fit was stored.
    #[serde(rename = "cache.misses")]
    Misses,
    /// Answered from the cache after the origin has said that it still holds.
    #[serde(rename = "cache.revalidations")]
    Revalidations,
    /// Answers stored, at the end of the window.
    #[serde(rename = "cache.entries")]
    Entries,
    /// Bytes stored, at the end of the window.
    #[serde(rename = "cache.bytes")]
    Bytes,
    /// Answers of the proxy's own: it cannot reach the origin, or has waited too long.
    #[serde(rename = "cache.errors")]
    Errors,
}

/// Which answers, by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Verbatim")]
pub struct StatusFilter {
    /// The least.
    pub from: u16,
    /// The greatest.
    pub to: u16,
}

impl StatusFilter {
    /// Reads `200` or `2xx`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
            return Some(Self { from: class * 100, to: class * 100 + 99 });
        }
        let status: u16 = text.parse().ok().filter(|status| (100..=599).contains(status))?;
        Some(Self { from: status, to: status })
    }

    /// Whether it is one of them.
    pub fn takes(self, status: u16) -> bool {
        (self.from..=self.to).contains(&status)
    }
}

impl<'de> Deserialize<'de> for StatusFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Verbatim(status) = Verbatim::deserialize(deserializer)?;
        Self::parse(&status).ok_or_else(|| {
            let wrong = Diagnostic::new(format!("`{status}` is not the status of an answer"));
            de::Error::custom(wrong.help("write `200`, or a class: `2xx`").with_help())
        })
    }
}

/// Reads verbs that write, each once.
fn writes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(PartialEq)]
    struct Write(String);
    impl<'de> Deserialize<'de> for Write {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let verb = upper(deserializer)?.unwrap_or_default();
            if WRITES.contains(&verb.as_str()) {
                return Ok(Self(verb));
            }
            let unknown = Diagnostic::new(format!("`{verb}` is not a verb that writes")).suggest(&verb, WRITES);
            Err(de::Error::custom(unknown.with_help()))
        }
    }
    let mut verbs: Vec<Write> = Vec::deserialize(deserializer)?;
    verbs.dedup();
    if verbs.is_empty() {
        let wrong = Diagnostic::new("`verbs` names none").help("leave it out: all that write");
        return Err(de::Error::custom(wrong.with_help()));
    }
    Ok(verbs.into_iter().map(|Write(verb)| verb).collect())
}

fn all_writes() -> Vec<String> {
    WRITES.map(str::to_owned).to_vec()
}

fn upper<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(|verb| Some(verb.to_uppercase()))
}

/// What Redis says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisField {
    /// Keys in the arm's database (`DBSIZE`).
    #[default]
    Keys,
    /// Bytes in use.
    UsedMemory,
    /// Keys evicted so far.
    EvictedKeys,
    /// Keys expired so far.
    ExpiredKeys,
    /// Commands processed so far (`total_commands_processed`).
    Commands,
}

/// Which statements; every field that is given must match.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
pub struct StatementFilter {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, ...
    #[serde(default, deserialize_with = "upper")]
    pub verb: Option<String>,
    /// The first table it names.
    pub table: Option<String>,
    /// A part of its text.
    pub matching: Option<String>,
    /// A part of `file:line:function`.
    pub site: Option<String>,
    /// The actor.
    pub actor: Option<String>,
    /// The window (the name of a step).
    pub during: Option<String>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the app to the server.
    Up,
    /// From the server to the app.
    Down,
    /// Both ways together.
    #[default]
    Both,
}

/// What a count is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Heartbeats in the window.
    Beat,
    /// Tasks executed in the window.
    Task,
    /// Restarts in the window.
    Restart,
    /// Web requests that the steps in the window sent.
    Request,
    /// A day, projected from the heartbeats in the window and the real time between two of them.
    Day,
    /// A second of a wall-clock window; for guards only.
    Second,
    /// A FETCH of the same actor in the window; for the rows of FETCHes only.
    Fetch,
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Beat => "beat",
            Self::Task => "task",
            Self::Restart => "restart",
            Self::Day => "day",
            Self::Second => "second",
            Self::Request => "request",
            Self::Fetch => "fetch",
        })
    }
}
