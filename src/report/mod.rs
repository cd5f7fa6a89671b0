//! Consumers of events, and the terminal that some of them write to.

mod console;
mod matrix;
mod output;
mod release_table;
mod results;
pub mod terminal;
pub(crate) mod text;
mod under_way;

pub use console::{Console, Style};
pub use matrix::Matrix;
pub use output::OutputDirectory;
pub use release_table::{Cell, Found, ReleaseTable, Row};
pub use results::Results;
pub use terminal::Progress;

use crate::error::Result;
use crate::runner::Event;

/// Consumes the events of a run.
pub trait Reporter {
    /// Takes one event.
    fn event(&mut self, event: &Event) -> Result<()>;

    /// The run is over, whatever has ended it: the error says where there is what could not be put where it belongs.
    fn over(&mut self) -> Result<()> {
        Ok(())
    }
}
