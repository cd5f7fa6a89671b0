//! Playing the steps of a case on one arm.

use std::collections::BTreeMap;
use std::time::Duration;

use dj_regress_protocol::{Reply, Request, Stepped};

use super::arm::{explain, note};
use super::clock::{Clock, monotonic};
use super::session::Session;
use super::window::{Snapshot, Window};
use crate::actor::Trouble;
use crate::case::resolve::{Action, ResolvedActor, Step};
use crate::probe::ledger::PROBE;

/// Virtual time between the death of a simulated cluster and the next one: longer than the 3 s that
/// a cluster's stat lives (django-q2's `Stat.save`).
const DOWNTIME: Duration = Duration::from_secs(4);

/// Tasks that a single `drain` may run: a task that enqueues itself must not hold the arm.
const DRAIN_AT_MOST: u64 = 100_000;

impl Session<'_> {
    /// Plays all steps. A step that fails makes the arm inconclusive; the error is the sentence for it.
    pub async fn play(&mut self) -> Result<(), String> {
        let clock = self.open().await.map_err(|trouble| explain(&self.log, "open the arm", &trouble))?;
        self.ask(PROBE, &Request::CreateCacheTables)
            .await
            .map_err(|trouble| explain(&self.log, "create the cache tables", &trouble))?;
        self.watch_writers().await?;
        let mut whole = Window { begin: monotonic(), ..Window::default() };
        let before = self.snapshot().await?;
        for step in &self.state.steps {
            let part = Box::pin(self.step(step, &clock)).await?;
            whole.add(&part);
        }
        whole.end = monotonic();
        self.stop_clusters(None).await?;
        self.windows.whole = whole;
        let after = self.snapshot().await?;
        self.windows.flows.insert(None, after.since(&before));
        self.count_rows(None).await
    }

    /// What went over the wires and into the write-ahead log so far.
    async fn snapshot(&self) -> Result<Snapshot, String> {
        let wal = if self.wants_wal() { self.executed().await?.wal } else { BTreeMap::new() };
        Ok(Snapshot { wire: self.wire().await, wal })
    }

    async fn step(&mut self, step: &Step, clock: &Clock) -> Result<Window, String> {
        let before = if step.name.is_some() { Some(self.snapshot().await?) } else { None };
        let mut window = Window { begin: monotonic(), ..Window::default() };
        match &step.action {
            Action::Measure { steps } => {
                for step in steps {
                    let part = Box::pin(self.step(step, clock)).await?;
                    window.add(&part);
                }
            }
            action => {
                note(&self.log, &format!("-- line {}: {action}", step.line));
                let stepped = self
                    .act(step, action, clock)
                    .await
                    .map_err(|trouble| explain(&self.log, &format!("line {}: {action}", step.line), &trouble))?;
                window.add(&Window {
                    beats: stepped.beats,
                    tasks: stepped.tasks,
                    restarts: stepped.restarts,
                    ..Window::default()
                });
                self.keep_backends().await?;
                for (name, value) in stepped.values {
                    note(&self.log, &format!("   {name} = {value}"));
                    self.readings.insert(name, value);
                }
            }
        }
        window.end = monotonic();
        if let (Some(name), Some(before)) = (&step.name, before) {
            let after = self.snapshot().await?;
            self.windows.flows.insert(Some(name.clone()), after.since(&before));
            self.windows.named.insert(name.clone(), window);
            self.count_rows(Some(name)).await?;
        }
        Ok(window)
    }

    async fn act(&mut self, step: &Step, action: &Action, clock: &Clock) -> Result<Stepped, Trouble> {
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        match action {
            Action::Start { actor, expect_exit: false } => match self.state.actors.get(actor) {
                Some(ResolvedActor::SimulatedCluster) => self.stepped(actor, &Request::Start).await,
                Some(ResolvedActor::RealCluster { count }) => {
                    self.start_clusters(actor, *count).await.map(|()| Stepped::default())
                }
                // A Python actor has nothing to start but itself.
                _ => self.process(actor).await.map(|_| Stepped::default()),
            },
            Action::Stop { actor, within: None } => {
                Ok(self.stop_clusters(Some(actor)).await.map(|()| Stepped::default())?)
            }
            Action::Restart { actor, count, by_kill: false } if !self.is_real(actor) => {
                let downtime_ns = nanoseconds(DOWNTIME);
                self.stepped(actor, &Request::Restart { count: *count, downtime_ns }).await
            }
            Action::Beat { actor, count, every } => {
                let every_ns = nanoseconds(every.unwrap_or_default());
                self.stepped(actor, &Request::Beat { count: *count, every_ns }).await
            }
            Action::Drain { actor, within: None } if !self.is_real(actor) => {
                self.stepped(actor, &Request::Drain { at_most: DRAIN_AT_MOST }).await
            }
            Action::Python { actor, source, times } => {
                self.stepped(actor, &Request::Python { source: source.clone(), times: *times }).await
            }
            Action::Read { readings } => {
                let readings = readings.iter().map(|(name, source)| (name.clone(), source.clone())).collect();
                self.stepped(PROBE, &Request::Read(readings)).await
            }
            Action::Sql { actor, statement } => {
                let value = self.sql(actor.as_deref(), statement).await?;
                let values = step.name.iter().map(|name| (name.clone(), value.clone())).collect();
                Ok(Stepped { values, ..Stepped::default() })
            }
            Action::Advance { by } => {
                clock.advance(*by);
                Ok(Stepped::default())
            }
            // The one wait on the wall clock: what it measures is only ever a guard.
            Action::MeasureFor { time } => {
                tokio::time::sleep(*time).await;
                Ok(Stepped::default())
            }
            Action::Measure { .. } => Ok(Stepped::default()),
            action => Err(Trouble::Refused(format!("`{action}` is not played yet"))),
        }
    }

    fn is_real(&self, actor: &str) -> bool {
        matches!(self.state.actors.get(actor), Some(ResolvedActor::RealCluster { .. }))
    }

    async fn stepped(&mut self, actor: &str, request: &Request) -> Result<Stepped, Trouble> {
        match self.ask(actor, request).await? {
            Reply::Stepped(stepped) => Ok(stepped),
            _ => Ok(Stepped::default()),
        }
    }
}
