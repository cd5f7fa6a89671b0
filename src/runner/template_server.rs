//! A Postgres of the run, or of one arm, with the templates that were made on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};

use super::event::{Event, Events};
use crate::deadline;
use crate::error::{Error, Result};
use crate::service::postgres::{Postgres, QUESTIONS};

/// Between two looks at a server whose arm has broken.
const POLL: Duration = Duration::from_millis(20);

/// A server and its templates.
#[derive(Debug)]
pub struct TemplateServer {
    /// The server.
    pub postgres: Postgres,
    templates: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    time: AtomicU64,
    life: watch::Sender<Life>,
}

/// Whether a server is up, and how often it has died so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    deaths: u32,
    is_up: bool,
}

impl TemplateServer {
    /// A server that answers.
    pub fn new(postgres: Postgres) -> Self {
        let life = watch::Sender::new(Life { deaths: 0, is_up: true });
        Self { postgres, templates: Mutex::default(), time: AtomicU64::new(0), life }
    }

    /// Watches over the server that all arms share. When it dies, that is said, and it is brought back, once; resolves
    /// with the end of the run when it dies again or does not come back.
    pub async fn watch_over(&self, events: &Events) -> Error {
        loop {
            let how = self.postgres.died().await;
            let mut deaths = 0;
            self.life.send_modify(|life| {
                life.deaths += 1;
                life.is_up = false;
                deaths = life.deaths;
            });
            if deaths > 1 {
                return Error::cannot_run(format!("Postgres has died again: {how}"));
            }
            let what = "Postgres has died. It is started again, and the arms that it took are played again";
            let _ = events.send(Event::Hurt(format!("{what}: {how}")));
            if let Err(error) = self.postgres.revive().await {
                let message = format!("Postgres has died and does not come back: {}: {how}", error.message);
                return Error { message, ..error };
            }
            self.life.send_modify(|life| life.is_up = true);
        }
    }

    /// How often it has died so far, as soon as it is up.
    pub async fn up(&self) -> u32 {
        let mut life = self.life.subscribe();
        // The sender lives as long as we do; where the server does not come back, the run ends.
        life.wait_for(|life| life.is_up).await.map_or(0, |life| life.deaths)
    }

    /// Resolves when it has died more often than that.
    pub async fn died(&self, before: u32) {
        let mut life = self.life.subscribe();
        let _ = life.wait_for(|life| life.deaths > before).await;
    }

    /// Whether it has died since: asked when something on it has failed, which may be seen before its death is.
    pub async fn has_died(&self, before: u32) -> bool {
        // Whoever watches over it asks it so often, and waits so long for an answer.
        let deadline = Instant::now() + QUESTIONS + 2 * deadline::step();
        while self.life.borrow().deaths == before {
            if self.postgres.answers().await {
                return self.life.borrow().deaths > before;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
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
