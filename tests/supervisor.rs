//! The supervisor: what it starts, what it tells, and that nothing outlives it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;

use common::{Controller, ROLE, Room, eventually, is_running, state_of, written_pid};
use dj_regress::cache::Cache;
use dj_regress::service::locate::Programs;
use dj_regress::service::postgres::PostgresWants;
use dj_regress::service::redis::RedisWants;
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::{Exit, Spawn, Target};
use dj_regress::service::sweep_base;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

fn shell(run_directory: &RunDirectory, script: &str) -> Spawn {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    Spawn::new("shell", command, run_directory.path(), &run_directory.path().join("shell.log"))
}

/// Writes its own pid to a file, then waits for ever.
fn waiter(file: &str) -> String {
    format!("echo $$ > {file}.new; mv {file}.new {file}; while :; do sleep 1000; done")
}

#[tokio::test]
async fn how_a_process_ended_is_told_also_when_asked_late() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let code = supervisor.spawn(shell(&run_directory, "exit 7")).await.unwrap();
    let signal = supervisor.spawn(shell(&run_directory, "kill -TERM $$")).await.unwrap();
    assert_eq!(supervisor.exited(signal).await.unwrap(), Exit::Signal(15));
    assert_eq!(supervisor.exited(code).await.unwrap(), Exit::Code(7));
    assert_eq!(supervisor.exited(code).await.unwrap(), Exit::Code(7));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn how_an_orphan_ended_is_told() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let script = "setsid sh -c 'echo $$ > orphan; read line < go; exit 3' & exit 0";
    nix::unistd::mkfifo(&run_directory.path().join("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let parent = supervisor.spawn(shell(&run_directory, script)).await.unwrap();
    assert_eq!(supervisor.exited(parent).await.unwrap(), Exit::Code(0));
    let orphan = written_pid(&run_directory.path().join("orphan"));
    std::fs::write(run_directory.path().join("go"), "\n").unwrap();
    assert_eq!(supervisor.exited(orphan).await.unwrap(), Exit::Code(3));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_an_error_that_names_it() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let mut spawn = shell(&run_directory, "");
    spawn.name = "the zygote".to_owned();
    spawn.command = vec!["/does/not/exist".to_owned()];
    let error = supervisor.spawn(spawn).await.unwrap_err();
    assert!(error.message.contains("the zygote"), "{error}");
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn ending_a_session_spares_the_others() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let path = run_directory.path();
    let ended = supervisor
        .spawn(shell(&run_directory, &format!("({}) & {}", waiter("child"), waiter("leader"))))
        .await
        .unwrap();
    let spared = supervisor.spawn(shell(&run_directory, &waiter("spared"))).await.unwrap();
    assert_eq!(written_pid(&path.join("leader")), ended);
    written_pid(&path.join("child"));
    assert_eq!(written_pid(&path.join("spared")), spared);
    // The leader, its child and the `sleep` of each.
    assert!(supervisor.end_sessions(&[ended]).await.unwrap() >= 2);
    assert!(!is_running(ended));
    assert!(is_running(spared));
    assert_eq!(supervisor.end_sessions(&[ended]).await.unwrap(), 0);
    supervisor.shutdown().await.unwrap();
    assert!(!is_running(spared));
}

#[tokio::test]
async fn a_tree_is_paused_and_ended_whatever_its_sessions() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let path = run_directory.path();
    let script = format!("setsid sh -c '{}' & {}", waiter("other_session"), waiter("root"));
    let root = supervisor.spawn(shell(&run_directory, &script)).await.unwrap();
    let spared = supervisor.spawn(shell(&run_directory, &waiter("spared"))).await.unwrap();
    let names = ["root", "other_session", "spared"];
    let [_, other, _] = names.map(|name| written_pid(&path.join(name)));
    supervisor.signal_all(Target::Tree(root), Signal::SIGSTOP).await.unwrap();
    eventually("both are stopped", || state_of(root) == 'T' && state_of(other) == 'T');
    assert_ne!(state_of(spared), 'T');
    supervisor.signal_all(Target::Tree(root), Signal::SIGCONT).await.unwrap();
    eventually("both go on", || state_of(root) != 'T' && state_of(other) != 'T');
    assert!(supervisor.end_tree(root).await.unwrap() >= 2);
    assert!(!is_running(root) && !is_running(other) && is_running(spared));
    assert_eq!(supervisor.exited(root).await.unwrap(), Exit::Signal(9));
    // Nothing is left of it; and what is not below the supervisor is never reached.
    assert_eq!(supervisor.end_tree(root).await.unwrap(), 0);
    assert_eq!(supervisor.end_tree(std::process::id()).await.unwrap(), 0);
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stopped_process_is_ended_too() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let pid = supervisor.spawn(shell(&run_directory, &waiter("stopped"))).await.unwrap();
    written_pid(&run_directory.path().join("stopped"));
    assert!(supervisor.signal(pid, Signal::SIGSTOP).await.unwrap());
    supervisor.end_sessions(&[pid]).await.unwrap();
    assert!(!is_running(pid));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn only_descendants_can_be_signalled() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    assert!(!supervisor.signal(std::process::id(), Signal::SIGKILL).await.unwrap());
    let pid = supervisor.spawn(shell(&run_directory, &waiter("group"))).await.unwrap();
    assert!(supervisor.signal_all(Target::Group(pid), Signal::SIGTERM).await.unwrap() >= 1);
    assert_eq!(supervisor.exited(pid).await.unwrap(), Exit::Signal(15));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_process_starts_with_nothing_inherited() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let mut spawn = shell(&run_directory, "umask; echo $DJ_REGRESS_RUN");
    let pid = supervisor.spawn(spawn.clone()).await.unwrap();
    assert_eq!(supervisor.exited(pid).await.unwrap(), Exit::Code(0));
    // A shell blocks signals while it waits: look at a plain program.
    spawn.command = ["cat", "/proc/self/status", "/proc/self/stat"].map(str::to_owned).to_vec();
    let pid = supervisor.spawn(spawn.clone()).await.unwrap();
    assert_eq!(supervisor.exited(pid).await.unwrap(), Exit::Code(0));
    spawn.command = ["ls", "-l", "/proc/self/fd"].map(str::to_owned).to_vec();
    let listing = supervisor.spawn(spawn).await.unwrap();
    assert_eq!(supervisor.exited(listing).await.unwrap(), Exit::Code(0));

    let log = std::fs::read_to_string(run_directory.path().join("shell.log")).unwrap();
    let files: Vec<&str> = log.lines().filter(|line| line.contains(" -> ")).collect();
    // The fourth is the listing itself.
    assert_eq!(files.len(), 4, "{log}");
    assert!(files[0].ends_with("0 -> /dev/null") && files[3].contains("/proc/"), "{log}");
    let signals = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(signals("SigBlk:"), 0);
    // 32 and 33 are the C library's own: nobody can set them.
    assert_eq!(signals("SigIgn:") & !(0b11 << 31), 0);
    assert!(log.contains(&format!("{pid} (cat) R {} {pid} {pid} 0 ", supervisor.pid())), "{log}");
    assert!(log.starts_with("0022\n"), "{log}");
    assert!(log.contains(run_directory.path().to_str().unwrap()), "{log}");
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_signals_of_a_terminal_do_not_end_the_supervisor() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        kill(Pid::from_raw(supervisor.pid().cast_signed()), signal).unwrap();
    }
    let pid = supervisor.spawn(shell(&run_directory, "exit 0")).await.unwrap();
    assert_eq!(supervisor.exited(pid).await.unwrap(), Exit::Code(0));
    supervisor.shutdown().await.unwrap();
    assert!(!run_directory.path().exists());
}

