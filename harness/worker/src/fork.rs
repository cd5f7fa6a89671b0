//! Copies of this process that belong to the supervisor.

use std::fs;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

/// Which process came out of [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that was asked.
    Original,
    /// The copy: leader of its own session, and by the double fork a child of the nearest subreaper.
    Copy,
}

/// Forks twice through `os.fork`, so that Python's own hooks run (they reseed `random`, too).
pub fn fork(py: Python<'_>) -> PyResult<Side> {
    refuse_threads(py)?;
    flush(py);
    let os = py.import("os")?;
    let intermediate: i32 = os.call_method0("fork")?.extract()?;
    if intermediate == 0 {
        // Whatever happens now, this process must not return into the loop.
        let copy = os.call_method0("fork").and_then(|pid| pid.extract::<i32>());
        match copy {
            Ok(0) => {}
            Ok(_) => exit(py, 0),
            Err(error) => {
                error.print(py);
                exit(py, 1)
            }
        }
        os.call_method0("setsid")?;
        return Ok(Side::Copy);
    }
    let (_, status): (i32, i32) = os.call_method1("waitpid", (intermediate, 0))?.extract()?;
    if status == 0 {
        Ok(Side::Original)
    } else {
        Err(PyOSError::new_err(format!("the second fork failed (wait status {status})")))
    }
}

/// A lock that another thread holds stays locked for ever in a forked copy.
fn refuse_threads(py: Python<'_>) -> PyResult<()> {
    let known: usize = py.import("threading")?.call_method0("active_count")?.extract()?;
    let tasks = fs::read_dir("/proc/self/task")?.count();
    if known == 1 && tasks == 1 {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!(
        "cannot fork with {tasks} threads running ({known} of them known to Python): \
         something started a thread on import or in AppConfig.ready()"
    )))
}

fn flush(py: Python<'_>) {
    for name in ["stdout", "stderr"] {
        // A closed or missing stream has nothing to be written twice.
        let _ = py.import("sys").and_then(|sys| sys.getattr(name)).and_then(|stream| stream.call_method0("flush"));
    }
}

/// Ends this process at once: no `atexit`, which would wait for the app's children.
pub fn exit(py: Python<'_>, code: i32) -> ! {
    flush(py);
    // SAFETY: `_exit` only ends the process; nothing of ours needs destructors to run.
    unsafe { libc::_exit(code) }
}
