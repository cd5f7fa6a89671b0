//! Actors: who can do what, and what a cluster's life allows.

use super::checker::Checker;
use crate::case::actor::{Actor, CHANGE, CLIENT};
use crate::case::postgres_setting::refusal as setting_refusal;
use crate::case::step::action::Action;
use crate::case::step::hold::Role;
use crate::case::yaml::diagnostic::{Diagnostic, Span};
use crate::case::yaml::place::Place;

impl Checker<'_> {
    /// Whether the actor is a real cluster.
    pub(super) fn is_real(&self, actor: &str) -> bool {
        matches!(self.state.actors.get(actor), Some(Actor::RealCluster { .. }))
    }

    /// Actors, and the servers that they use.
    pub(super) fn actors(&mut self) {
        let state = self.state;
        for (name, actor) in &state.actors {
            let place = self.top.get("actors").get(name);
            if !actor.runs_the_app() && CHANGE.iter().any(|key| place.has(key)) {
                let message = format!("{} does not run the app: nothing of it can be changed", actor.kind());
                let help = "`packages`, `settings` and `env` belong to a cluster, a python or a web actor";
                self.error(Diagnostic::new(message).at(place.key_span()).help(help));
            }
            if matches!(actor, Actor::Proxy { to, .. } if to.is_empty()) {
                let help = "name the web actor behind it: `to: web`";
                self.error(Diagnostic::new("a proxy to nowhere").at(place.key_span()).help(help));
            }
        }
        let place = self.top.get("services").get("postgres").get("settings");
        for (name, value) in &state.services.postgres.settings {
            if let Some((message, help)) = setting_refusal(name, value) {
                self.error(Diagnostic::new(message).at(place.get(name).span()).help(help));
            }
        }
    }

    /// The actor that a step names.
    pub(super) fn actor(&mut self, action: &Action, actor: &str, (verb, place): (&str, Place<'_>)) {
        let span = place.get(if matches!(action, Action::Sql { .. }) { "by" } else { verb }).span();
        let Some(spec) = self.state.actors.get(actor) else {
            let unknown = Diagnostic::new(format!("unknown actor `{actor}`")).at(span);
            let unknown = if actor == CLIENT {
                unknown.help("`client` only enqueues and schedules; declare a python actor for more")
            } else if let ("postgres" | "redis", "kill" | "stop" | "restart" | "pause") = (actor, verb) {
                unknown.help(format!("a server is hurt by a fault: `- fault: {{{verb}: {actor}}}`"))
            } else if self.state.actors.is_empty() && matches!(action, Action::Sql { .. }) {
                unknown.help(format!("declare it: `actors: {{{actor}: {{stranger: {actor}}}}}`"))
            } else if self.state.actors.is_empty() {
                unknown.help(format!("declare it: `actors: {{{actor}: {{cluster: simulated}}}}`"))
            } else {
                unknown.suggest(actor, self.state.actors.keys().map(String::as_str))
            };
            return self.error(unknown);
        };
        if let Some((message, help)) = refusal(action, verb, actor, spec) {
            return self.error(Diagnostic::new(message).at(span).help(help));
        }
        self.options(action, spec, place);
        if spec.is_cluster() {
            self.life(action, actor, span);
        } else if matches!(action, Action::Hold { .. }) {
            self.names.held.insert(actor.to_owned());
        } else if matches!(action, Action::Release { .. }) {
            self.held(actor, span);
        }
    }

    /// What only one kind of actor takes.
    fn options(&mut self, action: &Action, spec: &Actor, place: Place<'_>) {
        if let Action::Hold { actor, hold } = action {
            let is_web = matches!(spec, Actor::Web { .. });
            let (module, function) = hold.moment.split_once(':').unwrap_or(("m", "f"));
            let moment = &hold.moment;
            let wrong = if moment.is_empty() {
                let help = format!(
                    "write `hold: {actor}` and `at: before_ack` beside it, or a function: `at: module:function`"
                );
                let error = Diagnostic::new("`hold` without a moment").at(place.get("hold").span());
                return self.error(error.help(help));
            } else if module.is_empty() || function.is_empty() || function.contains(':') {
                let message = format!("`{moment}` is not a function: write `module:function` or `module:Class.method`");
                return self.error(Diagnostic::new(message).at(place.get("at").span()));
            } else if place.has("when") && !moment.contains(':') {
                Some(("when", format!("`{moment}` is a moment, not a function: it has no `when`")))
            } else if is_web && hold.every && hold.call != 1 {
                Some(("call", "`every` holds each call: `call` says one".to_owned()))
            } else if is_web && hold.role.is_some() {
                Some(("role", "a web actor has threads, and no roles".to_owned()))
            } else if !is_web && hold.every {
                let message = "`every` is of a web actor, whose threads are held: a cluster's process stops alone";
                Some(("every", message.to_owned()))
            } else {
                None
            };
            if let Some((option, message)) = wrong {
                self.error(Diagnostic::new(message).at(place.get(option).key_span()));
            }
        }
        if !matches!(spec, Actor::SimulatedCluster) {
            return;
        }
        let option = match action {
            Action::Start { expect_exit: true, .. } => "expect",
            Action::Drain { within: Some(_), .. } => "within",
            Action::Restart { by_kill: true, .. } => "by",
            _ => return,
        };
        let message = format!("a simulated cluster takes no `{option}`: it is played inside one process");
        let help = "leave it out, or make it a real one: `actors: {q: {cluster: real}}`";
        self.error(Diagnostic::new(message).at(place.get(option).key_span()).help(help));
    }

    /// A cluster is started before it is used; a hold may come first.
    fn life(&mut self, action: &Action, actor: &str, span: Span) {
        if matches!(action, Action::Hold { .. }) {
            self.names.held.insert(actor.to_owned());
            return;
        }
        // What is done to whom may hang on variables: the order is that of the base.
        if !self.laid.whose.is_empty() {
            return;
        }
        let started = self.names.started.contains(actor);
        let is_start = matches!(action, Action::Start { .. });
        // A simulated cluster that is started again is another one.
        if is_start && started && self.is_real(actor) {
            let help = format!("put `- stop: {actor}` before it");
            self.error(Diagnostic::new(format!("`{actor}` is started already")).at(span).help(help));
        } else if !is_start && !started {
            let help = format!("put `- start: {actor}` before it");
            self.error(Diagnostic::new(format!("`{actor}` is used before it is started")).at(span).help(help));
        }
        let (ends, needs_hold) = match action {
            Action::Start { expect_exit, .. } => (*expect_exit, false),
            Action::Stop { .. } => (true, false),
            Action::Kill { role, .. } => (*role == Role::Group, *role == Role::Held),
            Action::Resume { role, .. } | Action::Signal { role, .. } => (false, *role == Role::Held),
            Action::Release { .. } => (false, true),
            _ => (false, false),
        };
        if needs_hold {
            self.held(actor, span);
        }
        if ends {
            self.names.started.remove(actor);
        } else {
            // Said once per actor.
            self.names.started.insert(actor.to_owned());
        }
    }

    /// A process of the actor can be held.
    fn held(&mut self, actor: &str, span: Span) {
        if !self.names.held.contains(actor) {
            let message = format!("no step before holds a process of `{actor}`");
            let help = format!("put one before it: `- {{hold: {actor}, at: before_ack}}`");
            self.error(Diagnostic::new(message).at(span).help(help));
        }
    }

    /// The cluster of which a process is to be held.
    pub(super) fn waits_for(&mut self, actor: &str, span: Span) {
        let Some(spec) = self.state.actors.get(actor) else {
            return self.unknown_actor(actor, span, self.state.actors.keys().map(String::as_str));
        };
        if matches!(spec, Actor::RealCluster { .. } | Actor::Web { .. }) {
            self.held(actor, span);
        } else {
            let message = format!("`{actor}` is {} and cannot be held", spec.kind());
            self.error(Diagnostic::new(message).at(span).help(REAL));
        }
    }

    /// A web actor.
    pub(super) fn web_actor(&mut self, actor: &str, span: Span) {
        match self.state.actors.get(actor) {
            Some(Actor::Web { .. }) => {}
            Some(spec) => {
                let message = format!("`{actor}` is {} and has no requests under way", spec.kind());
                self.error(Diagnostic::new(message).at(span).help("a web actor has: `actors: {web: {serve: wsgi}}`"));
            }
            None => self.unknown_actor(actor, span, self.state.actors.keys().map(String::as_str)),
        }
    }

    /// Who enqueues or schedules.
    pub(super) fn python_actor(&mut self, actor: &str, verb: &str, place: Place<'_>) {
        if actor == CLIENT {
            return;
        }
        match self.state.actors.get(actor) {
            Some(Actor::Python { .. }) => {}
            Some(spec) => {
                let message = format!("`{actor}` is {} and cannot do `{verb}`", spec.kind());
                let help = "a python actor does: `actors: {app: {python: shop.tasks}}`; without `by` it is `client`";
                self.error(Diagnostic::new(message).at(place.span()).help(help));
            }
            None => self.unknown_or_client(actor, place.span()),
        }
    }

    /// An actor that reaches the servers through wires of the harness.
    pub(super) fn wired_actor(&mut self, actor: &str, span: Span) {
        match self.state.actors.get(actor) {
            _ if actor == CLIENT => {}
            Some(Actor::Proxy { .. }) => {
                let message = format!("`{actor}` is a proxy: it uses no server");
                let help = "faults lie between actors of the app and their servers";
                self.error(Diagnostic::new(message).at(span).help(help));
            }
            Some(Actor::Stranger { .. }) => {
                let message = format!("`{actor}` is a stranger: no fault reaches it");
                let help = "faults lie between actors of the app and their servers";
                self.error(Diagnostic::new(message).at(span).help(help));
            }
            Some(_) => {}
            None if actor == "probe" => {
                let message = "the probe cannot be hurt: it measures";
                self.error(Diagnostic::new(message).at(span));
            }
            None => self.unknown_or_client(actor, span),
        }
    }

    fn unknown_or_client(&mut self, actor: &str, span: Span) {
        let known = self.state.actors.keys().map(String::as_str).chain([CLIENT]);
        self.unknown_actor(actor, span, known);
    }

    /// An actor that the case does not have; of those that it could be, the nearest is suggested.
    pub(super) fn unknown_actor<'k>(&mut self, actor: &str, span: Span, known: impl Iterator<Item = &'k str>) {
        self.error(Diagnostic::new(format!("unknown actor `{actor}`")).at(span).suggest(actor, known));
    }
}

