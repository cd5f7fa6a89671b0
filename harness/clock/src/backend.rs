//! The processes of a server that arms share: each has the clock of the arm that it works for.
//!
//! The controller knows a backend's pid before its client can send a statement, and writes it down (`Backends`). A process
//! of which nothing is written has the machine's time: the postmaster, the checkpointer, the harness' own connections.
//!
//! Where the arm's clock **goes**, so does the backend's. Where it **stands**, it stands in the backend, too, so that all
//! readings of the arm, whoever reads, come one after the other. But Postgres measures its timeouts and `pg_sleep` by this
//! clock, and they must end. So from where a statement *waits for time* (it sleeps, or a timer that it has set runs out),
//! the backend's clock goes; when the client says something more, it is the arm's again.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicU8, AtomicU32, Ordering};

use crate::c::{self, itimerval, timespec, timeval};
use crate::clock::{self, complain, decimal, is_server, steady};
use crate::layout::{ArmClock, Backends, Pace};
use crate::next;

/// Who has which clock.
static BACKENDS: AtomicPtr<Backends> = AtomicPtr::new(ptr::null_mut());

/// What one process knows of itself.
static SELF: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());

/// The path of the backends file, as far as its folder. The environment is no place to keep it: servers write their titles
/// over it.
static FOLDER: [AtomicU8; PATH] = [const { AtomicU8::new(0) }; PATH];
const PATH: usize = 4096;

/// In a page that the kernel empties for the child when the process forks: everything is zero, and is found again.
#[repr(C)]
struct Process {
    pid: AtomicU32,
    /// The number of the clock that is mapped.
    number: AtomicU32,
    /// Null: it cannot be had.
    clock: AtomicPtr<ArmClock>,
    /// When the client last said something; all moments are the machine's `CLOCK_MONOTONIC`.
    told: AtomicI64,
    /// When the interval timer was set.
    set: AtomicI64,
    /// When it runs out; 0: it is not set.
    due: AtomicI64,
    /// Since when the clock goes; 0: it stands.
    goes: AtomicI64,
}

/// From now on this process and those that it forks are looked up in `backends`, whose file is at `path`.
pub fn serve(backends: &'static Backends, path: &CStr) -> Result<(), c_int> {
    let length = mem::size_of::<Process>();
    // SAFETY: a new page of our own.
    let page = unsafe {
        let page = c::mmap(ptr::null_mut(), length, c::PROT_READ_WRITE, c::MAP_PRIVATE_ANONYMOUS, -1, 0);
        if page.addr() == usize::MAX || c::madvise(page, length, c::MADV_WIPEONFORK) != 0 {
            return Err(c::errno());
        }
        page
    };
    let path = path.to_bytes();
    let folder = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    if folder + 11 > PATH {
        return Err(c::EINVAL);
    }
    for (to, from) in FOLDER.iter().zip(path.iter().take(folder)) {
        to.store(*from, Ordering::Relaxed);
    }
    SELF.store(page.cast(), Ordering::Release);
    BACKENDS.store(ptr::from_ref(backends).cast_mut(), Ordering::Release);
    Ok(())
}

/// The clock that the process has now.
pub fn clock() -> Option<&'static ArmClock> {
    // SAFETY: both were set before the process became a server's, and stay.
    let (process, backends) = unsafe { (&*SELF.load(Ordering::Acquire), &*BACKENDS.load(Ordering::Acquire)) };
    let mut pid = process.pid.load(Ordering::Relaxed);
    if pid == 0 {
        // SAFETY: always possible.
        pid = unsafe { c::getpid() }.unsigned_abs();
        process.pid.store(pid, Ordering::Relaxed);
    }
    let number = backends.clock_of(pid);
    if number == 0 {
        return None;
    }
    if process.number.load(Ordering::Acquire) != number {
        process.clock.store(find(number), Ordering::Release);
        process.number.store(number, Ordering::Release);
    }
    // SAFETY: null, or a clock that stays mapped.
    unsafe { process.clock.load(Ordering::Acquire).as_ref() }
}

/// Maps the clock of this number.
fn find(number: u32) -> *mut ArmClock {
    // Whoever reads a clock keeps its errno.
    let errno = c::errno();
    let mut path = [0_u8; PATH];
    let mut digits = [0_u8; 10];
    let folder = FOLDER.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|byte| *byte != 0);
    // The last byte stays zero.
    for (to, from) in path[..PATH - 1].iter_mut().zip(folder.chain(decimal(number, &mut digits).iter().copied())) {
        *to = from;
    }
    // SAFETY: it ends with a zero.
    let clock = unsafe { clock::open(path.as_ptr().cast::<c_char>()) }.unwrap_or_else(|error| {
        complain(CStr::from_bytes_until_nul(&path).unwrap_or_default(), error);
        ptr::null_mut()
    });
    c::set_errno(errno);
    clock
}

