//! An nginx in a container of the run's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control;
use super::folder::{CONFIG, CONTROL};
use crate::clock::Preload;
use crate::error::Result;
use crate::service::docker::{Container, Daemon, INSIDE, Owner, Spec};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// Where a container sees the folder of the origin's socket.
pub(super) const ORIGIN: &str = "/origin";

/// Which nginx to run, and on what.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// An image that honours the contract of the official one.
    pub image: &'a str,
    /// Where its configuration is and its sockets will be.
    pub folder: &'a Path,
    /// Where the origin's socket is or will be: it may be made anew, and a link to it alone would be to the old one.
    pub origin_folder: &'a Path,
    /// What shows it the clock of its arm.
    pub clock: Option<&'a Preload>,
}

/// A running nginx, and its container.
#[derive(Debug)]
pub struct Contained {
    container: Container,
    control: PathBuf,
}

impl Contained {
    /// Starts one; it answers on its sockets when this returns.
    ///
    /// # Errors
    ///
    /// Cannot run if the image cannot be had, or the server does not answer within 30 s; with the end of its log. Its
    /// container is removed then.
    pub async fn start(daemon: &Daemon, wanted: Wanted<'_>) -> Result<Self> {
        let arguments = ["nginx", "-c", &format!("{INSIDE}/{CONFIG}")].map(str::to_owned).into();
        let folders = [(wanted.folder, INSIDE), (wanted.origin_folder, ORIGIN)];
        let spec = Spec {
            arguments,
            folders: folders.map(|(here, there)| (here.to_owned(), there.to_owned())).into(),
            ..Spec::new("nginx", wanted.owner, wanted.image)
        };
        let spec = spec.preload(wanted.clock);
        let container = daemon.run(spec).await?;
        let nginx = Self { container, control: wanted.folder.join(CONTROL) };
        if let Err(error) = nginx.wait_until_ready().await {
            // The error says more than whether this goes well; the labels find what is left.
            let _ = nginx.remove().await;
            return Err(error);
        }
        Ok(nginx)
    }

    /// Its container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon refuses.
    pub async fn remove(self) -> Result<()> {
        self.container.remove().await
    }

    async fn wait_until_ready(&self) -> Result<()> {
        self.container.wait_until(START_DEADLINE, || async { control::ask(&self.control).await.is_ok() }).await
    }
}
