//! Requests of the controller and what a worker answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hold::Hold;
use crate::job::{Enqueue, Schedule, Tasks};

/// What a process says first on its connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The name it was started or forked under; unique in a run.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// `platform.python_version()`, e.g. `3.11.7`.
    pub python: String,
}

/// What the controller asks of a process.
///
/// A process begins as a bare interpreter. `Import` and `Prepare` turn it into a zygote, `Fork`
/// makes a copy of it, `Enter` makes a copy an actor of one arm; the rest are steps of an actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Import these modules, so that forked copies have them already. Answered by `Done`.
    Import(Vec<String>),
    /// Put this state's code and settings in place and run `django.setup()`. Answered by `Prepared`.
    Prepare(Prepare),
    /// Compare texts of source files as syntax trees. Answered by `Compared`.
    Compare(Vec<Texts>),
    /// Fork a copy that leads its own session and is a child of the supervisor (by a double fork).
    /// Answered by `Done`; the copy says its own `Hello`.
    Fork(Fork),
    /// Become an actor of an arm. Answered by `Entered` with the code this actor really loaded.
    Enter(Enter),
    /// Run Django's migrations on this arm's database and close the connection. Answered by `Done`.
    Migrate,
    /// Fill a migrated database: management commands, files of fixtures, functions. Answered by `Done`.
    Seed(Vec<String>),
    /// Make a session of the user with these fields. Answered by `Cookie`.
    Login(BTreeMap<String, Value>),
    /// Create the tables of all `DatabaseCache`s (`createcachetable`). Answered by `Done`.
    CreateCacheTables,
    /// Real cluster: run the `qcluster` command. Answered by `Done` when it is about to begin; from then on the process
    /// hears signals only.
    RunCluster,
    /// Web actor: serve the app's pages from now on, in threads beside this loop. Answered by `Done` when it listens.
    Serve(Serve),
    /// Simulated cluster: a new identity and one registering beat. Answered by `Stepped`.
    Start,
    /// Simulated cluster: a new identity registers with one beat.
    Restart,
    /// Simulated cluster: `count` heartbeats, at one moment.
    Beat {
        /// How many heartbeats.
        count: u64,
    },
    /// Simulated cluster: take tasks from the broker and run them in this process, until none is left.
    Drain {
        /// At most so many tasks, so that a task that enqueues itself cannot hold the arm.
        at_most: u64,
    },
    /// Simulated cluster: run django-q2's scheduler so many times. Answered by `Stepped`.
    Tick {
        /// How many times.
        count: u64,
    },
    /// Python actor: put tasks into the queue. Answered by `Enqueued`.
    Enqueue(Enqueue),
    /// Python actor: create a schedule. Answered by `Done`.
    Schedule(Schedule),
    /// Any actor: what django-q2 says of tasks. Answered by `Tasks`.
    Tasks,
    /// Execute Python source in the actor's namespace.
    Python {
        /// The source text.
        source: String,
        /// How often to execute it. The loop's index is in the namespace as `i`.
        times: u64,
    },
    /// Any actor: which of its threads still have something to do. Answered by `Lives`.
    Lives,
    /// Evaluate Python expressions in the actor's namespace; the values come back by name.
    Read(Vec<(String, String)>),
}

/// One state's code and settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Prepare {
    /// Folders to put first on `sys.path`, in this order (overlays, then the app's folder).
    pub sys_path: Vec<String>,
    /// The settings module of the app, e.g. `shop.settings`.
    pub settings_module: String,
    /// The case's settings: each name replaces the module's; where both are mappings, merged deeply.
    pub settings: BTreeMap<String, Value>,
    /// Environment variables to set before anything of the app is imported.
    pub env: BTreeMap<String, String>,
    /// Top-level packages whose loaded code is reported.
    pub watch: Vec<String>,
    /// The case's own app: a package that is added to `INSTALLED_APPS`, and whose `urls`, where it has them, are the
    /// `ROOT_URLCONF` unless the case's settings name another.
    #[serde(default)]
    pub app: Option<String>,
    /// The project whose code it is; without one, it is the shop.
    #[serde(default)]
    pub project: Option<ProjectTree>,
    /// What else a migrated database depends on that the process does not know.
    #[serde(default)]
    pub template: Vec<String>,
    /// The world to do it in; without one, the machine.
    #[serde(default)]
    pub world: Option<World>,
    /// The [clock file](crate::clock) that it has meanwhile; without one, that with which its interpreter was started.
    #[serde(default)]
    pub clock: Option<String>,
}

/// Under this name the code of a project is reported: all files of its tree.
pub const PROJECT: &str = "the project";

/// Where the files of a project are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProjectTree {
    /// The top of the tree.
    pub top: String,
    /// The folder of `manage.py`: the working directory while it is set up.
    pub root: String,
}

/// What a process sees of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct World {
    /// Its namespaces. Without them, Python's own sockets are kept from the network, and nothing else is kept apart.
    pub namespaces: Option<Namespaces>,
    /// HOME and the like, as far as the case does not say what they are.
    pub environment: BTreeMap<String, String>,
    /// Folders whose sockets are its own. With namespaces, those that are empty in a new one are, too.
    pub sockets: Vec<String>,
}

