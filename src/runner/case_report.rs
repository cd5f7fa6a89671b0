//! Turns the outcomes of a case's arms into its report.

use std::path::PathBuf;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::Value;

use super::arm::Outcome;
use super::event::{ArmReport, CaseReport, EditReport, FixReport, GrowthReport, InvariantReport, Timings, seconds};
use crate::case::unit::Dimension;
use crate::case::{Bound, Case, Fix, Invariant, Quantity};
use crate::judge::{self, Evidence, Finding, Side, Verdict, growth, twins};
use crate::plan::{self, Arm, State, States};
use crate::probe::registry::{growth_tolerance, tolerance};

/// By what share of the greater one two measurements of the same bytes may differ.
const BYTES: f64 = 0.01;

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
    /// Guards that do not hold in the points of its state's growth.
    elsewhere: Vec<String>,
    /// The arm that was played instead: its state is the same.
    twin: Option<Arm>,
}

impl Played {
    /// Adds this state's bounds, which depend on its variables.
    pub fn new(arm: Arm, outcome: Outcome, log: PathBuf) -> Self {
        let mut invariants = arm.resolved.invariants.clone();
        if arm.growth.is_some() {
            // One arm alone does not tell how a value grows.
            invariants.retain(|_, invariant| !matches!(invariant.of, Quantity::Growth { .. }));
        }
        Self { arm, outcome, log, invariants, elsewhere: Vec::new(), twin: None }
    }

    /// What would have come of an arm whose state is the same.
    fn twin(&self, arm: Arm) -> Self {
        let outcome = Outcome { timings: Timings::default(), ..self.outcome.clone() };
        Self { twin: Some(self.arm.clone()), ..Self::new(arm, outcome, self.log.clone()) }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence { invariants: &self.invariants, measured: self.values(), elsewhere: &self.elsewhere }
    }

    /// What it does not meet as the control of its case; or why it was not measured.
    fn unmet_by_control(&self, bounds: &IndexMap<String, Bound>) -> Result<Vec<String>, &str> {
        let mut unmet = judge::unmet_by_control(&self.invariants, bounds, self.values()?);
        unmet.extend(self.elsewhere.iter().filter(|name| !bounds.contains_key(*name)).cloned());
        Ok(unmet)
    }

    /// How another repetition of the same state differs.
    fn unlike(&self, other: &Self) -> Option<String> {
        let (Ok(one), Ok(two)) = (self.values(), other.values()) else { return None };
        let differences = twins::differences(
            &self.invariants,
            |invariant| tolerance(invariant, self.arm.resolved.has_real_clusters()),
            one,
            two,
        );
        (!differences.is_empty()).then(|| differences.join(", "))
    }

    fn values(&self) -> Result<&IndexMap<String, Value>, &str> {
        self.outcome.measured.as_ref().map(|measured| &measured.values).map_err(String::as_str)
    }
}

/// The report of a case that was run.
pub fn case((index, case): (usize, &Case), mut played: Vec<Played>, states: States) -> CaseReport {
    let growths = growths(case, &mut played);
    for (arm, twin) in plan::twins((index, case), states) {
        if let Some(twin) = played.iter().find(|one| one.arm == twin).map(|played| played.twin(arm)) {
            played.push(twin);
        }
    }
    for index in 0..played.len() {
        let arm = &played[index].arm;
        let grows =
            played.iter().any(|one| one.arm.growth.is_some() && one.arm.fix == arm.fix && one.arm.state == arm.state);
        if !grows {
            played[index].invariants.retain(|_, invariant| !matches!(invariant.of, Quantity::Growth { .. }));
        }
    }
    guards_elsewhere(&mut played);
    let judged: Vec<&Played> = played.iter().filter(|one| one.arm.growth.is_none()).collect();
    let mut fixes: Vec<FixReport> = if case.fixes.is_empty() {
        vec![bug_report(case, &judged)]
    } else {
        case.fixes.iter().map(|(name, fix)| fix_report(case, name, fix, &judged)).collect()
    };
    for fix in &mut fixes {
        let own = |growth: &&(Option<String>, GrowthReport)| growth.0.is_none() || growth.0 == fix.fix;
        fix.growths = growths.iter().filter(own).map(|(_, growth)| growth.clone()).collect();
    }
    let verdict = verdict(&fixes);
    let reason = fixes.iter().find(|fix| !fix.as_declared).and_then(|fix| fix.reason.clone());
    CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        verdict,
        as_declared: fixes.iter().all(|fix| fix.as_declared),
        reason,
        wall: wall(&played),
        fixes,
        notes: case.notes.clone(),
        arms: played.into_iter().map(|played| arm_report(case, played)).collect(),
    }
}

