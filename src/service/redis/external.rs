//! A server that somebody else runs: an arm takes one of its databases that is empty, and leaves it so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisError, cmd, pipe};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};
use crate::service::address::RedisUrl;
use crate::service::lifecycle::Change;
use crate::service::run_directory::RunDirectory;

/// How many databases a Redis has that does not say.
const DEFAULT_DATABASES: i64 = 16;

/// The databases that this run takes and gives back.
#[derive(Debug)]
pub struct Pool {
    /// The server.
    pub url: RedisUrl,
    /// What the server says of itself, e.g. `Redis 7.0.15`.
    pub version: String,
    token: String,
    run_directory: Arc<RunDirectory>,
    databases: i64,
    /// Held while a database is looked for.
    taking: tokio::sync::Mutex<()>,
    taken: Mutex<BTreeSet<i64>>,
    freed: Notify,
    /// What told this life of the server from others when it was last looked at.
    life: Mutex<String>,
}

/// A database that the run has taken. Dropped without having been given back, it is no arm's any more, and whoever ends
/// the run empties it.
#[derive(Debug)]
pub struct Taken {
    /// The server's.
    pub pool: Arc<Pool>,
    /// Its number.
    pub database: i64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.pool.taken().remove(&self.database);
        self.pool.freed.notify_waiters();
    }
}

/// The key by which a database is known to be the run's.
fn mark(token: &str) -> String {
    format!("dj-regress:{token}")
}

impl Taken {
    /// Empties the database, so that it can be taken again.
    ///
    /// # Errors
    ///
    /// Cannot run if the run's mark is gone and yet there are keys: they may be somebody else's, and stay.
    pub async fn give_back(&self) -> Result<()> {
        let Pool { url, token, run_directory, .. } = self.pool.as_ref();
        let (database, left) = (self.database, empty(url, self.database, token).await?);
        // Before the watch has seen it: what the arm had there is gone.
        self.pool.check().await.map_err(|why| Error::cannot_run(format!("{url} has gone away: {why}")))?;
        run_directory.note(|elsewhere| elsewhere.redis_databases.retain(|taken| *taken != database))?;
        match left {
            0 => Ok(()),
            left => Err(Error::cannot_run(format!(
                "database {database} of {url} has lost the key {}, by which it is known to be this run's: its {left} keys stay",
                mark(token)
            ))),
        }
    }
}

impl Pool {
    /// Connects, and makes sure that there is an empty database.
    ///
    /// # Errors
    ///
    /// Cannot run if the server does not answer, or none of its databases is empty.
    pub async fn open(url: &RedisUrl, run_directory: &Arc<RunDirectory>) -> Result<Self> {
        let (version, databases) = ask(url).await?;
        let life = life_of(url).await.map_err(|why| Error::cannot_run(format!("ask {url}: {why}")))?;
        let pool = Self {
            url: url.clone(),
            version,
            token: run_directory.token(),
            run_directory: Arc::clone(run_directory),
            databases,
            taking: tokio::sync::Mutex::default(),
            taken: Mutex::default(),
            freed: Notify::new(),
            life: Mutex::new(life),
        };
        for database in (0..databases).rev() {
            if keys(url, database).await? == Some(0) {
                return Ok(pool);
            }
        }
        Err(pool.none_is_empty())
    }

    /// Takes an empty database, the highest first; waits so long for one while the run's own arms hold them all.
    ///
    /// # Errors
    ///
    /// Cannot run if none is empty, or none is given back in time.
    pub async fn take(self: &Arc<Self>, limit: Duration) -> Result<Taken> {
        let until = Instant::now() + limit;
        let late = || self.all_are_taken(limit);
        let _taking = timeout_at(until, self.taking.lock()).await.map_err(|_| late())?;
        loop {
            let freed = self.freed.notified();
            // One that is given back while the others are looked at wakes us below.
            let before = self.taken().clone();
            for database in (0..self.databases).rev().filter(|database| !before.contains(database)) {
                if self.try_take(database).await? {
                    self.taken().insert(database);
                    return Ok(Taken { pool: Arc::clone(self), database });
                }
            }
            if before.is_empty() {
                return Err(self.none_is_empty());
            }
            timeout_at(until, freed).await.map_err(|_| late())?;
        }
    }

