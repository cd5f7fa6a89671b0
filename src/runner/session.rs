//! One arm while it lives: its processes, wires, clock and connection.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress_protocol::{ActorKind, Reply, Request};
use indexmap::IndexMap;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::arm::note;
use super::clock::{Clock, Pace};
use super::core::Core;
use super::stage::{Entry, Stage};
use super::window::Windows;
use crate::actor::{Process, StateCode, Trouble, Zygote};
use crate::case::model::Quantity;
use crate::case::resolve::{ResolvedActor, ResolvedState};
use crate::error::{Context as _, Result};
use crate::probe::ledger::PROBE;
use crate::probe::triggers::{self, Write};
use crate::probe::{rows, server};
use crate::proxy::{Counters, PostgresProxy};
use crate::service::Endpoint;
use crate::service::keeper::Exit;
use crate::service::redis::Redis;

/// What django-q2 logs when a cluster is up, in every release.
const CLUSTER_IS_UP: &str = " running.";

/// How long a real cluster may take to come up or go down; a harness limit that only a hang reaches.
const CLUSTER_DEADLINE: Duration = Duration::from_secs(60);

/// The kernel tells of a death at once; this is for a process that only closed its connection.
const EXIT_DEADLINE: Duration = Duration::from_secs(1);

/// A real cluster: the `qcluster` command in a session of its own.
struct Cluster {
    /// Its name for logs and the ledger: the actor's.
    actor: String,
    pid: u32,
    /// Held open: when it closes, the process would end.
    _process: Process,
}

