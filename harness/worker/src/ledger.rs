//! The ledger's writer: an execute wrapper for Django's connections.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dj_regress_protocol::Record;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::append::{Records, monotonic};
use crate::site::Sites;

/// Records every statement that passes: begin before it is sent, end when it came back.
#[pyclass(frozen, module = "dj_regress.worker")]
pub struct Ledger {
    records: Records,
    actor: String,
    sites: Sites,
    state: Mutex<State>,
}

/// What belongs to one process; a forked child starts anew.
#[derive(Default)]
struct State {
    pid: u32,
    seq: u64,
    role: Option<String>,
    /// Texts that this process has written.
    texts: HashSet<String>,
}

#[pymethods]
impl Ledger {
    /// Opens the arm's ledger for an actor.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
    fn new(py: Python<'_>, path: PathBuf, actor: String) -> PyResult<Self> {
        Ok(Self { records: Records::open(&path)?, actor, sites: Sites::new(py)?, state: Mutex::default() })
    }

    /// Django's execute wrapper.
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        execute: &Bound<'py, PyAny>,
        sql: &Bound<'py, PyAny>,
        params: &Bound<'py, PyAny>,
        many: &Bound<'py, PyAny>,
        context: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (pid, seq) = self.begin(py, sql, params, many.is_truthy()?, context)?;
        let outcome = execute.call1((sql, params, many, context));
        let (rows, error) = match &outcome {
            Ok(_) => (row_count(context), None),
            Err(error) => (-1, Some(error.get_type(py).name()?.to_string())),
        };
        self.records.write(&Record::End { pid, seq, at: monotonic(), rows, error })?;
        outcome
    }
}

impl Ledger {
    fn begin(
        &self,
        py: Python<'_>,
        sql: &Bound<'_, PyAny>,
        params: &Bound<'_, PyAny>,
        many: bool,
        context: &Bound<'_, PyDict>,
    ) -> PyResult<(u32, u64)> {
        let connection = context.get_item(intern!(py, "connection"))?;
        let sql = text(sql, connection.as_ref())?;
        let site = self.sites.find(py)?;
        let (alias, backend) = match connection {
            Some(connection) => (connection.getattr(intern!(py, "alias"))?.extract()?, backend(&connection)),
            None => (String::new(), 0),
        };
        // A generator does not say how many it will give.
        let times = if many { params.len().unwrap_or(0) } else { 1 };
        let role = self.role(py);
        let id = blake3::hash(sql.as_bytes()).to_hex()[..16].to_owned();

        let mut state = self.state();
        state.seq += 1;
        let (pid, seq) = (state.pid, state.seq);
        if !state.texts.contains(&id) {
            state.texts.insert(id.clone());
            self.records.write(&Record::Text { id: id.clone(), sql })?;
        }
        self.records.write(&Record::Begin {
            pid,
            seq,
            actor: self.actor.clone(),
            role,
            at: monotonic(),
            text: id,
            site,
            alias,
            times: times as u64,
            backend,
        })?;
        Ok((pid, seq))
    }

    /// This process's role, looked up at its first statement.
    fn role(&self, py: Python<'_>) -> String {
        if let Some(role) = &self.state().role {
            return role.clone();
        }
        let role = current_target(py).unwrap_or_else(|| "main".into());
        self.state().role = Some(role.clone());
        role
    }

    /// The state of this process: never locked while Python code runs, hence never across a fork.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = std::process::id();
        if state.pid != pid {
            *state = State { pid, ..State::default() };
        }
        state
    }
}

/// The statement's text; composed SQL objects of the drivers are rendered.
fn text(sql: &Bound<'_, PyAny>, connection: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    if let Ok(sql) = sql.cast::<PyString>() {
        return Ok(sql.to_string_lossy().into_owned());
    }
    let driver = match connection {
        Some(connection) => Some(connection.getattr("connection")?),
        None => None,
    };
    match sql.call_method1("as_string", (driver,)) {
        Ok(rendered) => rendered.extract(),
        Err(_) => Ok(sql.str()?.to_string_lossy().into_owned()),
    }
}

/// The process of the server behind one of Django's connections. Both drivers, psycopg 3 and 2, say it.
fn backend(connection: &Bound<'_, PyAny>) -> u32 {
    let py = connection.py();
    let of_driver = || connection.getattr(intern!(py, "connection"))?.getattr(intern!(py, "info"));
    of_driver().and_then(|info| info.getattr(intern!(py, "backend_pid"))?.extract()).unwrap_or(0)
}

/// The cursor's row count, -1 where it has none.
fn row_count(context: &Bound<'_, PyDict>) -> i64 {
    let py = context.py();
    context
        .get_item(intern!(py, "cursor"))
        .ok()
        .flatten()
        .and_then(|cursor| cursor.getattr(intern!(py, "rowcount")).ok())
        .and_then(|count| count.extract().ok())
        .unwrap_or(-1)
}

/// The function that this process was started with, if `multiprocessing` started it. `_target` is
/// private there; without it the role is only less precise. django-q2 starts its sentinel as a class.
fn current_target(py: Python<'_>) -> Option<String> {
    let name: String = py
        .import("multiprocessing.process")
        .ok()?
        .call_method0("current_process")
        .ok()?
        .getattr("_target")
        .ok()?
        .getattr("__name__")
        .ok()?
        .extract()
        .ok()?;
    Some(if name == "Sentinel" { "sentinel".to_owned() } else { name })
}
