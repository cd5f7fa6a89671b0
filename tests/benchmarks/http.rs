//! Hits per second of our caching proxy and of nginx, taking turns within one run: the same requests over as many
//! connections, all on unix sockets. nginx is measured as cases have it, and once more without its log.
//!
//! One thread asks: it writes a request to each connection, then reads an answer from each. The proxy has a thread and a
//! runtime of its own, nginx is one process. Two cores are enough, and should be free: where they are not, the time that
//! each was on a processor says more than the requests per second.
//!
//! `cargo bench --bench http -- [requests per turn]`
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../origin/mod.rs"]
mod origin;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::Room;
use dj_regress::case::CacheKind;
use dj_regress::proxy::{HttpCounters, HttpProxy, HttpProxySpec};
use dj_regress::service::nginx::{Nginx, NginxSpec};
use dj_regress::service::supervisor::Supervisor;
use nix::sys::signal::Signal;
use origin::Origin;
use tokio::sync::oneshot;

const CONNECTIONS: usize = 16;
/// Different pages, each stored once.
const PAGES: usize = 64;
const ROUNDS: usize = 5;
/// Of one turn, whatever was asked for: our proxy hangs up on who says nothing for 10 s, and two others have their turns.
const LIMIT: Duration = Duration::from_secs(3);
/// Bytes of a body.
const SIZES: [usize; 2] = [200, 16_000];
/// Of what nginx does, at least.
const AIM: f64 = 0.8;
/// By which a body ends.
const END: &[u8] = b"the end";
const NAMES: [&str; 3] = ["ours", "nginx", "nginx without its log"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let requests = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(50_000);
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    if let Some(why) = services.nginx_refusal().await {
        eprintln!("SKIPPED: {why}");
        return supervisor.shutdown().await.unwrap();
    }
    let below = |name: &str| run_directory.path().join(name);
    let web = Origin::start(&below("web.sock"), |request, _| {
        let size: usize = request.path().split('/').nth(1).unwrap().parse().unwrap();
        let body = "x".repeat(size - END.len()) + str::from_utf8(END).unwrap();
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncache-control: max-age=3600\r\n\r\n{body}")
    });
    let ours = Ours::start(below("web.sock"), below("ours.sock"));
    let spec = |name: &str| NginxSpec {
        origin: below("web.sock"),
        socket: below(&format!("{name}.sock")),
        folder: below(name),
        timeout: None,
        clock: None,
    };
    let nginx = services.nginx(&spec("logs")).await.unwrap();
    let silent = services.nginx(&spec("silent")).await.unwrap();
    take_log_away(&supervisor, &silent, &below("silent")).await;

    let tasks = [vec![ours.task], workers(&nginx), workers(&silent)];
    let sockets = [below("ours.sock"), below("logs.sock"), below("silent.sock")];
    println!("{}, {CONNECTIONS} connections, {requests} requests a turn", services.nginx_version().await.unwrap());
    for size in SIZES {
        let mut clients = sockets.each_ref().map(|socket| Client::open(socket, size));
        for client in &mut clients {
            client.ask(2 * PAGES.max(CONNECTIONS));
        }
        let mut rates = [const { Vec::new() }; 3];
        let mut costs = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            // Who comes first has its turn at another time in every round.
            for turn in 0..clients.len() {
                let who = (round + turn) % clients.len();
                let before = on_processor(&tasks[who]);
                let (done, seconds) = clients[who].ask(requests);
                costs[who].push(on_processor(&tasks[who]).saturating_sub(before) as f64 / 1000.0 / done as f64);
                rates[who].push(done as f64 / seconds);
            }
        }
        for ((name, rates), costs) in NAMES.iter().zip(&rates).zip(&costs) {
            let each: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
            let (rate, cost) = (median(rates.clone()), median(costs.clone()));
            println!(
                "{size} bytes, {name}: {rate:.0} requests/s ({}), {cost:.1} us of a processor each",
                each.join(" ")
            );
        }
        let [ours, nginx, silent] = rates.map(median);
        let (ratio, of_silent) = (ours / nginx, ours / silent);
        let verdict = if ratio >= AIM { "reached" } else { "MISSED" };
        println!(
            "{size} bytes: ours is {ratio:.2} of nginx, {of_silent:.2} of one without its log; {AIM} is {verdict}"
        );
    }

    let (ours, counters) = (ours.end(), nginx.counters().await.unwrap());
    assert_eq!(ours.hits + ours.misses, ours.requests, "nothing but hits, once each page was there: {ours:?}");
    assert_eq!((ours.misses, counters.misses), ((SIZES.len() * PAGES) as u64, (SIZES.len() * PAGES) as u64));
    assert_eq!(web.hits(), 3 * SIZES.len() * PAGES + 1, "each page once of each, and that of no log");
    nginx.finish().await.unwrap();
    silent.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
}

