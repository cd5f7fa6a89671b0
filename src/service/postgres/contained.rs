//! A Postgres in a container of the run's own.
//!
//! The data directory is not on the volume that the image declares but among the container's own files: a tmpfs would
//! be gone when the container is killed, and there would be no crash recovery; a volume would have to be cleaned up. So
//! it can also be kept: what the first start has initialised becomes an image, for which later starts are quick.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Client;

use super::connection::connect;
use crate::clock::Preload;
use crate::error::Result;
use crate::proxy::POSTGRES_PORT as PORT;
use crate::service::docker::{Container, Daemon, INSIDE, Owner, Spec};
use crate::service::lifecycle::{Change, Lifecycle};

/// For the first start of an image on a busy machine.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// The data directory inside.
const CLUSTER: &str = "/dj-regress-cluster";

/// 1 MB segments keep it small; who can enter the socket's folder is the owner of the run.
const INITDB_OPTIONS: &str = "--no-sync --locale=C --encoding=UTF8 --wal-segsize=1 --auth=trust";

/// The official image initialises on a server that listens on sockets only: by this it is told from the server proper.
/// In a container without network, nobody is there to connect to it.
const LISTEN: &str = "127.0.0.1";

/// While it is initialised: nobody needs that to survive a crash of the machine.
const INITIALISING: &[(&str, &str)] = &[("fsync", "off"), ("full_page_writes", "off"), ("wal_init_zero", "off")];

/// For parallel queries and statistics; docker gives 64 MB.
const SHARED_MEMORY: u64 = 256 << 20;

/// A fast shutdown takes a checkpoint.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Which Postgres to run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// An image that honours the contract of the official one.
    pub image: &'a str,
    /// Where its socket `.s.PGSQL.5432` will be: see [`socket_folder`](crate::service::docker::socket_folder).
    pub folder: &'a Path,
    /// The superuser, who needs no password.
    pub superuser: &'a str,
    /// Whether it is one arm's own.
    pub is_private: bool,
    /// Settings by their names in `postgresql.conf`. Where it listens is not the caller's to say.
    pub settings: &'a [(String, String)],
    /// What shows its backends the clocks of their arms.
    pub clock: Option<&'a Preload>,
}

/// A running Postgres, and its container.
#[derive(Debug)]
pub struct Contained {
    container: Container,
    folder: PathBuf,
    superuser: String,
    /// Whether it is one arm's own.
    pub is_private: bool,
}

impl Contained {
    /// Starts one; it answers on its socket when this returns. The first start of an image takes longer: what it
    /// initialises is kept as an image of ours.
    ///
    /// # Errors
    ///
    /// Cannot run if the image cannot be had, or the server does not answer within a minute; with the end of its log.
    /// Its container is removed then.
    pub async fn start(daemon: &Daemon, wanted: Wanted<'_>) -> Result<Self> {
        let image = initialised(daemon, wanted).await?;
        Self::run(daemon, &image, wanted, wanted.settings).await
    }

    /// Waits until it answers; for after its container was started again.
    ///
    /// # Errors
    ///
    /// As [`Contained::start`], but the container stays.
    pub async fn wait_until_ready(&self) -> Result<()> {
        self.container.wait_until(START_DEADLINE, || self.is_ready()).await
    }

    /// Its container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// The folder of its socket, for libpq's `host`.
    pub fn socket_directory(&self) -> &Path {
        &self.folder
    }

    /// How the harness connects.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.folder).port(PORT).user(&self.superuser).dbname(database);
        config.application_name("dj-regress");
        config
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Whether its container runs.
    pub async fn runs(&self) -> bool {
        self.container.exited().await.is_ok_and(|code| code.is_none())
    }

    /// How it died: by its exit code, if its container has ended, else as it was seen; with the end of its log.
    pub async fn how_it_died(&self, seen: String) -> String {
        match self.container.exited().await {
            Ok(Some(_)) => self.container.died().await,
            _ => format!("{seen}{}", self.container.end_of_log().await),
        }
    }

