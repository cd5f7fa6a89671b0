//! A run that is killed leaves nothing on servers that somebody else runs.
#![allow(clippy::unwrap_used, missing_docs)]

mod ci;
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ci::{Ci, app, arm};
use common::{Controller, DEADLINE, PROGRAM, ROLE, Room, eventually};
use dj_regress::cache::Cache;
use dj_regress::service::locate::Programs;
use dj_regress::service::postgres::PostgresWants;
use dj_regress::service::redis::RedisWants;
use dj_regress::service::{Secret, ServiceChoice, Services, sweep_base};
use serde_json::json;

const POSTGRES_URL: &str = "DJ_REGRESS_TEST_POSTGRES";
const REDIS_URL: &str = "DJ_REGRESS_TEST_REDIS";

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
async fn a_killed_controllers_supervisor_undoes_what_it_has_made_elsewhere() {
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
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sweep_undoes_it_when_the_supervisor_was_killed_too() {
    let (ci, room) = (Ci::start().await, Room::new());
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    kill_pid(controller.pid("supervisor"));
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
    ci.supervisor.shutdown().await.unwrap();
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
    kill_pid(controller.pid("supervisor"));
    controller.kill();
    let base = room.base().to_owned();
    let swept = tokio::task::spawn_blocking(move || sweep_base(&base).unwrap());
    // It ends that backend before it looks, and looks once the lock is gone.
    assert!(tokio::time::timeout(DEADLINE, made).await.unwrap().unwrap().is_err());
    locking.batch_execute("COMMIT").await.unwrap();
    assert_eq!(swept.await.unwrap()[0].not_undone, None);
    everything_is_undone(&ci, &before).await;
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn clean_says_which_databases_it_has_removed() {
    let (ci, room) = (Ci::start().await, Room::new());
    let before = ci.everything().await;
    let mut controller = controller_of(&ci, &room);
    kill_pid(controller.pid("supervisor"));
    controller.kill();
    let output = Command::new(PROGRAM).arg("clean").env("TMPDIR", room.base()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let folder = controller.run_directory().display();
    for part in [format!("removed {folder}\n"), "  removed database dj_regress_".to_owned()] {
        assert!(said.contains(&part) && !said.contains("hunter2"), "{part}: {said}");
    }
    everything_is_undone(&ci, &before).await;
    ci.supervisor.shutdown().await.unwrap();
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
    let log = controller.run_directory().join("supervisor.log");
    eventually("the supervisor has tried", || fs::read_to_string(&log).unwrap_or_default().contains("cannot undo"));
    eventually("the supervisor is gone", || !common::is_running(controller.pid("supervisor")));
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
    ci.supervisor.shutdown().await.unwrap();
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
    let (run_directory, supervisor) = common::supervisor(Path::new(&base)).await;
    let set = |name: &str| Secret::new(std::env::var(name).unwrap());
    let choice =
        ServiceChoice::new(None, Some(&set(POSTGRES_URL)), Some(&set(REDIS_URL)), Programs::Auto, &|_| None).unwrap();
    let services = Services::choose(&choice, &supervisor, &run_directory, &cache).await.unwrap();
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let database = arm(&postgres).await;
    let _connected = app(&postgres, &database).await;
    let redis = services.redis(&RedisWants::default(), run_directory.path()).await.unwrap();
    let mut connection = redis.connection().await.unwrap();
    redis::cmd("SET").arg("own").arg(1).query_async::<()>(&mut connection).await.unwrap();
    Controller::say(json!({"run": run_directory.path(), "supervisor": supervisor.pid()})).await;
}
