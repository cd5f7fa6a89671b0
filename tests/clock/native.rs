//! Native code: Rust's standard library, which waits by system calls, the waits of C, and what a reading costs.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::mem::{self, MaybeUninit};
use std::process::Command;
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dj_regress_protocol::clock::Pace;
use libc::{CLOCK_MONOTONIC, CLOCK_REALTIME, clockid_t, timespec};
use rstest::rstest;

use crate::stage::{HOUR, Stage, is_real};

const LENGTH: Duration = Duration::from_millis(300);

#[rstest]
fn waits_of_rust_and_of_c_take_their_real_time_after_a_jump(#[values(Pace::Stands, Pace::Goes)] pace: Pace) {
    let stage = Stage::new();
    let clock = stage.clock(pace);
    clock.advance(HOUR);
    let said = said(&mut stage.command(std::env::current_exe().unwrap(), &clock), "native::plays_waits");
    let took: BTreeMap<String, f64> = serde_json::from_str(&said).unwrap();
    for (name, took) in &took {
        assert!(is_real(*took, LENGTH.as_secs_f64()), "{name}: {took} s");
    }
    assert!(took.len() >= 24, "{took:?}");
}

#[test]
fn a_reading_costs_no_more_than_a_hundred_nanoseconds_on_top() {
    let stage = Stage::new();
    let program = std::env::current_exe().unwrap();
    let costs =
        |command: &mut Command| -> [f64; 2] { serde_json::from_str(&said(command, "native::plays_readings")).unwrap() };
    let bare = costs(&mut Command::new(&program));
    for pace in [Pace::Stands, Pace::Goes] {
        let clock = stage.clock(pace);
        let with = costs(&mut stage.command(&program, &clock));
        for (name, index) in [("wall", 0), ("monotonic", 1)] {
            let on_top = with[index] - bare[index];
            println!("{pace:?}, {name}: {:.0} ns, {on_top:+.0} ns on top of {:.0}", with[index], bare[index]);
            // Ten times what it may be: this machine may be busy.
            assert!(on_top < 1000.0, "{pace:?}, {name}: {on_top} ns");
        }
    }
}

/// What a test of this file said that is run by its name, as the program of a process of its own.
fn said(command: &mut Command, test: &str) -> String {
    let output = command.args([test, "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.split_once("SAID "));
    said.unwrap_or_else(|| panic!("it says nothing: {output:?}")).1.to_owned()
}

#[test]
#[ignore = "played by a_reading_costs_no_more_than_a_hundred_nanoseconds_on_top"]
fn plays_readings() {
    const READINGS: u32 = 20_000;
    let median = |read: &dyn Fn()| {
        let mut rounds: Vec<f64> = (0..15)
            .map(|_| {
                let start = Instant::now();
                (0..READINGS).for_each(|_| read());
                start.elapsed().as_nanos() as f64 / f64::from(READINGS)
            })
            .collect();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    };
    let wall = median(&|| _ = std::hint::black_box(SystemTime::now()));
    let monotonic = median(&|| _ = std::hint::black_box(Instant::now()));
    println!("SAID {}", serde_json::json!([wall, monotonic]));
}

// Of glibc, but not of the crate.
unsafe extern "C" {
    fn cnd_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const timespec) -> c_int;
    fn mtx_init(mutex: *mut c_void, kind: c_int) -> c_int;
    fn mtx_lock(mutex: *mut c_void) -> c_int;
    fn mtx_timedlock(mutex: *mut c_void, until: *const timespec) -> c_int;
    fn pthread_clockjoin_np(
        thread: libc::pthread_t,
        result: *mut *mut c_void,
        clock: clockid_t,
        until: *const timespec,
    ) -> c_int;
    fn pthread_cond_clockwait(
        condition: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        clock: clockid_t,
        until: *const timespec,
    ) -> c_int;
    fn pthread_mutex_clocklock(mutex: *mut libc::pthread_mutex_t, clock: clockid_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_clockrdlock(lock: *mut libc::pthread_rwlock_t, clock: clockid_t, until: *const timespec)
    -> c_int;
    fn pthread_rwlock_clockwrlock(lock: *mut libc::pthread_rwlock_t, clock: clockid_t, until: *const timespec)
    -> c_int;
    fn pthread_rwlock_timedrdlock(lock: *mut libc::pthread_rwlock_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_timedwrlock(lock: *mut libc::pthread_rwlock_t, until: *const timespec) -> c_int;
    fn pthread_timedjoin_np(thread: libc::pthread_t, result: *mut *mut c_void, until: *const timespec) -> c_int;
    fn sem_clockwait(semaphore: *mut libc::sem_t, clock: clockid_t, until: *const timespec) -> c_int;
}

/// The moment in [`LENGTH`], by the process' own clock.
fn until(clock: clockid_t) -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut now) }, 0);
    let nanoseconds = now.tv_nsec + i64::from(LENGTH.subsec_nanos());
    timespec { tv_sec: now.tv_sec + nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000 }
}

