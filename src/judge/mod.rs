//! Bounds, verdicts: pure functions from measurements to findings.

mod finding;
pub mod growth;
mod matched_side;
pub mod twins;
mod verdict;

pub use crate::case::verdict::Verdict;
pub use finding::{
    EditFinding, Evidence, Finding, Side, bound, on_bug, on_edit, on_fix, over_repetitions, unmet, with_control,
};
pub use matched_side::{Expected, MatchedSide};