    pub(super) fn life(&self) -> MutexGuard<'_, String> {
        self.life.lock()
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.taken.lock()
    }

    /// For what can only be done to a server of our own.
    pub fn not_ours(&self, what: Change) -> Error {
        Error::cannot_run(format!("{what} {}: somebody else runs it", self.url))
    }

    async fn try_take(&self, database: i64) -> Result<bool> {
        if keys(&self.url, database).await? != Some(0) {
            return Ok(false);
        }
        let url = self.url.clone();
        self.run_directory.note(|elsewhere| {
            elsewhere.redis = Some(url);
            elsewhere.redis_databases.insert(database);
        })?;
        let mark = mark(&self.token);
        let marked = async {
            let mut connection = self.url.connect(database).await?;
            // In one: somebody else may be looking for an empty one as well.
            let both =
                pipe().atomic().cmd("DBSIZE").cmd("SET").arg(&mark).arg(self.run_directory.id()).ignore().clone();
            let (before,): (u64,) = both.query_async(&mut connection).await?;
            if before != 0 {
                cmd("DEL").arg(&mark).query_async::<()>(&mut connection).await?;
            }
            Ok::<_, RedisError>(before == 0)
        };
        let is_ours =
            marked.await.map_err(|error| failed(&format!("mark database {database} of"), &self.url, &error))?;
        if !is_ours {
            self.run_directory.note(|elsewhere| elsewhere.redis_databases.retain(|taken| *taken != database))?;
        }
        Ok(is_ours)
    }

    fn all_are_taken(&self, limit: Duration) -> Error {
        let taken: Vec<String> = self.taken().iter().map(ToString::to_string).collect();
        let (url, taken, seconds) = (&self.url, taken.join(", "), limit.as_secs());
        let message = format!(
            "no database of {url} has become free within {seconds} s: arms of this run hold {taken}, and no other is empty"
        );
        Error::cannot_run(message).hint("play fewer arms at once (`--jobs`), or give a Redis with more empty databases")
    }

    fn none_is_empty(&self) -> Error {
        Error::cannot_run(format!("none of the {} databases of {} is empty", self.databases, self.url))
            .hint("give a Redis with an empty database: what is in the others is never touched")
    }
}

/// Says what is there, and how much of it a run could use; changes nothing.
pub async fn look_at(url: &RedisUrl) -> Result<String> {
    let (version, databases) = ask(url).await?;
    let mut empty = 0;
    for database in 0..databases {
        empty += usize::from(keys(url, database).await? == Some(0));
    }
    Ok(format!("{version} at {url}; {empty} of its {databases} databases are empty"))
}

/// What the server says that it is, and how many databases it has.
async fn ask(url: &RedisUrl) -> Result<(String, i64)> {
    let asked = async {
        let mut connection = url.connect(0).await?;
        let information: String = cmd("INFO").arg("server").query_async(&mut connection).await?;
        // Not every server tells.
        let told = cmd("CONFIG").arg("GET").arg("databases").query_async::<Vec<String>>(&mut connection).await;
        let databases = told.ok().and_then(|told| told.get(1)?.parse().ok());
        Ok::<_, RedisError>((version(&information), databases.unwrap_or(DEFAULT_DATABASES)))
    };
    asked.await.map_err(|error| failed("connect to", url, &error))
}

/// What tells one life of a server from the next; empty where it does not say.
pub(super) async fn life_of(url: &RedisUrl) -> Result<String, String> {
    let ask = async {
        let mut connection = url.connect(0).await?;
        cmd("INFO").arg("server").query_async::<String>(&mut connection).await
    };
    let information = ask.await.map_err(|error| error.to_string())?;
    let life = information.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(life.unwrap_or_default().trim().to_owned())
}

/// How many keys a database has; nothing if there is no such database.
async fn keys(url: &RedisUrl, database: i64) -> Result<Option<u64>> {
    match url.connect(database).await {
        Ok(mut connection) => {
            let size = size(&mut connection).await;
            size.map(Some).map_err(|error| failed(&format!("look into database {database} of"), url, &error))
        }
        // A cluster has only one; and the default may be more than there are.
        Err(_) if database > 0 => Ok(None),
        Err(error) => Err(failed("connect to", url, &error)),
    }
}

/// Empties a database that a run has taken and could not give back; says what was removed.
pub async fn undo(url: &RedisUrl, database: i64, token: &str) -> Result<Vec<String>> {
    let left = empty(url, database, token).await?;
    Ok(if left == 0 { vec![format!("keys in database {database} of {url}")] } else { Vec::new() })
}

/// Flushes a database if it has the run's mark; says how many keys are left.
async fn empty(url: &RedisUrl, database: i64, token: &str) -> Result<u64> {
    let emptied = async {
        let mut connection = url.connect(database).await?;
        if cmd("EXISTS").arg(mark(token)).query_async(&mut connection).await? {
            cmd("FLUSHDB").query_async::<()>(&mut connection).await?;
        }
        size(&mut connection).await
    };
    emptied.await.map_err(|error| failed(&format!("empty database {database} of"), url, &error))
}

async fn size(connection: &mut MultiplexedConnection) -> Result<u64, RedisError> {
    cmd("DBSIZE").query_async(connection).await
}

fn failed(doing: &str, url: &RedisUrl, error: &RedisError) -> Error {
    Error::cannot_run(format!("{doing} {url}: {error}"))
}

/// From the lines of `INFO server`.
fn version(information: &str) -> String {
    let field = |name: &str| information.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match field("valkey_version") {
        Some(version) => format!("Valkey {}", version.trim()),
        None => format!("Redis {}", field("redis_version").unwrap_or_default().trim()),
    }
}
