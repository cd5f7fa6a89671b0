//! What a state says of the servers that it uses.

use indexmap::IndexMap;

use super::Scalar;

/// Redis' own words for what it does when its memory is full.
pub const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// What is said of the servers; all of it may hold `$vars`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Services {
    /// Of the database.
    pub postgres: PostgresService,
    /// Of Redis.
    pub redis: RedisService,
}

/// What is said of the database.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PostgresService {
    /// The container image, e.g. `postgres:17`, where containers are used.
    pub image: Option<Scalar>,
    /// Settings by their names in `postgresql.conf`.
    pub settings: IndexMap<String, String>,
}

/// What is said of Redis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RedisService {
    /// The container image, e.g. `redis:7`, where containers are used.
    pub image: Option<Scalar>,
    /// Bytes, with a unit.
    pub maxmemory: Option<Scalar>,
    /// Of [`POLICIES`].
    pub policy: Option<Scalar>,
}

impl Services {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
