//! A controller for tests: starts a real interpreter and talks to it as the runner does.
#![allow(dead_code, reason = "each test file uses its part of this module")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use dj_regress_protocol::{ActorKind, Enter, Failed, Fork, Hello, Prepare, Prepared, Record, Reply, Request, Stepped};
use serde_json::{Value, json};
use tempfile::TempDir;

const REQUIREMENTS: [&str; 3] = ["django~=5.2", "django-q2==1.9.0", "psycopg[binary]~=3.2"];

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
    listener: UnixListener,
    interpreter: Child,
}

/// One process's connection.
pub struct Peer {
    pub hello: Hello,
    reader: BufReader<UnixStream>,
}

/// The files of one arm.
pub struct Arm {
    pub folder: PathBuf,
}

impl Controller {
    /// Starts an interpreter; the returned peer is bare.
    pub fn start() -> (Self, Peer) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let package = unpack(folder.path());
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let interpreter = Command::new(environment().join("bin/python"))
            .arg("-I")
            .arg(package.join("dj_regress/__main__.py"))
            .arg(&socket)
            .arg("root")
            .spawn()
            .expect("an interpreter");
        let controller = Self { folder, listener, interpreter };
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

    /// Forks an actor into a new arm, with a migrated database and cache tables.
    pub fn actor(&self, zygote: &mut Peer, kind: ActorKind) -> (Arm, Peer) {
        let arm = Arm::create(&self.folder.path().join("arm"));
        let mut probe = self.enter(zygote, &arm, "probe", python(""));
        assert_eq!(probe.ask(&Request::Migrate), Reply::Done);
        assert_eq!(probe.ask(&Request::CreateCacheTables), Reply::Done);
        let actor = self.enter(zygote, &arm, "q", kind);
        (arm, actor)
    }

    pub fn enter(&self, zygote: &mut Peer, arm: &Arm, name: &str, kind: ActorKind) -> Peer {
        let mut peer = self.fork(zygote, name);
        let file = |name: &str| text(&arm.folder.join(name));
        let reply = peer.ask(&Request::Enter(Enter {
            actor: name.into(),
            kind,
            directory: text(&arm.folder),
            service_file: file("service"),
            ledger: file("ledger"),
            clock: file("clock"),
            log: file("log"),
            journal: file("journal"),
            holds: Vec::new(),
            holds_file: file("holds"),
            watch: vec!["django_q".into()],
        }));
        assert!(matches!(reply, Reply::Entered(_)), "{reply:?}");
        peer
    }

    fn accept(&self, name: &str) -> Peer {
        let (stream, _) = self.listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let hello: Hello = read(&mut reader).expect("a hello");
        assert_eq!(hello.name, name);
        Peer { hello, reader }
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

    pub fn read(&mut self, expression: &str) -> Value {
        let expressions = BTreeMap::from([("value".to_owned(), expression.to_owned())]);
        self.step(&Request::Read(expressions)).values["value"].clone()
    }
}

impl Arm {
    fn create(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("clock"), [0; 16]).expect("a clock");
        Self { folder: folder.to_owned() }
    }

    /// What the actor `q` recorded.
    pub fn statements(&self) -> Vec<Statement> {
        let mut texts = BTreeMap::new();
        let mut statements: Vec<Statement> = Vec::new();
        for record in self.records() {
            match record {
                Record::Text { id, sql } => {
                    texts.insert(id, sql);
                }
                Record::Begin { .. } => statements.push(Statement::new(record, &texts)),
                Record::End { pid, seq, .. } => {
                    let begun = statements
                        .iter_mut()
                        .find(|statement| statement.key == (pid, seq))
                        .expect("an end has its begin before it");
                    begun.end = Some(record);
                }
            }
        }
        statements.retain(|statement| statement.actor == "q");
        statements
    }

    pub fn records(&self) -> Vec<Record> {
        let ledger = fs::read_to_string(self.folder.join("ledger")).expect("a ledger");
        let lines = ledger.lines();
        lines.map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).expect("a log")
    }

    /// Moves the clock as the controller does.
    pub fn set_clock(&self, offset_ns: i64) {
        let clock = File::options().write(true).open(self.folder.join("clock")).expect("a clock");
        clock.write_all_at(&offset_ns.to_ne_bytes(), 0).expect("a write");
    }
}

/// A statement with what became of it.
#[derive(Debug)]
pub struct Statement {
    pub key: (u32, u64),
    pub actor: String,
    pub role: String,
    pub sql: String,
    pub site: String,
    pub times: u64,
    pub end: Option<Record>,
}

impl Statement {
    fn new(record: Record, texts: &BTreeMap<String, String>) -> Self {
        let Record::Begin { pid, seq, actor, role, text, site, times, .. } = record else {
            panic!("not a begin: {record:?}");
        };
        Self { key: (pid, seq), actor, role, sql: texts[&text].clone(), site, times, end: None }
    }
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
    let binary = Path::new(env!("CARGO_BIN_EXE_dj-regress"));
    let module = binary.with_file_name("deps/libdj_regress_worker.so");
    fs::copy(module, target.join("worker.abi3.so")).expect("the extension module");
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
