//! The files of one arm, as the controller makes and reads them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use dj_regress::clock::{Clock, Clocks, START};
use dj_regress_protocol::clock::Pace;
use dj_regress_protocol::{ActorKind, Enter, Entry, HOLD_BYTES, Hold, HoldState, Record, Request, Slot};
use memmap2::MmapRaw;

use super::text;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// The files of one arm.
pub struct Arm {
    pub folder: PathBuf,
    clocks: Arc<Clocks>,
    clock: Mutex<Clock>,
}

impl Arm {
    pub fn create(folder: &Path, clocks: &Arc<Clocks>) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let clock = clocks.clock(Pace::Goes, UNIX_EPOCH + START).expect("a clock");
        fs::write(folder.join("holds"), [0; 8 * HOLD_BYTES]).expect("a holds file");
        Self { folder: folder.to_owned(), clocks: Arc::clone(clocks), clock: Mutex::new(clock) }
    }

    /// What makes a process an actor of this arm.
    pub fn enter(&self, name: &str, kind: ActorKind, holds: Vec<Hold>) -> Request {
        let file = |name: &str| text(&self.folder.join(name));
        Request::Enter(Enter {
            actor: name.into(),
            kind,
            directory: text(&self.folder),
            service_file: file("service"),
            ledger: file("ledger"),
            clock: text(self.clock.lock().expect("no panic").path()),
            log: file("log"),
            journal: file("journal"),
            holds,
            holds_file: file("holds"),
            watch: vec!["django_q".into()],
            world: None,
        })
    }

    /// Arms a hold as the controller does.
    pub fn arm_hold(&self, id: u32) {
        let holds = File::options().write(true).open(self.folder.join("holds")).expect("a holds file");
        let slot = u64::from(id) * HOLD_BYTES as u64;
        holds.write_all_at(&[HoldState::Armed as u8], slot).expect("a write");
    }

    /// Lets go the threads that a hold holds.
    pub fn release_hold(&self, id: u32) {
        let holds = File::options().read(true).write(true).open(self.folder.join("holds")).expect("a holds file");
        let map = MmapRaw::map_raw(&holds).expect("a map");
        // SAFETY: the file has slots for eight holds, and is only accessed atomically.
        unsafe { Slot::at(map.as_mut_ptr(), id) }.release();
    }

    /// The journal so far.
    pub fn journal(&self) -> Vec<Entry> {
        let journal = fs::read_to_string(self.folder.join("journal")).unwrap_or_default();
        dj_regress_protocol::records(&journal).map(|record| record.expect("a record")).collect()
    }

    /// The processes that have taken a hold so far, in order.
    pub fn takers(&self) -> Vec<u32> {
        let entries = self.journal().into_iter();
        entries.filter_map(|entry| if let Entry::Held { pid, .. } = entry { Some(pid) } else { None }).collect()
    }

    /// The process that took a hold as the `nth` (from 1); waits until it has stopped.
    pub fn held(&self, nth: usize) -> u32 {
        let taker = || self.takers().get(nth - 1).copied();
        eventually("a process is held", || taker().and_then(state) == Some('T'));
        taker().expect("there is one")
    }

    /// The keys of the effects so far, sorted.
    pub fn effects(&self) -> Vec<String> {
        let entries = self.journal().into_iter();
        let mut keys: Vec<String> =
            entries.filter_map(|entry| if let Entry::Effect { key, .. } = entry { Some(key) } else { None }).collect();
        keys.sort();
        keys
    }

    /// The ids of the tasks that were executed so far, in order.
    pub fn executed(&self) -> Vec<String> {
        let entries = self.journal().into_iter();
        entries.filter_map(|entry| if let Entry::Execution { id, .. } = entry { Some(id) } else { None }).collect()
    }

    /// The ids of the tasks that were accepted so far, in order.
    pub fn accepted(&self) -> Vec<String> {
        let entries = self.journal().into_iter();
        entries.filter_map(|entry| if let Entry::Accepted { id, .. } = entry { Some(id) } else { None }).collect()
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
        dj_regress_protocol::records(&ledger).map(|record| record.expect("a record")).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).expect("a log")
    }

    /// Gives it a clock that stands, for those who enter from now on.
    pub fn stand_still(&self) {
        let stands = self.clocks.clock(Pace::Stands, UNIX_EPOCH + START).expect("a clock");
        *self.clock.lock().expect("no panic") = stands;
    }

    /// Moves its clock.
    pub fn advance(&self, by: Duration) {
        self.clock.lock().expect("no panic").advance(by);
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

/// A process's state as `/proc` says it: `R`, `S`, `T` ...; `None` when it is gone.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until something holds; fails the test after [`DEADLINE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
