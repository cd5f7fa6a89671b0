//! Steps, in their order: what they name, and what they give.

use super::checker::{Checker, Window};
use crate::case::fault::{CutAt, Fault};
use crate::case::quantity;
use crate::case::service::Server;
use crate::case::step::action::{Action, Step};
use crate::case::step::hold::Role;
use crate::case::step::task::{Schedule, ScheduleType};
use crate::case::step::wait::WaitFor;
use crate::case::yaml::diagnostic::{Diagnostic, Span};
use crate::case::yaml::node::Kind;
use crate::case::yaml::place::Place;
use crate::case::yaml::{shape, text};

/// The key of a mapping that names its variant: a step's verb, a fault's kind.
pub fn named<'de, T: serde::Deserialize<'de>>(place: Place<'_>) -> &'static str {
    let variants = shape::variants::<T>();
    let mut heads = variants.into_iter().map(|variant| variant.split_once(": ").map_or(variant, |(head, _)| head));
    heads.find(|head| place.has(head)).unwrap_or_default()
}

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
        let verb = named::<Action>(place);
        let argument = place.get(verb);
        self.never(place);
        if let Some(actor) = step.action.actor() {
            self.actor(&step.action, actor, (verb, place));
        }
        match &step.action {
            Action::Start { expect_exit: false, within: Some(_), .. } => {
                let message = "`within` does not belong to a `start` that comes up";
                let help = "it says until when a cluster is to end by itself: put `expect: exit` beside it";
                self.error(Diagnostic::new(message).at(place.get("within").key_span()).help(help));
            }
            Action::Pause { role: Role::Held, .. } => {
                self.error(Diagnostic::new("what is held stands already").at(place.get("role").span()));
            }
            Action::Python { actor, source, .. } => {
                if source.is_empty() {
                    let help = format!("write `python: {actor}` and `run: \"code\"` beside it");
                    self.error(Diagnostic::new("`python` needs the source to run").at(argument.key_span()).help(help));
                }
                self.no_sleep(source, place.get("run"));
            }
            Action::Manage { actor, .. } => self.python_actor(actor, "manage", place.get("by")),
            Action::Sql { statement, .. } => self.no_sleep(statement, argument),
            Action::Read { readings } => {
                if readings.is_empty() {
                    self.error(Diagnostic::new("`read` reads nothing").at(argument.key_span()));
                }
                for (name, source) in readings {
                    let at = argument.get(name);
                    self.no_sleep(source, at);
                    self.reading(name, at.key_span());
                }
            }
            Action::Enqueue(enqueue) => {
                self.one_way_to_enqueue(place);
                self.python_actor(&enqueue.by, "enqueue", place.get("by"));
            }
            Action::Schedule(schedule) => {
                self.schedule(schedule, place);
                self.python_actor(&schedule.by, "schedule", place.get("by"));
            }
            Action::Wait { for_, .. } => {
                self.must_be_named("wait", "readings", step, argument);
                match for_ {
                    WaitFor::Until(expression) => self.no_sleep(expression, argument),
                    WaitFor::Held(actor) => self.waits_for(actor, argument.get("held").span()),
                    WaitFor::Quiet(actor) => self.web_actor(actor, argument.get("quiet").span()),
                }
            }
            Action::Http { http, steps } => {
                self.http(http, step.name.as_deref(), place);
                self.meanwhile(steps, place);
            }
            Action::Measure { steps } => {
                self.must_be_named("measure", "window", step, argument);
                self.steps(steps, argument);
            }
            Action::MeasureFor { .. } => {
                self.must_be_named("measure", "window", step, argument);
                self.real_time(argument);
            }
            Action::Fault { fault, steps } => {
                self.fault(fault, !steps.is_empty(), place);
                self.meanwhile(steps, place);
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

    /// The steps under `while`.
    fn meanwhile(&mut self, steps: &[Step], place: Place<'_>) {
        let during = place.get("while");
        if !steps.is_empty() {
            self.steps(steps, during);
        } else if place.has("while") {
            let help = "leave it out: a fault then lasts until the arm ends";
            self.error(Diagnostic::new("`while` has no steps").at(during.key_span()).help(help));
        }
    }

    /// What is named by `as` must have it.
    fn must_be_named(&mut self, verb: &str, what: &str, step: &Step, place: Place<'_>) {
        if step.name.is_none() {
            let wrong = Diagnostic::new(format!("`{verb}` without `as`")).at(place.key_span());
            self.error(wrong.help(format!("name the {what}: `as: name`")));
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
        if quantity::measurements().contains(&name) {
            let message = format!("a reading cannot be called `{name}`: `of: {name}` is a measurement");
            self.error(Diagnostic::new(message).at(span));
        } else if let Some(first) = self.names.readings.get(name) {
            let message = format!("a second reading is called `{name}`: the first is in line {first}");
            self.error(Diagnostic::new(message).at(span));
        } else {
            self.names.readings.insert(name.to_owned(), span.line);
        }
    }

    /// What is enqueued is one task, one for each of several arguments, or a chain.
    fn one_way_to_enqueue(&mut self, place: Place<'_>) {
        let what = place.get("enqueue");
        let is_chain = matches!(what.node.kind, Kind::List(_));
        if is_chain && what.node.items().is_empty() {
            self.error(Diagnostic::new("the chain has no tasks").at(what.span()));
        }
        let (who, foreign): (&str, &[&str]) = if is_chain {
            ("a chain", &["args", "kwargs", "iter"])
        } else if place.has("iter") {
            ("`iter`", &["args", "kwargs"])
        } else {
            return;
        };
        for option in foreign.iter().filter(|option| place.has(option)) {
            let message = format!("`{option}` does not belong to {who}");
            let help = "it belongs to a single task: `{enqueue: charge, args: [order-1]}`";
            self.error(Diagnostic::new(message).at(place.get(option).key_span()).help(help));
        }
    }

    fn schedule(&mut self, schedule: &Schedule, place: Place<'_>) {
        let word = text::word(schedule.kind);
        for (field, owner) in [("minutes", ScheduleType::Minutes), ("cron", ScheduleType::Cron)] {
            let message = match (place.has(field), schedule.kind == owner) {
                (false, true) => format!("a schedule of type `{word}` needs `{field}`"),
                (true, false) => format!("`{field}` does not belong to a schedule of type `{word}`"),
                _ => continue,
            };
            let at = if place.has(field) { place.get(field) } else { place.get("type") };
            self.error(Diagnostic::new(message).at(at.key_span()));
        }
        let own = shape::fields::<Schedule>();
        for field in schedule.options.keys().filter(|field| own.contains(&field.as_str())) {
            let message = format!("`{field}` is an option of `schedule` itself");
            let help = "write it beside `options`";
            self.error(Diagnostic::new(message).at(place.get("options").get(field).key_span()).help(help));
        }
    }

    /// A fault, and what is done while it lasts.
    fn fault(&mut self, fault: &Fault, lasts: bool, place: Place<'_>) {
        let argument = place.get("fault");
        let kind = named::<Fault>(argument);
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
            let is_pair = matches!(fault, Fault::Reset { .. } | Fault::BlackHole { .. } | Fault::Partition { .. });
            if is_pair || argument.has("between") {
                let pair = argument.get(if is_pair { kind } else { "between" });
                self.wired_actor(&link.actor, pair.item(0).span());
            } else {
                let help = "name an actor and a server: `between: [q, postgres]`";
                let message = format!("`{kind}` between whom?");
                self.error(Diagnostic::new(message).at(argument.get(kind).key_span()).help(help));
            }
        }
        match fault {
            Fault::Terminate { actor } => self.wired_actor(actor, argument.get(kind).span()),
            Fault::Refuse { from: Some(actor), .. } => self.wired_actor(actor, argument.get("from").span()),
            Fault::Latency { latency, jitter, .. } if jitter > latency => {
                let message = "the jitter is larger than the latency";
                self.error(Diagnostic::new(message).at(argument.get("jitter").span()));
            }
            Fault::Cut { link, at: CutAt::AfterCommit | CutAt::BeforeCommit } if link.server == Server::Redis => {
                let message = "Redis has no COMMIT: cut `after 3 commands` or `after 4096 B`";
                self.error(Diagnostic::new(message).at(argument.get("cut").span()));
            }
            _ => {}
        }
    }

    /// Real time passes for real processes only: to wait for nothing is to sleep.
    fn real_time(&mut self, place: Place<'_>) {
        if !self.state.has_real_clusters() {
            let help = "declare a real cluster (`actors: {q: {cluster: real}}`), or move the clock: `- advance: 20s`";
            let message = "nothing lives in real time here: the case has no real cluster";
            self.error(Diagnostic::new(message).at(place.key_span()).help(help));
        }
    }

    fn no_sleep(&mut self, source: &str, place: Place<'_>) {
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
