//! What a well-formed case can still get wrong: names, order, and hollowness.

mod actors;
mod http;
mod invariants;
mod limits;
mod states;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Diagnostic;
use super::model::{CLIENT, Case, Quantity};
use super::node::Place;
use crate::judge::Verdict;

/// Words that are options of a verb or the harness's own actors.
const RESERVED: [&str; 7] = ["every", "times", "by", "at", "call", "probe", CLIENT];

/// The var that `enqueue` puts in.
const INDEX: &str = "i";

/// Everything that is wrong with a case, in the file's order.
pub fn check(case: &Case, top: Place<'_>) -> Vec<Diagnostic> {
    let mut checker = Checker { case, top, errors: Vec::new(), names: Names::default() };
    checker.limits();
    checker.actors();
    checker.proxies();
    checker.changes();
    checker.growth();
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
    windows: BTreeMap<String, Window>,
    /// Reading -> line.
    readings: BTreeMap<String, usize>,
    /// Readings that are measured in real time.
    timed: BTreeSet<String>,
    started: BTreeSet<String>,
    /// Actors with a hold.
    held: BTreeSet<String>,
    /// Readings that requests keep of their answers.
    kept: BTreeSet<String>,
}

/// What can be told of a window before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// Whether simulated heartbeats fall into it.
    beats: bool,
    /// Whether it is a stretch of real time.
    wall_clock: bool,
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
        if self.case.base.vars.contains_key(INDEX) {
            let message = "a var cannot be called `i`: `$i` is the index of an enqueueing";
            self.error(Diagnostic::new(message).at(self.top.get("vars").get(INDEX).key_span()));
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
            changes.chain(control).filter(|(_, delta)| delta.is_empty()).map(|(place, _)| place).collect();
        for place in hollow {
            let help = "give `packages`, `take`, `patch`, `edits`, `settings`, `env`, `vars` or `services`";
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

    /// The case's own `growth`; the invariants that look at it come later.
    fn growth(&mut self) {
        let case = self.case;
        let Some(growth) = &case.growth else { return };
        let place = self.top.get("growth").get(&growth.var);
        if !case.base.vars.contains_key(&growth.var) {
            let unknown = Diagnostic::new(format!("`{}` is not declared in `vars`", growth.var)).at(place.key_span());
            self.error(if case.base.vars.is_empty() {
                unknown.help(format!("declare it: `vars: {{{}: 1}}`", growth.var))
            } else {
                unknown.suggest(&growth.var, case.base.vars.keys().map(String::as_str))
            });
        }
        let fixes = case.fixes.iter().map(|(name, fix)| (self.top.get("fixes").get(name), &fix.delta));
        let control = case.control.as_ref().map(|control| (self.top.get("control"), &control.delta));
        let setters: Vec<Place<'_>> = fixes
            .chain(control)
            .filter(|(_, delta)| delta.vars.contains_key(&growth.var))
            .map(|(place, _)| place.get("vars").get(&growth.var))
            .collect();
        for place in setters {
            let message = format!("`{}` is the var of `growth`: a change of it would be lost", growth.var);
            self.error(Diagnostic::new(message).at(place.key_span()));
        }
        if !case.invariants.values().any(|invariant| matches!(invariant.of, Quantity::Growth { .. })) {
            let help = "add one: `{of: growth, in: NAME, applied: constant, reverted: linear}`";
            let message = "no invariant looks at the growth";
            self.error(Diagnostic::new(message).at(self.top.get("growth").key_span()).help(help));
        }
    }
}
