//! Processes of a cluster: which there are, what they are sent, and where one stops itself.

use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::case::unit;
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::error::refused;
use crate::case::yaml::text;

/// Processes of a real cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Role {
    /// All of them.
    Group,
    /// The process of the command.
    Parent,
    /// The one that watches the others.
    Sentinel,
    /// The one that takes tasks from the broker.
    Pusher,
    /// The one that saves results.
    Monitor,
    /// One that runs tasks.
    Worker,
    /// The one that a hold stopped.
    Held,
}

/// The roles, as they are written.
const ROLES: [(&str, Role); 7] = [
    ("group", Role::Group),
    ("parent", Role::Parent),
    ("sentinel", Role::Sentinel),
    ("pusher", Role::Pusher),
    ("monitor", Role::Monitor),
    ("worker", Role::Worker),
    ("held", Role::Held),
];

impl Role {
    /// As it is written.
    pub fn word(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(word, _)| word)
    }

    /// The default of what is done to processes.
    pub const fn group() -> Self {
        Self::Group
    }

    /// The default of what an operator sends.
    pub const fn parent() -> Self {
        Self::Parent
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::meaning(deserializer, "a process of a cluster", ROLES)
    }
}

/// Signals that an operator sends, as they are written.
const SIGNALS: [(&str, Signal); 5] = [
    ("TERM", Signal::SIGTERM),
    ("INT", Signal::SIGINT),
    ("HUP", Signal::SIGHUP),
    ("USR1", Signal::SIGUSR1),
    ("USR2", Signal::SIGUSR2),
];

/// The words of [`SIGNALS`], for the schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes signals to the schema")]
#[schemars(rename_all = "UPPERCASE")]
pub enum SignalWord {
    Term,
    Int,
    Hup,
    Usr1,
    Usr2,
}

/// Reads a signal.
pub fn read_signal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signal, D::Error> {
    text::meaning(deserializer, "a signal that can be sent", SIGNALS)
}

/// What an operator sends to end a cluster.
pub const fn term() -> Signal {
    Signal::SIGTERM
}

/// Where a process stops itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldSpec {
    /// The moment: `before_task`, `after_task`, `before_ack`, `after_ack`, one of the app's own, or a function:
    /// `module:function`, `module:Class.method`.
    #[serde(rename = "at", default)]
    pub moment: String,
    /// Of a function: its `entry` (default) or its `return`.
    #[serde(rename = "when", default, deserialize_with = "side")]
    #[schemars(with = "Side")]
    pub at_return: bool,
    /// The n-th call counts (default 1).
    #[serde(default = "unit::once", deserialize_with = "unit::read_ordinal")]
    pub call: u64,
    /// Only calls by a process of this role count: parent, sentinel, pusher, monitor or worker.
    #[serde(default, deserialize_with = "holder")]
    pub role: Option<Role>,
    /// Of a web actor: true holds every thread that comes, not only the first.
    #[serde(default)]
    pub every: bool,
}

/// The sides of a call, for the schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes sides to the schema")]
#[schemars(rename_all = "lowercase")]
pub enum Side {
    Entry,
    Return,
}

fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    text::meaning(deserializer, "a side of a call", [("entry", false), ("return", true)])
}

/// The role of one process.
fn holder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
    match Role::deserialize(deserializer)? {
        role @ (Role::Group | Role::Held) => {
            let message = format!("`{}` is not the role of one process", role.word());
            let help = "it can be parent, sentinel, pusher, monitor or worker";
            Err(refused(Diagnostic::new(message).help(help)))
        }
        role => Ok(Some(role)),
    }
}
