//! What a well-formed case can still get wrong: names, order, and hollowness.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::bound::Bound;
use super::diagnostic::{Diagnostic, Span};
use super::model::{Action, ActorSpec, Case, Delta, Quantity, StateBounds, Step};
use super::node::Place;
use super::resolve::{Fault, ResolvedState, control_at, resolve_at};
use crate::judge::Verdict;

/// Words that are options of a verb or the harness's own actor.
const RESERVED: [&str; 3] = ["every", "times", "probe"];

/// Everything that is wrong with a case, in the file's order.
pub fn check(case: &Case, top: Place<'_>) -> Vec<Diagnostic> {
    let mut checker = Checker { case, top, errors: Vec::new(), names: Names::default() };
    checker.actors();
    checker.changes();
    checker.steps(&case.steps, top.get("steps"));
    checker.invariants();
    // Bounds can only be compared where every name in them is known.
    if checker.errors.is_empty() {
        checker.states();
    }
    checker.errors.sort_by_key(|error| error.span.map_or((0, 0), |span| (span.line, span.column)));
    checker.errors
}

#[derive(Default)]
struct Names {
    windows: BTreeSet<String>,
    /// Reading -> line.
    readings: BTreeMap<String, usize>,
    started: BTreeSet<String>,
}

struct Checker<'a> {
    case: &'a Case,
    top: Place<'a>,
    errors: Vec<Diagnostic>,
    names: Names,
}

