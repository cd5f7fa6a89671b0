//! A case at another release: the same incident in its base state alone, with one thing of the base replaced.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use crate::case::{Action, Case, State, States, Step};
use crate::error::Error;
use crate::input::requirement::PackageName;
use crate::judge::{self, Expected, Side, Verdict};

/// How long a wait takes at most that does not say: there is no fixed state to hold it against.
const WAIT_WITHIN: Duration = Duration::from_secs(10);

/// What is varied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// The release of this distribution.
    Package(String),
    /// The Python; a pin of the case is replaced.
    Python,
}

impl Axis {
    /// The distribution, by its normalized name.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn package(name: &str) -> Result<Self, Error> {
        PackageName::parse(name).map(|name| Self::Package(name.as_str().to_owned()))
    }

    /// What heads its releases.
    pub fn head(&self) -> &str {
        match self {
            Self::Package(package) => package,
            Self::Python => "Python",
        }
    }

    /// The case at a release: named for it, without fixes and control.
    pub fn variant(&self, case: &Case, release: &str) -> Case {
        let of = |state: &Arc<State>| {
            let mut state = State::clone(state);
            if let Self::Package(package) = self {
                state.packages.insert(package.clone(), release.to_owned());
            }
            end_waits(&mut state.steps);
            Arc::new(state)
        };
        let states = States { state: of(&case.states.state), grown: case.states.grown.iter().map(of).collect() };
        let mut variant = case.clone();
        (variant.fixes, variant.control, variant.states) = (IndexMap::new(), None, states);
        match self {
            Self::Package(_) => variant.name = format!("{}@{release}", case.name),
            Self::Python => {
                variant.python = Some(release.to_owned());
                variant.name = format!("{}@python{release}", case.name);
            }
        }
        variant
    }
}

fn end_waits(steps: &mut [Step]) {
    for step in steps {
        if let Action::Wait { within, .. } = &mut step.action {
            within.get_or_insert(WAIT_WITHIN);
        }
        end_waits(step.action.steps_mut());
    }
}

/// What a case says of each invariant, by name, in its order: of several fixes, what the first that must be PROVEN says.
pub fn expectations(case: &Case) -> IndexMap<String, Expected> {
    let fix = case.fixes.values().find(|fix| fix.verdict == Verdict::Proven).or(case.fixes.values().next());
    let expected = case.states.state.invariants.iter().filter_map(|(name, invariant)| {
        let broken = judge::bound(invariant, Side::Reverted)?.clone();
        if invariant.is_guard() {
            return Some((name.clone(), Expected::Guard(broken)));
        }
        let of_fix = fix.and_then(|fix| judge::bound(fix.states.state.invariants.get(name)?, Side::Applied));
        let of_control = case.control.as_ref().and_then(|control| control.bounds.get(name));
        Some((name.clone(), Expected::Telling { fixed: of_fix.or(of_control).cloned(), broken }))
    });
    expected.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::case::load::load_str;
    use crate::judge::MatchedSide;

    fn case(rest: &str) -> Case {
        let text = format!(
            "title: t\npackages: {{django: 5.2.*, Django_Q2: 1.9.0}}\nactors: {{app: {{python: shop.tasks}}}}\n{rest}"
        );
        load_str(&text, Path::new("cases/t.yaml"), Path::new("cases")).unwrap_or_else(|error| panic!("{error}"))
    }

    const FIXES: &str = "
vars: {times: 2}
fixes:
  hope: {vars: {times: 3}, verdict: NOT FIXED}
  guard: {vars: {times: 1}}
steps:
  - wait: 'True'
    as: there
  - measure: [{wait: 'True', within: 5s, as: quick}]
    as: window
  - read: {charges: Charge.objects.count()}
  - {python: app, run: charge(), times: $times}
invariants:
  charges: {applied: 1, reverted: 2}
  there.reached: {both: true}
";

    #[test]
    fn a_variant_is_the_base_alone_with_one_release_replaced() {
        let case = case(FIXES);
        let variant = Axis::package("django-q2").expect("a name").variant(&case, "1.10.0");
        assert_eq!(variant.name, "t@1.10.0");
        assert_eq!(variant.states.state.packages["django-q2"], "1.10.0");
        assert_eq!(variant.states.state.packages.len(), 2);
        assert!(variant.fixes.is_empty() && variant.control.is_none());
        assert_eq!(variant.states.state.steps.len(), case.states.state.steps.len());
        let variant = Axis::Python.variant(&case, "3.12");
        assert_eq!((variant.name.as_str(), variant.python.as_deref()), ("t@python3.12", Some("3.12")));
    }

    #[test]
    fn a_wait_without_a_deadline_gets_one() {
        let variant = Axis::Python.variant(&case(FIXES), "3.12");
        let state = &variant.states.state;
        let seconds = |step: &Step| match &step.action {
            Action::Wait { within, .. } => within.map(|within| within.as_secs()),
            _ => None,
        };
        assert_eq!(seconds(&state.steps[0]), Some(10));
        let Action::Measure { steps } = &state.steps[1].action else { panic!("a window") };
        assert_eq!(seconds(&steps[0]), Some(5), "the case's own deadline stays");
    }

    #[test]
    fn what_is_expected_comes_from_the_fix_that_must_be_proven() {
        let expected = expectations(&case(FIXES));
        assert_eq!(expected["charges"].met(&json!(1)), MatchedSide::Fixed);
        assert_eq!(expected["charges"].met(&json!(2)), MatchedSide::Broken);
        assert_eq!(expected["there.reached"].met(&json!(false)), MatchedSide::Fails);
    }

    #[test]
    fn without_a_fix_what_is_expected_comes_from_the_control() {
        let expected = expectations(&case(
            "vars: {times: 2}\ncontrol: {vars: {times: 1}, charges: 1}\nsteps: [{read: {charges: '1', other: '1'}}, {python: app, run: f($times)}]\n\
             invariants: {charges: {reverted: 2}, other: {reverted: 2}}\n",
        ));
        assert_eq!(expected["charges"].met(&json!(1)), MatchedSide::Fixed);
        assert_eq!(expected["other"].met(&json!(1)), MatchedSide::Neither, "the control says nothing of it");
    }
}
