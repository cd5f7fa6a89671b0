//! A SIGKILLed controller leaves nothing, whatever fault was under way. `tests/benchmarks/kill_fifty.py` is the long form.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Context, DEADLINE, docker, eventually, nothing_is_left_of, processes_of, run_directory_of};

/// Of the moments.
const SEED: u64 = 4;

/// A process of somebody else that only looks like one of a run: its arguments name one.
struct Stranger(Child);

impl Stranger {
    fn start() -> Self {
        let script = ["-c", "read line", "postgres", "/dev/shm/dj-regress-0/run-"];
        Self(Command::new("sh").args(script).stdin(Stdio::piped()).spawn().unwrap())
    }

    fn is_there(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is random here is the same every time.
fn fractions() -> impl Iterator<Item = f64> {
    let mut state = SEED;
    std::iter::repeat_with(move || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((mixed >> 40) as u32) / f64::from(1 << 24)
    })
}

fn context() -> Context {
    Context::new().planted("faults").planted("killed")
}

fn start(context: &Context, place: &str) -> Child {
    let mut command = context.command(&format!("run --services {place}"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Seconds that a run takes which nobody disturbs, with all that is kept between runs.
fn whole(context: &Context, place: &str) -> Duration {
    let once = || {
        let begun = Instant::now();
        assert!(start(context, place).wait().unwrap().success());
        begun.elapsed()
    };
    once();
    once()
}

/// What a killed run was.
struct Killed {
    token: String,
    /// It, and all processes of it.
    pids: BTreeSet<u32>,
}

/// Runs all, and SIGKILLs the controller at this moment, its supervisor too if that is asked for. None if the run was over or
/// had made nothing yet.
fn kill_at(context: &Context, place: &str, moment: Duration, with_supervisor: bool) -> Option<Killed> {
    let begun = Instant::now();
    let mut controller = start(context, place);
    while begun.elapsed() < moment {
        if controller.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = Pid::from_raw(controller.id().cast_signed());
    // Stopped first: it would go on while we look, and a controller that lives would see its supervisor die.
    kill(pid, Signal::SIGSTOP).unwrap();
    let folder = run_directory_of(controller.id());
    let killed = folder.as_ref().and_then(|folder| {
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).ok()?).ok()?;
        let pids = processes_of(folder).into_iter().chain([controller.id()]).collect();
        let supervisor = manifest["supervisor"]["pid"].as_i64().and_then(|supervisor| i32::try_from(supervisor).ok());
        if let Some(supervisor) = supervisor.filter(|_| with_supervisor) {
            // Gone already if the run was just over.
            let _ = kill(Pid::from_raw(supervisor), Signal::SIGKILL);
        }
        Some(Killed { token: manifest["token"].as_str().unwrap().to_owned(), pids })
    });
    controller.kill().unwrap();
    controller.wait().unwrap();
    // With its supervisor gone, only the next start can.
    context.run("clean").ok();
    if let Some(folder) = folder {
        nothing_is_left_of(&folder);
    }
    killed
}

/// The segments of these processes that nobody has attached.
fn segments_of(pids: &BTreeSet<u32>) -> usize {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let rows = text.lines().skip(1).map(|row| row.split_ascii_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[4].parse().is_ok_and(|maker| pids.contains(&maker))).count()
}

fn kill_often(place: &str, rounds: usize, mut beside: impl FnMut(&Killed)) {
    let (context, mut stranger) = (context(), Stranger::start());
    let whole = whole(&context, place);
    let mut in_the_middle = 0;
    for (round, fraction) in fractions().take(rounds).enumerate() {
        let with_supervisor = round % 2 == 1;
        // What the next run takes differs: most are in the middle.
        if let Some(killed) = kill_at(&context, place, whole.mul_f64(0.8 * fraction), with_supervisor) {
            in_the_middle += usize::from(killed.pids.len() > 2);
            eventually("no shared memory is left", || segments_of(&killed.pids) == 0);
            beside(&killed);
        }
        assert!(stranger.is_there(), "round {round}");
    }
    assert!(in_the_middle > 0, "no kill has met a run with servers");
    assert!(Path::new("/proc").join(stranger.0.id().to_string()).exists());
}

#[test]
fn a_controller_killed_at_any_moment_leaves_nothing_on_this_machine() {
    kill_often("local", 5, |_| ());
}

fn docker_says(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Containers of somebody else; removed at the end.
struct Containers(Vec<String>);

impl Containers {
    fn with(mut self, labels: &[String]) -> Self {
        let image =
            docker_says(&["image", "ls", "-q", "--filter", "reference=*/redis:7", "--filter", "reference=redis:7"]);
        let labels = labels.iter().flat_map(|label| ["--label", label]);
        let words: Vec<&str> = ["create", "--network", "none"].into_iter().chain(labels).collect();
        self.0.push(docker_says(&[&words[..], &[image.lines().next().unwrap()]].concat()));
        self
    }

    fn are_there(&self) -> bool {
        let all = docker_says(&["ps", "-a", "-q", "--no-trunc"]);
        self.0.iter().all(|container| all.lines().any(|line| line == container))
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        for container in &self.0 {
            docker_says(&["rm", "-f", "-v", container]);
        }
    }
}

#[tokio::test]
async fn a_controller_killed_at_any_moment_leaves_no_container_and_takes_nobody_elses() {
    if docker("kills of runs in containers").await.is_none() {
        return;
    }
    let strangers = Containers(Vec::new()).with(&[]).with(&["dj-regress.run=another".to_owned()]);
    kill_often("docker", 3, |killed| {
        let own = format!("label=dj-regress.token={}", killed.token);
        let left = || docker_says(&["ps", "-a", "-q", "--filter", &own]);
        // The supervisor, where it lives, undoes beside.
        let until = Instant::now() + DEADLINE;
        while !left().is_empty() {
            assert!(Instant::now() < until, "{}", docker_says(&["ps", "-a", "--filter", &own]));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(strangers.are_there());
    });
}

#[tokio::test]
async fn a_container_with_one_label_of_a_killed_run_stays() {
    if docker("kills of runs in containers").await.is_none() {
        return;
    }
    let context = context();
    let mut controller = start(&context, "docker");
    let mut folder = None;
    eventually("the run has servers", || {
        folder = run_directory_of(controller.id());
        let name = format!("name=dj-regress-run-{}-", controller.id());
        folder.is_some() && !docker_says(&["ps", "-q", "--filter", &name]).is_empty()
    });
    let folder = folder.unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let label = |name: &str| format!("dj-regress.{name}={}", manifest[name].as_str().unwrap());
    let other = "dj-regress.run=another".to_owned();
    let strangers = Containers(Vec::new()).with(&[label("run")]).with(&[label("token"), other]);
    controller.kill().unwrap();
    controller.wait().unwrap();
    nothing_is_left_of(&folder);
    let own = [format!("label={}", label("run")), format!("label={}", label("token"))];
    assert_eq!(docker_says(&["ps", "-a", "-q", "--filter", &own[0], "--filter", &own[1]]), "");
    assert!(strangers.are_there());
}
