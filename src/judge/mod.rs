//! Bounds, verdicts: pure functions from measurements to findings.

mod edit;
mod finding;
pub mod growth;
mod matched_side;
mod repetitions;
mod trouble;
pub mod twins;
mod verdict;

pub use crate::case::verdict::Verdict;
pub use edit::{EditFinding, on_edit};
pub use finding::{
    Evidence, Finding, Side, bound, on_bug, on_fix, unmet, unmet_by_control, unmet_guards, with_control,
};
pub use matched_side::{Expected, MatchedSide};
pub use repetitions::over_repetitions;
pub use trouble::{Measured as MeasuredInvariant, Trouble, TroubleKind, undescribed};
