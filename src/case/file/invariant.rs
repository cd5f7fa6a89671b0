//! Invariants, as they are written.

use schemars::JsonSchema;

use super::{Verbatim, present};
use crate::case::model::{Direction, Per, RedisField, Scalar, StatementUnit};

/// What is judged. `applied` and `reverted` tell the states apart; `both` is a guard.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an invariant (a mapping)")]
pub struct InvariantFile {
    /// `statements`, `rows`, `wire_bytes`, `connections`, `wal_bytes`, `writers`, `tasks.lost`, `tasks.duplicated`,
    /// `tasks.executed`, `tasks.queued`, `tasks.succeeded`, `tasks.failed`, `effects`, `log`, `redis`, `requests`,
    /// `http.answers`, `http.errors`, `http.latency`, `cache.hits`, `cache.misses`, `cache.revalidations`, `cache.entries`,
    /// `cache.bytes`, `cache.errors`, `memory`, `fetches`, `growth`, or a
    /// reading; absent: the reading of the invariant's own name.
    pub of: Option<String>,
    /// Of statements: SELECT, INSERT, UPDATE, DELETE, ...
    pub verb: Option<String>,
    /// Of statements, rows, `wal_bytes` or writers: the table.
    pub table: Option<String>,
    /// Of statements: a part of the text. Of log: a part of its lines. Of requests: a part of path and query. Of
    /// `http.answers`: a part of the body.
    pub matching: Option<String>,
    /// Of statements: a part of `file:line:function`.
    pub site: Option<String>,
    /// Of statements, `wire_bytes`, connections, requests, memory or fetches: the actor. Of `cache.*`: the proxy.
    pub actor: Option<String>,
    /// The window (`as` of a step); absent: the whole case.
    pub during: Option<String>,
    /// Divides the count by what happened in the window; `second` is for guards over wall-clock windows, `fetch` for the
    /// rows of fetches.
    pub per: Option<Per>,
    /// Of statements or fetches: count them (default) or their rows.
    pub unit: Option<StatementUnit>,
    /// Of `wire_bytes`: from the app to the server, from it, or both ways (default).
    pub direction: Option<Direction>,
    /// Of writers: INSERT, UPDATE, DELETE, TRUNCATE (default: all of them).
    pub verbs: Option<Vec<String>>,
    /// Of writers: the actors that may write. What others write is counted.
    pub allowed: Option<Vec<String>>,
    /// Of effects: which one (default: all of them).
    pub key: Option<String>,
    /// Of `http.answers`: `200`, or a class such as `2xx`.
    pub status: Option<Verbatim>,
    /// Of redis: keys, `used_memory`, `evicted_keys`, `expired_keys` or commands.
    pub field: Option<RedisField>,
    /// Of growth: the invariant whose value grows `constant`, `linear` or `quadratic` over the case's `growth`.
    #[serde(rename = "in")]
    pub growing: Option<String>,
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
