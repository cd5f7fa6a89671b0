//! Faults: begun, undone, and on record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Session;
use super::lasting::{Lasting, Undo};
use crate::actor::StepError;
use crate::case::{CLIENT, Fault, Link, Server, Step, Trigger};
use crate::deadline;
use crate::error::{Error, Result};
use crate::probe::sql;
use crate::proxy::Faults;
use crate::runner::template_server::TemplateServer;
use crate::service::redis::Redis;
use crate::service::{Change, Lifecycle as _};

/// Between two looks at how much has passed: a statement takes longer.
const STRIKE_POLL: Duration = Duration::from_micros(200);

/// What a trigger does when it strikes: it holds what it needs, for the steps go on meanwhile.
pub struct Strike {
    faults: Faults,
    /// Strikes when so many have passed.
    at: u64,
    fault: Fault,
    target: Target,
}

#[derive(Clone)]
enum Target {
    Postgres(Arc<TemplateServer>),
    Redis(Arc<Redis>),
}

impl Session<'_> {
    /// Begins a fault. Undone by [`Session::undo`].
    pub async fn begin(&mut self, fault: &Fault, step: &Step) -> Result<Lasting, StepError> {
        let report = self.record.fault_begins(step, Instant::now());
        let undo = self.strike(fault).await?;
        self.disturb(fault);
        Ok(self.keep(fault, report, undo))
    }

    /// Notes whom a fault reaches: of a link its actor, of a server everybody.
    fn disturb(&mut self, fault: &Fault) {
        match fault {
            Fault::Terminate { actor } | Fault::Refuse { from: Some(actor), .. } => {
                self.record.disturbed.add([actor.as_str()]);
            }
            Fault::Latency { link, .. }
            | Fault::Bandwidth { link, .. }
            | Fault::Cut { link, .. }
            | Fault::Reset { link }
            | Fault::BlackHole { link }
            | Fault::Partition { link } => self.record.disturbed.add([link.actor.as_str()]),
            _ => self.record.disturbed.all(),
        }
    }

    fn keep(&mut self, fault: &Fault, report: usize, undo: Undo) -> Lasting {
        match undo {
            Undo::Nothing => self.record.fault_ends(report),
            _ => self.under_way += 1,
        }
        Lasting { fault: fault.clone(), report, undo }
    }

    async fn strike(&mut self, fault: &Fault) -> Result<Undo, StepError> {
        Ok(match fault {
            Fault::Kill { server, .. }
            | Fault::Stop { server, .. }
            | Fault::Restart { server, .. }
            | Fault::Pause { server, .. } => {
                self.target(*server)?.suffer(fault).await?;
                self.suffered(fault).await?
            }
            Fault::Terminate { actor } => {
                let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name = $1";
                let name = format!("dj-regress/{actor}");
                let client = self.servers.client().map_err(StepError::Refused)?;
                let end = async { client.query(statement, &[&name]).await.map_err(|error| sql::message(&error)) };
                deadline::answer("end backends", end).await.map_err(StepError::Refused)?;
                Undo::Nothing
            }
            Fault::Refuse { server, from } => {
                let links = self.links(*server, from.as_deref()).await?;
                for link in &links {
                    link.refuse(true);
                }
                Undo::Links(links)
            }
            Fault::Latency { link, latency, jitter } => {
                let link = self.link(link).await?;
                link.latency(Some((*latency, *jitter)));
                Undo::Links(vec![link])
            }
            Fault::Bandwidth { link, bytes_per_second } => {
                let link = self.link(link).await?;
                link.bandwidth(Some(*bytes_per_second));
                Undo::Links(vec![link])
            }
            Fault::Cut { link, at } => {
                let link = self.link(link).await?;
                link.cut(Some(*at));
                Undo::Links(vec![link])
            }
            Fault::Reset { link } => {
                self.link(link).await?.reset();
                Undo::Nothing
            }
            Fault::BlackHole { link } => {
                let link = self.link(link).await?;
                link.black_hole(true);
                Undo::Links(vec![link])
            }
            Fault::Partition { link } => {
                let link = self.link(link).await?;
                link.partition(true);
                Undo::Links(vec![link])
            }
            Fault::Fill => Undo::Memory(self.redis()?.fill().await?),
            Fault::Flush => {
                self.redis()?.flush().await?;
                Undo::Nothing
            }
            Fault::Evict => {
                self.redis()?.evict().await?;
                Undo::Nothing
            }
        })
    }

    /// What is to be undone of a fault that a server has suffered; one that is over has connections made again.
    async fn suffered(&mut self, fault: &Fault) -> Result<Undo, StepError> {
        Ok(match fault {
            Fault::Kill { server, .. } | Fault::Stop { server, .. } => Undo::Start(*server),
            Fault::Pause { server, .. } => Undo::Resume(*server),
            Fault::Restart { server, .. } => {
                self.restarted(*server).await?;
                Undo::Nothing
            }
            _ => Undo::Nothing,
        })
    }

    /// Puts things back as they were.
    pub async fn undo(&mut self, lasting: Lasting) -> Result<(), StepError> {
        match lasting.undo {
            Undo::Nothing => return Ok(()),
            Undo::Start(server) => {
                self.target(server)?.change(Change::Start).await?;
                self.restarted(server).await?;
            }
            Undo::Resume(server) => self.target(server)?.change(Change::Resume).await?,
            Undo::Links(links) => {
                for link in &links {
                    restore(link, &lasting.fault);
                }
            }
            Undo::Memory(memory) => self.redis()?.restore(&memory).await?,
        }
        self.under_way -= 1;
        self.record.fault_ends(lasting.report);
        Ok(())
    }

    /// Keeps a fault until the arm ends.
    pub fn last(&mut self, lasting: Lasting) {
        self.lasting.push(lasting);
    }

    /// Undoes the faults that last, the last one first.
    pub async fn undo_all(&mut self) -> Result<(), StepError> {
        while let Some(lasting) = self.lasting.pop() {
            self.undo(lasting).await?;
        }
        Ok(())
    }

    /// A fault that waits for its moment.
    pub async fn lie_in_wait(&mut self, fault: &Fault, trigger: &Trigger) -> Result<Strike, StepError> {
        let [server] = fault.servers()[..] else {
            return Err(StepError::Refused("the fault strikes no server".to_owned()));
        };
        let link = Link { actor: trigger.actor.clone(), server };
        let faults = self.link(&link).await?;
        let at = faults.statements() + trigger.statements;
        self.disturb(fault);
        Ok(Strike { faults, at, fault: fault.clone(), target: self.target(server)? })
    }

    /// Takes over what a trigger did.
    pub async fn struck(&mut self, fault: &Fault, step: &Step, at: Instant) -> Result<Lasting, StepError> {
        let report = self.record.fault_begins(step, at);
        let undo = self.suffered(fault).await?;
        Ok(self.keep(fault, report, undo))
    }

    fn target(&self, server: Server) -> Result<Target, StepError> {
        Ok(match server {
            Server::Postgres => Target::Postgres(Arc::clone(&self.servers.server)),
            Server::Redis => Target::Redis(self.redis()?),
        })
    }

    fn redis(&self) -> Result<Arc<Redis>, StepError> {
        let redis = self.servers.redis.clone().ok_or_else(|| Error::bug("a fault on Redis, and the arm has none"))?;
        Ok(redis)
    }

    /// The harness's own connections went with the server.
    async fn restarted(&mut self, server: Server) -> Result<(), StepError> {
        if server == Server::Postgres {
            self.servers.statistics_lost = true;
            self.servers.reconnect().await?;
        }
        Ok(())
    }

    async fn link(&mut self, link: &Link) -> Result<Faults, StepError> {
        let wire = self.wire_of(&link.actor).await?;
        match link.server {
            Server::Postgres => Ok(wire.postgres.faults().clone()),
            Server::Redis => match &wire.redis {
                Some(redis) => Ok(redis.faults().clone()),
                None => Err(Error::bug("a fault on Redis, and the arm has none").into()),
            },
        }
    }

    /// What stands between a server and one actor, or every actor of the case.
    async fn links(&mut self, server: Server, from: Option<&str>) -> Result<Vec<Faults>, StepError> {
        let actors: Vec<String> = match from {
            Some(actor) => vec![actor.to_owned()],
            None => self.state.actors.keys().cloned().chain([CLIENT.to_owned()]).collect(),
        };
        let mut links = Vec::new();
        for actor in actors {
            links.push(self.link(&Link { actor, server }).await?);
        }
        Ok(links)
    }
}

