//! Servers of an arm's own that die though the case does not hurt them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Session;

/// How long it may take until the death of a server is told that does not answer.
const NOTICE: Duration = Duration::from_secs(2);

/// Watches an arm's own servers.
#[derive(Debug)]
pub(super) struct Losses {
    sender: Sender<String>,
    watching: JoinSet<()>,
}

impl Losses {
    pub(super) fn new() -> Self {
        Self { sender: mpsc::channel(1).0, watching: JoinSet::new() }
    }

    /// Looks no longer.
    pub(super) async fn end(&mut self) {
        self.watching.shutdown().await;
    }

    fn watch(&mut self, name: &'static str, died: impl Future<Output = String> + Send + 'static) {
        let sender = self.sender.clone();
        self.watching.spawn(async move {
            let how = died.await;
            // The first loss is told; whoever listened may have gone.
            let _ = sender.try_send(format!("{name} has died: {how}"));
        });
    }
}

impl Session<'_> {
    /// Tells how a server of the arm's own has died, if one does.
    pub fn losses(&mut self) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel(1);
        self.losses.sender = sender;
        receiver
    }

    /// How a server was lost, after something has gone wrong: that may be seen before the loss is.
    pub async fn lost(&self, losses: &mut Receiver<String>) -> Option<String> {
        if let Ok(how) = losses.try_recv() {
            return Some(how);
        }
        if self.losses.watching.is_empty() {
            return None;
        }
        let redis = async {
            match &self.redis {
                Some(redis) => redis.answers().await,
                None => true,
            }
        };
        if redis.await && (self.is_on_shared() || self.server.postgres.answers().await) {
            return None;
        }
        timeout(NOTICE, losses.recv()).await.ok().flatten()
    }

    /// Watches the servers that are the arm's own from now on, unless its case hurts servers.
    pub(super) fn watch_servers(&mut self) {
        if self.state.server_faults() {
            return;
        }
        if let Some(redis) = &self.redis {
            self.losses.watch("the Redis of an arm", redis.died());
        }
        if !self.is_on_shared() {
            let server = Arc::clone(&self.server);
            self.losses.watch("the Postgres of an arm", async move { server.postgres.died().await });
        }
    }

    fn is_on_shared(&self) -> bool {
        Arc::ptr_eq(&self.server, &self.stage.server)
    }
}
