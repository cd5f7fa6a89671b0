//! Playing the steps of a case on one arm.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use dj_regress_protocol::{Reply, Request, Stepped};
use nix::sys::signal::Signal;

use super::log::explain;
use super::session::{Readings, Session};
use crate::actor::StepError;
use crate::case::{Action, Actor, Fault, Http, Quantity, Role, Step};
use crate::deadline;
use crate::probe::ledger::PROBE;
use crate::probe::window::{Snapshot, Window};

/// Virtual time between the death of a simulated cluster and the next one: longer than the 3 s that
/// a cluster's stat lives (django-q2's `Stat.save`).
const DOWNTIME: Duration = Duration::from_secs(4);

/// Tasks that a single `drain` may run: a task that enqueues itself must not hold the arm.
const DRAIN_AT_MOST: u64 = 100_000;

impl Session<'_> {
    /// Plays all steps. A step that fails makes the arm inconclusive; the error is the sentence for it.
    pub async fn play(&mut self) -> Result<(), String> {
        self.open().await.map_err(|trouble| explain(&self.log, "open the arm", &trouble))?;
        self.ask(PROBE, &Request::CreateCacheTables)
            .await
            .map_err(|trouble| explain(&self.log, "create the cache tables", &trouble))?;
        deadline::answer("watch who writes", self.watch_writers()).await?;
        self.begin_samples(None).await?;
        let mut whole = self.window();
        let before = self.snapshot().await?;
        let steps = self.state.steps.as_slice();
        let played = self.steps(steps).await;
        // Whatever happened: what is looked at afterwards needs servers that answer.
        let undone = self.undo_all().await;
        whole.add(&played?);
        undone.map_err(|trouble| explain(&self.log, "undo the faults", &trouble))?;
        self.servers.strange_time()?;
        self.stop_all().await.map_err(|trouble| explain(&self.log, "stop the clusters", &trouble))?;
        self.close(&mut whole);
        self.record.windows.whole = whole;
        let after = self.snapshot().await?;
        self.record.windows.flows.insert(None, after.since(&before));
        self.end_samples(None).await
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<Window, String> {
        let mut window = Window::default();
        for step in steps {
            let part = Box::pin(self.step(step)).await?;
            window.add(&part);
        }
        Ok(window)
    }

    /// What went over the wires and into the write-ahead log so far.
    async fn snapshot(&self) -> Result<Snapshot, String> {
        let wal = async {
            Ok(if self.needs(|needs| needs.statistics) { self.servers.executed().await?.wal } else { BTreeMap::new() })
        };
        let wal = deadline::answer("ask the server for its write-ahead log", wal).await?;
        let commands = self.actors.commands();
        Ok(Snapshot { wire: self.traffic().await, commands, http: self.web.counters().await?, wal })
    }

    /// A window that begins now.
    fn window(&self) -> Window {
        Window { begin: self.time.mark(), log: (self.log_length(), 0), ..Window::default() }
    }

    /// Ends a window now.
    fn close(&self, window: &mut Window) {
        (window.end, window.log.1) = (self.time.mark(), self.log_length());
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.log.path()).map_or(0, |log| log.len())
    }

    async fn step(&mut self, step: &Step) -> Result<Window, String> {
        if let Some(name) = &step.name {
            self.begin_samples(Some(name)).await?;
        }
        let before = if step.name.is_some() { Some(self.snapshot().await?) } else { None };
        let mut window = self.window();
        let action = &step.action;
        if !matches!(action, Action::Measure { .. }) {
            self.log.note(&format!("-- line {}: {}", step.line, step.written));
        }
        match action {
            Action::Measure { steps } => window.add(&self.steps(steps).await?),
            Action::Fault { fault, steps } => window.add(&self.under(step, fault, steps).await?),
            Action::Http { http, steps } => window.add(&self.requests(step, http, steps).await?),
            action => {
                let stepped =
                    self.act(step, action).await.map_err(|trouble| explain(&self.log, &doing(step), &trouble))?;
                window.add(&Window {
                    beats: stepped.beats,
                    tasks: stepped.tasks,
                    restarts: stepped.restarts,
                    ..Window::default()
                });
                self.keep_backends().await?;
                self.record.take(&self.log, stepped.values);
            }
        }
        self.close(&mut window);
        if let (Some(name), Some(before)) = (&step.name, before) {
            let after = self.snapshot().await?;
            self.record.windows.flows.insert(Some(name.clone()), after.since(&before));
            self.record.windows.named.insert(name.clone(), window);
            self.end_samples(Some(name)).await?;
        }
        Ok(window)
    }

    /// Sends requests, plays steps while they are under way, and waits for the answers.
    async fn requests(&mut self, step: &Step, http: &Http, steps: &[Step]) -> Result<Window, String> {
        let doing = doing(step);
        let under_way = self.send_requests(http).await;
        let under_way = under_way.map_err(|trouble| explain(&self.log, &doing, &trouble))?;
        let mut window = self.steps(steps).await?;
        let answered = self.answers(under_way).await.map_err(|trouble| explain(&self.log, &doing, &trouble))?;
        if let Some(wrong) = &answered.wrong {
            if step.name.is_none() {
                return Err(format!("{doing}: {wrong}"));
            }
            self.log.note(&format!("   {wrong}"));
        }
        window.requests += answered.requests;
        self.keep_backends().await?;
        self.record.take(&self.log, named(step, answered.readings).values.into_iter().chain(answered.kept));
        Ok(window)
    }

    /// Plays steps under a fault, which is undone whatever comes of them; one without steps lasts.
    async fn under(&mut self, step: &Step, fault: &Fault, steps: &[Step]) -> Result<Window, String> {
        let doing = doing(step);
        let (played, lasting) = if let Some(trigger) = fault.trigger() {
            let strike = self.lie_in_wait(fault, trigger).await;
            let strike = strike.map_err(|trouble| explain(&self.log, &doing, &trouble))?;
            let (has_come, waiting) = strike.wait();
            let played = self.steps(steps).await;
            if !has_come() {
                waiting.abort();
                let played = played.map(|_| format!("{doing}: {} has not sent so much", trigger.actor));
                return Err(played.unwrap_or_else(|why| why));
            }
            let lasting = match waiting.await.map_err(|error| format!("{doing}: {error}"))? {
                Ok(at) => self.struck(fault, step, at).await,
                Err(trouble) => Err(trouble),
            };
            (played, lasting)
        } else {
            let lasting = self.begin(fault, step).await.map_err(|trouble| explain(&self.log, &doing, &trouble))?;
            if steps.is_empty() {
                self.last(lasting);
                return Ok(Window::default());
            }
            (self.steps(steps).await, Ok(lasting))
        };
        let undone = match lasting {
            Ok(lasting) => self.undo(lasting).await,
            Err(trouble) => Err(trouble),
        };
        // What went wrong first is what there is to say.
        let played = played?;
        undone.map(|()| played).map_err(|trouble| explain(&self.log, &doing, &trouble))
    }

    async fn act(&mut self, step: &Step, action: &Action) -> Result<Stepped, StepError> {
        match action {
            Action::Start { actor, expect_exit: true, within } => {
                let count = match self.state.actors.get(actor) {
                    Some(Actor::RealCluster { count }) => *count,
                    _ => 1,
                };
                let readings = self.start_to_exit(actor, count, *within).await?;
                in_time(readings, within.is_some(), "the cluster did not end").map(|readings| named(step, readings))
            }
            Action::Start { actor, expect_exit: false, .. } => match self.state.actors.get(actor) {
                Some(Actor::SimulatedCluster) => self.stepped(actor, &Request::Start).await,
                Some(Actor::RealCluster { count }) => {
                    self.start_clusters(actor, *count).await.map(|()| Stepped::default())
                }
                // A Python actor has nothing to start but itself.
                _ => self.process(actor).await.map(|_| Stepped::default()),
            },
            Action::Stop { actor, within } => {
                let readings = self.stop_clusters(actor, *within).await?;
                in_time(readings, within.is_some(), "the cluster did not stop").map(|readings| named(step, readings))
            }
            Action::Signal { actor, role, send } => self.send(actor, *role, *send).await.map(|()| Stepped::default()),
            Action::Kill { actor, role } => self.kill(actor, *role).await.map(|()| Stepped::default()),
            Action::Pause { actor, role } => {
                self.signal(actor, *role, Signal::SIGSTOP).await.map(|()| Stepped::default())
            }
            Action::Resume { actor, role } => {
                self.signal(actor, *role, Signal::SIGCONT).await.map(|()| Stepped::default())
            }
            Action::Restart { actor, count, by_kill } => self.restart(actor, *count, *by_kill).await,
            Action::Hold { .. } => {
                self.actors.holds.arm(step.line);
                Ok(Stepped::default())
            }
            Action::Release { actor } if self.state.is_web(actor) => {
                self.actors.holds.release(actor);
                Ok(Stepped::default())
            }
            Action::Release { actor } => {
                self.signal(actor, Role::Held, Signal::SIGCONT).await.map(|()| Stepped::default())
            }
            Action::Enqueue(enqueue) => self.enqueue(enqueue).await.map(|readings| named(step, readings)),
            Action::Schedule(schedule) => self.schedule(schedule).await.map(|()| Stepped::default()),
            Action::Tick { actor, count } => self.stepped(actor, &Request::Tick { count: *count }).await,
            Action::Wait { for_, within } => {
                let within = within.or_else(|| self.deadlines.get(&step.line).copied());
                let (readings, took) = self.wait(for_, within).await?;
                self.record.waits.insert(step.line, took);
                Ok(named(step, readings))
            }
            Action::Beat { actor, count, every } => self.beat(actor, *count, *every).await,
            Action::Drain { actor, within } => match self.state.actors.get(actor) {
                Some(Actor::RealCluster { .. }) => {
                    let readings = self.drained(*within).await?;
                    in_time(readings, step.name.is_some(), "tasks are left").map(|readings| named(step, readings))
                }
                _ => self.stepped(actor, &Request::Drain { at_most: DRAIN_AT_MOST }).await,
            },
            Action::Python { actor, source, times } => {
                self.stepped(actor, &Request::Python { source: source.clone(), times: *times }).await
            }
            Action::Manage { command, actor } => {
                let words = serde_json::to_string(command).unwrap_or_default();
                // A list of texts is the same in JSON and in Python.
                let source = format!("call_command(*{words})");
                self.stepped(actor, &Request::Python { source, times: 1 }).await
            }
            Action::Read { readings } => {
                let readings = readings.iter().map(|(name, source)| (name.clone(), source.clone())).collect();
                self.stepped(PROBE, &Request::Read(readings)).await
            }
            Action::Sql { actor, statement } => {
                let value = self.servers.sql(self.state, actor.as_deref(), statement, self.is_read(step)).await?;
                let values = step.name.iter().map(|name| (name.clone(), value.clone())).collect();
                Ok(Stepped { values, ..Stepped::default() })
            }
            Action::Advance { by } => {
                self.time.advance(*by).await?;
                Ok(Stepped::default())
            }
            // The one wait on the wall clock: what it measures is only ever a guard.
            Action::MeasureFor { time } => {
                tokio::time::sleep(*time).await;
                Ok(Stepped::default())
            }
            // Played by `step`.
            Action::Measure { .. } | Action::Fault { .. } | Action::Http { .. } => Ok(Stepped::default()),
        }
    }

    /// Ends a cluster and starts it again, so often.
    async fn restart(&mut self, actor: &str, count: u64, by_kill: bool) -> Result<Stepped, StepError> {
        let Some(Actor::RealCluster { count: clusters }) = self.state.actors.get(actor) else {
            return self.each_after(DOWNTIME, count, actor, &Request::Restart).await;
        };
        for _ in 0..count {
            if by_kill {
                self.kill(actor, Role::Group).await?;
            } else {
                in_time(self.stop_clusters(actor, None).await?, false, "the cluster did not stop")?;
            }
            self.start_clusters(actor, *clusters).await?;
        }
        Ok(Stepped { restarts: count, ..Stepped::default() })
    }

    async fn beat(&mut self, actor: &str, count: u64, every: Option<Duration>) -> Result<Stepped, StepError> {
        match every {
            Some(every) => self.each_after(every, count, actor, &Request::Beat { count: 1 }).await,
            None => self.stepped(actor, &Request::Beat { count }).await,
        }
    }

    /// So many times: time passes, then an actor is asked for a step.
    async fn each_after(
        &mut self,
        time: Duration,
        count: u64,
        actor: &str,
        request: &Request,
    ) -> Result<Stepped, StepError> {
        let mut whole = Stepped::default();
        for _ in 0..count {
            self.time.advance(time).await?;
            let stepped = self.stepped(actor, request).await?;
            whole.beats += stepped.beats;
            whole.restarts += stepped.restarts;
        }
        Ok(whole)
    }

    /// Whether an invariant looks at the reading that a step gives under its own name.
    fn is_read(&self, step: &Step) -> bool {
        let is_it = |of: &Quantity| matches!(of, Quantity::Reading(name) if Some(name) == step.name.as_ref());
        self.state.invariants.values().any(|invariant| is_it(&invariant.of))
    }

    async fn stepped(&mut self, actor: &str, request: &Request) -> Result<Stepped, StepError> {
        match self.ask(actor, request).await? {
            Reply::Stepped(stepped) => Ok(stepped),
            _ => Ok(Stepped::default()),
        }
    }
}

/// The step, for messages.
fn doing(step: &Step) -> String {
    format!("line {}: `{}`", step.line, step.written)
}

/// What a step gives, under the step's name; nothing where it has none.
fn named(step: &Step, readings: Readings) -> Stepped {
    let Some(name) = &step.name else { return Stepped::default() };
    let values = readings.into_iter().map(|(reading, value)| (format!("{name}.{reading}"), value));
    Stepped { values: values.collect(), ..Stepped::default() }
}

/// Refuses what was not reached, unless the case looks at it.
fn in_time(readings: Readings, is_looked_at: bool, otherwise: &str) -> Result<Readings, StepError> {
    let is_late = readings.iter().any(|(name, value)| *name == "reached" && value == false);
    if is_late && !is_looked_at {
        return Err(StepError::Refused(format!("{otherwise} in time")));
    }
    Ok(readings)
}
