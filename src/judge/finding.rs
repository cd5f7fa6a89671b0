//! From measured values to a finding: which bounds are met, and what that says.

use indexmap::IndexMap;
use serde_json::Value;

use super::verdict::{self, BoundsMet};
use crate::case::verdict::Verdict;
use crate::case::{Bound, Invariant};

/// What is known of one state.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The invariants, with the bounds as this state's variables make them.
    pub invariants: &'a IndexMap<String, Invariant>,
    /// The values by invariant; or why there are none.
    pub measured: Result<&'a IndexMap<String, Value>, &'a str>,
    /// Guards that do not hold in another arm of the same state: a point of its growth.
    pub elsewhere: &'a [String],
}

impl Evidence<'_> {
    /// The invariants whose bound on `side` does not hold, guards in all arms of the state.
    pub(super) fn unmet(&self, side: Side, values: &IndexMap<String, Value>) -> Vec<String> {
        let mut unmet = unmet(self.invariants, side, values);
        unmet.extend(self.elsewhere.iter().filter(|name| !unmet.contains(name)).cloned().collect::<Vec<_>>());
        unmet
    }
}

/// What was found about a fix, or about a case without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in a sentence; absent where the verdict says it all.
    pub reason: Option<String>,
    /// The invariants that decided it against the fix.
    pub decisive: Vec<String>,
}

impl Finding {
    fn inconclusive(reason: String) -> Self {
        Self { verdict: Verdict::Inconclusive, reason: Some(reason), decisive: Vec::new() }
    }
}

/// Whose bounds are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What must hold with the fix.
    Applied,
    /// What must hold without it.
    Reverted,
}

/// The bound of an invariant on a side. A guard has the same on both.
pub fn bound(invariant: &Invariant, side: Side) -> Option<&Bound> {
    let own = match side {
        Side::Applied => &invariant.applied,
        Side::Reverted => &invariant.reverted,
    };
    invariant.both.as_ref().or(own.as_ref())
}

/// The invariants whose bound on `side` the values do not meet. A value that is missing meets none.
pub fn unmet(invariants: &IndexMap<String, Invariant>, side: Side, values: &IndexMap<String, Value>) -> Vec<String> {
    let bounds = invariants.iter().filter_map(|(name, invariant)| Some((name, bound(invariant, side)?)));
    outside(bounds, values)
}

/// The guards that the values do not meet.
pub fn unmet_guards(invariants: &IndexMap<String, Invariant>, values: &IndexMap<String, Value>) -> Vec<String> {
    outside(guards(invariants), values)
}

/// What the values of the control do not meet: its own bounds, and every guard of which it says nothing else.
pub fn unmet_by_control(
    invariants: &IndexMap<String, Invariant>,
    own: &IndexMap<String, Bound>,
    values: &IndexMap<String, Value>,
) -> Vec<String> {
    outside(own.iter().chain(guards(invariants).filter(|(name, _)| !own.contains_key(*name))), values)
}

fn guards(invariants: &IndexMap<String, Invariant>) -> impl Iterator<Item = (&String, &Bound)> {
    invariants.iter().filter_map(|(name, invariant)| Some((name, invariant.both.as_ref()?)))
}

/// The names of the bounds that the values do not meet.
fn outside<'b>(bounds: impl Iterator<Item = (&'b String, &'b Bound)>, values: &IndexMap<String, Value>) -> Vec<String> {
    let unmet = bounds.filter(|(name, bound)| values.get(*name).is_none_or(|value| !bound.holds(value)));
    unmet.map(|(name, _)| name.clone()).collect()
}

/// The finding about a fix.
pub fn on_fix(applied: Evidence<'_>, reverted: Evidence<'_>) -> Finding {
    let (with, without) = match (applied.measured, reverted.measured) {
        (Ok(with), Ok(without)) => (with, without),
        (Err(why), _) => return Finding::inconclusive(format!("applied: {why}")),
        (_, Err(why)) => return Finding::inconclusive(format!("reverted: {why}")),
    };
    let applied_unmet = applied.unmet(Side::Applied, with);
    let crossed = Evidence { invariants: applied.invariants, ..reverted };
    let reverted_unmet = reverted.unmet(Side::Reverted, without);
    let verdict = verdict::on_fix(BoundsMet {
        applied: applied_unmet.is_empty(),
        reverted_as_applied: crossed.unmet(Side::Applied, without).is_empty(),
        reverted: reverted_unmet.is_empty(),
    });
    let (reason, decisive) = match verdict {
        Verdict::Backwards => {
            (Some("the bounds of the applied state hold without the fix, and not with it".to_owned()), applied_unmet)
        }
        Verdict::NotFixed => (Some(format!("with the fix, {} not hold", list(&applied_unmet))), applied_unmet),
        Verdict::NotPinned => {
            let telling = applied.invariants.iter().filter(|(_, invariant)| !invariant.is_guard());
            let reason = "every bound of the applied state holds without the fix too: the case would not notice if it were taken away";
            (Some(reason.to_owned()), telling.map(|(name, _)| name.clone()).collect())
        }
        Verdict::Inconclusive => (Some(unseen(reverted.invariants, with, without, &reverted_unmet)), reverted_unmet),
        _ => (None, Vec::new()),
    };
    let clash = clashes(applied.invariants, Side::Applied, with)
        .or_else(|| clashes(reverted.invariants, Side::Reverted, without))
        .filter(|_| matches!(verdict, Verdict::NotFixed | Verdict::Inconclusive));
    let reason = reason.map(|reason| clash.map_or_else(|| reason.clone(), |clash| format!("{reason}: {clash}")));
    Finding { verdict, reason, decisive }
}

