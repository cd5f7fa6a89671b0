//! A state of a case, ready to run: the base, with a change laid over it and every variable put in.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::actor::{Actor, ActorChange, CHANGE, CacheKind};
use super::change::Change;
use super::invariant::Invariant;
use super::moment::Moment;
use super::service::{Server, Services};
use super::step::action::{Action, Step};
use super::step::fill;
use super::step::hold::HoldSpec;
use super::step::task::What;
use super::step::wait::WaitFor;
use super::yaml::decode::decode_beside;
use super::yaml::diagnostic::Diagnostic;
use super::yaml::node::{Key, Node};
use super::yaml::text::Verbatim;
use super::yaml::vars::{Filler, REDIS_URL};

/// What serves the pages of web actors, where the case does not say which release: pure Python, on unix sockets, with
/// threads in one process.
const WEB_SERVER: (&str, &str) = ("waitress", "3.0.*");

/// A state of a case, ready to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// Distribution -> version specifier without a leading `==`.
    pub packages: IndexMap<String, String>,
    /// What the base changes of its packages' source: the same in every state.
    pub base: Change,
    /// What the fix, or the control, changes of the base's source.
    pub change: Change,
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
    /// Actors by name, in the file's order; the client is not among them.
    pub actors: IndexMap<String, Actor>,
    /// What the app is for actors that change something for themselves alone.
    pub actor_changes: IndexMap<String, ActorChange>,
    /// When its arms start, by their clock.
    pub clock: Moment,
    /// The incident.
    pub steps: Vec<Step>,
    /// What is judged, by name.
    pub invariants: IndexMap<String, Invariant>,
}

/// A case's own app.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct App {
    /// The package: the name of its folder.
    pub package: String,
    /// The folder that its folder is in.
    pub root: std::path::PathBuf,
}

/// As it is written; `case` looks where it is.
impl From<String> for App {
    fn from(package: String) -> Self {
        Self { package, root: std::path::PathBuf::new() }
    }
}

/// What a state is made of: the case's tree, the tree of a change, and another value for a variable.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The case.
    pub case: &'a Node,
    /// A fix, or the control.
    pub change: Option<&'a Node>,
    /// The value of the case's growth.
    pub grown: Option<(&'a str, &'a Node)>,
}

impl Layers<'_> {
    /// The variables that are put in.
    pub fn filler(&self) -> Filler {
        let vars = [self.case.get("vars"), self.change.and_then(|change| change.get("vars"))];
        let vars = vars.into_iter().flatten().flat_map(Node::entries);
        let mut vars: IndexMap<String, Node> = vars.map(|(key, node)| (key.name.clone(), node.clone())).collect();
        vars.extend(self.grown.map(|(name, node)| (name.to_owned(), node.clone())));
        Filler::new(vars)
    }

    /// The tree of the state: what the change says over what the case says, with every variable put in.
    pub fn tree(&self, filler: &mut Filler) -> Node {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        for name in ["settings", "env", "services"] {
            let mut said: Option<(Key, Node)> = None;
            for (key, node) in [Some(self.case), self.change].into_iter().flatten().filter_map(|tree| tree.entry(name))
            {
                let over = filler.fill(node);
                match &mut said {
                    Some((_, under)) => under.put(over),
                    None => said = Some((key.clone(), over)),
                }
            }
            entries.extend(said);
        }
        for name in ["actors", "clock", "steps", "invariants"] {
            if let Some((key, node)) = self.case.entry(name) {
                let filled = if name == "steps" { fill::steps(node, filler) } else { filler.fill(node) };
                entries.push((key.clone(), filled));
            }
        }
        Node::map(entries)
    }
}

