//! A state with everything settled: deltas merged, variables put in, bounds and durations read.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::bound::Bound;
use super::diagnostic::Diagnostic;
use super::model::{Case, Delta, Edit, Per, Quantity, StateBounds, Take};
use super::node::Segment;
use super::resolver::{Resolved, Resolver, merge};
pub use super::vars::REDIS_URL;
use crate::error::{Error, Result};

/// A state of a case, ready to run.
#[derive(Debug, Clone, Default)]
pub struct ResolvedState {
    /// Distribution -> version specifier without a leading `==`.
    pub packages: IndexMap<String, String>,
    /// Files of another release's wheel.
    pub take: Option<Take>,
    /// A unified diff over files named from a folder of `sys.path`.
    pub patch: Option<String>,
    /// Named spans of the applied state.
    pub edits: IndexMap<String, Edit>,
    /// Django settings of the case, to be put over the shop's.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, String>,
    /// The variables that were put in.
    pub vars: IndexMap<String, Value>,
    /// Actors by name, in the file's order.
    pub actors: IndexMap<String, ResolvedActor>,
    /// The incident.
    pub steps: Vec<Step>,
    /// What is judged, by name.
    pub invariants: IndexMap<String, Invariant>,
}

/// An actor; see [`model::ActorSpec`](super::model::ActorSpec).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of model::ActorSpec")]
pub enum ResolvedActor {
    /// A django-q2 cluster played inside one process.
    SimulatedCluster,
    /// So many `qcluster` commands.
    RealCluster { count: u64 },
    /// Runs code of the case.
    Python { module: String },
    /// Connects alone, not through Django.
    Stranger { application_name: String },
}

/// One step with nothing left to substitute.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name of its window.
    pub name: Option<String>,
    /// What is done.
    pub action: Action,
    /// Line in the case file, 1-based.
    pub line: usize,
}

/// What a step does; see [`model::Action`](super::model::Action).
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of model::Action")]
pub enum Action {
    /// Starts an actor.
    Start { actor: String },
    /// Stops a real cluster.
    Stop { actor: String },
    /// Restarts a simulated cluster `count` times.
    Restart { actor: String, count: u64 },
    /// `count` heartbeats, `every` so much virtual time.
    Beat { actor: String, count: u64, every: Option<Duration> },
    /// Runs queued tasks until none is left.
    Drain { actor: String },
    /// Runs Python source `times` times.
    Python { actor: String, source: String, times: u64 },
    /// Runs one SQL statement as a stranger, or as the harness.
    Sql { actor: Option<String>, statement: String },
    /// Evaluates expressions as the actor `probe`.
    Read { readings: IndexMap<String, String> },
    /// Moves the virtual clock.
    Advance { by: Duration },
    /// Several steps as one window.
    Measure { steps: Vec<Step> },
    /// A window of so much real time.
    MeasureFor { time: Duration },
}

/// An invariant with its bounds read.
#[derive(Debug, Clone, PartialEq)]
pub struct Invariant {
    /// What it looks at.
    pub of: Quantity,
    /// What a count is divided by.
    pub per: Option<Per>,
    /// Bounds per state.
    pub bounds: StateBounds<Bound>,
    /// Line in the case file, 1-based.
    pub line: usize,
}

/// The control's state, and the bounds that must hold in it by the name of their invariant.
#[derive(Debug, Clone)]
pub struct ResolvedControl {
    /// The state.
    pub state: ResolvedState,
    /// The bounds.
    pub bounds: IndexMap<String, Bound>,
}

impl ResolvedState {
    /// Whether the state uses `$redis`, so that the arm needs a Redis of its own.
    pub fn uses_redis(&self) -> bool {
        self.settings.values().any(mentions_redis)
            || self.env.values().any(|text| text.contains(REDIS_URL))
            || self.steps.iter().any(step_mentions_redis)
    }
}

fn mentions_redis(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REDIS_URL),
        Value::Array(items) => items.iter().any(mentions_redis),
        Value::Object(entries) => entries.values().any(mentions_redis),
        _ => false,
    }
}

fn step_mentions_redis(step: &Step) -> bool {
    match &step.action {
        Action::Python { source, .. } => source.contains(REDIS_URL),
        Action::Sql { statement, .. } => statement.contains(REDIS_URL),
        Action::Read { readings } => readings.values().any(|source| source.contains(REDIS_URL)),
        Action::Measure { steps } => steps.iter().any(step_mentions_redis),
        _ => false,
    }
}

