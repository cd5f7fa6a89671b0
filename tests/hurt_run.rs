//! What a run cannot do without is taken from it: it says so at once, ends at once, and keeps what it has found.
#![allow(clippy::unwrap_used, missing_docs)]

mod hurt;
mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use hurt::{AT_ONCE, Hurt, cases, send};
use nix::sys::signal::Signal;
use support::{Context, PROGRAM, Said, nothing_is_left_of, said, skip};
use tempfile::TempDir;

/// A process of the app that has left its session, its folder, its environment and its files.
const RUNAWAY: &str = "if os.fork() == 0:
    os.setsid()
    os.chdir('/')
    nowhere = os.open('/dev/null', os.O_RDWR)
    [os.dup2(nowhere, number) for number in (0, 1, 2)]
    os.execve('/usr/bin/tail', ['dj-regress-runaway', '-f', '/dev/null'], {})";

fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn descendants(of: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    children.iter().copied().chain(children.iter().flat_map(|child| descendants(*child))).collect()
}

#[test]
fn a_supervisor_that_dies_ends_the_run_and_leaves_nothing() {
    let run = Hurt::in_the_middle(cases("", RUNAWAY));
    let (folder, supervisor) = (run.folder(), run.supervisor());
    let below = descendants(supervisor);
    let runaways = |pid: &&u32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with("dj-regress-runaway")
    };
    assert_eq!(below.iter().filter(runaways).count(), 2, "{below:?}");
    send(supervisor, Signal::SIGKILL);
    run.ends(&folder, "the supervisor of this run has died");
    // Gone before the command ends, not some time later.
    assert_eq!(below.into_iter().filter(|pid| is_running(*pid)).collect::<Vec<_>>(), [] as [u32; 0]);
}

/// It lives, and yet it would follow no order and end nothing.
#[test]
fn a_supervisor_that_stands_still_is_noticed_and_ends_the_run() {
    let run = Hurt::in_the_middle(cases("", RUNAWAY));
    let (folder, supervisor) = (run.folder(), run.supervisor());
    let below = descendants(supervisor);
    send(supervisor, Signal::SIGSTOP);
    run.ends(&folder, &format!("the supervisor of this run (process {supervisor}) stood still for 2 s and was ended"));
    assert_eq!(below.into_iter().filter(|pid| is_running(*pid)).collect::<Vec<_>>(), [] as [u32; 0]);
}

/// Interrupted, the run ends through a supervisor that hears nothing.
#[test]
fn a_supervisor_that_stands_still_does_not_hold_up_the_end() {
    let mut run = Hurt::in_the_middle(cases("", ""));
    let (folder, supervisor) = (run.folder(), run.supervisor());
    send(supervisor, Signal::SIGSTOP);
    send(run.child.id(), Signal::SIGINT);
    let begun = std::time::Instant::now();
    let said = run.end();
    assert!(begun.elapsed() < AT_ONCE, "{:?}: {said}", begun.elapsed());
    assert_eq!(said.code, Some(130), "{said}");
    nothing_is_left_of(&folder);
}

/// None of it hears the postmaster, which waits five seconds for its children before it kills them.
#[test]
fn a_server_that_stands_still_does_not_hold_up_the_end() {
    let run = Hurt::in_the_middle(cases("", ""));
    let (folder, supervisor) = (run.folder(), run.supervisor());
    for process in run.processes("postgres") {
        send(process, Signal::SIGSTOP);
    }
    send(supervisor, Signal::SIGKILL);
    let begun = std::time::Instant::now();
    run.ends(&folder, "the supervisor of this run has died");
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_run_whose_folder_is_removed_ends() {
    let run = Hurt::in_the_middle(cases("", ""));
    let folder = run.folder();
    fs::remove_dir_all(&folder).unwrap();
    run.ends(&folder, "is gone: somebody has removed it");
}

#[test]
fn a_run_that_nobody_reads_any_more_ends() {
    let mut run = Hurt::in_the_middle(cases("", ""));
    let folder = run.folder();
    let mut line = String::new();
    BufReader::with_capacity(1, run.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("# PostgreSQL"), "{line}");
    run.ends(&folder, "standard output is closed");
}

#[test]
fn a_run_that_cannot_say_what_it_finds_ends() {
    let context = cases("", "");
    let mut command = context.command("run --jobs 2");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("write to standard output: No space left"), "{stderr}");
}

