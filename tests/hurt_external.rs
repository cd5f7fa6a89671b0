//! A server that somebody else runs goes away under a run: that is said once, and it is waited for. What comes back is
//! gone on with; else the run ends with what is known.
#![allow(clippy::unwrap_used, missing_docs)]

mod ci;
mod common;
mod hurt;
mod support;

use std::process::Stdio;

use ci::Ci;
use hurt::{AT_ONCE, Hurt, REDIS, cases, lines};
use support::{Context, case, nothing_is_left_of, said};
use tokio::task::block_in_place;

/// A run on the servers of a CI, in the middle.
fn start(ci: &Ci, context: Context) -> Hurt {
    let (postgres, redis) = (ci.postgres_url("ci"), ci.redis_url());
    let mut command = context.command("run --jobs 2 --services external");
    command.args(["--postgres-url", &postgres, "--redis-url", &redis]);
    // Any run that starts in the same place sweeps up what an ended one has left on the servers.
    command.env("TMPDIR", context.path(""));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    block_in_place(|| Hurt::start(context, command))
}

/// The run goes on to its end, and has found what it would have found; this was said once.
fn goes_on(mut run: Hurt, told: &str) {
    block_in_place(|| {
        run.until_in_the_middle(2);
        run.go();
        let said = run.end();
        assert_eq!(said.code, Some(0), "{said}");
        assert_eq!(lines(&said.stderr, "gone away").len(), 1, "{said}");
        assert!(said.stderr.contains(told), "{said}");
        assert!(!said.stderr.contains("hunter2"), "{said}");
        let results = run.context.results();
        assert_eq!(results["hurt"].as_array().unwrap().len(), 1);
        for name in ["a_quick", "waiting"] {
            assert_eq!(case(&results, name)["verdict"], "PROVEN");
        }
    });
}

/// The run ends with this error, and with what was judged; says what is left to do.
fn ends(mut run: Hurt, error: &str) -> Hurt {
    block_in_place(|| {
        let begun = std::time::Instant::now();
        let said = run.end();
        assert!(begun.elapsed() < 2 * AT_ONCE, "{:?}: {said}", begun.elapsed());
        assert_eq!(said.code, Some(2), "{said}");
        assert_eq!(lines(&said.stderr, "It is waited for").len(), 1, "{said}");
        let told = lines(&said.stderr, "error: ");
        assert!(told.len() == 1 && told[0].contains(error), "{said}");
        assert!(said.stderr.contains("see to it that it runs, then run again"), "{said}");
        assert!(said.stderr.contains("dj-regress clean"), "what it has made there is still there: {said}");
        run.has_kept_what_was_judged();
    });
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_somebody_starts_again_is_gone_on_with() {
    let ci = Ci::start().await;
    let before = ci.everything().await;
    let run = start(&ci, cases("", ""));
    let folder = run.folder();
    ci.kill_postgres().await;
    ci.start_postgres().await;
    goes_on(
        run,
        "Postgres has gone away. It is waited for, and the arms that it took are played again: postgres://ci@",
    );
    assert_eq!(ci.everything().await, before);
    block_in_place(|| nothing_is_left_of(&folder));
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_stays_away_ends_the_run_and_what_is_there_is_removed_when_it_is_back() {
    let ci = Ci::start().await;
    let before = ci.everything().await;
    let run = start(&ci, cases("", ""));
    let folder = run.folder();
    ci.kill_postgres().await;
    let run = ends(run, "Postgres has gone away and does not come back");
    ci.start_postgres().await;
    assert_ne!(ci.everything().await, before);
    let cleaned = block_in_place(|| said(run.context.command("clean").env("TMPDIR", run.context.path(""))));
    assert!(cleaned.stdout.contains("removed database dj_regress_"), "{cleaned}");
    assert_eq!(ci.everything().await, before);
    block_in_place(|| nothing_is_left_of(&folder));
    ci.supervisor.shutdown().await.unwrap();
}

/// It is empty then, and its answers would be taken for the app's.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_somebody_starts_again_is_gone_on_with() {
    let ci = Ci::start().await;
    let run = start(&ci, cases(REDIS, "cache.set('a', 1)"));
    ci.kill_redis().await;
    ci.start_redis().await;
    goes_on(run, "has gone away. It is waited for, and the arms that it took are played again: ");
    for database in 0..4 {
        assert!(ci.keys(database).await.is_empty());
    }
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stays_away_ends_the_run() {
    let ci = Ci::start().await;
    let run = start(&ci, cases(REDIS, "cache.set('a', 1)"));
    let folder = run.folder();
    ci.kill_redis().await;
    let run = ends(run, "has gone away and does not come back");
    ci.start_redis().await;
    block_in_place(|| {
        said(run.context.command("clean").env("TMPDIR", run.context.path(""))).ok();
        nothing_is_left_of(&folder);
    });
    ci.supervisor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_time_ends_the_run() {
    let ci = Ci::start().await;
    let mut run = start(&ci, cases(REDIS, "cache.set('a', 1)"));
    let folder = run.folder();
    ci.kill_redis().await;
    ci.start_redis().await;
    block_in_place(|| run.until_in_the_middle(2));
    ci.kill_redis().await;
    ci.start_redis().await;
    block_in_place(|| run.ends(&folder, "has gone away again: "));
    ci.supervisor.shutdown().await.unwrap();
}
