//! Background jobs: put into the queue, waited for, counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dj_regress_protocol::{self as protocol, Reply, Request, Tasks};
use serde_json::Value;

use super::{LIMIT, POLL, Readings, Session};
use crate::actor::Trouble;
use crate::case::{Enqueue, Schedule, WaitFor, What};
use crate::probe::journal::Journal;
use crate::probe::ledger::PROBE;
use crate::service::procfs::Process;

/// How long real clusters may take over what is queued, where the case does not say.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// Looks that must find a cluster idle, one after the other: between two of its processes a task is nowhere to be seen.
const IDLE_LOOKS: u32 = 3;

impl Session<'_> {
    /// Puts tasks into the queue; says how many were accepted, and whether one was refused.
    pub async fn enqueue(&mut self, enqueue: &Enqueue) -> Result<Readings, Trouble> {
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
            _ => Err(Trouble::Died(format!("{} gave a reply to another request and", enqueue.by))),
        }
    }

    /// Creates a schedule.
    pub async fn schedule(&mut self, schedule: &Schedule) -> Result<(), Trouble> {
        let request = protocol::Schedule {
            task: schedule.task.clone(),
            args: schedule.args.clone(),
            kwargs: schedule.kwargs.clone().into_iter().collect(),
            kind: schedule.kind.word().to_owned(),
            fields: schedule.fields().into_iter().collect(),
            due_ns: schedule.due_ns,
        };
        self.ask(&schedule.by, &Request::Schedule(request)).await.map(drop)
    }

    /// What django-q2 says of tasks, as the probe sees it.
    pub async fn tasks(&mut self) -> Result<Tasks, Trouble> {
        match self.ask(PROBE, &Request::Tasks).await? {
            Reply::Tasks(tasks) => Ok(tasks),
            _ => Err(Trouble::Died(format!("{PROBE} gave a reply to another request and"))),
        }
    }

    /// Waits until real clusters have nothing left to do.
    pub async fn drained(&mut self, within: Option<Duration>) -> Result<Readings, Trouble> {
        let start = Instant::now();
        let within = within.unwrap_or(DRAIN_WITHIN);
        let (mut looks, mut before) = (0, None);
        loop {
            let tasks = self.tasks().await?;
            let journal = self.journal().map_err(Trouble::Refused)?;
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
    pub async fn wait(&mut self, until: &WaitFor, within: Option<Duration>) -> Result<(Readings, Duration), Trouble> {
        let start = Instant::now();
        let within = within.unwrap_or(LIMIT);
        let reached = match until {
            WaitFor::Held { actor } => self.held(actor, within).await?.is_some(),
            WaitFor::Quiet { actor } => self.quiet(actor, within).await?,
            WaitFor::Until { expression } => loop {
                let request = Request::Read(BTreeMap::from([("reached".to_owned(), format!("bool({expression})"))]));
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
