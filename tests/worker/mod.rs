//! A controller for tests: starts a real interpreter and talks to it as the runner does.
#![allow(dead_code, reason = "each test file uses its part of this module")]

mod arm;
mod web;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

#[allow(unused_imports, reason = "each test file uses its part of this module")]
pub use arm::{Arm, eventually, state};
use dj_regress::actor::worker::LIBRARY;
use dj_regress::clock::{Clocks, START};
use dj_regress_protocol::clock::Pace;
use dj_regress_protocol::{
    ActorKind, Enqueue, Failed, Fork, Hello, Hold, Prepare, Prepared, Reply, Request, Stepped, Tasks,
};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
#[allow(unused_imports, reason = "each test file uses its part of this module")]
pub use web::{Browser, POLL, Site};

const REQUIREMENTS: [&str; 4] = ["django~=5.2", "django-q2==1.9.0", "psycopg[binary]~=3.2", "waitress==3.0.*"];

/// What every environment needs besides.
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/worker/requirements.txt");

/// The shop's settings on SQLite: no server is needed.
const OFFLINE: &str = r#"
from shop.settings import *
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "arm.sqlite3"}}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache_table"},
}
"#;

/// A started interpreter and the socket that it and its copies connect to.
pub struct Controller {
    pub folder: TempDir,
    pub clocks: Arc<Clocks>,
    listener: UnixListener,
    interpreter: Child,
}

/// One process's connection.
pub struct Peer {
    pub hello: Hello,
    reader: BufReader<UnixStream>,
}

impl Controller {
    /// Starts an interpreter; the returned peer is bare.
    pub fn start() -> (Self, Peer) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let package = unpack(folder.path());
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let clocks = Arc::new(Clocks::create(&folder.path().join("clocks")).expect("clocks"));
        let clock = clocks.clock(Pace::Stands, UNIX_EPOCH + START).expect("a clock");
        let interpreter = Command::new(environment().join("bin/python"))
            .envs(clocks.of(&clock).variables)
            .arg("-s")
            .arg(package.join("dj_regress/__main__.py"))
            .arg(&socket)
            .arg("root")
            .spawn()
            .expect("an interpreter");
        let controller = Self { folder, clocks, listener, interpreter };
        let peer = controller.accept("root");
        (controller, peer)
    }

    /// A zygote of the shop on SQLite, with these settings over its own.
    pub fn zygote(settings: Value) -> (Self, Peer) {
        let (controller, mut peer) = Self::start();
        let prepare = controller.prepare(settings);
        peer.prepare(prepare).expect("a zygote");
        (controller, peer)
    }

    /// What prepares the shop on SQLite.
    pub fn prepare(&self, settings: Value) -> Prepare {
        let app = self.module("offline", OFFLINE);
        Prepare {
            sys_path: vec![app, shop()],
            settings_module: "offline".into(),
            settings: serde_json::from_value(settings).expect("settings by name"),
            env: BTreeMap::new(),
            watch: vec!["shop".into(), "django_q".into()],
            ..Prepare::default()
        }
    }

    /// Writes a module of the test; returns the folder for `sys.path`.
    pub fn module(&self, name: &str, source: &str) -> String {
        let folder = self.folder.path().join("app");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{name}.py")), source).expect("a module");
        text(&folder)
    }

    pub fn fork(&self, zygote: &mut Peer, name: &str) -> Peer {
        let reply = zygote.ask(&Request::Fork(Fork { name: name.into() }));
        assert_eq!(reply, Reply::Done);
        self.accept(name)
    }

    /// Forks an actor into a new arm.
    pub fn actor(&self, zygote: &mut Peer, kind: ActorKind) -> (Arm, Peer) {
        let (arm, _) = self.arm(zygote);
        let actor = self.enter(zygote, &arm, "q", kind);
        (arm, actor)
    }

    /// A new arm with a migrated database and cache tables, and the probe in it.
    pub fn arm(&self, zygote: &mut Peer) -> (Arm, Peer) {
        let arm = Arm::create(&self.folder.path().join("arm"), &self.clocks);
        let mut probe = self.enter(zygote, &arm, "probe", python(""));
        assert_eq!(probe.ask(&Request::Migrate), Reply::Done);
        assert_eq!(probe.ask(&Request::CreateCacheTables), Reply::Done);
        (arm, probe)
    }

    pub fn enter(&self, zygote: &mut Peer, arm: &Arm, name: &str, kind: ActorKind) -> Peer {
        let mut peer = self.fork(zygote, name);
        let reply = peer.ask(&arm.enter(name, kind, Vec::new()));
        assert!(matches!(reply, Reply::Entered(_)), "{reply:?}");
        peer
    }

    /// Starts a real cluster `q` in the arm.
    pub fn cluster(&self, zygote: &mut Peer, arm: &Arm, holds: Vec<Hold>) -> Cluster {
        let mut peer = self.fork(zygote, "q");
        let reply = peer.ask(&arm.enter("q", ActorKind::RealCluster, holds));
        assert!(matches!(reply, Reply::Entered(_)), "{reply:?}");
        assert_eq!(peer.ask(&Request::RunCluster), Reply::Done);
        Cluster { pid: peer.hello.pid, _peer: peer }
    }

    fn accept(&self, name: &str) -> Peer {
        let (stream, _) = self.listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let hello: Hello = read(&mut reader).expect("a hello");
        assert_eq!(hello.name, name);
        Peer { hello, reader }
    }
}

