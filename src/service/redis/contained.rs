//! A Redis in a container of the run's own.

use std::path::Path;
use std::time::Duration;

use super::{Host, Redis, RedisWants};
use crate::error::Result;
use crate::service::address::RedisUrl;
use crate::service::docker::{self, Daemon, Owner};

/// There is nothing to save.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A Redis in a container.
#[derive(Debug)]
pub(super) struct Contained {
    server: docker::redis::Redis,
}

impl Redis {
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
        wants: &RedisWants,
    ) -> Result<Self> {
        let folder = docker::socket_folder(folder, "redis")?;
        let wanted = docker::redis::Wanted {
            owner,
            image,
            folder: &folder,
            maxmemory: wants.maxmemory,
            policy: wants.policy.as_deref(),
        };
        let server = docker::redis::Redis::start(daemon, wanted).await?;
        let url = RedisUrl::of_socket(server.socket().to_owned());
        Ok(Self { host: Host::Contained(Contained { server }), url, database: 0 })
    }
}

impl Contained {
    pub async fn kill(&self) -> Result<()> {
        self.server.container().kill().await
    }

    pub async fn stop(&self) -> Result<()> {
        self.server.container().stop(STOP_GRACE).await
    }

    /// Starts it again, empty, on the same socket.
    pub async fn start_again(&self) -> Result<()> {
        self.server.container().start().await?;
        self.server.wait_until_ready().await
    }

    pub async fn pause(&self) -> Result<()> {
        self.server.container().pause().await
    }

    pub async fn resume(&self) -> Result<()> {
        self.server.container().unpause().await
    }

    /// Removes the container.
    pub async fn remove(self) -> Result<()> {
        self.server.remove().await
    }
}
