//! The journal's writer: what happened besides SQL.

use std::path::PathBuf;
use std::process;

use dj_regress_protocol::Entry;
use pyo3::prelude::*;

use crate::append::{Records, monotonic};
use crate::clock::Clock;

/// Writes records of an actor, in whatever process or thread of it. It keeps nothing: a forked child just goes on.
#[pyclass(frozen, module = "dj_regress.worker")]
pub struct Journal {
    records: Records,
    actor: String,
    clock: Py<Clock>,
}

#[pymethods]
impl Journal {
    /// Opens the arm's journal for an actor.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
    fn new(path: PathBuf, actor: String, clock: Py<Clock>) -> PyResult<Self> {
        Ok(Self { records: Records::open(&path)?, actor, clock })
    }

    /// This process has come into being, as a part of a real cluster.
    fn process(&self, role: String) -> PyResult<()> {
        let parent = std::os::unix::process::parent_id();
        self.write(&Entry::Process { pid: process::id(), parent, role, actor: self.actor.clone(), at: monotonic() })
    }

    /// A task was put into the queue.
    fn accepted(&self, task: String) -> PyResult<()> {
        self.write(&Entry::Accepted { id: task, actor: self.actor.clone(), at: monotonic() })
    }

    /// A task's function is about to be called by this process.
    fn execution(&self, task: String, name: String) -> PyResult<()> {
        self.write(&Entry::Execution {
            id: task,
            name,
            pid: process::id(),
            actor: self.actor.clone(),
            at: monotonic(),
            time: self.clock.get().looked_at()? as f64 / 1e9,
        })
    }

    /// A task is done with.
    fn executed(&self, task: String) -> PyResult<()> {
        self.write(&Entry::Executed { id: task, pid: process::id(), at: monotonic() })
    }
}

impl Journal {
    /// This process is about to stop itself.
    pub fn held(&self, hold: u32) -> PyResult<()> {
        self.write(&Entry::Held { hold, pid: process::id(), at: monotonic() })
    }

    fn write(&self, entry: &Entry) -> PyResult<()> {
        Ok(self.records.write(entry)?)
    }
}
