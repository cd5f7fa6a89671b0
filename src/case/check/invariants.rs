//! Invariants: names, windows, and whether any of them can tell the states apart.

use super::steps::beats;
use super::{Checker, Window};
use crate::case::diagnostic::Diagnostic;
use crate::case::lower::measurements;
use crate::case::model::{ActorSpec, CLIENT, HttpCount, Invariant, Per, Quantity, StateBounds, StatementUnit};
use crate::case::node::Place;

impl Checker<'_> {
    /// Invariants, after the steps that they look at.
    pub(super) fn invariants(&mut self) {
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
                    let known = self.names.readings.keys().map(String::as_str).chain(measurements());
                    let unknown = Diagnostic::new(format!("no step gives a reading `{reading}`"));
                    let unknown = unknown.at(span).suggest(reading, known);
                    self.error(unknown);
                }
                Quantity::Growth { of } => self.growing(of, invariant, place),
                Quantity::Writers { allowed, .. } => {
                    for (index, actor) in allowed.iter().enumerate() {
                        self.known_actor(actor, place.get("allowed").item(index));
                    }
                }
                _ => {}
            }
            if let Some(actor) = invariant.of.actor() {
                self.counted_actor(&invariant.of, actor, place.get("actor"));
            }
            if matches!(invariant.of, Quantity::Http { count: HttpCount::Latency, .. }) {
                self.guard(invariant, place);
            }
            self.window(invariant.of.during(), place);
            self.rate(invariant, place);
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
                let known = ["packages", "take", "patch", "edits", "settings", "env", "vars", "services"];
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

    /// Whether the actor is declared.
    fn known_actor(&mut self, actor: &str, place: Place<'_>) -> bool {
        if actor == CLIENT || self.case.actors.contains_key(actor) {
            return true;
        }
        let unknown = Diagnostic::new(format!("unknown actor `{actor}`")).at(place.span());
        self.error(if actor == "probe" {
            unknown.help("the probe's statements are left out of every measurement")
        } else {
            unknown.suggest(actor, self.case.actors.keys().map(String::as_str))
        });
        false
    }

    fn counted_actor(&mut self, of: &Quantity, actor: &str, place: Place<'_>) {
        if !self.known_actor(actor, place) {
            return;
        }
        let spec = self.case.actors.get(actor);
        let kind = spec.map_or("an actor that every case has", ActorSpec::kind);
        let (message, help) = match (of, spec) {
            (Quantity::Cache { .. }, Some(ActorSpec::Proxy { .. }))
            | (Quantity::Requests { .. }, Some(ActorSpec::Web { .. })) => return,
            (Quantity::Cache { .. }, _) => (
                format!("`{actor}` is {kind}: it keeps no answers"),
                "a proxy does: `actors: {corporate: {cache: strict, to: web}}`",
            ),
            (Quantity::Requests { .. }, _) => (
                format!("`{actor}` is {kind}: no request reaches the app there"),
                "a web actor handles them: `actors: {web: {serve: wsgi}}`",
            ),
            (Quantity::Memory { .. }, Some(spec)) if !spec.is_one_process() => (
                format!("`{actor}` is {kind}: it is not one process of ours, whose memory could be told"),
                "name a web actor, a python actor, a simulated cluster or `client`",
            ),
            (_, Some(ActorSpec::Stranger { .. })) => {
                (format!("`{actor}` is {kind}: only what it writes is seen"), "use `of: writers`")
            }
            (_, Some(ActorSpec::Proxy { .. })) => (
                format!("`{actor}` is {kind}: it uses no server"),
                "look at the web actor behind it, or at `of: cache.hits`",
            ),
            _ => return,
        };
        self.error(Diagnostic::new(message).at(place.span()).help(help));
    }

    /// The invariant whose value is to grow.
    fn growing(&mut self, of: &str, invariant: &Invariant, place: Place<'_>) {
        let case = self.case;
        if case.growth.is_none() {
            let help = "say over what: `growth: {restarts: [1, 2, 4, 8, 16]}` at the top of the case";
            let message = "`of: growth` in a case without `growth`";
            self.error(Diagnostic::new(message).at(place.get("of").span()).help(help));
        }
        let at = place.get("in").span();
        let growing = case.invariants.get(of);
        if growing.is_some_and(|growing| growing.per == Some(Per::Second)) {
            self.guard(invariant, place);
        }
        match growing.map(|growing| &growing.of) {
            None => {
                let numeric = case.invariants.iter().filter(|(_, i)| !matches!(i.of, Quantity::Growth { .. }));
                let known = numeric.map(|(name, _)| name.as_str());
                self.error(Diagnostic::new(format!("no invariant is called `{of}`")).at(at).suggest(of, known));
            }
            Some(Quantity::Growth { .. }) => {
                let message = format!("`{of}` is a growth itself");
                self.error(Diagnostic::new(message).at(at).help("name an invariant that measures a number"));
            }
            Some(_) => {}
        }
    }

    /// What is projected or divided by real time, and where that can be.
    fn rate(&mut self, invariant: &Invariant, place: Place<'_>) {
        let during = invariant.of.during();
        let window = during.map(|name| self.names.windows.get(name).copied());
        let at = place.get("per").span();
        match invariant.per {
            Some(Per::Day) => {
                let beats = match window {
                    Some(Some(window)) => window.beats,
                    // An unknown window has been complained about.
                    Some(None) => true,
                    None => self.case.steps.iter().any(beats),
                };
                if !beats {
                    let help = match window {
                        Some(Some(Window { wall_clock: true, .. })) => "over real time, give `per: second`",
                        _ => "name the window of a `beat` step with `during`",
                    };
                    let message = "`per: day` is projected from heartbeats, and there is no `beat` in this window";
                    self.error(Diagnostic::new(message).at(at).help(help));
                }
            }
            Some(Per::Second) => {
                if !matches!(window, Some(None | Some(Window { wall_clock: true, .. }))) {
                    let message = "`per: second` needs a window of real time";
                    let help = "name the window of a step `- measure: {for: 20s}` with `during`";
                    self.error(Diagnostic::new(message).at(at).help(help));
                }
                self.guard(invariant, place);
            }
            Some(Per::Fetch) => {
                let (message, help) = match invariant.of {
                    Quantity::Fetches { unit: StatementUnit::Rows, .. } => return,
                    Quantity::Fetches { .. } => {
                        ("there is always 1 FETCH per FETCH", "divide their rows: `unit: rows`")
                    }
                    _ => ("`per: fetch` divides the rows of FETCHes", "say `{of: fetches, unit: rows, per: fetch}`"),
                };
                self.error(Diagnostic::new(message).at(at).help(help));
            }
            _ => {}
        }
    }

    /// What is timed decides nothing.
    fn guard(&mut self, invariant: &Invariant, place: Place<'_>) {
        if !matches!(invariant.bounds, StateBounds::Both(_)) {
            let help = "what decides is counted, not timed: `per: beat`, `per: day`, or no `per`";
            let message = "wall-clock rates are guards, give `both`";
            self.error(Diagnostic::new(message).at(place.get("applied").key_span()).help(help));
        }
    }

    fn window(&mut self, during: Option<&str>, place: Place<'_>) {
        if let Some(window) = during
            && !self.names.windows.contains_key(window)
        {
            let unknown = Diagnostic::new(format!("no step is called `{window}`")).at(place.get("during").span());
            let unknown = if self.names.windows.is_empty() {
                unknown.help(format!("name a step: `as: {window}`"))
            } else {
                unknown.suggest(window, self.names.windows.keys().map(String::as_str))
            };
            self.error(unknown);
        }
    }
}
