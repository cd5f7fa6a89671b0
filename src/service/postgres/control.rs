//! What a case does to a server of its own: ended in one of three ways, started again.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::local::{Local, STOP_DEADLINE};
use crate::error::{Context as _, Error, Result};
use crate::service::lifecycle::{Change, Lifecycle};
use crate::service::shared_memory;
use crate::service::supervisor::Target;

impl Lifecycle for Local {
    async fn change(&self, change: Change) -> Result<()> {
        let signal = |signal| self.supervisor.signal_all(Target::Tree(self.pid()), signal);
        match change {
            // As a crash of the machine does it: nothing is left, not even what a postmaster removes at its end.
            Change::Kill => {
                self.supervisor.end_tree(self.pid()).await?;
                self.sweep()
            }
            Change::Stop => self.shut_down(Signal::SIGINT).await,
            // After a kill it recovers first.
            Change::Start => {
                self.sweep()?;
                self.launch().await.map(drop)
            }
            Change::Pause => signal(Signal::SIGSTOP).await.map(drop),
            Change::Resume => signal(Signal::SIGCONT).await.map(drop),
        }
    }
}

impl Local {
    /// The process id of the postmaster; of the last one, where none runs.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Sends the postmaster a signal that ends it, and waits until it is gone.
    pub async fn shut_down(&self, signal: Signal) -> Result<()> {
        // A paused one would not hear it.
        self.supervisor.signal_all(Target::Tree(self.pid()), Signal::SIGCONT).await?;
        self.supervisor.signal(self.pid(), signal).await?;
        match timeout(STOP_DEADLINE, self.supervisor.exited(self.pid())).await {
            Ok(exit) => exit.map(|_| ()),
            Err(_) => Err(Error::cannot_run(format!(
                "Postgres (process {}) did not stop within {} s of {signal}",
                self.pid(),
                STOP_DEADLINE.as_secs()
            ))),
        }
    }

    /// Ends it and removes all that it holds.
    pub async fn remove(&self) -> Result<()> {
        self.kill().await?;
        let directory = self.directory.clone();
        let remove = move || fs::remove_dir_all(&directory).cannot_run(|| format!("remove {}", directory.display()));
        tokio::task::spawn_blocking(remove).await.map_err(|error| Error::bug(error.to_string()))?
    }

    /// Removes what a killed postmaster leaves: a later process may have its pid, and would be taken for it.
    fn sweep(&self) -> Result<()> {
        let data = self.data();
        shared_memory::remove_of(&data);
        let socket = self.socket();
        for path in [socket.with_added_extension("lock"), socket, data.join("postmaster.pid")] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::cannot_run(format!("remove {}: {error}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
