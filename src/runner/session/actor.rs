//! Actors of an arm: forked when they are first needed, asked for steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress_protocol::{ActorKind, Reply, Request};

use super::Session;
use super::actors::Wire;
use crate::actor::{Process, StepError};
use crate::case::Actor;
use crate::deadline;
use crate::probe::ledger::PROBE;
use crate::probe::sql;
use crate::proxy::{PostgresProxy, RedisProxy};
use crate::runner::context::Placement;

/// The kernel tells of a death at once; this is for a process that only closed its connection.
const EXIT_DEADLINE: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// The actor's process, forked when it is first needed.
    pub async fn process(&mut self, actor: &str) -> Result<&mut Process, StepError> {
        if !self.actors.processes.contains_key(actor) {
            let kind = match self.state.actors.get(actor) {
                Some(Actor::SimulatedCluster) => ActorKind::SimulatedCluster,
                Some(Actor::Python { module }) => ActorKind::Python { module: module.clone() },
                Some(Actor::Web { .. }) => ActorKind::Web,
                // Probe and client: the standard names only.
                _ => ActorKind::Python { module: String::new() },
            };
            let process = self.enter(actor, kind).await?;
            self.actors.processes.insert(actor.to_owned(), process);
        }
        self.actors.processes.get_mut(actor).ok_or_else(|| StepError::Died(actor.to_owned()))
    }

    pub(super) async fn enter(&mut self, actor: &str, kind: ActorKind) -> Result<Process, StepError> {
        let start = Instant::now();
        let (server, database) = (Arc::clone(&self.servers.server), self.servers.database.clone());
        let wire = self.wire_of(actor).await?;
        let directory = wire.directory.clone();
        let service = server.postgres.service_file(wire.postgres.host(), &database);
        let entry = Placement {
            folder: &self.folder,
            directory: &directory,
            service,
            log: self.log.path(),
            actor,
            kind,
            holds: self.actors.holds.of(actor),
            holds_file: self.actors.holds.path(),
            first: self.actors.processes.get(PROBE).map(|probe| probe.hello.pid),
        };
        let (code, zygote) = self.actors.codes.of(actor);
        let process = self.context.enter(code, zygote, entry).await?;
        self.actors.sessions.push(process.hello.pid);
        if let Some(pin) = self.actors.pin {
            pin.keep(process.hello.pid);
        }
        self.actors.forking += start.elapsed();
        Ok(process)
    }

    /// What stands between an actor and the servers; made when it is first asked for.
    pub(super) async fn wire_of(&mut self, actor: &str) -> Result<&Wire, StepError> {
        if !self.actors.wires.contains_key(actor) {
            let directory = self.folder.join(format!("actor-{}", self.actors.wires.len()));
            let postgres =
                PostgresProxy::start(self.servers.postgres().upstream(), self.servers.clock(), &directory).await?;
            let redis = match &self.servers.redis {
                Some(redis) => {
                    let (endpoint, preamble, clock) =
                        (redis.endpoint().clone(), redis.preamble(), self.servers.clock_of(redis));
                    Some(RedisProxy::start(endpoint, preamble, clock, &directory.join("redis.sock")).await?)
                }
                None => None,
            };
            self.actors.wires.insert(actor.to_owned(), Wire { directory, postgres, redis });
        }
        self.actors.wires.get(actor).ok_or_else(|| StepError::Died(actor.to_owned()))
    }

    /// Keeps the backends of new connections on the arm's processor.
    pub async fn keep_backends(&mut self) -> Result<(), String> {
        let Some(pin) = self.actors.pin else { return Ok(()) };
        let connections = self.actors.connections();
        if connections > self.actors.pinned {
            let statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = $1";
            let user = self.servers.postgres().login(&self.servers.database).user;
            let ask =
                async { self.servers.client()?.query(statement, &[&user]).await.map_err(|error| sql::message(&error)) };
            for row in deadline::answer("ask for the arm's backends", ask).await? {
                pin.keep(row.get::<_, i32>(0).cast_unsigned());
            }
            self.actors.pinned = connections;
        }
        Ok(())
    }

    /// Asks an actor for a step. One that died says how.
    pub async fn ask(&mut self, actor: &str, request: &Request) -> Result<Reply, StepError> {
        let process = self.process(actor).await?;
        let pid = process.hello.pid;
        let answer = process.ask(request).await;
        if let Err(StepError::Died(_)) = answer {
            let exit = tokio::time::timeout(EXIT_DEADLINE, self.context.supervisor.exited(pid)).await;
            let how = exit.ok().and_then(Result::ok).map(|exit| format!(" ({exit})"));
            return Err(self.died(format!("the actor {actor}{}", how.unwrap_or_default())));
        }
        answer
    }
}
