//! A hold's slot in the map that an actor's processes share with the controller.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::hold::{HOLD_BYTES, HOLD_CALLS, HoldState};

/// One hold's slot.
///
/// Threads wait for it by futex: who lets them go must wake them, which [`Slot::release`] does.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'map> {
    /// Little-endian: the state in the lowest byte (the slot's first), the releases above it.
    word: &'map AtomicU32,
    calls: &'map AtomicU64,
}

/// What a slot said at one moment. It says this never again once it was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen(u32);

/// A held thread looks again after so long, in case nobody woke it: who let it go has died in between, or only wrote the
/// byte.
const LOOK_AGAIN: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl Slot<'_> {
    /// The slot of a hold.
    ///
    /// # Safety
    ///
    /// `map` is where a holds file is mapped, shared and writable, for as long as `'map`; the file has this hold; and
    /// nothing in the map is accessed but atomically.
    pub unsafe fn at(map: *mut u8, hold: u32) -> Self {
        // SAFETY: inside the map, as the caller says; aligned, since a map begins a page and slots have 16 bytes.
        unsafe {
            let slot = map.add(hold as usize * HOLD_BYTES);
            Self { word: &*slot.cast(), calls: &*slot.add(HOLD_CALLS).cast() }
        }
    }

    /// From now on it holds.
    pub fn arm(&self) {
        self.set(HoldState::Armed, 0);
    }

    /// It holds nobody any more, and threads that wait go on. A process that has stopped itself wants a signal.
    pub fn release(&self) {
        self.set(HoldState::Idle, 1);
        // SAFETY: the word lives as long as the map. It is not private: the waiting are of another process.
        unsafe { libc::syscall(libc::SYS_futex, self.word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }

    /// What it says, if it is armed.
    pub fn armed(&self) -> Option<Seen> {
        let seen = u32::from_le(self.word.load(Ordering::SeqCst));
        is(seen, HoldState::Armed).then_some(Seen(seen))
    }

    /// Counts a call; returns the calls so far, this one included.
    pub fn count(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Takes it for the caller; what it says then. `None`: somebody else has, or it was released.
    pub fn take(&self, armed: Seen) -> Option<Seen> {
        let taken = with(armed.0, HoldState::Taken);
        let taking = self.word.compare_exchange(armed.0.to_le(), taken.to_le(), Ordering::SeqCst, Ordering::SeqCst);
        taking.ok().map(|_| Seen(taken))
    }

    /// Sleeps while it says the same.
    pub fn wait(&self, seen: Seen) {
        while self.word.load(Ordering::SeqCst) == seen.0.to_le() {
            // SAFETY: the word lives as long as the map, the duration for ever. Whatever wakes us (a change, a signal,
            // the end of the duration), the word is what counts.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.word.as_ptr(),
                    libc::FUTEX_WAIT,
                    seen.0.to_le(),
                    ptr::from_ref(&LOOK_AGAIN),
                );
            }
        }
    }

    fn set(&self, state: HoldState, releases: u32) {
        let change = |word: u32| {
            let word = u32::from_le(word);
            Some(with(word.wrapping_add(releases << 8), state).to_le())
        };
        // The change is never refused.
        let _ = self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
    }
}

fn is(word: u32, state: HoldState) -> bool {
    word & 0xff == u32::from(state as u8)
}

fn with(word: u32, state: HoldState) -> u32 {
    word & !0xff | u32::from(state as u8)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A holds file's map, in memory.
    fn map() -> [AtomicU64; 4] {
        Default::default()
    }

    fn slot(map: &[AtomicU64; 4], hold: u32) -> Slot<'_> {
        // SAFETY: four words are two slots, of atomics, and borrowed as long. Eight bytes are what these accesses need.
        unsafe { Slot::at(map.as_ptr().cast_mut().cast(), hold) }
    }

    #[test]
    fn only_one_takes_a_hold_and_only_while_it_is_armed() {
        let map = map();
        let slot = slot(&map, 1);
        assert_eq!(slot.armed(), None);
        slot.arm();
        let armed = slot.armed().expect("it is armed");
        assert!(slot.take(armed).is_some());
        assert_eq!((slot.take(armed), slot.armed()), (None, None));
        assert_eq!(map[2].load(Ordering::SeqCst).to_ne_bytes()[0], HoldState::Taken as u8);
    }

    #[test]
    fn who_waits_goes_on_though_the_hold_is_armed_again_at_once() {
        let map = map();
        let slot = slot(&map, 0);
        slot.arm();
        let armed = slot.armed().expect("it is armed");
        thread::scope(|scope| {
            let waiting = scope.spawn(move || slot.wait(armed));
            slot.release();
            slot.arm();
            waiting.join().expect("it comes back");
        });
        assert_ne!(slot.armed(), Some(armed));
    }

    #[test]
    fn calls_are_counted_apart() {
        let map = map();
        assert_eq!([slot(&map, 0).count(), slot(&map, 0).count(), slot(&map, 1).count()], [1, 2, 1]);
    }
}