/// A real cluster, ended with all its processes.
pub struct Cluster {
    pub pid: u32,
    _peer: Peer,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It leads a session and a process group of its own.
        let _ = killpg(Pid::from_raw(self.pid.cast_signed()), Signal::SIGKILL);
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Copies leave by themselves when their connection closes.
        let _ = self.interpreter.kill();
        let _ = self.interpreter.wait();
    }
}

impl Peer {
    pub fn ask(&mut self, request: &Request) -> Reply {
        self.try_ask(request).expect("a reply")
    }

    /// `None`: the process is gone.
    pub fn try_ask(&mut self, request: &Request) -> Option<Reply> {
        let mut line = serde_json::to_vec(request).expect("JSON");
        line.push(b'\n');
        self.reader.get_mut().write_all(&line).ok()?;
        read(&mut self.reader)
    }

    pub fn step(&mut self, request: &Request) -> Stepped {
        match self.ask(request) {
            Reply::Stepped(stepped) => stepped,
            other => panic!("{request:?} was answered by {other:#?}"),
        }
    }

    pub fn fails(&mut self, request: &Request) -> Failed {
        match self.ask(request) {
            Reply::Failed(failed) => failed,
            other => panic!("{request:?} was answered by {other:#?}"),
        }
    }

    pub fn prepare(&mut self, prepare: Prepare) -> Result<Prepared, Failed> {
        match self.ask(&Request::Prepare(prepare)) {
            Reply::Prepared(prepared) => Ok(prepared),
            Reply::Failed(failed) => Err(failed),
            other => panic!("Prepare was answered by {other:#?}"),
        }
    }

    pub fn python(&mut self, source: &str) {
        self.step(&source_once(source));
    }

    /// Puts tasks into the queue; returns how many calls went well.
    pub fn enqueue(&mut self, enqueue: Enqueue) -> u64 {
        match self.ask(&Request::Enqueue(enqueue)) {
            Reply::Enqueued { accepted, refused: None } => accepted,
            other => panic!("Enqueue was answered by {other:#?}"),
        }
    }

    pub fn tasks(&mut self) -> Tasks {
        match self.ask(&Request::Tasks) {
            Reply::Tasks(tasks) => tasks,
            other => panic!("Tasks was answered by {other:#?}"),
        }
    }

    pub fn read(&mut self, expression: &str) -> Value {
        let expressions = vec![("value".to_owned(), expression.to_owned())];
        self.step(&Request::Read(expressions)).values["value"].clone()
    }
}

/// A task of the shop, to be put into the queue once.
pub fn task(name: &str, args: &[Value]) -> Enqueue {
    Enqueue { task: format!("shop.tasks.{name}"), args: args.to_vec(), times: 1, ..Enqueue::default() }
}

pub fn python(module: &str) -> ActorKind {
    ActorKind::Python { module: module.into() }
}

pub fn source_once(source: &str) -> Request {
    Request::Python { source: source.into(), times: 1 }
}

pub fn no_settings() -> Value {
    json!({})
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// The folder of the shop.
pub fn shop() -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/shop"))
}

/// Lays out the package as a run does: the Python files with the extension module beside them.
fn unpack(folder: &Path) -> PathBuf {
    let package = folder.join("worker");
    let target = package.join("dj_regress");
    fs::create_dir_all(&target).expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/worker/python/dj_regress");
    for entry in fs::read_dir(source).expect("the package") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            fs::copy(entry.path(), target.join(entry.file_name())).expect("a copy");
        }
    }
    fs::write(target.join("worker.abi3.so"), LIBRARY).expect("the extension module");
    package
}

/// The tests' virtual environment, made once by uv or pip.
pub fn environment() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_dj-regress"));
    let target = binary.ancestors().nth(2).expect("target/<profile>/");
    let environment = target.join("test-venv");
    let lock = File::create(target.join("test-venv.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let ready = environment.join("ready");
    let ours = fs::read_to_string(OURS).expect("our requirements");
    let wanted = format!("{}\n{ours}", REQUIREMENTS.join("\n"));
    if fs::read_to_string(&ready).is_ok_and(|made| made == wanted) {
        return environment;
    }
    let python = environment.join("bin/python");
    let uv = Command::new("uv").arg("--version").output().is_ok();
    if uv {
        run(Command::new("uv").args(["venv", "--quiet", "--clear"]).arg(&environment));
        run(Command::new("uv")
            .args(["pip", "install", "--quiet", "--compile-bytecode", "--python"])
            .arg(&python)
            .args(["-r", OURS])
            .args(REQUIREMENTS));
    } else {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r", OURS]).args(REQUIREMENTS));
    }
    fs::write(ready, wanted).expect("a marker");
    environment
}

/// A folder for `sys.path` with another release of django-q2, fetched once.
pub fn release(version: &str) -> String {
    let folder = environment().join("releases").join(version);
    let lock = File::create(environment().join("releases.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !folder.join("ready").exists() {
        let python = environment().join("bin/python");
        let wanted = format!("django-q2=={version}");
        if Command::new("uv").arg("--version").output().is_ok() {
            let mut install = Command::new("uv");
            install.args(["pip", "install", "--quiet", "--no-deps", "--target"]).arg(&folder);
            run(install.arg("--python").arg(&python).arg(wanted));
        } else {
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&folder);
            run(install.arg(wanted));
        }
        fs::write(folder.join("ready"), "").expect("a marker");
    }
    text(&folder)
}

fn run(command: &mut Command) {
    let status = command.status().expect("a program");
    assert!(status.success(), "{command:?}: {status}");
}

fn read<T: serde::de::DeserializeOwned>(reader: &mut BufReader<UnixStream>) -> Option<T> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    if line.is_empty() {
        return None;
    }
    Some(serde_json::from_str(&line).expect("a message"))
}
