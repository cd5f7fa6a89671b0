//! Puts the variables in, and reads what then stands there.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::{Invariant, PostgresService, RedisService, ResolvedActor, Services, Unresolved};
use crate::case::bound::Bound;
use crate::case::diagnostic::Diagnostic;
use crate::case::limit::{self, Limit};
use crate::case::model::{self, ActorChange, ActorSpec, CACHES, POLICIES, Scalar, StateBounds};
use crate::case::node::Segment;
use crate::case::unit;
use crate::case::vars::substitute;
use crate::service::postgres::refusal;

/// What was read, or what is wrong with it.
pub type Resolved<T> = Result<T, Unresolved>;

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
    /// What the requests so far keep of their answers.
    pub kept: Vec<String>,
}

impl Resolver {
    /// Does something below this key.
    pub fn within<T>(&mut self, key: &str, f: impl FnOnce(&mut Self) -> Resolved<T>) -> Resolved<T> {
        self.path.push(Segment::Key(key.to_owned()));
        let result = f(self);
        self.path.pop();
        result
    }

    /// Does something while these names stand for themselves: they are put in later.
    pub(super) fn later<T>(&mut self, names: &[String], f: impl FnOnce(&mut Self) -> Resolved<T>) -> Resolved<T> {
        let before = self.vars.clone();
        self.vars.extend(names.iter().map(|name| (name.clone(), Value::from(format!("${name}")))));
        let result = f(self);
        self.vars = before;
        result
    }

