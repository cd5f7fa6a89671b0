//! Postgres: one server per run, one database per arm, templates to clone them from.
//!
//! What a server is asked for is the same wherever it runs; [`Host`] is where. `start` brings a private instance up,
//! `control` takes it down and up again, `config` is its configuration; `given` is a server of somebody else; `store` keeps its data directory with the
//! templates in the cache; `template` makes and clones databases; `login` is as whom apps come in.

mod config;
mod contained;
mod control;
mod given;
mod login;
mod start;
mod store;
mod template;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio_postgres::{Client, NoTls};

pub use config::refusal;
pub use given::{look_at, undo};
pub use login::{Login, SERVICE};

use super::endpoint::Endpoint;
use super::keeper::Keeper;
use super::locate::PostgresBinaries;
use super::run_directory::RunDirectory;
use crate::cache::Cache;
use crate::error::{Context, Error, Result};
use contained::Contained;
use given::Given;
use start::Local;

/// The superuser of a server of our own, which only the harness uses.
pub const SUPERUSER: &str = "dj_regress";

/// The role that owns every arm's database on a server of our own and that the app connects as. No superuser.
pub const APP: &str = "app";

/// What the names of arms' databases begin with.
const ARM: &str = "arm_";

/// What the database `postgres` and the template of all others are: nobody's but the harness's.
const SETUP: &str = "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC; CREATE EXTENSION pg_stat_statements";

/// The port in the name of a socket; nothing of ours listens on TCP.
pub const PORT: u16 = 5432;

/// A fast shutdown writes a checkpoint to tmpfs.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// What is wanted of a Postgres.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresWants {
    /// The container image, e.g. `postgres:17`.
    pub image: Option<String>,
    /// Settings by the names of `postgresql.conf`, as text.
    pub settings: Vec<(String, String)>,
    /// A server that one arm has for itself; its templates are not kept.
    pub private: bool,
}

/// A server that answers; until it is killed or stopped.
#[derive(Debug)]
pub struct Postgres {
    host: Host,
    version: String,
    major: u32,
    app: Login,
    /// What the names of this run's databases begin with.
    prefix: String,
    /// As the harness, in a database that no arm uses; replaced when the server was started again.
    admin: Mutex<Arc<Client>>,
    state: Mutex<State>,
}

/// Where a server runs.
#[derive(Debug)]
enum Host {
    Local(Local),
    Contained(Contained),
    Given(Given),
}

