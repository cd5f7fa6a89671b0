//! Steps, in their order: what they name, and what they give.

use super::{Checker, Window};
use crate::case::diagnostic::{Diagnostic, Span};
use crate::case::lower::measurements;
use crate::case::model::{Action, ActorSpec, Fault, Step, WaitFor};
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
            self.actor(&step.action, actor, place);
        }
        match &step.action {
            Action::Python { actor, source, .. } => self.no_sleep(&source.0, argument.get(actor)),
            Action::Sql { actor, statement } => {
                self.no_sleep(&statement.0, actor.as_ref().map_or(argument, |actor| argument.get(actor)));
            }
            Action::Read { readings } => {
                for (name, source) in readings {
                    let at = argument.get(name);
                    self.no_sleep(&source.0, at);
                    self.reading(name, at.key_span());
                }
            }
            Action::Enqueue(enqueue) => self.python_actor(&enqueue.by, "enqueue", argument.get("by")),
            Action::Schedule(schedule) => self.python_actor(&schedule.by, "schedule", argument.get("by")),
            Action::Wait { for_: WaitFor::Until { expression }, .. } => {
                self.no_sleep(&expression.0, argument.get("until"));
            }
            Action::Wait { for_: WaitFor::Held { actor }, .. } => self.waits_for(actor, argument.get("held").span()),
            Action::Wait { for_: WaitFor::Quiet { actor }, .. } => self.web_actor(actor, argument.get("quiet").span()),
            Action::Http { http, steps } => {
                self.http(http, step.name.as_deref(), argument);
                if !steps.is_empty() {
                    self.steps(steps, place.get("while"));
                }
            }
            Action::Measure { steps } => self.steps(steps, argument),
            Action::MeasureFor { .. } => self.real_time(argument),
            Action::Fault { fault, steps } => {
                self.fault(fault, !steps.is_empty(), place);
                if !steps.is_empty() {
                    self.steps(steps, place.get("while"));
                }
            }
            _ => {}
        }
        if let Some(name) = &step.name {
            self.given(&step.action, name, place.get("as").span());
            if self.names.windows.insert(name.clone(), window(step)).is_some() {
                let message = format!("a second step is called `{name}`");
                let help = "names of steps are unique in a case";
                self.error(Diagnostic::new(message).at(place.get("as").span()).help(help));
            }
        }
    }

    /// The readings that a named step gives.
    fn given(&mut self, action: &Action, name: &str, span: Span) {
        let parts: &[&str] = match action {
            Action::Sql { .. } => return self.reading(name, span),
            Action::Start { expect_exit: true, .. } | Action::Stop { .. } => &["reached", "exit", "seconds"],
            Action::Wait { .. } => &["reached", "seconds"],
            Action::Drain { actor, .. } if self.is_real(actor) => &["reached", "seconds"],
            Action::Enqueue(_) => &["accepted", "refused"],
            Action::Http { http, .. } if http.until.is_empty() => &["status", "answers", "errors"],
            Action::Http { .. } => &["status", "answers", "errors", "reached"],
            _ => &[],
        };
        for part in parts {
            let reading = format!("{name}.{part}");
            self.reading(&reading, span);
            if *part == "seconds" {
                self.names.timed.insert(reading);
            }
        }
    }

    pub(super) fn reading(&mut self, name: &str, span: Span) {
        if measurements().any(|measurement| measurement == name) {
            let message = format!("a reading cannot be called `{name}`: `of: {name}` is a measurement");
            self.error(Diagnostic::new(message).at(span));
        } else if let Some(first) = self.names.readings.get(name) {
            let message = format!("a second reading is called `{name}`: the first is in line {first}");
            self.error(Diagnostic::new(message).at(span));
        } else {
            self.names.readings.insert(name.to_owned(), span.line);
        }
    }

    /// A fault, and what is done while it lasts.
    fn fault(&mut self, fault: &Fault, lasts: bool, place: Place<'_>) {
        let (argument, kind) = (place.get("fault"), fault.kind());
        if lasts && fault.is_momentary() {
            let message = format!("`{kind}` is over at once: nothing can be done while it lasts");
            let help = "put the steps after it";
            self.error(Diagnostic::new(message).at(place.get("while").key_span()).help(help));
        }
        if let Some(trigger) = fault.trigger() {
            let after = argument.get("after");
            if !lasts {
                let help =
                    format!("put the steps beside it in which `{}` sends so much: `while: [...]`", trigger.actor);
                self.error(Diagnostic::new("`after` without `while`").at(after.key_span()).help(help));
            }
            self.wired_actor(&trigger.actor, after.get(&trigger.actor).key_span());
        }
        if let Some(link) = fault.link() {
            let between = argument.get("between");
            let pair = if between.span() == argument.span() { argument.get(kind) } else { between };
            self.wired_actor(&link.actor, pair.item(0).span());
        }
        match fault {
            Fault::Terminate { actor } => self.wired_actor(actor, argument.get(kind).span()),
            Fault::Refuse { from: Some(actor), .. } => self.wired_actor(actor, argument.get("from").span()),
            _ => {}
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
        action => action.steps().iter().any(beats),
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
