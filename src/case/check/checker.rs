//! What checks one state of a case, and what it knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::case::actor::CLIENT;
use crate::case::case::Case;
use crate::case::state::State;
use crate::case::yaml::diagnostic::{Diagnostic, Span};
use crate::case::yaml::node::Node;
use crate::case::yaml::place::Place;

/// Names of the harness's own actors.
pub const RESERVED: [&str; 2] = ["probe", CLIENT];

/// A state, and the tree that it was read from.
pub struct Laid {
    /// The way to the change that it has over the base; empty for the base.
    pub whose: Vec<String>,
    /// The tree.
    pub tree: Node,
    /// Where variables were put in, and what they are there.
    pub uses: HashMap<Span, String>,
    /// The state.
    pub state: Arc<State>,
}

/// What the steps of a state name.
#[derive(Default)]
pub struct Names {
    pub windows: BTreeMap<String, Window>,
    /// Reading -> line.
    pub readings: BTreeMap<String, usize>,
    /// Readings that are measured in real time.
    pub timed: BTreeSet<String>,
    pub started: BTreeSet<String>,
    /// Actors with a hold.
    pub held: BTreeSet<String>,
    /// Readings that requests keep of their answers.
    pub kept: BTreeSet<String>,
}

impl Names {
    /// All that the steps of a state name.
    pub fn of(case: &Case, file: &Node, laid: &Laid) -> Self {
        let mut checker = Checker::of(case, file, laid);
        checker.steps(&laid.state.steps, checker.top.get("steps"));
        checker.names
    }
}

/// What can be told of a window before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Whether simulated heartbeats fall into it.
    pub beats: bool,
    /// Whether it is a stretch of real time.
    pub wall_clock: bool,
}

/// Checks one state of a case.
pub struct Checker<'a> {
    pub case: &'a Case,
    /// The file as it is written.
    pub file: Place<'a>,
    pub laid: &'a Laid,
    pub state: &'a State,
    /// The tree of the state.
    pub top: Place<'a>,
    pub errors: Vec<Diagnostic>,
    pub names: Names,
}

impl<'a> Checker<'a> {
    pub fn of(case: &'a Case, file: &'a Node, laid: &'a Laid) -> Self {
        let (file, top) = (Place::top(file), Place::top(&laid.tree));
        Self { case, file, laid, state: &laid.state, top, errors: Vec::new(), names: Names::default() }
    }

    pub fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// States share most of the file: what is wrong in several is said once.
    pub fn end(self, errors: &mut Vec<Diagnostic>) {
        for error in self.errors {
            if !errors.iter().any(|said| said.message == error.message && said.span == error.span) {
                errors.push(error.labelled(&self.laid.uses));
            }
        }
    }
}
