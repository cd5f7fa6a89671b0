//! What is used of the C library: glibc on 64-bit Linux. The `libc` crate is not to be had where build.rs calls the compiler.

use core::ffi::{c_char, c_int, c_long, c_uint, c_ushort, c_void};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("the clock's library is written for 64-bit Linux");

pub type clockid_t = c_int;

pub const CLOCK_REALTIME: clockid_t = 0;
pub const CLOCK_MONOTONIC: clockid_t = 1;
pub const CLOCK_MONOTONIC_RAW: clockid_t = 4;
pub const CLOCK_REALTIME_COARSE: clockid_t = 5;
pub const CLOCK_MONOTONIC_COARSE: clockid_t = 6;
pub const CLOCK_BOOTTIME: clockid_t = 7;
pub const CLOCK_REALTIME_ALARM: clockid_t = 8;
pub const CLOCK_BOOTTIME_ALARM: clockid_t = 9;
pub const CLOCK_TAI: clockid_t = 11;

/// Of `clock_nanosleep`, `timer_settime` and `timerfd_settime` alike.
pub const TIMER_ABSTIME: c_int = 1;
pub const TIME_UTC: c_int = 1;
pub const ITIMER_REAL: c_int = 0;

pub const EFAULT: c_int = 14;
pub const EINVAL: c_int = 22;
pub const ENOSYS: c_int = 38;

pub const O_RDWR: c_int = 0o2;
pub const O_CLOEXEC: c_int = 0o2_000_000;
pub const PROT_READ_WRITE: c_int = 3;
pub const MAP_SHARED: c_int = 0x01;
pub const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
pub const MADV_WIPEONFORK: c_int = 18;
pub const SEEK_END: c_int = 2;
pub const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct timespec {
    pub tv_sec: i64,
    pub tv_nsec: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct timeval {
    pub tv_sec: i64,
    pub tv_usec: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct itimerspec {
    pub it_interval: timespec,
    pub it_value: timespec,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct itimerval {
    pub it_interval: timeval,
    pub it_value: timeval,
}

#[repr(C)]
pub struct timeb {
    pub time: i64,
    pub millitm: c_ushort,
    pub timezone: i16,
    pub dstflag: i16,
}

// `dlsym` was once in a library of its own.
#[link(name = "c")]
#[link(name = "dl")]
unsafe extern "C" {
    #[cfg(dj_regress_preloaded)]
    pub fn abort() -> !;
    pub fn close(file: c_int) -> c_int;
    pub fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    pub fn dlvsym(handle: *mut c_void, symbol: *const c_char, version: *const c_char) -> *mut c_void;
    pub fn getenv(name: *const c_char) -> *const c_char;
    pub fn getpid() -> c_int;
    pub fn lseek(file: c_int, offset: i64, whence: c_int) -> i64;
    pub fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    pub fn mmap(
        address: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int;
    pub fn write(file: c_int, bytes: *const c_void, count: usize) -> isize;
    fn __errno_location() -> *mut c_int;
}

/// The calling thread's `errno`.
pub fn errno() -> c_int {
    // SAFETY: always there.
    unsafe { *__errno_location() }
}

pub fn set_errno(error: c_int) {
    // SAFETY: always there.
    unsafe { *__errno_location() = error }
}

/// Numbers of system calls that look at a clock or wait for one.
#[cfg(target_arch = "x86_64")]
pub mod number {
    use super::c_long;
    pub const GETTIMEOFDAY: c_long = 96;
    pub const TIME: c_long = 201;
    pub const FUTEX: c_long = 202;
    pub const TIMER_SETTIME: c_long = 223;
    pub const CLOCK_GETTIME: c_long = 228;
    pub const CLOCK_NANOSLEEP: c_long = 230;
    pub const MQ_TIMEDSEND: c_long = 242;
    pub const MQ_TIMEDRECEIVE: c_long = 243;
    pub const TIMERFD_SETTIME: c_long = 286;
    pub const FUTEX_WAITV: c_long = 449;
    pub const FUTEX_WAIT: c_long = 455;
}

/// Numbers of system calls that look at a clock or wait for one.
#[cfg(target_arch = "aarch64")]
pub mod number {
    use super::c_long;
    pub const GETTIMEOFDAY: c_long = 169;
    /// There is none.
    pub const TIME: c_long = -1;
    pub const FUTEX: c_long = 98;
    pub const TIMER_SETTIME: c_long = 110;
    pub const CLOCK_GETTIME: c_long = 113;
    pub const CLOCK_NANOSLEEP: c_long = 115;
    pub const MQ_TIMEDSEND: c_long = 182;
    pub const MQ_TIMEDRECEIVE: c_long = 183;
    pub const TIMERFD_SETTIME: c_long = 86;
    pub const FUTEX_WAITV: c_long = 449;
    pub const FUTEX_WAIT: c_long = 455;
}