#[derive(Debug, Default)]
struct State {
    templates: BTreeSet<String>,
    /// Whether there is anything that the cache does not hold yet.
    is_new: bool,
    /// What all databases shared when the server had just started; only a server of which it is still true is kept.
    shared: String,
    /// By database: held while its files are brought from the cache.
    locks: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Postgres {
    /// Starts an instance of these programs below the run directory.
    ///
    /// # Errors
    ///
    /// Usage if a setting cannot be set; cannot run if the server cannot be reached, started or connected to within
    /// 30 s; with the end of its log.
    pub(super) async fn start_local(
        keeper: &Keeper,
        run_directory: &RunDirectory,
        cache: &Cache,
        binaries: &PostgresBinaries,
        wants: &PostgresWants,
    ) -> Result<Self> {
        let (local, admin) = Local::start(keeper, run_directory, cache, binaries, wants).await?;
        let state = State { is_new: local.generation.is_none(), ..State::default() };
        let app = Login { user: APP.to_owned(), password: None };
        let postgres = Self::new(Host::Local(local), admin, app, String::new(), state).await?;
        postgres.assert_ours().await?;
        postgres.find_templates().await?;
        let shared = postgres.shared().await?;
        postgres.state().shared = shared;
        Ok(postgres)
    }

    async fn new(host: Host, admin: Client, app: Login, prefix: String, state: State) -> Result<Self> {
        let row =
            admin.query_one("SELECT current_setting('server_version'), current_setting('server_version_num')", &[]);
        let row = row.await.map_err(|error| failed("ask for the server's version", &error))?;
        let (version, number): (String, String) = (row.get(0), row.get(1));
        let version = version.split(' ').next().unwrap_or_default().to_owned();
        let major = number.parse::<u32>().map_err(|_| Error::bug(format!("server_version_num is {number}")))? / 10_000;
        let (admin, state) = (Mutex::new(Arc::new(admin)), Mutex::new(state));
        Ok(Self { host, version, major, app, prefix, admin, state })
    }

    /// Connects as the harness. The connection ends when the client is dropped.
    ///
    /// # Errors
    ///
    /// Cannot run if the server refuses.
    pub async fn client(&self, database: &str) -> Result<Client> {
        let config = match &self.host {
            Host::Local(local) => local.config(database),
            Host::Contained(contained) => contained.config(database),
            Host::Given(given) => given.config(database),
        };
        connect(&config).await.map_err(|error| failed(&format!("connect to {database}"), &error))
    }

    /// Connects as the harness to the database that has `pg_stat_statements`.
    ///
    /// # Errors
    ///
    /// Cannot run if the server refuses, or there are no statistics here.
    pub async fn statistics_client(&self) -> Result<Client> {
        match &self.host {
            Host::Local(_) | Host::Contained(_) => self.client("postgres").await,
            Host::Given(given) => match &given.statistics {
                Some(database) => self.client(database).await,
                None => Err(Error::cannot_run(format!("{} has no pg_stat_statements", given.url))),
            },
        }
    }

    /// Whether `pg_stat_statements` counts what the app's role does here, and the harness can read it.
    pub fn has_statistics(&self) -> bool {
        match &self.host {
            Host::Local(_) | Host::Contained(_) => true,
            Host::Given(given) => given.statistics.is_some(),
        }
    }

    /// Whether the process ids that the server tells are those of this machine.
    pub fn are_backends_here(&self) -> bool {
        matches!(self.host, Host::Local(_))
    }

    /// Where it listens.
    pub fn upstream(&self) -> Endpoint {
        match &self.host {
            Host::Local(local) => Endpoint::Unix(local.socket()),
            Host::Contained(contained) => Endpoint::Unix(contained.socket()),
            Host::Given(given) => given.url.endpoint.clone(),
        }
    }

    /// The folder of its socket, where that is the run's.
    pub fn folder(&self) -> Option<PathBuf> {
        match (&self.host, self.upstream()) {
            (Host::Local(_) | Host::Contained(_), Endpoint::Unix(socket)) => socket.parent().map(Path::to_owned),
            _ => None,
        }
    }

    /// As whom the app logs in, unless an arm has a role of its own.
    pub fn app(&self) -> &Login {
        &self.app
    }

    /// As whom the app logs in to a database.
    pub fn login(&self, database: &str) -> Login {
        match self.role_of(database) {
            Some(user) => Login { user, password: self.app.password.clone() },
            None => self.app.clone(),
        }
    }

    /// The role of an arm on a server that arms share: what an app does to its own role is nobody else's then. It is a
    /// member of the role that owns what the template brings.
    fn role_of(&self, database: &str) -> Option<String> {
        let is_shared = match &self.host {
            Host::Local(local) => !local.is_private,
            Host::Contained(contained) => !contained.is_private,
            Host::Given(given) => given.verifier.is_some(),
        };
        let arm = database.strip_prefix(&self.prefix)?.strip_prefix(ARM)?;
        is_shared.then(|| format!("{}_{arm}", self.app.user))
    }

    /// The text of libpq's service file for an actor whose proxy listens in the folder `host`. It may hold a password:
    /// write it with [`write_private`](super::write_private).
    pub fn service_file(&self, host: &Path, database: &str) -> String {
        self.login(database).service_file(host, database)
    }

    /// As [`Postgres::service_file`], for one that connects to the server itself.
    pub fn direct_service_file(&self, database: &str) -> String {
        self.login(database).direct_service_file(&self.upstream(), database)
    }

    /// The name of an arm's database.
    pub fn database_name(&self, arm: usize) -> String {
        self.name(&format!("{ARM}{arm}"))
    }

    /// The process id of the postmaster, where it is a process of this run.
    pub fn pid(&self) -> Option<u32> {
        match &self.host {
            Host::Local(local) => Some(local.pid()),
            Host::Contained(_) | Host::Given(_) => None,
        }
    }

    /// Its version, e.g. `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// SIGKILLs all its processes and waits until they are gone.
    ///
    /// # Errors
    ///
    /// Cannot run if they do not go, or this server is not ours to kill.
    pub async fn kill(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.kill().await,
            Host::Contained(contained) => contained.kill().await,
            Host::Given(given) => Err(given.not_ours("kill")),
        }
    }

