//! What is wanted of a Redis.

/// What is wanted of a Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisWants {
    /// The container image, e.g. `redis:7`.
    pub image: Option<String>,
    /// Bytes; without it there is no limit.
    pub maxmemory: Option<u64>,
    /// What happens when they are full, by the names of Redis' `maxmemory-policy`.
    pub policy: Option<String>,
}
