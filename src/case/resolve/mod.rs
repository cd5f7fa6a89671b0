//! A state with everything settled: deltas merged, variables put in, bounds and durations read.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::bound::Bound;
use super::diagnostic::Diagnostic;
use super::model::{App, Case, Delta, Edit, Per, Quantity, StateBounds, Take};
use super::node::Segment;
pub use super::vars::REDIS_URL;
use crate::error::{Error, Result};

mod action;
mod fault;
mod http;
mod resolver;
mod service;
mod steps;

pub use self::action::{Action, Enqueue, HoldSpec, Schedule, Step, WaitFor};
pub use self::fault::{CutAt, Fault, Trigger};
pub use self::http::Http;
pub use self::service::{PostgresService, RedisService, Services};
pub use super::model::{ActorChange, Asked, Body, CLIENT, CacheKind, Link, Part, Role, Server, What};
use resolver::{Resolved, Resolver, merge};

/// What serves the pages of web actors, where the case does not say which release: pure Python, on unix sockets, with
/// threads in one process.
const WEB_SERVER: (&str, &str) = ("waitress", "3.0.*");

/// A state of a case, ready to run.
#[derive(Debug, Clone, Default)]
pub struct ResolvedState {
    /// Distribution -> version specifier without a leading `==`.
    pub packages: IndexMap<String, String>,
    /// What the base changes of its packages' source: the same in every state.
    pub base: SourceChange,
    /// What the fix, or the control, changes of the base's source.
    pub change: SourceChange,
    /// The case's own app.
    pub app: Option<App>,
    /// Django settings of the case, to be put over the shop's.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, String>,
    /// The variables that were put in.
    pub vars: IndexMap<String, Value>,
    /// What the servers are.
    pub services: Services,
    /// Actors by name, in the file's order; [`CLIENT`] is not among them.
    pub actors: IndexMap<String, ResolvedActor>,
    /// What some of them change of the state, for themselves alone.
    pub actor_changes: IndexMap<String, ActorChange>,
    /// The incident.
    pub steps: Vec<Step>,
    /// What is judged, by name.
    pub invariants: IndexMap<String, Invariant>,
}

/// A change of source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceChange {
    /// Files of another release's wheel.
    pub take: Option<Take>,
    /// A unified diff over files named from a folder of `sys.path`.
    pub patch: Option<String>,
    /// Named spans of the applied state.
    pub edits: IndexMap<String, Edit>,
}

impl SourceChange {
    fn of(delta: &Delta) -> Self {
        Self { take: delta.take.clone(), patch: delta.patch.clone(), edits: delta.edits.clone() }
    }
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
    /// Serves the app's pages.
    Web { threads: u32 },
    /// Stands between browsers and the app.
    Proxy { kind: CacheKind, to: String, timeout: Option<Duration> },
    /// Connects alone, not through Django.
    Stranger { application_name: String },
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
    /// Whether the arm needs a Redis of its own: the state mentions `$redis`, says something of it, or hurts it.
    pub fn uses_redis(&self) -> bool {
        !self.services.redis.is_empty()
            || self.settings.values().any(mentions_redis)
            || self.env.values().any(|text| text.contains(REDIS_URL))
            || self.actor_changes.values().any(|change| {
                change.settings.values().any(mentions_redis) || change.env.values().any(|text| text.contains(REDIS_URL))
            })
            || self.any_step(|action| step_mentions_redis(action) || breaks(action, Server::Redis))
    }

    /// The only web actor, where there is one: it is asked where a request does not say.
    pub fn web_actor(&self) -> Option<&str> {
        let mut web = self.actors.keys().map(String::as_str).filter(|name| self.is_web(name));
        web.next().filter(|_| web.next().is_none())
    }

    /// Whether an actor serves the app's pages.
    pub fn is_web(&self, actor: &str) -> bool {
        matches!(self.actors.get(actor), Some(ResolvedActor::Web { .. }))
    }

    /// Whether there is a real nginx among its proxies.
    pub fn has_nginx(&self) -> bool {
        self.actors.values().any(|actor| matches!(actor, ResolvedActor::Proxy { kind: CacheKind::Nginx, .. }))
    }

    /// Whether the arm needs a Postgres of its own: the state says something of it, or hurts its processes.
    pub fn own_postgres(&self) -> bool {
        !self.services.postgres.is_empty()
            || self.any_step(
                |action| matches!(action, Action::Fault { fault, .. } if fault.hurts() == Some(Server::Postgres)),
            )
    }

    /// Whether a step disturbs a server as a whole, so that all who use it notice; what only stands between does not.
    pub fn server_faults(&self) -> bool {
        self.any_step(|action| matches!(action, Action::Fault { fault, .. } if fault.is_noticed_by_all()))
    }