/// One arm while it lives.
pub struct Session<'s> {
    pub(super) stage: &'s Arc<Stage>,
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
    /// Sessions to end: those of the actors.
    sessions: Vec<u32>,
    redis: Option<Redis>,
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
        (code, zygote): (&'s StateCode, &'s Zygote),
        state: &'s ResolvedState,
        folder: PathBuf,
        index: usize,
        (log, core): (PathBuf, Option<Core>),
    ) -> Self {
        Self {
            stage,
            code,
            zygote,
            state,
            folder,
            database: stage.postgres.database_name(index),
            log,
            core: core.filter(|_| !is_real(state)),
            kept: 0,
            processes: HashMap::new(),
            clusters: Vec::new(),
            wires: IndexMap::new(),
            sessions: Vec::new(),
            redis: None,
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
            self.redis = Some(self.stage.redis(&self.folder).await?);
        }
        // The server clones while the probe is forked: it connects later.
        let start = Instant::now();
        let (stage, template, database) = (self.stage, self.zygote.template_key(), self.database.clone());
        let (cloned, forked) = tokio::join!(stage.postgres.clone_template(&template, &database), async {
            self.process(PROBE).await.map(drop)
        });
        self.cloning = start.elapsed().saturating_sub(self.forking);
        cloned?;
        forked?;
        self.client = Some(self.stage.postgres.client(&self.database).await?);
        Ok(clock)
    }

    /// Installs the triggers that `writers` invariants need; their tables are there by now.
    pub async fn watch_writers(&self) -> Result<(), String> {
        for table in self.written_tables() {
            triggers::install(self.client()?, table).await.map_err(|why| format!("watch who writes {table}: {why}"))?;
        }
        Ok(())
    }

    /// What the triggers recorded of a table.
    pub async fn writes(&self, table: &str) -> Result<Vec<Write>, String> {
        if self.written_tables().contains(&table) {
            triggers::read(self.client()?, table).await
        } else {
            Ok(Vec::new())
        }
    }

    fn written_tables(&self) -> Vec<&str> {
        let wanted = self.state.invariants.values().filter_map(|invariant| match &invariant.of {
            Quantity::Writers { table, .. } => Some(table.as_str()),
            _ => None,
        });
        let mut tables: Vec<&str> = wanted.chain(self.stage.writes_of.as_deref()).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    fn client(&self) -> Result<&Client, String> {
        self.client.as_ref().ok_or_else(|| "the arm's connection is gone".to_owned())
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
        let entry = Entry {
            folder: &self.folder,
            database: &self.database,
            host: host.as_deref(),
            log: &self.log,
            actor,
            kind,
        };
        let process = self.stage.enter(self.code, self.zygote, entry).await?;
        self.sessions.push(process.hello.pid);
        if let Some(core) = self.core {
            core.keep(process.hello.pid);
        }
        self.forking += start.elapsed();
        Ok(process)
    }

    /// Keeps the backends of new connections on the arm's processor.
    pub async fn keep_backends(&mut self) -> Result<(), String> {
        let Some(core) = self.core.filter(|_| self.stage.postgres.are_backends_here()) else { return Ok(()) };
        let connections = self.wires.values().map(|wire| wire.counters().connections).sum();
        if connections > self.kept {
            let statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = $1";
            let rows = self
                .client()?
                .query(statement, &[&self.stage.postgres.app().user])
                .await
                .map_err(|error| rows::message(&error))?;
            for row in rows {
                core.keep(row.get::<_, i32>(0).cast_unsigned());
            }
            self.kept = connections;
        }
        Ok(())
    }

    /// Where an actor connects: to a proxy of its own, the probe to the server itself.
    async fn host(&mut self, actor: &str) -> Result<Option<PathBuf>, Trouble> {
        if actor == PROBE {
            return Ok(None);
        }
        if let Some(wire) = self.wires.get(actor) {
            return Ok(Some(wire.host().to_owned()));
        }
        let Endpoint::Unix(server) = self.stage.postgres.upstream() else {
            return Err(Trouble::Refused("the proxy reaches servers on unix sockets alone".to_owned()));
        };
        let folder = self.folder.join(format!("wire-{}", self.wires.len()));
        let proxy = PostgresProxy::start(&server, &folder).await?;
        self.wires.insert(actor.to_owned(), proxy);
        Ok(Some(folder))
    }

    /// Starts `count` real clusters and waits until each says that it is up.
    pub async fn start_clusters(&mut self, actor: &str, count: u64) -> Result<(), Trouble> {
        for _ in 0..count {
            let seen = self.clusters_up();
            let mut process = self.enter(actor, ActorKind::RealCluster).await?;
            process.ask(&Request::RunCluster).await?;
            let pid = process.hello.pid;
            self.clusters.push(Cluster { actor: actor.to_owned(), pid, _process: process });
            let deadline = Instant::now() + CLUSTER_DEADLINE;
            while self.clusters_up() <= seen {
                if Instant::now() > deadline {
                    return Err(Trouble::Refused(format!("the cluster {actor} did not come up within 60 s")));
                }
                tokio::select! {
                    exit = self.stage.keeper.exited(pid) => {
                        return Err(Trouble::Died(format!("the cluster {actor} ({exit:?})")));
                    }
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        }
        Ok(())
    }

    fn clusters_up(&self) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().matches(CLUSTER_IS_UP).count()
    }

    /// Stops the real clusters of an actor (of all, without one) as an operator does: SIGTERM, and wait.
    pub async fn stop_clusters(&mut self, actor: Option<&str>) -> Result<()> {
        let (stopping, staying) = std::mem::take(&mut self.clusters)
            .into_iter()
            .partition::<Vec<_>, _>(|cluster| actor.is_none_or(|actor| cluster.actor == actor));
        self.clusters = staying;
        for cluster in &stopping {
            self.stage.keeper.signal(cluster.pid, Signal::SIGTERM).await?;
        }
        for cluster in &stopping {
            if tokio::time::timeout(CLUSTER_DEADLINE, self.stage.keeper.exited(cluster.pid)).await.is_err() {
                note(&self.log, &format!("the cluster {} did not stop within 60 s and is killed", cluster.actor));
                self.killed = true;
                self.stage.keeper.end_sessions(&[cluster.pid]).await?;
            }
        }
        Ok(())
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

    /// Runs a statement as the harness, whose role no measurement counts, or as a stranger. The single value that it
    /// returns, or else the number of rows that it touched.
    pub async fn sql(&mut self, actor: Option<&str>, statement: &str) -> Result<Value, Trouble> {
        let refused = |error: tokio_postgres::Error| Trouble::Refused(rows::message(&error));
        if let Some(actor) = actor
            && !self.strangers.contains_key(actor)
            && let Some(ResolvedActor::Stranger { application_name }) = self.state.actors.get(actor)
        {
            let client = self.stage.postgres.client(&self.database).await?;
            let name = application_name.replace('\'', "''");
            client.batch_execute(&format!("SET application_name = '{name}'")).await.map_err(refused)?;
            self.strangers.insert(actor.to_owned(), client);
        }
        let client = match actor {
            Some(actor) => self.strangers.get(actor),
            None => self.client.as_ref(),
        };
        let client = client.ok_or_else(|| Trouble::Died("the connection for sql".to_owned()))?;
        let mut value = Value::Null;
        for message in client.simple_query(statement).await.map_err(refused)? {
            match message {
                SimpleQueryMessage::Row(row) if row.len() == 1 => {
                    let text = row.get(0).unwrap_or_default();
                    return Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
                }
                SimpleQueryMessage::CommandComplete(rows) => value = Value::from(rows),
                _ => {}
            }
        }
        Ok(value)
    }

    /// Counts the tables that an invariant wants at the end of this window (without a name: of the case).
    pub async fn count_rows(&mut self, window: Option<&str>) -> Result<(), String> {
        let wanted = self.state.invariants.values().filter_map(|invariant| match &invariant.of {
            Quantity::Rows { table, during } if during.as_deref() == window => Some((table.clone(), during.clone())),
            _ => None,
        });
        for (table, during) in wanted.collect::<Vec<_>>() {
            let count = rows::count(self.client()?, &table).await;
            self.counted.insert((table, during), count);
        }
        Ok(())
    }

    /// Rows of a table, as counted at the end of a window.
    pub fn rows(&self, table: &str, during: Option<&str>) -> Result<Value, String> {
        let key = (table.to_owned(), during.map(str::to_owned));
        self.counted.get(&key).cloned().unwrap_or_else(|| Err(format!("the rows of {table} were not counted")))
    }

    /// What the server says that the app executed in this arm's database, so far.
    pub async fn executed(&self) -> Result<server::Statistics> {
        let postgres = &self.stage.postgres;
        let client = postgres.statistics_client().await?;
        server::statistics(&client, postgres.oid_of(&self.database).await?, &postgres.app().user).await
    }

    /// Whether an invariant looks at the write-ahead log, which is then read at the ends of every window.
    pub fn wants_wal(&self) -> bool {
        self.state.invariants.values().any(|invariant| matches!(invariant.of, Quantity::WalBytes { .. }))
    }

    /// Ends every process of the arm. Its database goes while the next arm begins: the server takes 100 ms over one whose
    /// backends have not noticed yet.
    pub async fn end(mut self) -> Result<()> {
        drop(self.client.take());
        self.strangers.clear();
        let ended = self.stage.keeper.end_sessions(&self.sessions).await.map(drop);
        let finished = match self.redis {
            Some(redis) => redis.finish().await,
            None => Ok(()),
        };
        self.stage.drop_later(self.database).await;
        ended.and(finished)
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
