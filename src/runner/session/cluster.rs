//! Real clusters of an arm: up, down.

use std::fs;
use std::time::{Duration, Instant};

use dj_regress_protocol::{ActorKind, Request};
use nix::sys::signal::Signal;

use super::Session;
use crate::actor::{Process, Trouble};
use crate::error::Result;
use crate::runner::arm::note;

/// What django-q2 logs when a cluster is up, in every release.
const CLUSTER_IS_UP: &str = " running.";

/// How long a real cluster may take to come up or go down; a harness limit that only a hang reaches.
const CLUSTER_DEADLINE: Duration = Duration::from_secs(60);

/// A real cluster: the `qcluster` command in a session of its own.
pub(super) struct Cluster {
    /// Its name for logs and the ledger: the actor's.
    pub(super) actor: String,
    pid: u32,
    /// Held open: when it closes, the process would end.
    _process: Process,
}

impl Session<'_> {
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
}
