//! What measurements count, and of what.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::yaml::diagnostic::Diagnostic;
use super::yaml::error::refused;
use super::yaml::text::Verbatim;

/// The verbs that write to a table.
pub const WRITES: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];

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
    /// Recorded as failed, or seen to fail the last time that they were run.
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
    /// Requests that got none, or one of 400 or more.
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
            refused(wrong.help("write `200`, or a class: `2xx`"))
        })
    }
}

/// Reads verbs that write, each once.
pub fn writes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(PartialEq)]
    struct Write(String);
    impl<'de> Deserialize<'de> for Write {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let verb = upper(deserializer)?.unwrap_or_default();
            if WRITES.contains(&verb.as_str()) {
                return Ok(Self(verb));
            }
            let unknown = Diagnostic::new(format!("`{verb}` is not a verb that writes")).suggest(&verb, WRITES);
            Err(refused(unknown))
        }
    }
    let mut verbs: Vec<Write> = Vec::deserialize(deserializer)?;
    verbs.dedup();
    if verbs.is_empty() {
        let wrong = Diagnostic::new("`verbs` names none").help("leave it out: all that write");
        return Err(refused(wrong));
    }
    Ok(verbs.into_iter().map(|Write(verb)| verb).collect())
}

/// All verbs that write.
pub fn all_writes() -> Vec<String> {
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
    /// Commands that actors sent in the window, but for those that set a connection up.
    Commands,
}

/// Which statements; every field that is given must match.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
pub struct StatementFilter {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, ...: what it is, or does to a table.
    #[serde(default, deserialize_with = "upper")]
    pub verb: Option<String>,
    /// A table that it names anywhere; with `verb`, one that it does this to.
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
