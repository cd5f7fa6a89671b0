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
    bounds
        .filter(|(name, bound)| values.get(*name).is_none_or(|value| !bound.holds(value)))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The finding about a fix.
pub fn on_fix(applied: Evidence<'_>, reverted: Evidence<'_>) -> Finding {
    let (with, without) = match (applied.measured, reverted.measured) {
        (Ok(with), Ok(without)) => (with, without),
        (Err(why), _) => return Finding::inconclusive(format!("applied: {why}")),
        (_, Err(why)) => return Finding::inconclusive(format!("reverted: {why}")),
    };
    let applied_unmet = unmet(applied.invariants, Side::Applied, with);
    let reverted_as_applied_unmet = unmet(applied.invariants, Side::Applied, without);
    let reverted_unmet = unmet(reverted.invariants, Side::Reverted, without);
    let verdict = verdict::on_fix(BoundsMet {
        applied: applied_unmet.is_empty(),
        reverted_as_applied: reverted_as_applied_unmet.is_empty(),
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
        Verdict::Inconclusive => (
            Some(format!(
                "broke otherwise: without the fix, {} not hold as the case says of that state",
                list(&reverted_unmet)
            )),
            reverted_unmet,
        ),
        _ => (None, Vec::new()),
    };
    Finding { verdict, reason, decisive }
}

/// The finding about a case without a fix: the base must show the bug, the control must not.
pub fn on_bug(
    base: Evidence<'_>,
    control: Result<&IndexMap<String, Value>, &str>,
    control_bounds: &IndexMap<String, Bound>,
) -> Finding {
    let (base_values, control_values) = match (base.measured, control) {
        (Ok(base), Ok(control)) => (base, control),
        (Err(why), _) => return Finding::inconclusive(why.to_owned()),
        (_, Err(why)) => return Finding::inconclusive(format!("control: {why}")),
    };
    let unseen = unmet(base.invariants, Side::Reverted, base_values);
    let unheld = outside(control_bounds, control_values);
    let verdict = verdict::on_bug(unseen.is_empty(), unheld.is_empty());
    let (reason, decisive) = match verdict {
        Verdict::Inconclusive => (Some(format!("with the control, {} not hold", list(&unheld))), unheld),
        Verdict::NotReproduced => (Some(format!("{} not hold", list(&unseen))), unseen),
        _ => (None, Vec::new()),
    };
    Finding { verdict, reason, decisive }
}

/// The finding about a fix beside a control: where that does not hold, the set-up is not what the case says it is, and
/// nothing is proven.
pub fn with_control(
    finding: Finding,
    control: Result<&IndexMap<String, Value>, &str>,
    bounds: &IndexMap<String, Bound>,
) -> Finding {
    let why = match control {
        Err(why) => Some(format!("control: {why}")),
        Ok(values) => {
            let unheld = outside(bounds, values);
            (!unheld.is_empty()).then(|| format!("with the control, {} not hold", list(&unheld)))
        }
    };
    match why {
        Some(why) if finding.verdict == Verdict::Proven => Finding::inconclusive(why),
        _ => finding,
    }
}

/// The names of the bounds that the values do not meet.
fn outside(bounds: &IndexMap<String, Bound>, values: &IndexMap<String, Value>) -> Vec<String> {
    let unmet = bounds.iter().filter(|(name, bound)| values.get(*name).is_none_or(|value| !bound.holds(value)));
    unmet.map(|(name, _)| name.clone()).collect()
}

/// The finding over repetitions, and how many of them agree on it. Where one says something else, or an invariant
/// decides in one and not in another, the finding is FLAKY: never PROVEN.
pub fn over_repetitions(findings: Vec<Finding>) -> Option<(Finding, usize)> {
    let count = findings.len();
    let agree = |one: &Finding, other: &Finding| one.verdict == other.verdict && one.decisive == other.decisive;
    let first = findings.first()?;
    if findings.iter().all(|finding| agree(finding, first)) {
        return findings.into_iter().next().map(|finding| (finding, count));
    }
    let agreeing = |one: &Finding| findings.iter().filter(|other| agree(one, other)).count();
    let most = findings.iter().map(agreeing).max().unwrap_or(0);
    let verdicts: Vec<String> = findings.iter().map(|finding| finding.verdict.to_string()).collect();
    let mut decisive: Vec<String> = findings.iter().flat_map(|finding| finding.decisive.clone()).collect();
    decisive.sort_unstable();
    decisive.dedup();
    let reason = format!("repetitions differ: {}", verdicts.join(", "));
    Some((Finding { verdict: Verdict::Flaky, reason: Some(reason), decisive }, most))
}

/// What taking one edit back, and keeping it alone, says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditFinding {
    /// The invariants whose applied bounds do not hold without it; with none it is unpinned. Or why
    /// the ablation says nothing: a state that does not run has caught no bug.
    pub pinned_by: Result<Vec<String>, String>,
    /// Whether it meets all applied bounds alone; absent where that state was not run.
    pub sufficient_alone: Option<bool>,
}

/// The finding about an edit, against the bounds of the applied state.
pub fn on_edit(
    invariants: &IndexMap<String, Invariant>,
    without: Result<&IndexMap<String, Value>, &str>,
    only: Option<Result<&IndexMap<String, Value>, &str>>,
) -> EditFinding {
    EditFinding {
        pinned_by: without.map(|values| unmet(invariants, Side::Applied, values)).map_err(str::to_owned),
        sufficient_alone: only
            .map(|values| values.is_ok_and(|values| unmet(invariants, Side::Applied, values).is_empty())),
    }
}