/// Resolves the base (no delta) or the base with a fix's delta over it.
pub fn resolve(case: &Case, delta: Option<&Delta>) -> Result<ResolvedState> {
    resolve_with(case, delta, &IndexMap::new())
}

/// As [`resolve`], with other values for some vars, whatever the case and the delta say.
pub fn resolve_with(case: &Case, delta: Option<&Delta>, overrides: &IndexMap<String, Value>) -> Result<ResolvedState> {
    resolve_at(case, delta, overrides, &[]).map_err(|fault| fault.into_error(case))
}

/// Resolves the control, where there is one.
pub fn resolve_control(case: &Case) -> Result<Option<ResolvedControl>> {
    control_at(case).map_err(|fault| fault.into_error(case))
}

/// What cannot be resolved, and the way to it from the top of the case.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub path: Vec<Segment>,
    pub diagnostic: Diagnostic,
}

impl Fault {
    fn into_error(self, case: &Case) -> Error {
        let way: Vec<String> = self
            .path
            .iter()
            .map(|segment| match segment {
                Segment::Key(key) => key.clone(),
                Segment::Item(index) => format!("{}", index + 1),
            })
            .collect();
        let error = Error::usage(format!("{}: {}: {}", case.path.display(), way.join(" > "), self.diagnostic.message));
        match self.diagnostic.help {
            Some(help) => error.hint(help),
            None => error,
        }
    }
}

/// As [`resolve_with`]; `prefix` is the way to the delta.
pub(super) fn resolve_at(
    case: &Case,
    delta: Option<&Delta>,
    overrides: &IndexMap<String, Value>,
    prefix: &[&str],
) -> Resolved<ResolvedState> {
    let base = &case.base;
    let mut vars = base.vars.clone();
    if let Some(delta) = delta {
        vars.extend(delta.vars.clone());
    }
    vars.extend(overrides.clone());
    let mut resolver = Resolver { vars, path: Vec::new() };
    let mut settings = resolver.map(&["settings"], &base.settings)?;
    let mut env = resolver.env(&["env"], &base.env)?;
    let mut packages = base.packages.clone();
    if let Some(delta) = delta {
        for (name, value) in resolver.map(&[prefix, &["settings"]].concat(), &delta.settings)? {
            merge(settings.entry(name).or_insert(Value::Null), value);
        }
        env.extend(resolver.env(&[prefix, &["env"]].concat(), &delta.env)?);
        packages.extend(delta.packages.clone());
    }
    let actors = resolver.within("actors", |resolver| {
        case.actors
            .iter()
            .map(|(name, actor)| Ok((name.clone(), resolver.within(name, |r| r.actor(actor))?)))
            .collect::<Resolved<IndexMap<_, _>>>()
    })?;
    let steps = resolver.within("steps", |resolver| resolver.steps(&case.steps))?;
    let invariants = resolver.within("invariants", |resolver| {
        case.invariants
            .iter()
            .map(|(name, invariant)| Ok((name.clone(), resolver.within(name, |r| r.invariant(invariant))?)))
            .collect::<Resolved<IndexMap<_, _>>>()
    })?;
    let changes = delta.cloned().unwrap_or_default();
    let (take, patch, edits) = (changes.take, changes.patch, changes.edits);
    Ok(ResolvedState { packages, take, patch, edits, settings, env, vars: resolver.vars, actors, steps, invariants })
}

/// As [`resolve_control`].
pub(super) fn control_at(case: &Case) -> Resolved<Option<ResolvedControl>> {
    let Some(control) = &case.control else { return Ok(None) };
    let state = resolve_at(case, Some(&control.delta), &IndexMap::new(), &["control"])?;
    let mut resolver = Resolver { vars: state.vars.clone(), path: Vec::new() };
    let bounds = resolver.within("control", |resolver| {
        control
            .bounds
            .iter()
            .map(|(name, bound)| Ok((name.clone(), resolver.within(name, |r| r.bound(bound))?)))
            .collect::<Resolved<IndexMap<_, _>>>()
    })?;
    Ok(Some(ResolvedControl { state, bounds }))
}
