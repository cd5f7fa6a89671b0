//! From nothing, or from the cache, to a server that answers.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio_postgres::Client;

use super::store::{Generation, Store};
use super::{APP, Postgres, STOP_DEADLINE, SUPERUSER, State, config, connect, failed};
use crate::cache::Cache;
use crate::error::{Context, Error, Result};
use crate::service::files::{Take, copy_folder, give};
use crate::service::keeper::{Ending, Exit, Keeper, Spawn};
use crate::service::locate::PostgresBinaries;
use crate::service::run_directory::RunDirectory;
use crate::service::user::ServerUser;

const START_DEADLINE: Duration = Duration::from_secs(30);
const INITDB_DEADLINE: Duration = Duration::from_mins(1);

/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(2);

/// Beyond the server's own: 1 MB segments keep the data directory small.
pub(super) const INITDB_OPTIONS: &[&str] =
    &["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1", "--username", SUPERUSER];

impl Postgres {
    /// Starts an instance below the run directory, from the cached data directory where there is one.
    ///
    /// # Errors
    ///
    /// Cannot run if the server cannot be reached, started or connected to within 30 s; with the end of its log.
    pub async fn start(
        keeper: &Keeper,
        run_directory: &RunDirectory,
        cache: &Cache,
        binaries: &PostgresBinaries,
    ) -> Result<Self> {
        let user = ServerUser::find();
        let programs = reachable_programs(run_directory, binaries, user.as_ref())?;
        let directory = instance_directory(run_directory, user.as_ref())?;
        let store = Store::open(cache, binaries)?;
        let starting = Starting { keeper, programs, directory, user, major: binaries.major };
        let from_cache = match store.current() {
            Some(generation) => starting.start_from(Arc::new(generation)).await,
            None => Err(Error::cannot_run("nothing is cached")),
        };
        let (running, generation) = if let Ok((running, generation)) = from_cache {
            (running, Some(generation))
        } else {
            let running = starting.start_fresh().await?;
            // What is cached is damaged: anything in it can be made again.
            store.discard();
            (running, None)
        };
        let Starting { directory, user, .. } = starting;
        let Running { pid, admin } = running;
        let row = admin.query_one("SHOW server_version", &[]).await;
        let version: String = row.map_err(|error| failed("SHOW server_version", &error))?.get(0);
        let version = version.split(' ').next().unwrap_or_default().to_owned();
        let state = Mutex::new(State { is_new: generation.is_none(), ..State::default() });
        let keeper = keeper.clone();
        let major = binaries.major;
        let postgres = Self { keeper, pid, directory, user, version, major, admin, store, generation, state };
        postgres.assert_ours().await?;
        postgres.find_templates().await?;
        Ok(postgres)
    }
}

/// What is known before a server runs.
struct Starting<'a> {
    keeper: &'a Keeper,
    programs: PathBuf,
    directory: PathBuf,
    user: Option<ServerUser>,
    major: u32,
}

struct Running {
    pid: u32,
    admin: Client,
}

impl Starting<'_> {
    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    async fn start_from(&self, generation: Arc<Generation>) -> Result<(Running, Arc<Generation>)> {
        let (data, user, source) = (self.data(), self.user.clone(), Arc::clone(&generation));
        let copy = move || source.copy_base(&data, user.as_ref());
        let copied = tokio::task::spawn_blocking(copy).await.map_err(|error| Error::bug(error.to_string()))?;
        copied?;
        Ok((self.run().await?, generation))
    }

    async fn start_fresh(&self) -> Result<Running> {
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
        let pid = self.keeper.spawn(process).await?;
        match tokio::time::timeout(INITDB_DEADLINE, self.keeper.exited(pid)).await {
            Ok(exit) => match exit? {
                Exit::Code(0) => {}
                exit => return Err(initdb_failed(exit, &end_of(&log))),
            },
            Err(_) => return Err(Error::cannot_run(format!("initdb takes over {} s", INITDB_DEADLINE.as_secs()))),
        }
        let running = self.run().await?;
        let setup = format!("CREATE ROLE {APP} LOGIN NOSUPERUSER; CREATE EXTENSION pg_stat_statements");
        running.admin.batch_execute(&setup).await.map_err(|error| failed("set up the server", &error))?;
        Ok(running)
    }

    /// Starts the server on its data directory and waits until it answers.
    async fn run(&self) -> Result<Running> {
        let data = self.data();
        config::write(&data, &self.directory, self.major, self.user.as_ref())
            .cannot_run(|| format!("configure {}", data.display()))?;
        let log = self.directory.join("postgres.log");
        let command = vec![text(&self.programs.join("postgres"))?, "-D".to_owned(), text(&data)?];
        let mut process = self.process("postgres", command, &log);
        process.ending = Ending::Quit;
        let pid = self.keeper.spawn(process).await?;
        let exited = self.keeper.exited(pid);
        tokio::pin!(exited);
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            match connect(&self.directory, "postgres").await {
                Ok(admin) => return Ok(Running { pid, admin }),
                Err(error) if Instant::now() > deadline => {
                    // Its data directory may be needed for another attempt.
                    self.keeper.signal(pid, Signal::SIGQUIT).await?;
                    let _ = tokio::time::timeout(STOP_DEADLINE, &mut exited).await;
                    let seconds = START_DEADLINE.as_secs();
                    let message = format!("Postgres did not answer within {seconds} s: {error}{}", end_of(&log));
                    return Err(Error::cannot_run(message));
                }
                Err(_) => {}
            }
            if let Ok(exit) = tokio::time::timeout(POLL, &mut exited).await {
                return Err(Error::cannot_run(format!("Postgres ended at its start: {}{}", exit?, end_of(&log))));
            }
        }
    }

    fn process(&self, name: &str, command: Vec<String>, log: &Path) -> Spawn {
        let mut spawn = Spawn::new(name, command, &self.directory, log).variable("LC_ALL", "C").variable("TZ", "UTC");
        // The user's own PGDATA, PGPORT and the like would be followed.
        let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        spawn.environment.extend(inherited.filter(|name| name.starts_with("PG")).map(|name| (name, None)));
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

/// The last lines of a log, for a message.
fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].iter().flat_map(|line| ["\n  ", line]).collect()
}