/// The worst of its fixes. One that is known to be wrong, and is, speaks for the case only where there is no other.
fn verdict(fixes: &[FixReport]) -> Option<Verdict> {
    let is_known_wrong = |fix: &FixReport| fix.as_declared && fix.declared < Verdict::Proven;
    let all_are = fixes.iter().all(is_known_wrong);
    let telling = fixes.iter().filter(|fix| all_are || !is_known_wrong(fix));
    // A partial run has no verdict: the least of `None` and anything is `None`.
    telling.map(|fix| fix.verdict).min().flatten()
}

/// Fits the growth of each invariant that wants it, per fix and state, and makes the class the value of all arms of that
/// state. Where there is none, they were not measured.
fn growths(case: &Case, played: &mut [Played]) -> Vec<(Option<String>, GrowthReport)> {
    let mut reports = Vec::new();
    let wanted = case.states.state.invariants.iter().filter_map(|(name, invariant)| match &invariant.of {
        Quantity::Growth { of } => Some((name, of)),
        _ => None,
    });
    for (name, of) in wanted {
        let mut groups: Vec<(Option<String>, State)> = Vec::new();
        for one in played.iter().filter(|one| one.arm.growth.is_some()) {
            let group = (one.arm.fix.clone(), one.arm.state.clone());
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        for (fix, state) in groups {
            let is_own = |one: &&Played| one.arm.fix == fix && one.arm.state == state;
            let points: Result<Vec<(f64, f64)>, String> = played
                .iter()
                .filter(is_own)
                .filter_map(|one| Some((one.arm.growth.as_ref()?.as_f64()?, one)))
                .map(|(x, one)| {
                    let value = one.values().map_err(str::to_owned)?.get(of).and_then(Value::as_f64);
                    Ok((x, value.ok_or_else(|| format!("`{of}` is no number at {x}"))?))
                })
                .collect();
            let room = played.iter().find(is_own).and_then(|one| {
                let growing = case.states.state.invariants.get(of)?;
                // A reading of bytes, which its bound tells, repeats as bytes do.
                let is_bytes = growing.sides().any(|(_, bound)| bound.dimension() == Some(Dimension::Bytes));
                let least = if is_bytes { BYTES } else { 0.0 };
                Some(growth_tolerance(growing, one.arm.resolved.has_real_clusters())?.max(least))
            });
            let fit = points.as_ref().map_err(Clone::clone);
            let fit = fit.and_then(|points| growth::fit(points, room.unwrap_or_default()));
            for one in played.iter_mut().filter(|one| one.arm.growth.is_none() && is_own(&&**one)) {
                match (&fit, &mut one.outcome.measured) {
                    (Ok(fit), Ok(measured)) => {
                        measured.values.insert(name.clone(), Value::from(fit.class.to_string()));
                    }
                    (Err(why), measured) => *measured = Err(format!("`{name}`: {why}")),
                    _ => {}
                }
            }
            let class = fit.as_ref().map_or_else(Clone::clone, |fit| fit.class.to_string());
            let goodness = fit.ok().map(|fit| fit.goodness);
            let points = points.unwrap_or_default();
            reports.push((fix, GrowthReport { name: name.clone(), state, points, class, goodness }));
        }
    }
    reports
}

/// Tells the arms of each state which guards its points of growth do not meet.
fn guards_elsewhere(played: &mut [Played]) {
    let unmet: Vec<(Option<String>, State, Vec<String>)> = played
        .iter()
        .filter(|one| one.arm.growth.is_some())
        .filter_map(|one| {
            let unmet = judge::unmet_guards(&one.invariants, one.values().ok()?);
            Some((one.arm.fix.clone(), one.arm.state.clone(), unmet))
        })
        .collect();
    for one in played.iter_mut().filter(|one| one.arm.growth.is_none()) {
        let own = unmet.iter().filter(|(fix, state, _)| *fix == one.arm.fix && *state == one.arm.state);
        one.elsewhere = own.flat_map(|(_, _, unmet)| unmet.clone()).collect();
        one.elsewhere.sort_unstable();
        one.elsewhere.dedup();
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
        notes: case.notes.clone(),
        arms: Vec::new(),
    }
}

fn fix_report(case: &Case, name: &str, fix: &Fix, played: &[&Played]) -> FixReport {
    let of = |state: State| find(played, Some(name), &state);
    let (applied, reverted) = (of(State::Applied), find(played, None, &State::Reverted));
    let pairs = applied.iter().zip(&reverted);
    let controls = find(played, None, &State::Control);
    let bounds = case.control.as_ref().map(|control| &control.bounds);
    let findings = pairs.enumerate().map(|(repetition, (applied, reverted))| {
        let finding = judge::on_fix(applied.evidence(), reverted.evidence());
        match controls.get(repetition).zip(bounds) {
            Some((control, bounds)) => {
                let unmet = control.unmet_by_control(bounds);
                judge::with_control(finding, unmet.as_deref().map_err(|why| *why))
            }
            None => finding,
        }
    });
    let finding = judge::over_repetitions(findings.collect());
    // Where the fix does not hold whole, what its parts do says nothing.
    let holds = finding.as_ref().is_none_or(|(finding, _)| finding.verdict == Verdict::Proven);
    let edits = fix.change.edits.iter().filter(|_| holds).filter_map(|(edit, declared)| {
        let (without, only) = (of(State::Without(edit.clone())), of(State::Only(edit.clone())));
        let known = without.first()?;
        let found = judge::on_edit(&evidence(&without), &evidence(&only));
        let (pinned_by, inconclusive) =
            found.pinned_by.map_or_else(|why| (Vec::new(), Some(why)), |names| (names, None));
        // How a value grows is not measured in one arm: what else holds does not make it enough.
        let is_told = |suffices: &bool| !suffices || case.growth.is_none() || fix.change.edits.len() == 2;
        let is_guard = |name: &String| known.invariants.get(name).is_some_and(Invariant::is_guard);
        Some(EditReport {
            edit: edit.clone(),
            by_guards_alone: !pinned_by.is_empty() && pinned_by.iter().all(is_guard),
            pinned_by,
            inconclusive,
            sufficient_alone: found.sufficient_alone.filter(is_told),
            unpinned: declared.unpinned.clone(),
            breaks: declared.breaks.clone(),
        })
    });
    let edits: Vec<EditReport> = edits.collect();
    // Without the other state there is no verdict to repeat: the state is held against itself.
    let alike = if reverted.is_empty() { applied.clone() } else { Vec::new() };
    let sides = [(applied, Side::Applied), (reverted, Side::Reverted)];
    let mut report = report(Some(name), fix.verdict, finding, &sides);
    if let [first, others @ ..] = alike.as_slice() {
        let unlike = others.iter().find_map(|other| first.unlike(other));
        report.as_declared &= unlike.is_none();
        report.agreement.0 = if unlike.is_none() { report.agreement.1 } else { 1 };
        report.reason = unlike.map(|how| format!("two runs of the same state differ: {how}")).or(report.reason);
    }
    report.as_declared &= edits.iter().all(EditReport::is_as_declared);
    if report.verdict == Some(Verdict::Proven) && !report.as_declared {
        // A fix is not proven whose parts are not.
        let is_unpinned = edits.iter().any(|edit| edit.inconclusive.is_none() && !edit.is_as_declared());
        report.verdict = Some(if is_unpinned { Verdict::NotPinned } else { Verdict::Inconclusive });
    }
    if report.reason.is_none() {
        report.reason = edits.iter().find(|edit| !edit.is_as_declared()).map(|edit| {
            let why = edit.inconclusive.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("the edit `{}` is {}{why}", edit.edit, edit.word())
        });
    }
    report.edits = edits;
    report
}

fn bug_report(case: &Case, played: &[&Played]) -> FixReport {
    let (base, control) = (find(played, None, &State::Reverted), find(played, None, &State::Control));
    let bounds = case.control.iter().flat_map(|declared| control.iter().map(|control| (control, &declared.bounds)));
    let pairs = base.iter().zip(bounds);
    let findings = pairs.map(|(base, (control, bounds))| {
        let unmet = control.unmet_by_control(bounds);
        judge::on_bug(base.evidence(), unmet.as_deref().map_err(|why| *why))
    });
    let findings = findings.collect();
    report(None, case.verdict, judge::over_repetitions(findings), &[(base, Side::Reverted)])
}

/// A report with a verdict, or without one for a run of some states only.
fn report(
    fix: Option<&str>,
    declared: Verdict,
    finding: Option<(Finding, usize)>,
    sides: &[(Vec<&Played>, Side)],
) -> FixReport {
    let mut report = FixReport {
        fix: fix.map(str::to_owned),
        verdict: None,
        declared,
        as_declared: true,
        reason: None,
        decisive: Vec::new(),
        edits: Vec::new(),
        agreement: (0, sides.iter().map(|(played, _)| played.len()).max().unwrap_or(0)),
        growths: Vec::new(),
    };
    if let Some((Finding { verdict, reason, decisive }, agreeing)) = finding {
        let as_declared = verdict == declared;
        report = FixReport { verdict: Some(verdict), as_declared, reason, decisive, ..report };
        report.agreement.0 = agreeing;
        return report;
    }
    // A fix that is known to be wrong does not meet its bounds: that is no news.
    let is_known_wrong = |side| side == Side::Applied && fix.is_some() && declared < Verdict::Proven;
    for (played, side) in sides.iter().flat_map(|(played, side)| played.iter().map(move |played| (played, *side))) {
        match played.values() {
            Ok(_) if is_known_wrong(side) => {}
            Ok(values) => report.decisive.extend(judge::unmet(&played.invariants, side, values)),
            Err(why) => {
                report.verdict = Some(Verdict::Inconclusive);
                report.reason = Some(why.to_owned());
            }
        }
    }
    if report.reason.is_none() && !report.decisive.is_empty() {
        report.reason = Some(format!("not within its bound: {}", report.decisive.join(", ")));
    }
    report.as_declared = report.reason.is_none();
    report
}

fn evidence<'p>(played: &[&'p Played]) -> Vec<Evidence<'p>> {
    played.iter().map(|one| one.evidence()).collect()
}

