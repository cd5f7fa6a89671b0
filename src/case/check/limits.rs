//! How much there is of everything, and what it is called.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Checker;
use crate::case::diagnostic::{Diagnostic, Span};
use crate::case::limit::{self, Limit};
use crate::case::model::{self, Case, Delta};
use crate::case::node::Place;
use crate::case::resolve::{Action, ResolvedState};

impl Checker<'_> {
    /// Before anything is looked at more closely: names, and how many there are of what.
    pub(super) fn limits(&mut self) {
        let (case, top) = (self.case, self.top);
        if case.base.packages.is_empty() {
            let message = "the case names no `packages`: without Django there is nothing to run";
            let help = "name the releases of the base: `packages: {django: 5.2.*, django-q2: 1.11.1}`";
            self.error(Diagnostic::new(message).at(top.get("packages").key_span()).help(help));
        }
        let many: [(&str, usize, Limit); 4] = [
            ("actors", case.actors.len(), limit::ACTORS),
            ("fixes", case.fixes.len(), limit::FIXES),
            ("invariants", case.invariants.len(), limit::INVARIANTS),
            ("steps", steps(&case.steps), limit::STEPS),
        ];
        for (key, count, limit) in many {
            self.limit(limit.check(count as u64), top.get(key).key_span());
        }
        for name in case.actors.keys() {
            self.limit(limit::actor_name(name), top.get("actors").get(name).key_span());
        }
        self.names("fixes", case.fixes.keys(), top);
        self.names("invariants", case.invariants.keys(), top);
        for (delta, place) in changes(case, top) {
            self.limit(limit::EDITS.check(delta.edits.len() as u64), place.get("edits").key_span());
            self.names("edits", delta.edits.keys(), place);
            self.names("vars", delta.vars.keys(), place);
        }
        self.alike(case.fixes.keys(), top.get("fixes"));
        for (name, fix) in &case.fixes {
            self.alike(fix.delta.edits.keys(), top.get("fixes").get(name).get("edits"));
        }
        self.step_names(&case.steps, top.get("steps"));
        for text in std::iter::once(&case.title).chain(&case.issues) {
            if text.chars().any(|c| c.is_control() && c != '\n') {
                let message = format!("`{}` has a control character in it", text.escape_debug());
                let key = if *text == case.title { "title" } else { "issues" };
                self.error(Diagnostic::new(message).at(top.get(key).span()).help("it stands in reports"));
            }
        }
    }

    /// The virtual time of all steps together.
    pub(super) fn virtual_time(&mut self, state: &ResolvedState) {
        let times = |every: Duration, times: u64| every.checked_mul(u32::try_from(times).unwrap_or(u32::MAX));
        let passed = state.actions().try_fold(Duration::ZERO, |sum, action| {
            let more = match action {
                Action::Advance { by } => Some(*by),
                Action::Beat { every: Some(every), count, .. } => times(*every, *count),
                Action::Http { http, .. } => times(http.every.unwrap_or_default(), http.times),
                _ => Some(Duration::ZERO),
            };
            sum.checked_add(more?)
        });
        let passed = passed.unwrap_or(Duration::MAX);
        let written = format!("{}d", passed.as_secs() / 86_400);
        if let Err(wrong) = limit::VIRTUAL.check_time(passed, &written) {
            let all = Diagnostic::new(format!("the virtual time of all steps: {}", wrong.message));
            self.say_once(Diagnostic { help: wrong.help, ..all }.at(self.top.get("steps").key_span()));
        }
    }

    fn limit(&mut self, checked: Result<(), Diagnostic>, span: Span) {
        if let Err(wrong) = checked {
            self.error(wrong.at(span));
        }
    }

    fn names<'n>(&mut self, key: &str, names: impl Iterator<Item = &'n String>, place: Place<'_>) {
        for name in names {
            self.limit(limit::name(name), place.get(key).get(name).key_span());
        }
    }

    /// Logs are named for states: two that differ in punctuation alone would share one.
    fn alike<'n>(&mut self, names: impl Iterator<Item = &'n String>, place: Place<'_>) {
        let mut plain: BTreeMap<String, &String> = BTreeMap::new();
        for name in names {
            if let Some(first) = plain.insert(limit::plain(name), name) {
                let message = format!("`{first}` and `{name}` are too much alike: their logs would have the same name");
                self.error(Diagnostic::new(message).at(place.get(name).key_span()));
            }
        }
    }

    fn step_names(&mut self, steps: &[model::Step], place: Place<'_>) {
        for (index, step) in steps.iter().enumerate() {
            let place = place.item(index);
            if let Some(name) = &step.name {
                self.limit(limit::name(name), place.get("as").span());
            }
            if let model::Action::Read { readings } = &step.action {
                self.names("read", readings.keys(), place);
            }
            let within = step.action.steps();
            let key = if place.get("while").key_span() == place.key_span() { "measure" } else { "while" };
            self.step_names(within, place.get(key));
        }
    }
}

/// Steps, those within others included.
fn steps(all: &[model::Step]) -> usize {
    all.iter().map(|step| 1 + steps(step.action.steps())).sum()
}

/// All that a case changes: its base, its fixes, its control.
fn changes<'c>(case: &'c Case, top: Place<'c>) -> Vec<(&'c Delta, Place<'c>)> {
    let fixes = case.fixes.iter().map(|(name, fix)| (&fix.delta, top.get("fixes").get(name)));
    let control = case.control.iter().map(|control| (&control.delta, top.get("control")));
    std::iter::once((&case.base, top)).chain(fixes).chain(control).collect()
}
