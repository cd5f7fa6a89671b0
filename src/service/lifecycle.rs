//! What can be done to the processes of a server, wherever it runs.

use std::fmt;

use crate::error::Result;

/// One of the things that can be done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// SIGKILL to all its processes; returns when they are gone.
    Kill,
    /// An ordered shutdown; returns when it is done.
    Stop,
    /// It is started again where it listened, on what it has kept; returns when it answers.
    Start,
    /// All its processes stand still (SIGSTOP): connections stay, nothing answers.
    Pause,
    /// It goes on.
    Resume,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
        })
    }
}

/// A server whose processes can be ended, and be there again.
pub trait Lifecycle {
    /// Does it.
    ///
    /// # Errors
    ///
    /// Cannot run if it takes too long, or somebody else runs the server.
    fn change(&self, change: Change) -> impl Future<Output = Result<()>> + Send;

    /// See [`Change::Kill`].
    fn kill(&self) -> impl Future<Output = Result<()>> + Send {
        self.change(Change::Kill)
    }

    /// See [`Change::Stop`].
    fn stop(&self) -> impl Future<Output = Result<()>> + Send {
        self.change(Change::Stop)
    }

    /// See [`Change::Start`].
    fn start(&self) -> impl Future<Output = Result<()>> + Send {
        self.change(Change::Start)
    }

    /// See [`Change::Pause`].
    fn pause(&self) -> impl Future<Output = Result<()>> + Send {
        self.change(Change::Pause)
    }

    /// See [`Change::Resume`].
    fn resume(&self) -> impl Future<Output = Result<()>> + Send {
        self.change(Change::Resume)
    }
}
