//! A server that dies without having been told to.

use std::time::Duration;

use ::redis::cmd;
use tokio::time::{Instant, sleep};

use super::external::{Pool, life_of};
use super::server::{Host, Redis};
use crate::service::address::RedisUrl;
use crate::service::files::end_of_log;

/// Between two looks at a server that is no process of ours.
const POLL: Duration = Duration::from_secs(1);

/// How many looks in a row must find a server of somebody else away.
const LOOKS: usize = 3;

/// How long a server of somebody else may be away before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(5);

impl Redis {
    /// Whether it is a server of the run's own.
    pub fn is_ours(&self) -> bool {
        !matches!(self.host, Host::External(_))
    }

    /// Whether it answers the harness.
    pub async fn answers(&self) -> bool {
        answers(&self.url, self.database).await.is_ok()
    }

    /// Resolves when it has died; says how, with the end of its log. Not to be asked of a server that somebody kills or
    /// stops on purpose, nor of one that somebody else runs: see [`Pool::lost`]. It holds nothing of the server: that may
    /// be finished meanwhile.
    pub fn died(&self) -> impl Future<Output = String> + Send + 'static {
        let (local, container) = match &self.host {
            Host::Local(local) => (Some((local.supervisor.clone(), local.pid(), local.log.clone())), None),
            Host::Contained(contained) => (None, Some(contained.container().clone())),
            Host::External(_) => (None, None),
        };
        async move {
            if let Some(container) = container {
                return container.died().await;
            }
            let Some((supervisor, pid, log)) = local else { return std::future::pending().await };
            match supervisor.exited(pid).await {
                Ok(exit) => format!("{exit}{}", end_of_log(&log)),
                // The run ends for that.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

impl Pool {
    /// Resolves when the server is away, or has been started again: what arms had there is gone then. Says how.
    pub async fn lost(&self) -> String {
        let mut looks = 0;
        loop {
            match self.check().await {
                Ok(()) => looks = 0,
                Err(Away::Restarted) => return Away::Restarted.to_string(),
                Err(why) => {
                    looks += 1;
                    if looks == LOOKS {
                        return why.to_string();
                    }
                }
            }
            sleep(POLL).await;
        }
    }

    /// Waits until it answers; it is taken as it is then.
    ///
    /// # Errors
    ///
    /// Why it does not, after 5 s.
    pub async fn comes_back(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match life_of(&self.url).await {
                Ok(life) => {
                    *self.life() = life;
                    return Ok(());
                }
                Err(why) if Instant::now() > until => return Err(why),
                Err(_) => sleep(POLL / 10).await,
            }
        }
    }

    /// Makes sure that it answers, and is the same as when the run began.
    ///
    /// # Errors
    ///
    /// That it is not.
    pub async fn check(&self) -> Result<(), Away> {
        let life = life_of(&self.url).await.map_err(Away::Silent)?;
        if life == *self.life() { Ok(()) } else { Err(Away::Restarted) }
    }
}

/// What became of a server that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Away {
    /// It does not answer, in words.
    Silent(String),
    /// It has been started again.
    Restarted,
}

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent(why) => f.write_str(why),
            Self::Restarted => f.write_str("somebody has started it again"),
        }
    }
}

/// Whether it answers: connections and answers have their own deadlines.
async fn answers(url: &RedisUrl, database: i64) -> Result<(), ::redis::RedisError> {
    let mut connection = url.connect(database).await?;
    cmd("PING").query_async::<String>(&mut connection).await.map(drop)
}
