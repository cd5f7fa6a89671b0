//! A server that dies without having been told to.

use std::time::Duration;

use tokio::time::sleep;

use super::server::{Host, Redis};
use crate::service::address::RedisUrl;
use crate::service::files::end_of_log;

/// Between two looks at a server that is no process of ours.
const POLL: Duration = Duration::from_secs(1);

/// How many looks in a row must find a server of somebody else away.
const LOOKS: usize = 3;

impl Redis {
    /// Whether it answers the harness.
    pub async fn answers(&self) -> bool {
        answers(&self.url, self.database).await
    }

    /// Resolves when it has died; says how, with the end of its log. Not to be asked of a server that somebody kills or
    /// stops on purpose. It holds nothing of the server: that may be finished meanwhile.
    pub fn died(&self) -> impl Future<Output = String> + Send + 'static {
        let (url, database) = (self.url.clone(), self.database);
        let local = match &self.host {
            Host::Local(local) => Some((local.supervisor.clone(), local.pid(), local.log.clone())),
            Host::Contained(_) | Host::External(_) => None,
        };
        async move {
            let Some((supervisor, pid, log)) = local else {
                away(&url, database).await;
                return format!("{url} does not answer");
            };
            match supervisor.exited(pid).await {
                Ok(exit) => format!("{exit}{}", end_of_log(&log)),
                // The run ends for that.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

async fn away(url: &RedisUrl, database: i64) {
    let mut looks = 0;
    while looks < LOOKS {
        looks = if answers(url, database).await { 0 } else { looks + 1 };
        sleep(POLL).await;
    }
}

/// Whether it answers: connections and answers have their own deadlines.
async fn answers(url: &RedisUrl, database: i64) -> bool {
    let Ok(mut connection) = url.connect(database).await else { return false };
    ::redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
}
