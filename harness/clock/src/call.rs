//! System calls by number: Rust's standard library and others make those for which the C library has no function.

use core::ffi::{c_int, c_long};
use core::ptr;

use crate::c::{self, number};
use crate::clock::machine_deadline;
use crate::next;
use crate::readings;
use crate::waits::machine_timer;

const FUTEX_OPERATION: c_long = 0x7f;
const FUTEX_CLOCK_REALTIME: c_long = 0x100;
const FUTEX_LOCK_PI: c_long = 6;
const FUTEX_WAIT_BITSET: c_long = 9;
const FUTEX_WAIT_REQUEUE_PI: c_long = 11;
const FUTEX_LOCK_PI2: c_long = 13;

/// In C, what comes after the number are as many arguments as the call has; they are passed as these are, and what is not
/// passed is not looked at.
#[unsafe(no_mangle)]
#[allow(clippy::many_single_char_names, reason = "what they are depends on the number")]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    let Some(next) = next::syscall() else {
        c::set_errno(c::ENOSYS);
        return -1;
    };
    // SAFETY: the call is the caller's; deadlines that are put in their place live until it returns.
    unsafe {
        match number {
            number::CLOCK_GETTIME => readings::clock_gettime(a as c_int, pointer(b)).into(),
            number::GETTIMEOFDAY => readings::gettimeofday(pointer(a), pointer(b)).into(),
            number::TIME => readings::time(pointer(a)),
            number::FUTEX => {
                let deadline = futex_clock(b).and_then(|id| machine_deadline(id, pointer(d)));
                next(number, a, b, c, instead(deadline.as_ref(), d), e, f)
            }
            number::FUTEX_WAITV => {
                let deadline = machine_deadline(e as c_int, pointer(d));
                next(number, a, b, c, instead(deadline.as_ref(), d), e, f)
            }
            number::FUTEX_WAIT => {
                let deadline = machine_deadline(f as c_int, pointer(e));
                next(number, a, b, c, d, instead(deadline.as_ref(), e), f)
            }
            number::CLOCK_NANOSLEEP if b as c_int & c::TIMER_ABSTIME != 0 => {
                let deadline = machine_deadline(a as c_int, pointer(c));
                next(number, a, b, instead(deadline.as_ref(), c), d, e, f)
            }
            number::MQ_TIMEDSEND | number::MQ_TIMEDRECEIVE => {
                let deadline = machine_deadline(c::CLOCK_REALTIME, pointer(e));
                next(number, a, b, c, d, instead(deadline.as_ref(), e), f)
            }
            number::TIMER_SETTIME | number::TIMERFD_SETTIME => {
                let setting = machine_timer(b as c_int, pointer(c));
                next(number, a, b, instead(setting.as_ref(), c), d, e, f)
            }
            _ => next(number, a, b, c, d, e, f),
        }
    }
}

/// The clock of a futex' deadline. None: it has none, or a duration.
fn futex_clock(operation: c_long) -> Option<c_int> {
    let by_flag = if operation & FUTEX_CLOCK_REALTIME == 0 { c::CLOCK_MONOTONIC } else { c::CLOCK_REALTIME };
    match operation & FUTEX_OPERATION {
        FUTEX_WAIT_BITSET | FUTEX_WAIT_REQUEUE_PI | FUTEX_LOCK_PI2 => Some(by_flag),
        FUTEX_LOCK_PI => Some(c::CLOCK_REALTIME),
        _ => None,
    }
}

fn pointer<T>(argument: c_long) -> *mut T {
    ptr::with_exposed_provenance_mut(argument as usize)
}

/// The address of what stands in an argument's place, if anything does.
fn instead<T>(replacement: Option<&T>, argument: c_long) -> c_long {
    replacement.map_or(argument, |replacement| ptr::from_ref(replacement).expose_provenance().cast_signed() as c_long)
}
