//! However a run ends, nothing of it stays: no process, no folder, no shared memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dj_regress::cache::{Cache, VARIABLE};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rstest::rstest;
use support::{Context, eventually, nothing_is_left_of, processes_of, run_directory_of};

/// A case that says when it is in the middle, and stays there.
const ENDLESS: &str = r#"actors: {app: {python: }}
settings: {CACHES: {default: {BACKEND: django.core.cache.backends.redis.RedisCache, LOCATION: $redis}}}
fixes: {hope: {env: {PLEASE: end}}}
steps:
  - python: app
    run: "cache.set('a', 1); print('in the middle', flush=True); __import__('signal').pause()"
  - read: {x: "1"}
invariants: {x: {applied: 1, reverted: 2}}
"#;

/// A run that is under way.
struct Running {
    context: Context,
    child: Child,
}

impl Running {
    fn start(context: Context, arguments: &str, cache: Option<&Path>) -> Self {
        let mut command = context.command(arguments);
        if let Some(cache) = cache {
            command.env(VARIABLE, cache);
        }
        // A group of its own, as a shell gives it.
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { context, child }
    }

    /// A run whose arms are both in the middle of a step.
    fn in_the_middle() -> Self {
        let running = Self::start(Context::new().case("endless", ENDLESS), "run --jobs 2", None);
        let logs = running.context.path("regress.out/log");
        eventually("both arms are in the middle", || {
            let logs = fs::read_dir(&logs).into_iter().flatten().flatten();
            let said = logs.filter_map(|log| fs::read_to_string(log.path()).ok());
            said.filter(|said| said.contains("\nin the middle")).count() == 2
        });
        running
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Its private folder.
    fn run_directory(&self) -> Option<PathBuf> {
        run_directory_of(self.child.id())
    }

    fn wait(&mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut stderr).unwrap();
        (self.child.wait().unwrap(), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a test that failed; the supervisor ends the rest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[rstest]
fn a_signal_in_the_middle_ends_a_run_at_once_and_cleanly(
    #[values(Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP)] signal: Signal,
) {
    let mut running = Running::in_the_middle();
    let run_directory = running.run_directory().unwrap();
    let before = processes_of(&run_directory);
    assert!(before.len() > 6, "Postgres, two of Redis, zygotes, actors: {before:?}");
    let asked = Instant::now();
    // To the group, as a terminal does it.
    killpg(running.pid(), signal).unwrap();
    let (status, stderr) = running.wait();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    // The first run of all says that it installs something.
    let said: Vec<&str> = stderr.lines().filter(|line| !line.starts_with("# installing")).collect();
    assert_eq!((status.code(), said), (Some(130), vec!["error: interrupted"]));
    assert_eq!(processes_of(&run_directory), [] as [u32; 0], "gone before the command ends");
    assert!(!run_directory.exists());
    assert_eq!(running.context.results()["run"], serde_json::Value::Null, "an interrupted run has no end");
}

#[test]
fn the_output_directory_of_an_interrupted_run_is_free_again() {
    let mut running = Running::in_the_middle();
    kill(running.pid(), Signal::SIGINT).unwrap();
    running.wait();
    let context = Context::new().planted("verdicts");
    let output = running.context.path("regress.out");
    let said = context.run(&format!("run --output-dir {} verdicts/skipped_postgres", output.display()));
    assert_eq!(said.code, Some(4), "{said}");
}

#[test]
fn a_killed_controller_takes_everything_with_it() {
    let mut running = Running::in_the_middle();
    let run_directory = running.run_directory().unwrap();
    kill(running.pid(), Signal::SIGKILL).unwrap();
    assert_eq!(running.wait().0.signal(), Some(9));
    nothing_is_left_of(&run_directory);
}

#[rstest]
#[case::clean("clean", 0)]
#[case::the_next_run("run verdicts/skipped_postgres", 4)]
fn what_a_killed_controller_and_supervisor_leave_is_swept(#[case] arguments: &str, #[case] code: i32) {
    let mut running = Running::in_the_middle();
    let run_directory = running.run_directory().unwrap();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(run_directory.join("manifest.json")).unwrap()).unwrap();
    let supervisor = i32::try_from(manifest["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    // Stopped first: a controller that lives would see its supervisor die, and the other way round.
    kill(running.pid(), Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    kill(running.pid(), Signal::SIGKILL).unwrap();
    running.wait();
    let said = Context::new().planted("verdicts").run(arguments);
    assert_eq!(said.code, Some(code), "{said}");
    nothing_is_left_of(&run_directory);
}

#[test]
fn two_runs_at_the_same_time_do_not_touch_each_other() {
    let context = Context::new().planted("verdicts");
    let mut runs: Vec<Child> = ["a", "b"]
        .map(|output| format!("run --output-dir {output} verdicts/proven verdicts/reproduced"))
        .iter()
        .map(|arguments| context.command(arguments).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    assert_eq!(runs.iter_mut().map(|run| run.wait().unwrap().code()).collect::<Vec<_>>(), [Some(0), Some(0)]);
    assert!(context.path("a/results.json").exists() && context.path("b/results.json").exists());
}

/// initdb's own servers take shared memory that outlives a SIGKILL.
#[test]
fn an_interrupted_initdb_leaves_no_shared_memory() {
    Context::new().planted("verdicts").run("run verdicts/skipped_postgres"); // makes what is linked next
    let warm = Cache::open().unwrap();
    let cold = tempfile::tempdir().unwrap();
    for kept in ["environments", "tools", "wheels"] {
        std::os::unix::fs::symlink(warm.root().join(kept), cold.path().join(kept)).unwrap();
    }
    let mut running = Running::start(Context::new().case("endless", ENDLESS), "run", Some(cold.path()));
    let mut segments = Vec::new();
    eventually("initdb has shared memory", || {
        segments = running.run_directory().map(|run| segments_of(&processes_of(&run))).unwrap_or_default();
        !segments.is_empty()
    });
    kill(running.pid(), Signal::SIGINT).unwrap();
    let (status, stderr) = running.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    for segment in segments {
        assert!(!segment.exists(), "{}", segment.display());
    }
}

/// Installers are the controller's own children, and have children themselves.
#[rstest]
fn an_interrupted_installation_ends_with_the_run(#[values(Signal::SIGINT, Signal::SIGTERM)] signal: Signal) {
    let cold = tempfile::tempdir().unwrap();
    let mut running = Running::start(Context::new().case("endless", ENDLESS), "run", Some(cold.path()));
    let folder = cold.path().display().to_string();
    eventually("something is installed into the cache", || !mentioning(&folder).is_empty());
    // To the controller alone, as an init system or a CI runner does it.
    kill(running.pid(), signal).unwrap();
    let (status, stderr) = running.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert_eq!(mentioning(&folder), [] as [String; 0]);
}

/// Command lines that hold this text.
fn mentioning(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.map(|line| line.replace('\0', " ")).filter(|line| line.contains(text)).collect()
}

fn segments_of(pids: &[u32]) -> Vec<PathBuf> {
    let maps = pids.iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default());
    let paths = maps.flat_map(|maps| {
        let paths = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
        paths.filter(|path| path.starts_with("/dev/shm/PostgreSQL.")).map(PathBuf::from).collect::<Vec<_>>()
    });
    paths.collect()
}
