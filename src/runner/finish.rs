//! Turns the outcomes of a case's arms into its report.

use std::path::PathBuf;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::Value;

use super::arm::Outcome;
use super::event::{ArmReport, CaseReport, FixReport, InvariantReport, seconds};
use crate::case::bound::Bound;
use crate::case::model::{Case, StateBounds};
use crate::case::resolve::{self, Invariant};
use crate::judge::{self, Evidence, Finding, Side, Verdict};
use crate::plan::{Arm, State};

/// An arm of a case with what came of it.
pub struct Played {
    /// The arm.
    pub arm: Arm,
    /// What came of it.
    pub outcome: Outcome,
    /// Its log.
    pub log: PathBuf,
    /// Its invariants, with this state's bounds.
    invariants: IndexMap<String, Invariant>,
}

impl Played {
    /// Adds this state's bounds, which depend on its variables.
    pub fn new(case: &Case, arm: Arm, outcome: Outcome, log: PathBuf) -> Self {
        // `check` has resolved every state before anything was started; an empty map judges nothing.
        let invariants = resolve::resolve(case, arm.delta(case)).map(|state| state.invariants).unwrap_or_default();
        Self { arm, outcome, log, invariants }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence { invariants: &self.invariants, measured: self.values() }
    }

    fn values(&self) -> Result<&IndexMap<String, Value>, &str> {
        self.outcome.measured.as_ref().map(|measured| &measured.values).map_err(String::as_str)
    }
}

/// The report of a case that was run.
pub fn case(case: &Case, played: Vec<Played>) -> CaseReport {
    let fixes: Vec<FixReport> = if case.fixes.is_empty() {
        vec![fix_report(None, case.verdict, bug(case, &played))]
    } else {
        case.fixes.iter().map(|(name, fix)| fix_report(Some(name), fix.verdict, fix_finding(name, &played))).collect()
    };
    let verdict = fixes.iter().map(|fix| fix.verdict).min().unwrap_or(Verdict::Inconclusive);
    let telling = fixes
        .iter()
        .find(|fix| fix.verdict != fix.declared)
        .or_else(|| fixes.iter().find(|fix| fix.verdict == verdict));
    let reason = telling.filter(|fix| fix.verdict != fix.declared).and_then(|fix| fix.reason.clone());
    CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        verdict,
        as_declared: fixes.iter().all(|fix| fix.verdict == fix.declared),
        reason,
        wall: wall(&played),
        fixes,
        arms: played.into_iter().map(|played| arm_report(case, played)).collect(),
    }
}

/// The report of a case whose needs are not met here.
pub fn skipped(case: &Case, reason: String) -> CaseReport {
    CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        verdict: Verdict::Skipped,
        as_declared: true,
        reason: Some(reason),
        wall: 0.0,
        fixes: Vec::new(),
        arms: Vec::new(),
    }
}

fn fix_report(fix: Option<&String>, declared: Verdict, finding: Finding) -> FixReport {
    FixReport {
        fix: fix.cloned(),
        verdict: finding.verdict,
        declared,
        reason: finding.reason,
        decisive: finding.decisive,
    }
}

fn fix_finding(fix: &str, played: &[Played]) -> Finding {
    let applied =
        played.iter().find(|played| played.arm.fix.as_deref() == Some(fix) && played.arm.state == State::Applied);
    match (applied, find(played, &State::Reverted)) {
        (Some(applied), Some(reverted)) => judge::on_fix(applied.evidence(), reverted.evidence()),
        _ => missing(),
    }
}

fn bug(case: &Case, played: &[Played]) -> Finding {
    let bounds: IndexMap<String, Bound> = match resolve::resolve_control(case) {
        Ok(control) => control.map(|control| control.bounds).unwrap_or_default(),
        Err(error) => {
            return Finding { verdict: Verdict::Inconclusive, reason: Some(error.message), decisive: Vec::new() };
        }
    };
    match (find(played, &State::Reverted), find(played, &State::Control)) {
        (Some(base), Some(control)) => judge::on_bug(base.evidence(), control.values(), &bounds),
        _ => missing(),
    }
}

fn missing() -> Finding {
    Finding { verdict: Verdict::Inconclusive, reason: Some("not every state was run".to_owned()), decisive: Vec::new() }
}

fn find<'p>(played: &'p [Played], state: &State) -> Option<&'p Played> {
    played.iter().find(|played| &played.arm.state == state)
}

fn wall(played: &[Played]) -> f64 {
    let first: Option<Instant> = played.iter().map(|played| played.outcome.span.0).min();
    let last: Option<Instant> = played.iter().map(|played| played.outcome.span.1).max();
    first.zip(last).map_or(0.0, |(first, last)| seconds(last - first))
}

fn arm_report(case: &Case, played: Played) -> ArmReport {
    let Played { arm, outcome, log, invariants } = played;
    let control_bounds = (arm.state == State::Control)
        .then(|| resolve::resolve_control(case).ok().flatten().map(|control| control.bounds).unwrap_or_default());
    let side = if arm.state == State::Applied { Side::Applied } else { Side::Reverted };
    let (measured, broken) = match outcome.measured {
        Ok(measured) => (measured, None),
        Err(why) => (super::arm::Measured::default(), Some(why)),
    };
    let reports = invariants.iter().filter_map(|(name, invariant)| {
        let bound = match &control_bounds {
            Some(bounds) => bounds.get(name),
            None => judge::bound(invariant, side),
        };
        let value = measured.values.get(name)?.clone();
        Some(InvariantReport {
            name: name.clone(),
            holds: bound.is_none_or(|bound| bound.holds(&value)),
            bound: bound.map_or_else(|| "none".to_owned(), ToString::to_string),
            guard: matches!(invariant.bounds, StateBounds::Both(_)),
            writers: measured.writers.get(name).cloned().unwrap_or_default(),
            value,
        })
    });
    ArmReport {
        fix: arm.fix,
        state: arm.state,
        broken,
        invariants: reports.collect(),
        versions: outcome.versions,
        timings: outcome.timings,
        log,
    }
}
