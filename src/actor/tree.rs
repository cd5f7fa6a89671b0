//! The zygote tree: a warm interpreter per environment, forked into one set-up process per state,
//! forked into actors.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dj_regress_protocol::clock::Pace;
use dj_regress_protocol::{Fork, Prepare, Prepared, Reply, Request, Texts, World};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use super::process::{Control, Process, StepError};
use super::world::{Wanted, Worlds};
use crate::clock::{Clock, Clocks, PRELOAD_VARIABLE, START};
use crate::deadline;
use crate::error::{Context as _, Error, Result};
use crate::python::{Environment, Overlay, mismatch};
use crate::service::supervisor::{PATH, Spawn, Supervisor};

/// Imported into an environment's first process, so that every copy has what needs no settings.
const PRELOAD: &str = "dj_regress.preload";

/// What [`PRELOAD`] imports: a state that has another one of these starts from a bare interpreter.
const PRELOADED: &[&str] = &["django", "psycopg", "picklefield"];

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
    /// What fills a template after its migrations.
    pub seed: Vec<String>,
    /// When its arms start: what the app asks for while it is imported is asked at that moment.
    pub start: SystemTime,
}

impl StateCode {
    /// The part of the environment that a process must have from its start.
    fn start_environment(&self) -> BTreeMap<String, String> {
        let is_read = |name: &str| READ_AT_START.iter().any(|beginning| name.starts_with(beginning));
        let said = self.prepare.env.iter().filter(|(name, _)| is_read(name));
        said.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Two states with the same key can share a zygote.
    fn key(&self) -> String {
        let prepare = serde_json::to_string(&self.prepare).unwrap_or_default();
        let start = self.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{} {prepare} {}", self.environment.id, start.as_nanos())
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

/// What Python, the C library and its memory read when a process starts, and never again.
const READ_AT_START: &[&str] = &["PYTHON", "MALLOC_", "LD_", "GLIBC_TUNABLES"];

/// Strings have the same hashes in all arms: what a set or a test of a hash makes of them decides nothing.
const HASH_SEED: (&str, &str) = ("PYTHONHASHSEED", "0");

type Shared<T> = SyncMutex<HashMap<String, Arc<OnceCell<Arc<T>>>>>;

/// Where the processes of a run find what they need.
#[derive(Debug)]
pub struct Folders {
    /// The run's private folder.
    pub run: PathBuf,
    /// The arms' logs.
    pub logs: PathBuf,
    /// All code: environments, overlays, the worker package.
    pub code: PathBuf,
    /// The worker package.
    pub worker: PathBuf,
}

/// All Python processes of a run.
pub struct Tree {
    supervisor: Supervisor,
    control: Control,
    run_folder: PathBuf,
    worker: PathBuf,
    logs: PathBuf,
    code: PathBuf,
    worlds: Worlds,
    clocks: Arc<Clocks>,
    /// Of interpreters that work for no arm yet.
    clock: Clock,
    environments: Shared<Mutex<Process>>,
    states: Shared<Zygote>,
    names: AtomicU64,
    /// Nanoseconds spent on making zygotes.
    spent: AtomicU64,
}

impl Tree {
    /// A tree whose processes live below this supervisor, in these worlds.
    pub fn new(supervisor: Supervisor, worlds: Worlds, folders: Folders, clocks: Arc<Clocks>) -> Result<Self> {
        let Folders { run: run_folder, logs, code, worker } = folders;
        let control = Control::listen(&run_folder)?;
        let clock = clocks.clock(Pace::Stands, UNIX_EPOCH + START)?;
        Ok(Self {
            supervisor,
            control,
            run_folder,
            worker,
            logs,
            code,
            worlds,
            clocks,
            clock,
            environments: Shared::default(),
            states: Shared::default(),
            names: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        })
    }

    /// What keeps arms less apart here than it could be.
    pub fn weaker(&self) -> Option<String> {
        self.worlds.weaker()
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
            let world = Some(self.world_of_zygote(&code.prepare)?);
            let clock = self.clocks.clock(Pace::Stands, code.start)?;
            let clock = Some(clock.path().display().to_string());
            let prepare = Request::Prepare(Prepare { world, clock, ..code.prepare.clone() });
            let Reply::Prepared(prepared) = process.ask(&prepare).await? else {
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

    /// The world of an arm whose folder this is. Its first process makes it; the others join that one. The clock's library
    /// is there: what a process starts loads it again.
    pub fn world(&self, folder: &Path, first: Option<u32>, prepare: &Prepare) -> Result<World> {
        let library = self.clocks.library();
        let readable = &[self.code.as_path(), &library];
        let (writable, env) = (&[folder], &prepare.env);
        self.worlds.world(&Wanted { folder, writable, readable, first, env })
    }

    /// What is set up before there is an arm is set up in a world of its own: it reaches nobody either. What arms write to
    /// is there, for they come from here.
    fn world_of_zygote(&self, prepare: &Prepare) -> Result<World> {
        let folder = &self.run_folder.join(self.name("zygote"));
        std::fs::create_dir_all(folder).cannot_run(|| format!("make {}", folder.display()))?;
        let writable = &[self.run_folder.as_path(), &self.logs];
        let readable = &[self.code.as_path()];
        self.worlds.world(&Wanted { folder, writable, readable, first: None, env: &prepare.env })
    }

    async fn fork_environment(&self, code: &StateCode) -> Result<Process, StepError> {
        // An overlay of Django itself must be imported before any other Django: such a state gets
        // an interpreter that has not seen one.
        let overlaid = |package: &str| code.overlay.folders.iter().any(|folder| folder.join(package).exists());
        if PRELOADED.iter().any(|package| overlaid(package)) {
            return Ok(self.spawn(&code.environment, &code.start_environment()).await?);
        }
        let environment = self.warm(&code.environment, &code.start_environment()).await?;
        self.fork_process(&mut *environment.lock().await, "state").await
    }

    /// An interpreter of this environment, started with these variables, that has imported what needs no settings.
    pub async fn warm(
        &self,
        environment: &Environment,
        variables: &BTreeMap<String, String>,
    ) -> Result<Arc<Mutex<Process>>, StepError> {
        let slot = slot(&self.environments, format!("{} {variables:?}", environment.id));
        let process = slot.get_or_try_init(|| async {
            let mut process = self.spawn(environment, variables).await?;
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

    /// Starts a bare interpreter of an environment with these variables, below the supervisor.
    async fn spawn(&self, environment: &Environment, variables: &BTreeMap<String, String>) -> Result<Process> {
        let name = self.name("python");
        let hello = self.control.expect(&name);
        let log = self.run_folder.join(format!("{name}.log"));
        let mut command = vec![
            environment.python.display().to_string(),
            // Packages that the user has installed must not decide what an arm runs.
            "-s".to_owned(),
            self.worker.join("dj_regress/__main__.py").display().to_string(),
            self.control.socket.display().to_string(),
            name.clone(),
        ];
        command.extend(self.worlds.users().map(|process| process.to_string()));
        let mut spawn = Spawn::new(&name, command, &self.run_folder, &log)
            .variable(HASH_SEED.0, HASH_SEED.1)
            // Else it is the machine's, as long as Django has not set it.
            .variable("TZ", "UTC");
        if let Some(programs) = environment.python.parent() {
            // As in a virtual environment that is activated.
            spawn = spawn.variable("PATH", &format!("{}:{PATH}", programs.display()));
        }
        spawn.environment.extend(variables.clone());
        // What the case wants to be loaded comes after ours.
        let wanted = spawn.environment.remove(PRELOAD_VARIABLE).map(|theirs| format!(":{theirs}"));
        spawn = spawn.preload(&self.clocks.of(&self.clock));
        if let (Some(ours), Some(theirs)) = (spawn.environment.get_mut(PRELOAD_VARIABLE), wanted) {
            ours.push_str(&theirs);
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
