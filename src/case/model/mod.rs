//! A case, read and checked: what the rest of the program works with.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::Value;

use super::bound::Bound;
use crate::case::verdict::Verdict;

mod fault;
mod http;
mod quantity;
mod service;
mod step;

pub use fault::{Fault, Link, Server, Trigger};
pub use http::{Asked, BROWSER, Body, CACHES, CacheCount, CacheKind, Http, HttpCount, METHODS, Member, Part};
pub use quantity::{
    Direction, GROWTHS, Per, Quantity, RedisField, StatementFilter, StatementUnit, StatusFilter, TaskCount, WRITES,
};
pub use service::{POLICIES, PostgresService, RedisService, Services};
pub use step::{Action, Enqueue, Hold, ROLES, Role, SCHEDULES, SIGNALS, Schedule, Step, WaitFor, What};

/// The python actor that every arm has: it enqueues and schedules where no other is named.
pub const CLIENT: &str = "client";

/// One case file.
#[derive(Debug, Clone)]
pub struct Case {
    /// Path below the cases folder without its ending, e.g. `django_q/stat_master_list`.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// What goes wrong, in one line.
    pub title: String,
    /// Upstream threads, e.g. `django-q2#321`.
    pub issues: Vec<String>,
    /// What the machine must have; a need that is not met is SKIPPED, with the reason.
    pub needs: Needs,
    /// The case's own app: a package beside the case file, which its fixes may edit.
    pub app: Option<App>,
    /// The base: packages, settings, environment and vars of the reverted state.
    pub base: Delta,
    /// Actors by name, in the file's order.
    pub actors: IndexMap<String, ActorSpec>,
    /// What some of them change of the state for themselves alone.
    pub actor_changes: IndexMap<String, ActorChange>,
    /// How often each state is run (default 1): invariants that flip make it FLAKY.
    pub repeat: u32,
    /// The var over which the case is run, for invariants that look at `growth`.
    pub growth: Option<Growth>,
    /// Fixes by name, in the file's order. Without one the case reproduces an open bug.
    pub fixes: IndexMap<String, Fix>,
    /// For a case without a fix: the change that must make the bug go away, and what then holds.
    pub control: Option<Control>,
    /// The verdict that a case without a fix must get (default REPRODUCED).
    pub verdict: Verdict,
    /// The incident.
    pub steps: Vec<Step>,
    /// What is judged, by name, in the file's order.
    pub invariants: IndexMap<String, Invariant>,
}

/// A case's own app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The package: the name of its folder.
    pub package: String,
    /// The folder that its folder is in.
    pub root: PathBuf,
}

/// A var and the values that it takes, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// The var; declared in the case's `vars`.
    pub var: String,
    /// Numbers, ascending, at least three.
    pub values: Vec<Value>,
}

/// What the machine must have for a case to run.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// The Python to use, e.g. `3.11`; absent: the one the run was given.
    pub python: Option<String>,
    /// Least major version of Postgres.
    pub postgres: Option<u32>,
}

/// A change of what an arm runs. The case itself is the first one; a fix comes on top.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delta {
    /// Distribution name -> version specifier as pip knows it without a leading `==` (`5.2.*`, `1.9.0`).
    pub packages: IndexMap<String, String>,
    /// Files of another release's wheel.
    pub take: Option<Take>,
    /// A unified diff over files named from a folder of `sys.path` (`django_q/status.py`).
    pub patch: Option<String>,
    /// Named spans of the applied state.
    pub edits: IndexMap<String, Edit>,
    /// Django settings; merged deeply over what they change.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, String>,
    /// Values for `$name` in settings, env, services, steps and bounds.
    pub vars: IndexMap<String, Value>,
    /// What the servers are; merged field by field over what it changes.
    pub services: Services,
}

impl Delta {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What one actor changes of the state, for itself alone: a rolling deploy has clusters of different releases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActorChange {
    /// Distribution name -> version specifier without a leading `==`.
    pub packages: IndexMap<String, String>,
    /// Django settings; merged deeply over the state's.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, String>,
}

impl ActorChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Files of another release's wheel, put in place of this release's.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Distribution name, e.g. `django-q2`.
    pub package: String,
    /// Its version, e.g. `1.10.0`.
    pub version: String,
    /// Files inside the wheel, e.g. `django_q/brokers/__init__.py`.
    pub files: Vec<String>,
}

