//! The server in a container dies under a run: said once, started again, and what it took is played again.
#![allow(clippy::unwrap_used, missing_docs)]

mod hurt;
mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use hurt::{Hurt, REDIS, cases, lines};
use support::{Context, case, eventually, nothing_is_left_of};

/// A run on containers, in the middle; nothing where there are none.
async fn start(context: Context) -> Option<Hurt> {
    support::docker("containers that die").await?;
    let mut command = context.command("run --jobs 2 --services docker");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(Hurt::start(context, command))
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the run's containers for this.
fn containers(run: &Hurt, role: &str) -> Vec<String> {
    of_folder(&run.folder(), role)
}

fn of_folder(run: &Path, role: &str) -> Vec<String> {
    let prefix = format!("dj-regress-{}-{role}", run.file_name().unwrap().to_str().unwrap());
    let filter = format!("name={prefix}");
    docker(&["ps", "--filter", &filter, "--format", "{{.Names}}"]).lines().map(str::to_owned).collect()
}

fn kill(containers: &[String]) {
    for container in containers {
        docker(&["kill", container]);
    }
}

#[tokio::test]
async fn a_postgres_whose_container_is_killed_is_started_again_and_its_arms_are_played_again() {
    let Some(mut run) = start(cases("", "")).await else { return };
    let folder = run.folder();
    let postgres = containers(&run, "postgres");
    assert_eq!(postgres.len(), 1);
    kill(&postgres);
    run.until_in_the_middle(2);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    let told = lines(&said.stderr, "Postgres has died");
    assert_eq!(told.len(), 1, "{said}");
    assert!(told[0].ends_with("exit code 137") && said.stderr.contains("\n  "), "with the end of its log: {said}");
    for name in ["a_quick", "waiting"] {
        assert_eq!(case(&run.context.results(), name)["verdict"], "PROVEN");
    }
    nothing_is_left_of(&folder);
    eventually("no container is left", || of_folder(&folder, "").is_empty());
}

#[tokio::test]
async fn a_second_death_of_a_container_ends_the_run_with_what_is_known() {
    let Some(mut run) = start(cases("", "")).await else { return };
    let folder = run.folder();
    kill(&containers(&run, "postgres"));
    run.until_in_the_middle(2);
    kill(&containers(&run, "postgres"));
    run.ends(&folder, "Postgres has died again: exit code 137");
}

#[tokio::test]
async fn an_arm_whose_redis_container_is_killed_is_played_again() {
    let Some(mut run) = start(cases(REDIS, "cache.set('a', 1)")).await else { return };
    let redis = containers(&run, "redis");
    assert_eq!(redis.len(), 2);
    kill(&redis);
    run.until_in_the_middle(2);
    run.go();
    let said = run.end();
    assert_eq!(said.code, Some(0), "{said}");
    let told = lines(&said.stderr, "the Redis of an arm has died: exit code 137");
    assert_eq!(told.len(), 2, "once for each arm: {said}");
    assert_eq!(case(&run.context.results(), "waiting")["verdict"], "PROVEN");
}
