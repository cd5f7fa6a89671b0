//! States: every one of them resolves, and no bound is hollow.

use serde_json::Value;

use super::checker::Checker;
use crate::case::bound::Bound;
use crate::case::case::Control;
use crate::case::count::HttpCount;
use crate::case::invariant::Invariant;
use crate::case::quantity::{GROWTHS, Quantity};
use crate::case::state::State;
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::place::Place;

impl Checker<'_> {
    /// The bounds of this state, beside those of the base.
    pub(super) fn bounds(&mut self, base: &State) {
        self.growths();
        self.measurable();
        match (self.laid.whose.first().map(String::as_str), &self.case.control) {
            (Some("fixes"), _) => self.hollow(base),
            (Some(_), Some(control)) => {
                for (name, bound) in &control.bounds {
                    let place = self.file.get("control").get(name);
                    let invariant = base.invariants.get(name);
                    if matches!(invariant, Some(Invariant { of: Quantity::Growth { .. }, .. })) {
                        self.way_to_grow(bound, place);
                    }
                    self.not_exact(invariant, bound, place);
                }
                self.hollow_control(base, control);
            }
            _ => {}
        }
    }

    /// What is measured in real time is never exact, and there is a Redis where it is asked.
    fn measurable(&mut self) {
        let state = self.state;
        self.virtual_time();
        for (name, invariant) in &state.invariants {
            let place = self.top.get("invariants").get(name);
            for (side, bound) in invariant.sides() {
                self.not_exact(Some(invariant), bound, place.get(side));
            }
            if matches!(invariant.of, Quantity::Redis { .. }) && !state.uses_redis() {
                let help = "mention `$redis` in the settings, or say something of it: \
                            `services: {redis: {policy: noeviction}}`";
                let nothing = Diagnostic::new("there is no Redis here to look at").at(place.get("of").span());
                self.error(nothing.help(help));
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
        self.error(Diagnostic::new(message).at(place.span()).help(help));
    }

    /// Growth is bounded by a word, and is that of a number.
    fn growths(&mut self) {
        let state = self.state;
        for (name, invariant) in &state.invariants {
            let Quantity::Growth { of } = &invariant.of else { continue };
            let place = self.top.get("invariants").get(name);
            for (side, bound) in invariant.sides() {
                self.way_to_grow(bound, place.get(side));
            }
            let mut growing = state.invariants.get(of).into_iter().flat_map(Invariant::sides);
            if let Some((_, bound)) = growing.find(|(_, bound)| matches!(bound, Bound::Is(_))) {
                let message = format!("`{of}` is bounded by `{bound}`: what is not a number does not grow");
                self.error(Diagnostic::new(message).at(place.get("in").span()));
            }
        }
    }

    fn way_to_grow(&mut self, bound: &Bound, place: Place<'_>) {
        let word = bound.to_string();
        if !matches!(bound, Bound::Is(Value::String(_))) || !GROWTHS.contains(&word.as_str()) {
            let message = format!("`{word}` is not a way to grow");
            self.error(Diagnostic::new(message).at(place.span()).suggest(&word, GROWTHS));
        }
    }

    /// What holds with the fix must not hold without it.
    fn hollow(&mut self, base: &State) {
        for (name, invariant) in &self.state.invariants {
            let reverted = base.invariants.get(name).and_then(|base| base.reverted.as_ref());
            let (Some(applied), Some(reverted)) = (&invariant.applied, reverted) else { continue };
            if let Some(value) = applied.witness(reverted) {
                let place = self.top.get("invariants").get(name);
                let message = format!(
                    "`{name}` is hollow by construction: applied `{applied}` and reverted `{reverted}` both accept {value}"
                );
                let help = "bounds that overlap cannot tell the states apart; a guard says `both`";
                self.error(Diagnostic::new(message).at(place.get("reverted").span()).help(help));
            }
        }
    }

    /// At least one of the control's bounds must shut the bug out.
    fn hollow_control(&mut self, base: &State, control: &Control) {
        let mut accepted = Vec::new();
        for (name, bound) in &control.bounds {
            match base.invariants.get(name).and_then(|invariant| invariant.reverted.as_ref()) {
                Some(reverted) => match bound.witness(reverted) {
                    Some(value) => accepted.push(format!("`{name}` accepts {value} with and without the bug")),
                    None => return,
                },
                None => accepted.push(format!("`{name}` holds in both states")),
            }
        }
        let message = format!("the control is hollow: {}", accepted.join("; "));
        let help = "bound an invariant that has `reverted` so that the two do not overlap";
        self.error(Diagnostic::new(message).at(self.file.get("control").key_span()).help(help));
    }
}
