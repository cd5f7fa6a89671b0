//! The processes of an arm's actors, and what stands between them and the servers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::holds::Holds;
use crate::actor::{Process, StateCode, Zygote};
use crate::probe::ledger::PROBE;
use crate::proxy::{Counters, PostgresProxy, RedisProxy, Sent};
use crate::runner::cpu_pin::CpuPin;

/// What clients of Redis say by themselves when they connect.
const SETS_UP: &[&str] = &["AUTH", "CLIENT", "HELLO", "SELECT"];

/// What runs in an actor, and the process that it is forked from.
pub type Code = (StateCode, Arc<Zygote>);

/// The code of a state, and of actors that run another.
pub struct Codes {
    /// The state's.
    pub state: Code,
    /// By actor.
    pub actors: HashMap<String, Code>,
}

impl Codes {
    /// That of an actor.
    pub fn of(&self, actor: &str) -> &Code {
        self.actors.get(actor).unwrap_or(&self.state)
    }

    /// Whether the settings of a project lead to a Redis.
    pub fn any_uses_redis(&self) -> bool {
        self.actors.values().chain([&self.state]).any(|(_, zygote)| zygote.prepared.redis)
    }
}

/// What stands between an actor and the servers.
pub struct Wire {
    /// The actor's own folder: its working directory, with the sockets of its servers.
    pub directory: PathBuf,
    pub postgres: PostgresProxy,
    pub redis: Option<RedisProxy>,
}

/// A real cluster: the `qcluster` command in a session of its own.
pub struct Cluster {
    /// Its name for logs and the ledger: the actor's.
    pub actor: String,
    /// Its first process, which is the leader of its session.
    pub pid: u32,
    /// Held open: when it closes, the process would end.
    _process: Process,
}

impl Cluster {
    /// Of an actor, in this process.
    pub fn new(actor: &str, process: Process) -> Self {
        Self { actor: actor.to_owned(), pid: process.hello.pid, _process: process }
    }
}

/// The actors of an arm.
pub struct Actors<'s> {
    /// What each of them runs.
    pub codes: &'s Codes,
    /// Those that are one process, by name.
    pub processes: HashMap<String, Process>,
    /// Real clusters that run.
    pub clusters: Vec<Cluster>,
    /// By actor.
    pub wires: IndexMap<String, Wire>,
    /// Where they can be held.
    pub holds: Holds,
    /// Sessions to end: one per process that was forked.
    pub sessions: Vec<u32>,
    /// The processor that they are kept on.
    pub pin: Option<CpuPin>,
    /// How many of their connections have their backend there already.
    pub pinned: u64,
    /// Time spent on forking and entering.
    pub forking: Duration,
}

impl<'s> Actors<'s> {
    /// None of them is there yet.
    pub fn new(codes: &'s Codes, holds: Holds, pin: Option<CpuPin>) -> Self {
        Self {
            codes,
            processes: HashMap::new(),
            clusters: Vec::new(),
            wires: IndexMap::new(),
            holds,
            sessions: Vec::new(),
            pin,
            pinned: 0,
            forking: Duration::ZERO,
        }
    }

    /// What went over each actor's wire so far. Waits until nothing is under way, unless the arm is under a fault. The
    /// probe's is not counted.
    pub async fn traffic(&self, is_hurt: bool) -> IndexMap<String, Counters> {
        let mut counters = IndexMap::new();
        for (actor, wire) in self.wires.iter().filter(|(actor, _)| *actor != PROBE) {
            // A real cluster is never quiet for long: what it is about to be answered belongs to the next window.
            let is_quiet = !is_hurt && !self.is_running(actor);
            counters
                .insert(actor.clone(), if is_quiet { wire.postgres.settled().await } else { wire.postgres.counters() });
        }
        counters
    }

    /// Each statement that went over each wire so far, the probe's among them.
    pub fn sent(&self) -> Vec<(String, Vec<Sent>)> {
        self.wires.iter().map(|(actor, wire)| (actor.clone(), wire.postgres.sent())).collect()
    }

    /// Commands that went to Redis so far, but for those that set a connection up. The probe's are not counted.
    pub fn commands(&self) -> u64 {
        let wires = self.wires.iter().filter(|(actor, _)| *actor != PROBE).filter_map(|(_, wire)| wire.redis.as_ref());
        let of_app = |redis: &RedisProxy| -> u64 {
            let sent = redis.counters().seen;
            let own = sent.iter().filter(|(shape, _)| !SETS_UP.contains(&shape.verb.as_str()));
            own.map(|(_, counts)| counts.statements).sum()
        };
        wires.map(of_app).sum()
    }

    /// Connections to Postgres so far.
    pub fn connections(&self) -> u64 {
        self.wires.values().map(|wire| wire.postgres.counters().connections).sum()
    }

    /// Whether an actor has a real cluster that runs.
    pub fn is_running(&self, actor: &str) -> bool {
        self.clusters.iter().any(|cluster| cluster.actor == actor)
    }

    /// Takes the real clusters of an actor, or all.
    pub fn take_clusters(&mut self, actor: Option<&str>) -> Vec<Cluster> {
        let (taken, staying) = std::mem::take(&mut self.clusters)
            .into_iter()
            .partition::<Vec<_>, _>(|cluster| actor.is_none_or(|actor| cluster.actor == actor));
        self.clusters = staying;
        taken
    }
}
