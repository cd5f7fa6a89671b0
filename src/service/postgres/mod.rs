//! The private Postgres of a run: one instance, one database per arm, templates kept between runs.
//!
//! `start` brings an instance up, `config` is its configuration, `template` makes and clones databases, `store` keeps
//! the data directory with its templates in the cache.

mod config;
mod start;
mod store;
mod template;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use super::keeper::Keeper;
use super::user::ServerUser;
use crate::error::{Context, Error, Result};
use store::{Generation, Store};

/// The superuser of the instance, which only the harness uses.
pub const SUPERUSER: &str = "dj_regress";

/// The role that owns every arm's database and that the app connects as. No superuser.
pub const APP: &str = "app";

/// The port in the name of the socket; nothing listens on TCP.
pub const PORT: u16 = 5432;

/// A fast shutdown writes a checkpoint to tmpfs.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A running instance.
#[derive(Debug)]
pub struct Postgres {
    keeper: Keeper,
    pid: u32,
    /// Holds `data` and the socket.
    directory: PathBuf,
    user: Option<ServerUser>,
    version: String,
    major: u32,
    /// Connected to the database `postgres`; one statement at a time.
    admin: Client,
    store: Store,
    /// What the data directory was copied from.
    generation: Option<Arc<Generation>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    templates: BTreeSet<String>,
    /// Whether there is anything that the cache does not hold yet.
    is_new: bool,
    /// By database: held while its files are brought from the cache.
    locks: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Postgres {
    /// Connects as superuser. The connection ends when the client is dropped.
    ///
    /// # Errors
    ///
    /// Cannot run if the server refuses.
    pub async fn client(&self, database: &str) -> Result<Client> {
        connect(&self.directory, database).await.map_err(|error| failed(&format!("connect to {database}"), &error))
    }

    /// The folder with its socket, for libpq's `host`; only the owner of the run can enter it.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// The process id of its postmaster.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its version, e.g. `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Stops the instance. Where templates were made, they go into the cache first, for the next run.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not stop. That templates could not be kept is an error too; the run is done by then.
    pub async fn finish(self) -> Result<()> {
        let is_new = self.state().is_new;
        if !is_new {
            return self.stop(Signal::SIGQUIT).await;
        }
        let kept = self.drop_all_but_templates().await?;
        self.stop(Signal::SIGINT).await?;
        let (store, generation, data) = (self.store.clone(), self.generation.clone(), self.directory.join("data"));
        let publish = move || store.publish(&data, &kept, generation.as_deref());
        tokio::task::spawn_blocking(publish).await.map_err(|error| Error::bug(error.to_string()))?
    }

    async fn stop(&self, signal: Signal) -> Result<()> {
        self.keeper.signal(self.pid, signal).await?;
        match timeout(STOP_DEADLINE, self.keeper.exited(self.pid)).await {
            Ok(exit) => exit.map(|_| ()),
            Err(_) => Err(Error::cannot_run(format!(
                "Postgres (process {}) did not stop within {} s of {signal}",
                self.pid,
                STOP_DEADLINE.as_secs()
            ))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn execute(&self, doing: &str, statement: &str) -> Result<()> {
        self.admin.batch_execute(statement).await.map_err(|error| failed(doing, &error))
    }

    /// Before anything destructive: the server must be the one that this run has started.
    async fn assert_ours(&self) -> Result<()> {
        let row = self.admin.query_one("SHOW data_directory", &[]).await;
        let found: String = row.map_err(|error| failed("SHOW data_directory", &error))?.get(0);
        let found = Path::new(&found).canonicalize().cannot_run(|| format!("find {found}"))?;
        if found == self.directory.join("data") {
            return Ok(());
        }
        Err(Error::bug(format!("connected to the server of {}, not of {}", found.display(), self.directory.display())))
    }
}

async fn connect(directory: &Path, database: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(directory)
        .port(PORT)
        .user(SUPERUSER)
        .dbname(database)
        .application_name("dj-regress")
        .connect(NoTls)
        .await?;
    // It ends with its client, or with the server; then the client's next call says so.
    tokio::spawn(connection);
    Ok(client)
}

/// An error with what the server said: the library's own text is only "db error".
fn failed(doing: &str, error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(said) => Error::cannot_run(format!("{doing}: {} ({})", said.message(), said.code().code())),
        None => Error::cannot_run(format!("{doing}: {error}")),
    }
}
