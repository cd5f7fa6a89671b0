//! What a run can say about a fix, which is what a case declares.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::yaml::text;

/// What a run says about a fix, or about a case without one. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Verdict {
    /// The run does not allow a finding: boot failure, harness limit, broke otherwise.
    #[serde(rename = "INCONCLUSIVE")]
    Inconclusive,
    /// The reverted state meets the applied bounds and the applied state does not.
    #[serde(rename = "BACKWARDS")]
    Backwards,
    /// The applied state fails its bounds.
    #[serde(rename = "NOT FIXED")]
    NotFixed,
    /// No fix, and the bug was not seen.
    #[serde(rename = "NOT REPRODUCED")]
    NotReproduced,
    /// Repetitions differ.
    #[serde(rename = "FLAKY")]
    Flaky,
    /// Green in both states: the case would not notice if the fix were taken away.
    #[serde(rename = "NOT PINNED")]
    NotPinned,
    /// A need of the case is not met here.
    #[serde(rename = "SKIPPED")]
    Skipped,
    /// No fix, and the bug was seen; the control held.
    #[serde(rename = "REPRODUCED")]
    Reproduced,
    /// The applied state meets its bounds, the reverted state its own and not the applied ones.
    #[serde(rename = "PROVEN")]
    Proven,
}

impl Verdict {
    /// Whether it says nothing about the fix: the run has to be looked at, not the fix.
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Inconclusive | Self::Flaky)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::word(self))
    }
}
