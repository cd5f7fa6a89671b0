//! How often the servers have died that all arms of a run share.

use super::context::RunContext;

/// Deaths so far.
#[derive(Debug, Clone, Copy)]
pub struct Deaths {
    postgres: u32,
    redis: u32,
}

/// Which of them an arm uses.
#[derive(Debug, Clone, Copy)]
pub struct Uses {
    /// The run's Postgres, not one of its own.
    pub postgres: bool,
    /// Redis.
    pub redis: bool,
}

impl RunContext {
    /// The deaths so far, as soon as all are up.
    pub async fn up(&self) -> Deaths {
        let postgres = self.server.life.up().await;
        let redis = match &self.redis {
            Some(redis) => redis.life.up().await,
            None => 0,
        };
        Deaths { postgres, redis }
    }

    /// Resolves when one that is used has died since; says that it has.
    pub async fn died(&self, before: Deaths, uses: Uses) -> String {
        let redis = async {
            match &self.redis {
                Some(redis) => redis.life.died(before.redis).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.server.life.died(before.postgres), if uses.postgres => "Postgres has died".to_owned(),
            () = redis, if uses.redis => "Redis has gone away".to_owned(),
            else => std::future::pending().await,
        }
    }

    /// Which one that is used has died since, after something has gone wrong: that may be seen before the death is.
    pub async fn has_died(&self, before: Deaths, uses: Uses) -> Option<&'static str> {
        if self.server.has_died(before.postgres).await {
            return Some("Postgres has died");
        }
        let redis = self.redis.as_ref().filter(|_| uses.redis)?;
        redis.has_died(before.redis).await.then_some("Redis has gone away")
    }
}
