//! What happens in a run, as the reporters are told.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::judge::Verdict;
use crate::plan::State;
use crate::probe::writer::Writer;
use crate::probe::writers::TableWriter;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// Something slow is being made for the first time, e.g. an environment.
    Preparing(String),
    /// A server died, and what is done about it.
    Hurt(String),
    /// Services answer and environments are there.
    Ready(Setting),
    /// An arm begins.
    ArmStarted {
        /// The case's name.
        case: String,
        /// Its state.
        state: State,
    },
    /// An arm is over: measured, or not.
    ArmFinished {
        /// The case's name.
        case: String,
        /// Its state.
        state: State,
        /// Why it was not measured, if it was not.
        broken: Option<String>,
    },
    /// A case has its verdict. Comes in the order of the cases.
    CaseFinished(Box<CaseReport>),
    /// The run is over.
    Finished(RunReport),
}

/// Where a run's events go. A reporter that is gone does not stop the run.
pub type Events = mpsc::UnboundedSender<Event>;

/// What a run stands on.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// e.g. `PostgreSQL 15.18`.
    pub postgres: String,
    /// e.g. `Redis 7.0.15`; absent where no case needed one.
    pub redis: Option<String>,
    /// Where services come from, e.g. `local`.
    pub services: String,
    /// What was not taken of them and why, e.g. `external: no pg_stat_statements: ...`.
    pub notes: Vec<String>,
    /// Python versions of the environments.
    pub python: Vec<String>,
    /// Arms that run at the same time.
    pub lanes: usize,
}

/// A finished run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunReport {
    /// Cases that got the verdict they declare.
    pub as_declared: usize,
    /// Cases that did not.
    pub otherwise: usize,
    /// Of these, cases that only say nothing: flaky or inconclusive.
    pub undecided: usize,
    /// Cases that were skipped.
    pub skipped: usize,
    /// Wall-clock time of the whole run, in seconds.
    pub wall: f64,
    /// What templates and zygotes took, which arms share.
    pub shared: SharedTimings,
}

impl RunReport {
    /// Takes in a finished case.
    pub fn count(&mut self, case: &CaseReport) {
        match case {
            CaseReport { verdict: Some(Verdict::Skipped), .. } => self.skipped += 1,
            CaseReport { as_declared: true, .. } => self.as_declared += 1,
            case => {
                self.otherwise += 1;
                self.undecided += usize::from(case.fixes.iter().all(|fix| fix.as_declared || fix.is_undecided()));
            }
        }
    }
}

/// A finished case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// e.g. `django_q/stat_master_list`.
    pub name: String,
    /// What goes wrong.
    pub title: String,
    /// The worst of its fixes, those left out that are known to be wrong; absent when a run was asked for some states only.
    pub verdict: Option<Verdict>,
    /// Whether every fix got the verdict it declares, with every edit pinned.
    pub as_declared: bool,
    /// Why, where the verdict needs a word.
    pub reason: Option<String>,
    /// Wall-clock seconds from its first arm's start to its last arm's end.
    pub wall: f64,
    /// Per fix; one entry without a name for a case that has none.
    pub fixes: Vec<FixReport>,
    /// What a reader of the case should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its arms.
    pub arms: Vec<ArmReport>,
}

/// The finding about one fix.
#[derive(Debug, Clone, Serialize)]
pub struct FixReport {
    /// Its name; absent for a case without a fix.
    pub fix: Option<String>,
    /// What it got; absent when not all the states that a verdict needs were run.
    pub verdict: Option<Verdict>,
    /// What it declares.
    pub declared: Verdict,
    /// Whether it got what it declares, and every edit is pinned or excused. Without a verdict:
    /// whether the states that were run meet their bounds.
    pub as_declared: bool,
    /// Why.
    pub reason: Option<String>,
    /// Invariants that decided it against the fix.
    pub decisive: Vec<String>,
    /// What taking each edit back, and keeping it alone, said.
    pub edits: Vec<EditReport>,
    /// How many repetitions agreed on the verdict, of how many.
    pub agreement: (usize, usize),
    /// How values grow, and how well that fits.
    pub growths: Vec<GrowthReport>,
}

/// How an invariant's value grows in a state.
#[derive(Debug, Clone, Serialize)]
pub struct GrowthReport {
    /// The invariant that looks at the growth.
    pub name: String,
    /// The state.
    pub state: State,
    /// (value of the var, value of the invariant).
    pub points: Vec<(f64, f64)>,
    /// `constant`, `linear`, `quadratic` or `falling`; or why none.
    pub class: String,
    /// R², where there is a class.
    pub goodness: Option<f64>,
}

