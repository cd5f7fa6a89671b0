//! Servers that somebody else runs: a run has its own there, touches nothing else, and leaves nothing.
#![allow(clippy::unwrap_used, missing_docs)]

mod ci;
mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ci::{Ci, PASSWORD, free_port};
use common::{Controller, DEADLINE, PROGRAM, ROLE, Room, eventually};
use dj_regress::cache::Cache;
use dj_regress::service::locate::Programs;
use dj_regress::service::postgres::{Postgres, PostgresWants};
use dj_regress::service::redis::{Redis, RedisWants};
use dj_regress::service::{Choice, Needs, Place, Secret, Services, sweep_base};
use serde_json::json;
use tokio_postgres::{Client, NoTls};

const POSTGRES_URL: &str = "DJ_REGRESS_TEST_POSTGRES";
const REDIS_URL: &str = "DJ_REGRESS_TEST_REDIS";

async fn arm(postgres: &Postgres) -> String {
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
async fn app(postgres: &Postgres, database: &str) -> Client {
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

#[tokio::test]
async fn a_run_makes_databases_of_its_own_and_drops_them() {
    let ci = Ci::start().await;
    ci.execute("CREATE DATABASE dj_regress_of_a_stranger").await;
    let before = ci.everything().await;
    let (_run_directory, keeper, services) = ci.run("ci").await;
    assert_eq!(services.place(), Place::Given);
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
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_looks_like_a_runs_own_and_has_another_label_stays() {
    let ci = Ci::start().await;
    let (_run_directory, keeper, services) = ci.run("ci").await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let foreign = postgres.database_name(7);
    ci.execute(&format!("CREATE DATABASE {foreign}")).await;
    ci.execute(&format!("COMMENT ON DATABASE {foreign} IS 'of somebody else'")).await;
    for name in ["postgres", "dj_regress_", "\"x\"; DROP"] {
        assert!(postgres.drop_database(name).await.is_err(), "{name}");
    }
    postgres.finish().await.unwrap();
    assert!(ci.everything().await.contains(&foreign));
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let ci = Ci::start().await;
    ci.execute(&format!("CREATE ROLE builder LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'")).await;
    ci.execute(&format!("CREATE ROLE maker LOGIN CREATEDB PASSWORD '{PASSWORD}'")).await;
    ci.execute(&format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")).await;
    let before = ci.everything().await;
    for (user, has_own_role) in [("builder", true), ("maker", false)] {
        let (_run_directory, keeper, services) = ci.run(user).await;
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
        keeper.shutdown().await.unwrap();
    }
    let (run_directory, keeper) = ci.room.keeper().await;
    let refused = Services::choose(&ci.choice("reader"), &keeper, &run_directory, &ci.room.cache).await.unwrap_err();
    assert!(refused.message.contains("may not make databases") && refused.hint.unwrap().contains("CREATEDB"));
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn statistics_are_had_where_the_server_counts_and_from_nobody_else() {
    let ci = Ci::start_with("shared_preload_libraries = 'pg_stat_statements'\n").await;
    let (_run_directory, keeper, services) = ci.run("ci").await;
    let needs = Needs { statistics: true, ..Needs::default() };
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
    keeper.shutdown().await.unwrap();

    let plain = Ci::start().await;
    let (_run_directory, keeper, services) = plain.run("ci").await;
    assert!(services.refusal(&needs).is_some());
    keeper.shutdown().await.unwrap();
    for ci in [ci, plain] {
        ci.keeper.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_only_a_server_of_our_own_can_do_is_refused() {
    let ci = Ci::start().await;
    let (run_directory, keeper, services) = ci.run("ci").await;
    let asked = [
        Needs { image: Some("postgres:17".to_owned()), ..Needs::default() },
        Needs { own_postgres: true, ..Needs::default() },
        Needs { redis_settings: true, ..Needs::default() },
        Needs { server_faults: true, ..Needs::default() },
    ];
    for needs in asked {
        assert!(services.refusal(&needs).is_some(), "{needs:?}");
    }
    assert_eq!(services.refusal(&Needs { redis: true, ..Needs::default() }), None);
    let private = PostgresWants { private: true, ..PostgresWants::default() };
    assert!(services.postgres(&private).await.is_err());
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    assert!(postgres.kill().await.is_err() && redis.kill().await.is_err());
    assert!(postgres.pause().await.is_err() && redis.stop().await.is_err());
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_arm_takes_an_empty_database_of_redis_and_leaves_it_so() {
    let ci = Ci::start().await;
    ci.set(3, "of a stranger").await;
    ci.set(1, "of a stranger").await;
    let (run_directory, keeper, services) = ci.run("ci").await;
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
    keeper.shutdown().await.unwrap();
    for (database, kept) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        assert_eq!(ci.keys(database).await.len(), kept, "database {database}");
    }
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_redis_without_an_empty_database_is_refused_and_left_alone() {
    let ci = Ci::start().await;
    for database in 0..4 {
        ci.set(database, "of a stranger").await;
    }
    let (run_directory, keeper, services) = ci.run("ci").await;
    let why = services.refusal(&Needs { redis: true, ..Needs::default() }).unwrap();
    assert!(why.contains("none of the 4 databases") && why.contains("is empty"), "{why}");
    assert!(services.redis(&RedisWants::default(), run_directory.path()).await.is_err());
    for database in 0..4 {
        assert_eq!(ci.keys(database).await, BTreeSet::from(["of a stranger".to_owned()]));
    }
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn keys_without_the_runs_mark_are_not_flushed() {
    let ci = Ci::start().await;
    let (run_directory, keeper, services) = ci.run("ci").await;
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    let mut connection = redis.connection().await.unwrap();
    redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await.unwrap();
    redis::cmd("SET").arg("whose").arg(1).query_async::<()>(&mut connection).await.unwrap();
    let error = redis.finish().await.unwrap_err();
    assert!(error.message.contains("its 1 keys stay"), "{error}");
    assert_eq!(ci.keys(3).await, BTreeSet::from(["whose".to_owned()]));
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_password_is_in_no_message_and_only_in_files_of_the_owner() {
    let ci = Ci::start().await;
    let choice = ci.choice("ci");
    let (run_directory, keeper, services) = ci.run("ci").await;
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
        let choice = Choice::new(None, Some(&postgres), Some(&redis), Programs::Auto, &|_| None).unwrap();
        let (run_directory, keeper) = ci.room.keeper().await;
        match Services::choose(&choice, &keeper, &run_directory, &ci.room.cache).await {
            Ok(services) => {
                let why = services.refusal(&Needs { redis: true, ..Needs::default() });
                write!(said, "{services:?} {}", why.unwrap()).unwrap();
            }
            Err(error) => write!(said, "{error:?}").unwrap(),
        }
        keeper.shutdown().await.unwrap();
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
    keeper.shutdown().await.unwrap();
    ci.keeper.shutdown().await.unwrap();
}

/// What the controller of a killed run has made, and that it is gone but for what others have.
async fn everything_is_undone(ci: &Ci, before: &BTreeSet<String>) {
    let until = tokio::time::Instant::now() + DEADLINE;
    while ci.everything().await != *before || !ci.keys(3).await.is_empty() {
        assert!(tokio::time::Instant::now() < until, "{:?} {:?}", ci.everything().await, ci.keys(3).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A controller in a process of its own that has databases on the servers of the CI.
fn controller_of(ci: &Ci, room: &Room) -> Controller {
    let variables = [(POSTGRES_URL, ci.postgres_url("ci")), (REDIS_URL, ci.redis_url())];
    Controller::start_with(room, &variables)
}

#[tokio::test]
async fn a_killed_controllers_keeper_undoes_what_it_has_made_elsewhere() {
    let (ci, room) = (Ci::start().await, Room::new());
    ci.set(1, "of a stranger").await;
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    assert!(ci.everything().await.len() > before.len() + 2);
    assert_eq!(ci.keys(3).await.len(), 2);
    controller.kill();
    everything_is_undone(&ci, &before).await;
    assert_eq!(ci.keys(1).await.len(), 1);
    eventually("the folder is gone", || !controller.run_directory().exists());
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sweep_undoes_it_when_the_keeper_was_killed_too() {
    let (ci, room) = (Ci::start().await, Room::new());
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    kill_pid(controller.pid("keeper"));
    controller.kill();
    assert_ne!(ci.everything().await, before);
    let swept = sweep_base(room.base()).unwrap();
    everything_is_undone(&ci, &before).await;
    let said = swept[0].elsewhere.join("\n");
    for part in ["database dj_regress_", "role dj_regress_app_", "keys in database 3"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(swept[0].was_elsewhere() && swept[0].lines().join("\n").contains("  removed database dj_regress_"));
    assert!(!said.contains("hunter2") && !controller.run_directory().exists());
    ci.keeper.shutdown().await.unwrap();
}

/// The server goes on with what it was told: nobody need be there any more.
#[tokio::test]
async fn what_was_still_being_made_when_the_run_was_killed_is_undone_too() {
    let (ci, room) = (Ci::start().await, Room::new());
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    // As the backend of the killed run that copies a database: it waits for a lock, and is not done when we look.
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(controller.run_directory().join("manifest.json")).unwrap()).unwrap();
    let (run, locking) = (&manifest["token"].as_str().unwrap()[..8], ci.connect("ci", "postgres").await.unwrap());
    locking.batch_execute("BEGIN; LOCK pg_shdescription IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let making = ci.connect("ci", "postgres").await.unwrap();
    making.batch_execute(&format!("SET application_name = 'dj-regress {run}'")).await.unwrap();
    let make = format!("BEGIN; CREATE ROLE dj_regress_late; COMMENT ON ROLE dj_regress_late IS '{run}'; COMMIT");
    let made = tokio::spawn(async move { making.batch_execute(&make).await });
    let waits =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'dj-regress %'";
    let until = tokio::time::Instant::now() + DEADLINE;
    while locking.query(waits, &[]).await.unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    kill_pid(controller.pid("keeper"));
    controller.kill();
    let base = room.base().to_owned();
    let swept = tokio::task::spawn_blocking(move || sweep_base(&base).unwrap());
    // It ends that backend before it looks, and looks once the lock is gone.
    assert!(tokio::time::timeout(DEADLINE, made).await.unwrap().unwrap().is_err());
    locking.batch_execute("COMMIT").await.unwrap();
    assert_eq!(swept.await.unwrap()[0].not_undone, None);
    everything_is_undone(&ci, &before).await;
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn clean_says_which_databases_it_has_removed() {
    let (ci, room) = (Ci::start().await, Room::new());
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    kill_pid(controller.pid("keeper"));
    controller.kill();
    let output = Command::new(PROGRAM).arg("clean").env("TMPDIR", room.base()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let folder = controller.run_directory().display();
    for part in [format!("removed {folder}\n"), "  removed database dj_regress_".to_owned()] {
        assert!(said.contains(&part) && !said.contains("hunter2"), "{part}: {said}");
    }
    everything_is_undone(&ci, &before).await;
    ci.keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_undone_now_is_undone_by_a_later_sweep() {
    let (ci, room) = (Ci::start().await, Room::new());
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    // From now on nobody is let in.
    let file = ci.room.base().join("ci/postgres/data/pg_hba.conf");
    let rules = fs::read_to_string(&file).unwrap();
    let admin = ci.connect("ci", "postgres").await.unwrap();
    fs::write(&file, "host all all all reject\n").unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let until = tokio::time::Instant::now() + DEADLINE;
    while ci.connect("ci", "postgres").await.is_ok() {
        assert!(tokio::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    controller.kill();
    let log = controller.run_directory().join("keeper.log");
    eventually("the keeper has tried", || fs::read_to_string(&log).unwrap_or_default().contains("cannot undo"));
    eventually("the keeper is gone", || !common::is_running(controller.pid("keeper")));
    let said = fs::read_to_string(&log).unwrap();
    assert!(!said.contains("hunter2"), "{said}");
    let swept = sweep_base(room.base()).unwrap();
    assert!(swept[0].not_undone.is_some(), "{swept:?}");
    assert!(controller.run_directory().join("manifest.json").exists());
    assert!(ci.keys(3).await.is_empty(), "what can be undone is");

    fs::write(&file, rules).unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let until = tokio::time::Instant::now() + DEADLINE;
    while ci.connect("ci", "postgres").await.is_err() {
        assert!(tokio::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let swept = sweep_base(room.base()).unwrap();
    assert_eq!(swept[0].not_undone, None);
    everything_is_undone(&ci, &before).await;
    assert!(!controller.run_directory().exists());
    ci.keeper.shutdown().await.unwrap();
}

fn kill_pid(pid: u32) {
    use nix::sys::signal::{Signal, kill};
    kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    eventually("a killed process is gone", || !common::is_running(pid));
}

/// No test: the controller of the tests above, in its own process.
#[tokio::test]
#[ignore = "played in a process of its own"]
async fn controller() {
    let (Some(base), Ok(cache)) = (std::env::var_os(ROLE), Cache::open()) else { return };
    let (run_directory, keeper) = common::keeper(Path::new(&base)).await;
    let set = |name: &str| Secret::new(std::env::var(name).unwrap());
    let choice = Choice::new(None, Some(&set(POSTGRES_URL)), Some(&set(REDIS_URL)), Programs::Auto, &|_| None).unwrap();
    let services = Services::choose(&choice, &keeper, &run_directory, &cache).await.unwrap();
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let database = arm(&postgres).await;
    let _connected = app(&postgres, &database).await;
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    let mut connection = redis.connection().await.unwrap();
    redis::cmd("SET").arg("own").arg(1).query_async::<()>(&mut connection).await.unwrap();
    Controller::say(json!({"run": run_directory.path(), "keeper": keeper.pid()})).await;
}

#[test]
fn a_url_that_the_program_refuses_is_not_repeated() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(PROGRAM);
        command.arg("run").args(arguments).envs(variables.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = command.args(["--outputdir", "/nonexistent"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let tls = "postgres://me:hunter2@db/app?sslmode=require";
    let all = [
        said(&["--postgres-url", tls], &[]),
        said(&[], &[("DJ_REGRESS_POSTGRES_URL", tls)]),
        said(&["--services", "local", "--postgres-url", tls], &[]),
        said(&["--services", "given"], &[("DATABASE_URL", tls)]),
        said(&["--redis-url", "redis://:hunter2@cache"], &[]),
        said(&["--services", "given"], &[("DATABASE_URL", "mysql://me:hunter2@db/app")]),
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
        findings.retain(|finding| finding.subject.starts_with("given"));
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
    assert_eq!(findings, [(true, "postgres://me@does.not.exist:5432/app, with --services given only".to_owned())]);
    ci.keeper.shutdown().await.unwrap();
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
        Choice::new(place, None, None, Programs::Auto, variable).unwrap().postgres_url.map(|url| url.to_string())
    };
    assert_eq!(choice(None, &set), None);
    assert_eq!(choice(Some(Place::Local), &set), None);
    assert_eq!(choice(Some(Place::Given), &set).as_deref(), Some("postgres://me@ci:5432/app"));
    let own = |name: &str| match name {
        "DJ_REGRESS_POSTGRES_URL" => Some("postgres://me@own/app".to_owned()),
        _ => set(name),
    };
    for place in [None, Some(Place::Given)] {
        assert_eq!(choice(place, &own).as_deref(), Some("postgres://me@own:5432/app"));
    }
    let other = |name: &str| match name {
        "DATABASE_URL" => Some("mysql://me@ci/app".to_owned()),
        "PGHOST" => Some("/run/postgresql".to_owned()),
        "PGUSER" => Some("me".to_owned()),
        _ => None,
    };
    let socket = PathBuf::from("/run/postgresql/.s.PGSQL.5432");
    let given = choice(Some(Place::Given), &other);
    assert_eq!(given, Some(format!("postgres://me@{}/me", socket.display())));
}
