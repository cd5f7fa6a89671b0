//! Faults: begun, undone, and on record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Session;
use crate::actor::Trouble;
use crate::case::{CLIENT, Fault, Link, Server as Kind, Trigger};
use crate::error::{Error, Result};
use crate::probe::rows;
use crate::proxy::Faults;
use crate::runner::event::{FaultReport, seconds};
use crate::runner::server::Server;
use crate::service::redis::{Memory, Redis};

/// Between two looks at how much has passed: a statement takes longer.
const STRIKE_POLL: Duration = Duration::from_micros(200);

/// A fault that lasts.
#[derive(Debug)]
pub struct Lasting {
    fault: Fault,
    /// Its place among the reports.
    report: usize,
    undo: Undo,
}

/// What ends a fault.
#[derive(Debug)]
enum Undo {
    /// It was over at once.
    Nothing,
    /// The server is started again.
    Start(Kind),
    /// The server goes on.
    Resume(Kind),
    /// What stands between is as before.
    Links(Vec<Faults>),
    /// Redis has the memory that it had.
    Memory(Memory),
}

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
    Postgres(Arc<Server>),
    Redis(Arc<Redis>),
}

impl Session<'_> {
    /// Begins a fault. Undone by [`Session::undo`].
    pub async fn begin(&mut self, fault: &Fault, line: usize) -> Result<Lasting, Trouble> {
        let report = self.record(fault, line, Instant::now());
        let undo = self.strike(fault).await?;
        self.disturbed = true;
        Ok(self.keep(fault, report, undo))
    }

    fn keep(&mut self, fault: &Fault, report: usize, undo: Undo) -> Lasting {
        match undo {
            Undo::Nothing => self.close_record(report),
            _ => self.under_way += 1,
        }
        Lasting { fault: fault.clone(), report, undo }
    }

    async fn strike(&mut self, fault: &Fault) -> Result<Undo, Trouble> {
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
                let ended = self.client().map_err(Trouble::Refused)?.query(statement, &[&name]).await;
                ended.map_err(|error| Trouble::Refused(rows::message(&error)))?;
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
    async fn suffered(&mut self, fault: &Fault) -> Result<Undo, Trouble> {
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
    pub async fn undo(&mut self, lasting: Lasting) -> Result<(), Trouble> {
        match lasting.undo {
            Undo::Nothing => return Ok(()),
            Undo::Start(server) => {
                match self.target(server)? {
                    Target::Postgres(server) => server.postgres.start().await?,
                    Target::Redis(redis) => redis.start().await?,
                }
                self.restarted(server).await?;
            }
            Undo::Resume(server) => match self.target(server)? {
                Target::Postgres(server) => server.postgres.resume().await?,
                Target::Redis(redis) => redis.resume().await?,
            },
            Undo::Links(links) => {
                for link in &links {
                    restore(link, &lasting.fault);
                }
            }
            Undo::Memory(memory) => self.redis()?.restore(&memory).await?,
        }
        self.under_way -= 1;
        self.close_record(lasting.report);
        Ok(())
    }

    /// A fault that waits for its moment.
    pub async fn lie_in_wait(&mut self, fault: &Fault, trigger: &Trigger) -> Result<Strike, Trouble> {
        let [server] = fault.servers()[..] else {
            return Err(Trouble::Refused(format!("{fault} strikes no server")));
        };
        let link = Link { actor: trigger.actor.clone(), server };
        let faults = self.link(&link).await?;
        let at = faults.statements() + trigger.statements;
        self.disturbed = true;
        Ok(Strike { faults, at, fault: fault.clone(), target: self.target(server)? })
    }

    /// Takes over what a trigger did.
    pub async fn struck(&mut self, fault: &Fault, line: usize, at: Instant) -> Result<Lasting, Trouble> {
        let report = self.record(fault, line, at);
        let undo = self.suffered(fault).await?;
        Ok(self.keep(fault, report, undo))
    }

    fn record(&mut self, fault: &Fault, line: usize, at: Instant) -> usize {
        let began = seconds(at.saturating_duration_since(self.opened));
        self.faults.push(FaultReport { fault: fault.to_string(), line, began, ended: None });
        self.faults.len() - 1
    }

    fn close_record(&mut self, report: usize) {
        self.faults[report].ended = Some(seconds(self.opened.elapsed()));
    }

    fn target(&self, server: Kind) -> Result<Target, Trouble> {
        Ok(match server {
            Kind::Postgres => Target::Postgres(Arc::clone(&self.server)),
            Kind::Redis => Target::Redis(self.redis()?),
        })
    }

    fn redis(&self) -> Result<Arc<Redis>, Trouble> {
        let redis = self.redis.clone().ok_or_else(|| Error::bug("a fault on Redis, and the arm has none"))?;
        Ok(redis)
    }

    /// The harness's own connections went with the server.
    async fn restarted(&mut self, server: Kind) -> Result<(), Trouble> {
        if server == Kind::Postgres {
            self.statistics_lost = true;
            self.reconnect().await?;
        }
        Ok(())
    }

    async fn link(&mut self, link: &Link) -> Result<Faults, Trouble> {
        let wire = self.wire_of(&link.actor).await?;
        match link.server {
            Kind::Postgres => Ok(wire.postgres.faults().clone()),
            Kind::Redis => match &wire.redis {
                Some(redis) => Ok(redis.faults().clone()),
                None => Err(Error::bug("a fault on Redis, and the arm has none").into()),
            },
        }
    }

    /// What stands between a server and one actor, or every actor of the case.
    async fn links(&mut self, server: Kind, from: Option<&str>) -> Result<Vec<Faults>, Trouble> {
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
    pub fn wait(self) -> (impl Fn() -> bool, JoinHandle<Result<Instant, Trouble>>) {
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
    async fn suffer(&self, fault: &Fault) -> Result<()> {
        match (self, fault) {
            (Self::Postgres(server), Fault::Kill { .. }) => server.postgres.kill().await,
            (Self::Postgres(server), Fault::Stop { .. }) => server.postgres.stop().await,
            (Self::Postgres(server), Fault::Pause { .. }) => server.postgres.pause().await,
            (Self::Postgres(server), _) => {
                server.postgres.kill().await?;
                server.postgres.start().await
            }
            (Self::Redis(redis), Fault::Kill { .. }) => redis.kill().await,
            (Self::Redis(redis), Fault::Stop { .. }) => redis.stop().await,
            (Self::Redis(redis), Fault::Pause { .. }) => redis.pause().await,
            (Self::Redis(redis), _) => {
                redis.kill().await?;
                redis.start().await
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