/// The first invariant whose bound is of another type than what was measured, in words.
fn clashes(invariants: &IndexMap<String, Invariant>, side: Side, values: &IndexMap<String, Value>) -> Option<String> {
    invariants.iter().find_map(|(name, invariant)| {
        let bound = bound(invariant, side)?;
        let (said, found) = bound.clash(values.get(name)?)?;
        Some(format!("`{name}` is {found}, and its bound `{bound}` {said}"))
    })
}

/// Why a base that does not do what its case says of it proves nothing: `unmet` is what it does not meet.
fn unseen(
    invariants: &IndexMap<String, Invariant>,
    with: &IndexMap<String, Value>,
    without: &IndexMap<String, Value>,
    unmet: &[String],
) -> String {
    let mut telling = invariants.iter().filter(|(_, invariant)| !invariant.is_guard()).map(|(name, _)| name);
    if telling.all(|name| with.get(name) == without.get(name)) {
        return format!(
            "the bug was never seen: the same was measured with the fix and without it, and {} not hold without it",
            list(unmet)
        );
    }
    format!("broke otherwise: without the fix, {} not hold as the case says of that state", list(unmet))
}

/// The finding about a case without a fix: the base must show the bug, the control must not. `control_unmet`: which of its
/// bounds the control does not meet.
pub fn on_bug(base: Evidence<'_>, control_unmet: Result<&[String], &str>) -> Finding {
    let (values, unheld) = match (base.measured, control_unmet) {
        (Ok(values), Ok(unheld)) => (values, unheld),
        (Err(why), _) => return Finding::inconclusive(why.to_owned()),
        (_, Err(why)) => return Finding::inconclusive(format!("control: {why}")),
    };
    let unmet = base.unmet(Side::Reverted, values);
    let is_guard = |name: &&String| base.invariants.get(*name).is_some_and(Invariant::is_guard);
    let broken: Vec<String> = unmet.iter().filter(is_guard).cloned().collect();
    match verdict::on_bug(unmet.is_empty(), broken.is_empty(), unheld.is_empty()) {
        Verdict::Inconclusive if broken.is_empty() => Finding {
            decisive: unheld.to_vec(),
            ..Finding::inconclusive(format!("with the control, {} not hold", list(unheld)))
        },
        Verdict::Inconclusive => {
            let reason = format!("broke otherwise: {} not hold, which must hold in every state", list(&broken));
            Finding { decisive: broken, ..Finding::inconclusive(reason) }
        }
        verdict @ Verdict::NotReproduced => {
            Finding { verdict, reason: Some(format!("{} not hold", list(&unmet))), decisive: unmet }
        }
        verdict => Finding { verdict, reason: None, decisive: Vec::new() },
    }
}

/// The finding about a fix beside a control: where that does not hold, the set-up is not what the case says it is, and
/// nothing is said of the fix. `unmet`: which of its bounds the control does not meet.
pub fn with_control(finding: Finding, unmet: Result<&[String], &str>) -> Finding {
    let (why, decisive) = match unmet {
        Err(why) => (format!("control: {why}"), Vec::new()),
        Ok([]) => return finding,
        Ok(unmet) => (format!("with the control, {} not hold", list(unmet)), unmet.to_vec()),
    };
    if finding.verdict == Verdict::Inconclusive { finding } else { Finding { decisive, ..Finding::inconclusive(why) } }
}