impl FixReport {
    /// Whether what is not as declared only says nothing.
    pub fn is_undecided(&self) -> bool {
        match self.verdict {
            Some(verdict) => {
                (verdict == self.declared || verdict.is_undecided())
                    && self.edits.iter().all(|edit| edit.is_as_declared() || edit.is_undecided())
            }
            None => false,
        }
    }
}

/// What was found about one edit of a fix.
#[derive(Debug, Clone, Serialize)]
pub struct EditReport {
    /// Its name.
    pub edit: String,
    /// The invariants that notice when it is taken back.
    pub pinned_by: Vec<String>,
    /// Whether nothing but guards notices.
    pub by_guards_alone: bool,
    /// Why taking it back says nothing.
    pub inconclusive: Option<String>,
    /// Whether it is all that the applied bounds need; absent for a fix of one edit.
    pub sufficient_alone: Option<bool>,
    /// Why no invariant needs it, if the case says so.
    pub unpinned: Option<String>,
    /// Why nothing runs without it, if the case says so.
    pub breaks: Option<String>,
}

impl EditReport {
    /// Pinned, unpinned or broken as the case says. An excuse for an edit that does not need it is out of date.
    pub fn is_as_declared(&self) -> bool {
        match &self.inconclusive {
            Some(_) => self.breaks.is_some(),
            None => self.breaks.is_none() && self.pinned_by.is_empty() == self.unpinned.is_some(),
        }
    }

    /// Whether it says nothing, without an excuse.
    pub fn is_undecided(&self) -> bool {
        self.inconclusive.is_some() && self.breaks.is_none()
    }

    /// In a word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Self { inconclusive: Some(_), breaks: Some(_), .. } => "broken, as declared",
            Self { inconclusive: Some(_), .. } => "inconclusive",
            Self { breaks: Some(_), .. } => "no part of what breaks, though declared to be",
            Self { pinned_by, .. } if pinned_by.is_empty() => "UNPINNED",
            Self { unpinned: Some(_), .. } => "pinned, though declared unpinned",
            _ => "pinned",
        }
    }
}

/// A finished arm.
#[derive(Debug, Clone, Serialize)]
pub struct ArmReport {
    /// The fix that was applied.
    pub fix: Option<String>,
    /// The state.
    pub state: State,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The value of the growth var, for a point of a growth.
    pub growth: Option<Value>,
    /// The arm that was played for it: one of the same state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_as: Option<String>,
    /// Why it was not measured, if it was not.
    pub broken: Option<String>,
    /// What was measured.
    pub invariants: Vec<InvariantReport>,
    /// Who wrote the table that was asked for.
    pub writes: Vec<TableWriter>,
    /// The faults that it was put under, in the order of their beginning.
    pub faults: Vec<FaultReport>,
    /// Package versions of the environment.
    pub versions: std::collections::BTreeMap<String, String>,
    /// Where its time went.
    pub timings: Timings,
    /// Its log, below the output directory.
    #[serde(serialize_with = "shown")]
    pub log: PathBuf,
}

/// A path as text, also where its name is not UTF-8: JSON knows no other.
fn shown<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl CaseReport {
    /// The arms that were played themselves.
    pub fn played(&self) -> impl Iterator<Item = &ArmReport> {
        self.arms.iter().filter(|arm| arm.played_as.is_none())
    }
}

/// A fault: evidence of what was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultReport {
    /// What was done, and to whom.
    pub fault: String,
    /// The line of its step in the case file, 1-based.
    pub line: usize,
    /// Seconds from the arm's opening to its beginning.
    pub began: f64,
    /// Seconds from the arm's opening to when it was undone or over; absent where the arm broke before.
    pub ended: Option<f64>,
}

/// One invariant in one state.
#[derive(Debug, Clone, Serialize)]
pub struct InvariantReport {
    /// Its name.
    pub name: String,
    /// What was measured.
    pub value: Value,
    /// The bound of this state, as text.
    pub bound: String,
    /// Whether the value is within it.
    pub holds: bool,
    /// Whether it is a guard, the same in both states.
    pub guard: bool,
    /// For counts of statements: who sent the most.
    pub writers: Vec<Writer>,
    /// Where none was found of what it names: what there was, the most frequent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Vec<String>>,
}

/// Where an arm's time went, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Timings {
    /// Cloning the database.
    pub clone: f64,
    /// Forking actors and entering the arm.
    pub fork: f64,
    /// The steps, without forks.
    pub steps: f64,
    /// Reading ledger, server and rows.
    pub probes: f64,
    /// Ending processes, dropping the database.
    pub teardown: f64,
}

/// What arms share, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct SharedTimings {
    /// Starting services.
    pub services: f64,
    /// Finding or making environments.
    pub environments: f64,
    /// Setting up zygotes, waiting for the same one not counted twice.
    pub zygotes: f64,
    /// Migrating templates.
    pub templates: f64,
}

/// Seconds, rounded to the microsecond, for results.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}
