//! A case, read and checked: what the rest of the program works with.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::Value;

use super::bound::Bound;
pub use super::quantity::{Direction, GROWTHS, Per, Quantity, StatementFilter, StatementUnit, WRITES};
use crate::judge::Verdict;

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
    /// The base: packages, settings, environment and vars of the reverted state.
    pub base: Delta,
    /// Actors by name, in the file's order.
    pub actors: IndexMap<String, ActorSpec>,
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
#[derive(Debug, Clone, Default)]
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
    /// Values for `$name` in settings, env, steps and bounds.
    pub vars: IndexMap<String, Value>,
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

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SimulatedCluster => "a simulated cluster",
            Self::RealCluster { .. } => "a real cluster",
            Self::Python { .. } => "a python actor",
            Self::Stranger { .. } => "a stranger",
        }
    }
}

/// One step, with the name that its window and readings go by.
#[derive(Debug, Clone)]
pub struct Step {
    /// `as`: the name of the window.
    pub name: Option<String>,
    /// What is done.
    pub action: Action,
    /// Line in the case file, 1-based, for messages.
    pub line: usize,
}

/// What a step does. Counts and texts may still hold `$vars`: see [`super::resolve`].
#[derive(Debug, Clone)]
pub enum Action {
    /// Starts an actor.
    Start {
        /// The actor.
        actor: String,
    },
    /// Stops a real cluster.
    Stop {
        /// The actor.
        actor: String,
    },
    /// Restarts a simulated cluster `count` times.
    Restart {
        /// The actor.
        actor: String,
        /// How many times.
        count: Scalar,
    },
    /// Heartbeats.
    Beat {
        /// The actor.
        actor: String,
        /// How many.
        count: Scalar,
        /// Virtual time between two of them.
        every: Option<Scalar>,
    },
    /// Runs queued tasks in the actor's process until none is left.
    Drain {
        /// The actor.
        actor: String,
    },
    /// Runs Python source in an actor.
    Python {
        /// The actor.
        actor: String,
        /// Source text.
        source: Scalar,
        /// How often.
        times: Scalar,
    },
    /// Runs SQL on the arm's database: as a stranger, or as the harness, which no measurement counts.
    Sql {
        /// The stranger; absent: the harness.
        actor: Option<String>,
        /// One statement; the rows affected or the single value returned become the reading `name`.
        statement: Scalar,
    },
    /// Evaluates Python expressions as the actor `probe`.
    Read {
        /// Reading -> expression.
        readings: IndexMap<String, Scalar>,
    },
    /// Moves the virtual clock of the whole arm.
    Advance {
        /// By so much.
        by: Scalar,
    },
    /// Several steps as one window.
    Measure {
        /// The steps.
        steps: Vec<Step>,
    },
    /// A wall-clock window: lets real clusters live for so long.
    MeasureFor {
        /// So long.
        time: Scalar,
    },
}

impl Action {
    /// The verb as it is written.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Beat { .. } => "beat",
            Self::Drain { .. } => "drain",
            Self::Python { .. } => "python",
            Self::Sql { .. } => "sql",
            Self::Read { .. } => "read",
            Self::Advance { .. } => "advance",
            Self::Measure { .. } | Self::MeasureFor { .. } => "measure",
        }
    }

    /// The actor that does it, where one does.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Start { actor }
            | Self::Stop { actor }
            | Self::Restart { actor, .. }
            | Self::Beat { actor, .. }
            | Self::Drain { actor }
            | Self::Python { actor, .. } => Some(actor),
            Self::Sql { actor, .. } => actor.as_deref(),
            Self::Read { .. } | Self::Advance { .. } | Self::Measure { .. } | Self::MeasureFor { .. } => None,
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
