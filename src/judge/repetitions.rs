//! From the findings of repetitions to one.

use super::finding::Finding;
use crate::case::verdict::Verdict;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_that_differ_are_flaky_whatever_most_of_them_say() {
        let proven = Finding { verdict: Verdict::Proven, reason: None, decisive: Vec::new() };
        let decided_by =
            |name: &str| Finding { verdict: Verdict::NotFixed, reason: None, decisive: vec![name.to_owned()] };
        let (same, agreeing) = over_repetitions(vec![proven.clone(), proven.clone()]).expect("two findings");
        assert_eq!((same.verdict, agreeing), (Verdict::Proven, 2));
        let three = vec![proven.clone(), decided_by("x"), proven];
        let (differ, agreeing) = over_repetitions(three).expect("three findings");
        assert_eq!((differ.verdict, agreeing), (Verdict::Flaky, 2));
        assert_eq!(differ.decisive, ["x"]);
        assert_eq!(differ.reason.as_deref(), Some("repetitions differ: PROVEN, NOT FIXED, PROVEN"));
        let (differ, agreeing) = over_repetitions(vec![decided_by("x"), decided_by("y")]).expect("two findings");
        assert_eq!(
            (differ.verdict, agreeing, differ.decisive.as_slice()),
            (Verdict::Flaky, 1, &["x".to_owned(), "y".to_owned()][..])
        );
        assert_eq!(over_repetitions(vec![]), None);
    }
}
