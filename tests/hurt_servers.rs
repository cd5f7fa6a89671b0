//! A server that dies under a run: said once, started again, and what it took is played again.
#![allow(clippy::unwrap_used, missing_docs)]

mod hurt;
mod support;

use hurt::{Hurt, cases, send};
use nix::sys::signal::Signal;
use rstest::rstest;
use support::case;

/// Redis as the cache; what is in it is gone when it is started again.
const REDIS: &str =
    "settings: {CACHES: {default: {BACKEND: django.core.cache.backends.redis.RedisCache, LOCATION: $redis}}}\n";

fn lines<'s>(stderr: &'s str, with: &str) -> Vec<&'s str> {
    stderr.lines().filter(|line| line.contains(with)).collect()
}

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
