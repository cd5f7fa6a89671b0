//! What the tests of faults share: a real Postgres and a real Redis, each behind a proxy.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress::proxy::{PostgresProxy, RedisClock, RedisProxy, ServerClock, TimeAsked};
use dj_regress::service::postgres::{PORT, PostgresWants, SUPERUSER};
use dj_regress::service::redis::{Redis, RedisWants};
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisError};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use super::common::{DEADLINE, Room};

/// How long something must not happen before a test believes that it does not.
pub const SILENCE: Duration = Duration::from_millis(100);

/// Fails the test where something does not happen.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it happens")
}

/// Fails the test where something happens.
pub async fn not_now(future: impl Future) {
    assert!(timeout(SILENCE, future).await.is_err(), "nothing happens");
}

/// The shortest time that something takes, of a few.
pub async fn shortest<T>(mut once: impl AsyncFnMut() -> T) -> Duration {
    let mut shortest = DEADLINE;
    for _ in 0..10 {
        let start = Instant::now();
        soon(once()).await;
        shortest = shortest.min(start.elapsed());
    }
    shortest
}

/// A Postgres with the table `fruit`, behind a proxy.
pub struct PostgresStage {
    pub proxy: PostgresProxy,
    /// Not through the proxy.
    pub direct: Client,
    supervisor: Supervisor,
    _run_directory: Arc<RunDirectory>,
    room: Room,
}

impl PostgresStage {
    pub async fn new() -> Self {
        let room = Room::new();
        let (run_directory, supervisor) = room.supervisor().await;
        let services = room.services(&supervisor, &run_directory).await;
        let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
        let proxy = PostgresProxy::start(
            postgres.upstream(),
            ServerClock::Machine(TimeAsked::default()),
            &run_directory.path().join("pg-q"),
        )
        .await
        .unwrap();
        let direct = postgres.client("postgres").await.unwrap();
        direct.batch_execute("CREATE TABLE fruit (id int)").await.unwrap();
        Self { proxy, direct, supervisor, _run_directory: run_directory, room }
    }

    /// Through the proxy.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.proxy.host()).port(PORT).user(SUPERUSER).dbname("postgres").application_name("actor");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn client(&self) -> Client {
        soon(self.connect()).await.unwrap()
    }

    /// Rows of `fruit`.
    pub async fn rows(&self) -> i64 {
        self.direct.query_one("SELECT count(*) FROM fruit", &[]).await.unwrap().get(0)
    }

    /// Waits until the server has no connection of an actor any more.
    pub async fn nobody_is_connected(&self) {
        let there = "SELECT FROM pg_stat_activity WHERE application_name = 'actor'";
        soon(async { while !self.direct.query(there, &[]).await.unwrap().is_empty() {} }).await;
    }

    pub async fn end(self) {
        self.supervisor.shutdown().await.unwrap();
        drop(self.room);
    }
}

/// A Redis behind a proxy.
pub struct RedisStage {
    pub proxy: RedisProxy,
    pub redis: Redis,
    pub run_directory: Arc<RunDirectory>,
    supervisor: Supervisor,
    room: Room,
}

impl RedisStage {
    pub async fn new() -> Self {
        Self::with_preamble(&[]).await
    }

    pub async fn with_preamble(preamble: &[&[&str]]) -> Self {
        let room = Room::new();
        let (run_directory, supervisor) = room.supervisor().await;
        let services = room.services(&supervisor, &run_directory).await;
        let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
        let preamble = preamble.iter().map(|command| command.iter().map(|&word| word.to_owned()).collect()).collect();
        let proxy = RedisProxy::start(
            redis.endpoint().clone(),
            preamble,
            RedisClock::Machine(TimeAsked::default()),
            &run_directory.path().join("wire.sock"),
        )
        .await
        .unwrap();
        Self { proxy, redis, run_directory, supervisor, room }
    }

    /// Through the proxy.
    pub async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let address = ConnectionAddr::Unix(self.proxy.socket().to_owned()).into_connection_info()?;
        redis::Client::open(address)?.get_multiplexed_async_connection().await
    }

    pub async fn client(&self) -> MultiplexedConnection {
        soon(self.connect()).await.unwrap()
    }

    /// The value of the key `n`, from the server itself.
    pub async fn value(&self) -> i64 {
        let mut direct = self.redis.connection().await.unwrap();
        redis::cmd("GET").arg("n").query_async::<Option<i64>>(&mut direct).await.unwrap().unwrap_or_default()
    }

    pub async fn end(self) {
        self.supervisor.shutdown().await.unwrap();
        drop(self.room);
    }
}
