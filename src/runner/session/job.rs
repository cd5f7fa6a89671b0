//! Background jobs: put into the queue, waited for, counted.

use std::time::{Duration, Instant};

use dj_regress_protocol::{self as protocol, Reply, Request, Tasks};
use serde_json::Value;

use super::Session;
use super::limits::{LIMIT, POLL, Readings};
use crate::actor::StepError;
use crate::case::{Due, Enqueue, Schedule, WaitFor, What, word};
use crate::probe::journal::{Journal, TaskCounts};
use crate::probe::ledger::PROBE;
use crate::runner::log::explain;
use crate::service::procfs::Process;

/// How long real clusters may take over what is queued, where the case does not say.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// Looks that must find a cluster idle, one after the other: between two of its processes a task is nowhere to be seen.
const IDLE_LOOKS: u32 = 3;

impl Session<'_> {
    /// Puts tasks into the queue; says how many were accepted, and whether one was refused.
    pub async fn enqueue(&mut self, enqueue: &Enqueue) -> Result<Readings, StepError> {
        let mut request = protocol::Enqueue {
            times: enqueue.times,
            group: enqueue.group.clone(),
            cached: enqueue.cached.clone(),
            options: enqueue.options.clone().into_iter().collect(),
            until_refused: enqueue.until_refused,
            ..protocol::Enqueue::default()
        };
        match &enqueue.what {
            What::Task { task, args, kwargs } => {
                (request.task, request.args) = (task.clone(), args.clone());
                request.kwargs = kwargs.clone().into_iter().collect();
            }
            What::Iter { task, args } => {
                (request.task, request.args, request.iter) = (task.clone(), args.clone(), true);
            }
            What::Chain { links } => request.chain.clone_from(links),
        }
        match self.ask(&enqueue.by, &Request::Enqueue(request)).await? {
            Reply::Enqueued { accepted, refused } => {
                Ok(vec![("accepted", Value::from(accepted)), ("refused", Value::from(refused.is_some()))])
            }
            _ => Err(StepError::Died(format!("{} gave a reply to another request and", enqueue.by))),
        }
    }

    /// Creates a schedule.
    pub async fn schedule(&mut self, schedule: &Schedule) -> Result<(), StepError> {
        let request = protocol::Schedule {
            task: schedule.task.clone(),
            args: schedule.args.clone(),
            kwargs: schedule.kwargs.clone().into_iter().collect(),
            kind: word(schedule.kind),
            fields: schedule.fields().into_iter().collect(),
            due: match schedule.due {
                Due::In(nanoseconds) => protocol::Due::In(nanoseconds),
                Due::At(moment) => protocol::Due::At(moment.nanoseconds()),
            },
        };
        self.ask(&schedule.by, &Request::Schedule(request)).await.map(drop)
    }

    /// What django-q2 says of tasks, as the probe sees it.
    pub async fn tasks(&mut self) -> Result<Tasks, StepError> {
        match self.ask(PROBE, &Request::Tasks).await? {
            Reply::Tasks(tasks) => Ok(tasks),
            _ => Err(StepError::Died(format!("{PROBE} gave a reply to another request and"))),
        }
    }

    /// What became of the arm's tasks, where an invariant wants to know.
    pub async fn task_counts(&mut self, journal: &Journal) -> Result<TaskCounts, String> {
        if !self.needs(|needs| needs.tasks) {
            return Ok(TaskCounts::default());
        }
        let said = self.tasks().await.map_err(|trouble| explain(&self.log, "ask django-q2 for its tasks", &trouble))?;
        match journal.unseen_results(&said) {
            Some(why) => Err(why),
            None => Ok(journal.tasks(&said)),
        }
    }

    /// Waits until real clusters have nothing left to do.
    pub async fn drained(&mut self, within: Option<Duration>) -> Result<Readings, StepError> {
        let start = Instant::now();
        let within = within.unwrap_or(DRAIN_WITHIN);
        let (mut looks, mut before) = (0, None);
        loop {
            let tasks = self.tasks().await?;
            let journal = self.journal().map_err(StepError::Refused)?;
            let is_idle = tasks.queued.is_empty() && !is_busy(&journal, &tasks);
            looks = if is_idle && before.as_ref() == Some(&tasks) { looks + 1 } else { 0 };
            let reached = looks == IDLE_LOOKS;
            if reached || start.elapsed() > within {
                let seconds = start.elapsed().as_secs_f64();
                return Ok(vec![("reached", Value::from(reached)), ("seconds", Value::from(seconds))]);
            }
            before = Some(tasks);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for what a step names; says whether it came, and after how long.
    pub async fn wait(&mut self, until: &WaitFor, within: Option<Duration>) -> Result<(Readings, Duration), StepError> {
        let start = Instant::now();
        let within = within.unwrap_or(LIMIT);
        let reached = match until {
            WaitFor::Held(actor) => self.held(actor, within).await?.is_some(),
            WaitFor::Quiet(actor) => self.quiet(actor, within).await?,
            WaitFor::Until(expression) => loop {
                let request = Request::Read(vec![("reached".to_owned(), format!("bool({expression})"))]);
                let is_true = match self.ask(PROBE, &request).await? {
                    Reply::Stepped(stepped) => stepped.values.get("reached") == Some(&Value::Bool(true)),
                    _ => false,
                };
                if is_true || start.elapsed() > within {
                    break is_true;
                }
                tokio::time::sleep(POLL).await;
            },
        };
        let took = start.elapsed();
        Ok((vec![("reached", Value::from(reached)), ("seconds", Value::from(took.as_secs_f64()))], took))
    }

    /// The process of this actor that is held, once there is one; nobody, if none is within this time.
    pub async fn held(&self, actor: &str, within: Duration) -> Result<Option<u32>, StepError> {
        let Some(hold) = self.actors.holds.armed(actor) else {
            return Err(StepError::Refused(format!("no hold of {actor} is armed")));
        };
        let is_web = self.state.is_web(actor);
        let deadline = Instant::now() + within;
        loop {
            let journal = self.journal().map_err(StepError::Refused)?;
            // It writes that it is about to stop, then does. A thread that waits stops no process.
            let stands = |pid: &u32| is_web || Process::find(*pid).is_some_and(|found| found.state == 'T');
            let held = journal.holder(hold).filter(stands);
            if held.is_some() || Instant::now() > deadline {
                return Ok(held);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Whether a task that was begun or accepted is still to be ended by somebody who lives.
fn is_busy(journal: &Journal, said: &Tasks) -> bool {
    let mut unfinished = journal.unfinished();
    // The task that an iter gives is nobody's to begin: it is put on record when the last of its parts is.
    unfinished.retain(|id, _| !said.succeeded.contains(id) && !said.failed.contains(id));
    unfinished.values().any(|runners| {
        // Nobody has begun it: it is on its way between two processes.
        runners.is_empty() || runners.iter().any(|pid| Process::is_running(*pid))
    })
}
