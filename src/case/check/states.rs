//! States: every one of them resolves, and no bound is hollow.

use indexmap::IndexMap;
use serde_json::Value;

use super::Checker;
use crate::case::bound::Bound;
use crate::case::diagnostic::Diagnostic;
use crate::case::model::{Delta, GROWTHS, HttpCount, Quantity, StateBounds};
use crate::case::node::Place;
use crate::case::resolve::{Invariant, ResolvedState, Unresolved, control_at, resolve_at};

impl Checker<'_> {
    /// Resolves every state, and compares the bounds of each fix with those of the base.
    pub(super) fn states(&mut self) {
        let case = self.case;
        let none = IndexMap::new();
        let base = self.resolved(resolve_at(case, None, &none, &[]));
        if let Some(base) = &base {
            self.growths(base);
            self.measurable(base);
        }
        for (name, fix) in &case.fixes {
            let applied = self.resolved(resolve_at(case, Some(&fix.delta), &none, &["fixes", name]));
            if let (Some(base), Some(applied)) = (&base, applied) {
                self.growths(&applied);
                self.measurable(&applied);
                self.hollow(base, &applied);
            }
            self.grown(Some(&fix.delta), &["fixes", name]);
        }
        self.grown(None, &[]);
        let control = self.resolved(control_at(case)).flatten();
        if let (Some(base), Some(control)) = (base, control) {
            self.grown(case.control.as_ref().map(|control| &control.delta), &["control"]);
            for (name, bound) in &control.bounds {
                if let Some(Quantity::Growth { .. }) = base.invariants.get(name).map(|invariant| &invariant.of) {
                    self.way_to_grow(bound, self.top.get("control").get(name));
                }
                self.not_exact(base.invariants.get(name), bound, self.top.get("control").get(name));
            }
            self.measurable(&control.state);
            self.hollow_control(&base, &control.bounds);
        }
    }

    /// Every value of the growth must give a state.
    fn grown(&mut self, delta: Option<&Delta>, prefix: &[&str]) {
        let case = self.case;
        let Some(growth) = &case.growth else { return };
        for value in &growth.values {
            let overrides = IndexMap::from([(growth.var.clone(), value.clone())]);
            self.resolved(resolve_at(case, delta, &overrides, prefix));
        }
    }

    /// What is measured in real time is never exact, and there is a Redis where it is asked.
    fn measurable(&mut self, state: &ResolvedState) {
        self.real_proxies(state);
        self.virtual_time(state);
        for (name, invariant) in &state.invariants {
            let place = self.top.get("invariants").get(name);
            for (side, bound) in sides(&invariant.bounds) {
                self.not_exact(Some(invariant), bound, place.get(side));
            }
            if matches!(invariant.of, Quantity::Redis { .. }) && !state.uses_redis() {
                let help = "mention `$redis` in the settings, or say something of it: \
                            `services: {redis: {policy: noeviction}}`";
                let nothing = Diagnostic::new("there is no Redis here to look at").at(place.get("of").span());
                self.say_once(nothing.help(help));
            }
        }
    }

    fn not_exact(&mut self, invariant: Option<&Invariant>, bound: &Bound, place: Place<'_>) {
        if !matches!(bound, Bound::Equals(_) | Bound::Is(_)) {
            return;
        }
        let (what, help) = match invariant.map(|invariant| &invariant.of) {
            Some(Quantity::Reading(reading)) if self.names.timed.contains(reading) => {
                (format!("`{reading}` is measured in real time"), "give it room: `<= 5`, or `4..6`")
            }
            Some(Quantity::Http { count: HttpCount::Latency, .. }) => {
                ("`http.latency` is measured in real time".to_owned(), "give it room: `<= 5`")
            }
            Some(Quantity::Memory { .. }) => {
                ("memory comes in pages, as the allocator asks for them".to_owned(), "give it room: `<= 20 MB`")
            }
            _ => return,
        };
        let message = format!("{what}: it is never exactly `{bound}`");
        self.say_once(Diagnostic::new(message).at(place.span()).help(help));
    }

    /// Growth is bounded by a word, and is that of a number.
    fn growths(&mut self, state: &ResolvedState) {
        for (name, invariant) in &state.invariants {
            let Quantity::Growth { of } = &invariant.of else { continue };
            let place = self.top.get("invariants").get(name);
            for (side, bound) in sides(&invariant.bounds) {
                self.way_to_grow(bound, place.get(side));
            }
            let growing = state.invariants.get(of).map(|growing| sides(&growing.bounds)).unwrap_or_default();
            if let Some((_, bound)) = growing.iter().find(|(_, bound)| matches!(bound, Bound::Is(_))) {
                let message = format!("`{of}` is bounded by `{bound}`: what is not a number does not grow");
                self.say_once(Diagnostic::new(message).at(place.get("in").span()));
            }
        }
    }

    fn way_to_grow(&mut self, bound: &Bound, place: Place<'_>) {
        let word = bound.to_string();
        if !matches!(bound, Bound::Is(Value::String(_))) || !GROWTHS.contains(&word.as_str()) {
            let message = format!("`{word}` is not a way to grow");
            self.say_once(Diagnostic::new(message).at(place.span()).suggest(&word, GROWTHS));
        }
    }

    /// States share most of the file: what is wrong in several is said once.
    pub(super) fn say_once(&mut self, diagnostic: Diagnostic) {
        if !self.errors.contains(&diagnostic) {
            self.error(diagnostic);
        }
    }

    fn resolved<T>(&mut self, result: Result<T, Unresolved>) -> Option<T> {
        result
            .map_err(|unresolved| {
                let place = self.top.walk(&unresolved.path);
                self.say_once(unresolved.diagnostic.or_at(place.span()));
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
                self.say_once(Diagnostic::new(message).at(place.get("reverted").span()).help(help));
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

/// The bounds that are given, with their keys.
fn sides(bounds: &StateBounds) -> Vec<(&'static str, &Bound)> {
    match bounds {
        StateBounds::Both(both) => vec![("both", both)],
        StateBounds::Each { applied, reverted } => {
            applied.iter().map(|applied| ("applied", applied)).chain([("reverted", reverted)]).collect()
        }
    }
}
