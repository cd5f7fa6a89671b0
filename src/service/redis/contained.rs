//! A Redis (or Valkey) in a container of the run's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisError};

use crate::clock::Preload;
use crate::error::Result;
use crate::service::docker::{Container, Daemon, INSIDE, Owner, Spec};
use crate::service::lifecycle::{Change, Lifecycle};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// There is nothing to save.
const STOP_GRACE: Duration = Duration::from_secs(10);

const SOCKET: &str = "redis.sock";

/// Which Redis to run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// An image that honours the contract of the official one.
    pub image: &'a str,
    /// Where its socket `redis.sock` will be: see [`socket_folder`](crate::service::docker::socket_folder).
    pub folder: &'a Path,
    /// `maxmemory` in bytes.
    pub maxmemory: Option<u64>,
    /// `maxmemory-policy`.
    pub policy: Option<&'a str>,
    /// What shows it the clock of its arm.
    pub clock: Option<&'a Preload>,
}

/// A running Redis, and its container. Nothing is written to disk: started again, it is empty.
#[derive(Debug)]
pub struct Contained {
    container: Container,
    socket: PathBuf,
}

impl Contained {
    /// Starts one; it answers on its socket when this returns.
    ///
    /// # Errors
    ///
    /// Cannot run if the image cannot be had, or the server does not answer within 30 s; with the end of its log. Its
    /// container is removed then.
    pub async fn start(daemon: &Daemon, wanted: Wanted<'_>) -> Result<Self> {
        let spec = Spec {
            arguments: arguments(wanted),
            folders: vec![(wanted.folder.to_owned(), INSIDE.to_owned())],
            ..Spec::new("redis", wanted.owner, wanted.image)
        };
        let spec = spec.preload(wanted.clock);
        let container = daemon.run(spec).await?;
        let redis = Self { container, socket: wanted.folder.join(SOCKET) };
        if let Err(error) = redis.wait_until_ready().await {
            // The error says more than whether this goes well; the labels find what is left.
            let _ = redis.remove().await;
            return Err(error);
        }
        Ok(redis)
    }

    /// Waits until it answers; for after its container was started again.
    ///
    /// # Errors
    ///
    /// As [`Contained::start`], but the container stays.
    pub async fn wait_until_ready(&self) -> Result<()> {
        self.container.wait_until(START_DEADLINE, || async { self.ping().await.is_ok() }).await
    }

    /// Its container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Removes it with all that it holds.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon refuses.
    pub async fn remove(self) -> Result<()> {
        self.container.remove().await
    }

    async fn ping(&self) -> Result<(), RedisError> {
        let address = ConnectionAddr::Unix(self.socket.clone()).into_connection_info()?;
        let mut connection = Client::open(address)?.get_multiplexed_async_connection().await?;
        ::redis::cmd("PING").query_async(&mut connection).await
    }
}

impl Lifecycle for Contained {
    async fn change(&self, change: Change) -> Result<()> {
        self.container.change(change, STOP_GRACE).await?;
        if change == Change::Start { self.wait_until_ready().await } else { Ok(()) }
    }
}

fn arguments(wanted: Wanted<'_>) -> Vec<String> {
    let mut arguments = vec!["redis-server".to_owned()];
    let mut option = |name: &str, value: &str| arguments.extend([format!("--{name}"), value.to_owned()]);
    option("port", "0");
    option("unixsocket", &format!("{INSIDE}/{SOCKET}"));
    option("unixsocketperm", "777");
    option("save", "");
    option("appendonly", "no");
    if let Some(bytes) = wanted.maxmemory {
        option("maxmemory", &bytes.to_string());
    }
    if let Some(policy) = wanted.policy {
        option("maxmemory-policy", policy);
    }
    arguments
}
