//! Actors: who can do what, and what a cluster's life allows.

use super::Checker;
use crate::case::diagnostic::{Diagnostic, Span};
use crate::case::model::{Action, ActorSpec, CLIENT, Scalar};
use crate::case::node::Place;
use crate::case::vars::substitute;

impl Checker<'_> {
    /// Whether the actor is a real cluster.
    pub(super) fn is_real(&self, actor: &str) -> bool {
        matches!(self.case.actors.get(actor), Some(ActorSpec::RealCluster { .. }))
    }

    /// The actor that a step names.
    pub(super) fn actor(&mut self, action: &Action, actor: &str, place: Place<'_>) {
        let argument = place.get(action.verb());
        // `beat: q` names the actor by value, `beat: {q: 2}` by key.
        let named = argument.get(actor);
        let span = if named.span() == argument.span() { argument.span() } else { named.key_span() };
        let Some(spec) = self.case.actors.get(actor) else {
            let unknown = Diagnostic::new(format!("unknown actor `{actor}`")).at(span);
            let unknown = if actor == CLIENT {
                unknown.help("`client` only enqueues and schedules; declare a python actor for more")
            } else if let ("postgres" | "redis", "kill" | "stop" | "restart" | "pause") = (actor, action.verb()) {
                unknown.help(format!("a server is hurt by a fault: `- fault: {{{}: {actor}}}`", action.verb()))
            } else if self.case.actors.is_empty() && matches!(action, Action::Sql { .. }) {
                unknown.help(format!("declare it: `actors: {{{actor}: {{stranger: {actor}}}}}`"))
            } else if self.case.actors.is_empty() {
                unknown.help(format!("declare it: `actors: {{{actor}: {{cluster: simulated}}}}`"))
            } else {
                unknown.suggest(actor, self.case.actors.keys().map(String::as_str))
            };
            return self.error(unknown);
        };
        if let Some((message, help)) = refusal(action, actor, spec) {
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

    /// What only one kind of cluster takes.
    fn options(&mut self, action: &Action, spec: &ActorSpec, place: Place<'_>) {
        if let Action::Hold { hold, .. } = action {
            let is_web = matches!(spec, ActorSpec::Web { .. });
            let foreign = if is_web && hold.every && hold.call.0 != 1 {
                Some(("call", "`every` holds each call: `call` says one"))
            } else if is_web && hold.role.is_some() {
                Some(("role", "a web actor has threads, and no roles"))
            } else if !is_web && hold.every {
                Some(("every", "`every` is of a web actor, whose threads are held: a cluster's process stops alone"))
            } else {
                None
            };
            if let Some((option, message)) = foreign {
                self.error(Diagnostic::new(message).at(place.get("hold").get(option).key_span()));
            }
        }
        if !matches!(spec, ActorSpec::SimulatedCluster) {
            return;
        }
        let argument = place.get(action.verb());
        let (option, at) = match action {
            Action::Start { expect_exit: true, .. } => ("expect", place.get("expect")),
            Action::Drain { within: Some(_), .. } => ("within", place.get("within")),
            Action::Restart { by_kill: true, .. } => ("by", argument.get("by")),
            _ => return,
        };
        let message = format!("a simulated cluster takes no `{option}`: it is played inside one process");
        let help = "leave it out, or make it a real one: `actors: {q: {cluster: real}}`";
        self.error(Diagnostic::new(message).at(at.key_span()).help(help));
    }

    /// A cluster is started before it is used; a hold may come first.
    fn life(&mut self, action: &Action, actor: &str, span: Span) {
        if matches!(action, Action::Hold { .. }) {
            self.names.held.insert(actor.to_owned());
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
            Action::Kill { role, .. } => (self.is_role(role, "group"), self.is_role(role, "held")),
            Action::Resume { role, .. } | Action::Signal { role, .. } => (false, self.is_role(role, "held")),
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

    /// Whether a role is this one in the base.
    fn is_role(&self, role: &Scalar, word: &str) -> bool {
        substitute(&role.0, &self.case.base.vars).is_ok_and(|role| role == word)
    }

    /// A process of the actor can be held.
    fn held(&mut self, actor: &str, span: Span) {
        if !self.names.held.contains(actor) {
            let message = format!("no step before holds a process of `{actor}`");
            let help = format!("put one before it: `- hold: {{{actor}: before_ack}}`");
            self.error(Diagnostic::new(message).at(span).help(help));
        }
    }

    /// The cluster of which a process is to be held.
    pub(super) fn waits_for(&mut self, actor: &str, span: Span) {
        let Some(spec) = self.case.actors.get(actor) else {
            return self.unknown_actor(actor, span, self.case.actors.keys().map(String::as_str));
        };
        if matches!(spec, ActorSpec::RealCluster { .. } | ActorSpec::Web { .. }) {
            self.held(actor, span);
        } else {
            let message = format!("`{actor}` is {} and cannot be held", spec.kind());
            self.error(Diagnostic::new(message).at(span).help(REAL));
        }
    }

    /// A web actor.
    pub(super) fn web_actor(&mut self, actor: &str, span: Span) {
        match self.case.actors.get(actor) {
            Some(ActorSpec::Web { .. }) => {}
            Some(spec) => {
                let message = format!("`{actor}` is {} and has no requests under way", spec.kind());
                self.error(Diagnostic::new(message).at(span).help("a web actor has: `actors: {web: {serve: wsgi}}`"));
            }
            None => self.unknown_actor(actor, span, self.case.actors.keys().map(String::as_str)),
        }
    }

    /// Who enqueues or schedules.
    pub(super) fn python_actor(&mut self, actor: &str, verb: &str, place: Place<'_>) {
        if actor == CLIENT {
            return;
        }
        match self.case.actors.get(actor) {
            Some(ActorSpec::Python { .. }) => {}
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
        match self.case.actors.get(actor) {
            _ if actor == CLIENT => {}
            Some(ActorSpec::Proxy { .. }) => {
                let message = format!("`{actor}` is a proxy: it uses no server");
                let help = "faults lie between actors of the app and their servers";
                self.error(Diagnostic::new(message).at(span).help(help));
            }
            Some(ActorSpec::Stranger { .. }) => {
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
        let known = self.case.actors.keys().map(String::as_str).chain([CLIENT]);
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
fn refusal(action: &Action, actor: &str, spec: &ActorSpec) -> Option<(String, &'static str)> {
    let verb = action.verb();
    let cannot = format!("`{actor}` is {} and cannot do `{verb}`", spec.kind());
    match (action, spec) {
        (Action::Python { .. }, ActorSpec::Python { .. } | ActorSpec::Web { .. })
        | (Action::Sql { .. }, ActorSpec::Stranger { .. })
        | (Action::Hold { .. } | Action::Release { .. }, ActorSpec::Web { .. }) => None,
        (Action::Sql { .. }, _) => {
            Some((cannot, "only a stranger does: `actors: {psql: {stranger: psql}}`; without a name the harness does"))
        }
        (_, ActorSpec::Stranger { .. }) => {
            Some((cannot, "it only does SQL, and connects when it does: `- sql: {psql: \"DELETE ...\"}`"))
        }
        (_, ActorSpec::Proxy { .. }) => {
            Some((cannot, "requests go through it: `- http: {get: /, via: NAME}`; it starts with the first"))
        }
        (_, ActorSpec::Web { .. }) => {
            Some((cannot, "it starts with its first request, and ends with its arm: `- http: {get: /}`"))
        }
        (Action::Python { .. }, _) => Some((
            format!("`{actor}` is a cluster and cannot do `python`"),
            "give the code to a python actor: `actors: {app: {python: shop.tasks}}`",
        )),
        (Action::Start { .. }, ActorSpec::Python { .. }) => {
            Some((cannot, "python actors start by themselves: leave the step out"))
        }
        (Action::Stop { .. }, ActorSpec::SimulatedCluster | ActorSpec::Python { .. }) => {
            Some((cannot, "it ends with its arm; only a real cluster can be stopped: `actors: {q: {cluster: real}}`"))
        }
        (
            Action::Signal { .. }
            | Action::Kill { .. }
            | Action::Pause { .. }
            | Action::Resume { .. }
            | Action::Hold { .. }
            | Action::Release { .. },
            ActorSpec::SimulatedCluster | ActorSpec::Python { .. },
        ) => Some((cannot, REAL)),
        (_, ActorSpec::Python { .. }) => Some((cannot, "only a cluster can: `actors: {q: {cluster: simulated}}`")),
        (Action::Beat { .. }, ActorSpec::RealCluster { .. }) => Some((
            format!("a real cluster beats by itself: `{actor}` cannot do `beat`"),
            "give it time: `- measure: {for: 20s}`",
        )),
        (Action::Tick { .. }, ActorSpec::RealCluster { .. }) => Some((
            format!("a real cluster runs its scheduler by itself: `{actor}` cannot do `tick`"),
            "give it time, or simulate it: `actors: {q: {cluster: simulated}}`",
        )),
        (_, ActorSpec::SimulatedCluster | ActorSpec::RealCluster { .. }) => None,
    }
}