    /// Removes it with all that it holds.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon refuses.
    pub async fn remove(self) -> Result<()> {
        self.container.remove().await
    }

    async fn run<N: AsRef<str>>(daemon: &Daemon, image: &str, wanted: Wanted<'_>, settings: &[(N, N)]) -> Result<Self> {
        let spec = Spec {
            environment: environment(wanted.superuser),
            arguments: arguments(settings),
            folders: vec![(wanted.folder.to_owned(), INSIDE.to_owned())],
            shared_memory: Some(SHARED_MEMORY),
            ..Spec::new("postgres", wanted.owner, image)
        };
        let spec = spec.preload(wanted.clock);
        let container = daemon.run(spec).await?;
        let (folder, superuser) = (wanted.folder.to_owned(), wanted.superuser.to_owned());
        let postgres = Self { container, folder, superuser, is_private: wanted.is_private };
        if let Err(error) = postgres.wait_until_ready().await {
            // The error says more than whether this goes well; the labels find what is left.
            let _ = postgres.remove().await;
            return Err(error);
        }
        Ok(postgres)
    }

    /// Whether the server proper answers.
    async fn is_ready(&self) -> bool {
        let Ok(client) = self.connect().await else { return false };
        let shown = client.query_one("SHOW listen_addresses", &[]).await;
        shown.is_ok_and(|row| row.get::<_, &str>(0) == LISTEN)
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        connect(&self.config("postgres")).await
    }
}

impl Lifecycle for Contained {
    async fn change(&self, change: Change) -> Result<()> {
        self.container.change(change, STOP_GRACE).await?;
        if change == Change::Start {
            // After a kill it recovers first.
            self.wait_until_ready().await?;
        }
        Ok(())
    }
}

/// The image with a data directory of this superuser, made of the wanted one if need be.
async fn initialised(daemon: &Daemon, wanted: Wanted<'_>) -> Result<String> {
    let id = daemon.image(wanted.image).await?.id.unwrap_or_default();
    let made_of = [id.as_str(), wanted.superuser, INITDB_OPTIONS, CLUSTER].join("\n");
    let (name, tag) = ("dj-regress/initialised", &blake3::hash(made_of.as_bytes()).to_hex()[..16]);
    let image = format!("{name}:{tag}");
    if daemon.has_image(&image).await? {
        return Ok(image);
    }
    let postgres = Contained::run(daemon, wanted.image, Wanted { clock: None, ..wanted }, INITIALISING).await?;
    let kept = async {
        postgres.container.stop(STOP_GRACE).await?;
        // Two runs may have begun at once: the second image would only take the name from the first.
        if daemon.has_image(&image).await? { Ok(()) } else { postgres.container.keep_as(name, tag, wanted.image).await }
    };
    let kept = kept.await;
    postgres.remove().await?;
    kept.map(|()| image)
}

fn environment(superuser: &str) -> Vec<(String, String)> {
    let variables = [
        ("POSTGRES_USER", superuser),
        // Which is there in any case: no database has to be made.
        ("POSTGRES_DB", "postgres"),
        ("POSTGRES_HOST_AUTH_METHOD", "trust"),
        ("POSTGRES_INITDB_ARGS", INITDB_OPTIONS),
        ("PGDATA", CLUSTER),
        // Or initdb compares hundreds of time zones with the machine's, for a quarter of a second.
        ("TZ", "UTC"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Of two that say the same name, Postgres takes the last.
fn arguments<N: AsRef<str>>(settings: &[(N, N)]) -> Vec<String> {
    // The entrypoint's own client uses the usual folder.
    let folders = format!("/var/run/postgresql,{INSIDE}");
    let ours = [
        ("listen_addresses", LISTEN),
        ("port", "5432"),
        ("unix_socket_directories", folders.as_str()),
        ("unix_socket_permissions", "0777"),
    ];
    let settings = settings.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    settings.chain(ours).flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
}
