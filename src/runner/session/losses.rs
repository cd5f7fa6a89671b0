//! Tells when a server of an arm's own dies though the case does not hurt it.

use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinSet;

/// Watches an arm's own servers.
#[derive(Debug)]
pub struct Losses {
    pub sender: Sender<String>,
    pub watching: JoinSet<()>,
}

impl Losses {
    pub fn new() -> Self {
        Self { sender: mpsc::channel(1).0, watching: JoinSet::new() }
    }

    /// Looks no longer.
    pub async fn end(&mut self) {
        self.watching.shutdown().await;
    }

    /// Waits for this death.
    pub fn watch(&mut self, name: &'static str, died: impl Future<Output = String> + Send + 'static) {
        let sender = self.sender.clone();
        self.watching.spawn(async move {
            let how = died.await;
            // The first loss is told; whoever listened may have gone.
            let _ = sender.try_send(format!("{name} has died: {how}"));
        });
    }
}
