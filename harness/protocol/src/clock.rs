//! The files of the arms' clocks: what is in them, and how time is read from it.
//!
//! The preloaded library `harness/clock` includes this file as it is: it uses nothing but `core`. Both sides read the
//! same bytes by the same code.
//!
//! * A **clock file** holds one [`ArmClock`]. Every process of the arm maps it, shared and writable.
//! * A **backends file** holds one [`Backends`]: which process of a server that arms share has the clock of which arm. The
//!   clock files are beside it, named by their number: backend 4711 with clock 3 reads `3` in the folder of the backends
//!   file.

use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// Names the file of a process' clock: a clock file, or a server's backends file.
pub const CLOCK_VARIABLE: &str = "DJ_REGRESS_CLOCK";

/// Set for servers that look at the clock all the time by themselves: their readings do not move a clock that stands.
pub const CLOCK_QUIET_VARIABLE: &str = "DJ_REGRESS_CLOCK_QUIET";

/// How far a standing clock moves when it is read: the resolution of Python's datetime and of Postgres.
pub const TICK_NS: i64 = 1000;

/// The pids that Linux gives are below this.
pub const PIDS: usize = 1 << 22;

const CLOCK_KIND: u64 = u64::from_le_bytes(*b"djclock1");
const BACKENDS_KIND: u64 = u64::from_le_bytes(*b"djbacks1");

/// How an arm's wall clock passes. What measures time (`CLOCK_MONOTONIC` and its like) always goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It stands, but for what the case says and a microsecond per reading: how fast the machine is decides nothing.
    Stands,
    /// It goes with real time, as real clusters need it.
    Goes,
}

/// One arm's clock, as it is in its file.
#[repr(C)]
#[derive(Debug)]
pub struct ArmClock {
    kind: AtomicU64,
    goes: AtomicU64,
    /// The moment at which it stands; what goes is added to it.
    start: AtomicI64,
    /// How far the case has moved it, wall and monotonic alike.
    offset: AtomicI64,
    /// How often a standing clock was read: a count of its own, so that readings do not move what measures time.
    readings: AtomicI64,
}

impl ArmClock {
    /// A clock that shows `moment` (nanoseconds since the epoch) while this machine's `CLOCK_MONOTONIC` is `steady`.
    pub fn new(pace: Pace, moment: i64, steady: i64) -> Self {
        let goes = pace == Pace::Goes;
        let start = if goes { moment.wrapping_sub(steady) } else { moment };
        Self {
            kind: AtomicU64::new(CLOCK_KIND),
            goes: AtomicU64::new(goes.into()),
            start: AtomicI64::new(start),
            offset: AtomicI64::new(0),
            readings: AtomicI64::new(0),
        }
    }

    /// Whether this is a clock at all, and not some other file.
    pub fn is_valid(&self) -> bool {
        self.kind.load(Ordering::Relaxed) == CLOCK_KIND
    }

    /// How it passes.
    pub fn pace(&self) -> Pace {
        if self.goes.load(Ordering::Relaxed) == 0 { Pace::Stands } else { Pace::Goes }
    }

    /// Nanoseconds since the epoch. To look moves nothing. `steady` is asked for this machine's `CLOCK_MONOTONIC`, if need
    /// be.
    pub fn look(&self, steady: impl FnOnce() -> i64) -> i64 {
        let ticks = self.readings.load(Ordering::SeqCst).wrapping_mul(TICK_NS);
        self.moved().wrapping_add(if self.pace() == Pace::Goes { steady() } else { ticks })
    }

    /// The same, of a process of the arm: no two readings of a clock that stands are the same, whoever reads.
    pub fn read(&self, steady: impl FnOnce() -> i64) -> i64 {
        if self.pace() == Pace::Goes {
            return self.look(steady);
        }
        self.moved().wrapping_add(self.readings.fetch_add(1, Ordering::SeqCst).wrapping_mul(TICK_NS))
    }

    /// How far the case has moved it, in nanoseconds.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::SeqCst)
    }

    /// Moves it for every process that maps it.
    pub fn advance(&self, nanoseconds: i64) {
        self.offset.fetch_add(nanoseconds, Ordering::SeqCst);
    }

    fn moved(&self) -> i64 {
        self.start.load(Ordering::Relaxed).wrapping_add(self.offset())
    }
}

/// Which clock each process of a server has, by its pid. Most of the file is a hole.
#[repr(C)]
#[derive(Debug)]
pub struct Backends {
    kind: AtomicU64,
    clocks: [AtomicU32; PIDS],
}

impl Backends {
    /// Makes what the zeroes of a new file are: a server whose processes all have the machine's time.
    pub fn initialise(&self) {
        self.kind.store(BACKENDS_KIND, Ordering::Relaxed);
    }

    /// Whether this is such a file.
    pub fn is_valid(&self) -> bool {
        self.kind.load(Ordering::Relaxed) == BACKENDS_KIND
    }

    /// The number of a process' clock; 0: the machine's time.
    pub fn clock_of(&self, pid: u32) -> u32 {
        self.clocks.get(pid as usize).map_or(0, |clock| clock.load(Ordering::SeqCst))
    }

    /// Gives a process a clock, before it is told to do anything.
    pub fn give(&self, pid: u32, clock: u32) {
        if let Some(slot) = self.clocks.get(pid as usize) {
            slot.store(clock, Ordering::SeqCst);
        }
    }

    /// Takes this clock away from a process, unless it has another one by now.
    pub fn take(&self, pid: u32, clock: u32) {
        if let Some(slot) = self.clocks.get(pid as usize) {
            let _ = slot.compare_exchange(clock, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: i64 = 1_000_000_000_000;
    const STEADY: i64 = 77;

    #[test]
    fn a_clock_that_stands_shows_its_moment_and_a_microsecond_more_whenever_it_is_read() {
        let clock = ArmClock::new(Pace::Stands, MOMENT, STEADY);
        let never = || panic!("how late it is on the machine is nothing to it");
        assert_eq!([clock.read(never), clock.read(never)], [MOMENT, MOMENT + TICK_NS]);
        assert_eq!([clock.look(never), clock.look(never)], [MOMENT + 2 * TICK_NS; 2]);
        assert_eq!(clock.offset(), 0, "what measures time has not moved");
    }

    #[test]
    fn a_clock_that_goes_shows_its_moment_and_what_has_passed_since() {
        let clock = ArmClock::new(Pace::Goes, MOMENT, STEADY);
        assert_eq!([clock.read(|| STEADY), clock.read(|| STEADY + 5)], [MOMENT, MOMENT + 5]);
    }

    #[test]
    fn what_a_case_moves_is_added_whatever_the_pace() {
        for pace in [Pace::Stands, Pace::Goes] {
            let clock = ArmClock::new(pace, MOMENT, STEADY);
            clock.advance(3);
            clock.advance(-1);
            assert_eq!((clock.look(|| STEADY), clock.offset(), clock.pace()), (MOMENT + 2, 2, pace));
        }
    }

    #[test]
    fn the_two_kinds_of_files_are_told_apart_by_their_size() {
        assert_eq!(size_of::<ArmClock>(), 40);
        assert_eq!(size_of::<Backends>(), 8 + 4 * PIDS);
    }
}
