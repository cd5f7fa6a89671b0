//! What a well-formed case can still get wrong: names, order, and hollowness.

mod actors;
mod cases;
mod http;
mod invariants;
mod limits;
mod states;
mod steps;

pub use limits::sizes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::actor::CLIENT;
use super::case::Case;
use super::state::State;
use super::yaml::diagnostic::{Diagnostic, Span};
use super::yaml::node::Node;
use super::yaml::place::Place;
use super::yaml::vars::INDEX;

/// Names of the harness's own actors.
const RESERVED: [&str; 2] = ["probe", CLIENT];

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

/// Everything that is wrong with a case.
pub fn check(case: &Case, file: &Node, laid: &[Laid]) -> Vec<Diagnostic> {
    let mut errors = limits::names(case, Place::top(file));
    errors.extend(cases::errors(case, Place::top(file)));
    for laid in laid {
        let mut checker = Checker::of(case, file, laid);
        checker.actors();
        checker.proxies();
        checker.steps(&laid.state.steps, checker.top.get("steps"));
        checker.invariants();
        checker.end(&mut errors);
    }
    // Bounds can only be compared where every name in them is known.
    if errors.is_empty() {
        for one in laid {
            let mut checker = Checker::of(case, file, one);
            checker.names = Names::of(case, file, one);
            checker.bounds(&laid[0].state);
            checker.end(&mut errors);
        }
    }
    errors
}

#[derive(Default)]
struct Names {
    windows: BTreeMap<String, Window>,
    /// Reading -> line.
    readings: BTreeMap<String, usize>,
    /// Readings that are measured in real time.
    timed: BTreeSet<String>,
    started: BTreeSet<String>,
    /// Actors with a hold.
    held: BTreeSet<String>,
    /// Readings that requests keep of their answers.
    kept: BTreeSet<String>,
}

impl Names {
    /// All that the steps of a state name.
    fn of(case: &Case, file: &Node, laid: &Laid) -> Self {
        let mut checker = Checker::of(case, file, laid);
        checker.steps(&laid.state.steps, checker.top.get("steps"));
        checker.names
    }
}

/// What can be told of a window before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// Whether simulated heartbeats fall into it.
    beats: bool,
    /// Whether it is a stretch of real time.
    wall_clock: bool,
}

struct Checker<'a> {
    case: &'a Case,
    /// The file as it is written.
    file: Place<'a>,
    laid: &'a Laid,
    state: &'a State,
    /// The tree of the state.
    top: Place<'a>,
    errors: Vec<Diagnostic>,
    names: Names,
}

impl<'a> Checker<'a> {
    fn of(case: &'a Case, file: &'a Node, laid: &'a Laid) -> Self {
        let (file, top) = (Place::top(file), Place::top(&laid.tree));
        Self { case, file, laid, state: &laid.state, top, errors: Vec::new(), names: Names::default() }
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// States share most of the file: what is wrong in several is said once.
    fn end(self, errors: &mut Vec<Diagnostic>) {
        for error in self.errors {
            if !errors.iter().any(|said| said.message == error.message && said.span == error.span) {
                errors.push(error.labelled(&self.laid.uses));
            }
        }
    }
}
