//! What all arms of a run share: services, environments, zygotes, templates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dj_regress_protocol::{ActorKind, Enter, Hold, Reply, Request};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;

use super::alone::is_alone;
use super::code::CodeSource;
use super::reference::References;
use super::shared_redis::SharedRedis;
use super::template_server::TemplateServer;
use crate::actor::{Process, StateCode, StepError, Tree, Zygote};
use crate::case;
use crate::clock::{Clock, Clocks};
use crate::error::{Context as _, Error, Result};
use crate::proxy::{ServerClock, TimeAsked};
use crate::python::mismatch;
use crate::service::postgres::{Postgres, PostgresWants};
use crate::service::supervisor::Supervisor;
use crate::service::{Services, write_private};

/// The name of an arm's clock in its folder.
pub const CLOCK: &str = "clock";

/// What all arms share.
pub struct RunContext {
    /// What states run.
    pub code: Arc<CodeSource>,
    /// Where servers come from.
    pub services: Services,
    /// Owner of all processes.
    pub supervisor: Supervisor,
    /// The run's server, for arms that want none of their own.
    pub server: Arc<TemplateServer>,
    /// The Redis whose databases arms take, where somebody else runs it.
    pub redis: Option<SharedRedis>,
    /// All Python processes.
    pub tree: Tree,
    /// The clocks of the arms.
    pub clocks: Arc<Clocks>,
    /// The run's private folder.
    pub folder: PathBuf,
    /// Servers that are being left.
    leaving: AsyncMutex<JoinSet<Result<()>>>,
    /// The table whose writers are asked for, by `explain --writes`.
    pub writes_of: Option<String>,
    /// How long waits took in the arms that others are held against.
    pub references: References,
}

impl RunContext {
    /// Puts the shared pieces together; the services answer already.
    #[expect(clippy::too_many_arguments, reason = "everything that a run has is gathered here, once")]
    pub fn new(
        code: Arc<CodeSource>,
        services: Services,
        supervisor: Supervisor,
        (server, redis): (Arc<TemplateServer>, Option<SharedRedis>),
        (tree, clocks): (Tree, Arc<Clocks>),
        folder: PathBuf,
        writes_of: Option<String>,
        references: References,
    ) -> Self {
        Self {
            code,
            services,
            supervisor,
            server,
            redis,
            tree,
            clocks,
            folder,
            leaving: AsyncMutex::default(),
            writes_of,
            references,
        }
    }

    /// Checks that a fix is no more than its edits.
    pub async fn adds_up(&self, code: &StateCode, zygote: &Zygote) -> Result<(), StepError> {
        if code.remainder.is_empty() {
            return Ok(());
        }
        match self.tree.ask(zygote, &Request::Compare(code.remainder.clone())).await? {
            Reply::Compared(files) if !files.is_empty() => Err(StepError::Refused(format!(
                "taking every edit back does not give the reverted syntax tree of {}: the edits are not all of the fix",
                files.join(", ")
            ))),
            _ => Ok(()),
        }
    }

    /// Forks an actor and checks that it runs this state's code.
    pub async fn enter(&self, code: &StateCode, zygote: &Zygote, entry: Placement<'_>) -> Result<Process, StepError> {
        let Placement { folder, directory, service, log, actor, kind, holds, holds_file, first } = entry;
        fs::create_dir_all(directory).cannot_run(|| format!("make {}", directory.display()))?;
        let service_file = directory.join(".service");
        write_private(&service_file, &service).cannot_run(|| format!("write {}", service_file.display()))?;
        let mut process = self.tree.fork(zygote, actor).await?;
        let text = |path: &Path| path.display().to_string();
        let enter = Enter {
            actor: actor.to_owned(),
            kind,
            directory: text(directory),
            service_file: text(&service_file),
            ledger: text(&folder.join("ledger")),
            journal: text(&folder.join("journal")),
            holds,
            holds_file: text(holds_file),
            clock: text(&folder.join(CLOCK)),
            log: text(log),
            watch: code.prepare.watch.clone(),
            world: Some(self.tree.world(folder, first, &code.prepare)?),
        };
        let entered = process.ask(&Request::Enter(enter)).await;
        let wrong = match &entered {
            Ok(Reply::Entered(loaded)) => mismatch(&code.overlay.expected, loaded).map(StepError::WrongCode),
            Ok(_) => Some(StepError::Died(format!("{actor} gave a reply to another request and"))),
            Err(trouble) => Some(trouble.clone()),
        };
        match wrong {
            None => Ok(process),
            Some(trouble) => {
                self.supervisor.end_sessions(&[process.hello.pid]).await?;
                Err(trouble)
            }
        }
    }

    /// The server of an arm: the run's, or one of its own where the state says something of it, hurts it, or is about all
    /// databases of it.
    pub async fn server_for(&self, state: &case::State) -> Result<Arc<TemplateServer>> {
        if !is_alone(state) {
            return Ok(Arc::clone(&self.server));
        }
        let said = &state.services.postgres;
        let wants = PostgresWants {
            image: said.image.clone(),
            settings: said.settings.clone().into_iter().collect(),
            private: true,
        };
        Ok(Arc::new(TemplateServer::new(self.services.postgres(&wants).await?)))
    }

    /// Leaves an arm's server, without anyone waiting for it: its database is dropped, or the arm's own server ended.
    pub async fn leave(&self, server: Arc<TemplateServer>, database: String) {
        let is_own = !Arc::ptr_eq(&server, &self.server);
        self.leaving.lock().await.spawn(async move {
            if !is_own {
                return match server.postgres.drop_database(&database).await {
                    // It goes with the server, or is dropped when its arm is played again.
                    Err(_) if server.has_died(0).await => Ok(()),
                    dropped => dropped,
                };
            }
            match Arc::into_inner(server) {
                Some(own) => own.postgres.finish().await,
                None => Err(Error::bug("somebody still holds the server of an arm that is over")),
            }
        });
    }

    /// Waits until every server is left.
    pub async fn settle(&self) -> Result<()> {
        let mut leaving = self.leaving.lock().await;
        while let Some(dropped) = leaving.join_next().await {
            dropped.cannot_run(|| "leave a server".to_owned())??;
        }
        Ok(())
    }
}

/// Where an actor enters: the place where folder, servers and log meet.
pub struct Placement<'e> {
    /// The arm's folder.
    pub folder: &'e Path,
    /// The actor's own: its working directory.
    pub directory: &'e Path,
    /// The text of libpq's service file.
    pub service: String,
    /// The arm's log.
    pub log: &'e Path,
    /// The actor's name in the case.
    pub actor: &'e str,
    /// What it does.
    pub kind: ActorKind,
    /// Its holds.
    pub holds: Vec<Hold>,
    /// Where they are armed.
    pub holds_file: &'e Path,
    /// The first process of the arm, whose world it joins; none, if it is the first.
    pub first: Option<u32>,
}

/// Whose time the backends of a proxy's clients have.
pub fn server_clock(postgres: &Postgres, clock: &Arc<Clock>) -> ServerClock {
    postgres.backends(clock).map_or_else(|| ServerClock::Machine(TimeAsked::default()), ServerClock::Arm)
}
