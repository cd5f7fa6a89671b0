//! `redis`: what Redis says of itself at the end of a window.

use redis::{InfoDict, cmd};

use super::measurement::{Found, Left, Measurement, Now, Sampling};
use crate::case::RedisField;
use crate::error::{Context as _, Error, Result};
use crate::service::redis::Redis;

/// One of the things it says.
pub struct RedisSays {
    /// Which.
    pub field: RedisField,
}

impl Measurement for RedisSays {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        // Of commands Redis' own count has the harness's in it. The wires have not.
        let known = left.sample.cloned().unwrap_or_else(|| Err("its window did not end".to_owned()))?;
        Ok(Found::from(if self.field == RedisField::Commands { left.flow.commands.into() } else { known }))
    }

    fn sample<'s>(&'s self, now: &'s mut Now<'_>) -> Sampling<'s> {
        Box::pin(async move {
            Some(match now.redis {
                Some(redis) => said(redis, self.field).await.map(Into::into).map_err(|error| error.message),
                None => Err("the arm has no Redis: its settings do not mention $redis".to_owned()),
            })
        })
    }
}

/// The value of a field now. Of the keys, those of the harness are left out.
async fn said(redis: &Redis, field: RedisField) -> Result<u64> {
    let doing = || "ask Redis".to_owned();
    let mut connection = redis.connection().await?;
    let name = match field {
        RedisField::Keys => {
            let keys: u64 = cmd("DBSIZE").query_async(&mut connection).await.cannot_run(doing)?;
            return Ok(keys.saturating_sub(redis.own_keys()));
        }
        RedisField::UsedMemory => "used_memory",
        RedisField::EvictedKeys => "evicted_keys",
        RedisField::ExpiredKeys => "expired_keys",
        // Counted on the wires; asked for all the same, as there has to be a Redis.
        RedisField::Commands => "total_commands_processed",
    };
    let info: InfoDict = cmd("INFO").query_async(&mut connection).await.cannot_run(doing)?;
    info.get(name).ok_or_else(|| Error::cannot_run(format!("Redis says nothing of {name}")))
}
