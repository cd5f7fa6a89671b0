//! Errors that the user or the machine can cause, told apart from bugs in dj-regress.

use std::fmt;
use std::path::Path;

/// What an error means for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line or a case file is wrong: exit 3.
    Usage,
    /// Nothing was selected: exit 4.
    NothingSelected,
    /// The machine cannot run what was asked: exit 2.
    CannotRun,
    /// SIGINT or SIGTERM came: exit 130, as a shell says it.
    Interrupted,
    /// A bug in dj-regress: exit 70.
    Bug,
}

/// An error with what was asked, what was found, and (as its hint) what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What it means for the exit code.
    pub kind: ErrorKind,
    /// What was asked and what was found; no final full stop.
    pub message: String,
    /// What to do next; one line or more.
    pub hint: Option<String>,
}

/// A path as messages show it: from where the user stands, if it is below.
pub fn shown(path: &Path) -> std::path::Display<'_> {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).ok().filter(|inside| !inside.as_os_str().is_empty()).unwrap_or(path).display()
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The command line or a case file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Nothing was selected.
    pub fn nothing_selected(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NothingSelected, message)
    }

    /// The machine cannot run what was asked.
    pub fn cannot_run(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CannotRun, message)
    }

    /// SIGINT or SIGTERM came.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }

    /// A folder cannot be there, if it or a part of its path is a file.
    pub fn file_in_the_way(folder: &Path) -> Option<Self> {
        let file = folder.ancestors().find(|part| part.exists()).filter(|part| !part.is_dir());
        file.map(|file| Self::usage(format!("`{}` is a file", file.display())))
    }

    /// A bug in dj-regress.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what another error, which came later, says to do.
    #[must_use]
    pub fn hinted_by(mut self, later: Self) -> Self {
        let more = match later.hint {
            Some(hint) if self.hint.as_ref() == Some(&hint) => return self,
            Some(hint) => hint,
            None => later.message,
        };
        self.hint = Some(self.hint.map_or_else(|| more.clone(), |hint| format!("{hint}\n{more}")));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for String {
    /// The sentence alone, for what becomes a reason in a report.
    fn from(error: Error) -> Self {
        error.message
    }
}

/// Says what was being done when an error of a library came.
pub trait Context<T> {
    /// Turns the error into "cannot run": `doing: error`.
    fn cannot_run(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn cannot_run(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::cannot_run(format!("{}: {error}", doing())))
    }
}
