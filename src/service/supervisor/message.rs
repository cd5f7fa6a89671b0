//! What controller and supervisor say to each other: one JSON object per line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::clock::Preload;

/// A request; every one is answered by a [`Reply::Answer`] with its number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub number: u64,
    pub order: Order,
}

/// What the supervisor is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Spawn(Box<Spawn>),
    Signal { target: Target, signal: i32 },
    EndSessions(Vec<u32>),
    EndTree(u32),
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is in its own session and holds its lock.
    Ready { pid: u32 },
    /// The request with this number was done (the pid of what was spawned, else the number of processes reached), or
    /// why it could not be.
    Answer { number: u64, result: Result<u32, String> },
    /// A child or an adopted grandchild has ended and was reaped.
    Exited { pid: u32, session: u32, exit: Exit },
}

/// Where programs are looked for, whatever the caller says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process to start. Its environment is what is said here and nothing of the caller's; its standard input is empty, its
/// output goes to the log; it gets its own session (so its pid is its session id), no other open files, default signal
/// dispositions, no blocked signals and umask 022.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spawn {
    /// For messages.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its environment, besides the variable that names the run.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Run as this user and group; only root can.
    pub user: Option<(u32, u32)>,
    /// Where its output is appended.
    pub log: PathBuf,
    /// How it is ended when the run ends.
    pub ending: Ending,
}

impl Spawn {
    /// A process with a minimal environment, ended by SIGKILL.
    pub fn new(name: &str, command: Vec<String>, directory: &Path, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            command,
            environment: [("PATH", PATH), ("LANG", "C.UTF-8")].map(|(name, value)| (name.into(), value.into())).into(),
            directory: directory.to_owned(),
            user: None,
            log: log.to_owned(),
            ending: Ending::Kill,
        }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts it with a clock.
    #[must_use]
    pub fn preload(mut self, clock: &Preload) -> Self {
        self.environment.extend(clock.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        self
    }
}

/// How a process is ended when the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// SIGKILL, at once.
    Kill,
    /// SIGQUIT to it, and it ends its own children: Postgres, which then frees its shared memory.
    Quit,
}

/// What a signal goes to. Only descendants of the supervisor are ever reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The process with this id.
    Process(u32),
    /// All processes of this process group.
    Group(u32),
    /// All processes of this session.
    Session(u32),
    /// This process and all below it; one that forks is stopped before its children are looked for.
    Tree(u32),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => f.write_str(signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}