    /// All steps, those within others too, in the order of the case.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().flat_map(Step::all)
    }

    /// All that is done, in the same order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.all_steps().map(|step| &step.action)
    }

    /// Whether there is such a step, within others too.
    pub fn any_step(&self, is: impl Fn(&Action) -> bool) -> bool {
        self.actions().any(is)
    }

    /// The holds of an actor, in the order of the case.
    pub fn holds(&self, of: &str) -> Vec<&HoldSpec> {
        let holds = self.actions().filter_map(|action| match action {
            Action::Hold { actor, hold } if actor == of => Some(hold),
            _ => None,
        });
        holds.collect()
    }

    /// The state as one actor sees it, where that differs.
    pub fn changed_for(&self, actor: &str) -> Option<Self> {
        let change = self.actor_changes.get(actor)?;
        let mut state = self.clone();
        for (name, value) in change.settings.clone() {
            merge(state.settings.entry(name).or_insert(Value::Null), value);
        }
        state.env.extend(change.env.clone());
        state.packages.extend(change.packages.clone());
        Some(state)
    }
}

fn breaks(action: &Action, server: Server) -> bool {
    matches!(action, Action::Fault { fault, .. } if fault.servers().contains(&server))
}

fn mentions_redis(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REDIS_URL),
        Value::Array(items) => items.iter().any(mentions_redis),
        Value::Object(entries) => entries.values().any(mentions_redis),
        _ => false,
    }
}

fn step_mentions_redis(action: &Action) -> bool {
    match action {
        Action::Python { source, .. } => source.contains(REDIS_URL),
        Action::Sql { statement, .. } => statement.contains(REDIS_URL),
        Action::Read { readings } => readings.values().any(|source| source.contains(REDIS_URL)),
        Action::Wait { for_: WaitFor::Until { expression }, .. } => expression.contains(REDIS_URL),
        Action::Enqueue(Enqueue { what, .. }) => match what {
            What::Task { args, kwargs, .. } => args.iter().chain(kwargs.values()).any(mentions_redis),
            What::Iter { args, .. } => args.iter().any(mentions_redis),
            What::Chain { links } => links.iter().flat_map(|(_, args)| args).any(mentions_redis),
        },
        Action::Schedule(Schedule { args, kwargs, .. }) => args.iter().chain(kwargs.values()).any(mentions_redis),
        _ => false,
    }
}

/// Resolves the base (no delta) or the base with a fix's delta over it.
pub fn resolve(case: &Case, delta: Option<&Delta>) -> Result<ResolvedState> {
    resolve_with(case, delta, &IndexMap::new())
}

/// As [`resolve`], with other values for some vars, whatever the case and the delta say.
pub fn resolve_with(case: &Case, delta: Option<&Delta>, overrides: &IndexMap<String, Value>) -> Result<ResolvedState> {
    resolve_at(case, delta, overrides, &[]).map_err(|unresolved| unresolved.into_error(case))
}

/// Resolves the control, where there is one.
pub fn resolve_control(case: &Case) -> Result<Option<ResolvedControl>> {
    control_at(case).map_err(|unresolved| unresolved.into_error(case))
}

/// What cannot be resolved, and the way to it from the top of the case.
#[derive(Debug, PartialEq)]
pub(super) struct Unresolved {
    pub path: Vec<Segment>,
    pub diagnostic: Diagnostic,
}

impl Unresolved {
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
    let mut resolver = Resolver { vars, path: Vec::new(), kept: Vec::new() };
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
    let services = resolver.services(&["services"], &base.services)?;
    let services = match delta {
        Some(delta) => services.under(resolver.services(&[prefix, &["services"]].concat(), &delta.services)?),
        None => services,
    };
    let actor_changes = case
        .actor_changes
        .iter()
        .map(|(name, change)| Ok((name.clone(), resolver.change(&["actors", name], change)?)))
        .collect::<Resolved<IndexMap<_, _>>>()?;
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
    let vars = resolver.vars;
    if actors.values().any(|actor| matches!(actor, ResolvedActor::Web { .. })) {
        let (package, release) = WEB_SERVER;
        packages.entry(package.to_owned()).or_insert_with(|| release.to_owned());
    }
    Ok(ResolvedState {
        packages,
        base: SourceChange::of(&case.base),
        change: delta.map(SourceChange::of).unwrap_or_default(),
        app: case.app.clone(),
        settings,
        env,
        vars,
        services,
        actors,
        actor_changes,
        steps,
        invariants,
    })
}

/// As [`resolve_control`].
pub(super) fn control_at(case: &Case) -> Resolved<Option<ResolvedControl>> {
    let Some(control) = &case.control else { return Ok(None) };
    let state = resolve_at(case, Some(&control.delta), &IndexMap::new(), &["control"])?;
    let mut resolver = Resolver { vars: state.vars.clone(), path: Vec::new(), kept: Vec::new() };
    let bounds = resolver.within("control", |resolver| {
        control
            .bounds
            .iter()
            .map(|(name, bound)| Ok((name.clone(), resolver.within(name, |r| r.bound(bound))?)))
            .collect::<Resolved<IndexMap<_, _>>>()
    })?;
    Ok(Some(ResolvedControl { state, bounds }))
}
