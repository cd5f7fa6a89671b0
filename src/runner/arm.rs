//! The life of one arm: clone, fork, steps, probes, teardown.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::event::{FaultReport, Timings, seconds};
use super::measure::{self, Measured};
use super::session::{Code, Codes, Session};
use super::stage::Stage;
use crate::actor::{StateCode, Trouble};
use crate::case::model::Case;
use crate::case::resolve::{self, ResolvedState};
use crate::error::Context as _;
use crate::plan::Arm;

/// What came of an arm.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was measured; or, in words, why nothing was.
    pub measured: Result<Measured, String>,
    /// Where its time went.
    pub timings: Timings,
    /// Package versions of its environment.
    pub versions: BTreeMap<String, String>,
    /// The faults that it was put under.
    pub faults: Vec<FaultReport>,
    /// When it began and ended.
    pub span: (Instant, Instant),
}

/// Runs one arm; `index` names it in the run. What goes wrong inside it is its outcome; it never stops the run.
pub async fn run(
    stage: Arc<Stage>,
    case: &Case,
    arm: &Arm,
    index: usize,
    (log, core): (&Path, Option<Core>),
) -> Outcome {
    let begin = Instant::now();
    let mut outcome = Outcome {
        measured: Err(String::new()),
        timings: Timings::default(),
        versions: BTreeMap::new(),
        faults: Vec::new(),
        span: (begin, begin),
    };
    outcome.measured = live(&stage, case, arm, index, (log, core), &mut outcome).await;
    // Where it broke before, nobody may wait for it.
    stage.references.tell_nothing(case, arm);
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
    (log, core): (&Path, Option<Core>),
    outcome: &mut Outcome,
) -> Result<Measured, String> {
    let state = resolve::resolve_with(case, arm.delta(case), &arm.overrides(case)).map_err(|error| error.message)?;
    let (code, state) = code(stage, case, arm, state).await?;
    let zygote = stage.tree.zygote(&code).await.map_err(|trouble| explain(log, "set up the app", &trouble))?;
    stage.adds_up(&code, &zygote).await.map_err(|trouble| trouble.to_string())?;
    outcome.versions.clone_from(&zygote.prepared.versions);
    let server = stage.server_for(&state).await.map_err(|error| error.message)?;
    stage.template(&server, &code, &zygote).await.map_err(|trouble| explain(log, "migrate the template", &trouble))?;

    let guard_cycle = zygote.prepared.guard_cycle;
    let actors = actor_codes(stage, case, arm, &state, log).await?;
    let codes = Codes { state: (code, zygote), actors };
    let mut session =
        Session::new(stage, server, &codes, &state, index, (log.to_owned(), core)).map_err(|error| error.message)?;
    session.deadlines = stage.references.deadlines(case, arm).await;
    let measured = measure(&mut session, guard_cycle, outcome).await;
    stage.references.tell(case, arm, std::mem::take(&mut session.waits));
    outcome.faults = std::mem::take(&mut session.faults);

    let start = Instant::now();
    let folder = session.folder.clone();
    let ended = session.end().await;
    let removed = fs::remove_dir_all(&folder).cannot_run(|| format!("remove {}", folder.display()));
    outcome.timings.teardown = seconds(start.elapsed());
    let measured = measured?;
    ended.and(removed).map_err(|error| error.message)?;
    Ok(measured)
}

/// The code of actors that run another than the state's.
async fn actor_codes(
    stage: &Arc<Stage>,
    case: &Case,
    arm: &Arm,
    state: &ResolvedState,
    log: &Path,
) -> Result<HashMap<String, Code>, String> {
    let mut codes = HashMap::new();
    for actor in state.actor_changes.keys() {
        let Some(changed) = state.changed_for(actor) else { continue };
        let (code, _) = code(stage, case, arm, changed).await?;
        let doing = || format!("set up the app for {actor}");
        let zygote = stage.tree.zygote(&code).await.map_err(|trouble| explain(log, &doing(), &trouble))?;
        codes.insert(actor.clone(), (code, zygote));
    }
    Ok(codes)
}

/// The code of a state, found or made beside the runtime.
async fn code(
    stage: &Arc<Stage>,
    case: &Case,
    arm: &Arm,
    state: ResolvedState,
) -> Result<(StateCode, ResolvedState), String> {
    let (stage, plan_state, python) = (Arc::clone(stage), arm.state.clone(), case.needs.python.clone());
    let code = tokio::task::spawn_blocking(move || {
        stage.code(&state, &plan_state, python.as_deref()).map(|code| (code, state))
    });
    code.await.map_err(|error| error.to_string())?.map_err(|refused| refused.to_string())
}

async fn measure(
    session: &mut Session<'_>,
    guard_cycle: Option<f64>,
    outcome: &mut Outcome,
) -> Result<Measured, String> {
    let start = Instant::now();
    let played = session.play().await;
    outcome.timings.clone = seconds(session.cloning);
    outcome.timings.fork = seconds(session.forking);
    outcome.timings.steps = seconds(start.elapsed().saturating_sub(session.forking + session.cloning));
    if let Err(why) = played {
        let tried = session.journal().ok().and_then(|journal| journal.outbound());
        return Err(tried.map_or_else(|| why.clone(), |tried| format!("{why}; {tried}")));
    }
    let start = Instant::now();
    let measured = measure::probe(session, guard_cycle).await;
    outcome.timings.probes = seconds(start.elapsed());
    measured
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
