//! Nothing is waited for without end, and what was waited for is said.
#![allow(clippy::unwrap_used, missing_docs)]

mod hurt;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::time::Duration;

use dj_regress::cache::{Cache, VARIABLE as CACHE, lock};
use dj_regress::deadline::VARIABLE as DEADLINE;
use hurt::{Hurt, cases, send};
use nix::sys::signal::Signal;
use rstest::rstest;
use support::{Context, processes_of, said};

const FIX: &str = "fixes: {hope: {env: {PLEASE: end}}}\ninvariants: {x: {applied: 1, reverted: 2}}\n";

#[rstest]
#[case::a_step_that_never_ends(
    "actors: {app: {python: }}\nsteps: [{python: app, run: 'while True: pass'}, {read: {x: '1'}}]\n",
    "did not answer within 2 s"
)]
#[case::a_server_that_stands_still(
    "actors: {app: {python: }}\nsteps: [{fault: {pause: postgres}, while: [{sql: select 1}]}, {read: {x: '1'}}]\n",
    "select 1: no answer within 2 s"
)]
#[case::an_app_that_never_starts(
    "app: ./stuck\nactors: {app: {python: }}\nsteps: [{read: {x: '1'}}]\n",
    "set up the app: the process"
)]
fn a_step_has_a_deadline(#[case] case: &str, #[case] why: &str) {
    let context = Context::new().case("hangs", &format!("{case}{FIX}"));
    fs::create_dir(context.path("cases/stuck")).unwrap();
    fs::write(context.path("cases/stuck/__init__.py"), "while True:\n    pass\n").unwrap();
    let said = said(context.command("run").env(DEADLINE, "2"));
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stdout.contains(why), "{said}");
    assert!(said.took < Duration::from_secs(40), "{said}");
}

#[test]
fn a_shared_server_that_stands_still_is_started_again() {
    let context = cases("", "");
    let mut command = context.command("run --jobs 2");
    command.env(DEADLINE, "5").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = Hurt::start(context, command);
    let postmaster = run.postmaster();
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "postgres");
    for process in processes_of(&run.folder()).into_iter().filter(name) {
        send(process, Signal::SIGSTOP);
    }
    run.until_in_the_middle(2);
    assert_ne!(run.postmaster(), postmaster);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stderr.contains("Postgres has died"), "{said}");
}

/// A cache of the test's own, filled by a run.
fn warm(context: &Context) -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    let shared = Cache::open().unwrap();
    fs::create_dir_all(shared.path("tools")).unwrap();
    symlink(shared.path("tools"), cache.path().join("tools")).unwrap();
    said(context.command("run verdicts/proven").env(CACHE, cache.path())).ok();
    cache
}

#[test]
fn a_lock_that_somebody_holds_is_not_waited_for_without_end_and_names_who_it_is() {
    let context = Context::new().planted("verdicts");
    let cache = warm(&context);
    let overlays = fs::read_dir(cache.path().join("overlays")).unwrap().flatten();
    let mut held = Vec::new();
    for overlay in overlays {
        fs::remove_dir_all(overlay.path()).unwrap();
        let name = format!("overlays-{}", overlay.file_name().to_str().unwrap());
        held.push(lock::file(&cache.path().join("locks").join(name), Duration::ZERO).unwrap());
    }
    let mut command = context.command("run verdicts/proven");
    let said = said(command.env(CACHE, cache.path()).env(DEADLINE, "1"));
    assert_eq!(said.code, Some(5), "{said}");
    let expected = format!("is locked: process {} (", std::process::id());
    assert!(said.stdout.contains(&expected) && said.stdout.contains("has held it for over 2 s"), "{said}");
}

/// It is another run that removes it, and hangs.
#[test]
fn templates_that_somebody_removes_are_made_anew() {
    let context = Context::new().planted("verdicts");
    let cache = warm(&context);
    let versions = fs::read_dir(cache.path().join("postgres")).unwrap().flatten();
    let current = versions.map(|version| version.path().join("current")).find(|current| current.exists()).unwrap();
    let held = File::open(current.join("lock")).unwrap();
    held.lock().unwrap();
    let mut command = context.command("run verdicts/proven");
    said(command.env(CACHE, cache.path()).env(DEADLINE, "30")).ok();
}

#[test]
fn an_installer_that_hangs_is_ended_and_named() {
    let context = Context::new().planted("verdicts");
    let (cold, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uv = tools.path().join("uv");
    fs::write(&uv, "#!/bin/sh\ntail -f /dev/null\n").unwrap();
    fs::set_permissions(&uv, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let mut command = context.command("run --services local --programs installed verdicts/proven");
    let said = said(command.env("PATH", path).env(CACHE, cold.path()).env(DEADLINE, "2"));
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("did not end within 2 s, and was killed"), "{said}");
}

#[test]
fn a_deadline_that_is_no_number_is_refused() {
    let context = Context::new().planted("verdicts");
    let said = said(context.command("run verdicts/proven").env(DEADLINE, "soon"));
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains("expected whole seconds"), "{said}");
}
