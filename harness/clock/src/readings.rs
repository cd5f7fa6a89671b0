//! Who reads a clock gets the arm's time.

use core::ffi::{c_int, c_ushort, c_void};

use crate::c::{self, clockid_t, timeb, timespec, timeval};
use crate::clock::{self, as_timespec};
use crate::next;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(id: clockid_t, to: *mut timespec) -> c_int {
    let Some(now) = clock::read(id) else {
        // SAFETY: the caller's.
        return next::clock_gettime().map_or(-1, |next| unsafe { next(id, to) });
    };
    if to.is_null() {
        c::set_errno(c::EFAULT);
        return -1;
    }
    // SAFETY: the caller's, to be written.
    unsafe { *to = as_timespec(now) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(to: *mut timeval, zone: *mut c_void) -> c_int {
    let now = clock::read(c::CLOCK_REALTIME).map(as_timespec);
    if now.is_none() || !zone.is_null() {
        // SAFETY: the caller's. It fills in the zone, too.
        let result = next::gettimeofday().map_or(-1, |next| unsafe { next(to, zone) });
        if result != 0 {
            return result;
        }
    }
    // SAFETY: the caller's, to be written.
    if let (Some(now), Some(to)) = (now, unsafe { to.as_mut() }) {
        *to = timeval { tv_sec: now.tv_sec, tv_usec: now.tv_nsec / 1000 };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(to: *mut i64) -> i64 {
    let Some(now) = clock::read(c::CLOCK_REALTIME) else {
        // SAFETY: the caller's.
        return next::time().map_or(-1, |next| unsafe { next(to) });
    };
    let now = as_timespec(now).tv_sec;
    // SAFETY: the caller's, to be written.
    if let Some(to) = unsafe { to.as_mut() } {
        *to = now;
    }
    now
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timespec_get(to: *mut timespec, base: c_int) -> c_int {
    // SAFETY: the caller's.
    let result = next::timespec_get().map_or(0, |next| unsafe { next(to, base) });
    // TIME_MONOTONIC is the base 2, of which older libraries know nothing.
    let id = if base == c::TIME_UTC { c::CLOCK_REALTIME } else { c::CLOCK_MONOTONIC };
    // SAFETY: the caller's, to be written.
    if result == base
        && (1..=2).contains(&base)
        && let Some(to) = unsafe { to.as_mut() }
        && let Some(now) = clock::read(id)
    {
        *to = as_timespec(now);
    }
    result
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftime(to: *mut timeb) -> c_int {
    // SAFETY: the caller's.
    let result = next::ftime().map_or(-1, |next| unsafe { next(to) });
    // SAFETY: the caller's, to be written.
    if let Some(to) = unsafe { to.as_mut() }
        && let Some(now) = clock::read(c::CLOCK_REALTIME)
    {
        let now = as_timespec(now);
        (to.time, to.millitm) = (now.tv_sec, (now.tv_nsec / 1_000_000) as c_ushort);
    }
    result
}
