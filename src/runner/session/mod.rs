//! One arm while it lives: its processes, wires, clock and connection.

mod cluster;
mod database;
mod fault;
mod hold;
mod job;
mod memory;
mod web;

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
use self::fault::Lasting;
use self::hold::Holds;
use self::memory::Memories;
use self::web::Web;
use super::clock::{Clock, Pace};
use super::core::Core;
use super::event::FaultReport;
use super::server::Server;
use super::stage::{Entry, Stage};
use super::window::Windows;
use crate::actor::{Process, StateCode, Trouble, Zygote};
use crate::case::model::RedisField;
use crate::case::resolve::{ResolvedActor, ResolvedState};
use crate::error::{Context as _, Result};
use crate::probe::journal::Journal;
use crate::probe::ledger::PROBE;
use crate::proxy::{Counters, PostgresProxy, RedisProxy};
use crate::service::keeper::Exit;
use crate::service::redis::{Redis, RedisWants};

/// How long anything of a real cluster may take where the case does not say; a harness limit that only a hang reaches.
const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at what real processes do.
const POLL: Duration = Duration::from_millis(20);

/// The kernel tells of a death at once; this is for a process that only closed its connection.
const EXIT_DEADLINE: Duration = Duration::from_secs(1);

/// What a step gives; the names come after the step's own and a dot.
pub type Readings = Vec<(&'static str, Value)>;

/// What runs in an actor, and the process that it is forked from.
pub type Code = (StateCode, Arc<Zygote>);

/// What stands between an actor and the servers.
struct Wire {
    /// The actor's own folder: its working directory, with the sockets of its servers.
    seat: PathBuf,
    postgres: PostgresProxy,
    redis: Option<RedisProxy>,
}

/// One arm while it lives.
pub struct Session<'s> {
    pub(super) stage: &'s Arc<Stage>,
    server: Arc<Server>,
    codes: &'s Codes,
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
    wires: IndexMap<String, Wire>,
    redis: Option<Arc<Redis>>,
    pub(super) holds: Holds,
    /// Web requests, and who answers them.
    pub(super) web: Web,
    /// Sessions to end: those of the actors.
    sessions: Vec<u32>,
    client: Option<Client>,
    strangers: HashMap<String, Client>,
    /// What was read, by name.
    pub readings: HashMap<String, Value>,
    /// Rows of a table at the end of a window; without one, of the case.
    counted: HashMap<(String, Option<String>), Result<Value, String>>,
    /// What Redis says at the end of a window; without one, of the case.
    said: HashMap<(RedisField, Option<String>), Result<Value, String>>,
    memories: Memories,
    /// The windows so far.
    pub windows: Windows,
    /// When the arm was opened.
    opened: Instant,
    /// Time spent on forking and entering.
    pub forking: Duration,
    /// Time spent on the clone, beyond that of the fork that goes on meanwhile.
    pub cloning: Duration,
    /// Faults so far.
    pub faults: Vec<FaultReport>,
    /// Faults that last until the arm ends.
    lasting: Vec<Lasting>,
    /// Faults that are not undone: what is sent now may never be answered.
    under_way: usize,
    /// How long waits may take whose step does not say, by line.
    pub deadlines: HashMap<usize, Duration>,
    /// How long waits took, by line.
    pub waits: HashMap<usize, Duration>,
    /// Whether something was killed or cut: the ledger is then a bound, not a count.
    pub disturbed: bool,
    /// Whether the server's statistics are gone, as they are after a crash.
    pub statistics_lost: bool,
}

/// The code of a state, and of actors that run another.
pub struct Codes {
    /// The state's.
    pub state: Code,
    /// By actor.
    pub actors: HashMap<String, Code>,
}

impl Codes {
    fn of(&self, actor: &str) -> &Code {
        self.actors.get(actor).unwrap_or(&self.state)
    }
}

impl<'s> Session<'s> {
    /// An arm in which nothing has happened; `index` names it in the run. Makes its folder.
    pub fn new(
        stage: &'s Arc<Stage>,
        server: Arc<Server>,
        codes: &'s Codes,
        state: &'s ResolvedState,
        index: usize,
        (log, core): (PathBuf, Option<Core>),
    ) -> Result<Self> {
        let folder = stage.folder.join(format!("arm-{index}"));
        fs::create_dir_all(&folder).cannot_run(|| format!("make {}", folder.display()))?;
        let is_kept = !is_real(state) && !state.server_faults() && server.postgres.are_backends_here();
        Ok(Self {
            database: server.postgres.database_name(index),
            holds: Holds::create(&folder.join("holds"), state)?,
            stage,
            server,
            codes,
            state,
            folder,
            log,
            core: core.filter(|_| is_kept),
            kept: 0,
            processes: HashMap::new(),
            clusters: Vec::new(),
            wires: IndexMap::new(),
            redis: None,
            web: Web::default(),
            sessions: Vec::new(),
            client: None,
            strangers: HashMap::new(),
            readings: HashMap::new(),
            counted: HashMap::new(),
            said: HashMap::new(),
            memories: Memories::default(),
            windows: Windows::default(),
            opened: Instant::now(),
            forking: Duration::ZERO,
            cloning: Duration::ZERO,
            faults: Vec::new(),
            lasting: Vec::new(),
            under_way: 0,
            deadlines: HashMap::new(),
            waits: HashMap::new(),
            disturbed: false,
            statistics_lost: false,
        })
    }

