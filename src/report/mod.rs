//! Consumers of events, and the terminal that some of them write to.

mod console;
mod matrix;
mod output;
mod results;
mod sheet;
pub mod terminal;
pub(crate) mod text;

pub use console::{Console, Style};
pub use matrix::Matrix;
pub use output::OutputDirectory;
pub use results::Results;
pub use sheet::{Cell, Found, Row, Sheet};
pub use terminal::Progress;

use crate::error::Result;
use crate::runner::Event;

/// Consumes the events of a run.
pub trait Reporter {
    /// Takes one event.
    fn event(&mut self, event: &Event) -> Result<()>;
}
