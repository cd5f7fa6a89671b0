//! Consumers of events. The console owns the terminal; the others write files.

mod console;
mod matrix;
mod output;
mod progress;
mod release_table;
mod results;
mod text;
mod under_way;

pub use console::{Console, Style};
pub use matrix::Matrix;
pub use output::OutputDirectory;
pub use progress::Progress;
pub use release_table::{Cell, Found, ReleaseTable, Row};
pub use results::Results;

use std::io;

use crate::error::{Error, Result};
use crate::runner::Event;

/// Consumes the events of a run.
pub trait Reporter {
    /// Takes one event.
    fn event(&mut self, event: &Event) -> Result<()>;
}

/// What came of writing to standard output. `dj-regress | head` is no error: the reader has gone, the run goes on to its
/// exit code.
pub(crate) fn unless_gone(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::cannot_run(format!("write to standard output: {error}"))),
    }
}
