//! Keeping an arm on one processor.
//!
//! An actor, its proxy and its backend take turns, one waiting for the other. On one processor a turn is a context
//! switch; across two it is an interrupt to a halted one, which costs more than the work itself (measured: the flagship's
//! arms on one pinned core of two took two thirds of the time that they took on both). Real clusters are not kept: how
//! their processes run side by side is what is measured.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// A processor that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuPin(usize);

impl CpuPin {
    /// The processor of a lane: lanes share them evenly.
    pub fn of_lane(lane: usize) -> Option<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let cores: Vec<usize> = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect();
        (!cores.is_empty()).then(|| Self(cores[lane % cores.len()]))
    }

    /// Keeps a process on it. Only speed depends on it: a process of another user, or one that has ended, is left alone.
    pub fn keep(self, pid: u32) {
        let mut only = CpuSet::new();
        if only.set(self.0).is_ok() {
            let _ = sched_setaffinity(Pid::from_raw(pid.cast_signed()), &only);
        }
    }
}
