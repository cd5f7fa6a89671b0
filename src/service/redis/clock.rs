//! The arm's clock in a Redis: its keys end by themselves, and its `TIME` is the arm's.

use std::time::{Duration, UNIX_EPOCH};

use ::redis::aio::MultiplexedConnection;
use ::redis::cmd;
use dj_regress_protocol::clock::Pace;
use tokio::time::{Instant, timeout};

use super::server::Redis;
use crate::clock::Clock;
use crate::error::{Context as _, Error, Result};

/// How long a server may take to see where its clock is. It reads the wall clock once in a millisecond at the least, and
/// goes on from there by the processor's own counter.
const DEADLINE: Duration = Duration::from_secs(2);

/// What lies between two readings of one clock.
const NEAR: Duration = Duration::from_micros(10);

impl Redis {
    /// How the arm's clock passes, if this server has it.
    pub fn pace(&self) -> Option<Pace> {
        self.clock.as_ref().map(|clock| clock.pace())
    }

    /// Waits until it has seen where the arm's clock is. One that is gone or stands still sees it when it is back.
    ///
    /// # Errors
    ///
    /// Cannot run if it answers, and does not have the arm's time.
    pub async fn see(&self) -> Result<()> {
        let Some(clock) = &self.clock else { return Ok(()) };
        match timeout(DEADLINE, self.connection()).await {
            Ok(Ok(mut connection)) => match shows(&mut connection, clock).await {
                Ok(false) => Err(Error::cannot_run("Redis does not have the arm's time")),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Whether it shows this clock.
    pub(super) async fn heeds(&self, clock: &Clock) -> Result<bool> {
        shows(&mut self.connection().await?, clock).await
    }
}

/// Whether a server shows the clock's time before the deadline.
async fn shows(connection: &mut MultiplexedConnection, clock: &Clock) -> Result<bool> {
    let (deadline, now) = (Instant::now() + DEADLINE, clock.now());
    loop {
        let (seconds, microseconds): (u64, u64) =
            cmd("TIME").query_async(connection).await.cannot_run(|| "ask Redis for its time".to_owned())?;
        let shown = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(microseconds);
        if shown + NEAR >= now && shown <= clock.now() + NEAR {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
    }
}
