//! The functions of the C library that ours stand before: the next ones of their name.

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::c::{self, clockid_t, itimerspec, itimerval, timeb, timespec, timeval};

/// One of them, found when the library is loaded; earlier, if somebody's constructor asks.
struct Next {
    symbol: &'static CStr,
    /// Where there are several of that name, the one that programs of today are linked with.
    version: Option<&'static CStr>,
    address: AtomicPtr<c_void>,
}

impl Next {
    fn find(&self) -> *mut c_void {
        let known = self.address.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        let symbol = self.symbol.as_ptr();
        let versioned = self.version.map(|version| {
            // SAFETY: both are strings of C.
            unsafe { c::dlvsym(c::RTLD_NEXT, symbol, version.as_ptr()) }
        });
        let found = versioned.filter(|found| !found.is_null()).unwrap_or_else(|| {
            // SAFETY: a string of C.
            unsafe { c::dlsym(c::RTLD_NEXT, symbol) }
        });
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

macro_rules! next {
    ($($name:ident $symbol:literal $([$version:literal])? ($($argument:ty),*) -> $result:ty;)*) => {
        $(
            /// None where the C library has no such function.
            pub fn $name() -> Option<unsafe extern "C" fn($($argument),*) -> $result> {
                static NEXT: Next = Next {
                    symbol: $symbol,
                    version: [$(Some($version) as Option<&CStr>,)? None][0],
                    address: AtomicPtr::new(ptr::null_mut()),
                };
                // SAFETY: it is null, which is None, or the function of this name, which has this type.
                unsafe { mem::transmute::<*mut c_void, Option<unsafe extern "C" fn($($argument),*) -> $result>>(NEXT.find()) }
            }
        )*

        /// Finds all: later there may be no time for it, in a signal handler or a child that was just forked.
        pub fn find_all() {
            $($name();)*
        }
    };
}

next! {
    clock_gettime c"clock_gettime" (clockid_t, *mut timespec) -> c_int;
    clock_nanosleep c"clock_nanosleep" [c"GLIBC_2.17"] (clockid_t, c_int, *const timespec, *mut timespec) -> c_int;
    cnd_timedwait c"cnd_timedwait" (*mut c_void, *mut c_void, *const timespec) -> c_int;
    epoll_pwait c"epoll_pwait" (c_int, *mut c_void, c_int, c_int, *const c_void) -> c_int;
    epoll_wait c"epoll_wait" (c_int, *mut c_void, c_int, c_int) -> c_int;
    ftime c"ftime" (*mut timeb) -> c_int;
    gettimeofday c"gettimeofday" (*mut timeval, *mut c_void) -> c_int;
    mq_timedreceive c"mq_timedreceive" (c_int, *mut c_char, usize, *mut c_uint, *const timespec) -> isize;
    mq_timedsend c"mq_timedsend" (c_int, *const c_char, usize, c_uint, *const timespec) -> c_int;
    mtx_timedlock c"mtx_timedlock" (*mut c_void, *const timespec) -> c_int;
    nanosleep c"nanosleep" (*const timespec, *mut timespec) -> c_int;
    poll c"poll" (*mut c_void, usize, c_int) -> c_int;
    ppoll c"ppoll" (*mut c_void, usize, *const timespec, *const c_void) -> c_int;
    pselect c"pselect" (c_int, *mut c_void, *mut c_void, *mut c_void, *const timespec, *const c_void) -> c_int;
    pthread_clockjoin_np c"pthread_clockjoin_np" (usize, *mut *mut c_void, clockid_t, *const timespec) -> c_int;
    pthread_cond_clockwait c"pthread_cond_clockwait" (*mut c_void, *mut c_void, clockid_t, *const timespec) -> c_int;
    pthread_cond_timedwait c"pthread_cond_timedwait" [c"GLIBC_2.3.2"] (*mut c_void, *mut c_void, *const timespec) -> c_int;
    pthread_mutex_clocklock c"pthread_mutex_clocklock" (*mut c_void, clockid_t, *const timespec) -> c_int;
    pthread_mutex_timedlock c"pthread_mutex_timedlock" (*mut c_void, *const timespec) -> c_int;
    pthread_rwlock_clockrdlock c"pthread_rwlock_clockrdlock" (*mut c_void, clockid_t, *const timespec) -> c_int;
    pthread_rwlock_clockwrlock c"pthread_rwlock_clockwrlock" (*mut c_void, clockid_t, *const timespec) -> c_int;
    pthread_rwlock_timedrdlock c"pthread_rwlock_timedrdlock" (*mut c_void, *const timespec) -> c_int;
    pthread_rwlock_timedwrlock c"pthread_rwlock_timedwrlock" (*mut c_void, *const timespec) -> c_int;
    pthread_timedjoin_np c"pthread_timedjoin_np" (usize, *mut *mut c_void, *const timespec) -> c_int;
    recv c"recv" (c_int, *mut c_void, usize, c_int) -> isize;
    select c"select" (c_int, *mut c_void, *mut c_void, *mut c_void, *mut timeval) -> c_int;
    sem_clockwait c"sem_clockwait" (*mut c_void, clockid_t, *const timespec) -> c_int;
    sem_timedwait c"sem_timedwait" (*mut c_void, *const timespec) -> c_int;
    setitimer c"setitimer" (c_int, *const itimerval, *mut itimerval) -> c_int;
    syscall c"syscall" (c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;
    time c"time" (*mut i64) -> i64;
    timer_settime c"timer_settime" [c"GLIBC_2.34"] (*mut c_void, c_int, *const itimerspec, *mut itimerspec) -> c_int;
    timerfd_settime c"timerfd_settime" (c_int, c_int, *const itimerspec, *mut itimerspec) -> c_int;
    timespec_get c"timespec_get" (*mut timespec, c_int) -> c_int;
    usleep c"usleep" (c_uint) -> c_int;
}
