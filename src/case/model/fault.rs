//! Faults: what can be done to a server, or to what stands between an actor and a server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scalar;

/// A server that an arm's actors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// The arm's database.
    Postgres,
    /// The arm's Redis.
    Redis,
}

impl Server {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// What actors send to it.
    pub fn requests(self) -> &'static str {
        match self {
            Self::Postgres => "statements",
            Self::Redis => "commands",
        }
    }
}

/// What stands between an actor and a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The actor.
    pub actor: String,
    /// The server.
    pub server: Server,
}

/// When a fault strikes. Its count may hold `$vars`.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The actor whose wire is watched.
    pub actor: String,
    /// After so many further statements (Redis: commands) of it.
    pub statements: Scalar,
}

/// A fault. Amounts and moments may still hold `$vars`: see [`crate::case::resolve`].
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// SIGKILL of all the server's processes; undone by starting it again.
    Kill {
        /// The server.
        server: Server,
        /// When; absent: at once.
        after: Option<Trigger>,
    },
    /// An ordered shutdown; undone by starting it again.
    Stop {
        /// The server.
        server: Server,
        /// When; absent: at once.
        after: Option<Trigger>,
    },
    /// SIGKILL, and started again.
    Restart {
        /// The server.
        server: Server,
        /// When; absent: at once.
        after: Option<Trigger>,
    },
    /// SIGSTOP; undone by SIGCONT.
    Pause {
        /// The server.
        server: Server,
        /// When; absent: at once.
        after: Option<Trigger>,
    },
    /// `pg_terminate_backend` of all the actor's backends.
    Terminate {
        /// The actor.
        actor: String,
    },
    /// New connections are refused.
    Refuse {
        /// The server.
        server: Server,
        /// Those of this actor; absent: of all.
        from: Option<String>,
    },
    /// What is sent arrives late.
    Latency {
        /// Between whom.
        link: Link,
        /// By so much, each way.
        latency: Scalar,
        /// And up to so much more or less.
        jitter: Option<Scalar>,
    },
    /// Bytes pass slowly.
    Bandwidth {
        /// Between whom.
        link: Link,
        /// Bytes per second, each way.
        rate: Scalar,
    },
    /// The connection is closed at a certain point, once.
    Cut {
        /// Between whom.
        link: Link,
        /// `after COMMIT`, `before COMMIT`, `after 3 statements`, `after 4096 B`.
        at: Scalar,
    },
    /// All connections are closed at once.
    Reset {
        /// Between whom.
        link: Link,
    },
    /// What is sent vanishes.
    BlackHole {
        /// Between whom.
        link: Link,
    },
    /// Nothing passes until it is over.
    Partition {
        /// Between whom.
        link: Link,
    },
    /// Redis has no memory left.
    Fill,
    /// Redis forgets everything.
    Flush,
    /// Redis evicts what it may.
    Evict,
}

impl Fault {
    /// Its kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Pause { .. } => "pause",
            Self::Terminate { .. } => "terminate",
            Self::Refuse { .. } => "refuse",
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Cut { .. } => "cut",
            Self::Reset { .. } => "reset",
            Self::BlackHole { .. } => "black hole",
            Self::Partition { .. } => "partition",
            Self::Fill => "fill",
            Self::Flush => "flush",
            Self::Evict => "evict",
        }
    }

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

    /// What it lies between, where it lies between two.
    pub fn link(&self) -> Option<&Link> {
        match self {
            Self::Latency { link, .. }
            | Self::Bandwidth { link, .. }
            | Self::Cut { link, .. }
            | Self::Reset { link }
            | Self::BlackHole { link }
            | Self::Partition { link } => Some(link),
            _ => None,
        }
    }
}
