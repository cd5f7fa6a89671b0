//! Asynchronous work for callers that are not, or that are inside of another runtime.

use std::time::Duration;

use tokio::time::timeout;

use crate::error::{Context as _, Error, Result};

/// Does the work on a thread of its own, for so long at most.
///
/// # Errors
///
/// Those of the work; cannot run if it takes longer.
pub fn bounded<T: Send + 'static>(
    deadline: Duration,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Made inside: a deadline belongs to a runtime.
        let done = runtime.cannot_run(|| "start".to_owned())?.block_on(async { timeout(deadline, work).await });
        done.map_err(|_| Error::cannot_run(format!("it takes over {} s", deadline.as_secs())))?
    };
    std::thread::spawn(work).join().map_err(|_| Error::bug("a thread panicked"))?
}
