//! A private nginx: processes of the supervisor's.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::control;
use super::folder::CONTROL;
use crate::clock::Preload;
use crate::error::{Error, Result};
use crate::service::locate::NginxBinary;
use crate::service::supervisor::{Spawn, Supervisor};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(2);

/// What it says, below its folder.
pub(super) const LOG: &str = "nginx.log";

/// Its master process, whose children are the worker and the two that tidy the cache up.
#[derive(Debug)]
pub(super) struct Local {
    pub supervisor: Supervisor,
    pub pid: u32,
}

impl Local {
    /// Starts it in this folder, with this configuration; it answers when this returns.
    pub async fn start(
        supervisor: &Supervisor,
        binary: &NginxBinary,
        folder: &Path,
        config: &Path,
        clock: Option<&Preload>,
    ) -> Result<Self> {
        let mut command = vec![binary.program.display().to_string()];
        for (option, path) in [("-p", folder), ("-c", config)] {
            command.extend([option.to_owned(), path.display().to_string()]);
        }
        let log = folder.join(LOG);
        let mut spawn = Spawn::new("nginx", command, folder, &log);
        if let Some(clock) = clock {
            spawn = spawn.preload(clock);
        }
        let pid = supervisor.spawn(spawn).await?;
        let local = Self { supervisor: supervisor.clone(), pid };
        if let Err(error) = local.wait_until_ready(&folder.join(CONTROL), &log).await {
            // The error says more than whether this goes well; the supervisor ends what is left.
            let _ = local.end().await;
            return Err(error);
        }
        Ok(local)
    }

    pub async fn end(&self) -> Result<()> {
        self.supervisor.end_tree(self.pid).await.map(drop)
    }

    async fn wait_until_ready(&self, control: &Path, log: &Path) -> Result<()> {
        let exited = self.supervisor.exited(self.pid);
        tokio::pin!(exited);
        let deadline = Instant::now() + START_DEADLINE;
        while control::ask(control).await.is_err() {
            let log = || fs::read_to_string(log).unwrap_or_default();
            if Instant::now() > deadline {
                let seconds = START_DEADLINE.as_secs();
                return Err(Error::cannot_run(format!("nginx did not answer within {seconds} s\n{}", log())));
            }
            if let Ok(exit) = timeout(POLL, &mut exited).await {
                return Err(Error::cannot_run(format!("nginx ended at its start: {}\n{}", exit?, log())));
            }
        }
        Ok(())
    }
}
