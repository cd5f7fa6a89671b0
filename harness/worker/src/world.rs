//! The world that a process lives in: namespaces, where the machine grants them.

use std::path::PathBuf;

use dj_regress_world::{Plan, Refused};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Puts this process into a new world, in which these folders can be written to, and those are there.
#[pyfunction]
pub fn seal(writable: Vec<PathBuf>, readable: Vec<PathBuf>) -> PyResult<()> {
    dj_regress_world::seal(&Plan { writable, readable }).map_err(refused)
}

/// Puts this process into the world of another one.
#[pyfunction]
pub fn join(process: u32) -> PyResult<()> {
    dj_regress_world::join(process).map_err(refused)
}

/// The folders that are empty in a new world, and so its own.
#[pyfunction]
pub fn own_folders() -> Vec<&'static str> {
    dj_regress_world::OWN.to_vec()
}

/// As an exception.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn refused(refused: Refused) -> PyErr {
    PyOSError::new_err(format!("a world of its own: {refused}"))
}
