//! Which clock the calling process has, and what it shows.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

use crate::backend;
use crate::c::{self, clockid_t, timespec};
use crate::layout::{ArmClock, Backends, CLOCK_QUIET_VARIABLE, CLOCK_VARIABLE};
use crate::next;

const SECOND: i64 = 1_000_000_000;

/// Whose time the process has. It may be asked before the library's own constructor has run.
const UNKNOWN: u8 = 0;
const MACHINE: u8 = 1;
const ARM: u8 = 2;
const SERVER: u8 = 3;
static WHOSE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The arm's clock, of a process of an arm.
static CLOCK: AtomicPtr<ArmClock> = AtomicPtr::new(ptr::null_mut());

/// Whether readings move a clock that stands.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Looks at the environment.
pub fn at_load() {
    // SAFETY: strings of C. Nobody changes the environment while a library is loaded.
    let (path, quiet) = unsafe { (variable(CLOCK_VARIABLE), variable(CLOCK_QUIET_VARIABLE)) };
    IS_QUIET.store(quiet.is_some(), Ordering::Relaxed);
    // SAFETY: what getenv gives is a string of C.
    if let Some(path) = path
        && let Err(error) = unsafe { attach(path.as_ptr()) }
    {
        complain(path, error);
    }
    // Not if it is known by now.
    let _ = WHOSE.compare_exchange(UNKNOWN, MACHINE, Ordering::Release, Ordering::Relaxed);
}

/// Takes the clock of this file, or the backends of this one.
pub unsafe fn attach(path: *const c_char) -> Result<(), c_int> {
    // SAFETY: any file can be mapped; what it is is looked at before it is used.
    unsafe {
        let file = File::open(path)?;
        if file.length >= mem::size_of::<Backends>() {
            let backends = file.map::<Backends>(Backends::is_valid)?;
            backend::serve(backends, CStr::from_ptr(path))?;
            WHOSE.store(SERVER, Ordering::Release);
        } else {
            CLOCK.store(map_clock(&file)?, Ordering::Release);
            WHOSE.store(ARM, Ordering::Release);
        }
    }
    Ok(())
}

/// The clock of a clock file.
pub unsafe fn open(path: *const c_char) -> Result<*mut ArmClock, c_int> {
    // SAFETY: as the caller's path.
    unsafe { map_clock(&File::open(path)?) }
}

/// Whether this is a server whose processes have a clock each.
pub fn is_server() -> bool {
    WHOSE.load(Ordering::Acquire) == SERVER
}

/// The clock that the process has now; none: the machine's.
#[inline]
pub fn current() -> Option<&'static ArmClock> {
    match WHOSE.load(Ordering::Acquire) {
        MACHINE => None,
        // SAFETY: it was set before, and is mapped as long as the process lives.
        ARM => Some(unsafe { &*CLOCK.load(Ordering::Acquire) }),
        SERVER => backend::clock(),
        _ => {
            at_load();
            current()
        }
    }
}

/// What this clock shows, to who reads it. None: it is the machine's, or counts something else than time.
#[inline]
pub fn read(id: clockid_t) -> Option<i64> {
    let clock = current()?;
    shown(clock, id, !IS_QUIET.load(Ordering::Relaxed))
}

/// What the wall clock shows, and to look moves nothing.
pub fn look() -> i64 {
    let arms = current().and_then(|clock| shown(clock, c::CLOCK_REALTIME, false));
    arms.unwrap_or_else(|| machine(c::CLOCK_REALTIME))
}

/// The machine's moment that is as far away as `deadline` is by the process' own clock. None: what it says is right as
/// it is, or wrong in a way that the C library says itself.
pub unsafe fn machine_deadline(id: clockid_t, deadline: *const timespec) -> Option<timespec> {
    // SAFETY: the caller's, to be read.
    let deadline = *unsafe { deadline.as_ref() }?;
    let clock = current()?;
    if !(0..SECOND).contains(&deadline.tv_nsec) {
        return None;
    }
    let id = if id == EITHER { likelier(clock, nanoseconds(deadline)) } else { id };
    let left = nanoseconds(deadline).saturating_sub(shown(clock, id, false)?);
    // One that is over long ago must not become no deadline at all, which zero is to timers.
    Some(as_timespec(machine(id).saturating_add(left).max(1)))
}

/// Of a deadline whose clock cannot be told: that of a condition or a timer is known to the C library alone.
pub const EITHER: clockid_t = -1;

/// The clock whose time is nearer: decades lie between them.
fn likelier(clock: &ArmClock, deadline: i64) -> clockid_t {
    let distance = |id| shown(clock, id, false).map_or(u64::MAX, |now| now.abs_diff(deadline));
    if distance(c::CLOCK_REALTIME) < distance(c::CLOCK_MONOTONIC) { c::CLOCK_REALTIME } else { c::CLOCK_MONOTONIC }
}

