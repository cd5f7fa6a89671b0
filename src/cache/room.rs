//! Room on the disk of the cache.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::folders::{MB, VARIABLE};
use crate::error::{Error, Result};

/// A disk with less than this is full, whatever was expected.
const FULL: u64 = MB;

/// Bytes that are free for this user below this path.
pub fn free(path: &Path) -> u64 {
    statvfs(path).map_or(0, |numbers| numbers.blocks_available() * numbers.fragment_size())
}

/// Refuses to begin what will not fit.
pub(super) fn check(folder: &Path, needed: u64) -> Result<()> {
    let free = free(folder);
    if free >= needed { Ok(()) } else { Err(full(folder, free, needed)) }
}

/// What came of building something; where the disk has filled meanwhile, that is the reason, whatever the builder says.
pub(super) fn explain(built: Result<()>, folder: &Path, needed: u64) -> Result<()> {
    built.map_err(|error| {
        let free = free(folder);
        if free < FULL { full(folder, free, needed) } else { error }
    })
}

fn full(folder: &Path, free: u64, needed: u64) -> Error {
    let message = format!("cache disk full: {} MB free, about {} needed", free / MB, needed.div_ceil(MB));
    Error::cannot_run(message)
        .hint(format!("make room in {}, or set {VARIABLE} to a folder on another disk", folder.display()))
}