/// The repetitions of a state, in their order.
fn find<'p>(played: &[&'p Played], fix: Option<&str>, state: &State) -> Vec<&'p Played> {
    let is_it = |one: &&&Played| one.arm.fix.as_deref() == fix && &one.arm.state == state;
    played.iter().filter(is_it).copied().collect()
}

fn wall(played: &[Played]) -> f64 {
    let first: Option<Instant> = played.iter().map(|played| played.outcome.span.0).min();
    let last: Option<Instant> = played.iter().map(|played| played.outcome.span.1).max();
    first.zip(last).map_or(0.0, |(first, last)| seconds(last - first))
}

fn arm_report(case: &Case, played: Played) -> ArmReport {
    let Played { arm, outcome, log, invariants, twin, .. } = played;
    let control_bounds = case.control.as_ref().filter(|_| arm.state == State::Control).map(|control| &control.bounds);
    let side = if arm.fix.is_some() { Side::Applied } else { Side::Reverted };
    let (measured, broken) = match outcome.measured {
        Ok(measured) => (measured, None),
        Err(why) => (super::measure::Measured::default(), Some(why)),
    };
    let reports = invariants.iter().filter_map(|(name, invariant)| {
        let bound = match control_bounds {
            Some(bounds) => bounds.get(name).or(invariant.both.as_ref()),
            None => judge::bound(invariant, side),
        };
        let value = measured.values.get(name)?.clone();
        Some(InvariantReport {
            name: name.clone(),
            holds: bound.is_none_or(|bound| bound.holds(&value)),
            bound: bound.map_or_else(|| "none".to_owned(), ToString::to_string),
            guard: invariant.is_guard(),
            writers: measured.writers.get(name).cloned().unwrap_or_default(),
            instead: measured.instead.get(name).cloned(),
            value,
        })
    });
    ArmReport {
        fix: arm.fix,
        state: arm.state,
        repetition: arm.repetition,
        growth: arm.growth,
        played_as: twin.map(|twin| twin.label()),
        writes: measured.writes,
        faults: outcome.faults,
        broken,
        invariants: reports.collect(),
        versions: outcome.versions,
        timings: outcome.timings,
        log,
    }
}
