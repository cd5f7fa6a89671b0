//! What a well-formed case can still get wrong: names, order, and hollowness.

mod actors;
mod cases;
mod checker;
mod hollow;
mod http;
mod invariants;
mod kinds;
mod limits;
mod states;
mod steps;

use self::checker::{Checker, Names};
use super::case::Case;
use super::yaml::diagnostic::Diagnostic;
use super::yaml::node::Node;
use super::yaml::place::Place;

pub use self::checker::Laid;
pub use self::hollow::notes;
pub use self::limits::sizes;

/// Everything that is wrong with a case.
pub fn check(case: &Case, file: &Node, laid: &[Laid]) -> Vec<Diagnostic> {
    let mut errors = limits::names(case, Place::top(file));
    errors.extend(cases::errors(case, Place::top(file)));
    errors.extend(hollow::errors(case, file));
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
            checker.acts(&laid[0].state);
            checker.end(&mut errors);
        }
    }
    errors
}
