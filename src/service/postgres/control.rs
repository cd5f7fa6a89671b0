//! What a case does to a server of its own: ended in one of three ways, started again.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;

use nix::sys::signal::Signal;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::STOP_DEADLINE;
use super::start::Local;
use crate::error::{Context as _, Error, Result};
use crate::service::keeper::Target;
use crate::service::shared_memory;

impl Local {
    /// The process id of the postmaster; of the last one, where none runs.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// SIGKILL to the postmaster and all its children, as a crash of the machine does it; nothing of them is left, not
    /// even what a postmaster removes at its end.
    pub async fn kill(&self) -> Result<()> {
        self.keeper.end_tree(self.pid()).await?;
        self.sweep()
    }

    /// Sends the postmaster a signal that ends it, and waits until it is gone.
    pub async fn shut_down(&self, signal: Signal) -> Result<()> {
        // A stopped one would not hear it.
        self.resume().await?;
        self.keeper.signal(self.pid(), signal).await?;
        match timeout(STOP_DEADLINE, self.keeper.exited(self.pid())).await {
            Ok(exit) => exit.map(|_| ()),
            Err(_) => Err(Error::cannot_run(format!(
                "Postgres (process {}) did not stop within {} s of {signal}",
                self.pid(),
                STOP_DEADLINE.as_secs()
            ))),
        }
    }

    /// Starts it again on the same data and the same socket; after a kill it recovers first.
    pub async fn start_again(&self) -> Result<Client> {
        self.sweep()?;
        self.launch().await
    }

    /// SIGSTOP to all its processes.
    pub async fn pause(&self) -> Result<()> {
        self.keeper.signal_all(Target::Tree(self.pid()), Signal::SIGSTOP).await.map(drop)
    }

    /// SIGCONT to all its processes.
    pub async fn resume(&self) -> Result<()> {
        self.keeper.signal_all(Target::Tree(self.pid()), Signal::SIGCONT).await.map(drop)
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
