//! From the arms without one edit, and with it alone, to what is said of the edit.

use super::finding::{Evidence, Side};

/// What taking one edit back, and keeping it alone, says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditFinding {
    /// The invariants whose applied bounds do not hold without it, in any repetition; with none it is unpinned. Or why the
    /// ablation says nothing: a state that does not run has caught no bug.
    pub pinned_by: Result<Vec<String>, String>,
    /// Whether it meets all applied bounds alone; absent where that state was not run.
    pub sufficient_alone: Option<bool>,
}

/// The finding about an edit, against the bounds of the applied state: the repetitions without it, and those with it alone.
pub fn on_edit(without: &[Evidence<'_>], only: &[Evidence<'_>]) -> EditFinding {
    let unmet = |one: &Evidence<'_>| Ok(one.unmet(Side::Applied, one.measured.map_err(str::to_owned)?));
    let is_enough = |one: &Evidence<'_>| unmet(one).is_ok_and(|unmet: Vec<String>| unmet.is_empty());
    EditFinding {
        pinned_by: without
            .iter()
            .map(unmet)
            .collect::<Result<Vec<_>, String>>()
            .and_then(|unmet| noticed_by_all(&unmet)),
        sufficient_alone: (!only.is_empty()).then(|| only.iter().all(is_enough)),
    }
}

/// What every repetition notices. Where only some notice anything, chance does.
fn noticed_by_all(unmet: &[Vec<String>]) -> Result<Vec<String>, String> {
    let count = unmet.iter().filter(|unmet| !unmet.is_empty()).count();
    if count > 0 && count < unmet.len() {
        return Err(format!("repetitions differ: {count} of {} notice that it is missing", unmet.len()));
    }
    let Some((first, others)) = unmet.split_first() else { return Ok(Vec::new()) };
    let all: Vec<String> =
        first.iter().filter(|name| others.iter().all(|other| other.contains(name))).cloned().collect();
    if all.is_empty() && count > 0 {
        return Err("repetitions differ: each notices by another invariant that it is missing".to_owned());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use serde_json::{Value, json};

    use super::*;
    use crate::case::{Bound, Invariant, Quantity};

    type Invariants = IndexMap<String, Invariant>;
    type Values = IndexMap<String, Value>;

    fn invariant(applied: Option<u32>, reverted: Option<u32>, both: Option<bool>) -> Invariant {
        let bound = |value: Value| Bound::parse(&value).expect("a bound");
        let (applied, reverted) = (applied.map(|x| bound(json!(x))), reverted.map(|x| bound(json!(x))));
        let both = both.map(|truth| bound(json!(truth)));
        Invariant { of: Quantity::Reading("x".into()), per: None, applied, reverted, both, line: 1 }
    }

    fn one() -> Invariants {
        IndexMap::from([("x".to_owned(), invariant(Some(1), Some(2), None))])
    }

    fn guarded() -> Invariants {
        let guard = ("g".to_owned(), invariant(None, None, Some(true)));
        one().into_iter().chain([guard]).collect()
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
    fn an_edit_whose_ablation_does_not_run_is_not_pinned_but_inconclusive() {
        let (invariants, fixed, broken) = (one(), values(1), values(2));
        let not_run = Evidence { measured: Err("ImportError: x"), ..evidence(&invariants, &fixed) };
        let (good, bad) = (evidence(&invariants, &fixed), evidence(&invariants, &broken));
        let finding = on_edit(&[not_run], &[not_run]);
        assert_eq!(finding.pinned_by, Err("ImportError: x".to_owned()));
        assert_eq!(finding.sufficient_alone, Some(false));
        assert_eq!(on_edit(&[bad], &[]), EditFinding { pinned_by: Ok(names(&["x"])), sufficient_alone: None });
        assert_eq!(on_edit(&[good], &[good]), EditFinding { pinned_by: Ok(vec![]), sufficient_alone: Some(true) });
        assert_eq!(on_edit(&[good], &[good, bad]).sufficient_alone, Some(false));
        assert_eq!(on_edit(&[], &[]).pinned_by, Ok(vec![]));
    }

    #[test]
    fn one_noisy_repetition_pins_no_edit() {
        let (invariants, fixed, broken) = (one(), values(1), values(2));
        let (good, bad) = (evidence(&invariants, &fixed), evidence(&invariants, &broken));
        let why = on_edit(&[good, bad, good], &[]).pinned_by.expect_err("they differ");
        assert_eq!(why, "repetitions differ: 1 of 3 notice that it is missing");
        assert_eq!(on_edit(&[bad, bad], &[]).pinned_by, Ok(names(&["x"])));
        let guard = guarded();
        let (by_value, by_guard, by_both) = (with_guard(2, true), with_guard(1, false), with_guard(2, false));
        let of = |values| evidence(&guard, values);
        assert_eq!(on_edit(&[of(&by_both), of(&by_value)], &[]).pinned_by, Ok(names(&["x"])));
        assert!(on_edit(&[of(&by_guard), of(&by_value)], &[]).pinned_by.is_err_and(|why| why.contains("another")));
    }

    #[test]
    fn a_guard_that_breaks_in_a_point_of_the_growth_pins_as_any_other() {
        let (invariants, fixed, elsewhere) = (guarded(), with_guard(1, true), names(&["g"]));
        let finding = on_edit(&[Evidence { elsewhere: &elsewhere, ..evidence(&invariants, &fixed) }], &[]);
        assert_eq!(finding.pinned_by, Ok(elsewhere));
    }
}