#[tokio::test]
async fn a_supervisor_that_was_killed_is_an_error_for_all_who_wait() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let pid = supervisor.spawn(shell(&run_directory, &waiter("left"))).await.unwrap();
    written_pid(&run_directory.path().join("left"));
    kill(Pid::from_raw(supervisor.pid().cast_signed()), Signal::SIGKILL).unwrap();
    assert!(supervisor.exited(pid).await.is_err());
    assert!(supervisor.spawn(shell(&run_directory, "exit 0")).await.is_err());
    assert!(supervisor.shutdown().await.unwrap_err().hint.is_some());
    drop(run_directory);
    // Another test that is just starting a program holds all our files, locks too, until that program is there.
    eventually("it is swept", || {
        sweep_base(room.base()).unwrap();
        !is_running(pid)
    });
}

#[test]
fn everything_ends_when_the_controller_is_killed() {
    let room = Room::new();
    let mut controller = Controller::start(&room);
    let names = ["supervisor", "postgres", "redis", "parent", "orphan", "stopped"];
    for name in names {
        assert!(is_running(controller.pid(name)), "{name}");
    }
    controller.kill();
    for name in names {
        eventually(&format!("{name} has ended"), || !is_running(controller.pid(name)));
    }
    assert!(!controller.run_directory().exists());
}

/// No test: the controller of the test above, in its own process.
#[tokio::test]
#[ignore = "played in a process of its own"]
async fn controller() {
    let (Some(base), Ok(cache)) = (std::env::var_os(ROLE), Cache::open()) else { return };
    let (run_directory, supervisor) = common::supervisor(Path::new(&base)).await;
    let services = common::services(&supervisor, &run_directory, &cache, Programs::Auto).await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let folder = run_directory.folder("arms/one").unwrap();
    let redis = services.redis(&RedisWants::default(), &folder).await.unwrap();
    let script = format!("setsid sh -c '{}' & {}", waiter("orphan"), waiter("parent"));
    let parent = supervisor.spawn(shell(&run_directory, &script)).await.unwrap();
    let stopped = supervisor.spawn(shell(&run_directory, &waiter("stopped"))).await.unwrap();
    for name in ["parent", "stopped"] {
        written_pid(&run_directory.path().join(name));
    }
    supervisor.signal(stopped, Signal::SIGSTOP).await.unwrap();
    Controller::say(json!({
        "run": run_directory.path(), "supervisor": supervisor.pid(), "postgres": postgres.pid(), "redis": redis.pid(),
        "parent": parent, "stopped": stopped, "orphan": written_pid(&run_directory.path().join("orphan")),
    }))
    .await;
}
