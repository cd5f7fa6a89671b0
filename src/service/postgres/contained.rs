//! A server in a container of the run's own.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Client;

use super::{APP, Host, Login, PORT, Postgres, PostgresWants, SUPERUSER, State, answered, config, connect};
use crate::error::{Context as _, Result};
use crate::service::docker::{self, Daemon, Owner};
use crate::service::run_directory::RunDirectory;

/// A fast shutdown writes a checkpoint.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A server in a container.
#[derive(Debug)]
pub(super) struct Contained {
    server: docker::postgres::Postgres,
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
        let contained = Contained { server: docker::postgres::Postgres::start(daemon, wanted).await? };
        let admin = contained.connect().await?;
        let setup = format!("CREATE ROLE {APP} LOGIN NOSUPERUSER; CREATE EXTENSION pg_stat_statements");
        answered("set up the server", admin.batch_execute(&setup)).await?;
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

    /// Whether its container runs.
    pub async fn runs(&self) -> bool {
        self.server.container().exited().await.is_ok_and(|code| code.is_none())
    }

    /// The last lines of its log, for a message.
    pub async fn end_of_log(&self) -> String {
        self.server.container().end_of_log().await
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
        answered("connect to postgres", connect(&self.config("postgres"))).await
    }
}
