//! The zygote tree: a warm interpreter per environment, forked into one set-up process per state,
//! forked into actors.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dj_regress_protocol::{Fork, Prepare, Prepared, Reply, Request, Texts};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use super::process::{Control, Process, StepError};
use crate::deadline;
use crate::error::{Error, Result};
use crate::python::{Environment, Overlay, mismatch};
use crate::service::supervisor::{Spawn, Supervisor};

/// Imported into an environment's first process, so that every copy has what needs no settings.
const PRELOAD: &str = "dj_regress.preload";

/// What [`PRELOAD`] imports: a state that has another one of these starts from a bare interpreter.
const PRELOADED: &[&str] = &["django", "psycopg", "picklefield", "time_machine"];

/// The code and settings of a state, as processes need them.
#[derive(Debug, Clone)]
pub struct StateCode {
    /// The environment that it runs in.
    pub environment: Environment,
    /// What is put over it.
    pub overlay: Overlay,
    /// What its zygote is told.
    pub prepare: Prepare,
    /// What is left of the change when every edit is taken back, against the base.
    pub remainder: Vec<Texts>,
}

impl StateCode {
    /// Two states with the same key can share a zygote.
    fn key(&self) -> String {
        let prepare = serde_json::to_string(&self.prepare).unwrap_or_default();
        format!("{} {prepare}", self.environment.id)
    }
}

/// A process with a state's code loaded and Django set up, from which actors are forked.
#[derive(Debug)]
pub struct Zygote {
    process: Mutex<Process>,
    /// What it said when it was set up.
    pub prepared: Prepared,
    /// `platform.python_version()`.
    pub python: String,
}

impl Zygote {
    /// A name for the template of this state that a database can bear: 128 bits of its hash.
    pub fn template_key(&self) -> String {
        format!("t{}", self.prepared.template.get(..32).unwrap_or(&self.prepared.template))
    }
}

type Shared<T> = SyncMutex<HashMap<String, Arc<OnceCell<Arc<T>>>>>;

/// All Python processes of a run.
pub struct Tree {
    supervisor: Supervisor,
    control: Control,
    run_folder: PathBuf,
    worker: PathBuf,
    environments: Shared<Mutex<Process>>,
    states: Shared<Zygote>,
    names: AtomicU64,
    /// Nanoseconds spent on making zygotes.
    spent: AtomicU64,
}

impl Tree {
    /// A tree whose processes live below this supervisor and load the worker package in `worker`.
    pub fn new(supervisor: Supervisor, run_folder: PathBuf, worker: PathBuf) -> Result<Self> {
        let control = Control::listen(&run_folder)?;
        Ok(Self {
            supervisor,
            control,
            run_folder,
            worker,
            environments: Shared::default(),
            states: Shared::default(),
            names: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        })
    }

    /// Time spent on making zygotes so far.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// The zygote of a state; made when first asked for. What it loaded is checked against what was
    /// expected: a process that imported other code must not be measured.
    pub async fn zygote(&self, code: &StateCode) -> Result<Arc<Zygote>, StepError> {
        let slot = slot(&self.states, code.key());
        let zygote = slot.get_or_try_init(|| async {
            let start = Instant::now();
            let mut process = self.fork_environment(code).await?;
            let Reply::Prepared(prepared) = process.ask(&Request::Prepare(code.prepare.clone())).await? else {
                return Err(unexpected(&process));
            };
            if let Some(why) = mismatch(&code.overlay.expected, &prepared.code) {
                return Err(StepError::WrongCode(why));
            }
            let python = process.hello.python.clone();
            self.spent.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            Ok(Arc::new(Zygote { process: Mutex::new(process), prepared, python }))
        });
        zygote.await.cloned()
    }

    /// Asks a zygote something that does not change it.
    pub async fn ask(&self, zygote: &Zygote, request: &Request) -> Result<Reply, StepError> {
        zygote.process.lock().await.ask(request).await
    }

