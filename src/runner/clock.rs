//! An arm's virtual clock: one offset, mapped by every process of the arm.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{Context as _, Result};

/// The controller's hold on the offset. Real time passes on top of it.
#[derive(Debug)]
pub struct Clock {
    map: MmapRaw,
}

impl Clock {
    /// Makes the file with an offset of zero: 8 bytes, nanoseconds, native endian.
    pub fn create(path: &Path) -> Result<Self> {
        let doing = || format!("make the clock {}", path.display());
        let file = File::options().create_new(true).read(true).write(true).open(path).cannot_run(doing)?;
        file.set_len(8).cannot_run(doing)?;
        Ok(Self { map: MmapOptions::new().len(8).map_raw(&file).cannot_run(doing)? })
    }

    /// Moves the clock of every process that maps it.
    pub fn advance(&self, by: Duration) {
        self.offset().fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    fn offset(&self) -> &AtomicI64 {
        // SAFETY: the mapping is 8 bytes long, page-aligned, writable and lives as long as `self`;
        // all processes that share it go through atomics as well.
        unsafe { AtomicI64::from_ptr(self.map.as_mut_ptr().cast()) }
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, as the workers write it into the ledger.
pub fn monotonic() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advance_is_in_the_file_for_all_to_see() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("clock");
        let clock = Clock::create(&path).expect("a clock");
        clock.advance(Duration::from_millis(2500));
        clock.advance(Duration::from_nanos(1));
        let bytes: [u8; 8] = std::fs::read(&path).expect("a file").try_into().expect("8 bytes");
        assert_eq!(i64::from_ne_bytes(bytes), 2_500_000_001);
    }
}
