//! A state with everything settled: deltas merged, variables put in, bounds and durations read.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::bound::Bound;
use super::diagnostic::Diagnostic;
use super::model::{self, Case, Delta, Edit, Per, Quantity, Scalar, StateBounds, Take};
use super::node::Segment;
use super::unit;
pub use super::vars::REDIS_URL;
use super::vars::substitute;
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
    /// The incident.
    pub steps: Vec<Step>,
    /// What is judged, by name.
    pub invariants: IndexMap<String, Invariant>,
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

/// What a step does; see [`model::Action`].
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of model::Action")]
pub enum Action {
    /// Starts an actor.
    Start { actor: String },
    /// Restarts a simulated cluster `count` times.
    Restart { actor: String, count: u64 },
    /// `count` heartbeats, `every` so much virtual time.
    Beat { actor: String, count: u64, every: Option<Duration> },
    /// Runs queued tasks until none is left.
    Drain { actor: String },
    /// Runs Python source `times` times.
    Python { actor: String, source: String, times: u64 },
    /// Runs one SQL statement as the harness.
    Sql { statement: String },
    /// Evaluates expressions as the actor `probe`.
    Read { readings: IndexMap<String, String> },
    /// Moves the virtual clock.
    Advance { by: Duration },
    /// Several steps as one window.
    Measure { steps: Vec<Step> },
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
        Action::Sql { statement } => statement.contains(REDIS_URL),
        Action::Read { readings } => readings.values().any(|source| source.contains(REDIS_URL)),
        Action::Measure { steps } => steps.iter().any(step_mentions_redis),
        _ => false,
    }
}

