//! A server that dies under a run: said once, started again, and what it took is played again.
#![allow(clippy::unwrap_used, missing_docs)]

mod hurt;
mod support;

use hurt::{Hurt, REDIS, cases, lines, send};
use nix::sys::signal::Signal;
use rstest::rstest;
use support::case;

#[rstest]
#[case::it_is_killed(Signal::SIGKILL, "SIGKILL")]
#[case::it_is_told_to_end(Signal::SIGQUIT, "exit code ")]
fn a_shared_postgres_that_dies_is_started_again_and_its_arms_are_played_again(
    #[case] signal: Signal,
    #[case] how: &str,
) {
    let mut run = Hurt::in_the_middle(cases("", ""));
    let folder = run.folder();
    send(run.postmaster(), signal);
    run.until_in_the_middle(2);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    let told = lines(&said.stderr, "Postgres has died");
    assert_eq!(told.len(), 1, "{said}");
    assert!(told[0].contains(how), "{said}");
    assert!(said.stderr.contains("\n  "), "with the end of its log: {said}");
    let results = run.context.results();
    assert_eq!(results["hurt"].as_array().unwrap().len(), 1);
    for name in ["a_quick", "waiting"] {
        assert_eq!(case(&results, name)["verdict"], "PROVEN");
    }
    support::nothing_is_left_of(&folder);
}

/// The postmaster starts again what a backend that dies by a signal takes along: the server is up, its clients are not.
#[test]
fn a_backend_that_is_killed_takes_the_arms_and_they_are_played_again() {
    let mut run = Hurt::in_the_middle(cases("", ""));
    let postmaster = run.postmaster();
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&postmaster.to_string()))
    };
    let children = support::processes_of(&run.folder()).into_iter().filter(is_child);
    send(children.max().unwrap(), Signal::SIGKILL);
    run.until_in_the_middle(2);
    assert_eq!(run.postmaster(), postmaster);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(lines(&said.stderr, "Postgres has died").len(), 1, "{said}");
}

#[test]
fn a_second_death_ends_the_run_with_what_is_known() {
    let mut run = Hurt::in_the_middle(cases("", ""));
    let folder = run.folder();
    send(run.postmaster(), Signal::SIGKILL);
    run.until_in_the_middle(2);
    send(run.postmaster(), Signal::SIGKILL);
    run.ends(&folder, "Postgres has died again: SIGKILL");
}

#[test]
fn an_arm_whose_own_redis_dies_is_played_again() {
    let mut run = Hurt::in_the_middle(cases(REDIS, "cache.set('a', 1)"));
    for redis in run.processes("redis-server") {
        send(redis, Signal::SIGKILL);
    }
    run.until_in_the_middle(2);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(lines(&said.stderr, "the Redis of an arm has died: SIGKILL").len(), 2, "once for each arm: {said}");
    assert_eq!(case(&run.context.results(), "waiting")["verdict"], "PROVEN");
}

/// A page behind an nginx, asked before the arms wait and after.
const PAGE: &str = "{http: GET /orders/1, via: edge, as: page}";

/// The case `waiting` with an nginx; nothing where there is none.
fn behind_nginx() -> Option<support::Context> {
    if std::process::Command::new("nginx").arg("-v").output().is_err() {
        support::skip("an nginx that dies: there is no nginx");
        return None;
    }
    let context = cases("", "");
    let path = context.path("cases/waiting.yaml");
    let case = std::fs::read_to_string(&path).unwrap();
    let case = case
        .replace(support::HEAD, "packages: {django: 5.2.*, django-q2: 1.11.1, waitress: 3.0.*}\n")
        .replace(
            "actors: {app: {python: }}",
            "actors: {app: {python: }, web: {serve: wsgi}, edge: {cache: nginx, to: web}}",
        )
        .replace("steps:\n", &format!("steps:\n  - {PAGE}\n"));
    let case = case.replacen("  - read:", &format!("  - {}\n  - read:", PAGE.replace("page", "again")), 1);
    std::fs::write(&path, case).unwrap();
    Some(context)
}

#[test]
fn an_arm_whose_nginx_dies_is_played_again() {
    let Some(context) = behind_nginx() else { return };
    let mut run = Hurt::in_the_middle(context);
    let masters = masters(&run);
    assert_eq!(masters.len(), 2);
    for nginx in masters {
        send(nginx, Signal::SIGKILL);
    }
    run.until_in_the_middle(2);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(lines(&said.stderr, "the nginx of an arm has died: SIGKILL").len(), 2, "once for each arm: {said}");
    assert_eq!(case(&run.context.results(), "waiting")["verdict"], "PROVEN");
}

#[test]
fn an_arm_that_loses_its_nginx_twice_is_inconclusive() {
    let Some(context) = behind_nginx() else { return };
    let mut run = Hurt::in_the_middle(context);
    for time in 1..=2 {
        for nginx in masters(&run) {
            send(nginx, Signal::SIGKILL);
        }
        if time == 1 {
            run.until_in_the_middle(2);
        }
    }
    let said = run.end();
    assert_eq!(said.code, Some(5), "{said}");
    let results = run.context.results();
    assert_eq!(case(&results, "waiting")["verdict"], "INCONCLUSIVE");
    assert!(
        case(&results, "waiting")["reason"].as_str().unwrap().contains("nginx of an arm has died: SIGKILL"),
        "{said}"
    );
}

/// The nginx processes whose parent is none.
fn masters(run: &Hurt) -> Vec<u32> {
    let all = run.processes("nginx");
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
    };
    all.iter().copied().filter(|pid| !all.contains(&parent(pid))).collect()
}

#[test]
fn an_arm_that_loses_its_own_redis_twice_is_inconclusive_and_the_others_are_not() {
    let mut run = Hurt::in_the_middle(cases(REDIS, "cache.set('a', 1)"));
    for time in 1..=2 {
        let servers = run.processes("redis-server");
        assert_eq!(servers.len(), 2);
        for redis in servers {
            send(redis, Signal::SIGKILL);
        }
        if time == 1 {
            run.until_in_the_middle(2);
        }
    }
    let said = run.end();
    assert_eq!(said.code, Some(5), "{said}");
    let results = run.context.results();
    assert_eq!(case(&results, "a_quick")["verdict"], "PROVEN");
    assert_eq!(case(&results, "waiting")["verdict"], "INCONCLUSIVE");
    assert!(case(&results, "waiting")["reason"].as_str().unwrap().contains("has died: SIGKILL"), "{said}");
}
