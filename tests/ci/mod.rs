//! Servers that somebody else runs, as a CI job has them.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dj_regress::service::locate::{self, Programs};
use dj_regress::service::postgres::Postgres;
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::{Ending, Spawn, Supervisor};
use dj_regress::service::{Secret, ServiceChoice, Services};
use nix::unistd::{Uid, User, chown};
use tokio_postgres::{Client, NoTls};

use crate::common::{self, DEADLINE, Room};

/// Of all users on the servers of "the CI".
pub const PASSWORD: &str = "hunter2-hunter2";

/// Postgres and Redis on loopback, with a password: what a CI job gives. They are no part of any run.
pub struct Ci {
    pub supervisor: Supervisor,
    pub room: Room,
    _run_directory: Arc<RunDirectory>,
    pub postgres: u16,
    pub redis: u16,
    /// Process ids: of the postmaster, of Redis.
    pids: (AtomicU32, AtomicU32),
}

impl Ci {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// With these lines in `postgresql.conf`.
    pub async fn start_with(settings: &str) -> Self {
        let room = Room::new();
        // Of a base of its own: a sweep of the tests must not find it.
        let base = room.base().join("ci");
        fs::create_dir(&base).unwrap();
        let (run_directory, supervisor) = common::supervisor(&base).await;
        let (postgres, redis) = (free_port(), free_port());
        let ci = Self { supervisor, room, _run_directory: run_directory, postgres, redis, pids: Default::default() };
        ci.make_postgres(settings).await;
        ci.start_redis().await;
        ci
    }

    fn folder(&self) -> PathBuf {
        self.room.base().join("ci/postgres")
    }

    /// A program of Postgres'.
    fn program(&self, name: &str, words: &[String]) -> Spawn {
        let binaries = locate::postgres(Programs::Auto, &self.room.cache).unwrap().folder;
        let command = [&[binaries.join(name).to_str().unwrap().to_owned()], words].concat();
        let mut spawn = Spawn::new(name, command, &self.folder(), &self.room.base().join("ci/log"));
        spawn.user = server_user().map(|user| (user.uid.as_raw(), user.gid.as_raw()));
        spawn.ending = Ending::Quit;
        spawn
    }

    async fn make_postgres(&self, settings: &str) {
        let folder = self.folder();
        fs::create_dir(&folder).unwrap();
        let user = server_user();
        if let Some(user) = &user {
            chown(&folder, Some(user.uid), Some(user.gid)).unwrap();
        }
        fs::write(self.room.base().join("password"), PASSWORD).unwrap();
        if let Some(user) = &user {
            chown(&self.room.base().join("password"), Some(user.uid), Some(user.gid)).unwrap();
        }
        let data = folder.join("data").to_str().unwrap().to_owned();
        let password = format!("--pwfile={}", self.room.base().join("password").display());
        let initdb = ["-D", &data, "-U", "ci", "--auth=scram-sha-256", &password, "--no-sync"].map(str::to_owned);
        let pid = self.supervisor.spawn(self.program("initdb", &initdb)).await.unwrap();
        assert_eq!(self.supervisor.exited(pid).await.unwrap().to_string(), "exit code 0");
        let mut text = String::new();
        let port = self.postgres;
        writeln!(text, "port = {port}\nlisten_addresses = '127.0.0.1'\nfsync = off\ndynamic_shared_memory_type = mmap\nunix_socket_directories = ''")
            .unwrap();
        let configuration = folder.join("data/postgresql.conf");
        fs::write(&configuration, text + settings).unwrap();
        self.start_postgres().await;
    }