/// Resolves the base (no delta) or the base with a fix's delta over it.
pub fn resolve(case: &Case, delta: Option<&Delta>) -> Result<ResolvedState> {
    resolve_at(case, delta, &[]).map_err(|fault| fault.into_error(case))
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

type Resolved<T> = std::result::Result<T, Fault>;

/// As [`resolve`]; `prefix` is the way to the delta.
pub(super) fn resolve_at(case: &Case, delta: Option<&Delta>, prefix: &[&str]) -> Resolved<ResolvedState> {
    let base = &case.base;
    let mut vars = base.vars.clone();
    if let Some(delta) = delta {
        vars.extend(delta.vars.clone());
    }
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
    let steps = resolver.within("steps", |resolver| resolver.steps(&case.steps))?;
    let invariants = resolver.within("invariants", |resolver| {
        case.invariants
            .iter()
            .map(|(name, invariant)| Ok((name.clone(), resolver.within(name, |r| r.invariant(invariant))?)))
            .collect::<Resolved<IndexMap<_, _>>>()
    })?;
    let changes = delta.cloned().unwrap_or_default();
    let (take, patch, edits) = (changes.take, changes.patch, changes.edits);
    Ok(ResolvedState { packages, take, patch, edits, settings, env, vars: resolver.vars, steps, invariants })
}

/// As [`resolve_control`].
pub(super) fn control_at(case: &Case) -> Resolved<Option<ResolvedControl>> {
    let Some(control) = &case.control else { return Ok(None) };
    let state = resolve_at(case, Some(&control.delta), &["control"])?;
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

/// Mappings merge; anything else, null too, replaces.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

struct Resolver {
    vars: IndexMap<String, Value>,
    path: Vec<Segment>,
}

impl Resolver {
    fn within<T>(&mut self, key: &str, f: impl FnOnce(&mut Self) -> Resolved<T>) -> Resolved<T> {
        self.path.push(Segment::Key(key.to_owned()));
        let result = f(self);
        self.path.pop();
        result
    }

    fn fault(&self, diagnostic: Diagnostic) -> Fault {
        Fault { path: self.path.clone(), diagnostic }
    }

    fn refuse<T>(&self, message: impl Into<String>) -> Resolved<T> {
        Err(self.fault(Diagnostic::new(message)))
    }

    /// Values below this way, each with its own place.
    fn map(&mut self, way: &[&str], values: &IndexMap<String, Value>) -> Resolved<IndexMap<String, Value>> {
        self.path = way.iter().map(|key| Segment::Key((*key).to_owned())).collect();
        let result = values
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.within(name, |resolver| resolver.tree(value))?)))
            .collect();
        self.path.clear();
        result
    }

    fn tree(&mut self, value: &Value) -> Resolved<Value> {
        match value {
            Value::Object(entries) => entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), self.within(key, |resolver| resolver.tree(value))?)))
                .collect::<Resolved<serde_json::Map<_, _>>>()
                .map(Value::Object),
            other => substitute(other, &self.vars).map_err(|diagnostic| self.fault(diagnostic)),
        }
    }

    fn env(&mut self, way: &[&str], env: &IndexMap<String, String>) -> Resolved<IndexMap<String, String>> {
        let values = env.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        let resolved = self.map(way, &values)?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(resolved.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    fn steps(&mut self, steps: &[model::Step]) -> Resolved<Vec<Step>> {
        let mut resolved = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            self.path.push(Segment::Item(index));
            let action = self.within(step.action.verb(), |resolver| resolver.action(&step.action));
            self.path.pop();
            resolved.push(Step { name: step.name.clone(), action: action?, line: step.line });
        }
        Ok(resolved)
    }

    fn action(&mut self, action: &model::Action) -> Resolved<Action> {
        Ok(match action {
            model::Action::Start { actor } => Action::Start { actor: actor.clone() },
            model::Action::Drain { actor } => Action::Drain { actor: actor.clone() },
            model::Action::Restart { actor, count } => {
                let count = self.within(actor, |r| r.count(count))?;
                Action::Restart { actor: actor.clone(), count }
            }
            model::Action::Beat { actor, count, every } => {
                let count = self.within(actor, |r| r.count(count))?;
                let every = every.as_ref().map(|every| self.within("every", |r| r.duration(every))).transpose()?;
                Action::Beat { actor: actor.clone(), count, every }
            }
            model::Action::Python { actor, source, times } => {
                let source = self.within(actor, |r| r.text(source))?;
                let times = self.within("times", |r| r.count(times))?;
                Action::Python { actor: actor.clone(), source, times }
            }
            model::Action::Sql { statement } => Action::Sql { statement: self.text(statement)? },
            model::Action::Read { readings } => {
                let readings = readings
                    .iter()
                    .map(|(name, source)| Ok((name.clone(), self.within(name, |r| r.text(source))?)))
                    .collect::<Resolved<IndexMap<_, _>>>()?;
                Action::Read { readings }
            }
            model::Action::Advance { by } => Action::Advance { by: self.duration(by)? },
            model::Action::Measure { steps } => Action::Measure { steps: self.steps(steps)? },
        })
    }

    fn invariant(&mut self, invariant: &model::Invariant) -> Resolved<Invariant> {
        let bounds = match &invariant.bounds {
            StateBounds::Both(both) => StateBounds::Both(self.within("both", |r| r.bound(both))?),
            StateBounds::Each { applied, reverted } => StateBounds::Each {
                applied: applied.as_ref().map(|bound| self.within("applied", |r| r.bound(bound))).transpose()?,
                reverted: self.within("reverted", |r| r.bound(reverted))?,
            },
        };
        Ok(Invariant { of: invariant.of.clone(), per: invariant.per, bounds, line: invariant.line })
    }

    fn value(&self, scalar: &Scalar) -> Resolved<Value> {
        substitute(&scalar.0, &self.vars).map_err(|diagnostic| self.fault(diagnostic))
    }

    fn bound(&self, scalar: &Scalar) -> Resolved<Bound> {
        Bound::parse(&self.value(scalar)?).map_err(|message| self.fault(Diagnostic::new(message)))
    }

    fn count(&self, scalar: &Scalar) -> Resolved<u64> {
        let value = self.value(scalar)?;
        match &value {
            Value::Number(number) if number.as_u64().is_some() => Ok(number.as_u64().unwrap_or_default()),
            Value::Number(number) if number.as_i64().is_some() => {
                self.refuse(format!("the count {number} is negative"))
            }
            other => self.refuse(format!("expected a count, found {other}")),
        }
    }

    fn text(&self, scalar: &Scalar) -> Resolved<String> {
        match self.value(scalar)? {
            Value::String(text) => Ok(text),
            other => self.refuse(format!("expected a text, found {other}")),
        }
    }

    fn duration(&self, scalar: &Scalar) -> Resolved<Duration> {
        match self.value(scalar)? {
            Value::String(text) => unit::duration(&text).or_else(|message| self.refuse(message)),
            Value::Number(number) => self.refuse(format!("`{number}` has no unit: say for instance `{number}s`")),
            other => self.refuse(format!("expected a duration such as `2.5s`, found {other}")),
        }
    }
}
