//! Runs arms on lanes and says what happens as events.

mod alone;
mod arm;
mod browser;
mod case_report;
mod code;
mod context;
mod cpu_pin;
mod deaths;
mod event;
mod instead;
mod lane;
mod life;
mod log;
mod measure;
mod options;
mod ready;
mod reference;
mod session;
mod shared_redis;
mod step;
mod template;
mod template_server;
mod time;
mod vitals;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

pub use code::Commits;
pub use event::{
    ArmReport, CaseReport, EditReport, Event, Events, FixReport, GrowthReport, InvariantReport, RunReport, Setting,
    SharedTimings, Timings,
};
pub use options::Options;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::case_report::Played;
use self::code::CodeSource;
use self::context::RunContext;
use self::cpu_pin::CpuPin;
use self::event::seconds;
use self::lane::Lane;
use self::ready::{prepare, skips};
use self::reference::References;
use self::shared_redis::SharedRedis;
use self::template_server::TemplateServer;
use crate::actor::{Folders, Tree, Worlds, worker};
use crate::cache::Cache;
use crate::case::Case;
use crate::error::{Context as _, Error, Result};
use crate::plan::{self, Arm, States};
use crate::python::Environments;
use crate::service::postgres::{Postgres, PostgresWants};
use crate::service::run_directory::RunDirectory;
use crate::service::supervisor::Supervisor;
use crate::service::{self, ServiceChoice, Services};

/// A run whose processes are below a supervisor.
pub struct Run {
    run_directory: Arc<RunDirectory>,
    supervisor: Supervisor,
    cache: Cache,
    began: Instant,
}

impl Run {
    /// Makes the run's private folder and its supervisor.
    pub async fn open(cache: Cache) -> Result<Self> {
        let began = Instant::now();
        let run_directory = Arc::new(RunDirectory::create()?);
        service::adopt_orphans();
        let supervisor = Supervisor::start(&run_directory).await?;
        Ok(Self { run_directory, supervisor, cache, began })
    }

    /// Runs the cases. Dropping the future leaves the processes to [`Run::close`].
    pub async fn play(
        &self,
        cases: Arc<Vec<Case>>,
        environments: Arc<Environments>,
        options: &Options,
        events: &Events,
    ) -> Result<()> {
        let folder = self.run_directory.path().to_owned();
        let trial = folder.clone();
        let worlds = tokio::task::spawn_blocking(move || Worlds::find(&trial)).await;
        let worlds = worlds.cannot_run(|| "find out which namespaces can be had".to_owned())??;
        let folders = Folders {
            run: folder.clone(),
            logs: options.logs.clone(),
            code: self.cache.root().to_owned(),
            worker: worker::package(&self.cache)?,
        };
        let clocks = Arc::clone(self.run_directory.clocks());
        let tree = Tree::new(self.supervisor.clone(), worlds, folders, Arc::clone(&clocks))?;
        let (project, commits) = (options.project.clone(), options.commits.clone());
        let code = Arc::new(CodeSource::new(self.cache.clone(), environments, project, commits)?);
        let prepared = async {
            let ready = prepare(&cases, &code, options).await?;
            // Importing Django takes longer than starting Postgres: both at once. An environment that
            // does not start is found again, and told, by the arms that need it.
            if let Some(first) = ready.environments.first() {
                let _ = tree.warm(first, &BTreeMap::new()).await;
            }
            Ok(ready)
        };
        let (ready, (services, postgres, started)) = tokio::try_join!(prepared, self.services(&options.services))?;
        let redis = if ready.uses_redis() { Some(services.redis_version().await?) } else { None };
        let _ = events.send(Event::Ready(Setting {
            postgres: format!("PostgreSQL {}", postgres.version()),
            redis,
            services: services.describe(),
            notes: services
                .notes()
                .into_iter()
                .map(|note| format!("{}: {note}", services.place()))
                .chain(tree.weaker())
                .chain(code.notes())
                .collect(),
            python: ready.pythons(),
            lanes: options.lanes,
        }));
        let shared_redis = services.given_redis().filter(|_| ready.uses_redis()).map(SharedRedis::new);
        let took = ready.took;
        let skipped = skips(&cases, ready, &services, &postgres).await;
        let arms = select(&cases, options.states, &skipped);
        let server = Arc::new(TemplateServer::new(postgres));
        let context = Arc::new(RunContext::new(
            code,
            services,
            self.supervisor.clone(),
            (Arc::clone(&server), shared_redis),
            (tree, clocks),
            folder,
            options.writes_of.clone(),
            References::new(&cases, &arms),
        ));
        let mut report = tokio::select! {
            report = lanes(&cases, arms, &context, &skipped, options, events) => report?,
            lost = server.watch_over(events) => return Err(lost),
            Some(lost) = watch_over(context.redis.as_ref(), events) => return Err(lost),
        };
        report.shared = SharedTimings {
            environments: took,
            services: started,
            zygotes: seconds(context.tree.spent()),
            templates: seconds(server.template_time()),
        };
        context.settle().await?;
        let services = Arc::into_inner(context).map(|context| context.services);
        if let Some(server) = Arc::into_inner(server) {
            server.postgres.finish().await?;
        }
        if let Some(services) = services {
            services.finish().await?;
        }
        report.wall = seconds(self.began.elapsed());
        let _ = events.send(Event::Finished(report));
        Ok(())
    }

