//! What a state says of its servers, with nothing left to substitute.

use indexmap::IndexMap;

/// What a state says of its servers; see [`model::Services`](crate::case::model::Services).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// Of the database.
    pub postgres: PostgresService,
    /// Of Redis.
    pub redis: RedisService,
}

/// What a state says of its database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostgresService {
    /// The container image, where containers are used.
    pub image: Option<String>,
    /// Settings by their names in `postgresql.conf`.
    pub settings: IndexMap<String, String>,
}

/// What a state says of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisService {
    /// The container image, where containers are used.
    pub image: Option<String>,
    /// Bytes.
    pub maxmemory: Option<u64>,
    /// Of [`POLICIES`](crate::case::model::POLICIES).
    pub policy: Option<String>,
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

impl Services {
    /// With what another says put over it: field by field, settings key by key.
    #[must_use]
    pub(super) fn under(mut self, over: Self) -> Self {
        self.postgres.image = over.postgres.image.or(self.postgres.image);
        self.postgres.settings.extend(over.postgres.settings);
        self.redis.image = over.redis.image.or(self.redis.image);
        self.redis.maxmemory = over.redis.maxmemory.or(self.redis.maxmemory);
        self.redis.policy = over.redis.policy.or(self.redis.policy);
        self
    }
}