/// Our proxy, in a thread and a runtime of its own.
struct Ours {
    /// Its thread, as the kernel knows it.
    task: u32,
    thread: thread::JoinHandle<HttpCounters>,
    over: oneshot::Sender<()>,
}

impl Ours {
    fn start(origin: PathBuf, socket: PathBuf) -> Self {
        let (over, until) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let spec = HttpProxySpec { kind: CacheKind::Strict, origin, timeout: None };
                let proxy = HttpProxy::start(spec, &socket, Arc::new(SystemTime::now)).unwrap();
                ready.send(nix::unistd::gettid().as_raw().cast_unsigned()).unwrap();
                until.await.unwrap();
                proxy.counters()
            })
        });
        Self { task: is_ready.recv().unwrap(), thread, over }
    }

    fn end(self) -> HttpCounters {
        self.over.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

/// Tells a running nginx to go on without its log.
async fn take_log_away(supervisor: &Supervisor, nginx: &Nginx, folder: &Path) {
    let (config, log) = (folder.join("s/nginx.conf"), folder.join("s/access.log"));
    let text = std::fs::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.ends_with("access.log\" line;")).unwrap();
    std::fs::write(&config, text.replace(line, "access_log off;")).unwrap();
    let before = workers(nginx);
    supervisor.signal(nginx.pid().unwrap(), Signal::SIGHUP).await.unwrap();
    // For a while the old worker takes connections beside the new one, and then hangs up on them.
    common::eventually("its old worker has gone", || !before.iter().any(|pid| common::is_running(*pid)));
    let length = || log.metadata().unwrap().len();
    let before = length();
    origin::ask(nginx.socket(), "GET /200/log", "");
    nginx.counters().await.unwrap();
    assert_eq!(length(), before, "it writes no log");
}

/// The worker, and the two that tidy up.
fn workers(nginx: &Nginx) -> Vec<u32> {
    let master = nginx.pid().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Nanoseconds that these were on a processor.
fn on_processor(tasks: &[u32]) -> u64 {
    let of = |task: &u32| -> u64 {
        // The loader of the cache ends after a minute.
        let text = std::fs::read_to_string(format!("/proc/{task}/task/{task}/schedstat"))
            .or_else(|_| std::fs::read_to_string(format!("/proc/self/task/{task}/schedstat")));
        text.map_or(0, |text| text.split(' ').next().unwrap().parse().unwrap())
    };
    tasks.iter().map(of).sum()
}

/// Connections that ask for one page after the other.
struct Client {
    streams: Vec<UnixStream>,
    requests: Vec<Vec<u8>>,
    next: usize,
    buffer: Vec<u8>,
}

impl Client {
    fn open(socket: &Path, size: usize) -> Self {
        let fields = "host: shop.example\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\r\naccept: text/html,*/*;q=0.8\r\n\
            accept-language: en\r\naccept-encoding: gzip\r\ncookie: sessionid=0123456789abcdef\r\n";
        let request = |page| format!("GET /{size}/{page} HTTP/1.1\r\n{fields}\r\n").into_bytes();
        let streams = (0..CONNECTIONS).map(|_| UnixStream::connect(socket).unwrap()).collect();
        Self { streams, requests: (0..PAGES).map(request).collect(), next: 0, buffer: vec![0; 64 << 10] }
    }

    /// Asks so many times, if the limit allows; gives how often, and the seconds.
    fn ask(&mut self, requests: usize) -> (usize, f64) {
        let (begin, mut done) = (Instant::now(), 0);
        while done < requests && begin.elapsed() < LIMIT {
            for stream in &mut self.streams {
                stream.write_all(&self.requests[self.next % PAGES]).unwrap();
                self.next += 1;
            }
            for stream in &mut self.streams {
                let mut have = 0;
                while !self.buffer[..have].ends_with(END) {
                    let length = stream.read(&mut self.buffer[have..]).unwrap();
                    assert!(length > 0, "hung up on: {}", String::from_utf8_lossy(&self.buffer[..have]));
                    have += length;
                }
                done += 1;
            }
        }
        (done, begin.elapsed().as_secs_f64())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
