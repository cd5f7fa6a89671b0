//! What is wanted of a Redis.

use std::sync::Arc;

use crate::clock::Clock;

/// What is wanted of a Redis.
#[derive(Debug, Clone, Default)]
pub struct RedisWants {
    /// The container image, e.g. `redis:7`.
    pub image: Option<String>,
    /// Bytes; without it there is no limit.
    pub maxmemory: Option<u64>,
    /// What happens when they are full, by the names of Redis' `maxmemory-policy`.
    pub policy: Option<String>,
    /// The arm's clock, in place of the machine's.
    pub clock: Option<Arc<Clock>>,
}