    /// Forks a copy of a zygote. It leads a session of its own: its id is the session's.
    pub async fn fork(&self, zygote: &Zygote, what: &str) -> Result<Process, StepError> {
        let mut process = zygote.process.lock().await;
        self.fork_process(&mut process, what).await
    }

    async fn fork_environment(&self, code: &StateCode) -> Result<Process, StepError> {
        // An overlay of Django itself must be imported before any other Django: such a state gets
        // an interpreter that has not seen one.
        let overlaid = |package: &str| code.overlay.folders.iter().any(|folder| folder.join(package).exists());
        if PRELOADED.iter().any(|package| overlaid(package)) {
            return Ok(self.spawn(&code.environment).await?);
        }
        let environment = self.warm(&code.environment).await?;
        self.fork_process(&mut *environment.lock().await, "state").await
    }

    /// An interpreter of this environment that has imported what needs no settings.
    pub async fn warm(&self, environment: &Environment) -> Result<Arc<Mutex<Process>>, StepError> {
        let slot = slot(&self.environments, environment.id.clone());
        let process = slot.get_or_try_init(|| async {
            let mut process = self.spawn(environment).await?;
            process.ask(&Request::Import(vec![PRELOAD.to_owned()])).await?;
            Ok::<_, StepError>(Arc::new(Mutex::new(process)))
        });
        process.await.cloned()
    }

    async fn fork_process(&self, process: &mut Process, what: &str) -> Result<Process, StepError> {
        let name = self.name(what);
        let hello = self.control.expect(&name);
        process.ask(&Request::Fork(Fork { name: name.clone() })).await?;
        match timeout(deadline::step(), hello).await {
            Ok(Ok(copy)) => Ok(copy),
            Ok(Err(_)) => Err(StepError::Died(format!("the copy {name}"))),
            Err(_) => Err(StepError::Late(format!("the copy {name}"))),
        }
    }

    /// Starts a bare interpreter of an environment, below the supervisor.
    async fn spawn(&self, environment: &Environment) -> Result<Process> {
        let name = self.name("python");
        let hello = self.control.expect(&name);
        let log = self.run_folder.join(format!("{name}.log"));
        let command = vec![
            environment.python.display().to_string(),
            // Isolated: the user's PYTHON* variables and folder must not decide what an arm runs.
            "-I".to_owned(),
            self.worker.join("dj_regress/__main__.py").display().to_string(),
            self.control.socket.display().to_string(),
            name.clone(),
        ];
        let mut spawn = Spawn::new(&name, command, &self.run_folder, &log);
        // The app reads these; the case says what they are.
        for unwanted in ["DJANGO_SETTINGS_MODULE", "Q_CLUSTER_NAME"] {
            spawn.environment.insert(unwanted.to_owned(), None);
        }
        for (variable, _) in std::env::vars_os() {
            // libpq reads all of these; an arm's database comes from its service file alone.
            if let Some(variable) = variable.to_str().filter(|variable| variable.starts_with("PG")) {
                spawn.environment.insert(variable.to_owned(), None);
            }
        }
        let pid = self.supervisor.spawn(spawn).await?;
        let told = || std::fs::read_to_string(&log).unwrap_or_default().trim_end().to_owned();
        tokio::select! {
            hello = hello => hello.map_err(|_| Error::bug("the control socket closed")),
            exit = self.supervisor.exited(pid) => {
                let how = exit.map_or_else(|error| error.message, |exit| exit.to_string());
                Err(Error::cannot_run(format!("{} ended at once ({how}): {}", environment.python.display(), told())))
            }
            () = tokio::time::sleep(deadline::step()) => {
                Err(deadline::passed(deadline::step(), &format!("start {}: {}", environment.python.display(), told())))
            }
        }
    }

    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}

fn slot<T>(shared: &Shared<T>, key: String) -> Arc<OnceCell<Arc<T>>> {
    shared.lock().entry(key).or_default().clone()
}

fn unexpected(process: &Process) -> StepError {
    StepError::Died(format!("the process {} gave a reply to another request and", process.hello.name))
}