impl Checker<'_> {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    fn actors(&mut self) {
        for name in self.case.actors.keys() {
            if RESERVED.contains(&name.as_str()) {
                let message = format!("an actor cannot be called `{name}`: the word is taken");
                self.error(Diagnostic::new(message).at(self.top.get("actors").get(name).key_span()));
            }
        }
    }

    fn changes(&mut self) {
        let case = self.case;
        if case.fixes.is_empty() && case.control.is_none() {
            let help = "without either, nothing shows that the case would notice the bug's absence";
            self.error(Diagnostic::new("the case has neither `fixes` nor `control`").at(self.top.span()).help(help));
        }
        let changes = case.fixes.iter().map(|(name, fix)| (self.top.get("fixes").get(name), &fix.delta));
        let control = case.control.as_ref().map(|control| (self.top.get("control"), &control.delta));
        let hollow: Vec<Place<'_>> =
            changes.chain(control).filter(|(_, delta)| is_empty(delta)).map(|(place, _)| place).collect();
        for place in hollow {
            let help = "give `packages`, `take`, `patch`, `edits`, `settings`, `env` or `vars`";
            self.error(Diagnostic::new("it changes nothing").at(place.key_span()).help(help));
        }
        for (name, fix) in &case.fixes {
            let can_be = [Verdict::Proven, Verdict::NotFixed, Verdict::NotPinned, Verdict::Backwards];
            self.verdict(fix.verdict, &can_be, self.top.get("fixes").get(name).get("verdict"), "a fix");
        }
        if case.fixes.is_empty() {
            let can_be = [Verdict::Reproduced, Verdict::NotReproduced];
            self.verdict(case.verdict, &can_be, self.top.get("verdict"), "a case without fixes");
        }
    }

    fn verdict(&mut self, verdict: Verdict, can_be: &[Verdict], place: Place<'_>, who: &str) {
        if !can_be.contains(&verdict) {
            let words: Vec<&str> = can_be.iter().map(|verdict| verdict.word()).collect();
            let message = format!("{who} cannot be declared {verdict}");
            let help = format!("it can be {}", words.join(", "));
            self.error(Diagnostic::new(message).at(place.span()).help(help));
        }
    }

    fn steps(&mut self, steps: &[Step], place: Place<'_>) {
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
            Action::Sql { statement } => {
                self.no_sleep(&statement.0, argument);
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
            _ => {}
        }
        if let Some(name) = &step.name
            && !self.names.windows.insert(name.clone())
        {
            let message = format!("a second step is called `{name}`");
            self.error(Diagnostic::new(message).at(place.get("as").span()).help("names of steps are unique in a case"));
        }
    }

    fn reading(&mut self, name: &str, line: usize, span: Span) {
        if ["statements", "rows"].contains(&name) {
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
            unknown = if self.case.actors.is_empty() {
                unknown.help(format!("declare it: `actors: {{{actor}: {{cluster: simulated}}}}`"))
            } else {
                unknown.suggest(actor, self.case.actors.keys().map(String::as_str))
            };
            return self.error(unknown);
        };
        let wrong = |what: &str, help: &str| Diagnostic::new(what.to_owned()).at(span).help(help.to_owned());
        match (action, spec) {
            (Action::Python { .. }, ActorSpec::SimulatedCluster) => self.error(wrong(
                &format!("`{actor}` is a cluster and cannot do `python`"),
                "give the code to a python actor: `actors: {app: {python: shop.tasks}}`",
            )),
            (Action::Start { .. }, ActorSpec::Python { .. }) => self.error(wrong(
                &format!("`{actor}` is a python actor and cannot do `start`"),
                "python actors start by themselves: leave the step out",
            )),
            (Action::Python { .. }, ActorSpec::Python { .. }) => {}
            (_, ActorSpec::Python { .. }) => self.error(wrong(
                &format!("`{actor}` is a python actor and cannot do `{verb}`"),
                "only a cluster can: `actors: {q: {cluster: simulated}}`",
            )),
            (Action::Start { .. }, ActorSpec::SimulatedCluster) => {
                self.names.started.insert(actor.to_owned());
            }
            (_, ActorSpec::SimulatedCluster) => {
                if !self.names.started.contains(actor) {
                    // Said once per actor.
                    self.names.started.insert(actor.to_owned());
                    let help = format!("put `- start: {actor}` before it");
                    self.error(wrong(&format!("`{actor}` is used before it is started"), &help));
                }
            }
        }
    }

    fn no_sleep(&mut self, source: &serde_json::Value, place: Place<'_>) {
        let source = source.as_str().unwrap_or_default();
        if calls_sleep(source) {
            let help = "move the clock with a step `- advance: 5s`";
            self.error(Diagnostic::new("a case does not sleep: its time is virtual").at(place.span()).help(help));
        }
    }

    fn invariants(&mut self) {
        let case = self.case;
        let all = self.top.get("invariants");
        if case.invariants.is_empty() {
            let help = "say what must hold with the fix and without it";
            self.error(Diagnostic::new("there are no invariants").at(all.key_span()).help(help));
            return;
        }
        for (name, invariant) in &case.invariants {
            let place = all.get(name);
            match &invariant.of {
                Quantity::Reading(reading) if !self.names.readings.contains_key(reading) => {
                    let span = if reading == name { place.key_span() } else { place.get("of").span() };
                    let known = self.names.readings.keys().map(String::as_str).chain(["statements", "rows"]);
                    let unknown = Diagnostic::new(format!("no step gives a reading `{reading}`"));
                    let unknown = unknown.at(span).suggest(reading, known);
                    self.error(unknown);
                }
                Quantity::Reading(_) => {}
                Quantity::Statements { filter, .. } => {
                    self.window(filter.during.as_deref(), place);
                    if let Some(actor) = &filter.actor
                        && !case.actors.contains_key(actor)
                    {
                        let unknown = Diagnostic::new(format!("unknown actor `{actor}`")).at(place.get("actor").span());
                        self.error(if actor == "probe" {
                            unknown.help("the probe's statements are left out of every measurement")
                        } else {
                            unknown.suggest(actor, case.actors.keys().map(String::as_str))
                        });
                    }
                }
                Quantity::Rows { during, .. } => self.window(during.as_deref(), place),
            }
        }
        if case.invariants.values().all(|invariant| matches!(invariant.bounds, StateBounds::Both(_))) {
            let (message, help) = if case.fixes.is_empty() {
                ("the case is hollow: no invariant says what the bug does", "give one of them `reverted`")
            } else {
                (
                    "the case is hollow: every invariant holds in both states, so none tells them apart",
                    "give at least one of them `applied` and `reverted`",
                )
            };
            self.error(Diagnostic::new(message).at(all.key_span()).help(help));
        }
        self.control_names();
    }

    fn control_names(&mut self) {
        let Some(control) = &self.case.control else { return };
        let place = self.top.get("control");
        for name in control.bounds.keys() {
            if !self.case.invariants.contains_key(name) {
                let known = ["packages", "take", "patch", "edits", "settings", "env", "vars"];
                let known = self.case.invariants.keys().map(String::as_str).chain(known);
                let message = format!("`{name}` is neither an invariant nor a change");
                let unknown = Diagnostic::new(message).at(place.get(name).key_span()).suggest(name, known);
                self.error(unknown);
            }
        }
        if control.bounds.is_empty() {
            let help = "add the invariants that then hold, each with its bound: `charges: 1`";
            self.error(Diagnostic::new("the control bounds nothing").at(place.key_span()).help(help));
        }
    }

    fn window(&mut self, during: Option<&str>, place: Place<'_>) {
        if let Some(window) = during
            && !self.names.windows.contains(window)
        {
            let unknown = Diagnostic::new(format!("no step is called `{window}`")).at(place.get("during").span());
            let unknown = if self.names.windows.is_empty() {
                unknown.help(format!("name a step: `as: {window}`"))
            } else {
                unknown.suggest(window, self.names.windows.iter().map(String::as_str))
            };
            self.error(unknown);
        }
    }

    /// Resolves every state, and compares the bounds of each fix with those of the base.
    fn states(&mut self) {
        let case = self.case;
        let base = self.resolved(resolve_at(case, None, &[]));
        for (name, fix) in &case.fixes {
            let applied = self.resolved(resolve_at(case, Some(&fix.delta), &["fixes", name]));
            if let (Some(base), Some(applied)) = (&base, applied) {
                self.hollow(base, &applied);
            }
        }
        let control = self.resolved(control_at(case)).flatten();
        if let (Some(base), Some(control)) = (base, control) {
            self.hollow_control(&base, &control.bounds);
        }
    }

    fn resolved<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result
            .map_err(|fault| {
                let diagnostic = fault.diagnostic.or_at(self.top.walk(&fault.path).span());
                // States share most of the file: what is wrong in several is said once.
                if !self.errors.contains(&diagnostic) {
                    self.error(diagnostic);
                }
            })
            .ok()
    }

    fn hollow(&mut self, base: &ResolvedState, fixed: &ResolvedState) {
        for (name, invariant) in &fixed.invariants {
            let StateBounds::Each { applied: Some(applied), .. } = &invariant.bounds else { continue };
            let Some(StateBounds::Each { reverted, .. }) = base.invariants.get(name).map(|base| &base.bounds) else {
                continue;
            };
            if let Some(value) = applied.witness(reverted) {
                let place = self.top.get("invariants").get(name);
                let message = format!(
                    "`{name}` is hollow by construction: applied `{applied}` and reverted `{reverted}` both accept {value}"
                );
                let help = "bounds that overlap cannot tell the states apart; a guard says `both`";
                let diagnostic = Diagnostic::new(message).at(place.get("reverted").span()).help(help);
                if !self.errors.contains(&diagnostic) {
                    self.error(diagnostic);
                }
            }
        }
    }

    /// At least one of the control's bounds must shut the bug out.
    fn hollow_control(&mut self, base: &ResolvedState, bounds: &IndexMap<String, Bound>) {
        let mut accepted = Vec::new();
        for (name, bound) in bounds {
            match base.invariants.get(name).map(|invariant| &invariant.bounds) {
                Some(StateBounds::Each { reverted, .. }) => match bound.witness(reverted) {
                    Some(value) => accepted.push(format!("`{name}` accepts {value} with and without the bug")),
                    None => return,
                },
                _ => accepted.push(format!("`{name}` holds in both states")),
            }
        }
        let message = format!("the control is hollow: {}", accepted.join("; "));
        let help = "bound an invariant that has `reverted` so that the two do not overlap";
        self.error(Diagnostic::new(message).at(self.top.get("control").key_span()).help(help));
    }
}

fn is_empty(delta: &Delta) -> bool {
    delta.packages.is_empty()
        && delta.take.is_none()
        && delta.patch.is_none()
        && delta.edits.is_empty()
        && delta.settings.is_empty()
        && delta.env.is_empty()
        && delta.vars.is_empty()
}

/// `sleep(` as a call of its own or of a module, and Postgres's `pg_sleep`.
fn calls_sleep(source: &str) -> bool {
    source.match_indices("sleep").any(|(start, word)| {
        let before = &source[..start];
        let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_') || before.ends_with("pg_");
        whole && source[start + word.len()..].trim_start().starts_with('(')
    })
}
