//! The journal's writer: what happened besides SQL.

use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dj_regress_protocol::{During, Entry};
use pyo3::prelude::*;

use crate::append::{Records, monotonic};
use crate::clock;

/// What the process that enters an arm is to a real cluster.
const PARENT: &str = "parent";

/// So many characters of what an exception said are kept.
const SAID: usize = 300;

/// Writes records of an actor, in whatever process or thread of it. It keeps no record: a forked child just goes on.
#[pyclass(frozen, module = "dj_regress.worker")]
pub struct Journal {
    records: Records,
    actor: String,
    /// Of this process. A forked child says its own before it does anything. Only locked by threads that have the GIL, as
    /// the one that forks does: no child ever inherits it locked.
    role: Mutex<String>,
    /// How many requests were begun.
    requests: AtomicU64,
}

#[pymethods]
impl Journal {
    /// Opens the arm's journal for an actor.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
    fn new(path: PathBuf, actor: String) -> PyResult<Self> {
        let (records, role) = (Records::open(&path)?, Mutex::new(PARENT.to_owned()));
        Ok(Self { records, actor, role, requests: AtomicU64::new(0) })
    }

    /// This process has come into being, as a part of a real cluster.
    fn process(&self, role: String) -> PyResult<()> {
        self.role.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&role);
        let parent = std::os::unix::process::parent_id();
        self.write(&Entry::Process { pid: process::id(), parent, role, actor: self.actor.clone(), at: monotonic() })
    }

    /// The cluster of this process is up.
    fn up(&self) -> PyResult<()> {
        self.write(&Entry::Up { pid: process::id(), at: monotonic() })
    }

    /// A task was put into the queue.
    fn accepted(&self, task: String) -> PyResult<()> {
        self.write(&Entry::Accepted { id: task, actor: self.actor.clone(), at: monotonic() })
    }

    /// A task's function is about to be called by this process.
    fn execution(&self, task: String, name: String, group: Option<String>) -> PyResult<()> {
        self.write(&Entry::Execution {
            id: task,
            name,
            group,
            pid: process::id(),
            actor: self.actor.clone(),
            at: monotonic(),
            time: clock::look() as f64 / 1e9,
        })
    }

    /// A task is done with.
    fn executed(&self, task: String, failed: bool) -> PyResult<()> {
        self.write(&Entry::Executed { id: task, failed, pid: process::id(), at: monotonic() })
    }

    /// An exception came out of the app's code, and somebody else caught it. `during`: task, request, step or thread.
    fn raised(&self, during: &str, exception: String, message: &str, site: String) -> PyResult<()> {
        let during = match during {
            "task" => During::Task,
            "request" => During::Request,
            "step" => During::Step,
            _ => During::Thread,
        };
        let message = message.chars().take(SAID).collect();
        let actor = self.actor.clone();
        self.write(&Entry::Raised { during, exception, message, site, pid: process::id(), actor, at: monotonic() })
    }

    /// The app tried to reach a server that is not the arm's.
    fn outbound(&self, address: String, site: String) -> PyResult<()> {
        let actor = self.actor.clone();
        self.write(&Entry::Outbound { address, site, pid: process::id(), actor, at: monotonic() })
    }

    /// A request is about to be handled; returns its id.
    fn requested(&self, method: String, path: String) -> PyResult<String> {
        let (pid, count) = (process::id(), self.requests.fetch_add(1, Ordering::Relaxed) + 1);
        let id = format!("{pid}-{count}");
        let actor = self.actor.clone();
        self.write(&Entry::Requested { id: id.clone(), method, path, actor, pid, at: monotonic() })?;
        Ok(id)
    }

    /// A request is answered.
    fn answered(&self, request: String, status: u16) -> PyResult<()> {
        self.write(&Entry::Answered { id: request, status, at: monotonic() })
    }
}

impl Journal {
    /// Whether this process has a role.
    pub fn is(&self, role: &str) -> bool {
        *self.role.lock().unwrap_or_else(PoisonError::into_inner) == role
    }

    /// This process is about to stop itself, or one of its threads to wait.
    pub fn held(&self, hold: u32) -> PyResult<()> {
        self.write(&Entry::Held { hold, pid: process::id(), at: monotonic() })
    }

    fn write(&self, entry: &Entry) -> PyResult<()> {
        Ok(self.records.write(entry)?)
    }
}
