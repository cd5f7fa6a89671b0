//! The verdict is a total function of what the states were seen to hold.

use crate::case::verdict::Verdict;

/// Which bounds two measured states meet. Guards count among both states' bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundsMet {
    /// The applied state meets the applied bounds.
    pub applied: bool,
    /// The reverted state meets the applied bounds.
    pub reverted_as_applied: bool,
    /// The reverted state meets its own bounds.
    pub reverted: bool,
}

/// The verdict on a fix whose two states were both measured.
pub fn on_fix(met: BoundsMet) -> Verdict {
    match met {
        BoundsMet { applied: false, reverted_as_applied: true, .. } => Verdict::Backwards,
        BoundsMet { applied: false, .. } => Verdict::NotFixed,
        BoundsMet { reverted_as_applied: true, .. } => Verdict::NotPinned,
        BoundsMet { reverted: true, .. } => Verdict::Proven,
        // Broke otherwise: the reverted state does something that nobody described.
        BoundsMet { reverted: false, .. } => Verdict::Inconclusive,
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
        assert_eq!(on_fix(BoundsMet { applied, reverted_as_applied, reverted }), expected);
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
}