/// "`a` does" or "`a`, `b` do".
fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("{} {}", quoted.join(", "), if names.len() == 1 { "does" } else { "do" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::case::Quantity;

    type Invariants = IndexMap<String, Invariant>;
    type Values = IndexMap<String, Value>;

    pub fn invariant(applied: Option<Bound>, reverted: Option<Bound>, both: Option<Bound>) -> Invariant {
        Invariant { of: Quantity::Reading("x".into()), per: None, applied, reverted, both, line: 1 }
    }

    fn parse(bound: &Value) -> Bound {
        Bound::parse(bound).expect("a bound")
    }

    fn one(applied: u32, reverted: u32) -> Invariants {
        let (applied, reverted) = (parse(&json!(applied)), parse(&json!(reverted)));
        IndexMap::from([("x".to_owned(), invariant(Some(applied), Some(reverted), None))])
    }

    /// `x`, and the guard `g`, which must be true.
    fn guarded(applied: u32, reverted: u32) -> Invariants {
        let mut invariants = one(applied, reverted);
        invariants.insert("g".into(), invariant(None, None, Some(parse(&json!(true)))));
        invariants
    }

    fn values(x: u32) -> Values {
        IndexMap::from([("x".to_owned(), json!(x))])
    }

    fn with_guard(x: u32, guard: bool) -> Values {
        IndexMap::from([("x".to_owned(), json!(x)), ("g".to_owned(), json!(guard))])
    }

    fn evidence<'e>(invariants: &'e Invariants, values: &'e Values) -> Evidence<'e> {
        Evidence { invariants, measured: Ok(values), elsewhere: &[] }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_arm_that_was_not_measured_never_counts_as_having_caught_the_bug() {
        let (invariants, with) = (one(1, 2), values(1));
        let broken = Evidence { measured: Err("ImportError: x"), ..evidence(&invariants, &with) };
        let finding = on_fix(evidence(&invariants, &with), broken);
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert_eq!(finding.reason.as_deref(), Some("reverted: ImportError: x"));
        let finding = on_fix(broken, evidence(&invariants, &with));
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert_eq!(finding.reason.as_deref(), Some("applied: ImportError: x"));
    }

    #[rstest]
    #[case::in_the_base((1, true), (2, false), Verdict::Inconclusive, &["g"], "broke otherwise: without the fix, `g` does not")]
    #[case::in_both((1, false), (2, false), Verdict::Inconclusive, &["g"], "broke otherwise")]
    #[case::with_the_fix((1, false), (2, true), Verdict::NotFixed, &["g"], "with the fix, `g` does not hold")]
    #[case::with_the_fix_and_more((3, false), (2, true), Verdict::NotFixed, &["x", "g"], "`x`, `g` do not hold")]
    #[case::base_of_a_wrong_fix((3, true), (2, false), Verdict::Inconclusive, &["g"], "broke otherwise")]
    #[case::nowhere((1, true), (2, true), Verdict::Proven, &[], "")]
    #[case::never_seen((3, true), (3, true), Verdict::Inconclusive, &["x"], "the bug was never seen")]
    #[case::never_seen_but_differs((3, true), (4, true), Verdict::Inconclusive, &["x"], "broke otherwise")]
    fn no_verdict_without_a_base_that_meets_its_bounds_and_guards(
        #[case] with: (u32, bool),
        #[case] without: (u32, bool),
        #[case] verdict: Verdict,
        #[case] decisive: &[&str],
        #[case] reason: &str,
    ) {
        let invariants = guarded(1, 2);
        let (with, without) = (with_guard(with.0, with.1), with_guard(without.0, without.1));
        let finding = on_fix(evidence(&invariants, &with), evidence(&invariants, &without));
        assert_eq!((finding.verdict, &finding.decisive), (verdict, &names(decisive)));
        assert!(finding.reason.as_deref().unwrap_or_default().contains(reason), "{finding:?}");
    }

    #[rstest]
    #[case::applied(&["g"], &[], Verdict::NotFixed)]
    #[case::reverted(&[], &["g"], Verdict::Inconclusive)]
    #[case::both(&["g"], &["g"], Verdict::Inconclusive)]
    #[case::neither(&[], &[], Verdict::Proven)]
    fn a_guard_holds_in_every_point_of_a_growth(
        #[case] applied: &[&str],
        #[case] reverted: &[&str],
        #[case] expected: Verdict,
    ) {
        let invariants = guarded(1, 2);
        let (with, without) = (with_guard(1, true), with_guard(2, true));
        let (applied, reverted) = (names(applied), names(reverted));
        let finding = on_fix(
            Evidence { elsewhere: &applied, ..evidence(&invariants, &with) },
            Evidence { elsewhere: &reverted, ..evidence(&invariants, &without) },
        );
        assert_eq!(finding.verdict, expected);
    }

    #[test]
    fn guards_and_what_the_control_says_itself_hold_in_the_control() {
        let (invariants, own) = (guarded(1, 2), IndexMap::from([("x".to_owned(), parse(&json!(1)))]));
        let unmet = |x, guard| unmet_by_control(&invariants, &own, &with_guard(x, guard));
        assert_eq!(unmet(1, true), names(&[]));
        assert_eq!(unmet(1, false), names(&["g"]));
        assert_eq!(unmet(2, false), names(&["x", "g"]));
        let own = IndexMap::from([("g".to_owned(), parse(&json!(false)))]);
        assert_eq!(unmet_by_control(&invariants, &own, &with_guard(1, false)), names(&[]));
        assert_eq!(unmet_guards(&invariants, &with_guard(7, false)), names(&["g"]));
        assert_eq!(unmet_guards(&invariants, &with_guard(7, true)), names(&[]));
    }

    #[rstest]
    #[case(Verdict::Proven)]
    #[case(Verdict::NotFixed)]
    #[case(Verdict::NotPinned)]
    #[case(Verdict::Backwards)]
    fn nothing_is_said_beside_a_control_that_does_not_hold(#[case] verdict: Verdict) {
        let found = Finding { verdict, reason: Some("r".into()), decisive: names(&["y"]) };
        assert_eq!(with_control(found.clone(), Ok(&[])), found);
        let unheld = with_control(found.clone(), Ok(&names(&["x"])));
        assert_eq!((unheld.verdict, unheld.decisive), (Verdict::Inconclusive, names(&["x"])));
        assert_eq!(unheld.reason.as_deref(), Some("with the control, `x` does not hold"));
        let broken = with_control(found, Err("it broke"));
        assert_eq!((broken.verdict, broken.reason.as_deref()), (Verdict::Inconclusive, Some("control: it broke")));
        let earlier = Finding::inconclusive("earlier".to_owned());
        assert_eq!(
            with_control(earlier.clone(), Err("it broke")),
            earlier,
            "what went wrong first is what there is to say"
        );
    }

    #[rstest]
    #[case::seen((2, true), &[], Verdict::Reproduced, &[])]
    #[case::control_shows_it_too((2, true), &["x"], Verdict::Inconclusive, &["x"])]
    #[case::not_seen((1, true), &[], Verdict::NotReproduced, &["x"])]
    #[case::not_seen_and_no_control((1, true), &["x"], Verdict::Inconclusive, &["x"])]
    #[case::a_guard_breaks((2, false), &[], Verdict::Inconclusive, &["g"])]
    #[case::a_guard_breaks_and_it_is_not_seen((1, false), &[], Verdict::Inconclusive, &["g"])]
    fn a_bug_is_reproduced_or_not_only_where_guards_and_control_hold(
        #[case] base: (u32, bool),
        #[case] unheld: &[&str],
        #[case] expected: Verdict,
        #[case] decisive: &[&str],
    ) {
        let mut invariants = guarded(1, 2);
        invariants["x"].applied = None;
        let (seen, unheld) = (with_guard(base.0, base.1), names(unheld));
        let finding = on_bug(evidence(&invariants, &seen), Ok(&unheld));
        assert_eq!((finding.verdict, &finding.decisive), (expected, &names(decisive)));
        assert_eq!(finding.reason.is_none(), expected == Verdict::Reproduced, "{finding:?}");
    }

    #[test]
    fn a_bug_whose_arms_were_not_measured_says_nothing() {
        let (invariants, seen) = (one(1, 2), values(2));
        let finding = on_bug(evidence(&invariants, &seen), Err("it broke"));
        assert_eq!((finding.verdict, finding.reason.as_deref()), (Verdict::Inconclusive, Some("control: it broke")));
        let broken = Evidence { measured: Err("it broke"), ..evidence(&invariants, &seen) };
        let finding = on_bug(broken, Ok(&[]));
        assert_eq!((finding.verdict, finding.reason.as_deref()), (Verdict::Inconclusive, Some("it broke")));
    }

    proptest! {
        #[test]
        fn every_pair_of_measurements_has_a_verdict_that_fits_it(applied in 0_u32..3, reverted in 0_u32..3, with in 0_u32..4, without in 0_u32..4) {
            prop_assume!(applied != reverted);
            let (invariants, with_values, without_values) = (one(applied, reverted), values(with), values(without));
            let finding = on_fix(evidence(&invariants, &with_values), evidence(&invariants, &without_values));
            prop_assert_eq!(finding.verdict == Verdict::Proven, with == applied && without == reverted);
            prop_assert_eq!(finding.verdict == Verdict::NotPinned, with == applied && without == applied);
            prop_assert_eq!(finding.verdict == Verdict::NotFixed, with != applied && without == reverted);
            prop_assert_eq!(finding.verdict == Verdict::Backwards, with != applied && without == applied);
            prop_assert_eq!(finding.reason.is_none(), finding.verdict == Verdict::Proven);
        }
    }
}