    /// Starts it on its data, and waits until it answers.
    pub async fn start_postgres(&self) {
        let data = self.folder().join("data").to_str().unwrap().to_owned();
        let pid = self.supervisor.spawn(self.program("postgres", &["-D".to_owned(), data])).await.unwrap();
        self.pids.0.store(pid, Ordering::Relaxed);
        let until = tokio::time::Instant::now() + DEADLINE;
        while self.connect("ci", "postgres").await.is_err() {
            assert!(
                tokio::time::Instant::now() < until,
                "{}",
                fs::read_to_string(self.room.base().join("ci/log")).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL to all of it.
    pub async fn kill_postgres(&self) {
        self.supervisor.end_tree(self.pids.0.load(Ordering::Relaxed)).await.unwrap();
        let _ = fs::remove_file(self.folder().join("data/postmaster.pid"));
    }

    /// SIGKILL.
    pub async fn kill_redis(&self) {
        self.supervisor.end_tree(self.pids.1.load(Ordering::Relaxed)).await.unwrap();
    }

    /// Starts an empty one, and waits until it answers.
    pub async fn start_redis(&self) {
        let binary = locate::redis(Programs::Auto, &self.room.cache).unwrap().program;
        let port = self.redis.to_string();
        let words = [binary.to_str().unwrap(), "--port", &port, "--bind", "127.0.0.1"]
            .into_iter()
            .chain(["--requirepass", PASSWORD, "--save", "", "--databases", "4"])
            .map(str::to_owned);
        let spawn = Spawn::new("redis", words.collect(), self.room.base(), &self.room.base().join("ci/redis.log"));
        self.pids.1.store(self.supervisor.spawn(spawn).await.unwrap(), Ordering::Relaxed);
        let until = tokio::time::Instant::now() + DEADLINE;
        while self.try_redis(0).await.is_err() {
            assert!(tokio::time::Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn connect(&self, user: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.postgres).user(user).password(PASSWORD).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn try_redis(&self, database: i64) -> Result<redis::aio::MultiplexedConnection, redis::RedisError> {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}/{database}", self.redis);
        let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await?;
        Ok(connection)
    }

    pub async fn keys(&self, database: i64) -> BTreeSet<String> {
        let mut connection = self.try_redis(database).await.unwrap();
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    }

    pub async fn set(&self, database: i64, key: &str) {
        let mut connection = self.try_redis(database).await.unwrap();
        redis::cmd("SET").arg(key).arg(1).query_async::<()>(&mut connection).await.unwrap();
    }

    /// Names of all databases and roles, but for the built-in ones.
    pub async fn everything(&self) -> BTreeSet<String> {
        let client = self.connect("ci", "postgres").await.unwrap();
        let names = "SELECT datname::text FROM pg_database UNION SELECT rolname::text FROM pg_roles";
        let rows = client.query(names, &[]).await.unwrap();
        let names = rows.iter().map(|row| row.get::<_, String>(0));
        names.filter(|name| !name.starts_with("pg_") && !name.starts_with("template")).collect()
    }

    pub async fn execute(&self, statement: &str) {
        self.connect("ci", "postgres").await.unwrap().batch_execute(statement).await.unwrap();
    }

    pub fn postgres_url(&self, user: &str) -> String {
        format!("postgres://{user}:{PASSWORD}@127.0.0.1:{}/postgres", self.postgres)
    }

    pub fn redis_url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.redis)
    }

    pub fn choice(&self, user: &str) -> ServiceChoice {
        let (postgres, redis) = (Secret::new(self.postgres_url(user)), Secret::new(self.redis_url()));
        ServiceChoice::new(None, Some(&postgres), Some(&redis), Programs::Auto, &|_| None).unwrap()
    }

    /// A run whose services are these.
    pub async fn run(&self, user: &str) -> (Arc<RunDirectory>, Supervisor, Services) {
        let (run_directory, supervisor) = self.room.supervisor().await;
        let services =
            Services::choose(&self.choice(user), &supervisor, &run_directory, &self.room.cache).await.unwrap();
        (run_directory, supervisor, services)
    }
}

/// As whom Postgres runs, where this is root.
fn server_user() -> Option<User> {
    User::from_name("postgres").unwrap().filter(|_| Uid::effective().is_root())
}

/// A port that the system has just found free.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A database of an arm, with a table of fruit.
pub async fn arm(postgres: &Postgres) -> String {
    let building = postgres.create_template_database("fruit").await.unwrap();
    let client = app(postgres, &building).await;
    client.batch_execute("CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('apple')").await.unwrap();
    drop(client);
    postgres.seal_template("fruit").await.unwrap();
    let database = postgres.database_name(0);
    postgres.clone_template("fruit", &database).await.unwrap();
    database
}

/// As an app logs in: by what its service file says.
pub async fn app(postgres: &Postgres, database: &str) -> Client {
    let file = postgres.direct_service_file(database);
    let field = |name: &str| {
        file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_else(|| panic!("{file}"))
    };
    let mut config = tokio_postgres::Config::new();
    config.host(field("host")).port(field("port").parse().unwrap()).dbname(field("dbname"));
    let (client, connection) = config.user(field("user")).password(field("password")).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
