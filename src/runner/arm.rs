//! The life of one arm: clone, fork, steps, probes, teardown.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::context::RunContext;
use super::cpu_pin::CpuPin;
use super::deaths::{Deaths, Uses};
use super::event::{Event, Events};
use super::event::{FaultReport, Timings, seconds};
use super::log::explain;
use super::measure::{self, Measured};
use super::session::{Code, Codes, Session};
use crate::actor::StateCode;
use crate::case::{Bound, Case, State};
use crate::deadline;
use crate::error::Context as _;
use crate::plan::Arm;
use crate::probe::arm_log::ArmLog;

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
    /// How long its waits took, by the line of their step.
    pub waits: HashMap<usize, Duration>,
    /// How a server of its own died that the case does not hurt.
    pub lost: Option<String>,
    /// When it began and ended.
    pub span: (Instant, Instant),
}

/// A time that an arm is played.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// Whether a server was lost the time before.
    is_again: bool,
    /// How often the run's servers have died before.
    deaths: Deaths,
}

impl Outcome {
    fn new() -> Self {
        let begin = Instant::now();
        Self {
            measured: Err(String::new()),
            timings: Timings::default(),
            versions: BTreeMap::new(),
            faults: Vec::new(),
            waits: HashMap::new(),
            lost: None,
            span: (begin, begin),
        }
    }
}

/// Runs one arm; `index` names it in the run. What goes wrong inside it is its outcome; it never stops the run. Where a
/// server dies that the case does not hurt, the arm is played again.
pub async fn run(
    context: &Arc<RunContext>,
    case: &Case,
    arm: &Arm,
    index: usize,
    (log, pin): (&ArmLog, Option<CpuPin>),
    events: &Events,
) -> Outcome {
    let (mut is_again, mut has_lost) = (false, false);
    let uses = Uses { postgres: true, redis: arm.resolved.uses_redis() };
    let mut outcome = loop {
        let deaths = context.up().await;
        let mut outcome = Outcome::new();
        let attempt = Attempt { is_again, deaths };
        outcome.measured = live(context, case, arm, (index, attempt), ((log, pin), events), &mut outcome).await;
        is_again = true;
        if let (Err(_), Some(how), false) = (&outcome.measured, &outcome.lost, has_lost) {
            // A server of the arm's own. If it dies twice, that is what there is to say of the arm.
            has_lost = true;
            let told = format!("{how}. {}, {} is played again", case.name, arm.label());
            let _ = events.send(Event::Hurt(told));
            log.note(&format!("-- played again: {how}"));
        } else if let (Err(_), None) = (&outcome.measured, &outcome.lost)
            && let Some(how) = context.has_died(deaths, uses).await
        {
            log.note(&format!("-- played again: {how}"));
        } else {
            break outcome;
        }
    };
    // Where it broke before its waits, nobody may wait for it.
    context.references.tell(case, arm, std::mem::take(&mut outcome.waits));
    if let Err(why) = &outcome.measured {
        log.note(&format!("inconclusive: {why}"));
    }
    outcome.span.1 = Instant::now();
    outcome
}

