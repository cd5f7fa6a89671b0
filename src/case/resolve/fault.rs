//! Faults with nothing left to substitute.

use std::time::Duration;

use crate::case::model::{Link, Server};

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The actor whose wire is watched.
    pub actor: String,
    /// After so many further statements (Redis: commands) of it.
    pub statements: u64,
}

/// Where a connection is cut, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutAt {
    /// The server has executed COMMIT (Redis: EXEC), and nothing of its answer is passed on.
    AfterCommit,
    /// COMMIT (Redis: EXEC) is not passed on.
    BeforeCommit,
    /// The server has executed the statement (Redis: the command) that was sent as the n-th since the cut was set, and
    /// nothing of its answer is passed on.
    AfterStatements(u64),
    /// The clients' first n bytes since the cut was set are passed on.
    AfterBytes(u64),
}

/// What breaks; see [`model::Fault`](crate::case::model::Fault).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of model::Fault")]
pub enum Fault {
    /// SIGKILL of all the server's processes; undone by starting it again.
    Kill { server: Server, after: Option<Trigger> },
    /// An ordered shutdown; undone by starting it again.
    Stop { server: Server, after: Option<Trigger> },
    /// SIGKILL, and started again.
    Restart { server: Server, after: Option<Trigger> },
    /// SIGSTOP; undone by SIGCONT.
    Pause { server: Server, after: Option<Trigger> },
    /// `pg_terminate_backend` of all the actor's backends.
    Terminate { actor: String },
    /// New connections are refused: one actor's, or all.
    Refuse { server: Server, from: Option<String> },
    /// What is sent arrives late.
    Latency { link: Link, latency: Duration, jitter: Duration },
    /// Bytes pass slowly, each way.
    Bandwidth { link: Link, bytes_per_second: u64 },
    /// The connection is closed there, once.
    Cut { link: Link, at: CutAt },
    /// All connections are closed at once.
    Reset { link: Link },
    /// What is sent vanishes.
    BlackHole { link: Link },
    /// Nothing passes until it is over.
    Partition { link: Link },
    /// Redis has no memory left.
    Fill,
    /// Redis forgets everything.
    Flush,
    /// Redis evicts what it may.
    Evict,
}

impl Fault {
    /// Whether it is over at once, so that nothing can be done while it lasts.
    pub fn is_momentary(&self) -> bool {
        matches!(
            self,
            Self::Restart { after: None, .. } | Self::Terminate { .. } | Self::Reset { .. } | Self::Flush | Self::Evict
        )
    }

    /// When it strikes, where that is said.
    pub fn trigger(&self) -> Option<&Trigger> {
        match self {
            Self::Kill { after, .. }
            | Self::Stop { after, .. }
            | Self::Restart { after, .. }
            | Self::Pause { after, .. } => after.as_ref(),
            _ => None,
        }
    }

    /// The servers that must be there for it.
    pub fn servers(&self) -> Vec<Server> {
        match self {
            Self::Kill { server, .. }
            | Self::Stop { server, .. }
            | Self::Restart { server, .. }
            | Self::Pause { server, .. }
            | Self::Refuse { server, .. } => vec![*server],
            Self::Latency { link, .. }
            | Self::Bandwidth { link, .. }
            | Self::Cut { link, .. }
            | Self::Reset { link }
            | Self::BlackHole { link }
            | Self::Partition { link } => vec![link.server],
            Self::Terminate { .. } => vec![Server::Postgres],
            Self::Fill | Self::Flush | Self::Evict => vec![Server::Redis],
        }
    }

    /// Whether all who use the server notice: its processes are hurt, or Redis is filled or emptied as a whole.
    pub fn is_noticed_by_all(&self) -> bool {
        self.hurts().is_some() || matches!(self, Self::Fill | Self::Flush | Self::Evict)
    }

    /// The server whose processes it hurts; what only stands between actors and servers hurts none.
    pub fn hurts(&self) -> Option<Server> {
        match self {
            Self::Kill { server, .. }
            | Self::Stop { server, .. }
            | Self::Restart { server, .. }
            | Self::Pause { server, .. } => Some(*server),
            _ => None,
        }
    }
}
