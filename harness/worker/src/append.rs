//! Files that all processes of an arm append to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use dj_regress_protocol::line;
use serde::Serialize;

use crate::clock;

/// A file of records, one JSON object per line. Forked children write to it, executed programs do not (`O_CLOEXEC`).
pub struct Records(File);

impl Records {
    /// Opens the file at its end, made where there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().append(true).create(true).open(path)?))
    }

    /// One record, one `write(2)`: lines of several processes do not mix.
    pub fn write<T: Serialize>(&self, record: &T) -> io::Result<()> {
        (&self.0).write_all(&line(record)?)
    }
}

/// The machine's `CLOCK_MONOTONIC`: not moved by the arm's clock, and the same in all processes of the machine.
pub fn monotonic() -> u64 {
    clock::machine() as u64
}
