//! What the tests of the caching proxy share: a clock that is set, an origin that says what a test wants, a client that
//! says what a test wants.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dj_regress::case::CacheKind;
use dj_regress::proxy::{HttpCounters, HttpProxy, HttpProxySpec};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// A test fails where something takes longer.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// 2026-01-01T00:00:00Z, a Thursday.
pub const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

/// Bytes.
pub const MIB: usize = 1 << 20;

/// Fails the test where something does not happen.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it happens")
}

/// What an origin does for a request.
#[derive(Debug, Clone)]
pub struct Says {
    pub bytes: Vec<u8>,
    /// Goes on to say nothing; else it hangs up.
    pub then_hangs: bool,
}

impl Says {
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then_hangs: false }
    }

    pub fn nothing() -> Self {
        Self { bytes: Vec::new(), then_hangs: true }
    }

    pub fn and_hangs(mut self) -> Self {
        self.then_hangs = true;
        self
    }

    /// An answer with a length.
    pub fn answer(status: &str, fields: &[&str], body: &str) -> Self {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        Self::bytes(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// 200.
    pub fn ok(fields: &[&str], body: &str) -> Self {
        Self::answer("200 OK", fields, body)
    }

    /// 304.
    pub fn not_modified(fields: &[&str]) -> Self {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        Self::bytes(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"))
    }
}

/// What an origin was asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub head: String,
    pub body: Vec<u8>,
    /// How many were before it.
    pub number: usize,
}

impl Asked {
    pub fn has(&self, text: &str) -> bool {
        self.head.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
    }

    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// An answer as a client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn field(&self, name: &str) -> Option<&str> {
        let is_named = |line: &&str| line.split(':').next().is_some_and(|field| field.eq_ignore_ascii_case(name));
        Some(self.head.lines().skip(1).find(is_named)?.split_once(':')?.1.trim())
    }

    /// `HIT`, `MISS`, `REVALIDATED` or `PASS`; empty where the proxy itself answers.
    pub fn from(&self) -> &str {
        self.field("x-cache").unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

type Script = Arc<dyn Fn(&Asked) -> Says + Send + Sync>;

/// A proxy before an origin.
pub struct Room {
    pub folder: TempDir,
    pub proxy: HttpProxy,
    clock: Arc<Mutex<SystemTime>>,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Room {
    pub fn new(kind: CacheKind, script: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        Self::with_timeout(kind, None, script)
    }

    pub fn with_timeout(
        kind: CacheKind,
        timeout: Option<Duration>,
        script: impl Fn(&Asked) -> Says + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        let log = Arc::default();
        serve(&origin, Arc::new(script), Arc::clone(&log));
        Self::before(folder, kind, timeout, origin, log)
    }

    /// Before an origin that is not there.
    pub fn before_nothing(kind: CacheKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("nowhere");
        Self::before(folder, kind, None, origin, Arc::default())
    }

    fn before(
        folder: TempDir,
        kind: CacheKind,
        timeout: Option<Duration>,
        origin: PathBuf,
        log: Arc<Mutex<Vec<Asked>>>,
    ) -> Self {
        let clock = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + NEW_YEAR));
        let now = Arc::clone(&clock);
        let spec = HttpProxySpec { kind, origin, timeout };
        let socket = folder.path().join("web");
        let proxy = HttpProxy::start(spec, &socket, Arc::new(move || *now.lock().unwrap())).unwrap();
        Self { folder, proxy, clock, log }
    }

    /// The clock goes on.
    pub fn advance(&self, seconds: u64) {
        *self.clock.lock().unwrap() += Duration::from_secs(seconds);
    }

    /// The clock goes back.
    pub fn go_back(&self, seconds: u64) {
        *self.clock.lock().unwrap() -= Duration::from_secs(seconds);
    }

    pub fn set_clock(&self, now: SystemTime) {
        *self.clock.lock().unwrap() = now;
    }

    /// Now, as a field says it.
    pub fn date(&self) -> String {
        httpdate::fmt_http_date(*self.clock.lock().unwrap())
    }

    /// What the origin was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// What the origin was asked since the last time.
    pub fn forget_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub fn counters(&self) -> HttpCounters {
        self.proxy.counters()
    }

    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.proxy.socket()).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[]).await
    }

    pub async fn get_with(&self, path: &str, fields: &[&str]) -> Reply {
        self.ask("GET", path, fields).await
    }

    pub async fn ask(&self, method: &str, path: &str, fields: &[&str]) -> Reply {
        self.send(method, path, fields, "").await
    }

    pub async fn send(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Reply {
        let mut client = self.connect().await;
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{length}{fields}\r\n");
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let reply = soon(read_all(&mut client)).await;
        parse(&reply, method == "HEAD").expect("an answer")
    }

    /// What a client gets for these bytes until the proxy hangs up.
    pub async fn raw(&self, bytes: &[u8], then_hangs_up: bool) -> Vec<u8> {
        let mut client = self.connect().await;
        let (mut reading, mut writing) = client.split();
        let write = async {
            // The proxy may have hung up already.
            let _ = writing.write_all(bytes).await;
            if then_hangs_up {
                let _ = writing.shutdown().await;
            }
        };
        let mut answer = Vec::new();
        let _ = soon(async { tokio::join!(write, reading.read_to_end(&mut answer)) }).await;
        answer
    }
}

