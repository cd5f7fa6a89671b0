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
        BoundsMet { reverted_as_applied: true, .. } => Verdict::NotPinned,
        // The bug was not seen: the reverted state does something that nobody described, and whatever the other one does
        // says nothing.
        BoundsMet { reverted: false, .. } => Verdict::Inconclusive,
        BoundsMet { applied: false, .. } => Verdict::NotFixed,
        BoundsMet { applied: true, .. } => Verdict::Proven,
    }
}

/// The verdict on a case without a fix, whose base and control were both measured: whether the base meets its bounds, and its
/// guards, and whether the control meets its own.
pub fn on_bug(seen: bool, guards_hold: bool, control_holds: bool) -> Verdict {
    match (seen, guards_hold && control_holds) {
        // A bug that is also there where it must not be comes from the set-up, and so may one that is nowhere.
        (_, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Reproduced,
        (false, true) => Verdict::NotReproduced,
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
    #[case(false, false, false, Verdict::Inconclusive)]
    fn every_combination_has_one_verdict(
        #[case] applied: bool,
        #[case] reverted_as_applied: bool,
        #[case] reverted: bool,
        #[case] expected: Verdict,
    ) {
        assert_eq!(on_fix(BoundsMet { applied, reverted_as_applied, reverted }), expected);
    }

    #[rstest]
    #[case(true, true, true, Verdict::Reproduced)]
    #[case(true, true, false, Verdict::Inconclusive)]
    #[case(true, false, true, Verdict::Inconclusive)]
    #[case(false, true, true, Verdict::NotReproduced)]
    #[case(false, false, true, Verdict::Inconclusive)]
    #[case(false, true, false, Verdict::Inconclusive)]
    #[case(false, false, false, Verdict::Inconclusive)]
    fn a_bug_is_judged_only_where_guards_and_control_hold(
        #[case] seen: bool,
        #[case] guards: bool,
        #[case] control: bool,
        #[case] expected: Verdict,
    ) {
        assert_eq!(on_bug(seen, guards, control), expected);
    }
}
