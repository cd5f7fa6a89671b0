//! Processes of a cluster: which there are, what they are sent, and where one stops itself.

use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::case::unit;
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::error::refused;
use crate::case::yaml::text;

/// Processes of a real cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Role")]
#[serde(rename = "a process of a cluster", rename_all = "lowercase", expecting = "a text")]
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

impl Role {
    /// The default of what is done to processes.
    pub const fn group() -> Self {
        Self::Group
    }

    /// The default of what an operator sends.
    pub const fn parent() -> Self {
        Self::Parent
    }
}

/// Signals that an operator sends.
#[derive(Deserialize, JsonSchema)]
#[serde(remote = "Signal", rename = "a signal that can be sent", expecting = "a text")]
#[schemars(rename = "SignalWord")]
#[expect(clippy::upper_case_acronyms, reason = "they are named as what they stand for")]
pub enum SignalWord {
    #[serde(rename = "TERM")]
    SIGTERM,
    #[serde(rename = "INT")]
    SIGINT,
    #[serde(rename = "HUP")]
    SIGHUP,
    #[serde(rename = "USR1")]
    SIGUSR1,
    #[serde(rename = "USR2")]
    SIGUSR2,
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

/// The sides of a call.
#[derive(PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Side")]
#[serde(rename = "a side of a call", rename_all = "lowercase", expecting = "a text")]
pub enum Side {
    Entry,
    Return,
}

fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Side::deserialize(deserializer).map(|side| side == Side::Return)
}

/// The role of one process.
fn holder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
    match Role::deserialize(deserializer)? {
        role @ (Role::Group | Role::Held) => {
            let message = format!("`{}` is not the role of one process", text::word(role));
            let help = "it can be parent, sentinel, pusher, monitor or worker";
            Err(refused(Diagnostic::new(message).help(help)))
        }
        role => Ok(Some(role)),
    }
}
