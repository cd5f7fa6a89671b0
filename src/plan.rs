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
    /// The base and the control of a case without a fix.
    Control,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reverted => "reverted",
            Self::Applied => "applied",
            Self::Control => "control",
        })
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
            State::Applied => self.fix.as_ref().and_then(|fix| case.fixes.get(fix)).map(|fix| &fix.delta),
            State::Control => case.control.as_ref().map(|control| &control.delta),
        }
    }

    /// A name for files, unique in its case: `reverted`, `applied-upstream`.
    pub fn label(&self) -> String {
        let name = match &self.fix {
            Some(fix) => format!("{}-{fix}", self.state),
            None => self.state.to_string(),
        };
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
    }
}

/// The arms of the cases, in the cases' order. The reverted arm serves all fixes of its case.
pub fn arms(cases: &[Case]) -> Vec<Arm> {
    cases
        .iter()
        .enumerate()
        .flat_map(|(index, case)| {
            let reverted = Arm { case: index, fix: None, state: State::Reverted };
            let applied =
                case.fixes.keys().map(move |fix| Arm { case: index, fix: Some(fix.clone()), state: State::Applied });
            let control = case.control.iter().map(move |_| Arm { case: index, fix: None, state: State::Control });
            std::iter::once(reverted).chain(applied).chain(control)
        })
        .collect()
}
