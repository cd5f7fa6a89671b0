//! How much there is of everything, and what it is called.

use std::collections::BTreeSet;
use std::time::Duration;

use super::checker::Checker;
use crate::case::case::Case;
use crate::case::change::Change;
use crate::case::step::action::Action;
use crate::case::yaml::diagnostic::{Diagnostic, Span};
use crate::case::yaml::node::Node;
use crate::case::yaml::place::Place;
use crate::error::Error;
use crate::input::limit::{self, Limit};
use crate::input::requirement::PackageName;

/// Before any state is made: how many there are of what.
pub fn sizes(tree: &Node) -> Vec<Diagnostic> {
    let count = |key: &str| tree.get(key).map_or(0, |node| node.entries().len());
    let many: [(&str, usize, Limit); 4] = [
        ("actors", count("actors"), limit::ACTORS),
        ("fixes", count("fixes"), limit::FIXES),
        ("invariants", count("invariants"), limit::INVARIANTS),
        ("steps", tree.get("steps").map_or(0, steps), limit::STEPS),
    ];
    let wrong = many.into_iter().filter_map(|(key, count, limit)| {
        let wrong = limit.check(count as u64).err()?;
        Some(Diagnostic::from(wrong).at(Place::top(tree).get(key).key_span()))
    });
    wrong.collect()
}

/// What may not be called as it is.
pub fn names(case: &Case, file: Place<'_>) -> Vec<Diagnostic> {
    let mut names = Names { errors: Vec::new() };
    names.case(case, file);
    names.errors
}

struct Names {
    errors: Vec<Diagnostic>,
}

impl Names {
    fn case(&mut self, case: &Case, top: Place<'_>) {
        if case.base.packages.is_empty() && !case.is_of_project {
            let message = "the case names no `packages`: without Django there is nothing to run";
            let help = "name the releases of the base: `packages: {django: 5.2.*, django-q2: 1.11.1}`";
            self.errors.push(Diagnostic::new(message).at(top.get("packages").key_span()).help(help));
        }
        for (key, _) in top.node.get("actors").into_iter().flat_map(Node::entries) {
            self.limit(limit::actor_name(&key.name), key.span);
        }
        self.below(top, "fixes");
        self.below(top, "invariants");
        for place in top.node.get("actors").into_iter().flat_map(Node::entries).map(|(_, actor)| Place::top(actor)) {
            self.packages(place);
        }
        for (change, place) in changes(case, top) {
            self.packages(place);
            self.limit(limit::EDITS.check(change.edits.len() as u64), place.get("edits").key_span());
            self.below(place, "edits");
            self.below(place, "vars");
        }
        self.steps(top.get("steps").node);
        for text in std::iter::once(&case.title).chain(&case.issues) {
            if text.chars().any(|c| c.is_control() && c != '\n') {
                let message = format!("`{}` has a control character in it", text.escape_debug());
                let key = if *text == case.title { "title" } else { "issues" };
                let wrong = Diagnostic::new(message).at(top.get(key).span());
                self.errors.push(wrong.help("it stands in reports"));
            }
        }
    }

    fn limit(&mut self, checked: Result<(), Error>, span: Span) {
        self.errors.extend(checked.err().map(|wrong| Diagnostic::from(wrong).at(span)));
    }

    /// Names that PyPI does not tell apart are one package.
    fn packages(&mut self, place: Place<'_>) {
        let mut known = BTreeSet::new();
        for (key, _) in place.node.get("packages").into_iter().flat_map(Node::entries) {
            let Ok(package) = PackageName::parse(&key.name) else { continue };
            if !known.insert(package.as_str().to_owned()) {
                let message = format!("`{}` is the package `{package}`, which is there already", key.name);
                self.errors.push(Diagnostic::new(message).at(key.span));
            }
        }
    }

    /// The names below a key.
    fn below(&mut self, place: Place<'_>, key: &str) {
        for (name, _) in place.node.get(key).into_iter().flat_map(Node::entries) {
            self.limit(limit::name(&name.name), name.span);
        }
    }

    fn steps(&mut self, steps: &Node) {
        for step in steps.items() {
            if let Some(name) = step.get("as") {
                self.limit(limit::name(name.as_str().unwrap_or("x")), name.span);
            }
            self.below(Place::top(step), "read");
            for within in within(step) {
                self.steps(within);
            }
        }
    }
}

/// The steps that are written within a step.
fn within(step: &Node) -> impl Iterator<Item = &Node> {
    ["measure", "while"].into_iter().filter_map(|key| step.get(key))
}

/// Steps, those within others included.
fn steps(all: &Node) -> usize {
    all.items().iter().map(|step| 1 + within(step).map(steps).sum::<usize>()).sum()
}

/// All that a case changes: its base, its fixes, its control.
fn changes<'c>(case: &'c Case, top: Place<'c>) -> Vec<(&'c Change, Place<'c>)> {
    let fixes = case.fixes.iter().map(|(name, fix)| (&fix.change, top.get("fixes").get(name)));
    let control = case.control.iter().map(|control| (&control.change, top.get("control")));
    std::iter::once((&case.base, top)).chain(fixes).chain(control).collect()
}

impl Checker<'_> {
    /// The virtual time of all steps together.
    pub(super) fn virtual_time(&mut self) {
        let times = |every: Duration, times: u64| every.checked_mul(u32::try_from(times).unwrap_or(u32::MAX));
        let passed = self.state.actions().try_fold(Duration::ZERO, |sum, action| {
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
        if let Err(mut wrong) = limit::VIRTUAL.check_time(passed, &written) {
            wrong.message = format!("the virtual time of all steps: {}", wrong.message);
            self.error(Diagnostic::from(wrong).at(self.top.get("steps").key_span()));
        }
    }

    /// A variable may make it none, as a control's does; none that is written is a slip.
    pub(super) fn never(&mut self, place: Place<'_>) {
        let times = place.get("times");
        if place.has("times") && times.node.value() == 0 && !self.laid.uses.contains_key(&times.node.span) {
            let wrong = Diagnostic::new("a step that acts 0 times does nothing").at(times.span());
            self.error(wrong.help("leave it out"));
        }
    }
}
