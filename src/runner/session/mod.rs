//! One arm while it lives: its processes, wires, clock and connection.

mod cluster;
mod database;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress_protocol::{ActorKind, Reply, Request};
use indexmap::IndexMap;
use serde_json::Value;
use tokio_postgres::Client;

use self::cluster::Cluster;
use super::clock::{Clock, Pace};
use super::core::Core;
use super::server::Server;
use super::stage::{Entry, Stage};
use super::window::Windows;
use crate::actor::{Process, StateCode, Trouble, Zygote};
use crate::case::resolve::{ResolvedActor, ResolvedState};
use crate::error::{Context as _, Result};
use crate::probe::ledger::PROBE;
use crate::proxy::{Counters, PostgresProxy};
use crate::service::keeper::Exit;
use crate::service::postgres::PORT;

/// The kernel tells of a death at once; this is for a process that only closed its connection.
const EXIT_DEADLINE: Duration = Duration::from_secs(1);

/// One arm while it lives.
pub struct Session<'s> {
    pub(super) stage: &'s Arc<Stage>,
    server: Arc<Server>,
    code: &'s StateCode,
    zygote: &'s Zygote,
    pub(super) state: &'s ResolvedState,
    /// The arm's private folder.
    pub folder: PathBuf,
    database: String,
    pub(super) log: PathBuf,
    /// The processor that the arm is kept on.
    core: Option<Core>,
    /// How many of its connections are kept there already.
    kept: u64,
    processes: HashMap<String, Process>,
    clusters: Vec<Cluster>,
    /// What stands between each actor and the server; the probe needs none.
    wires: IndexMap<String, PostgresProxy>,
    /// Sessions to end: actors and the arm's Redis.
    sessions: Vec<u32>,
    client: Option<Client>,
    strangers: HashMap<String, Client>,
    /// What was read, by name.
    pub readings: HashMap<String, Value>,
    /// Rows of a table at the end of a window; without one, of the case.
    counted: HashMap<(String, Option<String>), Result<Value, String>>,
    /// The windows so far.
    pub windows: Windows,
    /// Time spent on forking and entering.
    pub forking: Duration,
    /// Time spent on the clone, beyond that of the fork that goes on meanwhile.
    pub cloning: Duration,
    /// Whether a process had to be killed: the ledger is then a bound, not a count.
    pub killed: bool,
}

impl<'s> Session<'s> {
    /// An arm in which nothing has happened; `index` names it in the run.
    pub fn new(
        stage: &'s Arc<Stage>,
        server: Arc<Server>,
        (code, zygote): (&'s StateCode, &'s Zygote),
        state: &'s ResolvedState,
        folder: PathBuf,
        index: usize,
        (log, core): (PathBuf, Option<Core>),
    ) -> Self {
        Self {
            stage,
            server,
            code,
            zygote,
            state,
            folder,
            database: format!("arm_{index}"),
            log,
            core: core.filter(|_| !is_real(state)),
            kept: 0,
            processes: HashMap::new(),
            clusters: Vec::new(),
            wires: IndexMap::new(),
            sessions: Vec::new(),
            client: None,
            strangers: HashMap::new(),
            readings: HashMap::new(),
            counted: HashMap::new(),
            windows: Windows::default(),
            forking: Duration::ZERO,
            cloning: Duration::ZERO,
            killed: false,
        }
    }

    /// Makes the arm's folder, clock, Redis, database, probe and connection.
    pub async fn open(&mut self) -> Result<Clock, Trouble> {
        fs::create_dir_all(&self.folder).cannot_run(|| format!("make {}", self.folder.display()))?;
        let pace = if is_real(self.state) { Pace::Goes } else { Pace::Stands };
        let clock = Clock::create(&self.folder.join("clock"), pace)?;
        if self.state.uses_redis() {
            let redis = self.stage.redis(&self.folder).await?;
            self.sessions.push(redis.pid());
        }
        // The server clones while the probe is forked: it connects later.
        let start = Instant::now();
        let (server, template, database) =
            (Arc::clone(&self.server), self.zygote.template_key(), self.database.clone());
        let (cloned, forked) = tokio::join!(server.postgres.clone_template(&template, &database), async {
            self.process(PROBE).await.map(drop)
        });
        self.cloning = start.elapsed().saturating_sub(self.forking);
        cloned?;
        forked?;
        self.client = Some(self.server.postgres.client(&self.database).await?);
        Ok(clock)
    }

