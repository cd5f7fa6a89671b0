//! Real clusters of an arm: up, down, and what is done to their processes.

use std::fs;
use std::time::{Duration, Instant};

use dj_regress_protocol::{ActorKind, Request};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::Session;
use super::actors::Cluster;
use super::limits::{LIMIT, POLL, Readings};
use crate::actor::StepError;
use crate::case::{Role, word};
use crate::error::Result;
use crate::service::procfs;
use crate::service::supervisor::{Exit, Target};

/// What django-q2 logs when a cluster is up, in every release.
const CLUSTER_IS_UP: &str = " running.";

/// How long a cluster that was hurt may take over its end when the arm ends.
const DISTURBED: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// Starts `count` real clusters and waits until each says that it is up.
    pub async fn start_clusters(&mut self, actor: &str, count: u64) -> Result<(), StepError> {
        for _ in 0..count {
            let seen = self.clusters_up();
            let pid = self.launch(actor).await?;
            let deadline = Instant::now() + LIMIT;
            // The log is its sentinel's word. Its parent notices up to 100 ms later: told to end before, it raises.
            while self.clusters_up() <= seen || !self.is_up(pid)? {
                if Instant::now() > deadline {
                    let message = format!("the cluster {actor} did not come up within {} s", LIMIT.as_secs());
                    return Err(StepError::Refused(message));
                }
                tokio::select! {
                    exit = self.context.supervisor.exited(pid) => {
                        let how = exit.map_or_else(|error| error.message, |exit| exit.to_string());
                        return Err(self.died(format!("the cluster {actor} ({how})")));
                    }
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
        Ok(())
    }

    /// Starts `count` real clusters that are expected to end by themselves; says whether they did, and how.
    pub async fn start_to_exit(
        &mut self,
        actor: &str,
        count: u64,
        within: Option<Duration>,
    ) -> Result<Readings, StepError> {
        let start = Instant::now();
        for _ in 0..count {
            self.launch(actor).await?;
        }
        let clusters = self.actors.take_clusters(Some(actor));
        self.ended(&clusters, start, within).await
    }

    async fn launch(&mut self, actor: &str) -> Result<u32, StepError> {
        let mut process = self.enter(actor, ActorKind::RealCluster).await?;
        process.ask(&Request::RunCluster).await?;
        let pid = process.hello.pid;
        self.actors.clusters.push(Cluster::new(actor, process));
        Ok(pid)
    }

    fn is_up(&self, pid: u32) -> Result<bool, StepError> {
        Ok(self.journal().map_err(StepError::Refused)?.is_up(pid))
    }

    fn clusters_up(&self) -> usize {
        fs::read_to_string(self.log.path()).unwrap_or_default().matches(CLUSTER_IS_UP).count()
    }

    /// Stops the real clusters of an actor as an operator does: SIGTERM, and wait. One that does not stop in time is
    /// killed. Says whether all did, how and how long it took.
    pub async fn stop_clusters(&mut self, actor: &str, within: Option<Duration>) -> Result<Readings, StepError> {
        let stopping = self.actors.take_clusters(Some(actor));
        self.stop(stopping, within).await
    }

    /// Stops all real clusters, at the end of the arm. One that cannot end in order is killed at once: a process of it
    /// stands still, paused or held.
    pub async fn stop_all(&mut self) -> Result<(), StepError> {
        let stands: Vec<u32> = procfs::Process::descendants(self.context.supervisor.pid())
            .into_iter()
            .filter_map(|process| (process.state == 'T').then_some(process.session))
            .collect();
        let (standing, stopping): (Vec<_>, Vec<_>) =
            self.actors.take_clusters(None).into_iter().partition(|cluster| stands.contains(&cluster.pid));
        if !standing.is_empty() {
            self.record.disturbed.add(standing.iter().map(|cluster| cluster.actor.as_str()));
            let sessions: Vec<u32> = standing.iter().map(|cluster| cluster.pid).collect();
            self.context.supervisor.end_sessions(&sessions).await?;
        }
        // What was hurt may hang; nothing exact is lost with it.
        let within = if self.record.disturbed.is_any() { DISTURBED } else { LIMIT };
        self.stop(stopping, Some(within)).await.map(drop)
    }

    async fn stop(&mut self, stopping: Vec<Cluster>, within: Option<Duration>) -> Result<Readings, StepError> {
        let start = Instant::now();
        for cluster in &stopping {
            self.context.supervisor.signal(cluster.pid, Signal::SIGTERM).await?;
        }
        self.ended(&stopping, start, within).await
    }

    /// Waits for the end of clusters. What has not ended by itself in time is killed, and so is what they leave behind.
    /// Says whether all did, how (the first that did not end well) and how long it took.
    async fn ended(
        &mut self,
        clusters: &[Cluster],
        start: Instant,
        within: Option<Duration>,
    ) -> Result<Readings, StepError> {
        let within = within.unwrap_or(LIMIT);
        let mut exits = Vec::new();
        for Cluster { actor, pid, .. } in clusters {
            let left = within.saturating_sub(start.elapsed());
            if let Ok(exit) = tokio::time::timeout(left, self.context.supervisor.exited(*pid)).await {
                exits.push(exit?);
            } else {
                let seconds = within.as_secs_f64();
                self.log.note(&format!("the cluster {actor} did not end within {seconds} s and is killed"));
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let reached = exits.len() == clusters.len();
        let sessions: Vec<u32> = clusters.iter().map(|cluster| cluster.pid).collect();
        if self.context.supervisor.end_sessions(&sessions).await? > 0 {
            self.record.disturbed.add(clusters.iter().map(|cluster| cluster.actor.as_str()));
        }
        let exit = match exits.iter().find(|exit| **exit != Exit::Code(0)).or(exits.first()) {
            Some(Exit::Code(code)) if reached => Value::from(*code),
            Some(Exit::Signal(signal)) if reached => Value::from(format!("signal {signal}")),
            _ => Value::Null,
        };
        Ok(vec![("reached", Value::from(reached)), ("exit", exit), ("seconds", Value::from(seconds))])
    }

    /// SIGKILLs processes of an actor's real clusters.
    pub async fn kill(&mut self, actor: &str, role: Role) -> Result<(), StepError> {
        self.record.disturbed.add([actor]);
        if role == Role::Group {
            let clusters = self.actors.take_clusters(Some(actor));
            let sessions: Vec<u32> = clusters.iter().map(|cluster| cluster.pid).collect();
            return Ok(self.context.supervisor.end_sessions(&sessions).await.map(drop)?);
        }
        let pids = self.pids(actor, role).await?;
        for pid in &pids {
            self.context.supervisor.signal(*pid, Signal::SIGKILL).await?;
        }
        let deadline = Instant::now() + LIMIT;
        while pids.iter().any(|pid| procfs::Process::is_running(*pid)) {
            if Instant::now() > deadline {
                return Err(StepError::Refused(format!("{pids:?} of {actor} still run after SIGKILL")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Sends an operator's signal to processes of an actor's real clusters.
    pub async fn send(&mut self, actor: &str, role: Role, signal: Signal) -> Result<(), StepError> {
        // Only the parent ends in order, and only by these.
        let is_order = role == Role::Parent && matches!(signal, Signal::SIGTERM | Signal::SIGINT);
        if !is_order {
            self.record.disturbed.add([actor]);
        }
        self.signal(actor, role, signal).await
    }

    /// Signals processes of an actor's real clusters.
    pub async fn signal(&mut self, actor: &str, role: Role, signal: Signal) -> Result<(), StepError> {
        if role == Role::Group {
            for cluster in self.actors.clusters.iter().filter(|cluster| cluster.actor == actor) {
                self.context.supervisor.signal_all(Target::Session(cluster.pid), signal).await?;
            }
            return Ok(());
        }
        for pid in self.pids(actor, role).await? {
            self.context.supervisor.signal(pid, signal).await?;
        }
        Ok(())
    }

    /// The processes of an actor's clusters that have this role and live; at least one.
    async fn pids(&self, actor: &str, role: Role) -> Result<Vec<u32>, StepError> {
        let pids: Vec<u32> = match role {
            Role::Group | Role::Parent => self
                .actors
                .clusters
                .iter()
                .filter(|cluster| cluster.actor == actor)
                .map(|cluster| cluster.pid)
                .collect(),
            Role::Held => self.held(actor, LIMIT).await?.into_iter().collect(),
            Role::Sentinel | Role::Pusher | Role::Monitor | Role::Worker => {
                self.journal().map_err(StepError::Refused)?.processes(actor, &word(role)).collect()
            }
        };
        let pids: Vec<u32> = pids.into_iter().filter(|pid| procfs::Process::is_running(*pid)).collect();
        if pids.is_empty() {
            let who = word(role);
            return Err(StepError::Refused(format!("{actor} has no living process that is its {who}")));
        }
        Ok(pids)
    }
}
