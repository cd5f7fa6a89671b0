//! The clock of a process' arm, in place of the machine's.
//!
//! This library is preloaded (`LD_PRELOAD`) into every process of an arm, and into its servers. It stands before the C
//! library's clocks, and shows what the file named by `DJ_REGRESS_CLOCK` says (`layout`):
//!
//! * whoever **reads** a clock gets the arm's time (`readings`, `call`);
//! * whoever **waits until** a moment has read that clock to say it: the moment is put back into the machine's time, so
//!   that a timeout takes as long as it says (`waits`, `call`). What waits *for* a duration needs nothing;
//! * a **server** that arms share shows each of its backends the clock of the arm that it works for (`backend`).
//!
//! Without that variable it does nothing. It cannot serve what does not use the C library's clocks: a static program, one
//! of another C library, one that the kernel does not let preload (setuid). Stamps that the kernel itself makes (the times of
//! files, the start of a process) are the machine's.
//!
//! A clock may be read in a signal handler, between fork and exec, before `main`: nothing here allocates or locks. Hence
//! no `std`, which also keeps the library small: every process of an arm loads it.
#![no_std]
// As the C library says it.
#![allow(non_camel_case_types)]
// Each of these functions is called as the one of the C library that it stands before, whose manual says what is safe.
#![allow(clippy::missing_safety_doc)]

mod backend;
mod c;
mod call;
mod clock;
#[allow(dead_code)]
#[path = "../../protocol/src/clock.rs"]
mod layout;
mod next;
mod readings;
mod waits;

use core::ffi::{c_char, c_int};

/// Runs when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    next::find_all();
    clock::at_load();
}

/// Gives the calling process the clock of this file from now on, and whoever it forks; 0, or an `errno`.
///
/// For a process that is forked for an arm from one that is warm: what it executes gets its clock by the environment, which
/// is the caller's to set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dj_regress_clock_attach(path: *const c_char) -> c_int {
    // SAFETY: the caller gives a string of C.
    match unsafe { clock::attach(path) } {
        Ok(()) => 0,
        Err(error) => error,
    }
}

/// The arm's wall clock in nanoseconds since the epoch, for what the harness itself writes down: to look moves nothing.
#[unsafe(no_mangle)]
pub extern "C" fn dj_regress_clock_look() -> i64 {
    clock::look()
}

/// The machine's `CLOCK_MONOTONIC` in nanoseconds, whatever clock the process has: for what the harness itself measures there.
#[unsafe(no_mangle)]
pub extern "C" fn dj_regress_clock_machine() -> i64 {
    clock::steady()
}

#[cfg(dj_regress_preloaded)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process, from anywhere.
    unsafe { c::abort() }
}
