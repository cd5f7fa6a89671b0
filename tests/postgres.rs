//! The private Postgres: templates, clones and what is kept of them.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Room, eventually, is_running, segments_of, state_of};
use dj_regress::proxy::Endpoint;
use dj_regress::service::Lifecycle as _;
use dj_regress::service::Services;
use dj_regress::service::postgres::{Postgres, PostgresWants};
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use rstest::rstest;

async fn started(room: &Room) -> (Arc<RunDirectory>, Supervisor, Postgres) {
    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    (run_directory, supervisor, postgres)
}

async fn add_template(postgres: &Postgres, key: &str) {
    let name = postgres.create_template_database(key).await.unwrap();
    let client = postgres.client(&name).await.unwrap();
    client.batch_execute("CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('apple')").await.unwrap();
    drop(client);
    postgres.seal_template(key).await.unwrap();
}

async fn fruits(postgres: &Postgres, database: &str) -> i64 {
    let client = postgres.client(database).await.unwrap();
    client.query_one("SELECT count(*) FROM fruit", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn clones_of_a_template_do_not_see_each_other() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    postgres.clone_template("fruit", "two").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    client.batch_execute("INSERT INTO fruit VALUES ('pear')").await.unwrap();
    assert_eq!(fruits(&postgres, "one").await, 2);
    assert_eq!(fruits(&postgres, "two").await, 1);
    assert_ne!(postgres.oid_of("one").await.unwrap(), postgres.oid_of("two").await.unwrap());
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_database_is_dropped_with_everybody_connected_to_it() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    postgres.drop_database("one").await.unwrap();
    assert!(client.simple_query("SELECT 1").await.is_err());
    assert!(postgres.oid_of("one").await.is_err());
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn sealed_templates_survive_the_run_and_nothing_else_does() {
    let room = Room::new();
    let (run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.create_template_database("half").await.unwrap();
    postgres.clone_template("fruit", "one").await.unwrap();
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
    assert!(!run_directory.path().exists());

    // The second keeps what the first one made, and adds its own.
    let (_run_directory, supervisor, postgres) = started(&room).await;
    assert!(postgres.has_template("fruit"));
    assert!(!postgres.has_template("half"));
    assert!(postgres.oid_of("one").await.is_err());
    assert!(postgres.oid_of("building_half").await.is_err());
    add_template(&postgres, "more").await;
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();

    let (_run_directory, supervisor, postgres) = started(&room).await;
    for key in ["fruit", "more"] {
        postgres.clone_template(key, key).await.unwrap();
        assert_eq!(fruits(&postgres, key).await, 1);
    }
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn two_runs_at_once_do_not_disturb_each_other() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();

    let (_first_directory, first_supervisor, first) = started(&room).await;
    let (_second_directory, second_supervisor, second) = started(&room).await;
    assert_ne!(first.upstream(), second.upstream());
    add_template(&second, "other").await;
    second.finish().await.unwrap();
    second_supervisor.shutdown().await.unwrap();
    // What it started from has been replaced meanwhile, but is still there for it.
    first.clone_template("fruit", "one").await.unwrap();
    assert_eq!(fruits(&first, "one").await, 1);
    add_template(&first, "third").await;
    first.finish().await.unwrap();
    first_supervisor.shutdown().await.unwrap();

    let (_run_directory, supervisor, postgres) = started(&room).await;
    assert!(postgres.has_template("fruit") && postgres.has_template("third"));
    supervisor.shutdown().await.unwrap();
}

/// What a case does to the server is seen by no later run: its templates are made again.
#[rstest]
#[case::a_setting_of_the_app("ALTER ROLE app SET default_transaction_read_only = on")]
#[case::a_role("CREATE ROLE tenant")]
#[case::a_setting_of_the_server("ALTER SYSTEM SET work_mem = '1MB'")]
#[case::a_setting_of_a_database("ALTER DATABASE postgres SET work_mem = '1MB'")]
#[case::a_table_for_all("CREATE TABLE left_here ()")]
#[tokio::test]
async fn a_server_that_was_changed_for_all_databases_is_not_kept(#[case] change: &str) {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.client("postgres").await.unwrap().batch_execute(change).await.unwrap();
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();

    let (_run_directory, supervisor, postgres) = started(&room).await;
    assert!(!postgres.has_template("fruit"));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn each_arm_has_a_role_of_its_own_that_goes_with_it() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    let building = postgres.create_template_database("fruit").await.unwrap();
    let client = postgres.client(&building).await.unwrap();
    client.batch_execute("SET ROLE app; CREATE TABLE fruit (name text)").await.unwrap();
    drop(client);
    postgres.seal_template("fruit").await.unwrap();
    for arm in [1, 2] {
        postgres.clone_template("fruit", &postgres.database_name(arm)).await.unwrap();
    }
    let connect = async |arm: usize, database: &str| {
        let Endpoint::Unix(socket) = postgres.upstream() else { panic!("a local server has a socket") };
        let mut config = tokio_postgres::Config::new();
        let user = postgres.login(&postgres.database_name(arm)).user;
        config.host_path(socket.parent().unwrap()).user(user).dbname(database);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok::<_, tokio_postgres::Error>(client)
    };
    let (one, two) = (postgres.database_name(1), postgres.database_name(2));
    let client = connect(1, &one).await.unwrap();
    // What the template brings is its own, as far as it can tell.
    client
        .batch_execute("ALTER TABLE fruit ADD COLUMN peel text; ALTER ROLE CURRENT_USER SET work_mem = '1MB'")
        .await
        .unwrap();
    let shown = async |client: &tokio_postgres::Client| -> String {
        client.query_one("SHOW work_mem", &[]).await.unwrap().get(0)
    };
    assert_eq!(shown(&connect(1, &one).await.unwrap()).await, "1MB");
    assert_ne!(shown(&connect(2, &two).await.unwrap()).await, "1MB");
    for other in [two.as_str(), "postgres", "template1"] {
        assert!(connect(1, other).await.is_err(), "{other} is not the arm's");
    }
    drop(client);
    for database in [one, two] {
        postgres.drop_database(&database).await.unwrap();
    }
    let admin = postgres.client("postgres").await.unwrap();
    let left = admin.query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'app_%'", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_data_directory_in_the_cache_is_made_again() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
    let store = std::fs::read_dir(room.cache.path("postgres")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(store.join("current/data/global/pg_control"), "").unwrap();

    let (_run_directory, supervisor, postgres) = started(&room).await;
    assert!(!postgres.has_template("fruit"));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_app_is_no_superuser_and_owns_its_database() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    client.batch_execute("SET SESSION AUTHORIZATION app; CREATE TABLE own (id int)").await.unwrap();
    assert!(client.batch_execute("CREATE ROLE another").await.is_err());
    supervisor.shutdown().await.unwrap();
}

/// A server of one arm's own.
async fn private(services: &Services, settings: &[(&str, &str)]) -> Result<Postgres, dj_regress::error::Error> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    services.postgres(&PostgresWants { settings, private: true, image: None }).await
}

/// The postmaster and all whom it has forked.
async fn processes(postgres: &Postgres) -> Vec<u32> {
    let client = postgres.client("postgres").await.unwrap();
    let rows = client.query("SELECT pid FROM pg_stat_activity", &[]).await.unwrap();
    let children = rows.iter().map(|row| row.get::<_, i32>(0).cast_unsigned());
    children.chain(postgres.pid()).collect()
}

#[tokio::test]
async fn a_killed_server_is_gone_at_once_and_recovers_where_it_was() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let postgres = private(&room.services(&supervisor, &run_directory).await, &[]).await.unwrap();
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    for round in 1..=3 {
        let client = postgres.client("one").await.unwrap();
        client.batch_execute("INSERT INTO fruit VALUES ('pear')").await.unwrap();
        client.batch_execute("BEGIN; INSERT INTO fruit VALUES ('not committed')").await.unwrap();
        let (upstream, killed) = (postgres.upstream(), processes(&postgres).await);
        let postmaster = postgres.pid().unwrap();
        assert!(killed.len() > 3 && segments_of(postmaster) == 1);
        postgres.kill().await.unwrap();
        assert!(killed.iter().all(|pid| !is_running(*pid)));
        assert!(client.simple_query("SELECT 1").await.is_err() && postgres.client("one").await.is_err());
        assert_eq!(segments_of(postmaster), 0);
        postgres.start().await.unwrap();
        assert_eq!((postgres.upstream(), fruits(&postgres, "one").await), (upstream, 1 + round));
        assert_ne!(postgres.pid().unwrap(), postmaster);
        // As the harness, too.
        postgres.clone_template("fruit", "two").await.unwrap();
        postgres.drop_database("two").await.unwrap();
    }
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
    assert!(!run_directory.path().exists());
}

#[tokio::test]
async fn an_ordered_stop_ends_connections_and_a_start_brings_the_data_back() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let postgres = private(&room.services(&supervisor, &run_directory).await, &[]).await.unwrap();
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    let stopped = processes(&postgres).await;
    // Of one that is paused, too.
    postgres.pause().await.unwrap();
    postgres.stop().await.unwrap();
    assert!(stopped.iter().all(|pid| !is_running(*pid)));
    assert!(client.simple_query("SELECT 1").await.is_err());
    postgres.start().await.unwrap();
    assert_eq!(fruits(&postgres, "one").await, 1);
    // What is down already can be finished, and killed.
    postgres.stop().await.unwrap();
    postgres.kill().await.unwrap();
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_paused_server_stands_still_with_all_its_processes() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let postgres = private(&room.services(&supervisor, &run_directory).await, &[]).await.unwrap();
    let client = postgres.client("postgres").await.unwrap();
    let all = processes(&postgres).await;
    let all: Vec<u32> = all.into_iter().filter(|pid| is_running(*pid)).collect();
    postgres.pause().await.unwrap();
    // The client that has looked has gone meanwhile.
    let left = || all.iter().filter(|pid| is_running(**pid));
    eventually("all are stopped", || left().all(|pid| state_of(*pid) == 'T'));
    let query = client.simple_query("SELECT 1");
    tokio::pin!(query);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut query).await.is_err());
    postgres.resume().await.unwrap();
    tokio::time::timeout(common::DEADLINE, query).await.unwrap().unwrap();
    assert!(left().all(|pid| state_of(*pid) != 'T'));
    // The supervisor ends one that is paused.
    postgres.pause().await.unwrap();
    supervisor.shutdown().await.unwrap();
    assert!(all.iter().all(|pid| !is_running(*pid)));
}