/// Something of C, as large as any of these, which lives as long as the process.
fn thing<T>() -> *mut T {
    let room: Box<[u64; 32]> = Box::new([0; 32]);
    assert!(mem::size_of::<T>() <= 256);
    Box::leak(room).as_mut_ptr().cast()
}

type Wait = (&'static str, Box<dyn Fn() + Send>);

fn wait(name: &'static str, wait: impl Fn() + Send + 'static) -> Wait {
    (name, Box::new(wait))
}

/// A wait of C, on something at an address; what it returns at its deadline.
fn c_wait<T: 'static>(
    name: &'static str,
    on: *mut T,
    returns: c_int,
    call: impl Fn(*mut T) -> c_int + Send + 'static,
) -> Wait {
    let address = on.expose_provenance();
    wait(name, move || assert_eq!(call(std::ptr::with_exposed_provenance_mut(address)), returns, "{name}"))
}

#[test]
#[ignore = "played by waits_of_rust_and_of_c_take_their_real_time_after_a_jump"]
fn plays_waits() {
    // Whoever waits for the length of the jump is ended by the kernel's own timer.
    // SAFETY: always possible.
    unsafe { libc::alarm(60) };
    let waits = [of_rust(), of_semaphores(), of_conditions(), of_locks(), of_timers(), of_calls(), of_threads()];
    let threads = waits.into_iter().flatten().map(|(name, wait)| {
        thread::spawn(move || {
            let start = Instant::now();
            wait();
            (name, start.elapsed().as_secs_f64())
        })
    });
    // All at once.
    let threads: Vec<_> = threads.collect();
    let took: BTreeMap<&str, f64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    println!("SAID {}", serde_json::to_string(&took).unwrap());
}

fn of_rust() -> Vec<Wait> {
    vec![
        wait("Condvar::wait_timeout", || {
            let (mutex, condition) = (Mutex::new(()), Condvar::new());
            drop(condition.wait_timeout_while(mutex.lock().unwrap(), LENGTH, |()| true).unwrap());
        }),
        wait("mpsc::recv_timeout", || {
            let (_sender, receiver) = mpsc::channel::<()>();
            receiver.recv_timeout(LENGTH).unwrap_err();
        }),
        wait("thread::park_timeout", || thread::park_timeout(LENGTH)),
        wait("thread::sleep", || thread::sleep(LENGTH)),
    ]
}

fn of_semaphores() -> Vec<Wait> {
    // SAFETY: each has a semaphore of its own, which is zero.
    unsafe {
        vec![
            c_wait("sem_timedwait", thing(), -1, |semaphore| libc::sem_timedwait(semaphore, &until(CLOCK_REALTIME))),
            c_wait("sem_clockwait of the wall", thing(), -1, |semaphore| {
                sem_clockwait(semaphore, CLOCK_REALTIME, &until(CLOCK_REALTIME))
            }),
            c_wait("sem_clockwait", thing(), -1, |semaphore| {
                sem_clockwait(semaphore, CLOCK_MONOTONIC, &until(CLOCK_MONOTONIC))
            }),
        ]
    }
}