/// "`a` does" or "`a`, `b` do".
fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("{} {}", quoted.join(", "), if names.len() == 1 { "does" } else { "do" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::case::Quantity;

    fn invariant(applied: Option<Bound>, reverted: Option<Bound>, both: Option<Bound>) -> Invariant {
        Invariant { of: Quantity::Reading("x".into()), per: None, applied, reverted, both, line: 1 }
    }

    fn parse(bound: &Value) -> Bound {
        Bound::parse(bound).expect("a bound")
    }

    fn one(applied: u32, reverted: u32) -> IndexMap<String, Invariant> {
        let (applied, reverted) = (parse(&json!(applied)), parse(&json!(reverted)));
        IndexMap::from([("x".to_owned(), invariant(Some(applied), Some(reverted), None))])
    }

    fn values(x: u32) -> IndexMap<String, Value> {
        IndexMap::from([("x".to_owned(), json!(x))])
    }

    #[test]
    fn an_arm_that_was_not_measured_never_counts_as_having_caught_the_bug() {
        let (invariants, with) = (one(1, 2), values(1));
        let applied = Evidence { invariants: &invariants, measured: Ok(&with) };
        let reverted = Evidence { invariants: &invariants, measured: Err("ImportError: x") };
        let finding = on_fix(applied, reverted);
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert_eq!(finding.reason.as_deref(), Some("reverted: ImportError: x"));
    }

    #[test]
    fn a_guard_that_breaks_in_the_reverted_state_only_is_broke_otherwise() {
        let mut invariants = one(1, 2);
        invariants.insert("guard".into(), invariant(None, None, Some(parse(&json!(true)))));
        let mut with = values(1);
        with.insert("guard".into(), json!(true));
        let mut without = values(2);
        without.insert("guard".into(), json!(false));
        let finding = on_fix(
            Evidence { invariants: &invariants, measured: Ok(&with) },
            Evidence { invariants: &invariants, measured: Ok(&without) },
        );
        assert_eq!((finding.verdict, finding.decisive), (Verdict::Inconclusive, vec!["guard".to_owned()]));
    }

    #[test]
    fn an_edit_whose_ablation_does_not_run_is_not_pinned_but_inconclusive() {
        let invariants = one(1, 2);
        let broken = on_edit(&invariants, Err("ImportError: x"), Some(Err("ImportError: x")));
        assert_eq!(broken.pinned_by, Err("ImportError: x".to_owned()));
        assert_eq!(broken.sufficient_alone, Some(false));
        assert_eq!(on_edit(&invariants, Ok(&values(2)), None).pinned_by, Ok(vec!["x".to_owned()]));
        assert_eq!(on_edit(&invariants, Ok(&values(1)), None).pinned_by, Ok(vec![]));
    }

    #[test]
    fn nothing_is_proven_beside_a_control_that_does_not_hold() {
        let bounds = IndexMap::from([("x".to_owned(), parse(&json!(1)))]);
        let proven = Finding { verdict: Verdict::Proven, reason: None, decisive: vec![] };
        assert_eq!(with_control(proven.clone(), Ok(&values(1)), &bounds), proven);
        assert_eq!(with_control(proven.clone(), Ok(&values(2)), &bounds).verdict, Verdict::Inconclusive);
        assert_eq!(with_control(proven, Err("it broke"), &bounds).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn repetitions_that_differ_are_flaky_whatever_most_of_them_say() {
        let invariants = one(1, 2);
        let finding = |with: u32, without: u32| {
            let (with, without) = (values(with), values(without));
            on_fix(
                Evidence { invariants: &invariants, measured: Ok(&with) },
                Evidence { invariants: &invariants, measured: Ok(&without) },
            )
        };
        let (same, agreeing) = over_repetitions(vec![finding(1, 2), finding(1, 2)]).expect("two findings");
        assert_eq!((same.verdict, agreeing), (Verdict::Proven, 2));
        let (differ, agreeing) =
            over_repetitions(vec![finding(1, 2), finding(3, 2), finding(1, 2)]).expect("three findings");
        assert_eq!((differ.verdict, agreeing), (Verdict::Flaky, 2));
        assert_eq!(differ.decisive, ["x"]);
        assert_eq!(over_repetitions(vec![]), None);
    }

    #[test]
    fn a_bug_whose_control_shows_it_too_is_inconclusive() {
        let invariants = IndexMap::from([("x".to_owned(), invariant(None, Some(parse(&json!(2))), None))]);
        let (seen, bounds) = (values(2), IndexMap::from([("x".to_owned(), parse(&json!(1)))]));
        let evidence = Evidence { invariants: &invariants, measured: Ok(&seen) };
        assert_eq!(on_bug(evidence, Ok(&values(1)), &bounds).verdict, Verdict::Reproduced);
        assert_eq!(on_bug(evidence, Ok(&values(2)), &bounds).verdict, Verdict::Inconclusive);
    }

    proptest! {
        #[test]
        fn every_pair_of_measurements_has_a_verdict_that_fits_it(applied in 0_u32..3, reverted in 0_u32..3, with in 0_u32..4, without in 0_u32..4) {
            prop_assume!(applied != reverted);
            let (invariants, with_values, without_values) = (one(applied, reverted), values(with), values(without));
            let finding = on_fix(Evidence { invariants: &invariants, measured: Ok(&with_values) }, Evidence { invariants: &invariants, measured: Ok(&without_values) });
            prop_assert_eq!(finding.verdict == Verdict::Proven, with == applied && without == reverted);
            prop_assert_eq!(finding.verdict == Verdict::NotPinned, with == applied && without == applied);
            prop_assert_eq!(finding.verdict == Verdict::Backwards, with != applied && without == applied);
            prop_assert_eq!(finding.reason.is_none(), finding.verdict == Verdict::Proven);
        }
    }
}
