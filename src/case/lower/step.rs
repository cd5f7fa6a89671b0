//! One verb per step.

use serde_json::Value;

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::{ActorArgs, ForFile, MeasureFile, StepFile, VERBS, WaitFile};
use crate::case::model::{Action, Hold, Scalar, Step, WaitFor};
use crate::case::node::Place;

impl Lower<'_> {
    /// Steps in their order.
    pub(super) fn steps(&mut self, steps: Vec<StepFile>, place: Place<'_>) -> Vec<Step> {
        let mut lowered = Vec::with_capacity(steps.len());
        for (index, step) in steps.into_iter().enumerate() {
            let place = place.item(index);
            let line = place.span().line;
            let name = step.name.clone();
            if let Some(verb) = self.verb(&step, place)
                && let Some(action) = self.action(step, verb, place)
            {
                lowered.push(Step { name, action, line });
            }
        }
        lowered
    }

    /// The one verb, and nothing beside it that belongs to another.
    fn verb(&mut self, step: &StepFile, place: Place<'_>) -> Option<&'static str> {
        let given = [
            step.start.is_some(),
            step.stop.is_some(),
            step.signal.is_some(),
            step.kill.is_some(),
            step.pause.is_some(),
            step.resume.is_some(),
            step.restart.is_some(),
            step.hold.is_some(),
            step.release.is_some(),
            step.beat.is_some(),
            step.enqueue.is_some(),
            step.schedule.is_some(),
            step.tick.is_some(),
            step.drain.is_some(),
            step.python.is_some(),
            step.sql.is_some(),
            step.read.is_some(),
            step.http.is_some(),
            step.wait.is_some(),
            step.advance.is_some(),
            step.measure.is_some(),
            step.fault.is_some(),
        ];
        let verbs: Vec<&str> = VERBS.into_iter().zip(given).filter(|(_, given)| *given).map(|(verb, _)| verb).collect();
        let verb = match verbs.as_slice() {
            [verb] => *verb,
            [] if step.steps.is_some() => {
                let help = "it says what is done while a fault lasts: put `fault: {...}` beside it";
                self.error(Diagnostic::new("`while` without `fault`").at(place.get("while").key_span()).help(help));
                return None;
            }
            [] => {
                let help = format!("a step does one of: {}", VERBS.join(", "));
                self.error(Diagnostic::new("a step without a verb").at(place.span()).help(help));
                return None;
            }
            [.., last] => {
                let message = format!("a step does one thing: this one has {}", verbs.join(" and "));
                let help = "make several steps of it, or `measure` them as one window";
                self.error(Diagnostic::new(message).at(place.get(last).key_span()).help(help));
                return None;
            }
        };
        let beside = [
            ("expect", step.expect.is_some(), &["start"] as &[&str], "only a start is expected to `exit`"),
            (
                "within",
                step.within.is_some(),
                &["start", "stop", "drain"],
                "`stop` and `drain` have a deadline; `wait` has its own inside: `wait: {until: ..., within: 5s}`",
            ),
            (
                "while",
                step.steps.is_some(),
                &["fault", "http"],
                "it says what is done while a `fault` lasts, or while `http` requests are under way",
            ),
        ];
        for (key, given, owners, help) in beside {
            if given && !owners.contains(&verb) {
                let message = format!("`{key}` does not belong to `{verb}`");
                self.error(Diagnostic::new(message).at(place.get(key).key_span()).help(help));
            }
        }
        if verb == "start" && step.within.is_some() && step.expect.is_none() {
            let message = "`within` does not belong to a `start` that comes up";
            let help = "it says until when a cluster is to end by itself: put `expect: exit` beside it";
            self.error(Diagnostic::new(message).at(place.get("within").key_span()).help(help));
        }
        Some(verb)
    }

    fn action(&mut self, step: StepFile, verb: &str, place: Place<'_>) -> Option<Action> {
        let StepFile { name, expect, within, .. } = step;
        let argument = place.get(verb);
        Some(match verb {
            "start" => Action::Start { actor: step.start?, expect_exit: expect.is_some(), within },
            "stop" => Action::Stop { actor: step.stop?, within },
            "signal" => {
                let (actor, role, [send]) = self.actor_args(step.signal?, ["send"], argument)?;
                Action::Signal { actor, role: or(role, "parent"), send: send.unwrap_or(Scalar("TERM".into())) }
            }
            "kill" => {
                let (actor, role) = self.processes(step.kill?, argument)?;
                Action::Kill { actor, role }
            }
            "pause" => {
                let (actor, role) = self.processes(step.pause?, argument)?;
                Action::Pause { actor, role }
            }
            "resume" => {
                let (actor, role) = self.processes(step.resume?, argument)?;
                Action::Resume { actor, role }
            }
            "restart" => self.restart(step.restart?, argument)?,
            "hold" => self.hold(step.hold?, argument)?,
            "release" => Action::Release { actor: step.release? },
            "beat" => {
                let (actor, count, [every]) = self.actor_args(step.beat?, ["every"], argument)?;
                Action::Beat { actor, count: or_once(count), every }
            }
            "enqueue" => Action::Enqueue(self.enqueue(step.enqueue?, argument)?),
            "schedule" => Action::Schedule(self.schedule(step.schedule?, argument)?),
            "tick" => {
                let (actor, count, []) = self.actor_args(step.tick?, [], argument)?;
                Action::Tick { actor, count: or_once(count) }
            }
            "drain" => Action::Drain { actor: step.drain?, within },
            "python" => self.python(step.python?, argument)?,
            "sql" => self.sql(step.sql?, argument)?,
            "read" => {
                let readings = step.read?;
                if readings.is_empty() {
                    self.error(Diagnostic::new("`read` reads nothing").at(argument.key_span()));
                }
                let readings = readings.into_iter().map(|(name, source)| (name, Scalar(source.into()))).collect();
                Action::Read { readings }
            }
            "wait" => {
                self.named("wait", "readings", name.as_ref(), argument);
                self.wait(step.wait?, argument)?
            }
            "advance" => Action::Advance { by: step.advance? },
            "measure" => {
                self.named("measure", "window", name.as_ref(), argument);
                match step.measure? {
                    MeasureFile::Steps(steps) => Action::Measure { steps: self.steps(steps, argument) },
                    MeasureFile::For(ForFile { time }) => Action::MeasureFor { time },
                }
            }
            "http" => {
                let http = self.http(step.http?, argument);
                let steps = step.steps.map(|steps| self.steps(steps, place.get("while"))).unwrap_or_default();
                Action::Http { http: Box::new(http?), steps }
            }
            _ => {
                let fault = self.fault(step.fault?, argument);
                let during = place.get("while");
                if step.steps.as_ref().is_some_and(Vec::is_empty) {
                    let help = "leave it out: the fault then lasts until the arm ends";
                    self.error(Diagnostic::new("`while` has no steps").at(during.key_span()).help(help));
                }
                let steps = step.steps.map(|steps| self.steps(steps, during)).unwrap_or_default();
                Action::Fault { fault: fault?, steps }
            }
        })
    }

    /// What is named by `as` must have it.
    fn named(&mut self, verb: &str, what: &str, name: Option<&String>, place: Place<'_>) {
        if name.is_none() {
            let message = format!("`{verb}` without `as`");
            self.error(Diagnostic::new(message).at(place.key_span()).help(format!("name the {what}: `as: name`")));
        }
    }

    /// An actor, and which of its processes; the actor alone is all of them.
    fn processes(&mut self, args: ActorArgs, place: Place<'_>) -> Option<(String, Scalar)> {
        let (actor, role, []) = self.actor_args(args, [], place)?;
        Some((actor, or(role, "group")))
    }

    fn restart(&mut self, args: ActorArgs, place: Place<'_>) -> Option<Action> {
        let (actor, count, [by]) = self.actor_args(args, ["by"], place)?;
        if let Some(Scalar(by)) = &by
            && by != "kill"
        {
            let message = format!("a cluster is not restarted by {by}");
            let help = "it can be `by: kill`; without `by` it is stopped";
            self.error(Diagnostic::new(message).at(place.get("by").span()).help(help));
        }
        Some(Action::Restart { actor, count: or_once(count), by_kill: by.is_some() })
    }

    fn hold(&mut self, args: ActorArgs, place: Place<'_>) -> Option<Action> {
        let (actor, moment, [at, call, role, every]) = self.actor_args(args, ["at", "call", "role", "every"], place)?;
        let every = match every {
            None | Some(Scalar(Value::Bool(false))) => false,
            Some(Scalar(Value::Bool(true))) => true,
            Some(Scalar(other)) => {
                let message = format!("expected true or false, found {other}");
                self.error(Diagnostic::new(message).at(place.get("every").span()));
                false
            }
        };
        if moment.0.is_null() {
            let help = format!("write `hold: {{{actor}: before_ack}}`, or a function: `module:function`");
            self.error(Diagnostic::new("`hold` without a moment").at(place.span()).help(help));
            return None;
        }
        Some(Action::Hold { actor, hold: Hold { moment, at, call: call.unwrap_or(Scalar(1.into())), role, every } })
    }

    fn python(&mut self, args: ActorArgs, place: Place<'_>) -> Option<Action> {
        let (actor, source, [times]) = self.actor_args(args, ["times"], place)?;
        if !source.0.is_string() {
            let help = format!("write `python: {{{actor}: \"code\"}}`");
            let message = "`python` needs the source to run";
            self.error(Diagnostic::new(message).at(place.get(&actor).span()).help(help));
            return None;
        }
        Some(Action::Python { actor, source, times: times.unwrap_or(Scalar(1.into())) })
    }

    fn wait(&mut self, wait: WaitFile, place: Place<'_>) -> Option<Action> {
        let WaitFile { until, held, quiet, within } = wait;
        let for_ = match (until, held, quiet) {
            (Some(expression), None, None) => WaitFor::Until { expression: Scalar(expression.into()) },
            (None, Some(actor), None) => WaitFor::Held { actor },
            (None, None, Some(actor)) => WaitFor::Quiet { actor },
            (None, None, None) => {
                let help = "write `wait: {until: \"expression\"}`, `wait: {held: q}` or `wait: {quiet: web}`";
                self.error(Diagnostic::new("`wait` waits for nothing").at(place.key_span()).help(help));
                return None;
            }
            (until, held, quiet) => {
                let given = [("until", until.is_some()), ("held", held.is_some()), ("quiet", quiet.is_some())];
                let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
                let message = format!("a step waits for one thing: this one has `{}`", given.join("` and `"));
                let help = "make two steps of it";
                let second = given.get(1).copied().unwrap_or_default();
                self.error(Diagnostic::new(message).at(place.get(second).key_span()).help(help));
                return None;
            }
        };
        Some(Action::Wait { for_, within })
    }
}

/// A verb with the actor alone is done once.
fn or_once(count: Scalar) -> Scalar {
    or(count, 1)
}

fn or(scalar: Scalar, default: impl Into<Value>) -> Scalar {
    if scalar.0.is_null() { Scalar(default.into()) } else { scalar }
}
