//! The Redis that somebody else runs and whose databases arms take.

use std::sync::Arc;

use super::event::{Event, Events};
use super::life::Life;
use crate::error::Error;
use crate::service::redis::Pool;

/// That Redis, and its life.
#[derive(Debug)]
pub struct SharedRedis {
    pool: Arc<Pool>,
    /// Whether it is up.
    pub life: Life,
}

impl SharedRedis {
    /// One that answers.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, life: Life::new() }
    }

    /// Watches over it. When it goes away, that is said, and it is waited for, once; resolves with the end of the run when
    /// it goes away again or stays so.
    pub async fn watch_over(&self, events: &Events) -> Error {
        loop {
            let how = self.pool.lost().await;
            let url = &self.pool.url;
            if self.life.ends() > 1 {
                return Error::cannot_run(format!("{url} has gone away again: {how}"));
            }
            let what = "It is waited for, and the arms that it took are played again";
            let _ = events.send(Event::Hurt(format!("{url} has gone away. {what}: {how}")));
            if let Err(how) = self.pool.comes_back().await {
                return Error::cannot_run(format!("{url} has gone away and does not come back: {how}"))
                    .hint("it is not ours to start: see to it that it runs, then run again");
            }
            self.life.goes_on();
        }
    }

    /// Whether it has gone away since: see [`Life::has_died`].
    pub async fn has_died(&self, before: u32) -> bool {
        self.life.has_died(before, || async { self.pool.check().await.is_ok() }).await
    }
}