    /// Resolves when the run is hurt so that it cannot go on, with the reason; `logs` is where it writes what it finds.
    pub async fn failed(&self, logs: &Path) -> Error {
        vitals::failed(&self.supervisor, &self.run_directory, logs).await
    }

    /// Ends every process of the run and removes its folder.
    pub async fn close(self) -> Result<()> {
        service::end_run(&self.supervisor, &self.run_directory).await
    }

    async fn services(&self, choice: &ServiceChoice) -> Result<(Services, Postgres, f64)> {
        let start = Instant::now();
        let services = Services::choose(choice, &self.supervisor, &self.run_directory, &self.cache).await?;
        let postgres = services.postgres(&PostgresWants::default()).await?;
        Ok((services, postgres, seconds(start.elapsed())))
    }
}

/// Watches over a Redis of somebody else, if there is one; resolves with the end of the run.
async fn watch_over(redis: Option<&SharedRedis>, events: &Events) -> Option<Error> {
    Some(redis?.watch_over(events).await)
}

/// The arms to play. Those that others are held against come first in their case.
fn select(cases: &[Case], states: States, skipped: &BTreeMap<usize, String>) -> Arc<[Arm]> {
    let mut arms: Vec<Arm> =
        plan::arms(cases, states).into_iter().filter(|arm| !skipped.contains_key(&arm.case)).collect();
    arms.sort_by_key(|arm| (arm.case, !reference::is_reference(&cases[arm.case], arm)));
    arms.into()
}

async fn lanes(
    cases: &Arc<Vec<Case>>,
    arms: Arc<[Arm]>,
    context: &Arc<RunContext>,
    skipped: &BTreeMap<usize, String>,
    options: &Options,
    events: &Events,
) -> Result<RunReport> {
    let next_arm = Arc::new(AtomicUsize::new(0));
    let (finished, mut played_arms) = mpsc::channel(options.lanes);
    let mut lanes = JoinSet::new();
    for number in 0..options.lanes {
        let lane = Lane {
            pin: CpuPin::of_lane(number),
            cases: Arc::clone(cases),
            arms: arms.clone(),
            next: Arc::clone(&next_arm),
            context: Arc::clone(context),
            logs: options.logs.clone(),
            events: events.clone(),
        };
        lanes.spawn(lane.run(finished.clone()));
    }
    drop(finished);
    let mut played: Vec<Option<Played>> = arms.iter().map(|_| None).collect();
    let mut report = RunReport::default();
    let mut next = 0;
    finish_cases(cases, &arms, &mut played, (skipped, options.states), &mut next, &mut report, events);
    while let Some((index, outcome)) = played_arms.recv().await {
        played[index] = Some(outcome);
        finish_cases(cases, &arms, &mut played, (skipped, options.states), &mut next, &mut report, events);
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(|error| Error::bug(format!("an arm panicked: {error}")))?;
    }
    Ok(report)
}

/// Reports the cases, in their order, whose arms have all been played.
fn finish_cases(
    cases: &[Case],
    arms: &[Arm],
    played: &mut [Option<Played>],
    (skipped, states): (&BTreeMap<usize, String>, States),
    next: &mut usize,
    report: &mut RunReport,
    events: &Events,
) {
    while let Some(case) = cases.get(*next) {
        let own: Vec<usize> = (0..arms.len()).filter(|&index| arms[index].case == *next).collect();
        if own.is_empty() && !skipped.contains_key(next) {
            // `--state edits`, and a case that names none.
            *next += 1;
            continue;
        }
        if own.iter().any(|&index| played[index].is_none()) {
            return;
        }
        let case_report = match skipped.get(next) {
            Some(reason) => case_report::skipped(case, reason.clone()),
            None => {
                case_report::case((*next, case), own.iter().filter_map(|&index| played[index].take()).collect(), states)
            }
        };
        report.count(&case_report);
        let _ = events.send(Event::CaseFinished(Box::new(case_report)));
        *next += 1;
    }
}
