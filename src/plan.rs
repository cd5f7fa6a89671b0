//! Cases and options become arms.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::case::model::{Case, Delta};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arm {
    /// Index of the case in the run.
    pub case: usize,
    /// The fix that is applied; absent in the reverted and control states.
    pub fix: Option<String>,
    /// The state.
    pub state: State,
}

impl Arm {
    /// What this arm changes of the base.
    pub fn delta<'c>(&self, case: &'c Case) -> Option<&'c Delta> {
        match self.state {
            State::Reverted => None,
            State::Applied | State::Without(_) | State::Only(_) => {
                self.fix.as_ref().and_then(|fix| case.fixes.get(fix)).map(|fix| &fix.delta)
            }
            State::Control => case.control.as_ref().map(|control| &control.delta),
        }
    }

    /// A name for files, unique in its case: `reverted`, `upstream-applied`.
    pub fn label(&self) -> String {
        let name = match &self.fix {
            Some(fix) => format!("{fix}-{}", self.state),
            None => self.state.to_string(),
        };
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
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
}

impl States {
    fn hold(self, state: &State) -> bool {
        match state {
            State::Reverted => matches!(self, Self::Reverted | Self::Both | Self::All),
            State::Applied | State::Control => matches!(self, Self::Applied | Self::Both | Self::All),
            State::Without(_) | State::Only(_) => matches!(self, Self::Edits | Self::All),
        }
    }
}

/// The arms of the cases, in the cases' order. The reverted arm serves all fixes of its case.
pub fn arms(cases: &[Case], states: States) -> Vec<Arm> {
    let all = cases.iter().enumerate().flat_map(|(index, case)| {
        let mut own = vec![Arm { case: index, fix: None, state: State::Reverted }];
        for (name, fix) in &case.fixes {
            let arm = |state| Arm { case: index, fix: Some(name.clone()), state };
            own.push(arm(State::Applied));
            own.extend(fix.delta.edits.keys().map(|edit| arm(State::Without(edit.clone()))));
            // Of a single edit, "only" is the applied state itself.
            if fix.delta.edits.len() > 1 {
                own.extend(fix.delta.edits.keys().map(|edit| arm(State::Only(edit.clone()))));
            }
        }
        own.extend(case.control.iter().map(|_| Arm { case: index, fix: None, state: State::Control }));
        own
    });
    all.filter(|arm| states.hold(&arm.state)).collect()
}