async fn read_all(client: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What the proxy has not read of a refused request makes the end an error.
    let _ = client.read_to_end(&mut bytes).await;
    bytes
}

/// A complete answer; nothing if it is none.
pub fn parse(bytes: &[u8], is_head: bool) -> Option<Reply> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut reply = Reply { status, head, body: bytes[end..].to_vec() };
    if is_head || status == 304 {
        return reply.body.is_empty().then_some(reply);
    }
    if reply.field("transfer-encoding") == Some("chunked") {
        reply.body = unchunked(&reply.body)?;
    } else if let Some(length) = reply.field("content-length") {
        let length: usize = length.parse().ok()?;
        if reply.body.len() < length {
            return None;
        }
        reply.body.truncate(length);
    }
    Some(reply)
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(bytes, b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        let data = bytes.get(end + 2..end + 2 + length)?;
        bytes = bytes.get(end + 4 + length..)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(data);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Serves whoever comes, one request each.
fn serve(socket: &Path, script: Script, log: Arc<Mutex<Vec<Asked>>>) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (script, log) = (Arc::clone(&script), Arc::clone(&log));
            tokio::spawn(async move {
                let Some(mut asked) = read_request(&mut stream).await else { return };
                let says = {
                    let mut log = log.lock().unwrap();
                    asked.number = log.len();
                    log.push(asked.clone());
                    script(&asked)
                };
                let _ = stream.write_all(&says.bytes).await;
                if says.then_hangs {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
    });
}

async fn read_request(stream: &mut UnixStream) -> Option<Asked> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
            let reply = Reply { status: 0, head: head.clone(), body: Vec::new() };
            let rest = &bytes[end + 4..];
            let body = if reply.field("transfer-encoding").is_some() {
                unchunked(rest)
            } else {
                let length = reply.field("content-length").map_or(0, |length| length.parse().unwrap());
                rest.get(..length).map(<[u8]>::to_vec)
            };
            if let Some(body) = body {
                return Some(Asked { head, body, number: 0 });
            }
        }
        let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&buffer[..length]);
    }
}

/// Bytes of memory that this process has.
pub fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Accepted connections of a socket, as the kernel has them.
pub fn connections(socket: &Path) -> usize {
    const CONNECTED: &str = "03";
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let of_socket = table.lines().filter(|line| line.ends_with(socket.to_str().unwrap()));
    of_socket.filter(|line| line.split_whitespace().nth(5) == Some(CONNECTED)).count()
}

/// Waits until nobody is connected to a socket.
pub async fn all_are_closed(socket: &Path) {
    soon(async {
        while connections(socket) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A head can be read in one way only.
pub fn assert_is_clear(head: &str) {
    let fields: Vec<(&str, &str)> = head
        .trim_end_matches("\r\n")
        .split("\r\n")
        .skip(1)
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?} in {head}")))
        .collect();
    let count = |name: &str| fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).count();
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{head}");
    assert!((head.starts_with("HTTP/") || count("host") == 1) && count("x-cache") <= 1, "{head}");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']), "{head:?}");
}
