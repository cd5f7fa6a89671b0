//! Turns the outcomes of a case's arms into its report.

use std::path::PathBuf;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::Value;

use super::arm::Outcome;
use super::event::{ArmReport, CaseReport, EditReport, FixReport, InvariantReport, seconds};
use crate::case::bound::Bound;
use crate::case::model::{Case, Fix, StateBounds};
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
        vec![bug_report(case, &played)]
    } else {
        case.fixes.iter().map(|(name, fix)| fix_report(name, fix, &played)).collect()
    };
    // A partial run has no verdict: the least of `None` and anything is `None`.
    let verdict = fixes.iter().map(|fix| fix.verdict).min().flatten();
    let reason = fixes.iter().find(|fix| !fix.as_declared).and_then(|fix| fix.reason.clone());
    CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        verdict,
        as_declared: fixes.iter().all(|fix| fix.as_declared),
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
        verdict: Some(Verdict::Skipped),
        as_declared: true,
        reason: Some(reason),
        wall: 0.0,
        fixes: Vec::new(),
        arms: Vec::new(),
    }
}

fn fix_report(name: &str, fix: &Fix, played: &[Played]) -> FixReport {
    let of = |state: State| played.iter().find(|one| one.arm.fix.as_deref() == Some(name) && one.arm.state == state);
    let (applied, reverted) = (of(State::Applied), find(played, &State::Reverted));
    let finding =
        applied.zip(reverted).map(|(applied, reverted)| judge::on_fix(applied.evidence(), reverted.evidence()));
    // Where the fix does not hold whole, what its parts do says nothing.
    let holds = finding.as_ref().is_none_or(|finding| finding.verdict == Verdict::Proven);
    let edits = fix.delta.edits.iter().filter(|_| holds).filter_map(|(edit, declared)| {
        let without = of(State::Without(edit.clone()))?;
        let only = of(State::Only(edit.clone()));
        let found = judge::on_edit(&without.invariants, without.values(), only.map(Played::values));
        let (pinned_by, inconclusive) =
            found.pinned_by.map_or_else(|why| (Vec::new(), Some(why)), |names| (names, None));
        let sufficient_alone = found.sufficient_alone;
        Some(EditReport {
            edit: edit.clone(),
            pinned_by,
            inconclusive,
            sufficient_alone,
            unpinned: declared.unpinned.clone(),
        })
    });
    let edits: Vec<EditReport> = edits.collect();
    let states = [applied.map(|applied| (applied, Side::Applied)), reverted.map(|reverted| (reverted, Side::Reverted))];
    let mut report = report(Some(name), fix.verdict, finding, &states);
    report.as_declared &= edits.iter().all(EditReport::is_as_declared);
    if report.reason.is_none() {
        report.reason = edits.iter().find(|edit| !edit.is_as_declared()).map(|edit| {
            let why = edit.inconclusive.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("the edit `{}` is {}{why}", edit.edit, edit.word())
        });
    }
    report.edits = edits;
    report
}

fn bug_report(case: &Case, played: &[Played]) -> FixReport {
    let (base, control) = (find(played, &State::Reverted), find(played, &State::Control));
    let finding = base
        .zip(control)
        .map(|(base, control)| judge::on_bug(base.evidence(), control.values(), &control_bounds(case)));
    report(None, case.verdict, finding, &[base.map(|base| (base, Side::Reverted))])
}

/// A report with a verdict, or without one for a run of some states only.
fn report(
    fix: Option<&str>,
    declared: Verdict,
    finding: Option<Finding>,
    states: &[Option<(&Played, Side)>],
) -> FixReport {
    let fix = fix.map(str::to_owned);
    if let Some(Finding { verdict, reason, decisive }) = finding {
        let as_declared = verdict == declared;
        return FixReport { fix, verdict: Some(verdict), declared, as_declared, reason, decisive, edits: Vec::new() };
    }
    let unmet: Result<Vec<String>, String> = states.iter().flatten().try_fold(Vec::new(), |mut all, (played, side)| {
        all.extend(judge::unmet(&played.invariants, *side, played.values().map_err(str::to_owned)?));
        Ok(all)
    });
    let (reason, decisive) = match unmet {
        Ok(names) if names.is_empty() => (None, names),
        Ok(names) => (Some(format!("not within its bound: {}", names.join(", "))), names),
        Err(why) => (Some(why), Vec::new()),
    };
    FixReport { fix, verdict: None, declared, as_declared: reason.is_none(), reason, decisive, edits: Vec::new() }
}

/// `check` has resolved the control before anything was started.
fn control_bounds(case: &Case) -> IndexMap<String, Bound> {
    resolve::resolve_control(case).ok().flatten().map(|control| control.bounds).unwrap_or_default()
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
    let control_bounds = (arm.state == State::Control).then(|| control_bounds(case));
    let side = if arm.fix.is_some() { Side::Applied } else { Side::Reverted };
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
