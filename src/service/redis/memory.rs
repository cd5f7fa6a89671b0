//! What can happen to the memory of a Redis that is the arm's own.

use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{FromRedisValue, cmd};

use super::server::Redis;
use crate::error::{Context as _, Error, Result};

/// Redis evicts between two turns of its event loop.
const EVICTION_DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks at it.
const POLL: Duration = Duration::from_millis(5);

/// The memory that a Redis may use, and what it does beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    maxmemory: String,
    policy: String,
}

impl Redis {
    /// Leaves no memory: what would need more is refused. Gives what was before.
    ///
    /// # Errors
    ///
    /// Cannot run if Redis refuses, or is not ours to set.
    pub async fn fill(&self) -> Result<Memory> {
        let mut connection = self.connection().await?;
        let before = memory(&mut connection).await?;
        // The least that can be said; zero would be no limit.
        set(&mut connection, &Memory { maxmemory: "1".to_owned(), policy: "noeviction".to_owned() }).await?;
        Ok(before)
    }

    /// Undoes [`Redis::fill`].
    ///
    /// # Errors
    ///
    /// As [`Redis::fill`].
    pub async fn restore(&self, memory: &Memory) -> Result<()> {
        set(&mut self.connection().await?, memory).await
    }

    /// Forgets all keys.
    ///
    /// # Errors
    ///
    /// Cannot run if Redis refuses.
    pub async fn flush(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        ask::<()>(&mut connection, &["FLUSHALL", "SYNC"]).await
    }

    /// Evicts all keys, as Redis does where the policy lets it take any.
    ///
    /// # Errors
    ///
    /// Cannot run if Redis refuses, is not ours to set, or has not evicted all within 10 s.
    pub async fn evict(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        let before = memory(&mut connection).await?;
        set(&mut connection, &Memory { maxmemory: "1".to_owned(), policy: "allkeys-random".to_owned() }).await?;
        let deadline = Instant::now() + EVICTION_DEADLINE;
        let evicted = loop {
            match ask::<u64>(&mut connection, &["DBSIZE"]).await {
                Ok(0) => break Ok(()),
                Ok(left) if Instant::now() > deadline => {
                    let seconds = EVICTION_DEADLINE.as_secs();
                    break Err(Error::cannot_run(format!(
                        "Redis still has {left} keys {seconds} s after it had to evict"
                    )));
                }
                Ok(_) => tokio::time::sleep(POLL).await,
                Err(error) => break Err(error),
            }
        };
        set(&mut connection, &before).await?;
        evicted
    }
}

async fn memory(connection: &mut MultiplexedConnection) -> Result<Memory> {
    let (_, maxmemory): (String, String) = ask(connection, &["CONFIG", "GET", "maxmemory"]).await?;
    let (_, policy): (String, String) = ask(connection, &["CONFIG", "GET", "maxmemory-policy"]).await?;
    Ok(Memory { maxmemory, policy })
}

async fn set(connection: &mut MultiplexedConnection, memory: &Memory) -> Result<()> {
    // The policy first: what may not be evicted must not be for a moment.
    ask::<()>(connection, &["CONFIG", "SET", "maxmemory-policy", &memory.policy]).await?;
    ask(connection, &["CONFIG", "SET", "maxmemory", &memory.maxmemory]).await
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<T> {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(connection).await.cannot_run(|| format!("Redis: {}", words.join(" ")))
}
