//! Consumers of events. The console owns the terminal; the others write files.

mod console;
mod output;
mod results;
mod text;

pub use console::{Console, Style};
pub use output::OutputDirectory;
pub use results::Results;

use crate::error::Result;
use crate::runner::Event;

/// Consumes the events of a run.
pub trait Reporter {
    /// Takes one event.
    fn event(&mut self, event: &Event) -> Result<()>;
}
