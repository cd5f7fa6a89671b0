//! One verb per step.

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::{ActorArgs, ForFile, MeasureFile, SqlFile, StepFile, VERBS};
use crate::case::model::{Action, Scalar, Step};
use crate::case::node::Place;

impl Lower<'_> {
    /// Steps in their order.
    pub(super) fn steps(&mut self, steps: Vec<StepFile>, place: Place<'_>) -> Vec<Step> {
        let mut lowered = Vec::with_capacity(steps.len());
        for (index, step) in steps.into_iter().enumerate() {
            let place = place.item(index);
            let line = place.span().line;
            let name = step.name.clone();
            if let Some(action) = self.action(step, place) {
                lowered.push(Step { name, action, line });
            }
        }
        lowered
    }

    fn action(&mut self, step: StepFile, place: Place<'_>) -> Option<Action> {
        let given = [
            step.start.is_some(),
            step.stop.is_some(),
            step.restart.is_some(),
            step.beat.is_some(),
            step.drain.is_some(),
            step.python.is_some(),
            step.sql.is_some(),
            step.read.is_some(),
            step.advance.is_some(),
            step.measure.is_some(),
        ];
        let verbs: Vec<&str> = VERBS.into_iter().zip(given).filter(|(_, given)| *given).map(|(verb, _)| verb).collect();
        match verbs.as_slice() {
            [_] => {}
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
        }
        if let Some(actor) = step.start {
            return Some(Action::Start { actor, expect_exit: false });
        }
        if let Some(actor) = step.stop {
            return Some(Action::Stop { actor, within: None });
        }
        if let Some(actor) = step.drain {
            return Some(Action::Drain { actor, within: None });
        }
        if let Some(args) = step.restart {
            let (actor, count, _) = self.actor_args(args, None, place.get("restart"))?;
            return Some(Action::Restart { actor, count: or_once(count), by_kill: false });
        }
        if let Some(args) = step.beat {
            let (actor, count, every) = self.actor_args(args, Some("every"), place.get("beat"))?;
            return Some(Action::Beat { actor, count: or_once(count), every });
        }
        if let Some(args) = step.python {
            let place = place.get("python");
            let (actor, source, times) = self.actor_args(args, Some("times"), place)?;
            if !source.0.is_string() {
                let help = format!("write `python: {{{actor}: \"code\"}}`");
                let message = "`python` needs the source to run";
                self.error(Diagnostic::new(message).at(place.get(&actor).span()).help(help));
                return None;
            }
            return Some(Action::Python { actor, source, times: times.unwrap_or(Scalar(1.into())) });
        }
        if let Some(sql) = step.sql {
            return self.sql(sql, place.get("sql"));
        }
        if let Some(readings) = step.read {
            if readings.is_empty() {
                self.error(Diagnostic::new("`read` reads nothing").at(place.get("read").key_span()));
            }
            let readings = readings.into_iter().map(|(name, source)| (name, Scalar(source.into()))).collect();
            return Some(Action::Read { readings });
        }
        if let Some(by) = step.advance {
            return Some(Action::Advance { by });
        }
        let measured = place.get("measure");
        if step.name.is_none() {
            let help = "name the window: `as: name`";
            self.error(Diagnostic::new("`measure` without `as`").at(measured.key_span()).help(help));
        }
        Some(match step.measure? {
            MeasureFile::Steps(steps) => Action::Measure { steps: self.steps(steps, measured) },
            MeasureFile::For(ForFile { time }) => Action::MeasureFor { time },
        })
    }

    fn sql(&mut self, sql: SqlFile, place: Place<'_>) -> Option<Action> {
        let statements = match sql {
            SqlFile::Plain(statement) => {
                return Some(Action::Sql { actor: None, statement: Scalar(statement.into()) });
            }
            SqlFile::As(statements) => statements,
        };
        let mut statements = statements.into_iter();
        match (statements.next(), statements.next()) {
            (Some((actor, statement)), None) => {
                Some(Action::Sql { actor: Some(actor), statement: Scalar(statement.into()) })
            }
            (Some(_), Some((second, _))) => {
                let message = format!("one speaks at a time: `{second}` is a second one");
                let help = "make several steps of it";
                self.error(Diagnostic::new(message).at(place.get(&second).key_span()).help(help));
                None
            }
            (None, _) => {
                self.error(Diagnostic::new("`sql` without a statement").at(place.key_span()));
                None
            }
        }
    }

    /// The one actor with its argument, and the option that the verb allows.
    fn actor_args(
        &mut self,
        args: ActorArgs,
        option: Option<&str>,
        place: Place<'_>,
    ) -> Option<(String, Scalar, Option<Scalar>)> {
        let (options, actors): (Vec<_>, Vec<_>) = args.0.into_iter().partition(|(key, _)| Some(key.as_str()) == option);
        let mut actors = actors.into_iter();
        match (actors.next(), actors.next()) {
            (Some((actor, value)), None) => Some((actor, value, options.into_iter().next().map(|(_, value)| value))),
            (None, _) => {
                self.error(Diagnostic::new("no actor is named").at(place.key_span()));
                None
            }
            (Some(_), Some((second, _))) => {
                let mut diagnostic = Diagnostic::new(format!("unknown option `{second}`: a step has one actor"))
                    .at(place.get(&second).key_span());
                if let Some(option) = option {
                    diagnostic = diagnostic.suggest(&second, [option]);
                }
                self.error(diagnostic);
                None
            }
        }
    }
}

/// A verb with the actor alone is done once.
fn or_once(count: Scalar) -> Scalar {
    if count.0.is_null() { Scalar(1.into()) } else { count }
}