/// What helps where a real cluster is needed.
const REAL: &str = "only a real cluster has processes of its own: `actors: {q: {cluster: real}}`";

/// Why an actor of this kind cannot do it, and what can.
fn refusal(action: &Action, verb: &str, actor: &str, spec: &Actor) -> Option<(String, &'static str)> {
    let cannot = format!("`{actor}` is {} and cannot do `{verb}`", spec.kind());
    match (action, spec) {
        (Action::Python { .. }, Actor::Python { .. } | Actor::Web { .. })
        | (Action::Sql { .. }, Actor::Stranger { .. })
        | (Action::Hold { .. } | Action::Release { .. }, Actor::Web { .. }) => None,
        (Action::Sql { .. }, _) => {
            Some((cannot, "only a stranger does: `actors: {psql: {stranger: psql}}`; without a name the harness does"))
        }
        (_, Actor::Stranger { .. }) => {
            Some((cannot, "it only does SQL, and connects when it does: `- {sql: \"DELETE ...\", by: psql}`"))
        }
        (_, Actor::Proxy { .. }) => {
            Some((cannot, "requests go through it: `- {http: GET /, via: NAME}`; it starts with the first"))
        }
        (_, Actor::Web { .. }) => {
            Some((cannot, "it starts with its first request, and ends with its arm: `- http: GET /`"))
        }
        (Action::Python { .. }, _) => Some((
            format!("`{actor}` is a cluster and cannot do `python`"),
            "give the code to a python actor: `actors: {app: {python: shop.tasks}}`",
        )),
        (Action::Start { .. }, Actor::Python { .. }) => {
            Some((cannot, "python actors start by themselves: leave the step out"))
        }
        (Action::Stop { .. }, Actor::SimulatedCluster | Actor::Python { .. }) => {
            Some((cannot, "it ends with its arm; only a real cluster can be stopped: `actors: {q: {cluster: real}}`"))
        }
        (
            Action::Signal { .. }
            | Action::Kill { .. }
            | Action::Pause { .. }
            | Action::Resume { .. }
            | Action::Hold { .. }
            | Action::Release { .. },
            Actor::SimulatedCluster | Actor::Python { .. },
        ) => Some((cannot, REAL)),
        (_, Actor::Python { .. }) => Some((cannot, "only a cluster can: `actors: {q: {cluster: simulated}}`")),
        (Action::Beat { .. }, Actor::RealCluster { .. }) => Some((
            format!("a real cluster beats by itself: `{actor}` cannot do `beat`"),
            "give it time: `- {measure: 20s, as: NAME}`",
        )),
        (Action::Tick { .. }, Actor::RealCluster { .. }) => Some((
            format!("a real cluster runs its scheduler by itself: `{actor}` cannot do `tick`"),
            "give it time, or simulate it: `actors: {q: {cluster: simulated}}`",
        )),
        (_, Actor::SimulatedCluster | Actor::RealCluster { .. }) => None,
    }
}