    pub(super) fn unresolved(&self, diagnostic: Diagnostic) -> Unresolved {
        Unresolved { path: self.path.clone(), diagnostic }
    }

    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Resolved<T> {
        Err(self.unresolved(Diagnostic::new(message)))
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

    /// A value, each of its parts with its own place.
    pub(super) fn tree(&mut self, value: &Value) -> Resolved<Value> {
        match value {
            Value::Object(entries) => entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), self.within(key, |resolver| resolver.tree(value))?)))
                .collect::<Resolved<serde_json::Map<_, _>>>()
                .map(Value::Object),
            Value::Array(items) => self.items(items).map(Value::Array),
            other => substitute(other, &self.vars).map_err(|diagnostic| self.unresolved(diagnostic)),
        }
    }

    /// The items of a list, each with its own place.
    pub(super) fn items(&mut self, items: &[Value]) -> Resolved<Vec<Value>> {
        let mut resolved = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            self.path.push(Segment::Item(index));
            let item = self.tree(item);
            self.path.pop();
            resolved.push(item?);
        }
        Ok(resolved)
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
                ResolvedActor::RealCluster { count: self.within("count", |r| r.ordinal(count, limit::CLUSTERS))? }
            }
            ActorSpec::Python { module } => ResolvedActor::Python { module: module.clone() },
            ActorSpec::Web { threads } => {
                ResolvedActor::Web { threads: self.within("threads", |r| r.ordinal(threads, limit::THREADS))? as u32 }
            }
            ActorSpec::Proxy { kind, to, timeout } => ResolvedActor::Proxy {
                kind: self.within("cache", |r| r.one_of(kind, "a kind of cache", CACHES))?,
                to: to.clone(),
                timeout: self.optional("timeout", timeout.as_ref(), Self::real_time)?,
            },
            ActorSpec::Stranger { application_name } => {
                ResolvedActor::Stranger { application_name: application_name.clone() }
            }
        })
    }

    /// What an actor changes for itself, below this way.
    pub fn change(&mut self, way: &[&str], change: &ActorChange) -> Resolved<ActorChange> {
        Ok(ActorChange {
            packages: change.packages.clone(),
            settings: self.map(&[way, &["settings"]].concat(), &change.settings)?,
            env: self.env(&[way, &["env"]].concat(), &change.env)?,
        })
    }

    /// What is said of the servers, below this way.
    pub fn services(&mut self, way: &[&str], services: &model::Services) -> Resolved<Services> {
        let settings = self.postgres_settings(&[way, &["postgres", "settings"]].concat(), services)?;
        self.path = way.iter().map(|key| Segment::Key((*key).to_owned())).collect();
        let resolved = Services {
            postgres: self.within("postgres", |r| {
                Ok(PostgresService {
                    image: r.optional("image", services.postgres.image.as_ref(), Self::text)?,
                    settings,
                })
            })?,
            redis: self.within("redis", |r| {
                Ok(RedisService {
                    image: r.optional("image", services.redis.image.as_ref(), Self::text)?,
                    maxmemory: r.optional("maxmemory", services.redis.maxmemory.as_ref(), Self::memory)?,
                    policy: r.optional("policy", services.redis.policy.as_ref(), Self::policy)?,
                })
            })?,
        };
        self.path.clear();
        Ok(resolved)
    }

    /// Settings below this way, none of which the harness needs as it is.
    fn postgres_settings(&mut self, way: &[&str], services: &model::Services) -> Resolved<IndexMap<String, String>> {
        let settings = self.env(way, &services.postgres.settings)?;
        let refused = settings.iter().find_map(|(name, value)| Some((name, refusal(name, value)?)));
        let Some((name, (message, help))) = refused else { return Ok(settings) };
        self.path = way.iter().chain([&name.as_str()]).map(|key| Segment::Key((*key).to_owned())).collect();
        Err(self.unresolved(Diagnostic::new(message).help(help)))
    }

    fn policy(&self, scalar: &Scalar) -> Resolved<String> {
        self.word(scalar, "a policy of Redis", POLICIES)
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

    pub(super) fn value(&self, scalar: &Scalar) -> Resolved<Value> {
        substitute(&scalar.0, &self.vars).map_err(|diagnostic| self.unresolved(diagnostic))
    }

    /// A bound.
    pub fn bound(&self, scalar: &Scalar) -> Resolved<Bound> {
        Bound::parse(&self.value(scalar)?).map_err(|message| self.unresolved(Diagnostic::new(message)))
    }

    /// How often a verb acts. A var may make it none, as a control's does; none that is written is a slip.
    pub(super) fn count(&self, scalar: &Scalar) -> Resolved<u64> {
        match self.number(scalar, limit::COUNT)? {
            0 if scalar.0.is_number() => {
                Err(self.unresolved(Diagnostic::new("a step that acts 0 times does nothing").help("leave it out")))
            }
            count => Ok(count),
        }
    }

    /// A count from 1.
    pub(super) fn ordinal(&self, scalar: &Scalar, limit: Limit) -> Resolved<u64> {
        match self.number(scalar, limit)? {
            0 => self.refuse("it is counted from 1"),
            count => Ok(count),
        }
    }

    fn number(&self, scalar: &Scalar, limit: Limit) -> Resolved<u64> {
        let value = self.value(scalar)?;
        match &value {
            Value::Number(number) if number.is_u64() => {
                let count = number.as_u64().unwrap_or_default();
                limit.check(count).map_err(|wrong| self.unresolved(wrong))?;
                Ok(count)
            }
            Value::Number(number) if number.as_i64().is_some() => {
                self.refuse(format!("the count {number} is negative"))
            }
            other => self.refuse(format!("expected a count, found {other}")),
        }
    }

    pub(super) fn text(&self, scalar: &Scalar) -> Resolved<String> {
        match self.value(scalar)? {
            Value::String(text) => Ok(text),
            other => self.refuse(format!("expected a text, found {other}")),
        }
    }

    pub(super) fn duration(&self, scalar: &Scalar) -> Resolved<Duration> {
        self.time(scalar, limit::VIRTUAL)
    }

    /// A duration that really passes.
    pub(super) fn real_time(&self, scalar: &Scalar) -> Resolved<Duration> {
        self.time(scalar, limit::REAL)
    }

    fn time(&self, scalar: &Scalar, limit: Limit) -> Resolved<Duration> {
        let text = self.amount(scalar, "s", "a duration such as `2.5s`")?;
        let time = unit::duration(&text).or_else(|message| self.refuse(message))?;
        limit.check_time(time, text.trim()).map_err(|wrong| self.unresolved(wrong))?;
        Ok(time)
    }

    /// Nanoseconds from now, which may be negative.
    pub(super) fn offset(&self, scalar: &Scalar) -> Resolved<i64> {
        let text = self.amount(scalar, "s", "a time from now such as `-4d`")?;
        let offset = unit::offset(&text).or_else(|message| self.refuse(message))?;
        let away = Duration::from_nanos(offset.unsigned_abs());
        limit::VIRTUAL.check_time(away, text.trim()).map_err(|wrong| self.unresolved(wrong))?;
        Ok(offset)
    }

    /// Bytes, which have a unit.
    pub(super) fn bytes(&self, scalar: &Scalar) -> Resolved<u64> {
        let text = self.amount(scalar, " B", "bytes such as `5 MB`")?;
        unit::bytes(&text).or_else(|message| self.refuse(message))
    }

    /// Of a server.
    fn memory(&self, scalar: &Scalar) -> Resolved<u64> {
        let bytes = self.bytes(scalar)?;
        limit::REDIS.check(bytes).map_err(|wrong| self.unresolved(wrong))?;
        Ok(bytes)
    }

    /// An amount as it is written, which has a unit.
    fn amount(&self, scalar: &Scalar, unit: &str, what: &str) -> Resolved<String> {
        match self.value(scalar)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => self.refuse(format!("`{number}` has no unit: say for instance `{number}{unit}`")),
            other => self.refuse(format!("expected {what}, found {other}")),
        }
    }

    /// What stands below this key, where something does.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        scalar: Option<&Scalar>,
        read: impl FnOnce(&Self, &Scalar) -> Resolved<T>,
    ) -> Resolved<Option<T>> {
        scalar.map(|scalar| self.within(key, |r| read(r, scalar))).transpose()
    }

    /// What one of these words means.
    pub(super) fn one_of<T, const N: usize>(&self, scalar: &Scalar, what: &str, known: [(&str, T); N]) -> Resolved<T> {
        let word = self.text(scalar)?;
        let words = known.each_ref().map(|(word, _)| *word);
        let found = known.into_iter().find(|(known, _)| *known == word);
        found
            .map(|(_, meaning)| meaning)
            .ok_or_else(|| self.unresolved(Diagnostic::new(format!("`{word}` is not {what}")).suggest(&word, words)))
    }

    /// One of these words.
    pub(super) fn word<const N: usize>(&self, scalar: &Scalar, what: &str, known: [&str; N]) -> Resolved<String> {
        self.one_of(scalar, what, known.map(|word| (word, word.to_owned())))
    }
}
