//! What a run cannot do without, looked at while it plays: a run that is hurt says so at once, and ends.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, shown};
use crate::service::is_full;
use crate::service::run_directory::RunDirectory;
use crate::service::supervisor::Supervisor;

/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// What the database of an arm takes: without it, the next arm cannot begin.
const DATABASE: u64 = 8 << 20;

/// What a few results take, and the lines of logs between two looks.
const LINES: u64 = 1 << 16;

/// Resolves when the run cannot go on, with the reason; `logs` is where it writes what it finds.
pub async fn failed(supervisor: &Supervisor, run_directory: &RunDirectory, logs: &Path) -> Error {
    let missed = async {
        loop {
            if let Some(error) = missing(run_directory, logs) {
                return error;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        error = supervisor.died() => error,
        error = missed => error,
    }
}

fn missing(run_directory: &RunDirectory, logs: &Path) -> Option<Error> {
    let folder = run_directory.path();
    if !run_directory.is_there() {
        let message = format!("the run's private folder {} is gone: somebody has removed it", folder.display());
        return Some(Error::cannot_run(message).hint("leave it alone while a run goes on, then run again"));
    }
    if is_full(folder, DATABASE) {
        let message = format!("no space is left for the run's private folder {}", folder.display());
        return Some(
            Error::cannot_run(message).hint(format!("make room: `df {}` says how much there is", folder.display())),
        );
    }
    let output = logs.parent().unwrap_or(logs);
    if !logs.is_dir() {
        return Some(Error::cannot_run(format!(
            "the output folder {} is gone: somebody has removed it",
            shown(output)
        )));
    }
    if is_full(logs, LINES) {
        let message = format!("no space is left for the output folder {}", shown(output));
        return Some(Error::cannot_run(message).hint("make room, or name another folder with `--outputdir`"));
    }
    nobody_reads().then(|| {
        Error::cannot_run("standard output is closed: its reader has gone away")
            .hint("what was found so far is in results.json; `> FILE` keeps what is printed")
    })
}

/// Whether standard output is a pipe whose reader has gone, or a terminal that has.
fn nobody_reads() -> bool {
    let out = io::stdout();
    let mut files = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let looked = poll(&mut files, PollTimeout::ZERO);
    looked.is_ok() && files[0].revents().is_some_and(|found| found.intersects(gone))
}