async fn live(
    context: &Arc<RunContext>,
    case: &Case,
    arm: &Arm,
    (index, attempt): (usize, Attempt),
    ((log, pin), events): ((&ArmLog, Option<CpuPin>), &Events),
    outcome: &mut Outcome,
) -> Result<Measured, String> {
    let state = &*arm.resolved;
    let code = code(context, case, arm, Arc::clone(&arm.resolved)).await?;
    let zygote = context.tree.zygote(&code).await.map_err(|trouble| explain(log, "set up the app", &trouble))?;
    context.adds_up(&code, &zygote).await.map_err(|trouble| trouble.to_string())?;
    outcome.versions.clone_from(&zygote.prepared.versions);
    for sentence in &zygote.prepared.changed {
        log.note(&format!("-- {sentence}"));
    }
    let server = context.server_for(state).await.map_err(|error| error.message)?;
    let is_shared = Arc::ptr_eq(&server, &context.server);
    if is_shared && attempt.is_again {
        // Of the attempt before: it may be there still.
        let database = server.postgres.database_name(index);
        server.postgres.drop_database(&database).await.map_err(|error| error.message)?;
    }
    context
        .template(&server, &code, &zygote, events)
        .await
        .map_err(|trouble| explain(log, "migrate the template", &trouble))?;

    let guard_cycle = zygote.prepared.guard_cycle;
    let actors = actor_codes(context, case, arm, state, log).await?;
    let codes = Codes { state: (code, zygote), actors };
    let mut session =
        Session::new(context, server, &codes, state, index, (log.clone(), pin)).map_err(|error| error.message)?;
    match context.references.deadlines(case, arm).await {
        Ok(deadlines) => session.deadlines = deadlines,
        Err(why) => {
            // Nothing of it has begun.
            session.end().await.map_err(|error| error.message)?;
            return Err(why);
        }
    }
    let control = case.control.as_ref().map(|control| &control.bounds);
    let mut losses = session.servers.losses();
    let mut measured = tokio::select! {
        measured = measure(&mut session, guard_cycle, control, outcome) => measured,
        // The arm need not wait for what will not come.
        Some(how) = losses.recv() => {
            outcome.lost = Some(how.clone());
            Err(how)
        }
        how = context.died(attempt.deaths, Uses { postgres: is_shared, redis: state.uses_redis() }) => Err(how),
    };
    if measured.is_err() && outcome.lost.is_none() {
        outcome.lost = session.servers.lost(&session.web, &mut losses).await;
        measured = measured.map_err(|why| outcome.lost.clone().unwrap_or(why));
    }
    outcome.waits = std::mem::take(&mut session.record.waits);
    outcome.faults = std::mem::take(&mut session.record.faults);

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
    context: &Arc<RunContext>,
    case: &Case,
    arm: &Arm,
    state: &State,
    log: &ArmLog,
) -> Result<HashMap<String, Code>, String> {
    let mut codes = HashMap::new();
    for actor in state.actor_changes.keys() {
        let Some(changed) = state.changed_for(actor) else { continue };
        let code = code(context, case, arm, Arc::new(changed)).await?;
        let doing = || format!("set up the app for {actor}");
        let zygote = context.tree.zygote(&code).await.map_err(|trouble| explain(log, &doing(), &trouble))?;
        codes.insert(actor.clone(), (code, zygote));
    }
    Ok(codes)
}

/// The code of a state, found or made beside the runtime.
async fn code(context: &Arc<RunContext>, case: &Case, arm: &Arm, state: Arc<State>) -> Result<StateCode, String> {
    let (source, case, plan_state) = (Arc::clone(&context.code), case.clone(), arm.state.clone());
    let code = tokio::task::spawn_blocking(move || source.code(&case, &state, &plan_state));
    code.await.map_err(|error| error.to_string())?.map_err(|refused| refused.to_string())
}

async fn measure(
    session: &mut Session<'_>,
    guard_cycle: Option<f64>,
    control: Option<&IndexMap<String, Bound>>,
    outcome: &mut Outcome,
) -> Result<Measured, String> {
    let start = Instant::now();
    let played = session.play().await;
    outcome.timings.clone = seconds(session.record.cloning);
    outcome.timings.fork = seconds(session.actors.forking);
    outcome.timings.steps = seconds(start.elapsed().saturating_sub(session.actors.forking + session.record.cloning));
    if let Err(why) = played {
        let tried = session.journal().ok().and_then(|journal| journal.outbound());
        return Err(tried.map_or_else(|| why.clone(), |tried| format!("{why}; {tried}")));
    }
    let start = Instant::now();
    let measured = deadline::answer("look at what was measured", measure::probe(session, guard_cycle, control)).await;
    outcome.timings.probes = seconds(start.elapsed());
    measured
}
