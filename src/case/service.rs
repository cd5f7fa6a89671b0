//! Servers: what a state says of them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::unit::{self, Bytes};
use super::yaml::error::refused;
use super::yaml::text;
use crate::input::limit;

/// A server that an arm's actors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// The arm's database.
    Postgres,
    /// The arm's Redis.
    Redis,
}

impl Server {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// What actors send to it.
    pub fn requests(self) -> &'static str {
        match self {
            Self::Postgres => "statements",
            Self::Redis => "commands",
        }
    }
}

/// What the servers are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "services (a mapping)")]
pub struct Services {
    /// The database.
    pub postgres: PostgresService,
    /// Redis.
    pub redis: RedisService,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "`{image: ..., settings: {...}}`")]
pub struct PostgresService {
    /// The container image, e.g. `postgres:17`, where containers are used.
    pub image: Option<String>,
    /// Settings by their names in postgresql.conf: `{synchronous_commit: "off"}`.
    #[serde(deserialize_with = "text::verbatim_each")]
    #[schemars(with = "IndexMap<String, text::Verbatim>")]
    pub settings: IndexMap<String, String>,
}

/// Redis.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "`{image: ..., maxmemory: 5 MB, policy: ...}`")]
pub struct RedisService {
    /// The container image, e.g. `redis:7`, where containers are used.
    pub image: Option<String>,
    /// The memory that it may use: `5 MB`.
    #[serde(deserialize_with = "memory")]
    #[schemars(with = "Option<Bytes>")]
    pub maxmemory: Option<u64>,
    /// What it does when that is full, in Redis' own words.
    pub policy: Option<Policy>,
}

/// What a Redis does when its memory is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Policy")]
#[serde(rename = "a policy of Redis", rename_all = "kebab-case", expecting = "a text")]
#[expect(missing_docs, reason = "they are Redis' own words")]
pub enum Policy {
    Noeviction,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let bytes = unit::read_bytes(deserializer)?;
    limit::REDIS.check(bytes).map_err(refused)?;
    Ok(Some(bytes))
}

impl PostgresService {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RedisService {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
