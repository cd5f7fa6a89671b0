//! Holds: a process stops itself at a moment that the controller has armed.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use dj_regress_protocol::{HOLD_BYTES, HOLD_CALLS, HoldState};
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
        let (state, calls) = self.slot(hold)?;
        if state.load(Ordering::SeqCst) != HoldState::Armed as u8 {
            return Ok(());
        }
        if role.is_some_and(|role| !self.journal.get().is(&role)) {
            return Ok(());
        }
        if calls.fetch_add(1, Ordering::SeqCst) + 1 != call {
            return Ok(());
        }
        let (armed, taken) = (HoldState::Armed as u8, HoldState::Taken as u8);
        if state.compare_exchange(armed, taken, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Ok(());
        }
        self.journal.get().held(hold)?;
        // SAFETY: a signal to this very thread, which therefore does not return from the call before the process has
        // stopped; `kill` might be answered by another thread first.
        unsafe { libc::raise(libc::SIGSTOP) };
        Ok(())
    }
}

impl Holds {
    fn slot(&self, hold: u32) -> PyResult<(&AtomicU8, &AtomicU64)> {
        let start = hold as usize * HOLD_BYTES;
        if start + HOLD_BYTES > self.map.len() {
            return Err(PyValueError::new_err(format!("the holds file has {} bytes: no hold {hold}", self.map.len())));
        }
        // SAFETY: both are inside the map (checked above), aligned (slots of 16 bytes from the start of a page), live as
        // long as `self`, and touched by atomic access only, as the protocol says.
        unsafe {
            let slot = self.map.as_mut_ptr().add(start);
            Ok((&*slot.cast(), &*slot.add(HOLD_CALLS).cast()))
        }
    }
}