    /// The actor's process, forked when it is first needed.
    pub async fn process(&mut self, actor: &str) -> Result<&mut Process, Trouble> {
        if !self.processes.contains_key(actor) {
            let kind = match self.state.actors.get(actor) {
                Some(ResolvedActor::SimulatedCluster) => ActorKind::SimulatedCluster,
                Some(ResolvedActor::Python { module }) => ActorKind::Python { module: module.clone() },
                // The probe: it reads with the standard names only.
                _ => ActorKind::Python { module: String::new() },
            };
            let process = self.enter(actor, kind).await?;
            self.processes.insert(actor.to_owned(), process);
        }
        self.processes.get_mut(actor).ok_or_else(|| Trouble::Died(actor.to_owned()))
    }

    async fn enter(&mut self, actor: &str, kind: ActorKind) -> Result<Process, Trouble> {
        let start = Instant::now();
        let host = self.host(actor).await?;
        let entry = Entry { folder: &self.folder, database: &self.database, host: &host, log: &self.log, actor, kind };
        let process = self.stage.enter(self.code, self.zygote, entry).await?;
        self.sessions.push(process.hello.pid);
        if let Some(core) = self.core {
            core.keep(process.hello.pid);
        }
        self.forking += start.elapsed();
        Ok(process)
    }

    /// Where an actor connects: to a proxy of its own, the probe to the server itself.
    async fn host(&mut self, actor: &str) -> Result<PathBuf, Trouble> {
        let server = self.server.postgres.socket_directory();
        if actor == PROBE {
            return Ok(server.to_owned());
        }
        if let Some(wire) = self.wires.get(actor) {
            return Ok(wire.host().to_owned());
        }
        let folder = self.folder.join(format!("wire-{}", self.wires.len()));
        let proxy = PostgresProxy::start(&server.join(format!(".s.PGSQL.{PORT}")), &folder).await?;
        self.wires.insert(actor.to_owned(), proxy);
        Ok(folder)
    }

    /// What went over each actor's wire so far; waits until nothing is under way.
    pub async fn wire(&self) -> IndexMap<String, Counters> {
        let mut counters = IndexMap::new();
        for (actor, wire) in &self.wires {
            // A real cluster is never quiet for long: what it is about to be answered belongs to the next window.
            let is_real = self.clusters.iter().any(|cluster| &cluster.actor == actor);
            counters.insert(actor.clone(), if is_real { wire.counters() } else { wire.settled().await });
        }
        counters
    }

    /// Ends every process of the arm. Its database goes while the next arm begins: the server takes 100 ms over one whose
    /// backends have not noticed yet.
    pub async fn end(mut self) -> Result<()> {
        drop(self.client.take());
        self.strangers.clear();
        let ended = self.stage.keeper.end_sessions(&self.sessions).await.map(drop);
        self.stage.drop_later(self.server, self.database).await;
        ended
    }

    /// Asks an actor for a step. One that died says how.
    pub async fn ask(&mut self, actor: &str, request: &Request) -> Result<Reply, Trouble> {
        let process = self.process(actor).await?;
        let pid = process.hello.pid;
        let answer = process.ask(request).await;
        if let Err(Trouble::Died(_)) = answer {
            let exit = tokio::time::timeout(EXIT_DEADLINE, self.stage.keeper.exited(pid)).await;
            let how = match exit {
                Ok(Ok(Exit::Code(code))) => format!(" (exit code {code})"),
                Ok(Ok(Exit::Signal(signal))) => format!(" (signal {signal})"),
                _ => String::new(),
            };
            return Err(Trouble::Died(format!("the actor {actor}{how}")));
        }
        answer
    }
}

/// Whether an arm has real clusters, which need real time and more than one processor.
fn is_real(state: &ResolvedState) -> bool {
    state.actors.values().any(|actor| matches!(actor, ResolvedActor::RealCluster { .. }))
}
