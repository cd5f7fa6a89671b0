//! Which side's bound a value meets: for tables over releases, where there is no second state to hold it against.

use std::fmt;

use serde_json::Value;

use crate::case::Bound;

/// What a case says of an invariant's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// What tells the states apart.
    Telling {
        /// Where the bug is away: with the fix, or with the control. A control need not name every invariant.
        fixed: Option<Bound>,
        /// Where it is there.
        broken: Bound,
    },
    /// What must hold everywhere.
    Guard(Bound),
}

impl Expected {
    /// Whose bound this value meets.
    pub fn met(&self, value: &Value) -> MatchedSide {
        match self {
            Self::Guard(bound) if bound.holds(value) => MatchedSide::Holds,
            Self::Guard(_) => MatchedSide::Fails,
            Self::Telling { fixed, broken } => {
                match (fixed.as_ref().is_some_and(|b| b.holds(value)), broken.holds(value)) {
                    (true, false) => MatchedSide::Fixed,
                    (false, true) => MatchedSide::Broken,
                    // Both: `check` refuses bounds that overlap, but a control's may.
                    _ => MatchedSide::Neither,
                }
            }
        }
    }
}

/// Whose bound a value meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedSide {
    /// That of the fixed state.
    Fixed,
    /// That of the reverted state.
    Broken,
    /// Nobody's that could be told from the other.
    Neither,
    /// A guard's.
    Holds,
    /// Not that of a guard.
    Fails,
}

impl fmt::Display for MatchedSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fixed => "fixed",
            Self::Broken => "broken",
            Self::Neither => "neither",
            Self::Holds => "holds",
            Self::Fails => "fails",
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn bound(text: &Value) -> Bound {
        Bound::parse(text).expect("a bound")
    }

    #[rstest]
    #[case(Some("<= 1"), ">= 5", json!(1), MatchedSide::Fixed)]
    #[case(Some("<= 1"), ">= 5", json!(5), MatchedSide::Broken)]
    #[case(Some("<= 1"), ">= 5", json!(3), MatchedSide::Neither)]
    #[case(Some("<= 1"), ">= 0", json!(1), MatchedSide::Neither)]
    #[case(None, ">= 5", json!(5), MatchedSide::Broken)]
    #[case(None, ">= 5", json!(1), MatchedSide::Neither)]
    fn a_value_meets_one_sides_bound_or_nobodys(
        #[case] fixed: Option<&str>,
        #[case] broken: &str,
        #[case] value: Value,
        #[case] expected: MatchedSide,
    ) {
        let sides = Expected::Telling { fixed: fixed.map(|text| bound(&json!(text))), broken: bound(&json!(broken)) };
        assert_eq!(sides.met(&value), expected);
    }

    #[test]
    fn a_guard_holds_or_fails() {
        let guard = Expected::Guard(bound(&json!(true)));
        assert_eq!((guard.met(&json!(true)), guard.met(&json!(false))), (MatchedSide::Holds, MatchedSide::Fails));
    }
}
