//! Bounds, verdicts: pure functions from measurements to findings.

mod finding;
mod verdict;

pub use finding::{Evidence, Finding, Side, bound, on_bug, on_fix};
pub use verdict::Verdict;
