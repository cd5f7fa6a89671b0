//! What the tests of containers share: a daemon with our images, and what they say.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dj_regress::service::docker::{Container, Daemon, Labelled, Owner, Spec, socket_folder};
use dj_regress::service::postgres::SUPERUSER;
use dj_regress::service::postgres::contained::{self as postgres, Contained as Postgres};
use dj_regress::service::redis::contained::{self as redis, Contained as Redis};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::support::{DEADLINE, skip};

/// A daemon with our images, and an owner and a folder of this test alone.
pub struct Room {
    pub daemon: Daemon,
    pub owner: Owner,
    pub folder: TempDir,
    pub postgres: String,
    pub redis: String,
}

impl Room {
    /// None, loudly, where there is no daemon or no image.
    pub async fn find() -> Option<Self> {
        static ROOMS: AtomicU32 = AtomicU32::new(0);
        let daemon = match Daemon::connect().await {
            Ok(daemon) => daemon,
            Err(error) => {
                skip(&format!("containers: {error}"));
                return None;
            }
        };
        let (postgres, redis) = (newest(&daemon, "postgres").await?, newest(&daemon, "redis").await?);
        let run = format!("test-{}-{}", std::process::id(), ROOMS.fetch_add(1, Ordering::Relaxed));
        let owner = Owner { token: format!("token of {run}"), run };
        let folder = tempfile::Builder::new().prefix("djt-").tempdir_in("/tmp").unwrap();
        Some(Self { daemon, owner, folder, postgres, redis })
    }

    pub async fn start_postgres(&self, settings: &[(&str, &str)]) -> dj_regress::error::Result<Postgres> {
        self.start_postgres_of(&self.postgres, settings).await
    }

    pub async fn start_postgres_of(
        &self,
        image: &str,
        settings: &[(&str, &str)],
    ) -> dj_regress::error::Result<Postgres> {
        let folder = socket_folder(self.folder.path(), "postgres").unwrap();
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let wanted = postgres::Wanted {
            owner: &self.owner,
            image,
            folder: &folder,
            superuser: SUPERUSER,
            is_private: false,
            settings: &settings,
            clock: None,
        };
        Postgres::start(&self.daemon, wanted).await
    }

    pub async fn start_redis(&self) -> Redis {
        let folder = socket_folder(self.folder.path(), "redis").unwrap();
        let wanted = redis::Wanted {
            owner: &self.owner,
            image: &self.redis,
            folder: &folder,
            maxmemory: Some(5_000_000),
            policy: Some("allkeys-lru"),
            clock: None,
        };
        Redis::start(&self.daemon, wanted).await.unwrap()
    }

    /// Runs a shell command in a container.
    pub async fn shell(&self, owner: &Owner, script: &str) -> Container {
        let arguments = ["sh", "-c", script].map(str::to_owned).into();
        self.daemon.run(Spec { arguments, ..Spec::new("shell", owner, &self.redis) }).await.unwrap()
    }

    pub async fn containers(&self) -> Vec<String> {
        let ours = self.daemon.labelled().await.unwrap().into_iter().filter(|found| found.owner.run == self.owner.run);
        ours.map(|found: Labelled| found.name).collect()
    }
}

impl Drop for Room {
    /// What a test that failed has left.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let label = format!("label=dj-regress.run={}", self.owner.run);
            for container in docker(&["ps", "-a", "-q", "--filter", &label]).split_whitespace() {
                docker(&["rm", "-f", "-v", container]);
            }
        }
    }
}

pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub async fn connect(folder: &Path, user: &str, database: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    let (client, connection) = config.host_path(folder).user(user).dbname(database).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub async fn client(postgres: &Postgres) -> Client {
    connect(postgres.socket_directory(), SUPERUSER, "postgres").await
}

pub async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

pub async fn ask(redis: &Redis, words: &[&str]) -> Vec<String> {
    let url = format!("redis+unix://{}", redis.socket().display());
    let mut connection = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = ::redis::cmd(words[0]);
    let value: ::redis::Value = command.arg(&words[1..]).query_async(&mut connection).await.unwrap();
    match value {
        ::redis::Value::Array(values) => {
            values.into_iter().map(|value| ::redis::from_redis_value(value).unwrap()).collect()
        }
        value => vec![::redis::from_redis_value(value).unwrap()],
    }
}

/// Waits until a container has ended; its exit code.
pub async fn ended(container: &Container) -> i64 {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(code) = container.exited().await.unwrap() {
            return code;
        }
        assert!(Instant::now() < deadline, "{} goes on", container.name());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The newest of our images of this name.
pub async fn newest(daemon: &Daemon, name: &str) -> Option<String> {
    for major in (1..30).rev() {
        let image = format!("dj-regress/{name}:{major}");
        if daemon.has_image(&image).await.unwrap() {
            return Some(image);
        }
    }
    skip(&format!("containers: no image dj-regress/{name}; harness/images/build {name} makes it"));
    None
}
