//! A Postgres of the run, or of one arm, with the templates that were made on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::event::{Event, Events};
use super::life::Life;
use crate::error::{Error, Result};
use crate::service::postgres::Postgres;

/// A server and its templates.
#[derive(Debug)]
pub struct TemplateServer {
    /// The server.
    pub postgres: Postgres,
    templates: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    time: AtomicU64,
    /// Whether it is up.
    pub life: Life,
}

impl TemplateServer {
    /// A server that answers.
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres, templates: Mutex::default(), time: AtomicU64::new(0), life: Life::new() }
    }

    /// Watches over the server that all arms share. When it dies, that is said, and it is brought back, once; resolves
    /// with the end of the run when it dies again or does not come back.
    pub async fn watch_over(&self, events: &Events) -> Error {
        loop {
            let how = self.postgres.died().await;
            let (gone, what) = if self.postgres.is_ours() {
                ("died", "It is started again")
            } else {
                ("gone away", "It is waited for")
            };
            if self.life.ends() > 1 {
                return Error::cannot_run(format!("Postgres has {gone} again: {how}"));
            }
            let what = format!("Postgres has {gone}. {what}, and the arms that it took are played again: {how}");
            let _ = events.send(Event::Hurt(what));
            if let Err(error) = self.postgres.revive().await {
                let message = format!("Postgres has {gone} and does not come back: {}: {how}", error.message);
                return Error { message, ..error };
            }
            self.life.goes_on();
        }
    }

    /// Whether it has died since: see [`Life::has_died`].
    pub async fn has_died(&self, before: u32) -> bool {
        self.life.has_died(before, || self.postgres.answers()).await
    }

    /// Makes the template of this key with `build`, unless it is there or being made already.
    pub async fn template<E>(&self, key: &str, build: impl AsyncFnOnce() -> Result<(), E>) -> Result<(), E> {
        let slot = {
            let mut templates = self.templates.lock();
            Arc::clone(templates.entry(key.to_owned()).or_default())
        };
        slot.get_or_try_init(|| async {
            if self.postgres.has_template(key) && self.postgres.is_sound(key).await {
                return Ok(());
            }
            let start = Instant::now();
            build().await?;
            self.time.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            Ok(())
        })
        .await
        .copied()
    }

    /// Time spent on migrating templates so far.
    pub fn template_time(&self) -> Duration {
        Duration::from_nanos(self.time.load(Ordering::Relaxed))
    }
}
