//! Bounds, verdicts: pure functions from measurements to findings.

mod finding;
pub mod growth;
mod met;
pub mod twins;
mod verdict;

pub use crate::case::verdict::Verdict;
pub use finding::{
    EditFinding, Evidence, Finding, Side, bound, on_bug, on_edit, on_fix, over_repetitions, unmet, with_control,
};
pub use met::{Expected, Met};
