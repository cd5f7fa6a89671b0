//! The verdict: a total function of what the states were seen to hold.

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

/// What two measured states were seen to hold. Guards count among both states' bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The applied state meets the applied bounds.
    pub applied: bool,
    /// The reverted state meets the applied bounds.
    pub reverted_as_applied: bool,
    /// The reverted state meets its own bounds.
    pub reverted: bool,
}

/// The verdict on a fix whose two states were both measured.
pub fn on_fix(held: Held) -> Verdict {
    match held {
        Held { applied: false, reverted_as_applied: true, .. } => Verdict::Backwards,
        Held { applied: false, .. } => Verdict::NotFixed,
        Held { reverted_as_applied: true, .. } => Verdict::NotPinned,
        Held { reverted: true, .. } => Verdict::Proven,
        // Broke otherwise: the reverted state does something that nobody described.
        Held { reverted: false, .. } => Verdict::Inconclusive,
    }
}

/// The verdict on a case without a fix, whose base and control were both measured.
pub fn on_bug(seen: bool, control_holds: bool) -> Verdict {
    match (seen, control_holds) {
        (true, true) => Verdict::Reproduced,
        // A bug that is also there where it must not be comes from the set-up.
        (true, false) => Verdict::Inconclusive,
        (false, _) => Verdict::NotReproduced,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(true, false, true, Verdict::Proven)]
    #[case(true, false, false, Verdict::Inconclusive)]
    #[case(true, true, true, Verdict::NotPinned)]
    #[case(true, true, false, Verdict::NotPinned)]
    #[case(false, true, true, Verdict::Backwards)]
    #[case(false, true, false, Verdict::Backwards)]
    #[case(false, false, true, Verdict::NotFixed)]
    #[case(false, false, false, Verdict::NotFixed)]
    fn every_combination_has_one_verdict(
        #[case] applied: bool,
        #[case] reverted_as_applied: bool,
        #[case] reverted: bool,
        #[case] expected: Verdict,
    ) {
        assert_eq!(on_fix(Held { applied, reverted_as_applied, reverted }), expected);
    }

    #[rstest]
    #[case(true, true, Verdict::Reproduced)]
    #[case(true, false, Verdict::Inconclusive)]
    #[case(false, true, Verdict::NotReproduced)]
    #[case(false, false, Verdict::NotReproduced)]
    fn a_bug_is_reproduced_only_where_its_control_holds(
        #[case] seen: bool,
        #[case] control: bool,
        #[case] expected: Verdict,
    ) {
        assert_eq!(on_bug(seen, control), expected);
    }

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
