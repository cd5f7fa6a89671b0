//! Playing the steps of a case on one arm.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dj_regress_protocol::{ActorKind, Reply, Request, Stepped};
use indexmap::IndexMap;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::arm::{explain, note};
use super::clock::{Clock, Pace, monotonic};
use super::stage::{Entry, Stage};
use super::window::{Window, Windows};
use crate::actor::{Process, StateCode, Trouble, Zygote};
use crate::case::model::{ActorSpec, Quantity};
use crate::case::resolve::{Action, ResolvedState, Step};
use crate::error::{Context as _, Result};
use crate::probe::ledger::PROBE;
use crate::probe::{rows, server};
use crate::proxy::{Counters, PostgresProxy};
use crate::service::postgres::{APP, PORT};

/// Virtual time between the death of a simulated cluster and the next one: longer than the 3 s that
/// a cluster's stat lives (django-q2's `Stat.save`).
const DOWNTIME: Duration = Duration::from_secs(4);

/// Tasks that a single `drain` may run: a task that enqueues itself must not hold the arm.
const DRAIN_AT_MOST: u64 = 100_000;

/// One arm while it lives.
pub struct Session<'s> {
    stage: &'s Stage,
    code: &'s StateCode,
    zygote: &'s Zygote,
    actors: &'s IndexMap<String, ActorSpec>,
    /// The arm's private folder.
    pub folder: PathBuf,
    database: String,
    log: PathBuf,
    processes: HashMap<String, Process>,
    /// What stands between each actor and the server; the probe needs none.
    wires: IndexMap<String, PostgresProxy>,
    /// Sessions to end: actors and the arm's Redis.
    sessions: Vec<u32>,
    client: Option<Client>,
    /// What was read, by name.
    pub readings: HashMap<String, Value>,
    /// Rows of a table at the end of a window; without one, of the case.
    counted: HashMap<(String, Option<String>), Result<Value, String>>,
    windows: Windows,
    /// Time spent on forking and entering.
    pub forking: Duration,
}

impl<'s> Session<'s> {
    /// An arm whose database is there and in which nothing has happened.
    pub fn new(
        stage: &'s Stage,
        code: &'s StateCode,
        zygote: &'s Zygote,
        actors: &'s IndexMap<String, ActorSpec>,
        folder: PathBuf,
        database: String,
        log: PathBuf,
    ) -> Self {
        Self {
            stage,
            code,
            zygote,
            actors,
            folder,
            database,
            log,
            processes: HashMap::new(),
            wires: IndexMap::new(),
            sessions: Vec::new(),
            client: None,
            readings: HashMap::new(),
            counted: HashMap::new(),
            windows: Windows::default(),
            forking: Duration::ZERO,
        }
    }

    /// Plays all steps. A step that fails makes the arm inconclusive; the error is the sentence for it.
    pub async fn play(&mut self, state: &ResolvedState) -> Result<Windows, String> {
        let clock = self.open(state).await.map_err(|error| error.message)?;
        self.ask(PROBE, &Request::CreateCacheTables)
            .await
            .map_err(|trouble| explain(&self.log, "create the cache tables", &trouble))?;
        let mut whole = Window { begin: monotonic(), ..Window::default() };
        for step in &state.steps {
            let part = Box::pin(self.step(step, state, &clock)).await?;
            whole.add(&part);
        }
        whole.end = monotonic();
        self.windows.whole = whole;
        self.count_rows(state, None).await?;
        Ok(std::mem::take(&mut self.windows))
    }

    async fn open(&mut self, state: &ResolvedState) -> Result<Clock> {
        fs::create_dir_all(&self.folder).cannot_run(|| format!("make {}", self.folder.display()))?;
        let clock = Clock::create(&self.folder.join("clock"), Pace::Stands)?;
        if state.uses_redis() {
            let redis = self.stage.redis(&self.folder).await?;
            self.sessions.push(redis.pid());
        }
        self.client = Some(self.stage.postgres.client(&self.database).await?);
        Ok(clock)
    }

    async fn step(&mut self, step: &Step, state: &ResolvedState, clock: &Clock) -> Result<Window, String> {
        let mut window = Window { begin: monotonic(), ..Window::default() };
        match &step.action {
            Action::Measure { steps } => {
                for step in steps {
                    let part = Box::pin(self.step(step, state, clock)).await?;
                    window.add(&part);
                }
            }
            action => {
                note(&self.log, &format!("-- line {}: {}", step.line, action));
                let stepped = self
                    .act(step, action, clock)
                    .await
                    .map_err(|trouble| explain(&self.log, &format!("line {}: {}", step.line, action), &trouble))?;
                window.add(&Window {
                    beats: stepped.beats,
                    tasks: stepped.tasks,
                    restarts: stepped.restarts,
                    ..Window::default()
                });
                for (name, value) in stepped.values {
                    note(&self.log, &format!("   {name} = {value}"));
                    self.readings.insert(name, value);
                }
            }
        }
        window.end = monotonic();
        if let Some(name) = &step.name {
            self.windows.named.insert(name.clone(), window);
            self.count_rows(state, Some(name)).await?;
        }
        Ok(window)
    }

