//! The arm's clock: two numbers in a shared map that move a whole process tree at once.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use memmap2::MmapRaw;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// The time of the arm's clock file: an offset, added to real time or to a moment at which the clock stands.
///
/// A clock that stands moves by what the case says, and by a microsecond whenever it is read: two readings differ, as
/// they do in life, but how fast the machine is does not matter.
///
/// time-machine asks the traveller on top of its stack for `time_ns()`; this is that traveller.
#[pyclass(frozen, module = "dj_regress.worker")]
pub struct Clock {
    map: MmapRaw,
}

/// How far a standing clock moves when it is read: the resolution of Python's datetime and of Postgres.
const TICK_NS: i64 = 1000;

impl Clock {
    /// The map as what it is: the offset, and the moment at which the clock stands.
    fn numbers(&self) -> &[AtomicI64; 2] {
        // SAFETY: the map is at least 16 bytes long (checked in `new`), page-aligned and lives as long
        // as `self`; every process, the controller included, touches it by 8-byte atomic access only.
        unsafe { &*self.map.as_mut_ptr().cast() }
    }

    fn shared(&self) -> &AtomicI64 {
        &self.numbers()[0]
    }

    /// The arm's time in nanoseconds since the epoch, for ourselves: a standing clock does not move.
    pub fn looked_at(&self) -> PyResult<i64> {
        let moment = match self.stands_at() {
            0 => real()?,
            moment => moment,
        };
        Ok(moment.saturating_add(self.offset()))
    }

    /// Nanoseconds since the epoch; 0 for a clock that goes.
    fn stands_at(&self) -> i64 {
        self.numbers()[1].load(Ordering::SeqCst)
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
        if length < 16 {
            return Err(PyValueError::new_err(format!(
                "the clock file {} has {length} bytes; it needs 16",
                path.display()
            )));
        }
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self { map })
    }

    /// The arm's time in nanoseconds since the epoch.
    fn time_ns(&self) -> PyResult<i64> {
        let stands_at = self.stands_at();
        if stands_at != 0 {
            return Ok(stands_at.saturating_add(self.shared().fetch_add(TICK_NS, Ordering::SeqCst)));
        }
        self.looked_at()
    }

    /// The same in seconds, which older releases of time-machine ask for.
    fn time(&self) -> PyResult<f64> {
        Ok(self.time_ns()? as f64 / 1e9)
    }

    /// How far the arm's time is ahead of real time, or of where it stands, in nanoseconds.
    fn offset(&self) -> i64 {
        self.shared().load(Ordering::SeqCst)
    }

    /// Moves the arm's time, for every process that maps this clock.
    fn advance(&self, nanoseconds: i64) {
        self.shared().fetch_add(nanoseconds, Ordering::SeqCst);
    }
}

/// The machine's time in nanoseconds since the epoch.
fn real() -> PyResult<i64> {
    let real = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| PyOSError::new_err(error.to_string()))?;
    i64::try_from(real.as_nanos()).map_err(|error| PyOSError::new_err(error.to_string()))
}
