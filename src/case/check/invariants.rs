//! Invariants: names, windows, and whether any of them can tell the states apart.

use super::checker::{Checker, Window};
use super::steps::beats;
use crate::case::actor::{Actor, CLIENT};
use crate::case::change::Change;
use crate::case::count::{HttpCount, Per, StatementUnit};
use crate::case::invariant::Invariant;
use crate::case::quantity::{Quantity, measurements, takers, takes};
use crate::case::yaml::diagnostic::{Diagnostic, nearest};
use crate::case::yaml::place::Place;
use crate::case::yaml::shape;

impl Checker<'_> {
    /// Invariants, after the steps that they look at.
    pub(super) fn invariants(&mut self) {
        let state = self.state;
        let all = self.top.get("invariants");
        if state.invariants.is_empty() {
            let help = "say what must hold with the fix and without it";
            self.error(Diagnostic::new("there are no invariants").at(all.key_span()).help(help));
            return;
        }
        for (name, invariant) in &state.invariants {
            let place = all.get(name);
            // A misspelt bound is not missing as well.
            if self.keys(name, invariant, place) {
                self.sides(name, invariant, place);
            }
            match &invariant.of {
                Quantity::Reading(reading) if !self.names.readings.contains_key(reading) => {
                    let span = if reading == name { place.key_span() } else { place.get("of").span() };
                    let known = self.names.readings.keys().map(String::as_str).chain(measurements().iter().copied());
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
            self.kinds(invariant, place);
            self.window(invariant.of.during(), place);
            self.rate(invariant, place);
        }
        if state.invariants.values().all(Invariant::is_guard) {
            let (message, help) = if self.case.fixes.is_empty() {
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

    /// Rejects what does not belong to what the invariant looks at, and misses what does; whether every key is a known one.
    fn keys(&mut self, name: &str, invariant: &Invariant, place: Place<'_>) -> bool {
        let mut are_known = true;
        let of = place.get("of").node.as_str().filter(|_| place.has("of")).unwrap_or(name);
        let is_measurement = measurements().contains(&of);
        let own = if is_measurement { takes(of) } else { Vec::new() };
        let mut beside = shape::fields::<Invariant>();
        beside.extend(["of"]);
        for (key, _) in place.node.entries() {
            let field = key.name.as_str();
            let is_per = field == "per" && !invariant.of.is_rate();
            if own.contains(&field) || (beside.contains(&field) && !is_per) {
                continue;
            }
            let mut takers = takers(field);
            if takers.is_empty() && !is_per {
                let known = own.iter().copied().chain(beside.iter().copied());
                let unknown = Diagnostic::new(format!("unknown key `{field}`")).at(key.span);
                self.error(unknown.suggest(field, known));
                are_known = false;
                continue;
            }
            let what = match of {
                "rows" => "`rows` of a table".to_owned(),
                _ if is_measurement => format!("`{of}`"),
                reading => format!("the reading `{reading}`"),
            };
            let help = if is_per {
                "`per` divides a count of statements, bytes, connections or requests".to_owned()
            } else if !is_measurement {
                let near = nearest(of, takers.iter().copied()).or_else(|| takers.drain(..).next());
                format!("did you mean `of: {}`?", near.unwrap_or_default())
            } else if own.is_empty() {
                format!("`{of}` is of the whole case and takes nothing")
            } else {
                let per = invariant.of.is_rate().then_some("per");
                format!("`{of}` takes {}", listed(&own.iter().copied().chain(per).collect::<Vec<_>>()))
            };
            self.error(Diagnostic::new(format!("`{field}` does not belong to {what}")).at(key.span).help(help));
        }
        let (field, help) = match &invariant.of {
            Quantity::Growth { of } if of.is_empty() => ("in", "name the invariant whose value grows: `in: NAME`"),
            Quantity::Log { matching, .. } if matching.is_empty() => {
                ("matching", "say which lines: `matching: \"KeyError\"`")
            }
            Quantity::Memory { actor, .. } if actor.is_empty() => ("actor", "name it: `actor: NAME`"),
            Quantity::Redis { .. } if !place.has("field") => {
                ("field", "say what of it: keys, used_memory, evicted_keys, expired_keys or commands")
            }
            Quantity::Rows { table, .. } | Quantity::Writers { table, .. } if table.is_empty() => {
                ("table", "name it: `table: NAME`")
            }
            _ => return are_known,
        };
        let article = if matches!(field, "in" | "actor") { "an" } else { "a" };
        let message = format!("`of: {of}` needs {article} `{field}`");
        self.error(Diagnostic::new(message).at(place.get("of").span()).help(help));
        are_known
    }

    /// An invariant says what holds with the fix and without it, or what holds always.
    fn sides(&mut self, name: &str, invariant: &Invariant, place: Place<'_>) {
        let has_fixes = !self.case.fixes.is_empty();
        let error = match (invariant.applied.is_some(), invariant.reverted.is_some(), invariant.both.is_some()) {
            (false, false, true) => return,
            (true, true, false) if has_fixes => return,
            (false, true, false) if !has_fixes => return,
            (true, _, false) if !has_fixes => {
                Diagnostic::new(format!("`{name}` bounds the applied state, but the case has no fix"))
                    .at(place.get("applied").key_span())
                    .help("give `reverted`, and what holds without the bug under `control`")
            }
            (false, false, false) => Diagnostic::new(format!("`{name}` has no bounds"))
                .at(place.key_span())
                .help("give `applied` and `reverted`, or `both`"),
            (_, _, true) => Diagnostic::new(format!("`{name}` has `both` next to a state of its own"))
                .at(place.get("both").key_span())
                .help("give `applied` and `reverted`, or `both` alone"),
            (applied, _, false) => {
                let missing = if applied { "reverted" } else { "applied" };
                let help =
                    "an invariant that says nothing about one state cannot tell the two apart; a guard says `both`";
                Diagnostic::new(format!("`{name}` has no `{missing}` bound")).at(place.key_span()).help(help)
            }
        };
        self.error(error);
    }

    fn control_names(&mut self) {
        let Some(control) = &self.case.control else { return };
        let place = self.file.get("control");
        for name in control.bounds.keys() {
            if !self.state.invariants.contains_key(name) {
                let known = self.state.invariants.keys().map(String::as_str).chain(shape::fields::<Change>());
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
        if actor == CLIENT || self.state.actors.contains_key(actor) {
            return true;
        }
        let unknown = Diagnostic::new(format!("unknown actor `{actor}`")).at(place.span());
        self.error(if actor == "probe" {
            unknown.help("the probe's statements are left out of every measurement")
        } else {
            unknown.suggest(actor, self.state.actors.keys().map(String::as_str))
        });
        false
    }

    fn counted_actor(&mut self, of: &Quantity, actor: &str, place: Place<'_>) {
        if !self.known_actor(actor, place) {
            return;
        }
        let spec = self.state.actors.get(actor);
        let kind = spec.map_or("an actor that every case has", Actor::kind);
        let (message, help) = match (of, spec) {
            (Quantity::Cache { .. }, Some(Actor::Proxy { .. }))
            | (Quantity::Requests { .. }, Some(Actor::Web { .. })) => return,
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
            (_, Some(Actor::Stranger { .. })) => {
                (format!("`{actor}` is {kind}: only what it writes is seen"), "use `of: writers`")
            }
            (_, Some(Actor::Proxy { .. })) => (
                format!("`{actor}` is {kind}: it uses no server"),
                "look at the web actor behind it, or at `of: cache.hits`",
            ),
            _ => return,
        };
        self.error(Diagnostic::new(message).at(place.span()).help(help));
    }

    /// The invariant whose value is to grow.
    fn growing(&mut self, of: &str, invariant: &Invariant, place: Place<'_>) {
        let (case, state) = (self.case, self.state);
        if case.growth.is_none() {
            let help = "say over what: `growth: {restarts: [1, 2, 4, 8, 16]}` at the top of the case";
            let message = "`of: growth` in a case without `growth`";
            self.error(Diagnostic::new(message).at(place.get("of").span()).help(help));
        }
        let at = place.get("in").span();
        let growing = state.invariants.get(of);
        if growing.is_some_and(|growing| growing.per == Some(Per::Second)) {
            self.guard(invariant, place);
        }
        match growing.map(|growing| &growing.of) {
            None => {
                let numeric = state.invariants.iter().filter(|(_, i)| !matches!(i.of, Quantity::Growth { .. }));
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
                    None => self.state.steps.iter().any(beats),
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
                    let help = "name the window of a step `- measure: 20s` with `during`";
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
    pub(super) fn guard(&mut self, invariant: &Invariant, place: Place<'_>) {
        if !invariant.is_guard() {
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

/// `a`, `b` and `c`.
fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        other => other.concat(),
    }
}
