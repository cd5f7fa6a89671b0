//! Servers, as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;

use super::Verbatim;
use crate::case::model::Scalar;

/// What the servers are.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "services (a mapping)")]
pub struct ServicesFile {
    /// The database.
    pub postgres: PostgresFile,
    /// Redis.
    pub redis: RedisFile,
}

/// The database.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "`{image: ..., settings: {...}}`")]
pub struct PostgresFile {
    /// The container image, e.g. `postgres:17`, where containers are used.
    pub image: Option<Scalar>,
    /// Settings by their names in postgresql.conf: `{synchronous_commit: "off"}`.
    pub settings: IndexMap<String, Verbatim>,
}

/// Redis.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "`{image: ..., maxmemory: 5 MB, policy: ...}`")]
pub struct RedisFile {
    /// The container image, e.g. `redis:7`, where containers are used.
    pub image: Option<Scalar>,
    /// The memory that it may use: `5 MB`.
    pub maxmemory: Option<Scalar>,
    /// What it does when that is full: noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru,
    /// volatile-lfu, volatile-random or volatile-ttl.
    pub policy: Option<Scalar>,
}
