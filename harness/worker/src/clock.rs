//! The arm's clock, which a preloaded library (`harness/clock`) shows this process in place of the machine's.
//!
//! Its own functions are found by name: an interpreter that was started without it has the machine's clocks.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The library's functions.
struct Library {
    attach: unsafe extern "C" fn(*const c_char) -> c_int,
    look: extern "C" fn() -> i64,
    machine: extern "C" fn() -> i64,
}

/// Shows this process, its threads and its forks the clock of this file from now on. What it executes gets it by the
/// environment.
#[pyfunction]
pub fn attach(path: PathBuf) -> PyResult<()> {
    let library = library().ok_or_else(|| {
        PyRuntimeError::new_err(
            "the library of the arm's clock is not loaded: LD_PRELOAD was not heeded by this interpreter",
        )
    })?;
    let text = CString::new(path.into_os_string().into_encoded_bytes())?;
    // SAFETY: a string of C, which lives longer than the call.
    match unsafe { (library.attach)(text.as_ptr()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error).into()),
    }
}

/// The machine's `CLOCK_MONOTONIC` in nanoseconds, which no arm moves: the same in all processes of the machine.
#[pyfunction]
pub fn machine() -> i64 {
    library().map_or_else(|| clock(libc::CLOCK_MONOTONIC), |library| (library.machine)())
}

/// The arm's time in nanoseconds since the epoch. A clock that stands does not move by it.
pub fn look() -> i64 {
    library().map_or_else(|| clock(libc::CLOCK_REALTIME), |library| (library.look)())
}

fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let find = || {
        let [attach, look, machine] =
            [c"dj_regress_clock_attach", c"dj_regress_clock_look", c"dj_regress_clock_machine"].map(symbol);
        if [attach, look, machine].iter().any(|symbol| symbol.is_null()) {
            return None;
        }
        // SAFETY: they are there, and harness/clock says that they have these types.
        Some(unsafe {
            Library {
                attach: mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_char) -> c_int>(attach),
                look: mem::transmute::<*mut c_void, extern "C" fn() -> i64>(look),
                machine: mem::transmute::<*mut c_void, extern "C" fn() -> i64>(machine),
            }
        })
    };
    LIBRARY.get_or_init(find).as_ref()
}

fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: a string of C.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

fn clock(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; both clocks always exist on Linux.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
