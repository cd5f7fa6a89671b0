//! A supervisor that stands still, as after SIGSTOP: it lives, and yet follows no order and ends nothing.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::service::procfs::Process;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// How long it may stand still: somebody may have stopped it by mistake, or look at it with a debugger.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Between two questions to one that seems well.
const QUESTIONS: Duration = Duration::from_secs(10);

/// Resolves when the process has stood still for 2 s.
pub(super) async fn stands_still(pid: u32) {
    let mut last_moved = Instant::now();
    while last_moved.elapsed() < PATIENCE {
        sleep(LOOK).await;
        // The state of the kernel's for a job that was stopped; one that a debugger has stopped is `t`.
        if Process::find(pid).is_none_or(|found| !matches!(found.state, 'T' | 't')) {
            last_moved = Instant::now();
        }
    }
}

/// Asks from time to time, as long as there is an answer; gives what came instead of one.
pub(super) async fn silence<T, E>(mut ask: impl AsyncFnMut() -> Result<T, E>) -> E {
    loop {
        sleep(QUESTIONS).await;
        if let Err(error) = ask().await {
            return error;
        }
    }
}
