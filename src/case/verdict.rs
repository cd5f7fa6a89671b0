//! What a run can say about a fix, which is what a case declares.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// The word as it is written in cases and printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Backwards => "BACKWARDS",
            Self::NotFixed => "NOT FIXED",
            Self::NotReproduced => "NOT REPRODUCED",
            Self::Flaky => "FLAKY",
            Self::NotPinned => "NOT PINNED",
            Self::Skipped => "SKIPPED",
            Self::Reproduced => "REPRODUCED",
            Self::Proven => "PROVEN",
        }
    }

    /// Whether it says nothing about the fix: the run has to be looked at, not the fix.
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Inconclusive | Self::Flaky)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_is_the_least() {
        let worst = [Verdict::Proven, Verdict::NotPinned, Verdict::Inconclusive, Verdict::Flaky].into_iter().min();
        assert_eq!(worst, Some(Verdict::Inconclusive));
        let order = [
            Verdict::Inconclusive,
            Verdict::Backwards,
            Verdict::NotFixed,
            Verdict::Flaky,
            Verdict::NotPinned,
            Verdict::Proven,
        ];
        assert!(order.is_sorted(), "DESIGN.md's order");
    }
}
