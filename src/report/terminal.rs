//! The terminal: whatever is written to it is written here. What is found goes to standard output; what is under way,
//! and what went wrong, to standard error.

use std::env;
use std::io::{self, IsTerminal as _, Stdout, Write as _};

use terminal_size::{Width, terminal_size_of};

use super::text;
use crate::error::{Error, ErrorKind, Result};

/// Columns, where a terminal does not say how many it has.
const COLUMNS: usize = 80;

/// Standard output.
pub fn out() -> Stdout {
    io::stdout()
}

/// Whether standard output shows colours, and is to.
pub fn has_colour() -> bool {
    io::stdout().is_terminal() && !is_dumb() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints what was found; a reader that has gone is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = out().lock();
    unless_gone(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Says something by the way. Nobody may listen: that changes nothing.
pub fn note(what: &str) {
    let _ = writeln!(io::stderr(), "# {what}");
}

/// Asks for a line. An end of input is an empty one.
pub fn ask(question: &str) -> Result<String> {
    let mut stderr = io::stderr().lock();
    let mut answer = String::new();
    let asked =
        write!(stderr, "{question}").and_then(|()| stderr.flush()).and_then(|()| io::stdin().read_line(&mut answer));
    asked.map_err(|error| Error::cannot_run(format!("ask: {error}")))?;
    Ok(answer.trim().to_owned())
}

/// Says why a command could not do its work, and what to do next. Nobody may listen.
pub fn error(error: &Error) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "error: {error}");
    if let Some(hint) = &error.hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    if error.kind == ErrorKind::Bug {
        let _ = writeln!(stderr, "this is a bug in dj-regress: please report it with the command and this text");
    }
}

/// What came of writing to standard output. `dj-regress | head` is no error: the reader has gone, the run goes on to its
/// exit code.
pub(crate) fn unless_gone(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::cannot_run(format!("write to standard output: {error}"))),
    }
}

/// A terminal that knows no escape codes, e.g. an editor's.
fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// The line that says what is under way. It is only there where standard error is a terminal that can take it back.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Looks at standard error.
    pub fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() && !is_dumb() }
    }

    /// Shows this instead of what was shown; an empty text makes way for other output.
    pub fn show(self, what: &str) {
        if self.is_shown {
            // A longer line would wrap, and only its end would be taken back. The last column stays free for the cursor.
            let columns = terminal_size_of(io::stderr()).map_or(COLUMNS, |(Width(columns), _)| usize::from(columns));
            let line = text::cut(&text::plain(what), columns.saturating_sub(1));
            let _ = write!(io::stderr(), "\r\x1b[K{line}\r");
        }
    }

    /// Something slow and rare: said also where there is no terminal, so that a CI log explains its minute.
    pub fn announce(self, what: &str) {
        self.show("");
        note(what);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
