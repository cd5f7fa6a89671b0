//! The life of one arm: clone, fork, steps, probes, teardown.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{Timings, seconds};
use super::stage::Stage;
use super::step::Session;
use super::window::Windows;
use crate::actor::Trouble;
use crate::case::model::{Case, Per, Quantity};
use crate::case::resolve::{self, ResolvedState};
use crate::error::Context as _;
use crate::plan::Arm;
use crate::probe::ledger::Ledger;
use crate::probe::reconcile;
use crate::probe::statements::{self, Writer};

/// Call sites named for an invariant.
const TOP_WRITERS: usize = 5;

/// What came of an arm.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured; or, in words, why nothing was.
    pub measured: Result<Measured, String>,
    /// Where its time went.
    pub timings: Timings,
    /// Package versions of its environment.
    pub versions: BTreeMap<String, String>,
    /// When it began and ended.
    pub span: (Instant, Instant),
}

/// What was measured in an arm.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By invariant.
    pub values: IndexMap<String, Value>,
    /// For counts of statements: who sent the most.
    pub writers: HashMap<String, Vec<Writer>>,
}

/// Runs one arm; `index` names it in the run. What goes wrong inside it is its outcome; it never stops the run.
pub async fn run(stage: Arc<Stage>, case: &Case, arm: &Arm, index: usize, log: &Path) -> Outcome {
    let begin = Instant::now();
    let mut outcome = Outcome {
        measured: Err(String::new()),
        timings: Timings::default(),
        versions: BTreeMap::new(),
        span: (begin, begin),
    };
    outcome.measured = live(&stage, case, arm, index, log, &mut outcome).await;
    if let Err(why) = &outcome.measured {
        note(log, &format!("inconclusive: {why}"));
    }
    outcome.span.1 = Instant::now();
    outcome
}

async fn live(
    stage: &Arc<Stage>,
    case: &Case,
    arm: &Arm,
    index: usize,
    log: &Path,
    outcome: &mut Outcome,
) -> Result<Measured, String> {
    let state = resolve::resolve(case, arm.delta(case)).map_err(|error| error.message)?;
    let (code, state) = {
        let (stage, plan_state, python) = (Arc::clone(stage), arm.state.clone(), case.needs.python.clone());
        let code = tokio::task::spawn_blocking(move || {
            stage.code(&state, &plan_state, python.as_deref()).map(|code| (code, state))
        });
        code.await.map_err(|error| error.to_string())?.map_err(|refused| refused.to_string())?
    };
    let zygote = stage.tree.zygote(&code).await.map_err(|trouble| explain(log, "set up the app", &trouble))?;
    stage.adds_up(&code, &zygote).await.map_err(|trouble| trouble.to_string())?;
    outcome.versions.clone_from(&zygote.prepared.versions);
    stage.template(&code, &zygote).await.map_err(|trouble| explain(log, "migrate the template", &trouble))?;

    let start = Instant::now();
    let database = format!("arm_{index}");
    stage.postgres.clone_template(&zygote.template_key(), &database).await.map_err(|error| error.message)?;
    outcome.timings.clone = seconds(start.elapsed());

    let folder = stage.folder.join(format!("arm-{index}"));
    let mut session =
        Session::new(stage, &code, &zygote, &case.actors, folder.clone(), database.clone(), log.to_owned());
    let measured = measure(&mut session, &state, outcome).await;

    let start = Instant::now();
    let ended = session.end().await;
    let dropped = stage.postgres.drop_database(&database).await;
    let removed = fs::remove_dir_all(&folder).cannot_run(|| format!("remove {}", folder.display()));
    outcome.timings.teardown = seconds(start.elapsed());
    let measured = measured?;
    ended.and(dropped).and(removed).map_err(|error| error.message)?;
    Ok(measured)
}

async fn measure(session: &mut Session<'_>, state: &ResolvedState, outcome: &mut Outcome) -> Result<Measured, String> {
    let start = Instant::now();
    let played = session.play(state).await;
    outcome.timings.fork = seconds(session.forking);
    outcome.timings.steps = seconds(start.elapsed().saturating_sub(session.forking));
    let windows = played?;
    let start = Instant::now();
    let measured = probe(session, state, &windows).await;
    outcome.timings.probes = seconds(start.elapsed());
    measured
}

async fn probe(session: &Session<'_>, state: &ResolvedState, windows: &Windows) -> Result<Measured, String> {
    let ledger = Ledger::read(&session.folder.join("ledger")).map_err(|error| error.message)?;
    let server = session.executed().await.map_err(|error| error.message)?;
    let mut differences = reconcile::with_server(&ledger, &server, false);
    for (actor, counters) in session.wire().await {
        differences.extend(reconcile::with_wire(&ledger, &actor, &counters.seen, false));
    }
    if !differences.is_empty() {
        return Err(format!("ledger, wire and server do not agree: {}", differences.join("; ")));
    }
    let mut measured = Measured::default();
    for (name, invariant) in &state.invariants {
        let value = match &invariant.of {
            Quantity::Reading(reading) => session
                .readings
                .get(reading)
                .cloned()
                .ok_or_else(|| format!("`{name}`: nothing was read as `{reading}`"))?,
            Quantity::Rows { table, during } => {
                session.rows(table, during.as_deref()).map_err(|why| format!("`{name}`: {why}"))?
            }
            Quantity::WireBytes { .. }
            | Quantity::Connections { .. }
            | Quantity::WalBytes { .. }
            | Quantity::Writers { .. }
            | Quantity::Growth { .. } => return Err(format!("`{name}`: not measured yet")),
            Quantity::Statements { filter, unit } => {
                let window = windows.get(filter.during.as_deref());
                measured.writers.insert(name.clone(), statements::top(&ledger, filter, &window, TOP_WRITERS));
                let count = statements::measure(&ledger, filter, *unit, &window);
                match invariant.per {
                    None => Value::from(count),
                    Some(per @ (Per::Day | Per::Second)) => {
                        return Err(format!("`{name}`: per {per}: not measured yet"));
                    }
                    Some(per) => divide(count, window.units(per))
                        .ok_or_else(|| format!("`{name}`: nothing to divide by, no {per} in the window"))?,
                }
            }
        };
        measured.values.insert(name.clone(), value);
    }
    Ok(measured)
}

/// A rate; whole where it is.
fn divide(count: u64, by: u64) -> Option<Value> {
    match count.checked_rem(by)? {
        0 => Some(Value::from(count / by)),
        _ => Some(Value::from(count as f64 / by as f64)),
    }
}

/// Puts a traceback into the arm's log and gives the sentence for the report.
pub fn explain(log: &Path, doing: &str, trouble: &Trouble) -> String {
    if let Trouble::Failed(failed) = trouble {
        note(log, failed.traceback.trim_end());
    }
    format!("{doing}: {trouble}")
}

/// A line of the harness's own in an arm's log. The log is evidence, not a measurement: a full
/// disk must not change a verdict.
pub fn note(log: &Path, line: &str) {
    use std::io::Write as _;
    if let Ok(mut file) = fs::File::options().create(true).append(true).open(log) {
        let _ = writeln!(file, "{line}");
    }
}
