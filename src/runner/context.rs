//! What all arms of a run share: services, environments, zygotes, templates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dj_regress_protocol::{ActorKind, Enter, Hold, Prepare, Reply, Request, Texts};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;

use super::alone::is_alone;
use super::clock::{Clock, Pace};
use super::reference::References;
use super::template_server::TemplateServer;
use crate::actor::{Process, StateCode, StepError, Tree, Zygote, worker};
use crate::cache::Cache;
use crate::case::{self, Change};
use crate::error::{Context as _, Error, Result};
use crate::plan::State;
use crate::probe::ledger::PROBE;
use crate::proxy::PostgresProxy;
use crate::python::{Environments, Overlay, Refusal, Sources, mismatch};
use crate::service::postgres::PostgresWants;
use crate::service::supervisor::Supervisor;
use crate::service::{Services, write_private};

/// The package that most cases are about, and the app that drives it: always watched.
const WATCHED: &[&str] = &["django_q", "shop"];

/// What all arms share.
pub struct RunContext {
    cache: Cache,
    environments: Arc<Environments>,
    /// Where servers come from.
    pub services: Services,
    /// Owner of all processes.
    pub supervisor: Supervisor,
    /// The run's server, for arms that want none of their own.
    pub server: Arc<TemplateServer>,
    /// All Python processes.
    pub tree: Tree,
    /// The run's private folder.
    pub folder: PathBuf,
    shop: PathBuf,
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
        cache: Cache,
        environments: Arc<Environments>,
        services: Services,
        supervisor: Supervisor,
        server: Arc<TemplateServer>,
        tree: Tree,
        folder: PathBuf,
        writes_of: Option<String>,
        references: References,
    ) -> Result<Self> {
        let shop = worker::shop(&cache)?;
        Ok(Self {
            cache,
            environments,
            services,
            supervisor,
            server,
            tree,
            folder,
            shop,
            leaving: AsyncMutex::default(),
            writes_of,
            references,
        })
    }

    /// The code of a state: environment, overlay, settings. Blocks on the file system, and on the
    /// network where something is not cached.
    pub fn code(&self, resolved: &case::State, state: &State, python: Option<&str>) -> Result<StateCode, Refused> {
        let environment = self.environments.get(&resolved.packages, python)?;
        let mut base = Sources::new(vec![self.shop.clone(), environment.site_packages.clone()]);
        let app = resolved.app.as_ref();
        if let Some(app) = app {
            base.own(&app.package, &app.root);
        }
        let (sources, remainder) = self.change(&base, resolved, state)?;
        let app = app.map(|app| app.package.as_str());
        let watched = WATCHED.iter().copied().chain(app);
        let watch: Vec<&str> = watched.filter(|package| sources.root_of(package).is_some()).collect();
        let overlay = Overlay::build(&self.cache, &sources, &watch)?;
        let folders = overlay.folders.iter().chain([&self.shop]);
        let prepare = Prepare {
            sys_path: folders.map(|folder| folder.display().to_string()).collect(),
            settings_module: "shop.settings".to_owned(),
            settings: resolved.settings.clone().into_iter().collect(),
            env: resolved.env.clone().into_iter().collect(),
            watch: overlay.expected.keys().cloned().collect(),
            app: app.map(str::to_owned),
            world: None,
        };
        Ok(StateCode { environment, overlay, prepare, remainder })
    }

    /// A state's sources: what the base changes, then `take`, `patch` and `edits` put on, single edits taken back. Edits name
    /// spans of what `take` and `patch` made; without those they make the change themselves.
    ///
    /// Also what is left of the change when every edit is taken back, as texts of both sides: it
    /// must be the same syntax tree, or the ablation would not be of this fix.
    fn change(&self, base: &Sources, resolved: &case::State, state: &State) -> Result<(Sources, Vec<Texts>), Refused> {
        let mut broken = base.clone();
        let own = &resolved.base;
        if let Some(take) = &own.take {
            broken.files_from(take, &self.environments.wheel(take)?)?;
        }
        if let Some(patch) = &own.patch {
            broken.patch(patch)?;
        }
        broken.are_apart(&own.edits, |edit| &edit.reverted)?;
        for (name, edit) in &own.edits {
            broken.apply(name, edit)?;
        }
        let base = &broken;
        let mut sources = base.clone();
        let Change { take, patch, edits, .. } = &resolved.change;
        if let Some(take) = take {
            sources.files_from(take, &self.environments.wheel(take)?)?;
        }
        if let Some(patch) = patch {
            sources.patch(patch)?;
        }
        if take.is_none() && patch.is_none() {
            sources.are_apart(edits, |edit| &edit.reverted)?;
            for (name, edit) in edits.iter().filter(|(name, _)| state.has_edit(name)) {
                sources.apply(name, edit)?;
            }
            return Ok((sources, Vec::new()));
        }
        sources.are_apart(edits, |edit| &edit.applied)?;
        let mut all_taken_back = sources.clone();
        for (name, edit) in edits {
            all_taken_back.take_back(name, edit)?;
            if !state.has_edit(name) {
                sources.take_back(name, edit)?;
            }
        }
        let differences = if edits.is_empty() { Vec::new() } else { base.differences(&all_taken_back) };
        let remainder = differences.into_iter().map(|(file, one, other)| Texts { file, one, other }).collect();
        Ok((sources, remainder))
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

    /// Sees to it that a server has a template for this zygote's state, migrating one if need be.
    pub async fn template(&self, server: &TemplateServer, code: &StateCode, zygote: &Zygote) -> Result<(), StepError> {
        let key = &zygote.template_key();
        let postgres = &server.postgres;
        let build = async || {
            let database = postgres.create_template_database(key).await?;
            let folder = tempfile::Builder::new().prefix("template-").tempdir_in(&self.folder);
            let folder = folder.cannot_run(|| format!("make a folder in {}", self.folder.display()))?;
            let folder = folder.path();
            let _clock = Clock::create(&folder.join("clock"), Pace::Goes)?;
            let proxy = match postgres.folder() {
                Some(_) => None,
                // Nobody in a world reaches another server than a socket.
                None => Some(PostgresProxy::start(postgres.upstream(), folder).await?),
            };
            let service = match &proxy {
                Some(proxy) => postgres.service_file(proxy.host(), &database),
                None => postgres.direct_service_file(&database),
            };
            let entry = Placement {
                folder,
                directory: folder,
                service,
                log: &folder.join("log"),
                actor: PROBE,
                kind: ActorKind::Python { module: String::new() },
                holds: Vec::new(),
                holds_file: &folder.join("holds"),
                server: postgres.folder(),
                first: None,
            };
            let mut process = self.enter(code, zygote, entry).await?;
            let migrated = process.ask(&Request::Migrate).await;
            self.supervisor.end_sessions(&[process.hello.pid]).await?;
            migrated?;
            Ok::<(), StepError>(postgres.seal_template(key).await?)
        };
        server.template(key, build).await
    }

    /// Forks an actor and checks that it runs this state's code.
    pub async fn enter(&self, code: &StateCode, zygote: &Zygote, entry: Placement<'_>) -> Result<Process, StepError> {
        let Placement { folder, directory, service, log, actor, kind, holds, holds_file, server, first } = entry;
        fs::create_dir_all(directory).cannot_run(|| format!("make {}", directory.display()))?;
        let service_file = directory.join("service");
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
            clock: text(&folder.join("clock")),
            log: text(log),
            watch: code.prepare.watch.clone(),
            world: Some(self.tree.world(folder, server.as_deref(), first, &code.prepare)?),
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
    /// The folder with the socket of the arm's server, where it is reached without a proxy.
    pub server: Option<PathBuf>,
    /// The first process of the arm, whose world it joins; none, if it is the first.
    pub first: Option<u32>,
}

/// Why a state's code could not be put together.
#[derive(Debug)]
pub enum Refused {
    /// The change cannot be made on this base: a finding about the fix.
    Change(Refusal),
    /// The machine could not do it.
    Machine(Error),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Change(refusal)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Machine(error)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Change(refusal) => refusal.fmt(f),
            Self::Machine(error) => error.fmt(f),
        }
    }
}
