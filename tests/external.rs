//! Servers that somebody else runs: a run has its own there, touches nothing else, and leaves nothing.
#![allow(clippy::unwrap_used, missing_docs)]

mod ci;
mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ci::{Ci, PASSWORD, app, arm, free_port};
use common::PROGRAM;
use dj_regress::service::Lifecycle as _;
use dj_regress::service::address::RedisUrl;
use dj_regress::service::locate::Programs;
use dj_regress::service::postgres::PostgresWants;
use dj_regress::service::redis::{Pool, Redis, RedisWants};
use dj_regress::service::{Place, Secret, ServiceChoice, ServiceNeeds, Services};

#[tokio::test]
async fn a_run_makes_databases_of_its_own_and_drops_them() {
    let ci = Ci::start().await;
    ci.execute("CREATE DATABASE dj_regress_of_a_stranger").await;
    let before = ci.everything().await;
    let (_run_directory, supervisor, services) = ci.run("ci").await;
    assert_eq!(services.place(), Place::External);
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let database = arm(&postgres).await;
    let row = app(&postgres, &database).await.query_one("SELECT current_user::text, name FROM fruit", &[]).await;
    let (user, name): (String, String) = row.map(|row| (row.get(0), row.get(1))).unwrap();
    assert_eq!((user.as_str(), name.as_str()), (postgres.login(&database).user.as_str(), "apple"));
    assert!(user.starts_with(&postgres.app().user) && user != postgres.app().user, "an arm has a role of its own");
    assert!(user.starts_with("dj_regress_app_") && database.starts_with("dj_regress_"), "{user} {database}");
    assert!(!postgres.are_backends_here() && postgres.pid().is_none());
    // Made, and everything ended before it had its comment.
    ci.execute(&format!("COMMENT ON DATABASE {database} IS NULL")).await;
    postgres.finish().await.unwrap();
    assert_eq!(ci.everything().await, before);
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_looks_like_a_runs_own_and_has_another_label_stays() {
    let ci = Ci::start().await;
    let (_run_directory, supervisor, services) = ci.run("ci").await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let foreign = postgres.database_name(7);
    ci.execute(&format!("CREATE DATABASE {foreign}")).await;
    ci.execute(&format!("COMMENT ON DATABASE {foreign} IS 'of somebody else'")).await;
    for name in ["postgres", "dj_regress_", "\"x\"; DROP"] {
        assert!(postgres.drop_database(name).await.is_err(), "{name}");
    }
    postgres.finish().await.unwrap();
    assert!(ci.everything().await.contains(&foreign));
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let ci = Ci::start().await;
    ci.execute(&format!("CREATE ROLE builder LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'")).await;
    ci.execute(&format!("CREATE ROLE maker LOGIN CREATEDB PASSWORD '{PASSWORD}'")).await;
    ci.execute(&format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")).await;
    let before = ci.everything().await;
    for (user, has_own_role) in [("builder", true), ("maker", false)] {
        let (_run_directory, supervisor, services) = ci.run(user).await;
        let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
        let database = arm(&postgres).await;
        assert_eq!(postgres.app().user != user, has_own_role);
        // As the harness does when it looks into an arm.
        let client = postgres.client(&database).await.unwrap();
        client.batch_execute("CREATE SCHEMA own; SELECT * FROM fruit").await.unwrap();
        assert!(
            services.notes().iter().any(|note| note.starts_with("no pg_stat_statements")),
            "{:?}",
            services.notes()
        );
        postgres.finish().await.unwrap();
        assert_eq!(ci.everything().await, before, "{user}");
        supervisor.shutdown().await.unwrap();
    }
    let (run_directory, supervisor) = ci.room.supervisor().await;
    let refused =
        Services::choose(&ci.choice("reader"), &supervisor, &run_directory, &ci.room.cache).await.unwrap_err();
    assert!(refused.message.contains("may not make databases") && refused.hint.unwrap().contains("CREATEDB"));
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn statistics_are_had_where_the_server_counts_and_from_nobody_else() {
    let ci = Ci::start_with("shared_preload_libraries = 'pg_stat_statements'\n").await;
    let (_run_directory, supervisor, services) = ci.run("ci").await;
    let needs = ServiceNeeds { statistics: true, ..ServiceNeeds::default() };
    assert_eq!((services.refusal(&needs), services.notes()), (None, vec![]));
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let database = arm(&postgres).await;
    app(&postgres, &database).await.query("SELECT name FROM fruit", &[]).await.unwrap();
    let statement = "SELECT calls FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid \
                     WHERE dbid = $1 AND rolname = $2 AND query = 'SELECT name FROM fruit'";
    let oid = postgres.oid_of(&database).await.unwrap();
    let client = postgres.statistics_client().await.unwrap();
    let calls: i64 = client.query_one(statement, &[&oid, &postgres.login(&database).user]).await.unwrap().get(0);
    assert_eq!(calls, 1);
    let extension = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'";
    let of_url: i64 = postgres.client("postgres").await.unwrap().query_one(extension, &[]).await.unwrap().get(0);
    assert_eq!(of_url, 0, "the database of the URL is left as it is");
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();

    let plain = Ci::start().await;
    let (_run_directory, supervisor, services) = plain.run("ci").await;
    assert!(services.refusal(&needs).is_some());
    supervisor.shutdown().await.unwrap();
    for ci in [ci, plain] {
        ci.supervisor.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_only_a_server_of_our_own_can_do_is_refused() {
    let ci = Ci::start().await;
    let (run_directory, supervisor, services) = ci.run("ci").await;
    let asked = [
        ServiceNeeds { image: Some("postgres:17".to_owned()), ..ServiceNeeds::default() },
        ServiceNeeds { own_postgres: true, ..ServiceNeeds::default() },
        ServiceNeeds { redis_settings: true, ..ServiceNeeds::default() },
        ServiceNeeds { server_faults: true, ..ServiceNeeds::default() },
    ];
    for needs in asked {
        assert!(services.refusal(&needs).is_some(), "{needs:?}");
    }
    assert_eq!(services.refusal(&ServiceNeeds { redis: true, ..ServiceNeeds::default() }), None);
    let private = PostgresWants { private: true, ..PostgresWants::default() };
    assert!(services.postgres(&private).await.is_err());
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    assert!(postgres.kill().await.is_err() && redis.kill().await.is_err());
    assert!(postgres.pause().await.is_err() && redis.stop().await.is_err());
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_arm_takes_an_empty_database_of_redis_and_leaves_it_so() {
    let ci = Ci::start().await;
    ci.set(3, "of a stranger").await;
    ci.set(1, "of a stranger").await;
    let (run_directory, supervisor, services) = ci.run("ci").await;
    assert!(services.redis_version().await.unwrap().contains(' '));
    let wants = RedisWants::default();
    let take = || services.redis(&wants, run_directory.path());
    let (first, second) = (take().await.unwrap(), take().await.unwrap());
    let selected = |redis: &Redis| redis.preamble().last().unwrap().join(" ");
    assert_eq!((selected(&first), selected(&second)), ("SELECT 2".to_owned(), format!("AUTH {PASSWORD}")));
    let mut connection = first.connection().await.unwrap();
    redis::cmd("SET").arg("own").arg(1).query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(ci.keys(2).await.len() as u64, first.own_keys() + 1);
    // All are taken: the next arm waits for one.
    let (third, ()) = tokio::join!(take(), async { first.finish().await.unwrap() });
    let third = third.unwrap();
    assert_eq!(selected(&third), "SELECT 2");
    second.finish().await.unwrap();
    // Whoever loses one keeps nobody waiting for it.
    drop(third);
    take().await.unwrap().finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
    for (database, kept) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        assert_eq!(ci.keys(database).await.len(), kept, "database {database}");
    }
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_redis_without_an_empty_database_is_refused_and_left_alone() {
    let ci = Ci::start().await;
    for database in 0..4 {
        ci.set(database, "of a stranger").await;
    }
    let (run_directory, supervisor, services) = ci.run("ci").await;
    let why = services.refusal(&ServiceNeeds { redis: true, ..ServiceNeeds::default() }).unwrap();
    assert!(why.contains("none of the 4 databases") && why.contains("is empty"), "{why}");
    assert!(services.redis(&RedisWants::default(), run_directory.path()).await.is_err());
    for database in 0..4 {
        assert_eq!(ci.keys(database).await, BTreeSet::from(["of a stranger".to_owned()]));
    }
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn keys_without_the_runs_mark_are_not_flushed() {
    let ci = Ci::start().await;
    let (run_directory, supervisor, services) = ci.run("ci").await;
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    let mut connection = redis.connection().await.unwrap();
    redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await.unwrap();
    redis::cmd("SET").arg("whose").arg(1).query_async::<()>(&mut connection).await.unwrap();
    let error = redis.finish().await.unwrap_err();
    assert!(error.message.contains("its 1 keys stay"), "{error}");
    assert_eq!(ci.keys(3).await, BTreeSet::from(["whose".to_owned()]));
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_password_is_in_no_message_and_only_in_files_of_the_owner() {
    let ci = Ci::start().await;
    let choice = ci.choice("ci");
    let (run_directory, supervisor, services) = ci.run("ci").await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    let mut said = format!("{choice:?} {services:?} {} {postgres:?} {redis:?} {run_directory:?}", services.describe());
    // Another password, and servers that are not there.
    let wrong = |url: &str| Secret::new(url.replace(PASSWORD, "hunter2-wrong"));
    let nowhere = |url: &str, port: u16| Secret::new(url.replace(&port.to_string(), &free_port().to_string()));
    let (of_postgres, of_redis) = (ci.postgres_url("ci"), ci.redis_url());
    for (postgres, redis) in [
        (wrong(&of_postgres), Secret::new(&of_redis)),
        (Secret::new(&of_postgres), wrong(&of_redis)),
        (nowhere(&of_postgres, ci.postgres), Secret::new(&of_redis)),
        (Secret::new(&of_postgres), nowhere(&of_redis, ci.redis)),
    ] {
        let choice = ServiceChoice::new(None, Some(&postgres), Some(&redis), Programs::Auto, &|_| None).unwrap();
        let (run_directory, supervisor) = ci.room.supervisor().await;
        match Services::choose(&choice, &supervisor, &run_directory, &ci.room.cache).await {
            Ok(services) => {
                let why = services.refusal(&ServiceNeeds { redis: true, ..ServiceNeeds::default() });
                write!(said, "{services:?} {}", why.unwrap()).unwrap();
            }
            Err(error) => write!(said, "{error:?}").unwrap(),
        }
        supervisor.shutdown().await.unwrap();
    }
    assert!(said.contains("127.0.0.1") && !said.contains("hunter2"), "{said}");
    let own = postgres.app().password.as_ref().unwrap().reveal();
    assert!(own.len() == 32 && !said.contains(own));
    let log = fs::read_to_string(ci.room.base().join("ci/log")).unwrap();
    assert!(!log.contains(own) && !log.contains("hunter2"), "{log}");
    let manifest = run_directory.path().join("manifest.json");
    assert!(fs::read_to_string(&manifest).unwrap().contains(PASSWORD));
    assert_eq!(manifest.metadata().unwrap().mode() & 0o777, 0o600);
    postgres.finish().await.unwrap();
    redis.finish().await.unwrap();
    assert!(!fs::read_to_string(&manifest).unwrap().contains("\"postgres\": {"));
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}

#[test]
fn a_url_that_the_program_refuses_is_not_repeated() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(PROGRAM);
        command.arg("run").args(arguments).envs(variables.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = command.args(["--output-dir", "/nonexistent"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let tls = "postgres://me:hunter2@db/app?sslmode=require";
    let all = [
        said(&["--postgres-url", tls], &[]),
        said(&[], &[("DJ_REGRESS_POSTGRES_URL", tls)]),
        said(&["--services", "local", "--postgres-url", tls], &[]),
        said(&["--services", "external"], &[("DATABASE_URL", tls)]),
        said(&["--redis-url", "redis://:hunter2@cache"], &[]),
        said(&["--services", "external"], &[("DATABASE_URL", "mysql://me:hunter2@db/app")]),
    ];
    for (text, part) in
        all.iter().zip(["TLS", "TLS", "no use", "DATABASE_URL asks for TLS", "no Postgres", "no Postgres"])
    {
        assert!(text.contains(part) && !text.contains("hunter2"), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_doctor_says_whether_a_run_could_use_what_is_given() {
    let ci = Ci::start().await;
    ci.set(3, "of a stranger").await;
    let (postgres, redis) = (ci.postgres_url("ci"), ci.redis_url());
    let said = |names: [&str; 2], postgres: &str| {
        let set = |name: &str| match name {
            name if name == names[0] => Some(postgres.to_owned()),
            name if name == names[1] => Some(redis.clone()),
            _ => None,
        };
        let mut findings = dj_regress::service::report(&ci.room.cache, &set);
        findings.retain(|finding| finding.subject.starts_with("external"));
        assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
        findings.into_iter().map(|finding| (finding.is_good, finding.found)).collect::<Vec<_>>()
    };
    let own = ["DJ_REGRESS_POSTGRES_URL", "DJ_REGRESS_REDIS_URL"];
    let findings = said(own, &postgres);
    assert!(findings[0].0 && findings[0].1.contains("the app gets a role of its own"), "{findings:?}");
    assert!(findings[1].0 && findings[1].1.contains("3 of its 4 databases are empty"), "{findings:?}");
    let findings = said(own, &postgres.replace(PASSWORD, "hunter2-wrong"));
    assert!(!findings[0].0 && findings[0].1.contains("password authentication failed"), "{findings:?}");
    // Those of others are not even connected to.
    let findings = said(["DATABASE_URL", "REDIS_URL"], "postgres://me:hunter2@does.not.exist/app");
    assert_eq!(findings, [(true, "postgres://me@does.not.exist:5432/app, with --services external only".to_owned())]);
    ci.supervisor.shutdown().await.unwrap();
}

/// The variables of a CI job are somebody's own where nobody asked for them.
#[test]
fn the_variables_of_ci_count_only_where_given_is_asked_for() {
    let set = |name: &str| match name {
        "DATABASE_URL" => Some("postgres://me@ci/app".to_owned()),
        "REDIS_URL" => Some("redis://ci".to_owned()),
        _ => None,
    };
    let choice = |place, variable: &dyn Fn(&str) -> Option<String>| {
        ServiceChoice::new(place, None, None, Programs::Auto, variable).unwrap().postgres_url.map(|url| url.to_string())
    };
    assert_eq!(choice(None, &set), None);
    assert_eq!(choice(Some(Place::Local), &set), None);
    assert_eq!(choice(Some(Place::External), &set).as_deref(), Some("postgres://me@ci:5432/app"));
    let own = |name: &str| match name {
        "DJ_REGRESS_POSTGRES_URL" => Some("postgres://me@own/app".to_owned()),
        _ => set(name),
    };
    for place in [None, Some(Place::External)] {
        assert_eq!(choice(place, &own).as_deref(), Some("postgres://me@own:5432/app"));
    }
    let other = |name: &str| match name {
        "DATABASE_URL" => Some("mysql://me@ci/app".to_owned()),
        "PGHOST" => Some("/run/postgresql".to_owned()),
        "PGUSER" => Some("me".to_owned()),
        _ => None,
    };
    let socket = PathBuf::from("/run/postgresql/.s.PGSQL.5432");
    let given = choice(Some(Place::External), &other);
    assert_eq!(given, Some(format!("postgres://me@{}/me", socket.display())));
}

#[tokio::test]
async fn an_empty_database_of_redis_is_not_waited_for_without_end() {
    let ci = Ci::start().await;
    for database in 1..4 {
        ci.set(database, "of a stranger").await;
    }
    let (run_directory, supervisor) = ci.room.supervisor().await;
    let url = RedisUrl::parse(&Secret::new(ci.redis_url()), "a test").unwrap();
    let pool = Arc::new(Pool::open(&url, &run_directory).await.unwrap());
    let taken = pool.take(Duration::ZERO).await.unwrap();
    let error = pool.take(Duration::ZERO).await.unwrap_err();
    assert!(error.message.contains("has become free within 0 s: arms of this run hold 0, and no other"), "{error}");
    assert!(error.hint.unwrap().contains("--jobs"));
    taken.give_back().await.unwrap();
    drop(taken);
    pool.take(Duration::ZERO).await.unwrap().give_back().await.unwrap();
    supervisor.shutdown().await.unwrap();
    ci.supervisor.shutdown().await.unwrap();
}
