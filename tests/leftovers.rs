//! A sweep removes what a killed run left behind, and nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Controller, ROLE, Room, eventually, is_running, segments_of, written_pid};
use dj_regress::cache::Cache;
use dj_regress::service::locate::Programs;
use dj_regress::service::postgres::PostgresWants;
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Spawn;
use dj_regress::service::sweep_base;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

fn kill_pid(pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    eventually("a killed process is gone", || !is_running(pid));
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let room = Room::new();
    let mut controller = Controller::start(&room);
    kill_pid(controller.pid("supervisor"));
    controller.kill();
    for name in ["postgres", "orphan", "renamed"] {
        assert!(is_running(controller.pid(name)), "{name}");
    }
    let swept = sweep_base(room.base()).unwrap();
    assert_eq!(swept.len(), 1);
    assert_eq!(swept[0].run_directory, controller.run_directory());
    for name in ["postgres", "orphan", "renamed"] {
        assert!(!is_running(controller.pid(name)), "{name}");
        assert!(swept[0].processes.iter().any(|(pid, _)| *pid == controller.pid(name)), "{name}: {swept:?}");
    }
    assert!(!controller.run_directory().exists());
    assert_eq!(segments_of(controller.pid("postgres")), 0);
    assert_eq!(sweep_base(room.base()).unwrap(), []);
}

#[test]
fn shared_memory_of_a_killed_postmaster_is_removed() {
    let room = Room::new();
    let mut controller = Controller::start(&room);
    let postmaster = controller.pid("postgres");
    kill_pid(controller.pid("supervisor"));
    controller.kill();
    kill_pid(postmaster);
    assert_eq!(segments_of(postmaster), 1);
    let swept = sweep_base(room.base()).unwrap();
    assert_eq!(swept[0].shared_memory.len(), 1);
    assert_eq!(segments_of(postmaster), 0);
}

#[test]
fn runs_that_are_alive_and_processes_of_others_are_left_alone() {
    let room = Room::new();
    let living = RunDirectory::create_in(room.base()).unwrap();
    let mut controller = Controller::start(&room);
    // It only looks like one of ours: its arguments name the run.
    let mut foreign = Command::new("sh")
        .args(["-c", "read line", "postgres"])
        .arg(controller.run_directory())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(sweep_base(room.base()).unwrap(), []);
    assert!(is_running(controller.pid("postgres")));
    kill_pid(controller.pid("supervisor"));
    // Still locked by its controller.
    assert_eq!(sweep_base(room.base()).unwrap(), []);
    assert!(is_running(controller.pid("postgres")));
    controller.kill();
    assert_eq!(sweep_base(room.base()).unwrap().len(), 1);
    assert!(living.path().is_dir());
    assert!(is_running(foreign.id()));
    drop(foreign.stdin.take());
    foreign.wait().unwrap();
}

#[test]
fn a_folder_that_others_can_write_to_is_not_swept() {
    let room = Room::new();
    let folder = room.base().join(format!("dj-regress-{}", nix::unistd::Uid::effective()));
    std::fs::create_dir_all(folder.join("run-1-aaaaaa")).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(sweep_base(room.base()).unwrap(), []);
    assert!(folder.join("run-1-aaaaaa").is_dir());
    assert!(RunDirectory::create_in(room.base()).is_err());
}

/// No test: the controller of the tests above, in its own process.
#[tokio::test]
#[ignore = "played in a process of its own"]
async fn controller() {
    let (Some(base), Ok(cache)) = (std::env::var_os(ROLE), Cache::open()) else { return };
    let (run_directory, supervisor) = common::supervisor(Path::new(&base)).await;
    let services = common::services(&supervisor, &run_directory, &cache, Programs::Auto).await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let path = run_directory.path();
    let spawn = |script: String| {
        Spawn::new("shell", ["sh", "-c", &script].map(str::to_owned).to_vec(), path, &path.join("shell.log"))
    };
    let wait = "while :; do sleep 1000; done";
    let orphan = format!("setsid sh -c 'echo $$ > orphan; {wait}' & exit 0");
    supervisor.spawn(spawn(orphan)).await.unwrap();
    // One that went elsewhere and lost its environment still writes to our log.
    let renamed = format!("echo $$ > renamed; cd /; exec env -i sh -c '{wait}'");
    let renamed = supervisor.spawn(spawn(renamed)).await.unwrap();
    written_pid(&path.join("renamed"));
    Controller::say(json!({
        "run": path, "supervisor": supervisor.pid(), "postgres": postgres.pid(), "renamed": renamed,
        "orphan": written_pid(&path.join("orphan")),
    }))
    .await;
}
