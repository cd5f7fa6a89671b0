//! One arm while it lives: its actors, its servers, its web, and what is on record of it.
//!
//! `actors`, `servers`, `web`, `holds`, `lasting` and `record` are what it has; the other files are what steps do with it.

mod actor;
mod actors;
mod cluster;
mod fault;
mod holds;
mod job;
mod lasting;
mod limits;
mod lives;
mod losses;
mod record;
mod requests;
mod sample;
mod servers;
mod web;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress_protocol::clock::Pace;
use indexmap::IndexMap;

use self::actors::Actors;
use self::holds::Holds;
use self::lasting::Lasting;
use self::record::Record;
use self::servers::Servers;
use self::web::Web;
use super::context::{CLOCK, RunContext};
use super::cpu_pin::CpuPin;
use super::template_server::TemplateServer;
use super::time::Time;
use crate::actor::StepError;
use crate::case::{Actor, State, word};
use crate::error::{Context as _, Result};
use crate::probe::arm_log::ArmLog;
use crate::probe::journal::Journal;
use crate::probe::ledger::PROBE;
use crate::probe::log;
use crate::proxy::Counters;
use crate::service::redis::RedisWants;

pub use self::actors::{Code, Codes};
pub use self::limits::Readings;

/// One arm while it lives.
pub struct Session<'s> {
    pub(super) context: &'s Arc<RunContext>,
    pub(super) state: &'s State,
    /// The arm's private folder.
    pub folder: PathBuf,
    pub(super) log: ArmLog,
    pub(super) actors: Actors<'s>,
    pub(super) servers: Servers,
    pub(super) time: Time,
    /// Web requests, and who answers them.
    pub(super) web: Web,
    /// What is on record.
    pub(super) record: Record,
    /// Faults that last until the arm ends.
    lasting: Vec<Lasting>,
    /// Faults that are not undone: what is sent now may never be answered.
    under_way: usize,
    /// How long waits may take whose step does not say, by line.
    pub deadlines: HashMap<usize, Duration>,
}

impl<'s> Session<'s> {
    /// An arm in which nothing has happened; `index` names it in the run. Makes its folder.
    pub fn new(
        context: &'s Arc<RunContext>,
        server: Arc<TemplateServer>,
        codes: &'s Codes,
        state: &'s State,
        index: usize,
        (log, pin): (ArmLog, Option<CpuPin>),
    ) -> Result<Self> {
        let folder = context.folder.join(format!("arm-{index}"));
        fs::create_dir_all(&folder).cannot_run(|| format!("make {}", folder.display()))?;
        let is_kept = !is_real(state) && !state.server_faults() && server.postgres.are_backends_here();
        let holds = Holds::create(&folder.join("holds"), state)?;
        let is_shared = Arc::ptr_eq(&server, &context.server);
        let pace = if is_real(state) { Pace::Goes } else { Pace::Stands };
        let clock = Arc::new(context.clocks.clock(pace, state.clock.time())?);
        clock.link(&folder.join(CLOCK))?;
        let servers = Servers::new(server, is_shared, index, &clock);
        Ok(Self {
            context,
            state,
            folder,
            log,
            actors: Actors::new(codes, holds, pin.filter(|_| is_kept)),
            time: Time::new(clock, servers.asked_others.clone()),
            servers,
            web: Web::default(),
            record: Record::new(),
            lasting: Vec::new(),
            under_way: 0,
            deadlines: HashMap::new(),
        })
    }

    /// Makes the arm's Redis, database, probe and connection.
    pub async fn open(&mut self) -> Result<(), StepError> {
        if self.state.uses_redis() || self.actors.codes.any_uses_redis() {
            let said = &self.state.services.redis;
            let wants = RedisWants {
                image: said.image.clone(),
                maxmemory: said.maxmemory,
                policy: said.policy.map(word),
                clock: Some(Arc::clone(self.time.clock())),
            };
            let redis = Arc::new(self.context.services.redis(&wants, &self.folder).await?);
            self.time.moves(&redis);
            self.servers.redis = Some(redis);
        }
        self.servers.watch(self.state);
        // The server clones while the probe is forked: it connects later.
        let start = Instant::now();
        let (server, template) = (Arc::clone(&self.servers.server), self.actors.codes.state.1.template_key());
        let database = self.servers.database.clone();
        let (cloned, forked) = tokio::join!(server.postgres.clone_template(&template, &database), async {
            self.process(PROBE).await.map(drop)
        });
        self.record.cloning = start.elapsed().saturating_sub(self.actors.forking);
        cloned?;
        forked?;
        self.servers.reconnect().await?;
        Ok(())
    }

    /// What went over each actor's wire so far.
    pub async fn traffic(&self) -> IndexMap<String, Counters> {
        self.actors.traffic(self.under_way > 0).await
    }

    /// The arm's journal so far.
    pub fn journal(&self) -> Result<Journal, String> {
        Journal::read(&self.folder.join("journal"))
    }

    /// Ends every process of the arm. Its database goes while the next arm begins: the server takes 100 ms over one whose
    /// backends have not noticed yet.
    pub async fn end(mut self) -> Result<()> {
        self.servers.disconnect().await;
        let mut ended = self.context.supervisor.end_sessions(&self.actors.sessions).await.map(drop);
        ended = ended.and(self.web.end().await);
        if let Some(redis) = self.servers.redis.take().and_then(Arc::into_inner) {
            ended = ended.and(redis.finish().await);
        }
        drop(self.actors.wires);
        self.context.leave(self.servers.server, self.servers.database).await;
        ended
    }

    /// That somebody died, with what the arm's log says last.
    pub(super) fn died(&self, who: String) -> StepError {
        match log::last_line(self.log.path()) {
            Some(line) => StepError::Ended(who, line),
            None => StepError::Died(who),
        }
    }
}

/// Whether an arm has real clusters, which need real time and more than one processor.
fn is_real(state: &State) -> bool {
    state.actors.values().any(|actor| matches!(actor, Actor::RealCluster { .. }))
}
