//! The arm's clock: one offset in a shared map that moves a whole process tree at once.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use memmap2::MmapRaw;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// Real time plus the offset in the arm's clock file.
///
/// time-machine asks the traveller on top of its stack for `time_ns()`; this is that traveller.
#[pyclass(frozen, module = "dj_regress.worker")]
pub struct Clock {
    map: MmapRaw,
}

impl Clock {
    fn shared(&self) -> &AtomicI64 {
        // SAFETY: the map is at least 8 bytes long (checked in `new`), page-aligned and lives as long
        // as `self`; every process, the controller included, touches it by 8-byte atomic access only.
        unsafe { AtomicI64::from_ptr(self.map.as_mut_ptr().cast()) }
    }
}

#[pymethods]
impl Clock {
    /// Maps the clock file.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
    fn new(path: PathBuf) -> PyResult<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        if length < 8 {
            return Err(PyValueError::new_err(format!(
                "the clock file {} has {length} bytes; it needs 8",
                path.display()
            )));
        }
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self { map })
    }

    /// The arm's time in nanoseconds since the epoch.
    fn time_ns(&self) -> PyResult<i64> {
        let real =
            SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| PyOSError::new_err(error.to_string()))?;
        let real = i64::try_from(real.as_nanos()).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(real.saturating_add(self.offset()))
    }

    /// The same in seconds, which older releases of time-machine ask for.
    fn time(&self) -> PyResult<f64> {
        Ok(self.time_ns()? as f64 / 1e9)
    }

    /// How far the arm's time is ahead of real time, in nanoseconds.
    fn offset(&self) -> i64 {
        self.shared().load(Ordering::SeqCst)
    }

    /// Moves the arm's time, for every process that maps this clock.
    fn advance(&self, nanoseconds: i64) {
        self.shared().fetch_add(nanoseconds, Ordering::SeqCst);
    }
}
