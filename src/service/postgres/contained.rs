//! A server in a container of the run's own.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Client;

use super::{APP, Host, Login, PORT, Postgres, PostgresWants, SETUP, SUPERUSER, State, config, connect, failed};
use crate::error::{Context as _, Result};
use crate::service::docker::{self, Daemon, Owner};
use crate::service::run_directory::RunDirectory;

/// A fast shutdown writes a checkpoint.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A server in a container.
#[derive(Debug)]
pub(super) struct Contained {
    server: docker::postgres::Postgres,
    /// Whether it is one arm's own.
    pub is_private: bool,
}

impl Postgres {
    /// Starts one in a container of this image.
    ///
    /// # Errors
    ///
    /// Usage if a setting cannot be set; cannot run if the image cannot be had, or the server does not answer within a
    /// minute; with the end of its log.
    pub(in crate::service) async fn start_contained(
        daemon: &Daemon,
        owner: &Owner,
        image: &str,
        run_directory: &RunDirectory,
        wants: &PostgresWants,
    ) -> Result<Self> {
        let settings = config::arguments(&wants.settings)?;
        let private = tempfile::Builder::new().prefix("postgres-").tempdir_in(run_directory.path());
        let private = private.cannot_run(|| format!("make a folder in {}", run_directory.path().display()))?.keep();
        let folder = docker::socket_folder(&private, "c")?;
        let wanted =
            docker::postgres::Wanted { owner, image, folder: &folder, superuser: SUPERUSER, settings: &settings };
        let server = docker::postgres::Postgres::start(daemon, wanted).await?;
        let contained = Contained { server, is_private: wants.private };
        let admin = contained.connect().await?;
        let setup = format!("CREATE ROLE {APP} LOGIN NOSUPERUSER; {SETUP}");
        admin.batch_execute(&setup).await.map_err(|error| failed("set up the server", &error))?;
        let app = Login { user: APP.to_owned(), password: None };
        Self::new(Host::Contained(contained), admin, app, String::new(), State::default()).await
    }
}

impl Contained {
    /// How the harness connects.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.server.socket_directory()).port(PORT).user(SUPERUSER).dbname(database);
        config.application_name("dj-regress");
        config
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.server.socket_directory().join(format!(".s.PGSQL.{PORT}"))
    }

    pub async fn kill(&self) -> Result<()> {
        self.server.container().kill().await
    }

    pub async fn stop(&self) -> Result<()> {
        self.server.container().stop(STOP_GRACE).await
    }

    /// Starts it again on the same data and the same socket; after a kill it recovers first.
    pub async fn start_again(&self) -> Result<Client> {
        self.server.container().start().await?;
        self.server.wait_until_ready().await?;
        self.connect().await
    }

    pub async fn pause(&self) -> Result<()> {
        self.server.container().pause().await
    }

    pub async fn resume(&self) -> Result<()> {
        self.server.container().unpause().await
    }

    /// Removes the container with all that it holds.
    pub async fn remove(self) -> Result<()> {
        self.server.remove().await
    }

    async fn connect(&self) -> Result<Client> {
        connect(&self.config("postgres")).await.map_err(|error| failed("connect to postgres", &error))
    }
}
