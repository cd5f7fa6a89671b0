//! What a run has made elsewhere, undone by somebody else: by its supervisor, by the next run, by `clean`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::bounded::bounded;
use super::docker::{Daemon, Owner};
use super::run_directory::{Elsewhere, Manifest};
use super::{postgres, redis};
use crate::error::Result;

/// The hidden subcommand: `dj-regress undo RUN_DIRECTORY`.
pub const COMMAND: &str = "undo";

/// A container that is being made comes up within a second on a busy machine.
const QUIET: Duration = Duration::from_secs(2);

/// Between two looks for containers.
const POLL: Duration = Duration::from_millis(100);

/// How long it may take in all.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// `dj-regress undo RUN_DIRECTORY`: for the supervisor of a run whose controller has died.
pub fn run(run_directory: &Path) -> ExitCode {
    match undo(run_directory) {
        Ok(undone) => {
            for what in undone {
                eprintln!("removed {what}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot undo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Removes what the run of this folder has elsewhere: databases and roles with its token as their comment, the keys of
/// Redis databases that it has marked, containers with its label. Says what that was. The run must be over.
///
/// # Errors
///
/// Cannot run if something of it could not be removed within 30 s; the rest is removed all the same.
pub fn undo(run_directory: &Path) -> Result<Vec<String>> {
    let Some(manifest) = Manifest::read(run_directory).filter(|manifest| manifest.elsewhere != Elsewhere::default())
    else {
        return Ok(Vec::new());
    };
    bounded(DEADLINE, async move { everything(&manifest).await })
}

async fn everything(manifest: &Manifest) -> Result<Vec<String>> {
    let Manifest { run, token, elsewhere, .. } = manifest;
    let mut results = Vec::new();
    if elsewhere.docker {
        results.push(remove_containers(run, token).await);
    }
    if let Some(url) = &elsewhere.postgres {
        results.push(postgres::undo(url, token).await);
    }
    if let Some(url) = &elsewhere.redis {
        for database in &elsewhere.redis_databases {
            let undone = redis::undo(url, *database, token).await;
            let is_reached = undone.is_ok();
            results.push(undone);
            if !is_reached {
                // The others would wait as long, for the same server.
                break;
            }
        }
    }
    // All were tried before the first error is told.
    Ok(results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Removes the containers that have this run's labels; says which. One that was being made when the run ended may come up
/// a moment later: it is looked for until none has come for a while.
async fn remove_containers(run: &str, token: &str) -> Result<Vec<String>> {
    let owner = Owner { run: run.to_owned(), token: token.to_owned() };
    let daemon = Daemon::connect().await?;
    let mut removed = Vec::new();
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < QUIET {
        let found = daemon.remove_labelled(&owner).await?;
        if !found.is_empty() {
            quiet_since = Instant::now();
        }
        removed.extend(found.into_iter().map(|name| format!("container {name}")));
        tokio::time::sleep(POLL).await;
    }
    Ok(removed)
}
