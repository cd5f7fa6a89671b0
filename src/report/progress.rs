//! What is under way: on standard error, where it does not mix with what is found.

use std::io::{self, IsTerminal as _, Write as _};

/// The line that says what is under way. It is only there where standard error is a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Looks at standard error.
    pub fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() }
    }

    /// Shows this instead of what was shown; an empty text makes way for other output.
    pub fn show(self, what: &str) -> io::Result<()> {
        if self.is_shown { write!(io::stderr(), "\r\x1b[K{what}\r") } else { Ok(()) }
    }

    /// Something slow and rare: said also where there is no terminal, so that a CI log explains its minute.
    pub fn announce(self, what: &str) -> io::Result<()> {
        self.show("")?;
        writeln!(io::stderr(), "# {what}")
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