/// How long a backend whose clock stands has waited for time.
pub fn waited(clock: &ArmClock) -> i64 {
    if !is_server() || clock.pace() == Pace::Goes {
        return 0;
    }
    // SAFETY: as above.
    let process = unsafe { &*SELF.load(Ordering::Acquire) };
    let mut since = process.goes.load(Ordering::Relaxed);
    if since == 0 {
        let due = process.due.load(Ordering::Relaxed);
        if due == 0 || steady() < due {
            return 0;
        }
        // Postgres leaves a timer of an earlier statement running: that one has not waited for it.
        since = process.set.load(Ordering::Relaxed).max(process.told.load(Ordering::Relaxed));
        process.goes.store(since, Ordering::Relaxed);
    }
    steady().wrapping_sub(since)
}

/// The process, if its clock stands.
fn standing() -> Option<&'static Process> {
    if !is_server() || clock()?.pace() == Pace::Goes {
        return None;
    }
    // SAFETY: as above.
    Some(unsafe { &*SELF.load(Ordering::Acquire) })
}

/// The client has said something.
fn is_told() {
    let Some(process) = standing() else { return };
    let now = steady();
    if process.due.load(Ordering::Relaxed) <= now {
        process.due.store(0, Ordering::Relaxed);
    }
    process.told.store(now, Ordering::Relaxed);
    process.goes.store(0, Ordering::Relaxed);
}

/// Time is going to be waited for.
pub fn waits() {
    if let Some(process) = standing() {
        // Not if it goes already.
        let _ = process.goes.compare_exchange(0, steady(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The interval timer is set.
fn sets(timer: &itimerval) {
    let Some(process) = standing() else { return };
    let length = timer.it_value.tv_sec.saturating_mul(1_000_000_000).saturating_add(timer.it_value.tv_usec * 1000);
    let now = steady();
    process.set.store(now, Ordering::Relaxed);
    process.due.store(if length == 0 { 0 } else { now.saturating_add(length) }, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(socket: c_int, buffer: *mut c_void, length: usize, flags: c_int) -> isize {
    let Some(next) = next::recv() else { return missing() as isize };
    // SAFETY: the caller's.
    let count = unsafe { next(socket, buffer, length, flags) };
    if count > 0 {
        is_told();
    }
    count
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setitimer(which: c_int, new: *const itimerval, old: *mut itimerval) -> c_int {
    let Some(next) = next::setitimer() else { return missing() };
    // SAFETY: the caller's, to be read.
    if which == c::ITIMER_REAL
        && let Some(new) = unsafe { new.as_ref() }
    {
        sets(new);
    }
    // SAFETY: the caller's.
    unsafe { next(which, new, old) }
}

/// Functions that wait no longer than a duration: of a server's process, that is to wait for time.
macro_rules! waits_for {
    ($($name:ident($($argument:ident: $type:ty),*) if $waits:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
                let Some(next) = next::$name() else { return missing() };
                // SAFETY: what the caller gives is to be read.
                #[allow(unused_unsafe, reason = "not all that is looked at is behind a pointer")]
                if is_server() && unsafe { $waits } {
                    waits();
                }
                // SAFETY: the caller's.
                unsafe { next($($argument),*) }
            }
        )*
    };
}

waits_for! {
    epoll_pwait(poll: c_int, events: *mut c_void, most: c_int, timeout: c_int, mask: *const c_void) if timeout > 0;
    epoll_wait(poll: c_int, events: *mut c_void, most: c_int, timeout: c_int) if timeout > 0;
    nanosleep(length: *const timespec, left: *mut timespec) if is_some(length);
    poll(files: *mut c_void, count: usize, timeout: c_int) if timeout > 0;
    ppoll(files: *mut c_void, count: usize, timeout: *const timespec, mask: *const c_void) if is_some(timeout);
    pselect(
        count: c_int,
        read: *mut c_void,
        write: *mut c_void,
        except: *mut c_void,
        timeout: *const timespec,
        mask: *const c_void
    ) if is_some(timeout);
    select(count: c_int, read: *mut c_void, write: *mut c_void, except: *mut c_void, timeout: *mut timeval)
        if timeout.as_ref().is_some_and(|timeout| timeout.tv_sec > 0 || timeout.tv_usec > 0);
    usleep(length: c_uint) if length > 0;
}

unsafe fn is_some(timeout: *const timespec) -> bool {
    // SAFETY: the caller's, to be read.
    unsafe { timeout.as_ref() }.is_some_and(|timeout| timeout.tv_sec > 0 || timeout.tv_nsec > 0)
}

/// What a function says that the C library does not have.
fn missing() -> c_int {
    c::set_errno(c::ENOSYS);
    -1
}
