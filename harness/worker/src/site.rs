//! Where in the app a statement comes from.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Whose code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    App,
    Django,
    /// Drivers and helpers between Django and the app.
    Between,
    /// Ours: what lies further out is only how the process was started.
    Harness,
}

impl Owner {
    fn of(module: &str) -> Self {
        let package = module.split('.').next().unwrap_or_default();
        match package {
            "django" => Self::Django,
            "contextlib" | "asgiref" => Self::Between,
            // Stands between a function that is held and its caller.
            _ if module == "dj_regress.holds" => Self::Between,
            "dj_regress" => Self::Harness,
            _ if package.starts_with("psycopg") => Self::Between,
            _ => Self::App,
        }
    }
}

/// Finds call sites.
pub struct Sites {
    getframe: Py<PyAny>,
    /// `co_filename` to the path below its `sys.path` folder.
    ///
    /// No lock of the ledger is held across a call into Python: the interpreter may switch threads
    /// there, and the next thread would wait for the lock with the interpreter in its hands.
    files: Mutex<HashMap<String, String>>,
}

impl Sites {
    /// Looks up what it needs of `sys`.
    pub fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self { getframe: py.import("sys")?.getattr("_getframe")?.unbind(), files: Mutex::default() })
    }

    /// `file:line:function` of the innermost frame of the app; if there is none before the harness's
    /// own frames, the outermost of Django's.
    pub fn find(&self, py: Python<'_>) -> PyResult<String> {
        let mut frame = self.getframe.bind(py).call0()?;
        let mut fallback = None;
        loop {
            let globals = frame.getattr(intern!(py, "f_globals"))?;
            let name = match globals.cast::<PyDict>() {
                Ok(globals) => globals.get_item(intern!(py, "__name__"))?,
                Err(_) => None,
            };
            let owner = match name.as_ref().map(|name| name.cast::<PyString>()) {
                Some(Ok(name)) => Owner::of(&name.to_string_lossy()),
                _ => Owner::App,
            };
            let back = frame.getattr(intern!(py, "f_back"))?;
            match owner {
                Owner::App => return self.describe(py, &frame),
                Owner::Harness => break,
                Owner::Django => fallback = Some(frame),
                Owner::Between => {}
            }
            if back.is_none() {
                break;
            }
            frame = back;
        }
        fallback.map_or_else(|| Ok("<unknown>:0:<unknown>".into()), |frame| self.describe(py, &frame))
    }

    fn describe(&self, py: Python<'_>, frame: &Bound<'_, PyAny>) -> PyResult<String> {
        let code = frame.getattr(intern!(py, "f_code"))?;
        let filename: String = code.getattr(intern!(py, "co_filename"))?.extract()?;
        let line: u32 = frame.getattr(intern!(py, "f_lineno"))?.extract().unwrap_or(0);
        let function: String = code.getattr(intern!(py, "co_name"))?.extract()?;
        let file = self.relative(py, filename)?;
        Ok(format!("{file}:{line}:{function}"))
    }

    fn relative(&self, py: Python<'_>, filename: String) -> PyResult<String> {
        let known = self.lock().get(&filename).cloned();
        if let Some(file) = known {
            return Ok(file);
        }
        let path = py.import("sys")?.getattr("path")?;
        let mut folder = 0;
        for entry in path.try_iter()? {
            let Ok(entry) = entry?.extract::<String>() else {
                continue;
            };
            let entry = entry.trim_end_matches('/');
            let below = filename.strip_prefix(entry).is_some_and(|rest| rest.starts_with('/'));
            if below && !entry.is_empty() {
                folder = folder.max(entry.len() + 1);
            }
        }
        let file = filename[folder..].to_owned();
        self.lock().insert(filename, file.clone());
        Ok(file)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
