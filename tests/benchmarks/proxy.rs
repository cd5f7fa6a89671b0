//! What the counting proxy adds to a round trip, beside what a bare relay adds: direct, bare and ours take turns within
//! one run. Then memory over millions of messages.
//!
//! `cargo bench --bench proxy -- [rounds] [million messages]`
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress::cache::Cache;
use dj_regress::proxy::PostgresProxy;
use dj_regress::proxy::{Endpoint, ServerClock, TimeAsked};
use dj_regress::service::postgres::{PostgresWants, SUPERUSER};
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use dj_regress::service::{Place, ServiceChoice, Services};

const SOCKET: &str = ".s.PGSQL.5432";
const WARM_UP: usize = 500;
/// Fresh connections for each: which core serves which makes a difference.
const SETS: usize = 11;
/// Round trips of one way before the next has its turn.
const TURN: usize = 50;
const QUERIES: &[(&str, &str)] = &[
    ("SELECT 1", "SELECT 1"),
    (
        "as Django writes it",
        "SELECT \"t\".\"oid\", \"t\".\"relname\" FROM \"pg_class\" \"t\" WHERE (\"t\".\"relname\" = 'cache' AND \"t\".\"relkind\" IN ('r', 'i')) LIMIT 21",
    ),
];

#[tokio::main]
async fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (rounds, millions) = (numbers.first().copied().unwrap_or(20_000), numbers.get(1).copied().unwrap_or(4));
    let memory = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let folder = tempfile::Builder::new().prefix("djb-").tempdir_in(memory).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let cache = Cache::at(&folder.path().join("cache")).unwrap();
    let run_directory = Arc::new(RunDirectory::create_in(folder.path()).unwrap());
    let program = Path::new(env!("CARGO_BIN_EXE_dj-regress"));
    let supervisor = Supervisor::start_program(program, &run_directory).await.unwrap();
    let choice = ServiceChoice { place: Some(Place::Local), ..ServiceChoice::default() };
    let services = Services::choose(&choice, &supervisor, &run_directory, &cache).await.unwrap();
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    let Endpoint::Unix(direct) = postgres.upstream() else { panic!("local services listen on sockets") };
    let bare = bare_relay(&direct, &folder.path().join("bare"));
    let proxy = PostgresProxy::start(
        Endpoint::Unix(direct.clone()),
        ServerClock::Machine(TimeAsked::default()),
        &folder.path().join("ours"),
    )
    .await
    .unwrap();
    let ours = proxy.host().join(SOCKET);

    for (name, query) in QUERIES {
        let mut sets = Vec::new();
        for _ in 0..SETS {
            let paths = [direct.clone(), bare.clone(), ours.clone()];
            let turn = move || compare(&paths, query, rounds / SETS);
            let medians = tokio::task::spawn_blocking(turn).await.unwrap();
            sets.push(medians.map(|median| median.as_secs_f64() * 1e6));
        }
        let [direct, bare, ours] = [0, 1, 2].map(|way| median(sets.iter().map(|medians| medians[way]).collect()));
        println!("{name}: direct {direct:.1} us, bare relay {bare:.1}, ours {ours:.1}");
        let (bare, ours) = (bare - direct, ours - direct);
        println!("{name}: added by the bare relay {bare:.1} us, by ours {ours:.1}: {:.2} times", ours / bare);
        let each: Vec<String> =
            sets.iter().map(|[direct, bare, ours]| format!("{:.2}", (ours - direct) / (bare - direct))).collect();
        println!("{name}: set by set {}", each.join(" "));
    }

    let begin = proxy.counters();
    for part in 0..=millions {
        let counters = proxy.settled().await - begin.clone();
        let messages = counters.messages_up + counters.messages_down;
        println!("{messages} messages, {} statements: {} KiB resident", counters.statements, resident() / 1024);
        if part < millions {
            let path = ours.clone();
            tokio::task::spawn_blocking(move || pump(&path, 1_000_000)).await.unwrap();
        }
    }
    supervisor.shutdown().await.unwrap();
}

/// tokio's own relay, which looks at nothing.
fn bare_relay(upstream: &Path, socket: &Path) -> PathBuf {
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let upstream = upstream.to_owned();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = tokio::net::UnixStream::connect(&upstream).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    socket.to_owned()
}

fn compare(paths: &[PathBuf; 3], query: &str, rounds: usize) -> [Duration; 3] {
    let mut sessions = paths.each_ref().map(|path| Session::open(path));
    let mut times = [const { Vec::new() }; 3];
    for session in &mut sessions {
        for _ in 0..WARM_UP {
            session.ask(query);
        }
    }
    for _ in 0..rounds.div_ceil(TURN) {
        for (session, times) in sessions.iter_mut().zip(&mut times) {
            for _ in 0..TURN {
                let begin = Instant::now();
                session.ask(query);
                times.push(begin.elapsed());
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Batches of statements, prepared and simple, until this many messages have gone through.
fn pump(path: &Path, messages: usize) {
    let mut session = Session::open(path);
    let mut batch = message(b'P', b"\0SELECT relname FROM pg_class LIMIT 1\0\0\0");
    for _ in 0..50 {
        batch.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
        batch.extend(message(b'E', b"\0\0\0\0\0"));
    }
    batch.extend(message(b'S', b""));
    let mut done = 0;
    while done < messages {
        session.stream.write_all(&batch).unwrap();
        done += 102 + session.read_to_ready();
        session.ask("SELECT 1");
        done += 5;
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// A client as fast as can be: one write, one read, no parsing but of the end.
struct Session {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Session {
    fn open(path: &Path) -> Self {
        let mut session = Self { stream: UnixStream::connect(path).unwrap(), buffer: vec![0; 64 << 10] };
        let parameters = format!("\0\x03\0\0user\0{SUPERUSER}\0database\0postgres\0\0");
        let length = u32::try_from(parameters.len() + 4).unwrap();
        session.stream.write_all(&[&length.to_be_bytes()[..], parameters.as_bytes()].concat()).unwrap();
        session.read_to_ready();
        session
    }

    fn ask(&mut self, query: &str) {
        self.stream.write_all(&message(b'Q', format!("{query}\0").as_bytes())).unwrap();
        self.read_to_ready();
    }

    /// Counts the messages up to ReadyForQuery.
    fn read_to_ready(&mut self) -> usize {
        let (mut have, mut at, mut messages) = (0, 0, 0);
        loop {
            have += self.stream.read(&mut self.buffer[have..]).unwrap();
            while have - at >= 5 {
                let length = &self.buffer[at + 1..at + 5];
                let end = at + 1 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
                if end > have {
                    break;
                }
                messages += 1;
                if self.buffer[at] == b'Z' {
                    return messages;
                }
                at = end;
            }
        }
    }
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