impl State {
    /// Reads a state from its tree; of what is wrong, all that can be told.
    pub fn read(tree: &Node, base: &Change, change: Option<&Change>) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader { node: tree, errors: Vec::new() };
        let mut packages = base.packages.clone();
        packages.extend(change.into_iter().flat_map(|change| change.packages.clone()));
        let env: IndexMap<String, Verbatim> = reader.key("env");
        let mut state = Self {
            base: base.clone(),
            change: change.cloned().unwrap_or_default(),
            settings: reader.key("settings"),
            env: texts(env),
            services: reader.key("services"),
            clock: reader.key("clock"),
            steps: reader.key("steps"),
            invariants: reader.key("invariants"),
            packages,
            ..Self::default()
        };
        let _: IndexMap<String, serde::de::IgnoredAny> = reader.key("actors");
        for (key, node) in tree.get("actors").into_iter().flat_map(Node::entries) {
            let Some(actor) = reader.take(decode_beside(node, Some(key), &CHANGE)) else { continue };
            let others: Vec<&str> = node.entries().iter().map(|(key, _)| key.name.as_str()).collect();
            let Some(own) = reader.take(decode_beside::<ActorChange>(node, Some(key), &others)) else { continue };
            if own != ActorChange::default() {
                state.actor_changes.insert(key.name.clone(), state.seen_by(own, tree, node));
            }
            state.actors.insert(key.name.clone(), actor);
        }
        if state.actors.values().any(|actor| matches!(actor, Actor::Web { .. })) {
            let (package, release) = WEB_SERVER;
            state.packages.entry(package.to_owned()).or_insert_with(|| release.to_owned());
        }
        if reader.errors.is_empty() { Ok(state) } else { Err(reader.errors) }
    }

    /// What the app is for an actor: what it changes, over what the state says.
    fn seen_by(&self, own: ActorChange, tree: &Node, actor: &Node) -> ActorChange {
        let mut settings = tree.get("settings").cloned().unwrap_or_else(|| Node::map(Vec::new()));
        if let Some(over) = actor.get("settings") {
            settings.put(over.clone());
        }
        let settings = settings.entries().iter().map(|(key, node)| (key.name.clone(), node.value())).collect();
        let (mut packages, mut env) = (self.packages.clone(), self.env.clone());
        packages.extend(own.packages);
        env.extend(own.env);
        ActorChange { packages, settings, env }
    }

    /// Whether the arm needs a Redis of its own: the state mentions `$redis`, says something of it, or hurts it.
    pub fn uses_redis(&self) -> bool {
        let mentions = |settings: &IndexMap<String, Value>, env: &IndexMap<String, String>| {
            settings.values().any(mentions_redis) || env.values().any(|text| text.contains(REDIS_URL))
        };
        !self.services.redis.is_empty()
            || mentions(&self.settings, &self.env)
            || self.actor_changes.values().any(|change| mentions(&change.settings, &change.env))
            || self.any_step(|action| step_mentions_redis(action) || breaks(action, Server::Redis))
    }

    /// The only web actor, where there is one: it is asked where a request does not say.
    pub fn web_actor(&self) -> Option<&str> {
        let mut web = self.actors.keys().map(String::as_str).filter(|name| self.is_web(name));
        web.next().filter(|_| web.next().is_none())
    }

    /// Whether an actor serves the app's pages.
    pub fn is_web(&self, actor: &str) -> bool {
        matches!(self.actors.get(actor), Some(Actor::Web { .. }))
    }

    /// Whether real clusters are at work in it.
    pub fn has_real_clusters(&self) -> bool {
        self.actors.values().any(|actor| matches!(actor, Actor::RealCluster { .. }))
    }

    /// Whether there is a real nginx among its proxies.
    pub fn has_nginx(&self) -> bool {
        self.actors.values().any(|actor| matches!(actor, Actor::Proxy { kind: CacheKind::Nginx, .. }))
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
        let ActorChange { packages, settings, env } = self.actor_changes.get(actor)?.clone();
        Some(Self { packages, settings, env, ..self.clone() })
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
        Action::Wait { for_: WaitFor::Until(expression), .. } => expression.contains(REDIS_URL),
        Action::Enqueue(enqueue) => match &enqueue.what {
            What::Task { args, kwargs, .. } => args.iter().chain(kwargs.values()).any(mentions_redis),
            What::Iter { args, .. } => args.iter().any(mentions_redis),
            What::Chain { links } => links.iter().flat_map(|(_, args)| args).any(mentions_redis),
        },
        Action::Schedule(schedule) => schedule.args.iter().chain(schedule.kwargs.values()).any(mentions_redis),
        _ => false,
    }
}

/// Reads a mapping key by key, and goes on after what is wrong.
pub struct Reader<'n> {
    /// The mapping.
    pub node: &'n Node,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
}

impl<'n> Reader<'n> {
    /// What stands at a key; where nothing does, the default.
    pub fn key<T: Deserialize<'n> + Default>(&mut self, name: &str) -> T {
        let Some((key, node)) = self.node.entry(name) else { return T::default() };
        self.take(decode_beside(node, Some(key), &[])).unwrap_or_default()
    }

    /// A part, or what is wrong with it.
    pub fn take<T>(&mut self, part: Result<T, Vec<Diagnostic>>) -> Option<T> {
        part.map_err(|errors| self.errors.extend(errors)).ok()
    }
}

fn texts(env: IndexMap<String, Verbatim>) -> IndexMap<String, String> {
    env.into_iter().map(|(name, Verbatim(text))| (name, text)).collect()
}
