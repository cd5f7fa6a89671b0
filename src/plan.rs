//! Cases and options become arms.

mod name;
mod release;
mod search;
mod variant;

use std::fmt;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use release::{Choice, Version};
pub use search::{Answer, search};
pub use variant::{Axis, expectations};

use crate::case::{self, Case, Change, Fix, States as Resolved};

/// Which code and settings an arm runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// The base.
    Reverted,
    /// The base and one fix.
    Applied,
    /// The base and one fix, with one edit of it taken back.
    Without(String),
    /// The base and one edit of a fix.
    Only(String),
    /// The base and the control of a case without a fix.
    Control,
}

impl State {
    /// Whether a part of a fix is missing.
    pub fn is_ablation(&self) -> bool {
        matches!(self, Self::Without(_) | Self::Only(_))
    }

    /// Whether an edit of the fix is in place in this state.
    pub fn has_edit(&self, name: &str) -> bool {
        match self {
            Self::Applied | Self::Control => true,
            Self::Without(edit) => edit != name,
            Self::Only(edit) => edit == name,
            Self::Reverted => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reverted => f.pad("reverted"),
            Self::Applied => f.pad("applied"),
            Self::Control => f.pad("control"),
            Self::Without(edit) => f.pad(&format!("without: {edit}")),
            Self::Only(edit) => f.pad(&format!("only: {edit}")),
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The unit of work: one case in one state, with its own database, Redis and processes.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Index of the case in the run.
    pub case: usize,
    /// The fix that is applied; absent in the reverted and control states.
    pub fix: Option<String>,
    /// The state.
    pub state: State,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The value of the case's growth var, for an arm that is a point of a growth.
    pub growth: Option<Value>,
    /// What it runs: the state with its variables put in.
    pub resolved: Arc<case::State>,
}

impl Arm {
    fn new(case: usize, fix: Option<&String>, state: State, resolved: &Resolved) -> Self {
        let resolved = Arc::clone(&resolved.state);
        Self { case, fix: fix.cloned(), state, repetition: 0, growth: None, resolved }
    }
}

/// Which states of the cases to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum States {
    /// The base only.
    Reverted,
    /// The fixed state only (for a case without a fix: its control).
    Applied,
    /// What a verdict needs: the base and the fixed state.
    Both,
    /// Each edit taken back alone, and alone.
    Edits,
    /// All of them.
    #[default]
    All,
    /// The fixed state twice, against itself: `--self-check`.
    #[value(skip)]
    Twins,
}

impl States {
    fn hold(self, state: &State) -> bool {
        match state {
            State::Reverted => matches!(self, Self::Reverted | Self::Both | Self::All),
            State::Applied | State::Control => matches!(self, Self::Applied | Self::Both | Self::All | Self::Twins),
            State::Without(_) | State::Only(_) => matches!(self, Self::Edits | Self::All),
        }
    }
}

/// The arms of the cases, in the cases' order. The reverted arm serves all fixes of its case. Every state is repeated as the
/// case says, and run once more for each point of its growth: an edit is judged as the whole fix is.
pub fn arms(cases: &[Case], states: States) -> Vec<Arm> {
    let all = cases.iter().enumerate().flat_map(|(index, case)| {
        let repeated = |fix, state, resolved: &Resolved| {
            repeated(case, &Arm::new(index, fix, state, resolved), repetitions(case, states), resolved)
        };
        let mut own = repeated(None, State::Reverted, &case.states);
        for (name, fix) in &case.fixes {
            let arms = |state| repeated(Some(name), state, &fix.states);
            own.extend(arms(State::Applied));
            let without = fix.change.edits.keys().filter(|edit| twin(fix, edit, states).is_none());
            own.extend(without.flat_map(|edit| arms(State::Without(edit.clone()))));
            // Of a single edit, "only" is the applied state itself.
            // Of two, each alone is the fix without the other; of more, it is only told, and one arm has to do.
            let alone = |edit: &String| {
                let mut arms = arms(State::Only(edit.clone()));
                arms.truncate(if fix.change.edits.len() == 2 { arms.len() } else { 1 });
                arms
            };
            if fix.change.edits.len() > 1 {
                own.extend(fix.change.edits.keys().flat_map(alone));
            }
        }
        if let Some(control) = &case.control {
            own.extend(repeated(None, State::Control, &control.states));
        }
        own
    });
    all.filter(|arm| states.hold(&arm.state)).collect()
}

/// Arms of this case that are not played, since another one of the same state is, each with that one: of two edits, the
/// fix without one is the other one alone; of a fix that is a single edit, it is the base.
pub fn twins((index, case): (usize, &Case), states: States) -> impl Iterator<Item = (Arm, Arm)> + '_ {
    let fixes = case.fixes.iter().filter(move |_| states.hold(&State::Without(String::new())));
    fixes.flat_map(move |(name, fix)| {
        fix.change.edits.keys().filter_map(move |edit| Some((edit, twin(fix, edit, states)?))).flat_map(
            move |(edit, played)| {
                let (of, resolved) =
                    if played == State::Reverted { (None, &case.states) } else { (Some(name), &fix.states) };
                let all = |fix, state, resolved: &Resolved| {
                    repeated(case, &Arm::new(index, fix, state, resolved), repetitions(case, states), resolved)
                };
                all(Some(name), State::Without(edit.clone()), &fix.states).into_iter().zip(all(of, played, resolved))
            },
        )
    })
}

