//! Bounds, verdicts: pure functions from measurements to findings.

mod finding;
mod verdict;

pub use finding::{EditFinding, Evidence, Finding, Side, bound, on_bug, on_edit, on_fix, unmet};
pub use verdict::Verdict;
