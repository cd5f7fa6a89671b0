//! A case as a whole: its changes, its growth, and the verdicts that it declares.

use super::checker::RESERVED;
use crate::case::case::Case;
use crate::case::change::Change;
use crate::case::quantity::Quantity;
use crate::case::verdict::Verdict;
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::place::Place;
use crate::case::yaml::vars::INDEX;

/// What is wrong with a case whatever its states are.
pub fn errors(case: &Case, file: Place<'_>) -> Vec<Diagnostic> {
    let mut checker = Cases { case, file, errors: Vec::new() };
    checker.names();
    checker.verdicts();
    checker.changes();
    checker.growth();
    checker.errors
}

struct Cases<'a> {
    case: &'a Case,
    file: Place<'a>,
    errors: Vec<Diagnostic>,
}

impl<'a> Cases<'a> {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    fn names(&mut self) {
        let case = self.case;
        for name in case.states.state.actors.keys().filter(|name| RESERVED.contains(&name.as_str())) {
            let message = format!("an actor cannot be called `{name}`: the word is taken");
            self.error(Diagnostic::new(message).at(self.file.get("actors").get(name).key_span()));
        }
        if case.base.vars.contains_key(INDEX) {
            let message = "a var cannot be called `i`: `$i` is the index of an enqueueing";
            self.error(Diagnostic::new(message).at(self.file.get("vars").get(INDEX).key_span()));
        }
    }

    fn verdicts(&mut self) {
        let case = self.case;
        for (name, fix) in &case.fixes {
            let can_be = [Verdict::Proven, Verdict::NotFixed, Verdict::NotPinned, Verdict::Backwards];
            self.verdict(fix.verdict, &can_be, self.file.get("fixes").get(name).get("verdict"), "a fix");
        }
        let place = self.file.get("verdict");
        if case.fixes.is_empty() {
            let can_be = [Verdict::Reproduced, Verdict::NotReproduced];
            self.verdict(case.verdict, &can_be, place, "a case without fixes");
        } else if self.file.has("verdict") {
            let help = "say it at the fix that must get it";
            self.error(Diagnostic::new("`verdict` is for a case without fixes").at(place.key_span()).help(help));
        }
    }

    fn verdict(&mut self, verdict: Verdict, can_be: &[Verdict], place: Place<'_>, who: &str) {
        if !can_be.contains(&verdict) {
            let words: Vec<String> = can_be.iter().map(Verdict::to_string).collect();
            let message = format!("{who} cannot be declared {verdict}");
            let help = format!("it can be {}", words.join(", "));
            self.error(Diagnostic::new(message).at(place.span()).help(help));
        }
    }

    /// What the fixes and the control change, and where it is written.
    fn over_the_base(&self) -> Vec<(Place<'a>, &'a Change)> {
        let case = self.case;
        let fixes = case.fixes.iter().map(|(name, fix)| (self.file.get("fixes").get(name), &fix.change));
        let control = case.control.as_ref().map(|control| (self.file.get("control"), &control.change));
        fixes.chain(control).collect()
    }

    fn changes(&mut self) {
        let case = self.case;
        if case.fixes.is_empty() && case.control.is_none() {
            let help = "without either, nothing shows that the case would notice the bug's absence";
            self.error(Diagnostic::new("the case has neither `fixes` nor `control`").at(self.file.span()).help(help));
        }
        let over = self.over_the_base();
        for (place, _) in over.iter().filter(|(_, change)| change.is_empty()) {
            let help = "give `packages`, `take`, `patch`, `edits`, `settings`, `env`, `vars` or `services`";
            self.error(Diagnostic::new("it changes nothing").at(place.key_span()).help(help));
        }
        for (place, change) in over.into_iter().chain([(self.file, &case.base)]) {
            self.edits(change, place.get("edits"));
        }
    }

    fn edits(&mut self, change: &Change, place: Place<'_>) {
        for (name, edit) in &change.edits {
            let place = place.get(name);
            if edit.applied == edit.reverted {
                let message = format!("the edit `{name}` changes nothing: its applied and reverted text are the same");
                self.error(Diagnostic::new(message).at(place.get("reverted").span()));
            } else if edit.applied.is_empty() {
                let help = "take in a line around it, so that the place can be found";
                let message = format!("the edit `{name}` has no applied text");
                self.error(Diagnostic::new(message).at(place.get("applied").span()).help(help));
            }
            let excuses = [
                ("unpinned", &edit.unpinned, "say why no invariant needs the edit"),
                ("breaks", &edit.breaks, "say what cannot be imported without the edit"),
            ];
            for (key, reason, help) in excuses {
                if reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
                    let wrong = Diagnostic::new(format!("`{key}` without a reason")).at(place.get(key).key_span());
                    self.error(wrong.help(help));
                }
            }
            if edit.unpinned.is_some() && edit.breaks.is_some() {
                let wrong = Diagnostic::new("an edit has one excuse").at(place.get("breaks").key_span());
                self.error(wrong.help("`breaks`: nothing runs without it; `unpinned`: no invariant needs it"));
            }
        }
    }

    /// The case's own `growth`; the invariants that look at it come later.
    fn growth(&mut self) {
        let case = self.case;
        let Some(growth) = &case.growth else { return };
        let place = self.file.get("growth").get(&growth.var);
        if !case.base.vars.contains_key(&growth.var) {
            let unknown = Diagnostic::new(format!("`{}` is not declared in `vars`", growth.var)).at(place.key_span());
            self.error(if case.base.vars.is_empty() {
                unknown.help(format!("declare it: `vars: {{{}: 1}}`", growth.var))
            } else {
                unknown.suggest(&growth.var, case.base.vars.keys().map(String::as_str))
            });
        }
        let setters = self.over_the_base();
        for (place, _) in setters.iter().filter(|(_, change)| change.vars.contains_key(&growth.var)) {
            let message = format!("`{}` is the var of `growth`: a change of it would be lost", growth.var);
            self.error(Diagnostic::new(message).at(place.get("vars").get(&growth.var).key_span()));
        }
        if !case.states.state.invariants.values().any(|invariant| matches!(invariant.of, Quantity::Growth { .. })) {
            let help = "add one: `{of: growth, in: NAME, applied: constant, reverted: linear}`";
            let message = "no invariant looks at the growth";
            self.error(Diagnostic::new(message).at(self.file.get("growth").key_span()).help(help));
        }
    }
}