fn of_conditions() -> Vec<Wait> {
    // SAFETY: each has a condition and a mutex of its own; zeroes are what an initialiser makes.
    unsafe {
        let monotonic = thing::<libc::pthread_cond_t>();
        let mut attributes = MaybeUninit::uninit();
        assert_eq!(libc::pthread_condattr_init(attributes.as_mut_ptr()), 0);
        assert_eq!(libc::pthread_condattr_setclock(attributes.as_mut_ptr(), CLOCK_MONOTONIC), 0);
        assert_eq!(libc::pthread_cond_init(monotonic, attributes.as_ptr()), 0);
        let mutex = || {
            let mutex = thing::<libc::pthread_mutex_t>();
            assert_eq!(libc::pthread_mutex_lock(mutex), 0);
            mutex
        };
        let until = until;
        vec![
            c_wait("pthread_cond_timedwait", thing(), libc::ETIMEDOUT, move |condition| {
                libc::pthread_cond_timedwait(condition, mutex(), &until(CLOCK_REALTIME))
            }),
            c_wait("pthread_cond_timedwait of a monotonic one", monotonic, libc::ETIMEDOUT, move |condition| {
                libc::pthread_cond_timedwait(condition, mutex(), &until(CLOCK_MONOTONIC))
            }),
            c_wait("pthread_cond_clockwait", thing(), libc::ETIMEDOUT, move |condition| {
                pthread_cond_clockwait(condition, mutex(), CLOCK_MONOTONIC, &until(CLOCK_MONOTONIC))
            }),
            c_wait("cnd_timedwait", thing(), 4, move |condition: *mut c_void| {
                let mutex = thing::<u64>().cast();
                assert_eq!((mtx_init(mutex, 1), mtx_lock(mutex)), (0, 0));
                cnd_timedwait(condition, mutex, &until(CLOCK_REALTIME))
            }),
        ]
    }
}

/// Of locks that this thread, which is not the one that waits, has taken.
fn of_locks() -> Vec<Wait> {
    // SAFETY: zeroes are what an initialiser makes.
    unsafe {
        let mutex = || {
            let mutex = thing::<libc::pthread_mutex_t>();
            assert_eq!(libc::pthread_mutex_lock(mutex), 0);
            mutex
        };
        let lock = || {
            let lock = thing::<libc::pthread_rwlock_t>();
            assert_eq!(libc::pthread_rwlock_wrlock(lock), 0);
            lock
        };
        let simple = thing::<u64>().cast::<c_void>();
        assert_eq!((mtx_init(simple, 1), mtx_lock(simple)), (0, 0));
        vec![
            c_wait("pthread_mutex_timedlock", mutex(), libc::ETIMEDOUT, |mutex| {
                libc::pthread_mutex_timedlock(mutex, &until(CLOCK_REALTIME))
            }),
            c_wait("pthread_mutex_clocklock", mutex(), libc::ETIMEDOUT, |mutex| {
                pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until(CLOCK_MONOTONIC))
            }),
            c_wait("pthread_rwlock_timedrdlock", lock(), libc::ETIMEDOUT, |lock| {
                pthread_rwlock_timedrdlock(lock, &until(CLOCK_REALTIME))
            }),
            c_wait("pthread_rwlock_timedwrlock", lock(), libc::ETIMEDOUT, |lock| {
                pthread_rwlock_timedwrlock(lock, &until(CLOCK_REALTIME))
            }),
            c_wait("pthread_rwlock_clockrdlock", lock(), libc::ETIMEDOUT, |lock| {
                pthread_rwlock_clockrdlock(lock, CLOCK_MONOTONIC, &until(CLOCK_MONOTONIC))
            }),
            c_wait("pthread_rwlock_clockwrlock", lock(), libc::ETIMEDOUT, |lock| {
                pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, &until(CLOCK_REALTIME))
            }),
            c_wait("mtx_timedlock", simple, 4, |mutex| mtx_timedlock(mutex, &until(CLOCK_REALTIME))),
        ]
    }
}