    /// Makes the arm's clock, Redis, database, probe and connection.
    pub async fn open(&mut self) -> Result<Arc<Clock>, Trouble> {
        let pace = if is_real(self.state) { Pace::Goes } else { Pace::Stands };
        let clock = Arc::new(Clock::create(&self.folder.join("clock"), pace)?);
        if self.state.uses_redis() {
            let said = &self.state.services.redis;
            let wants =
                RedisWants { image: said.image.clone(), maxmemory: said.maxmemory, policy: said.policy.clone() };
            self.redis = Some(Arc::new(self.stage.services.redis(&wants, &self.folder).await?));
        }
        // The server clones while the probe is forked: it connects later.
        let start = Instant::now();
        let (server, template) = (Arc::clone(&self.server), self.codes.state.1.template_key());
        let database = self.database.clone();
        let (cloned, forked) = tokio::join!(server.postgres.clone_template(&template, &database), async {
            self.process(PROBE).await.map(drop)
        });
        self.cloning = start.elapsed().saturating_sub(self.forking);
        cloned?;
        forked?;
        self.reconnect().await?;
        Ok(clock)
    }

    /// Whether its server is the one that arms share.
    pub fn shares_its_server(&self) -> bool {
        Arc::ptr_eq(&self.server, &self.stage.server)
    }

    /// The arm's journal so far.
    pub fn journal(&self) -> Result<Journal, String> {
        Journal::read(&self.folder.join("journal"))
    }

    /// The actor's process, forked when it is first needed.
    pub async fn process(&mut self, actor: &str) -> Result<&mut Process, Trouble> {
        if !self.processes.contains_key(actor) {
            let kind = match self.state.actors.get(actor) {
                Some(ResolvedActor::SimulatedCluster) => ActorKind::SimulatedCluster,
                Some(ResolvedActor::Python { module }) => ActorKind::Python { module: module.clone() },
                Some(ResolvedActor::Web { .. }) => ActorKind::Web,
                // Probe and client: the standard names only.
                _ => ActorKind::Python { module: String::new() },
            };
            let process = self.enter(actor, kind).await?;
            self.processes.insert(actor.to_owned(), process);
        }
        self.processes.get_mut(actor).ok_or_else(|| Trouble::Died(actor.to_owned()))
    }

    async fn enter(&mut self, actor: &str, kind: ActorKind) -> Result<Process, Trouble> {
        let start = Instant::now();
        let (server, database) = (Arc::clone(&self.server), self.database.clone());
        let wire = self.wire_of(actor).await?;
        let seat = wire.seat.clone();
        // The probe goes past its proxy: what it does is nobody's. Not where there is no way past it.
        let is_past = actor == PROBE && server.postgres.folder().is_some();
        let host = if is_past { None } else { Some(wire.postgres.host()) };
        let service = match host {
            Some(host) => server.postgres.service_file(host, &database),
            None => server.postgres.direct_service_file(&database),
        };
        let entry = Entry {
            folder: &self.folder,
            seat: &seat,
            service,
            log: &self.log,
            actor,
            kind,
            holds: self.holds.of(actor),
            holds_file: self.holds.path(),
            server: server.postgres.folder(),
            first: self.processes.get(PROBE).map(|probe| probe.hello.pid),
        };
        let (code, zygote) = self.codes.of(actor);
        let process = self.stage.enter(code, zygote, entry).await?;
        self.sessions.push(process.hello.pid);
        if let Some(core) = self.core {
            core.keep(process.hello.pid);
        }
        self.forking += start.elapsed();
        Ok(process)
    }

    /// What stands between an actor and the servers; made when it is first asked for.
    async fn wire_of(&mut self, actor: &str) -> Result<&Wire, Trouble> {
        if !self.wires.contains_key(actor) {
            let seat = self.folder.join(format!("seat-{}", self.wires.len()));
            let postgres = PostgresProxy::start(self.server.postgres.upstream(), &seat).await?;
            let redis = match &self.redis {
                Some(redis) => {
                    Some(RedisProxy::start(redis.endpoint().clone(), redis.preamble(), &seat.join("redis.sock")).await?)
                }
                None => None,
            };
            self.wires.insert(actor.to_owned(), Wire { seat, postgres, redis });
        }
        self.wires.get(actor).ok_or_else(|| Trouble::Died(actor.to_owned()))
    }

    /// What went over each actor's wire so far; waits until nothing is under way. The probe's is not counted.
    pub async fn wire(&self) -> IndexMap<String, Counters> {
        let mut counters = IndexMap::new();
        for (actor, wire) in self.wires.iter().filter(|(actor, _)| *actor != PROBE) {
            // A real cluster is never quiet for long: what it is about to be answered belongs to the next window.
            let is_quiet = !self.is_running(actor) && self.under_way == 0;
            counters
                .insert(actor.clone(), if is_quiet { wire.postgres.settled().await } else { wire.postgres.counters() });
        }
        counters
    }

    /// Keeps a fault until the arm ends.
    pub(super) fn last(&mut self, lasting: Lasting) {
        self.lasting.push(lasting);
    }

    /// Undoes the faults that last, the last one first.
    pub(super) async fn undo_all(&mut self) -> Result<(), Trouble> {
        while let Some(lasting) = self.lasting.pop() {
            self.undo(lasting).await?;
        }
        Ok(())
    }

    /// Ends every process of the arm. Its database goes while the next arm begins: the server takes 100 ms over one whose
    /// backends have not noticed yet.
    pub async fn end(mut self) -> Result<()> {
        drop(self.client.take());
        self.strangers.clear();
        let mut ended = self.stage.keeper.end_sessions(&self.sessions).await.map(drop);
        ended = ended.and(self.web.end().await);
        if let Some(redis) = self.redis.take().and_then(Arc::into_inner) {
            ended = ended.and(redis.finish().await);
        }
        drop(self.wires);
        self.stage.leave(self.server, self.database).await;
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
