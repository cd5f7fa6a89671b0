//! Puts the variables in, and reads what then stands there.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::bound::Bound;
use super::diagnostic::Diagnostic;
use super::model::{self, ActorSpec, Scalar, StateBounds};
use super::node::Segment;
use super::resolve::{Action, Fault, Invariant, ResolvedActor, Step};
use super::unit;
use super::vars::substitute;

/// What was read, or what is wrong with it.
pub type Resolved<T> = Result<T, Fault>;

/// Mappings merge; anything else, null too, replaces.
pub fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// The variables of a state, and the way from the top of the case to what is being read.
pub struct Resolver {
    /// The variables.
    pub vars: IndexMap<String, Value>,
    /// The way.
    pub path: Vec<Segment>,
}

impl Resolver {
    /// Does something below this key.
    pub fn within<T>(&mut self, key: &str, f: impl FnOnce(&mut Self) -> Resolved<T>) -> Resolved<T> {
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
    pub fn map(&mut self, way: &[&str], values: &IndexMap<String, Value>) -> Resolved<IndexMap<String, Value>> {
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

    /// Environment variables below this way.
    pub fn env(&mut self, way: &[&str], env: &IndexMap<String, String>) -> Resolved<IndexMap<String, String>> {
        let values = env.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        let resolved = self.map(way, &values)?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(resolved.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    /// An actor.
    pub fn actor(&mut self, actor: &ActorSpec) -> Resolved<ResolvedActor> {
        Ok(match actor {
            ActorSpec::SimulatedCluster => ResolvedActor::SimulatedCluster,
            ActorSpec::RealCluster { count } => {
                ResolvedActor::RealCluster { count: self.within("count", |r| r.count(count))? }
            }
            ActorSpec::Python { module } => ResolvedActor::Python { module: module.clone() },
            ActorSpec::Stranger { application_name } => {
                ResolvedActor::Stranger { application_name: application_name.clone() }
            }
        })
    }

    /// Steps, each with its own place.
    pub fn steps(&mut self, steps: &[model::Step]) -> Resolved<Vec<Step>> {
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
            model::Action::Stop { actor } => Action::Stop { actor: actor.clone() },
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
            model::Action::Sql { actor: None, statement } => {
                Action::Sql { actor: None, statement: self.text(statement)? }
            }
            model::Action::Sql { actor: Some(actor), statement } => {
                let statement = self.within(actor, |r| r.text(statement))?;
                Action::Sql { actor: Some(actor.clone()), statement }
            }
            model::Action::Read { readings } => {
                let readings = readings
                    .iter()
                    .map(|(name, source)| Ok((name.clone(), self.within(name, |r| r.text(source))?)))
                    .collect::<Resolved<IndexMap<_, _>>>()?;
                Action::Read { readings }
            }
            model::Action::Advance { by } => Action::Advance { by: self.duration(by)? },
            model::Action::Measure { steps } => Action::Measure { steps: self.steps(steps)? },
            model::Action::MeasureFor { time } => self.within("for", |r| match r.duration(time)? {
                Duration::ZERO => r.refuse("a window of no time measures nothing"),
                time => Ok(Action::MeasureFor { time }),
            })?,
        })
    }

    /// An invariant with its bounds read.
    pub fn invariant(&mut self, invariant: &model::Invariant) -> Resolved<Invariant> {
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

    /// A bound.
    pub fn bound(&self, scalar: &Scalar) -> Resolved<Bound> {
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
