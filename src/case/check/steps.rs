//! Steps: who can do what, and in which order.

use super::{Checker, Window};
use crate::case::diagnostic::{Diagnostic, Span};
use crate::case::lower::measurements;
use crate::case::model::{Action, ActorSpec, Step};
use crate::case::node::Place;

impl Checker<'_> {
    /// Steps, in the order in which they are played.
    pub(super) fn steps(&mut self, steps: &[Step], place: Place<'_>) {
        if steps.is_empty() {
            self.error(Diagnostic::new("there are no steps").at(place.key_span()));
        }
        for (index, step) in steps.iter().enumerate() {
            self.step(step, place.item(index));
        }
    }

    fn step(&mut self, step: &Step, place: Place<'_>) {
        let argument = place.get(step.action.verb());
        if let Some(actor) = step.action.actor() {
            self.actor(&step.action, actor, argument);
        }
        match &step.action {
            Action::Python { actor, source, .. } => self.no_sleep(&source.0, argument.get(actor)),
            Action::Sql { actor, statement } => {
                self.no_sleep(&statement.0, actor.as_ref().map_or(argument, |actor| argument.get(actor)));
                if let Some(name) = &step.name {
                    self.reading(name, place.get("as").span().line, place.get("as").span());
                }
            }
            Action::Read { readings } => {
                for (name, source) in readings {
                    let at = argument.get(name);
                    self.no_sleep(&source.0, at);
                    self.reading(name, at.key_span().line, at.key_span());
                }
            }
            Action::Measure { steps } => self.steps(steps, argument),
            Action::MeasureFor { .. } => self.real_time(argument),
            _ => {}
        }
        if let Some(name) = &step.name
            && self.names.windows.insert(name.clone(), window(step)).is_some()
        {
            let message = format!("a second step is called `{name}`");
            self.error(Diagnostic::new(message).at(place.get("as").span()).help("names of steps are unique in a case"));
        }
    }

    fn reading(&mut self, name: &str, line: usize, span: Span) {
        if measurements().any(|measurement| measurement == name) {
            let message = format!("a reading cannot be called `{name}`: `of: {name}` is a measurement");
            self.error(Diagnostic::new(message).at(span));
        } else if let Some(first) = self.names.readings.get(name) {
            let message = format!("a second reading is called `{name}`: the first is in line {first}");
            self.error(Diagnostic::new(message).at(span));
        } else {
            self.names.readings.insert(name.to_owned(), line);
        }
    }

    fn actor(&mut self, action: &Action, actor: &str, argument: Place<'_>) {
        let verb = action.verb();
        // `beat: q` names the actor by value, `beat: {q: 2}` by key.
        let named = argument.get(actor);
        let span = if named.span() == argument.span() { argument.span() } else { named.key_span() };
        let Some(spec) = self.case.actors.get(actor) else {
            let mut unknown = Diagnostic::new(format!("unknown actor `{actor}`")).at(span);
            unknown = if self.case.actors.is_empty() && matches!(action, Action::Sql { .. }) {
                unknown.help(format!("declare it: `actors: {{{actor}: {{stranger: {actor}}}}}`"))
            } else if self.case.actors.is_empty() {
                unknown.help(format!("declare it: `actors: {{{actor}: {{cluster: simulated}}}}`"))
            } else {
                unknown.suggest(actor, self.case.actors.keys().map(String::as_str))
            };
            return self.error(unknown);
        };
        let refusal = match (action, spec) {
            (Action::Python { .. }, ActorSpec::Python { .. }) | (Action::Sql { .. }, ActorSpec::Stranger { .. }) => {
                None
            }
            (Action::Sql { .. }, _) => Some((
                format!("`{actor}` is {} and cannot do `sql`", spec.kind()),
                "only a stranger does: `actors: {psql: {stranger: psql}}`; without a name the harness does",
            )),
            (_, ActorSpec::Stranger { .. }) => Some((
                format!("`{actor}` is a stranger and cannot do `{verb}`"),
                "it only does SQL, and connects when it does: `- sql: {psql: \"DELETE ...\"}`",
            )),
            (Action::Python { .. }, _) => Some((
                format!("`{actor}` is a cluster and cannot do `python`"),
                "give the code to a python actor: `actors: {app: {python: shop.tasks}}`",
            )),
            (Action::Start { .. }, ActorSpec::Python { .. }) => Some((
                format!("`{actor}` is a python actor and cannot do `start`"),
                "python actors start by themselves: leave the step out",
            )),
            (Action::Stop { .. }, ActorSpec::SimulatedCluster | ActorSpec::Python { .. }) => Some((
                format!("`{actor}` is {} and cannot do `stop`", spec.kind()),
                "it ends with its arm; only a real cluster can be stopped: `actors: {q: {cluster: real}}`",
            )),
            (_, ActorSpec::Python { .. }) => Some((
                format!("`{actor}` is a python actor and cannot do `{verb}`"),
                "only a cluster can: `actors: {q: {cluster: simulated}}`",
            )),
            (Action::Restart { .. } | Action::Beat { .. } | Action::Drain { .. }, ActorSpec::RealCluster { .. }) => {
                Some((
                    format!("a real cluster beats by itself: `{actor}` cannot do `{verb}`"),
                    "give it time: `- measure: {for: 20s}`",
                ))
            }
            (_, ActorSpec::SimulatedCluster | ActorSpec::RealCluster { .. }) => None,
        };
        match refusal {
            Some((message, help)) => self.error(Diagnostic::new(message).at(span).help(help)),
            None if spec.is_cluster() => self.life(action, actor, spec, span),
            None => {}
        }
    }

    /// A cluster is started before it is used.
    fn life(&mut self, action: &Action, actor: &str, spec: &ActorSpec, span: Span) {
        let started = match action {
            Action::Stop { .. } => self.names.started.remove(actor),
            // Said once per actor.
            _ => !self.names.started.insert(actor.to_owned()),
        };
        let real = matches!(spec, ActorSpec::RealCluster { .. });
        match action {
            // A simulated cluster that is started again is another one.
            Action::Start { .. } if started && real => {
                let help = format!("put `- stop: {actor}` before it");
                self.error(Diagnostic::new(format!("`{actor}` is started already")).at(span).help(help));
            }
            Action::Start { .. } => {}
            _ if started => {}
            _ => {
                let help = format!("put `- start: {actor}` before it");
                self.error(Diagnostic::new(format!("`{actor}` is used before it is started")).at(span).help(help));
            }
        }
    }

    /// Real time passes for real processes only: to wait for nothing is to sleep.
    fn real_time(&mut self, place: Place<'_>) {
        if !self.case.actors.values().any(|spec| matches!(spec, ActorSpec::RealCluster { .. })) {
            let help = "declare a real cluster (`actors: {q: {cluster: real}}`), or move the clock: `- advance: 20s`";
            let message = "nothing lives in real time here: the case has no real cluster";
            self.error(Diagnostic::new(message).at(place.key_span()).help(help));
        }
    }

    fn no_sleep(&mut self, source: &serde_json::Value, place: Place<'_>) {
        let source = source.as_str().unwrap_or_default();
        if calls_sleep(source) {
            let help = "move the clock with a step `- advance: 5s`";
            self.error(Diagnostic::new("a case does not sleep: its time is virtual").at(place.span()).help(help));
        }
    }
}

fn window(step: &Step) -> Window {
    Window { beats: beats(step), wall_clock: matches!(step.action, Action::MeasureFor { .. }) }
}

/// Whether simulated heartbeats follow each other in this step.
pub fn beats(step: &Step) -> bool {
    match &step.action {
        Action::Beat { .. } => true,
        Action::Measure { steps } => steps.iter().any(beats),
        _ => false,
    }
}

/// `sleep(` as a call of its own or of a module, and Postgres's `pg_sleep`.
fn calls_sleep(source: &str) -> bool {
    source.match_indices("sleep").any(|(start, word)| {
        let before = &source[..start];
        let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_') || before.ends_with("pg_");
        whole && source[start + word.len()..].trim_start().starts_with('(')
    })
}