/// The program where `/dev/shm` and `small` are small file systems of its own; nothing if that cannot be had.
fn in_small_places(folder: &Path, arguments: &str) -> Option<Command> {
    let small = folder.join("small");
    fs::create_dir_all(&small).unwrap();
    let script =
        "mount -t tmpfs -o size=256m tmpfs /dev/shm && mount -t tmpfs -o size=2m tmpfs \"$1\" && shift && exec \"$@\"";
    let place = |script: &str, words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(&small).args(words).current_dir(folder);
        command.env("DJ_REGRESS_SERVICES", "local").env("TMPDIR", "/dev/shm").stdin(Stdio::null());
        command
    };
    if !place(script, &["true"]).status().is_ok_and(|status| status.success()) {
        skip("file systems of its own: unshare or mount is not allowed");
        return None;
    }
    let words: Vec<&str> = [PROGRAM].into_iter().chain(arguments.split_whitespace()).collect();
    let mut command = place(script, &words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command)
}

/// A folder that arms see: those in the places where files come and go they do not.
fn visible_folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Fills the file system of what the app may write to, as soon as the first case is judged: a file of the arm, or its log.
fn filling(file: &str, results: &Path) -> String {
    let results = results.display();
    format!(
        "
import pathlib, select
results = pathlib.Path('{results}')
while not results.exists() or 'a_quick' not in results.read_text():
    select.select([], [], [], 0.005)
with open({file}, 'ab', buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(65536))
    except OSError:
        pass
# It goes on, though its log may be full.
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)"
    )
}

#[test]
fn a_run_whose_shared_memory_is_full_ends() {
    let folder = visible_folder();
    let results = folder.path().join("out/results.json");
    let context = cases("", &filling("'filler'", &results));
    let arguments = format!("run --frozen --jobs 2 --cases-dir {} --outputdir out", context.path("cases").display());
    let Some(mut command) = in_small_places(folder.path(), &arguments) else { return };
    let said = said(&mut command);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("no space is left for the run's private folder /dev/shm/"), "{said}");
    let judged: serde_json::Value = serde_json::from_slice(&fs::read(results).unwrap()).unwrap();
    assert_eq!(judged["cases"].as_array().unwrap().len(), 1, "{said}");
}

#[test]
fn a_run_whose_output_folder_is_full_ends() {
    let folder = visible_folder();
    let context = cases("", &filling("os.dup(1)", &folder.path().join("small/out/results.json")));
    // The cases are in one folder, the output in the other.
    let arguments =
        format!("run --frozen --jobs 2 --cases-dir {} --outputdir small/out", context.path("cases").display());
    let Some(mut command) = in_small_places(folder.path(), &arguments) else { return };
    let said = said(&mut command);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("no space is left for the output folder"), "{said}");
    assert!(said.stdout.contains("ok 1     + a_quick"), "{said}");
}

#[test]
fn a_run_whose_output_folder_is_removed_keeps_what_it_finds_elsewhere() {
    let temporary = tempfile::tempdir().unwrap();
    let context = cases("", "");
    let mut command = context.command("run --jobs 2");
    command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = Hurt::start(context, command);
    fs::remove_dir_all(run.context.path("regress.out")).unwrap();
    let said = run.end();
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("the output folder regress.out is gone"), "{said}");
    assert_eq!(judged_elsewhere(&said, temporary.path()), ["a_quick"]);
}

/// The cases in the results that a run says it has put into this folder instead.
fn judged_elsewhere(said: &Said, folder: &Path) -> Vec<String> {
    let hint = "what was found so far is in ";
    let told = said.stderr.lines().find_map(|line| line.split_once(hint)).unwrap_or_else(|| panic!("{said}")).1;
    assert!(Path::new(told).starts_with(folder), "{said}");
    let results: serde_json::Value = serde_json::from_slice(&fs::read(told).unwrap()).unwrap();
    results["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn results_that_cannot_be_written_where_they_should_be_are_written_elsewhere() {
    let temporary = tempfile::tempdir().unwrap();
    let context = cases("", "");
    let mut command = context.command("run --jobs 2");
    command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = Hurt::start(context, command);
    // Root may write into any folder, and nobody over one with something in it.
    let results = run.context.path("regress.out/results.json");
    fs::remove_file(&results).unwrap();
    fs::create_dir_all(results.join("in the way")).unwrap();
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("error: write regress.out/results.json: "), "{said}");
    assert_eq!(judged_elsewhere(&said, temporary.path()), ["a_quick", "waiting"]);
}

/// A run on very little: what it needs is less than what shells and containers give.
#[test]
fn a_run_needs_few_files_and_little_shared_memory() {
    let context = Context::new().planted("verdicts");
    let run = format!("ulimit -n 64 && exec nice -n 19 {PROGRAM} run --frozen verdicts/proven verdicts/reproduced");
    let mut command = Command::new("sh");
    command.args(["-c", &run]).current_dir(context.path("")).env("DJ_REGRESS_SERVICES", "local").stdin(Stdio::null());
    let said = said(&mut command);
    assert_eq!(said.code, Some(0), "{said}");
}