/// A span of source text in both states. With `take` or `patch` it names a part of what they
/// changed; without them it makes the change itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The file, named from a folder of `sys.path`: `django_q/brokers/__init__.py`.
    pub file: String,
    /// Its text in the applied state; must match once.
    pub applied: String,
    /// Its text in the reverted state; must match once where the edit makes the change.
    pub reverted: String,
    /// Why no invariant needs it, where the case says so.
    pub unpinned: Option<String>,
}

/// A fix and the verdict that it must get.
#[derive(Debug, Clone)]
pub struct Fix {
    /// What it changes.
    pub delta: Delta,
    /// Default PROVEN; a known wrong fix says `NOT FIXED`.
    pub verdict: Verdict,
}

/// The negative control of a case without a fix.
#[derive(Debug, Clone)]
pub struct Control {
    /// What it changes.
    pub delta: Delta,
    /// Bounds, by the name of the invariant, that must hold then; parsed by [`super::resolve`].
    pub bounds: IndexMap<String, Scalar>,
}

/// A process (group) of the app that the harness drives.
#[derive(Debug, Clone, PartialEq)]
pub enum ActorSpec {
    /// `cluster: simulated`: a django-q2 cluster played inside one process.
    SimulatedCluster,
    /// `cluster: real`: the `qcluster` command in its own process group, in real time.
    RealCluster {
        /// How many of them (default 1).
        count: Scalar,
    },
    /// `python: MODULE`: runs code of the case in that module's namespace.
    Python {
        /// Dotted module; may be empty.
        module: String,
    },
    /// `serve: wsgi`: the app's pages.
    Web {
        /// Requests that it handles at the same time (default 4, as waitress has it).
        threads: Scalar,
    },
    /// `cache: KIND`: a proxy between browsers and the app.
    Proxy {
        /// Of [`CACHES`].
        kind: Scalar,
        /// The web actor, or the next proxy, that it asks.
        to: String,
        /// Real time that it waits for an answer (default 60 s).
        timeout: Option<Scalar>,
    },
    /// `stranger: NAME`: who connects to the arm's database alone, not through Django.
    Stranger {
        /// The name that it gives to the server.
        application_name: String,
    },
}

impl ActorSpec {
    /// Whether it is a cluster of django-q2.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::SimulatedCluster | Self::RealCluster { .. })
    }

    /// Whether it answers web requests.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Web { .. } | Self::Proxy { .. })
    }

    /// Whether it is one process of ours from its fork to the end of its arm, whose memory can be told.
    pub fn is_one_process(&self) -> bool {
        matches!(self, Self::SimulatedCluster | Self::Python { .. } | Self::Web { .. })
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SimulatedCluster => "a simulated cluster",
            Self::RealCluster { .. } => "a real cluster",
            Self::Python { .. } => "a python actor",
            Self::Web { .. } => "a web actor",
            Self::Proxy { .. } => "a proxy",
            Self::Stranger { .. } => "a stranger",
        }
    }
}

/// A single YAML value (not a list, not a mapping) that may be or hold `$vars`.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean", "null"]))]
pub struct Scalar(pub Value);

/// What is judged.
#[derive(Debug, Clone)]
pub struct Invariant {
    /// What it looks at.
    pub of: Quantity,
    /// Counts per this unit, over the same window.
    pub per: Option<Per>,
    /// Bounds per state, which may still hold `$vars`.
    pub bounds: StateBounds<Scalar>,
    /// Line in the case file, 1-based.
    pub line: usize,
}

/// The bounds of an invariant, per state: written ([`Scalar`]) or resolved ([`Bound`]).
#[derive(Debug, Clone, PartialEq)]
pub enum StateBounds<B = Bound> {
    /// `applied` and `reverted`: what tells the states apart. A case without a fix has `reverted` only.
    Each {
        /// Must hold with the fix.
        applied: Option<B>,
        /// Must hold without it.
        reverted: B,
    },
    /// `both`: a guard.
    Both(B),
}