/// The state that is the same as the fix without this edit, if it is played.
fn twin(fix: &Fix, edit: &str, states: States) -> Option<State> {
    let mut others = fix.change.edits.keys().filter(|other| *other != edit);
    match (others.next(), others.next()) {
        (Some(other), None) => Some(State::Only(other.clone())),
        (None, _) if states.hold(&State::Reverted) => {
            let beside = Change { edits: IndexMap::new(), ..fix.change.clone() };
            beside.is_empty().then_some(State::Reverted)
        }
        _ => None,
    }
}

/// How often each state is run.
fn repetitions(case: &Case, states: States) -> u32 {
    if states == States::Twins { 2 } else { case.repeat.max(1) }
}

fn repeated(case: &Case, arm: &Arm, repeat: u32, resolved: &Resolved) -> Vec<Arm> {
    let repetitions = (0..repeat).map(|repetition| Arm { repetition, ..arm.clone() });
    let points = case.growth.iter().flat_map(|growth| growth.values.iter().zip(&resolved.grown));
    let points =
        points.map(|(value, grown)| Arm { growth: Some(value.clone()), resolved: Arc::clone(grown), ..arm.clone() });
    repetitions.chain(points).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::case::load::load_str;

    fn case(fix: &str) -> Case {
        let text = format!(
            "title: t\npackages: {{django: 5.2.*}}\nvars: {{x: 1}}\nactors: {{app: {{python: }}}}\nfixes: {{f: {{{fix}}}}}\n\
             steps: [{{python: app, run: f($x)}}, {{read: {{n: '1'}}}}]\ninvariants: {{n: {{applied: 1, reverted: 2}}}}\n"
        );
        load_str(&text, Path::new("c.yaml"), Path::new(".")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn edits(names: &[&str]) -> String {
        let edits = names.iter().map(|name| format!("{name}: {{in: a/b.py, applied: {name}1, reverted: {name}0}}"));
        format!("edits: {{{}}}", edits.collect::<Vec<_>>().join(", "))
    }

    #[rstest]
    #[case::single(edits(&["a"]), States::All, &["reverted", "f.applied"], &[("f.without=a", "reverted")])]
    #[case::single_of_more(edits(&["a"]) + ", vars: {x: 2}", States::All, &["reverted", "f.applied", "f.without=a"], &[])]
    #[case::single_alone(edits(&["a"]), States::Edits, &["f.without=a"], &[])]
    #[case::two(edits(&["a", "b"]), States::All, &["reverted", "f.applied", "f.only=a", "f.only=b"],
                &[("f.without=a", "f.only=b"), ("f.without=b", "f.only=a")])]
    #[case::no_edits_asked_for(edits(&["a"]), States::Both, &["reverted", "f.applied"], &[])]
    #[case::three(edits(&["a", "b", "c"]), States::Edits,
                  &["f.without=a", "f.without=b", "f.without=c", "f.only=a", "f.only=b", "f.only=c"], &[])]
    fn of_arms_with_the_same_state_one_is_played(
        #[case] fix: String,
        #[case] states: States,
        #[case] played: &[&str],
        #[case] twins_of: &[(&str, &str)],
    ) {
        let case = case(&fix);
        let labels: Vec<String> = arms(std::slice::from_ref(&case), states).iter().map(Arm::label).collect();
        assert_eq!(labels, played);
        let twins: Vec<(String, String)> =
            twins((0, &case), states).map(|(arm, twin)| (arm.label(), twin.label())).collect();
        let twins: Vec<(&str, &str)> = twins.iter().map(|(arm, twin)| (arm.as_str(), twin.as_str())).collect();
        assert_eq!(twins, twins_of);
    }
}
