//! Ends the waiting of a client when its time is over. Redis measures that by its clock, and that stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::time::sleep;

use super::ask::ask;
use super::time::Wait;
use crate::proxy::Endpoint;
use crate::proxy::wire::observer::Broken;
use crate::proxy::wire::stream::{self, Stream};

/// Of one connection.
#[derive(Debug)]
pub struct Alarm {
    upstream: Endpoint,
    preamble: Vec<Vec<String>>,
    /// What the server calls the connection.
    id: AtomicI64,
    /// Commands that were answered.
    answered: AtomicU64,
}

impl Alarm {
    /// Of a connection that is about to be opened.
    pub fn new(upstream: Endpoint, preamble: Vec<Vec<String>>) -> Self {
        Self { upstream, preamble, id: AtomicI64::new(0), answered: AtomicU64::new(0) }
    }

    /// Asks the server what it calls this connection.
    pub async fn learn_id(&self, server: &Stream) -> Result<(), Broken> {
        let answer = ask(server, &[vec!["CLIENT", "ID"]]).await?;
        let number = String::from_utf8_lossy(&answer);
        let number = number.trim().trim_start_matches(':').parse().map_err(|_| Broken::Malformed)?;
        self.id.store(number, Ordering::Relaxed);
        Ok(())
    }

    /// The next command was answered.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// The command of this ordinal waits so long, by the machine's clock; unless it is answered before.
    pub fn set(self: &Arc<Self>, wait: Wait, ordinal: u64) {
        let alarm = Arc::downgrade(self);
        tokio::spawn(async move {
            sleep(wait.length()).await;
            // The connection may be closed by now.
            let Some(alarm) = alarm.upgrade() else { return };
            match wait {
                Wait::Client(_) if alarm.answered.load(Ordering::SeqCst) >= ordinal => {}
                Wait::Client(_) => {
                    let id = alarm.id.load(Ordering::Relaxed).to_string();
                    alarm.say(vec!["CLIENT", "UNBLOCK", &id, "TIMEOUT"]).await;
                }
                Wait::Everybody(_) => alarm.say(vec!["CLIENT", "UNPAUSE"]).await,
            }
        });
    }

    /// On a connection of its own. A server that is gone lets everybody go.
    async fn say(&self, command: Vec<&str>) {
        let Ok(server) = stream::connect(&self.upstream).await else { return };
        if ask(&server, &self.preamble).await.is_ok() {
            let _ = ask(&server, &[command]).await;
        }
    }
}
