//! A Redis that answers, the same wherever it runs.

use std::path::Path;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;

use super::contained::{Contained, Wanted};
use super::external::{Pool, Taken};
use super::local::Local;
use super::wants::RedisWants;
use crate::clock::{Clock, Clocks};
use crate::deadline;
use crate::error::{Error, Result};
use crate::proxy::Endpoint;
use crate::service::address::RedisUrl;
use crate::service::docker::{self, Daemon, Owner};
use crate::service::lifecycle::{Change, Lifecycle};
use crate::service::locate::RedisBinary;
use crate::service::supervisor::Supervisor;

/// A Redis that answers; until it is killed or stopped. Nothing that it holds survives either: it writes nothing down.
#[derive(Debug)]
pub struct Redis {
    pub(super) host: Host,
    /// How to reach it, and as whom.
    pub(super) url: RedisUrl,
    /// Which of its databases is the arm's.
    pub(super) database: i64,
    /// The clock that it has; none, where it has the machine's.
    pub(super) clock: Option<Arc<Clock>>,
}

/// Where a server runs.
#[derive(Debug)]
pub(super) enum Host {
    Local(Local),
    Contained(Contained),
    External(Taken),
}

impl Redis {
    /// Starts one in this folder, which becomes the home of its socket `redis.sock` and its log `redis.log`.
    ///
    /// # Errors
    ///
    /// Cannot run if it ends or does not answer within 30 s; with the end of its log.
    pub(in crate::service) async fn start_local(
        supervisor: &Supervisor,
        binary: &RedisBinary,
        (wants, clocks): (&RedisWants, &Clocks),
        folder: &Path,
    ) -> Result<Self> {
        let preload = wants.clock.as_ref().map(|clock| clocks.quiet(clock));
        let local = Local::start(supervisor, binary, wants, preload, folder).await?;
        let url = local.url.clone();
        Self { host: Host::Local(local), url, database: 0, clock: None }.with_clock(wants).await
    }

    /// Starts one in a container of this image, with its socket below this folder.
    ///
    /// # Errors
    ///
    /// Cannot run if the image cannot be had, or the server does not answer within 30 s; with the end of its log.
    pub(in crate::service) async fn start_contained(
        daemon: &Daemon,
        owner: &Owner,
        image: &str,
        folder: &Path,
        (wants, clocks): (&RedisWants, &Clocks),
    ) -> Result<Self> {
        let folder = docker::socket_folder(folder, "redis")?;
        let preload = wants.clock.as_ref().map(|clock| clocks.quiet(clock));
        let (maxmemory, policy, clock) = (wants.maxmemory, wants.policy.as_deref(), preload.as_ref());
        let wanted = Wanted { owner, image, folder: &folder, maxmemory, policy, clock };
        let contained = match Contained::start(daemon, wanted).await {
            // An image of another C library.
            Err(error) if clock.is_some_and(|clock| clock.is_to_blame(&error)) => {
                Contained::start(daemon, Wanted { clock: None, ..wanted }).await
            }
            started => started,
        }?;
        let url = RedisUrl::of_socket(contained.socket().to_owned());
        Self { host: Host::Contained(contained), url, database: 0, clock: None }.with_clock(wants).await
    }

    /// With the clock that is wanted, if it heeds it.
    async fn with_clock(mut self, wants: &RedisWants) -> Result<Self> {
        if let Some(clock) = &wants.clock
            && self.heeds(clock).await?
        {
            self.clock = Some(Arc::clone(clock));
        }
        Ok(self)
    }

    /// Takes a database of a server that somebody else runs; waits until one is free.
    ///
    /// # Errors
    ///
    /// Cannot run if none is empty, or the server does not answer.
    pub(in crate::service) async fn take_external(pool: &Arc<Pool>) -> Result<Self> {
        let taken = pool.take(deadline::turn()).await?;
        let database = taken.database;
        Ok(Self { host: Host::External(taken), url: pool.url.clone(), database, clock: None })
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
            Host::External(_) => 1,
        }
    }

    /// Its process id, where it is a process of this run.
    pub fn pid(&self) -> Option<u32> {
        match &self.host {
            Host::Local(local) => Some(local.pid()),
            Host::Contained(_) | Host::External(_) => None,
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
            Host::External(taken) => taken.give_back().await,
        }
    }
}

impl Lifecycle for Redis {
    async fn change(&self, change: Change) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.change(change).await,
            Host::Contained(contained) => contained.change(change).await,
            Host::External(taken) => Err(taken.pool.not_ours(change)),
        }
    }
}
