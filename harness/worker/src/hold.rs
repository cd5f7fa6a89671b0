//! Holds: a process stops itself, or a thread waits, at a moment that the controller has armed.

use std::fs::OpenOptions;
use std::path::PathBuf;

use dj_regress_protocol::{HOLD_BYTES, Slot};
use memmap2::MmapRaw;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::journal::Journal;

/// The holds file of an actor, shared by all its processes and the controller.
#[pyclass(frozen, module = "dj_regress.worker")]
pub struct Holds {
    map: MmapRaw,
    journal: Py<Journal>,
}

#[pymethods]
impl Holds {
    /// Maps the file.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
    fn new(path: PathBuf, journal: Py<Journal>) -> PyResult<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { map: MmapRaw::map_raw(&file)?, journal })
    }

    /// This process has come to the moment of a hold. If it is armed, for this process's role, and this is the call
    /// that counts, the process stops here until it is told to go on (SIGCONT).
    fn reach(&self, hold: u32, call: u64, role: Option<String>) -> PyResult<()> {
        let slot = self.slot(hold)?;
        let Some(armed) = slot.armed() else {
            return Ok(());
        };
        if role.is_some_and(|role| !self.journal.get().is(&role)) {
            return Ok(());
        }
        if slot.count() != call || slot.take(armed).is_none() {
            return Ok(());
        }
        self.journal.get().held(hold)?;
        // SAFETY: a signal to this very thread, which therefore does not return from the call before the process has
        // stopped; `kill` might be answered by another thread first.
        unsafe { libc::raise(libc::SIGSTOP) };
        Ok(())
    }

    /// This thread has come to the moment of a hold. If it is armed, and this is the call that counts, the thread waits
    /// until it is released. The others go on.
    fn reach_thread(&self, py: Python<'_>, hold: u32, call: u64) -> PyResult<()> {
        let slot = self.slot(hold)?;
        let Some(armed) = slot.armed() else {
            return Ok(());
        };
        if slot.count() != call {
            return Ok(());
        }
        let Some(taken) = slot.take(armed) else {
            return Ok(());
        };
        self.journal.get().held(hold)?;
        py.detach(|| slot.wait(taken));
        Ok(())
    }

    /// This thread has come to the moment of a hold that is for all. While it is armed, the thread waits.
    fn reach_every_thread(&self, py: Python<'_>, hold: u32) -> PyResult<()> {
        let slot = self.slot(hold)?;
        let Some(armed) = slot.armed() else {
            return Ok(());
        };
        slot.count();
        self.journal.get().held(hold)?;
        py.detach(|| slot.wait(armed));
        Ok(())
    }
}

impl Holds {
    fn slot(&self, hold: u32) -> PyResult<Slot<'_>> {
        if (hold as usize + 1) * HOLD_BYTES > self.map.len() {
            return Err(PyValueError::new_err(format!("the holds file has {} bytes: no hold {hold}", self.map.len())));
        }
        // SAFETY: it is inside the map (checked above), which lives as long as `self` and is shared with others that touch
        // it by atomic access only, as the protocol says.
        Ok(unsafe { Slot::at(self.map.as_mut_ptr(), hold) })
    }
}