    /// An ordered, fast shutdown; waits until it is done.
    ///
    /// # Errors
    ///
    /// Cannot run if it takes over 10 s, or this server is not ours to stop.
    pub async fn stop(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.shut_down(Signal::SIGINT).await,
            Host::Contained(contained) => contained.stop().await,
            Host::Given(given) => Err(given.not_ours("stop")),
        }
    }

    /// Starts it again after [`Postgres::kill`] or [`Postgres::stop`], on the same data and where it listened; waits
    /// until it answers.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not answer within 30 s, or this server is not ours to start.
    pub async fn start(&self) -> Result<()> {
        let admin = match &self.host {
            Host::Local(local) => local.start_again().await?,
            Host::Contained(contained) => contained.start_again().await?,
            Host::Given(given) => return Err(given.not_ours("start")),
        };
        *self.admin.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(admin);
        Ok(())
    }

    /// Stops all its processes where they are (SIGSTOP): connections stay, nothing answers.
    ///
    /// # Errors
    ///
    /// Cannot run if this server is not ours to pause.
    pub async fn pause(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.pause().await,
            Host::Contained(contained) => contained.pause().await,
            Host::Given(given) => Err(given.not_ours("pause")),
        }
    }

    /// Undoes [`Postgres::pause`].
    ///
    /// # Errors
    ///
    /// As [`Postgres::pause`].
    pub async fn resume(&self) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.resume().await,
            Host::Contained(contained) => contained.resume().await,
            Host::Given(given) => Err(given.not_ours("resume")),
        }
    }

    /// Ends what the run has here: its databases on a server that stays, else the server. Where templates were made in
    /// a server that all arms share, they go into the cache first, for the next run.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not stop. That templates could not be kept is an error too; the run is done by then.
    pub async fn finish(self) -> Result<()> {
        let is_new = self.state().is_new;
        if let Host::Contained(contained) = self.host {
            return contained.remove().await;
        }
        let local = match &self.host {
            Host::Contained(_) => return Err(Error::bug("a container was passed over")),
            Host::Given(given) => return given.finish(&self.admin()).await,
            Host::Local(local) if local.is_private => return local.remove().await,
            Host::Local(local) if !is_new => return local.shut_down(Signal::SIGQUIT).await,
            Host::Local(local) => local,
        };
        let kept = self.drop_all_but_templates().await?;
        let is_clean = self.shared().await? == self.state().shared;
        if !is_clean {
            // A later run would see what an arm of this one has done. The next makes its templates again.
            return local.shut_down(Signal::SIGQUIT).await;
        }
        local.shut_down(Signal::SIGINT).await?;
        let (store, generation, data) = (local.store.clone(), local.generation.clone(), local.data());
        let publish = move || store.publish(&data, &kept, generation.as_deref());
        tokio::task::spawn_blocking(publish).await.map_err(|error| Error::bug(error.to_string()))?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admin(&self) -> Arc<Client> {
        Arc::clone(&self.admin.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn execute(&self, doing: &str, statement: &str) -> Result<()> {
        self.admin().batch_execute(statement).await.map_err(|error| failed(doing, &error))
    }

    /// Before anything destructive: the server must be the one that this run has started.
    async fn assert_ours(&self) -> Result<()> {
        let Host::Local(local) = &self.host else { return Ok(()) };
        let row = self.admin().query_one("SHOW data_directory", &[]).await;
        let found: String = row.map_err(|error| failed("SHOW data_directory", &error))?.get(0);
        let found = Path::new(&found).canonicalize().cannot_run(|| format!("find {found}"))?;
        if found == local.data() {
            return Ok(());
        }
        let directory = local.directory.display();
        Err(Error::bug(format!("connected to the server of {}, not of {directory}", found.display())))
    }
}

async fn connect(config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
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