#[tokio::test]
async fn an_arms_own_server_has_its_settings_and_leaves_nothing_in_the_cache() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();

    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    let shared = services.postgres(&PostgresWants::default()).await.unwrap();
    let settings = [("synchronous_commit", "off"), ("work_mem", "77kB"), ("cluster_name", r"it's \ n\n")];
    let own = private(&services, &settings).await.unwrap();
    assert_ne!(shared.upstream(), own.upstream());
    for (name, value) in settings {
        let client = own.client("postgres").await.unwrap();
        let shown: String = client.query_one(&format!("SHOW {name}"), &[]).await.unwrap().get(0);
        assert_eq!(shown, value);
    }
    // It starts from what earlier runs have kept.
    own.clone_template("fruit", "one").await.unwrap();
    assert_eq!(fruits(&own, "one").await, 1);
    add_template(&own, "other").await;
    let folder = own.upstream().folder().unwrap().to_owned();
    own.finish().await.unwrap();
    assert!(!folder.exists());
    shared.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();

    let (_run_directory, supervisor, postgres) = started(&room).await;
    assert!(postgres.has_template("fruit") && !postgres.has_template("other"));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_are_told_with_what_the_server_says() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    for name in ["listen_addresses", "Shared_Preload_Libraries", "include_dir", "x = 1 #", "pg_stat_statements.max"] {
        let error = private(&services, &[(name, "1")]).await.unwrap_err();
        assert_eq!(error.kind, dj_regress::error::ErrorKind::Usage, "{error}");
        assert!(error.message.contains(name), "{error}");
    }
    let error = private(&services, &[("work_memory", "1MB")]).await.unwrap_err();
    assert!(error.message.contains("unrecognized configuration parameter \"work_memory\""), "{error}");
    let wants = PostgresWants { image: Some("postgres:17".to_owned()), ..PostgresWants::default() };
    let error = services.postgres(&wants).await.unwrap_err();
    assert!(error.message.contains("needs the image postgres:17"), "{error}");
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "prints times"]
async fn times_of_start_clone_and_finish() {
    let room = Room::new();
    let (_run_directory, supervisor, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    let begin = Instant::now();
    postgres.finish().await.unwrap();
    println!("finish with publishing {:?}", begin.elapsed());
    supervisor.shutdown().await.unwrap();
    for _ in 0..3 {
        let begin = Instant::now();
        let (run_directory, supervisor) = room.supervisor().await;
        println!("supervisor {:?}", begin.elapsed());
        let begin = Instant::now();
        let services = room.services(&supervisor, &run_directory).await;
        println!("locate {:?}", begin.elapsed());
        let begin = Instant::now();
        let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
        println!("copy and start {:?}", begin.elapsed());
        for name in ["one", "two", "three"] {
            let begin = Instant::now();
            postgres.clone_template("fruit", name).await.unwrap();
            println!("clone {:?}", begin.elapsed());
        }
        let begin = Instant::now();
        postgres.drop_database("one").await.unwrap();
        println!("drop {:?}", begin.elapsed());
        let begin = Instant::now();
        postgres.finish().await.unwrap();
        println!("finish {:?}", begin.elapsed());
        let begin = Instant::now();
        supervisor.shutdown().await.unwrap();
        println!("shutdown {:?}", begin.elapsed());
    }
}