impl Strike {
    /// Waits for the moment beside the steps, and strikes; gives when it did. The other value tells whether the moment has
    /// come.
    pub fn wait(self) -> (impl Fn() -> bool, JoinHandle<Result<Instant, StepError>>) {
        let (faults, at) = (self.faults.clone(), self.at);
        let waiting = tokio::spawn(async move {
            while self.faults.statements() < self.at {
                tokio::time::sleep(STRIKE_POLL).await;
            }
            let at = Instant::now();
            self.target.suffer(&self.fault).await?;
            Ok(at)
        });
        (move || faults.statements() >= at, waiting)
    }
}

impl Target {
    async fn change(&self, change: Change) -> Result<()> {
        match self {
            Self::Postgres(server) => server.postgres.change(change).await,
            Self::Redis(redis) => redis.change(change).await,
        }
    }

    async fn suffer(&self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Kill { .. } => self.change(Change::Kill).await,
            Fault::Stop { .. } => self.change(Change::Stop).await,
            Fault::Pause { .. } => self.change(Change::Pause).await,
            _ => {
                self.change(Change::Kill).await?;
                self.change(Change::Start).await
            }
        }
    }
}

fn restore(link: &Faults, fault: &Fault) {
    match fault {
        Fault::Refuse { .. } => link.refuse(false),
        Fault::Latency { .. } => link.latency(None),
        Fault::Bandwidth { .. } => link.bandwidth(None),
        Fault::Cut { .. } => link.cut(None),
        Fault::BlackHole { .. } => link.black_hole(false),
        Fault::Partition { .. } => link.partition(false),
        _ => {}
    }
}
