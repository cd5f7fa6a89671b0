//! What an invariant looks at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CacheCount, HttpCount};

/// What an invariant looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantity {
    /// A reading of a step.
    Reading(String),
    /// Statements of the ledger, the probe's left out.
    Statements {
        /// Which.
        filter: StatementFilter,
        /// What of them.
        unit: StatementUnit,
    },
    /// `count(*)` of a table, at the end of the window or of the case.
    Rows {
        /// The table.
        table: String,
        /// The window.
        during: Option<String>,
    },
    /// Bytes between actors and Postgres.
    WireBytes {
        /// Which way.
        direction: Direction,
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// The window.
        during: Option<String>,
    },
    /// Connections that actors opened to Postgres.
    Connections {
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// The window.
        during: Option<String>,
    },
    /// Bytes that statements wrote to the write-ahead log.
    WalBytes {
        /// The first table that they name; absent: any.
        table: Option<String>,
        /// The window.
        during: Option<String>,
    },
    /// Statements that wrote to a table and came from a writer that is not allowed.
    Writers {
        /// The table.
        table: String,
        /// Of [`WRITES`], in capitals.
        verbs: Vec<String>,
        /// The actors that may.
        allowed: Vec<String>,
        /// The window.
        during: Option<String>,
    },
    /// What became of the arm's tasks, over the whole case.
    Tasks(TaskCount),
    /// Answers that the harness's own clients got.
    Http {
        /// What of them.
        count: HttpCount,
        /// `200`, or `2xx`; absent: any.
        status: Option<StatusFilter>,
        /// A part of the body.
        matching: Option<String>,
        /// The window.
        during: Option<String>,
    },
    /// Requests that a web actor has begun to handle.
    Requests {
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// A part of path and query.
        matching: Option<String>,
        /// The window.
        during: Option<String>,
    },
    /// What a proxy did.
    Cache {
        /// What of it.
        count: CacheCount,
        /// The proxy; absent: all of them.
        actor: Option<String>,
        /// The window.
        during: Option<String>,
    },
    /// How often an effect happened, over the whole case.
    Effects {
        /// The effect; absent: all of them.
        key: Option<String>,
    },
    /// Lines of the arm's log.
    Log {
        /// A part of them.
        matching: String,
        /// The window.
        during: Option<String>,
    },
    /// What Redis says of itself, at the end of the window or of the case.
    Redis {
        /// What of it.
        field: RedisField,
        /// The window.
        during: Option<String>,
    },
    /// How far an actor's process grew at its peak, in bytes.
    Memory {
        /// The actor: one process of ours.
        actor: String,
        /// The window.
        during: Option<String>,
    },
    /// FETCHes of server-side cursors.
    Fetches {
        /// The actor; absent: all of them.
        actor: Option<String>,
        /// What of them.
        unit: StatementUnit,
        /// The window.
        during: Option<String>,
    },
    /// How another invariant's value grows over the case's `growth`: one of [`GROWTHS`].
    Growth {
        /// That invariant.
        of: String,
    },
}

/// The verbs that write to a table.
pub const WRITES: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];

/// The ways to grow.
pub const GROWTHS: [&str; 3] = ["constant", "linear", "quadratic"];

impl Quantity {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskCount {
    /// Accepted, never executed, and not in the queue any more.
    Lost,
    /// Executions beyond the first of each task.
    Duplicated,
    /// Executions.
    Executed,
    /// Left in the queue.
    Queued,
    /// Recorded as succeeded.
    Succeeded,
    /// Recorded as failed.
    Failed,
}

impl TaskCount {
    /// All of them, by the measurement's name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("tasks.lost", Self::Lost),
        ("tasks.duplicated", Self::Duplicated),
        ("tasks.executed", Self::Executed),
        ("tasks.queued", Self::Queued),
        ("tasks.succeeded", Self::Succeeded),
        ("tasks.failed", Self::Failed),
    ];
}

/// Which answers, by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What Redis says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisField {
    /// Keys in the arm's database (`DBSIZE`).
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StatementFilter {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, ... in capitals.
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
