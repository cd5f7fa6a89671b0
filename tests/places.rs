//! Whole commands on servers that somebody else runs: the same verdicts, nothing left there, no password anywhere.
#![allow(clippy::unwrap_used, missing_docs)]

mod ci;
mod common;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use ci::{Ci, PASSWORD};
use serde_json::{Map, Value};
use support::{Context, Said, case, said};

/// A case that needs nothing but a Redis, and does this to it.
fn on_redis(step: &str) -> String {
    format!(
        "settings: {{CACHES: {{default: {{BACKEND: django.core.cache.backends.redis.RedisCache, LOCATION: $redis}}}}}}
actors: {{app: {{python: }}}}
fixes: {{keep: {{vars: {{what: keep}}}}}}
vars: {{what: delete}}
steps:
  - python: app
    run: \"cache.set('a', 1, None); cache.set('b', 1, None)\"
  - python: app
    run: \"'$what' == 'delete' and cache.delete('a')\"
{step}
invariants: {{keys: {{of: redis, field: keys, applied: 2, reverted: 1}}}}
"
    )
}

/// The program with this CI's servers named in its environment.
fn on_given(context: &Context, ci: &Ci, arguments: &str) -> Command {
    let mut command = context.command(arguments);
    command.env("DJ_REGRESS_SERVICES", "external");
    command.env("DJ_REGRESS_POSTGRES_URL", ci.postgres_url("ci")).env("DJ_REGRESS_REDIS_URL", ci.redis_url());
    command
}

/// All that a command has said and left, in one.
fn everything(said: &Said, folder: &Path) -> Vec<u8> {
    let mut all = [said.stdout.as_bytes(), said.stderr.as_bytes()].concat();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            all.extend(entry.path().to_str().unwrap().as_bytes());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                all.extend(fs::read(entry.path()).unwrap());
            }
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Whole numbers by arm and invariant. Where the case gives a range or a limit it says that they may differ: bytes do,
/// within 1 %.
fn counts(case: &Value) -> Map<String, Value> {
    let is_exact = |bound: &str| !["none", "<", ">", "..", "+-"].iter().any(|sign| bound.contains(sign));
    let is_count = |found: &Value| found["value"].is_i64() && is_exact(found["bound"].as_str().unwrap());
    let mut counts = Map::new();
    for arm in case["arms"].as_array().unwrap() {
        for found in arm["invariants"].as_array().unwrap().iter().filter(|found| is_count(found)) {
            counts.insert(format!("{} {} {}", arm["fix"], arm["state"], found["name"]), found["value"].clone());
        }
    }
    counts
}

fn reason(results: &Value, name: &str) -> String {
    let found = case(results, name);
    assert_eq!(found["verdict"], "SKIPPED", "{found:#}");
    found["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_on_given_servers_says_the_same_and_leaves_nothing_there() {
    let ci = Ci::start_with("shared_preload_libraries = 'pg_stat_statements'\n").await;
    ci.set(1, "of a stranger").await;
    ci.execute("CREATE DATABASE dj_regress_of_a_stranger").await;
    let before = ci.everything().await;
    let flagship = "django_q/stat_master_list";
    let context = Context::new().planted("faults").planted("killed");
    let context = context.case("redis_only", &on_redis(""));
    support::copy(Path::new("cases/django_q"), &context.path("cases/django_q"));
    let cases = format!("{flagship} redis_only faults/links_of_postgres killed/cluster_under_faults");

    let said_given = said(&mut on_given(&context, &ci, &format!("run --verbose {cases}")));
    assert_eq!(said_given.code, Some(0), "{said_given}");
    let given = context.results();
    let all = everything(&said_given, &context.path("regress.out"));
    assert!(holds(&all, "external: postgres://ci@127.0.0.1:") && holds(&all, flagship));
    for secret in [PASSWORD, "hunter2"] {
        assert!(!holds(&all, secret), "the password is in what the run said, or in {}", context.path(".").display());
    }
    assert_eq!(ci.everything().await, before);
    for (database, kept) in [(0, 0), (1, 1), (2, 0), (3, 0)] {
        assert_eq!(ci.keys(database).await.len(), kept, "database {database}");
    }
    assert_eq!(
        (given["setting"]["notes"].clone(), given["run"]["as_declared"].clone()),
        (Value::Array(vec![]), 4.into())
    );

    context.run(&format!("run {cases}")).ok();
    let local = context.results();
    assert_eq!(local["setting"]["services"], "local");
    for name in cases.split(' ') {
        let (local, given) = (case(&local, name), case(&given, name));
        assert_eq!(local["verdict"], given["verdict"], "{name}");
        assert!(!counts(local).is_empty(), "{name}");
        assert_eq!(counts(local), counts(given), "{name}");
    }
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_case_that_needs_a_server_of_its_own_is_skipped_on_given_ones_and_says_why() {
    let ci = Ci::start().await;
    let before = ci.everything().await;
    let mut context = Context::new().planted("faults");
    for fault in ["fill", "flush", "evict"] {
        context = context.case(fault, &on_redis(&format!("  - fault: {{{fault}: redis}}")));
    }
    let context = context.case("redis_only", &on_redis(""));
    let cases = "faults/processes_of_postgres faults/redis fill flush evict redis_only";
    let said = said(&mut on_given(&context, &ci, &format!("run {cases}")));
    assert_eq!(said.code, Some(0), "{said}");
    let results = context.results();
    let why = |what: &str| format!("needs {what}, and services are external: somebody else runs them");
    assert_eq!(reason(&results, "faults/processes_of_postgres"), why("a Postgres of its own"));
    assert_eq!(reason(&results, "faults/redis"), why("settings of Redis"));
    for fault in ["fill", "flush", "evict"] {
        assert_eq!(reason(&results, fault), why("to disturb a server"), "{fault}");
    }
    assert_eq!(case(&results, "redis_only")["verdict"], "PROVEN");
    // What this server does not have is said, too.
    let note = "external: no pg_stat_statements: the server has not loaded it, or the extension is not there";
    assert!(said.stdout.lines().any(|line| line == format!("# {note}")), "{said}");
    assert_eq!(results["setting"]["notes"], serde_json::json!([note]));
    assert!(!holds(&everything(&said, &context.path("regress.out")), PASSWORD));
    assert_eq!(ci.everything().await, before);
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_given_server_that_is_asked_for_its_time_makes_the_arm_inconclusive_and_what_asked_is_named() {
    let ci = Ci::start().await;
    let context = Context::new().planted("clock");
    let cases =
        "clock/expiry_asked_of_postgres clock/redis_after_an_advance clock/schedule_at_a_date clock/minute_boundary";
    let said = said(&mut on_given(&context, &ci, &format!("run {cases}")));
    assert!(said.code.is_some(), "{said}");
    let results = context.results();
    let why = "a server that has not the arm's time was asked for it";
    for (name, asked) in [("expiry_asked_of_postgres", "STATEMENT_TIMESTAMP"), ("redis_after_an_advance", "`SET ")] {
        let found = case(&results, &format!("clock/{name}"));
        assert_eq!(found["verdict"], "INCONCLUSIVE", "{found:#}");
        let reason = found["fixes"][0]["reason"].as_str().unwrap();
        assert!(reason.contains(why) && reason.contains(asked), "{found:#}");
    }
    // Who asks nobody has the arm's time.
    assert_eq!(case(&results, "clock/schedule_at_a_date")["verdict"], "PROVEN");
    assert_eq!(case(&results, "clock/minute_boundary")["verdict"], "NOT PINNED");
    ci.supervisor.shutdown().await.unwrap();
}
