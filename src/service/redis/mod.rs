//! Redis (or Valkey) for one arm.
//!
//! What a server is asked for is the same wherever it runs; [`Host`] is where. `local` is a private server, `given` one of
//! somebody else.

mod age;
mod contained;
mod death;
mod given;
mod local;
mod memory;

use std::path::Path;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use contained::Contained;
use given::Taken;
use local::Local;

use super::address::RedisUrl;
use super::keeper::Keeper;
use super::locate::RedisBinary;
use crate::error::{Error, Result};
use crate::proxy::Endpoint;
pub use memory::Memory;

pub use given::{Pool, look_at, undo};

/// What is wanted of a Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisWants {
    /// The container image, e.g. `redis:7`.
    pub image: Option<String>,
    /// Bytes; without it there is no limit.
    pub maxmemory: Option<u64>,
    /// What happens when they are full, by the names of Redis' `maxmemory-policy`.
    pub policy: Option<String>,
}

/// A Redis that answers; until it is killed or stopped. Nothing that it holds survives either: it writes nothing down.
#[derive(Debug)]
pub struct Redis {
    host: Host,
    /// How to reach it, and as whom.
    url: RedisUrl,
    /// Which of its databases is the arm's.
    database: i64,
}

/// Where a server runs.
#[derive(Debug)]
enum Host {
    Local(Local),
    Contained(Contained),
    Given(Taken),
}

impl Redis {
    /// Starts one in this folder, which becomes the home of its socket `redis.sock` and its log `redis.log`.
    ///
    /// # Errors
    ///
    /// Cannot run if it ends or does not answer within 30 s; with the end of its log.
    pub(super) async fn start_local(
        keeper: &Keeper,
        binary: &RedisBinary,
        wants: &RedisWants,
        folder: &Path,
    ) -> Result<Self> {
        let local = Local::start(keeper, binary, wants, folder).await?;
        let url = local.url.clone();
        Ok(Self { host: Host::Local(local), url, database: 0 })
    }

    /// Takes a database of a server that somebody else runs; waits until one is free.
    ///
    /// # Errors
    ///
    /// Cannot run if none is empty, or the server does not answer.
    pub(super) async fn take_given(pool: &Arc<Pool>) -> Result<Self> {
        let taken = pool.take().await?;
        let database = taken.database;
        Ok(Self { host: Host::Given(taken), url: pool.url.clone(), database })
    }

    /// A connection of the harness to the arm's database.
    ///
    /// # Errors
    ///
    /// Cannot run if it refuses.
    pub async fn connection(&self) -> Result<MultiplexedConnection> {
        let connected = self.url.connect(self.database).await;
        connected.map_err(|error| Error::cannot_run(format!("connect to {}: {error}", self.url)))
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.url.endpoint
    }

    /// What a client must say before anything else: `AUTH`, where there is a password, and `SELECT`. A proxy says it
    /// in the name of clients that do not know.
    pub fn preamble(&self) -> Vec<Vec<String>> {
        self.url.preamble(self.database)
    }

    /// Keys of the harness in the arm's database: the app's are `DBSIZE` without these.
    pub fn own_keys(&self) -> u64 {
        match &self.host {
            Host::Local(_) | Host::Contained(_) => 0,
            // By which the database is known to be the run's.
            Host::Given(_) => 1,
        }
    }

    /// Its process id, where it is a process of this run.
    pub fn pid(&self) -> Option<u32> {
        match &self.host {
            Host::Local(local) => Some(local.pid()),
            Host::Contained(_) | Host::Given(_) => None,
        }
    }

    /// SIGKILLs it and waits until it is gone.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not go, or this server is not ours to kill.
    pub async fn kill(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.kill().await,
            Host::Contained(contained) => contained.kill().await,
            Host::Given(taken) => Err(taken.pool.not_ours("kill")),
        }
    }

    /// An ordered shutdown; waits until it is done.
    ///
    /// # Errors
    ///
    /// Cannot run if it takes over 10 s, or this server is not ours to stop.
    pub async fn stop(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.stop().await,
            Host::Contained(contained) => contained.stop().await,
            Host::Given(taken) => Err(taken.pool.not_ours("stop")),
        }
    }

    /// Starts it again, empty, where it listened; waits until it answers.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not answer within 30 s, or this server is not ours to start.
    pub async fn start(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.launch().await,
            Host::Contained(contained) => contained.start_again().await,
            Host::Given(taken) => Err(taken.pool.not_ours("start")),
        }
    }

    /// Stops it where it is (SIGSTOP): connections stay, nothing answers.
    ///
    /// # Errors
    ///
    /// Cannot run if this server is not ours to pause.
    pub async fn pause(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.pause().await,
            Host::Contained(contained) => contained.pause().await,
            Host::Given(taken) => Err(taken.pool.not_ours("pause")),
        }
    }

    /// Undoes [`Redis::pause`].
    ///
    /// # Errors
    ///
    /// As [`Redis::pause`].
    pub async fn resume(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.resume().await,
            Host::Contained(contained) => contained.resume().await,
            Host::Given(taken) => Err(taken.pool.not_ours("resume")),
        }
    }

    /// Ends what the arm has here: its keys in a server that stays, else the server.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not go.
    pub async fn finish(self) -> Result<()> {
        match self.host {
            Host::Local(local) => local.kill().await,
            Host::Contained(contained) => contained.remove().await,
            Host::Given(taken) => taken.give_back().await,
        }
    }
}
