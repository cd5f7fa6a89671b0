//! An arm's virtual clock: an offset and where it stands, mapped by every process of the arm.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{Context as _, Result};

/// How an arm's time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It stands, but for what the case says: how fast the machine is decides nothing.
    Stands,
    /// It goes with real time, as real clusters need it.
    Goes,
}

/// The controller's hold on the clock.
#[derive(Debug)]
pub struct Clock {
    map: MmapRaw,
}

impl Clock {
    /// Makes the clock's file, showing real time.
    pub fn create(path: &Path, pace: Pace) -> Result<Self> {
        let doing = || format!("make the clock {}", path.display());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).cannot_run(doing)?;
        let stands_at = match pace {
            Pace::Stands => i64::try_from(start(now).as_nanos()).cannot_run(doing)?,
            Pace::Goes => 0,
        };
        fs::write(path, [0_i64.to_ne_bytes(), stands_at.to_ne_bytes()].concat()).cannot_run(doing)?;
        let file = fs::File::options().read(true).write(true).open(path).cannot_run(doing)?;
        Ok(Self { map: MmapOptions::new().len(16).map_raw(&file).cannot_run(doing)? })
    }

    /// Moves the clock of every process that maps it.
    pub fn advance(&self, by: Duration) {
        self.offset().fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// The arm's time. To look at it moves nothing.
    pub fn now(&self) -> SystemTime {
        let stands_at = self.number(1).load(Ordering::SeqCst);
        let real = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64);
        let now = if stands_at == 0 { real() } else { stands_at }.saturating_add(self.offset().load(Ordering::SeqCst));
        UNIX_EPOCH + Duration::from_nanos(now.unsigned_abs())
    }

    fn offset(&self) -> &AtomicI64 {
        self.number(0)
    }

    fn number(&self, index: usize) -> &AtomicI64 {
        assert!(index < 2, "the clock has two numbers");
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins with a page")]
        // SAFETY: the mapping holds both, is page-aligned, writable and lives as long as `self`;
        // all processes that share it go through atomics as well.
        let number = unsafe { AtomicI64::from_ptr(self.map.as_mut_ptr().cast::<i64>().add(index)) };
        number
    }
}

/// When a clock that stands begins: a quarter into the second. Many keep expiries in whole seconds, as Django's database
/// cache does; an arm that began right before the end of one would count some of them differently from the next.
fn start(now: Duration) -> Duration {
    Duration::from_secs(now.as_secs()) + Duration::from_millis(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advance_is_in_the_file_for_all_to_see() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("clock");
        let clock = Clock::create(&path, Pace::Goes).expect("a clock");
        clock.advance(Duration::from_millis(2500));
        clock.advance(Duration::from_nanos(1));
        let bytes = fs::read(&path).expect("a file");
        assert_eq!(bytes, [2_500_000_001_i64.to_ne_bytes(), 0_i64.to_ne_bytes()].concat());
    }

    #[test]
    fn a_clock_that_stands_begins_at_the_same_part_of_a_second_in_every_arm() {
        for nanoseconds in [0, 1, 250_000_000, 999_999_999] {
            assert_eq!(start(Duration::new(7, nanoseconds)), Duration::new(7, 250_000_000));
        }
    }
}
