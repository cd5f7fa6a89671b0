//! A server that dies without having been told to: seen, explained, and brought back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::local::Local;
use super::server::{Host, Postgres};
use crate::deadline;
use crate::error::{Error, Result};
use crate::service::files::end_of_log;
use crate::service::lifecycle::Lifecycle as _;
use crate::service::procfs::Process;

/// Between two looks at a connection.
const POLL: Duration = Duration::from_millis(50);

/// Between two questions to a server that seems well: it may stand still.
pub const QUESTIONS: Duration = Duration::from_secs(10);

/// How long a postmaster takes to end that has closed its connections.
const ENDING: Duration = Duration::from_millis(500);

/// How long a server of somebody else may be away before it counts as gone, and how long one of ours may take to
/// come back by itself, as it does when only a backend has died.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the processes of a postmaster that was killed may take to end after SIGKILL.
const ORPHANS_DEADLINE: Duration = Duration::from_secs(10);

impl Postgres {
    /// Whether it is a server of the run's own.
    pub fn is_ours(&self) -> bool {
        !matches!(self.host, Host::External(_))
    }

    /// Whether it answers the harness.
    pub async fn answers(&self) -> bool {
        answers(&self.admin()).await
    }

    /// Resolves when it has died, or no longer answers; says how, with the end of its log. Not to be asked of a server
    /// that somebody kills or stops on purpose.
    pub async fn died(&self) -> String {
        let exited = async {
            match &self.host {
                Host::Local(local) => match local.supervisor.exited(local.pid()).await {
                    Ok(exit) => exit.to_string(),
                    // The run ends for that.
                    Err(_) => std::future::pending().await,
                },
                Host::Contained(_) | Host::External(_) => std::future::pending().await,
            }
        };
        tokio::pin!(exited);
        let admin = self.admin();
        let how = tokio::select! {
            how = &mut exited => how,
            // It closes its connections before it ends; a postmaster that takes them up again does not end.
            how = lost(&admin) => timeout(ENDING, &mut exited).await.unwrap_or(how),
        };
        let log = match &self.host {
            Host::Local(local) => end_of_log(&local.log()),
            Host::Contained(contained) => return contained.how_it_died(how).await,
            Host::External(external) => return format!("{}: {how}", external.url),
        };
        format!("{how}{log}")
    }

    /// Brings it back after [`Postgres::died`]: waits for one that recovers by itself, else starts it again on its data.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not come back; a server of somebody else cannot be started.
    pub async fn revive(&self) -> Result<()> {
        if self.comes_back().await {
            return Ok(());
        }
        match &self.host {
            Host::External(external) => {
                let message = format!("it is away for over {} s", PATIENCE.as_secs());
                let hint = format!("{} is not ours to start: see to it that it runs, then run again", external.url);
                return Err(Error::cannot_run(message).hint(hint));
            }
            Host::Local(local) => {
                local.kill().await?;
                local.end_orphans().await?;
            }
            // It may have ended by itself.
            Host::Contained(contained) => drop(contained.kill().await),
        }
        self.start().await
    }

    async fn runs(&self) -> bool {
        match &self.host {
            Host::Local(local) => Process::is_running(local.pid()),
            Host::Contained(contained) => contained.runs().await,
            Host::External(_) => true,
        }
    }

    /// Whether it lets us in again, soon.
    async fn comes_back(&self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.runs().await {
            if let Ok(Ok(client)) = timeout(PATIENCE, self.admin_client()).await
                && answers(&client).await
            {
                *self.admin.lock() = Arc::new(client);
                return true;
            }
            sleep(POLL).await;
        }
        false
    }

    async fn admin_client(&self) -> Result<Client> {
        match &self.host {
            Host::Local(_) | Host::Contained(_) => self.client("postgres").await,
            Host::External(external) => self.client(&external.url.database).await,
        }
    }
}

impl Local {
    /// Backends outlive a postmaster that was SIGKILLed by moments, and hold its memory: none may be left when another
    /// one starts on their data.
    async fn end_orphans(&self) -> Result<()> {
        let data = self.data();
        let deadline = Instant::now() + ORPHANS_DEADLINE;
        loop {
            let mut left = Process::descendants(self.supervisor.pid());
            left.retain(|process| !process.is_zombie() && process.working_directory().as_ref() == Some(&data));
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::cannot_run(format!("processes of {} do not end", data.display())));
            }
            for process in left {
                self.supervisor.signal(process.pid, Signal::SIGKILL).await?;
            }
            sleep(POLL).await;
        }
    }
}

/// Resolves when a connection is lost, or its server stands still.
async fn lost(admin: &Client) -> String {
    let mut asked = Instant::now();
    while !admin.is_closed() {
        if asked.elapsed() > QUESTIONS.min(deadline::step()) {
            if timeout(deadline::step(), admin.simple_query("")).await.is_err() {
                return format!("no answer within {} s", deadline::step().as_secs());
            }
            asked = Instant::now();
        }
        sleep(POLL).await;
    }
    "it has closed its connections".to_owned()
}

async fn answers(admin: &Client) -> bool {
    matches!(timeout(PATIENCE, admin.simple_query("")).await, Ok(Ok(_)))
}