fn of_timers() -> Vec<Wait> {
    let once = |clock| libc::itimerspec { it_interval: timespec { tv_sec: 0, tv_nsec: 0 }, it_value: until(clock) };
    // SAFETY: of timers and queues of their own.
    let file = move |clock| unsafe {
        let file = libc::timerfd_create(clock, 0);
        assert_eq!(libc::timerfd_settime(file, libc::TFD_TIMER_ABSTIME, &once(clock), std::ptr::null_mut()), 0);
        let mut count = 0_u64;
        assert_eq!(libc::read(file, (&raw mut count).cast(), 8), 8);
    };
    // SAFETY: as above.
    let timer = move |clock| unsafe {
        let mut event: libc::sigevent = mem::zeroed();
        event.sigev_notify = libc::SIGEV_NONE;
        let mut timer = mem::zeroed();
        assert_eq!(libc::timer_create(clock, &raw mut event, &raw mut timer), 0);
        assert_eq!(libc::timer_settime(timer, libc::TIMER_ABSTIME, &once(clock), std::ptr::null_mut()), 0);
        let mut left = once(clock);
        while (left.it_value.tv_sec, left.it_value.tv_nsec) != (0, 0) {
            thread::sleep(Duration::from_millis(5));
            assert_eq!(libc::timer_gettime(timer, &raw mut left), 0);
        }
    };
    // SAFETY: as above.
    let sleep = |clock| unsafe {
        assert_eq!(libc::clock_nanosleep(clock, libc::TIMER_ABSTIME, &until(clock), std::ptr::null_mut()), 0);
    };
    vec![
        wait("timerfd_settime", move || file(CLOCK_MONOTONIC)),
        wait("timerfd_settime of the wall", move || file(CLOCK_REALTIME)),
        wait("timer_settime", move || timer(CLOCK_MONOTONIC)),
        wait("timer_settime of the wall", move || timer(CLOCK_REALTIME)),
        wait("clock_nanosleep", move || sleep(CLOCK_MONOTONIC)),
        wait("clock_nanosleep of the wall", move || sleep(CLOCK_REALTIME)),
    ]
}

fn of_calls() -> Vec<Wait> {
    // SAFETY: nobody wakes the futex, which is the call's own.
    let futex = |flag: c_int, clock| unsafe {
        let (word, until) = (0_u32, until(clock));
        let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG | flag;
        let nothing = std::ptr::null::<u32>();
        let woken = libc::syscall(libc::SYS_futex, &raw const word, operation, 0, &raw const until, nothing, u32::MAX);
        assert_eq!(woken, -1);
    };
    // SAFETY: of a moment of its own.
    let sleep = || unsafe {
        let (until, nothing) = (until(CLOCK_MONOTONIC), std::ptr::null_mut::<timespec>());
        let call = libc::SYS_clock_nanosleep;
        assert_eq!(libc::syscall(call, CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const until, nothing), 0);
    };
    vec![
        wait("a futex", move || futex(0, CLOCK_MONOTONIC)),
        wait("a futex of the wall", move || futex(libc::FUTEX_CLOCK_REALTIME, CLOCK_REALTIME)),
        wait("clock_nanosleep by number", sleep),
    ]
}

fn of_threads() -> Vec<Wait> {
    extern "C" fn sleeps(_: *mut c_void) -> *mut c_void {
        // SAFETY: always possible. The process ends earlier.
        unsafe { libc::pause() };
        std::ptr::null_mut()
    }
    let thread = || {
        let mut thread = 0;
        let nothing = std::ptr::null_mut();
        // SAFETY: a thread that does nothing.
        assert_eq!(unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), sleeps, nothing) }, 0);
        thread
    };
    let nothing = std::ptr::null_mut;
    vec![
        wait("pthread_timedjoin_np", move || {
            // SAFETY: of a thread that lives.
            let joined = unsafe { pthread_timedjoin_np(thread(), nothing(), &until(CLOCK_REALTIME)) };
            assert_eq!(joined, libc::ETIMEDOUT);
        }),
        wait("pthread_clockjoin_np", move || {
            let until = until(CLOCK_MONOTONIC);
            // SAFETY: of a thread that lives.
            let joined = unsafe { pthread_clockjoin_np(thread(), nothing(), CLOCK_MONOTONIC, &raw const until) };
            assert_eq!(joined, libc::ETIMEDOUT);
        }),
    ]
}