#[inline]
fn shown(clock: &ArmClock, id: clockid_t, moves: bool) -> Option<i64> {
    match id {
        c::CLOCK_REALTIME | c::CLOCK_REALTIME_COARSE | c::CLOCK_REALTIME_ALARM | c::CLOCK_TAI => {
            let wall = if moves { clock.read(steady) } else { clock.look(steady) };
            let leap = if id == c::CLOCK_TAI { machine(id) - machine(c::CLOCK_REALTIME) } else { 0 };
            Some(wall.wrapping_add(backend::waited(clock)).wrapping_add(leap))
        }
        c::CLOCK_MONOTONIC
        | c::CLOCK_MONOTONIC_RAW
        | c::CLOCK_MONOTONIC_COARSE
        | c::CLOCK_BOOTTIME
        | c::CLOCK_BOOTTIME_ALARM => Some(machine(id).wrapping_add(clock.offset())),
        _ => None,
    }
}

/// The machine's `CLOCK_MONOTONIC`.
pub fn steady() -> i64 {
    machine(c::CLOCK_MONOTONIC)
}

/// What the machine's clock shows.
#[inline]
fn machine(id: clockid_t) -> i64 {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    if let Some(next) = next::clock_gettime() {
        // SAFETY: a place for the answer.
        unsafe { next(id, &raw mut now) };
    }
    nanoseconds(now)
}

fn nanoseconds(time: timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

pub fn as_timespec(nanoseconds: i64) -> timespec {
    timespec { tv_sec: nanoseconds.div_euclid(SECOND), tv_nsec: nanoseconds.rem_euclid(SECOND) }
}

/// An open file.
struct File {
    descriptor: c_int,
    length: usize,
}

impl File {
    unsafe fn open(path: *const c_char) -> Result<Self, c_int> {
        // SAFETY: a string of C, as the caller says; a number.
        let (descriptor, length) = unsafe {
            let descriptor = c::open(path, c::O_RDWR | c::O_CLOEXEC, 0);
            if descriptor < 0 {
                return Err(c::errno());
            }
            (descriptor, c::lseek(descriptor, 0, c::SEEK_END))
        };
        Ok(Self { descriptor, length: usize::try_from(length).unwrap_or(0) })
    }

    /// Its content, for ever.
    ///
    /// # Safety
    ///
    /// Any bytes are a `T`.
    unsafe fn map<T>(&self, is_valid: impl FnOnce(&T) -> bool) -> Result<&'static T, c_int> {
        let length = mem::size_of::<T>();
        if self.length < length {
            return Err(c::EINVAL);
        }
        // SAFETY: a new mapping.
        let map = unsafe { c::mmap(ptr::null_mut(), length, c::PROT_READ_WRITE, c::MAP_SHARED, self.descriptor, 0) };
        if map.addr() == usize::MAX {
            return Err(c::errno());
        }
        // SAFETY: a mapping begins with a page, is as long as was looked at, and stays.
        let content: &T = unsafe { &*map.cast::<T>() };
        if is_valid(content) { Ok(content) } else { Err(c::EINVAL) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { c::close(self.descriptor) };
    }
}

fn map_clock(file: &File) -> Result<*mut ArmClock, c_int> {
    // SAFETY: it is made of atomic numbers.
    unsafe { file.map(ArmClock::is_valid) }.map(|clock| ptr::from_ref(clock).cast_mut())
}

/// A variable of the environment, unless it is empty.
unsafe fn variable(name: &str) -> Option<&'static CStr> {
    let mut buffer = [0_u8; 64];
    buffer.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    // SAFETY: the name ends with a zero, and so does what it is.
    unsafe {
        let value = c::getenv(buffer.as_ptr().cast());
        (!value.is_null()).then(|| CStr::from_ptr(value)).filter(|value| !value.is_empty())
    }
}

/// Says that a clock cannot be had: the process goes on with the machine's time, which is not what was asked for.
pub fn complain(path: &CStr, error: c_int) {
    let mut number = [0_u8; 10];
    let reason = decimal(u32::try_from(error).unwrap_or(0), &mut number);
    let parts = [
        b"dj-regress: the clock ",
        path.to_bytes(),
        b" cannot be used (errno ",
        reason,
        b"): this process has the machine's time\n",
    ];
    for part in parts {
        // SAFETY: bytes to be read. Where there is nobody to tell, nobody is told.
        unsafe { c::write(2, part.as_ptr().cast::<c_void>(), part.len()) };
    }
}

/// A number's digits.
pub fn decimal(mut number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut first = buffer.len();
    for (index, digit) in buffer.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first = index;
        if number == 0 {
            break;
        }
    }
    buffer.get(first..).unwrap_or_default()
}
