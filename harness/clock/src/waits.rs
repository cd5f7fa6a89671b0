//! Who waits until a moment waits as long as it is away by its own clock.

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::ptr;

use crate::backend;
use crate::c::{self, CLOCK_REALTIME, clockid_t, itimerspec, timespec};
use crate::clock::{EITHER, machine_deadline};
use crate::next;

/// `thrd_error` of `<threads.h>`.
const THREAD_ERROR: c_int = 2;

/// Functions with a deadline; of which clock, and what they say where the C library has none of the name.
macro_rules! waits_until {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $deadline:ident by $clock:expr, else $missing:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                let Some(next) = next::$name() else { return $missing };
                // SAFETY: the caller's, to be read.
                let machine = unsafe { machine_deadline($clock, $deadline) };
                let $deadline = machine.as_ref().map_or($deadline, ptr::from_ref);
                // SAFETY: the caller's, but for the deadline, which lives until it returns.
                unsafe { next($($argument),*) }
            }
        )*
    };
}

waits_until! {
    cnd_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else THREAD_ERROR;
    mq_timedreceive(queue: c_int, to: *mut c_char, length: usize, priority: *mut c_uint, until: *const timespec) -> isize,
        until by CLOCK_REALTIME, else missing() as isize;
    mq_timedsend(queue: c_int, from: *const c_char, length: usize, priority: c_uint, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else missing();
    mtx_timedlock(mutex: *mut c_void, until: *const timespec) -> c_int, until by CLOCK_REALTIME, else THREAD_ERROR;
    pthread_clockjoin_np(thread: usize, result: *mut *mut c_void, id: clockid_t, until: *const timespec) -> c_int,
        until by id, else c::ENOSYS;
    pthread_cond_clockwait(condition: *mut c_void, mutex: *mut c_void, id: clockid_t, until: *const timespec) -> c_int,
        until by id, else c::ENOSYS;
    pthread_cond_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const timespec) -> c_int,
        until by EITHER, else c::ENOSYS;
    pthread_mutex_clocklock(mutex: *mut c_void, id: clockid_t, until: *const timespec) -> c_int,
        until by id, else c::ENOSYS;
    pthread_mutex_timedlock(mutex: *mut c_void, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else c::ENOSYS;
    pthread_rwlock_clockrdlock(lock: *mut c_void, id: clockid_t, until: *const timespec) -> c_int,
        until by id, else c::ENOSYS;
    pthread_rwlock_clockwrlock(lock: *mut c_void, id: clockid_t, until: *const timespec) -> c_int,
        until by id, else c::ENOSYS;
    pthread_rwlock_timedrdlock(lock: *mut c_void, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else c::ENOSYS;
    pthread_rwlock_timedwrlock(lock: *mut c_void, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else c::ENOSYS;
    pthread_timedjoin_np(thread: usize, result: *mut *mut c_void, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else c::ENOSYS;
    sem_clockwait(semaphore: *mut c_void, id: clockid_t, until: *const timespec) -> c_int,
        until by id, else missing();
    sem_timedwait(semaphore: *mut c_void, until: *const timespec) -> c_int,
        until by CLOCK_REALTIME, else missing();
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    id: clockid_t,
    flags: c_int,
    request: *const timespec,
    left: *mut timespec,
) -> c_int {
    let Some(next) = next::clock_nanosleep() else { return c::ENOSYS };
    // SAFETY: the caller's, to be read.
    let machine = if flags & c::TIMER_ABSTIME == 0 { None } else { unsafe { machine_deadline(id, request) } };
    backend::waits();
    // SAFETY: the caller's, but for the deadline, which lives until it returns.
    unsafe { next(id, flags, machine.as_ref().map_or(request, ptr::from_ref), left) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timer_settime(
    timer: *mut c_void,
    flags: c_int,
    new: *const itimerspec,
    old: *mut itimerspec,
) -> c_int {
    let Some(next) = next::timer_settime() else { return missing() };
    // SAFETY: the caller's, but for the setting, which lives until it returns.
    unsafe {
        let machine = machine_timer(flags, new);
        next(timer, flags, machine.as_ref().map_or(new, ptr::from_ref), old)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_settime(
    timer: c_int,
    flags: c_int,
    new: *const itimerspec,
    old: *mut itimerspec,
) -> c_int {
    let Some(next) = next::timerfd_settime() else { return missing() };
    // SAFETY: the caller's, but for the setting, which lives until it returns.
    unsafe {
        let machine = machine_timer(flags, new);
        next(timer, flags, machine.as_ref().map_or(new, ptr::from_ref), old)
    }
}

/// What a timer is set to that runs out at a moment. None: it is right as it is; a first expiry of zero is none at all.
pub unsafe fn machine_timer(flags: c_int, new: *const itimerspec) -> Option<itimerspec> {
    // SAFETY: the caller's, to be read.
    let new = unsafe { new.as_ref() }?;
    if flags & c::TIMER_ABSTIME == 0 || (new.it_value.tv_sec, new.it_value.tv_nsec) == (0, 0) {
        return None;
    }
    // SAFETY: it is there.
    let first = unsafe { machine_deadline(EITHER, &raw const new.it_value) }?;
    Some(itimerspec { it_value: first, ..*new })
}

/// What a function says that the C library does not have.
fn missing() -> c_int {
    c::set_errno(c::ENOSYS);
    -1
}
