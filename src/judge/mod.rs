//! Bounds, verdicts: pure functions from measurements to findings.

mod verdict;

pub use verdict::Verdict;
