//! What can prove nothing: an invariant that looks at what the fix itself says, and what is said and changes nothing.

use std::collections::BTreeSet;

use super::checker::Checker;
use crate::case::case::Case;
use crate::case::change::Change;
use crate::case::count::Per;
use crate::case::quantity::Quantity;
use crate::case::state::State;
use crate::case::step::action::{Action, Step};
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::node::{Kind, Node};
use crate::case::yaml::place::Place;
use crate::case::yaml::text::word;

/// What is wrong with a case as it is written, before variables are put in.
pub fn errors(case: &Case, file: &Node) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let changes = changes(case, Place::top(file));
    looks(case, Place::top(file), &changes, (&mut errors, &mut Vec::new()));
    unused(case, file, &changes, &mut errors);
    for (place, change) in &changes {
        same(&case.base, change, *place, &mut errors);
    }
    errors
}

/// What a reader of a case should know of it, though nothing is wrong.
pub fn notes(case: &Case, file: &Node) -> Vec<String> {
    let mut notes = Vec::new();
    looks(case, Place::top(file), &changes(case, Place::top(file)), (&mut Vec::new(), &mut notes));
    notes
}

/// What comes on top of the base.
fn changes<'c>(case: &'c Case, file: Place<'c>) -> Vec<(Place<'c>, &'c Change)> {
    let fixes = case.fixes.iter().map(|(name, fix)| (file.get("fixes").get(name), &fix.change));
    let control = case.control.as_ref().map(|control| (file.get("control"), &control.change));
    fixes.chain(control).collect()
}

