//! The private Redis (or Valkey) of an arm.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisError};
use nix::sys::signal::Signal;

use super::keeper::{Keeper, Spawn};
use super::locate::RedisBinary;
use crate::error::{Error, Result};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(2);

/// A running Redis: a unix socket, no TCP, nothing written to disk.
#[derive(Debug)]
pub struct Redis {
    keeper: Keeper,
    pid: u32,
    socket: PathBuf,
    log: PathBuf,
}

impl Redis {
    /// Starts one in this folder, which becomes the home of its socket `redis.sock` and its log `redis.log`.
    ///
    /// # Errors
    ///
    /// Cannot run if it ends or does not answer within 30 s; with the end of its log.
    pub async fn start(keeper: &Keeper, binary: &RedisBinary, directory: &Path) -> Result<Self> {
        let (socket, log) = (directory.join("redis.sock"), directory.join("redis.log"));
        let mut command = vec![binary.program.display().to_string()];
        let path = socket.display().to_string();
        let options = [
            ("--port", "0"),
            ("--unixsocket", path.as_str()),
            ("--unixsocketperm", "700"),
            ("--save", ""),
            ("--appendonly", "no"),
            ("--daemonize", "no"),
            ("--databases", "16"),
        ];
        command.extend(options.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]));
        let pid = keeper.spawn(Spawn::new("redis", command, directory, &log)).await?;
        let redis = Self { keeper: keeper.clone(), pid, socket, log };
        redis.wait_until_ready().await?;
        Ok(redis)
    }

    /// A connection of the harness.
    ///
    /// # Errors
    ///
    /// Cannot run if it refuses.
    pub async fn connection(&self) -> Result<MultiplexedConnection> {
        self.connect().await.map_err(|error| Error::cannot_run(format!("connect to Redis: {error}")))
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id, which is its session id too.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it at once: there is nothing to save.
    ///
    /// # Errors
    ///
    /// Cannot run if the keeper is gone.
    pub async fn stop(self) -> Result<()> {
        self.keeper.signal(self.pid, Signal::SIGKILL).await?;
        self.keeper.exited(self.pid).await.map(|_| ())
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let address = ConnectionAddr::Unix(self.socket.clone()).into_connection_info()?;
        Client::open(address)?.get_multiplexed_async_connection().await
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let exited = self.keeper.exited(self.pid);
        tokio::pin!(exited);
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Ok(mut connection) = self.connect().await
                && ::redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return Ok(());
            }
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            if Instant::now() > deadline {
                let seconds = START_DEADLINE.as_secs();
                return Err(Error::cannot_run(format!("Redis did not answer within {seconds} s\n{}", log())));
            }
            if let Ok(exit) = tokio::time::timeout(POLL, &mut exited).await {
                return Err(Error::cannot_run(format!("Redis ended at its start: {}\n{}", exit?, log())));
            }
        }
    }
}