/// How a process comes by its namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespaces {
    /// It makes them.
    New {
        /// Folders that can be written to.
        writable: Vec<String>,
        /// Folders that can be read, wherever they are. Those that Python itself needs are known.
        readable: Vec<String>,
    },
    /// It joins those of this process.
    Of(u32),
}

/// How a web actor serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serve {
    /// The unix socket to listen at; it is not there yet.
    pub socket: String,
    /// Requests that are handled at the same time.
    pub threads: u32,
}

/// Two texts of one source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The file's name, for the answer; only `.py` files have a tree, others are compared as text.
    pub file: String,
    /// One text.
    pub one: String,
    /// The other.
    pub other: String,
}

/// A zygote that is set up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Prepared {
    /// The code that was loaded, per watched package.
    pub code: BTreeMap<String, Fingerprint>,
    /// Hash over what a migrated, empty database depends on: the migrations on this state's path,
    /// `INSTALLED_APPS`, Django's version, `AUTH_USER_MODEL`, `DEFAULT_AUTO_FIELD`.
    pub template: String,
    /// `Conf.GUARD_CYCLE`: seconds between two heartbeats of a real cluster. Absent without django-q2.
    pub guard_cycle: Option<f64>,
    /// Distribution name -> version, for those that matter (`django`, `django-q2`, `psycopg`).
    pub versions: BTreeMap<String, String>,
    /// What was changed of the project's settings, a sentence each.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Whether its settings lead to a Redis, which is the arm's then.
    #[serde(default)]
    pub redis: bool,
    /// Extensions of Postgres that its migrations make sure of.
    #[serde(default)]
    pub extensions: Vec<String>,
}

/// Which code a process loaded for a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The package's folder: the parent of its `__file__`.
    pub path: String,
    /// BLAKE3 in hex over the package's `.py` files. For each file, sorted by its path relative to
    /// the package folder with `/` separators: the path, a zero byte, the length as 8 bytes little
    /// endian, the bytes. `__pycache__` is left out. Of a module that is no package: its one file.
    pub hash: String,
}

/// A copy to fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The name the copy says in its `Hello`.
    pub name: String,
}

/// What makes a forked copy an actor of an arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    /// The actor's name in the case; `probe` for the harness's own reader.
    pub actor: String,
    /// What it does.
    pub kind: ActorKind,
    /// The arm's folder: the process's working directory. `/proc/self/cwd/redis.sock` is its Redis.
    pub directory: String,
    /// libpq's service file, which names the arm's database as service `arm`.
    pub service_file: String,
    /// The arm's ledger, opened with `O_APPEND`.
    pub ledger: String,
    /// The arm's [clock file](crate::clock).
    pub clock: String,
    /// Standard output and error are appended here.
    pub log: String,
    /// The arm's journal, opened with `O_APPEND`.
    pub journal: String,
    /// All holds of the case for this actor, in the order of the case.
    pub holds: Vec<Hold>,
    /// Where they are armed: see [`HOLD_BYTES`](crate::HOLD_BYTES). It is not opened where there are none.
    pub holds_file: String,
    /// Packages to report again, as this process sees them.
    pub watch: Vec<String>,
    /// The arm's world; without one, the process stays where its zygote is.
    #[serde(default)]
    pub world: Option<World>,
}

/// What an actor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A django-q2 cluster played inside the process: real `Sentinel`, real `Stat.save`, no children.
    SimulatedCluster,
    /// The `qcluster` command, with its own processes.
    RealCluster,
    /// Django's WSGI handler, served by waitress. Its holds hold threads.
    Web,
    /// Code of the case, executed in the namespace of this module (empty: only the standard names).
    Python {
        /// A dotted module of the app.
        module: String,
    },
}

/// What a process answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done; there is nothing to tell.
    Done,
    /// To `Prepare`.
    Prepared(Prepared),
    /// To `Compare`: the files whose trees differ.
    Compared(Vec<String>),
    /// To `Enter`: the code that this actor loaded.
    Entered(BTreeMap<String, Fingerprint>),
    /// To a step.
    Stepped(Stepped),
    /// To `Enqueue`.
    Enqueued {
        /// Calls that have returned. Their tasks have an `Accepted` each in the journal.
        accepted: u64,
        /// The exception that ended the calls.
        refused: Option<Failed>,
    },
    /// To `Login`: name and value.
    Cookie(String, String),
    /// To `Tasks`.
    Tasks(Tasks),
    /// To `Lives`: each in words.
    Lives(Vec<String>),
    /// An exception came out of it.
    Failed(Failed),
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stepped {
    /// Heartbeats given, the registering ones included.
    pub beats: u64,
    /// Tasks executed.
    pub tasks: u64,
    /// New identities taken after the first.
    pub restarts: u64,
    /// What `Read` read. Values that JSON cannot say come as their `repr`.
    pub values: BTreeMap<String, Value>,
}

/// An exception, as Python saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The exception's class, e.g. `ImportError`.
    pub exception: String,
    /// `str(exception)`.
    pub message: String,
    /// The formatted traceback.
    pub traceback: String,
}
