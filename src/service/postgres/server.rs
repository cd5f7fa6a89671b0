//! A server that answers, the same wherever it runs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use parking_lot::{Mutex, MutexGuard};
use tokio_postgres::Client;

use super::connection::{answered, connect};
use super::contained::Contained;
use super::external::External;
use super::local::Local;
use super::login::Login;
use crate::clock::ServerClocks;
use crate::deadline;
use crate::error::{Context, Error, Result};
use crate::proxy::Endpoint;
use crate::service::lifecycle::{Change, Lifecycle};

/// What the names of arms' databases begin with.
const ARM: &str = "arm_";

/// A server that answers; until it is killed or stopped.
#[derive(Debug)]
pub struct Postgres {
    pub(super) host: Host,
    pub(super) version: String,
    pub(super) major: u32,
    app: Login,
    /// What the names of this run's databases begin with.
    pub(super) prefix: String,
    /// As the harness, in a database that no arm uses; replaced when the server was started again.
    pub(super) admin: Mutex<Arc<Client>>,
    state: Mutex<State>,
    /// Which of its processes has which arm's clock; none, where it has the machine's time whoever asks.
    pub(super) clocks: Option<Arc<ServerClocks>>,
}

/// Where a server runs.
#[derive(Debug)]
pub(super) enum Host {
    Local(Local),
    Contained(Contained),
    External(External),
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub templates: BTreeSet<String>,
    /// Whether there is anything that the cache does not hold yet.
    pub is_new: bool,
    /// What all databases shared when the server had just started; only a server of which it is still true is kept.
    pub shared: String,
    /// By database: held while its files are brought from the cache.
    pub locks: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Postgres {
    pub(super) async fn new(host: Host, admin: Client, app: Login, prefix: String, state: State) -> Result<Self> {
        let row =
            admin.query_one("SELECT current_setting('server_version'), current_setting('server_version_num')", &[]);
        let row = answered("ask for the server's version", row).await?;
        let (version, number): (String, String) = (row.get(0), row.get(1));
        let version = version.split(' ').next().unwrap_or_default().to_owned();
        let major = number.parse::<u32>().map_err(|_| Error::bug(format!("server_version_num is {number}")))? / 10_000;
        let (admin, state) = (Mutex::new(Arc::new(admin)), Mutex::new(state));
        Ok(Self { host, version, major, app, prefix, admin, state, clocks: None })
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
            Host::External(external) => external.config(database),
        };
        answered(&format!("connect to {database}"), connect(&config)).await
    }

    /// Connects as the harness to the database that has `pg_stat_statements`.
    ///
    /// # Errors
    ///
    /// Cannot run if the server refuses, or there are no statistics here.
    pub async fn statistics_client(&self) -> Result<Client> {
        match &self.host {
            Host::Local(_) | Host::Contained(_) => self.client("postgres").await,
            Host::External(external) => match &external.statistics {
                Some(database) => self.client(database).await,
                None => Err(Error::cannot_run(format!("{} has no pg_stat_statements", external.url))),
            },
        }
    }

    /// Whether `pg_stat_statements` counts what the app's role does here, and the harness can read it.
    pub fn has_statistics(&self) -> bool {
        match &self.host {
            Host::Local(_) | Host::Contained(_) => true,
            Host::External(external) => external.statistics.is_some(),
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
            Host::External(external) => external.url.endpoint.clone(),
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
    pub(super) fn role_of(&self, database: &str) -> Option<String> {
        let is_shared = match &self.host {
            Host::Local(local) => !local.is_private,
            Host::Contained(contained) => !contained.is_private,
            Host::External(external) => external.verifier.is_some(),
        };
        let arm = database.strip_prefix(&self.prefix)?.strip_prefix(ARM)?;
        is_shared.then(|| format!("{}_{arm}", self.app.user))
    }

    /// The text of libpq's service file for an actor whose proxy listens in the folder `host`. It may hold a password:
    /// write it with [`write_private`](crate::service::write_private).
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
            Host::Contained(_) | Host::External(_) => None,
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
            Host::External(external) => {
                let what = || format!("remove what the run has made at {}", external.url);
                return deadline::within(deadline::step(), what, external.finish(&self.admin())).await;
            }
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

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn admin(&self) -> Arc<Client> {
        Arc::clone(&self.admin.lock())
    }

    pub(super) async fn execute(&self, doing: &str, statement: &str) -> Result<()> {
        answered(doing, self.admin().batch_execute(statement)).await
    }

    /// Before anything destructive: the server must be the one that this run has started.
    pub(super) async fn assert_ours(&self) -> Result<()> {
        let Host::Local(local) = &self.host else { return Ok(()) };
        let row = answered("SHOW data_directory", self.admin().query_one("SHOW data_directory", &[])).await?;
        let found: String = row.get(0);
        let found = Path::new(&found).canonicalize().cannot_run(|| format!("find {found}"))?;
        if found == local.data() {
            return Ok(());
        }
        let directory = local.directory.display();
        Err(Error::bug(format!("connected to the server of {}, not of {directory}", found.display())))
    }
}

impl Lifecycle for Postgres {
    async fn change(&self, change: Change) -> Result<()> {
        match &self.host {
            Host::Local(local) => local.change(change).await?,
            Host::Contained(contained) => contained.change(change).await?,
            Host::External(external) => return Err(external.not_ours(change)),
        }
        if change == Change::Start {
            // The connection went with the server.
            *self.admin.lock() = Arc::new(self.client("postgres").await?);
        }
        Ok(())
    }
}