    async fn act(&mut self, step: &Step, action: &Action, clock: &Clock) -> Result<Stepped, Trouble> {
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        match action {
            Action::Start { actor } => match self.actors.get(actor) {
                Some(ActorSpec::SimulatedCluster) => self.stepped(actor, &Request::Start).await,
                // A Python actor has nothing to start but itself.
                _ => self.process(actor).await.map(|_| Stepped::default()),
            },
            Action::Restart { actor, count } => {
                self.stepped(actor, &Request::Restart { count: *count, downtime_ns: nanoseconds(DOWNTIME) }).await
            }
            Action::Beat { actor, count, every } => {
                self.stepped(actor, &Request::Beat { count: *count, every_ns: nanoseconds(every.unwrap_or_default()) })
                    .await
            }
            Action::Drain { actor } => self.stepped(actor, &Request::Drain { at_most: DRAIN_AT_MOST }).await,
            Action::Python { actor, source, times } => {
                self.stepped(actor, &Request::Python { source: source.clone(), times: *times }).await
            }
            Action::Read { readings } => {
                let readings = readings.iter().map(|(name, source)| (name.clone(), source.clone())).collect();
                self.stepped(PROBE, &Request::Read(readings)).await
            }
            Action::Stop { .. } | Action::MeasureFor { .. } | Action::Sql { actor: Some(_), .. } => {
                Err(Trouble::Refused("not played yet".to_owned()))
            }
            Action::Sql { actor: None, statement } => {
                let value = self.sql(statement).await?;
                Ok(Stepped {
                    values: step.name.iter().map(|name| (name.clone(), value.clone())).collect(),
                    ..Stepped::default()
                })
            }
            Action::Advance { by } => {
                clock.advance(*by);
                Ok(Stepped::default())
            }
            Action::Measure { .. } => Ok(Stepped::default()),
        }
    }

    async fn stepped(&mut self, actor: &str, request: &Request) -> Result<Stepped, Trouble> {
        match self.ask(actor, request).await? {
            Reply::Stepped(stepped) => Ok(stepped),
            _ => Ok(Stepped::default()),
        }
    }

    async fn ask(&mut self, actor: &str, request: &Request) -> Result<Reply, Trouble> {
        self.process(actor).await?.ask(request).await
    }

    /// The actor's process, forked when it is first needed.
    async fn process(&mut self, actor: &str) -> Result<&mut Process, Trouble> {
        if !self.processes.contains_key(actor) {
            let start = Instant::now();
            let kind = match self.actors.get(actor) {
                Some(ActorSpec::SimulatedCluster) => ActorKind::SimulatedCluster,
                Some(ActorSpec::Python { module }) => ActorKind::Python { module: module.clone() },
                Some(ActorSpec::RealCluster { .. } | ActorSpec::Stranger { .. }) => {
                    return Err(Trouble::Refused("not played yet".to_owned()));
                }
                // The probe: it reads with the standard names only.
                None => ActorKind::Python { module: String::new() },
            };
            let host = self.host(actor).await?;
            let entry =
                Entry { folder: &self.folder, database: &self.database, host: &host, log: &self.log, actor, kind };
            let process = self.stage.enter(self.code, self.zygote, entry).await?;
            self.sessions.push(process.hello.pid);
            self.processes.insert(actor.to_owned(), process);
            self.forking += start.elapsed();
        }
        self.processes.get_mut(actor).ok_or_else(|| Trouble::Died(actor.to_owned()))
    }

    /// Where an actor connects: to a proxy of its own, the probe to the server itself.
    async fn host(&mut self, actor: &str) -> Result<PathBuf, Trouble> {
        let server = self.stage.postgres.socket_directory();
        if actor == PROBE {
            return Ok(server.to_owned());
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
            counters.insert(actor.clone(), wire.settled().await);
        }
        counters
    }

    /// Runs a statement as the harness, whose role no measurement counts. The single value that it
    /// returns, or else the number of rows that it touched.
    async fn sql(&self, statement: &str) -> Result<Value, Trouble> {
        let client = self.client.as_ref().ok_or_else(|| Trouble::Died("the arm's connection".to_owned()))?;
        let refused = |error: tokio_postgres::Error| {
            Trouble::Refused(error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned()))
        };
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
    async fn count_rows(&mut self, state: &ResolvedState, window: Option<&str>) -> Result<(), String> {
        for invariant in state.invariants.values() {
            if let Quantity::Rows { table, during } = &invariant.of
                && during.as_deref() == window
            {
                let client = self.client.as_ref().ok_or("the arm's connection is gone")?;
                let count = rows::count(client, table).await;
                self.counted.insert((table.clone(), during.clone()), count);
            }
        }
        Ok(())
    }

    /// Rows of a table, as counted at the end of a window.
    pub fn rows(&self, table: &str, during: Option<&str>) -> Result<Value, String> {
        let key = (table.to_owned(), during.map(str::to_owned));
        self.counted.get(&key).cloned().unwrap_or_else(|| Err(format!("the rows of {table} were not counted")))
    }

    /// What the server says that the app executed in this arm's database.
    pub async fn executed(&self) -> Result<server::Executed> {
        let client = self.stage.postgres.client("postgres").await?;
        server::executed(&client, self.stage.postgres.oid_of(&self.database).await?, APP).await
    }

    /// Ends every process of the arm.
    pub async fn end(self) -> Result<()> {
        drop(self.client);
        self.stage.keeper.end_sessions(&self.sessions).await.map(drop)
    }
}