/// A bound, a reading or a condition that names what a fix sets is met by the fix's word, whatever the app does.
fn looks(
    case: &Case,
    file: Place<'_>,
    changes: &[(Place<'_>, &Change)],
    (errors, notes): (&mut Vec<Diagnostic>, &mut Vec<String>),
) {
    let mut texts: Vec<(&str, Place<'_>)> = Vec::new();
    for (name, _) in file.node.get("invariants").into_iter().flat_map(Node::entries) {
        let place = file.get("invariants").get(&name.name);
        for side in ["applied", "reverted", "both"].into_iter().filter(|side| place.has(side)) {
            texts.push(("a bound", place.get(side)));
        }
    }
    let read = case.states.state.invariants.values().filter_map(|invariant| match &invariant.of {
        Quantity::Reading(name) => Some(name.as_str()),
        _ => None,
    });
    steps(file.get("steps"), &read.collect(), &mut texts);
    for (what, place) in texts {
        let Some(text) = place.node.as_str() else { continue };
        let named = names(text);
        let var = changes.iter().find_map(|(_, change)| change.vars.keys().find(|var| named.contains(var.as_str())));
        // A reading may put it beside what the app does.
        if let Some(var) = var.filter(|_| what != "a reading") {
            let message = format!(
                "{what} names `${var}`, which a fix or the control sets: it says what the fix says, whatever the app does"
            );
            let help = "look at what the app does with it: a row, a statement, an answer";
            errors.push(Diagnostic::new(message).at(place.span()).help(help));
            continue;
        }
        if let Some(var) = var {
            notes.push(format!(
                "line {}: a reading names `${var}`, which a fix or the control sets: it may say what the fix says, whatever the app does",
                place.span().line
            ));
        }
        if what == "a bound" {
            continue;
        }
        let is_looked_up = text.contains("settings") || text.contains("environ");
        let mut set = changes.iter().flat_map(|(_, change)| {
            let settings = change.settings.keys().map(|key| ("the setting", key));
            settings.chain(change.env.keys().map(|key| ("the environment variable", key)))
        });
        let own = set.find(|(_, key)| is_looked_up && is_word(text, key));
        if let Some((kind, key)) = own {
            let message = format!("{what} names {kind} `{key}`, which a fix or the control sets");
            let help = "look at what the app does with it: a row, a statement, an answer";
            errors.push(Diagnostic::new(message).at(place.span()).help(help));
        }
    }
}

/// The readings and conditions of steps, those within others too.
fn steps<'n>(all: Place<'n>, read: &BTreeSet<&str>, texts: &mut Vec<(&'static str, Place<'n>)>) {
    for index in 0..all.node.items().len() {
        let step = all.item(index);
        for (name, _) in step.node.get("read").into_iter().flat_map(Node::entries) {
            texts.push(("a reading", step.get("read").get(&name.name)));
        }
        if step.has("sql") && step.get("as").node.as_str().is_some_and(|name| read.contains(name)) {
            texts.push(("a reading", step.get("sql")));
        }
        if step.node.get("wait").is_some_and(|wait| wait.as_str().is_some()) {
            texts.push(("a condition", step.get("wait")));
        }
        for within in ["measure", "while"].into_iter().filter(|key| step.has(key)) {
            steps(step.get(within), read, texts);
        }
    }
}

/// A var that nothing names changes nothing, whoever sets it.
fn unused(case: &Case, file: &Node, changes: &[(Place<'_>, &Change)], errors: &mut Vec<Diagnostic>) {
    let mut used = BTreeSet::new();
    // Every text of the file, vars too: one may name another.
    named_in(file, &mut used);
    let top = (Place::top(file), &case.base);
    for (place, change) in [top].iter().chain(changes) {
        for var in change.vars.keys().filter(|var| !used.contains(*var)) {
            let message = format!("nothing uses `${var}`: it changes nothing");
            errors.push(Diagnostic::new(message).at(place.get("vars").get(var).key_span()).help("leave it out"));
        }
    }
}

fn named_in(node: &Node, used: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Scalar(_) => used.extend(node.as_str().map(names).unwrap_or_default().into_iter().map(str::to_owned)),
        Kind::List(items) => items.iter().for_each(|item| named_in(item, used)),
        Kind::Map(entries) => {
            for (key, node) in entries {
                used.extend(names(&key.name).into_iter().map(str::to_owned));
                named_in(node, used);
            }
        }
    }
}

/// The variables that a text names.
fn names(text: &str) -> BTreeSet<&str> {
    let parts = text.split('$').skip(1).map(|part| part.strip_prefix('{').unwrap_or(part));
    parts
        .map(|part| &part[..part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len())])
        .collect()
}

/// Whether a text has this word in it.
fn is_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

/// What a fix says that the base says already.
fn same(base: &Change, change: &Change, place: Place<'_>, errors: &mut Vec<Diagnostic>) {
    let packages = change.packages.iter().filter(|(name, version)| base.packages.get(*name) == Some(version));
    let settings = change.settings.iter().filter(|(name, value)| base.settings.get(*name) == Some(value));
    let env = change.env.iter().filter(|(name, value)| base.env.get(*name) == Some(value));
    let vars = change.vars.iter().filter(|(name, value)| base.vars.get(*name) == Some(value));
    let same = (packages.map(|(name, _)| ("packages", name)))
        .chain(settings.map(|(name, _)| ("settings", name)))
        .chain(env.map(|(name, _)| ("env", name)))
        .chain(vars.map(|(name, _)| ("vars", name)));
    for (key, name) in same {
        let message = format!("`{name}` is what the base has already: it changes nothing");
        errors.push(Diagnostic::new(message).at(place.get(key).get(name).span()).help("leave it out"));
    }
}

impl Checker<'_> {
    /// A fix does not take the incident away; and what an invariant is divided by happens.
    pub(super) fn acts(&mut self, base: &State) {
        if self.laid.whose.first().is_some_and(|whose| whose == "fixes") {
            let place = self.laid.whose.iter().fold(self.file, |place, key| place.get(key)).get("vars");
            let pairs: Vec<(usize, bool)> = (base.all_steps().zip(self.state.all_steps()))
                .map(|(before, after)| (after.line, times(&before.action) > Some(0) && times(&after.action) == Some(0)))
                .collect();
            for (line, _) in pairs.into_iter().filter(|(_, is_gone)| *is_gone) {
                let message = format!(
                    "with this fix, the step in line {line} acts 0 times: what does not happen cannot go wrong"
                );
                let help = "a fix changes the app, not the incident; a control may";
                self.error(Diagnostic::new(message).at(place.key_span()).help(help));
            }
        }
        let state = self.state;
        for (name, invariant) in &state.invariants {
            let Some(per @ (Per::Beat | Per::Task | Per::Restart | Per::Request)) = invariant.per else { continue };
            let window = invariant.of.during();
            let is_own = |step: &&Step| window.is_none() || step.name.as_deref() == window;
            let is_none = |step: &Step| step.action.steps().is_empty() && times(&step.action) == Some(0);
            if window.is_some() && state.all_steps().find(is_own).is_some_and(is_none) {
                let place = self.top.get("invariants").get(name);
                let message = format!("there is no {} in this window to divide by", word(per));
                self.error(Diagnostic::new(message).at(place.get("per").span()));
            }
        }
    }
}

/// How often a step acts, where it says so.
fn times(action: &Action) -> Option<u64> {
    match action {
        Action::Python { times, .. } => Some(*times),
        Action::Beat { count, .. } | Action::Tick { count, .. } | Action::Restart { count, .. } => Some(*count),
        Action::Enqueue(enqueue) => Some(enqueue.times),
        Action::Http { http, .. } => Some(http.times),
        _ => None,
    }
}
