//! A Postgres of the run, or of one arm, with the templates that were made on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::service::postgres::Postgres;

/// A server and its templates.
#[derive(Debug)]
pub struct Server {
    /// The server.
    pub postgres: Postgres,
    templates: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    time: AtomicU64,
}

impl Server {
    /// A server that answers.
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres, templates: Mutex::default(), time: AtomicU64::new(0) }
    }

    /// Makes the template of this key with `build`, unless it is there or being made already.
    pub async fn template<E>(&self, key: &str, build: impl AsyncFnOnce() -> Result<(), E>) -> Result<(), E> {
        let slot = {
            let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(templates.entry(key.to_owned()).or_default())
        };
        slot.get_or_try_init(|| async {
            if self.postgres.has_template(key) {
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
