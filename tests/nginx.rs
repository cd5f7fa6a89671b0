//! A real nginx as a proxy: where it runs, what it says it did, what it leaves.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod origin;
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Room;
use dj_regress::proxy::HttpCounters;
use dj_regress::service::nginx::{Nginx, NginxSpec};
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use dj_regress::service::{Place, ServiceChoice, Services};
use origin::{Origin, Request, ask};
use rstest::rstest;
use support::skip;

/// Services at a place, and a folder for the sockets of one arm.
struct Stage {
    services: Services,
    run_directory: Arc<RunDirectory>,
    supervisor: Supervisor,
    room: Room,
}

impl Stage {
    /// None, loudly, where there is no nginx.
    async fn at(place: Place) -> Option<Self> {
        let room = Room::new();
        let (run_directory, supervisor) = room.supervisor().await;
        let choice = ServiceChoice { place: Some(place), ..ServiceChoice::default() };
        let services = match Services::choose(&choice, &supervisor, &run_directory, &room.cache).await {
            Ok(services) => services,
            Err(error) => {
                skip(&format!("nginx, {place}: {error}"));
                supervisor.shutdown().await.unwrap();
                return None;
            }
        };
        if let Some(why) = services.nginx_refusal().await {
            skip(&format!("nginx, {place}: {why}"));
            services.finish().await.unwrap();
            supervisor.shutdown().await.unwrap();
            return None;
        }
        Some(Self { services, run_directory, supervisor, room })
    }

    fn spec(&self) -> NginxSpec {
        let arm = self.run_directory.folder("arms/one").unwrap();
        let web = self.run_directory.folder("arms/one/web").unwrap();
        NginxSpec {
            origin: web.join("web.sock"),
            socket: arm.join("corporate.sock"),
            folder: arm.join("corporate"),
            timeout: Some(Duration::from_millis(300)),
            clock: None,
        }
    }

    async fn start(&self) -> Nginx {
        self.services.nginx(&self.spec()).await.unwrap()
    }

    fn origin(&self) -> Origin {
        Origin::start(&self.spec().origin, script)
    }

    async fn end(self) {
        self.services.finish().await.unwrap();
        self.supervisor.shutdown().await.unwrap();
        drop(self.room);
    }
}

fn script(request: &Request, number: usize) -> String {
    match request.path() {
        "/silent" => String::new(),
        "/kept" => format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nanswer {number}"),
        "/asked" if request.header("if-none-match").is_some() => {
            "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncache-control: max-age=1\r\n\r\n".to_owned()
        }
        "/asked" => format!("HTTP/1.1 200 OK\r\netag: \"a\"\r\ncache-control: max-age=1\r\n\r\nanswer {number}"),
        _ => format!("HTTP/1.1 200 OK\r\ncache-control: no-store\r\n\r\nanswer {number}"),
    }
}

#[rstest]
#[tokio::test]
async fn it_answers_from_its_cache_and_says_so(#[values(Place::Local, Place::Docker)] place: Place) {
    let Some(stage) = Stage::at(place).await else { return };
    let (origin, nginx) = (stage.origin(), stage.start().await);
    let get = |path: &str| ask(nginx.socket(), &format!("GET {path}"), "").body;
    assert_eq!([get("/kept"), get("/kept"), get("/kept?other")], ["answer 1", "answer 1", "answer 2"]);
    assert_eq!([get("/not"), get("/not")], ["answer 3", "answer 4"]);
    assert_eq!(ask(nginx.socket(), "POST /kept", "content-length: 0\r\n").body, "answer 5");
    let asked = origin.asked();
    assert_eq!(asked[0].header("host"), Some("app"), "the app is asked by the name that the client knows");

    let counters = nginx.counters().await.unwrap();
    let HttpCounters { requests, hits, misses, revalidations, origin_requests, errors, entries, .. } = counters;
    assert_eq!([requests, hits, misses, revalidations, origin_requests, errors, entries], [6, 1, 4, 0, 5, 0, 1]);
    assert!((300..2000).contains(&counters.bytes), "one small answer: {counters:?}");
    assert!(counters.bytes_up > 300 && counters.bytes_down > counters.bytes_up, "{counters:?}");
    nginx.finish().await.unwrap();
    stage.end().await;
}

#[rstest]
#[tokio::test]
async fn an_origin_that_fails_is_an_error_and_one_that_comes_back_is_found(
    #[values(Place::Local, Place::Docker)] place: Place,
) {
    let Some(stage) = Stage::at(place).await else { return };
    let nginx = stage.start().await;
    let status = |path: &str| ask(nginx.socket(), &format!("GET {path}"), "").status;
    assert_eq!(status("/kept"), 502, "nobody is there yet");
    let first = stage.origin();
    assert_eq!(status("/kept"), 200);
    let begin = Instant::now();
    assert_eq!(status("/silent"), 504);
    assert!(begin.elapsed() < Duration::from_secs(10), "it waits as long as it was told: {:?}", begin.elapsed());
    drop(first);
    assert_eq!(status("/not"), 502);
    let _second = stage.origin();
    assert_eq!(status("/not"), 200);
    let counters = nginx.counters().await.unwrap();
    assert_eq!((counters.requests, counters.errors, counters.timeouts), (5, 3, 1), "{counters:?}");
    assert_eq!((counters.origin_requests, counters.misses), (3, 2), "a silent one was asked: {counters:?}");
    nginx.finish().await.unwrap();
    stage.end().await;
}

#[tokio::test]
async fn what_has_grown_old_is_asked_for_again() {
    let Some(stage) = Stage::at(Place::Local).await else { return };
    let (origin, nginx) = (stage.origin(), stage.start().await);
    let get = || ask(nginx.socket(), "GET /asked", "").body;
    assert_eq!(get(), "answer 1");
    // Its clock is the system's, in whole seconds: there is no other way than to let them pass.
    common::eventually("it asks the origin again", || {
        assert_eq!(get(), "answer 1");
        origin.hits() > 1
    });
    let counters = nginx.counters().await.unwrap();
    assert_eq!((counters.misses, counters.revalidations, counters.origin_requests), (1, 1, 2), "{counters:?}");
    nginx.finish().await.unwrap();
    stage.end().await;
}

#[tokio::test]
async fn every_request_is_counted_as_soon_as_it_is_answered() {
    let Some(stage) = Stage::at(Place::Local).await else { return };
    let (_origin, nginx) = (stage.origin(), stage.start().await);
    for number in 1..=200 {
        ask(nginx.socket(), "GET /kept", "");
        assert_eq!(nginx.counters().await.unwrap().requests, number);
    }
    nginx.finish().await.unwrap();
    stage.end().await;
}

#[rstest]
#[tokio::test]
async fn nothing_is_left_of_it_and_another_finds_nobody(#[values(Place::Local, Place::Docker)] place: Place) {
    let Some(stage) = Stage::at(place).await else { return };
    let nginx = stage.start().await;
    let (pid, socket) = (nginx.pid(), nginx.socket().to_owned());
    assert_eq!(pid.is_some(), place == Place::Local);
    nginx.finish().await.unwrap();
    assert!(!socket.exists() && pid.is_none_or(|pid| !common::is_running(pid)));
    // One that nobody has ended goes with the run.
    let spec = NginxSpec { folder: stage.run_directory.path().join("other"), ..stage.spec() };
    let pid = stage.services.nginx(&spec).await.unwrap().pid();
    let folder = stage.run_directory.path().to_owned();
    stage.end().await;
    assert!(!folder.exists() && pid.is_none_or(|pid| !common::is_running(pid)));
}

#[tokio::test]
async fn all_that_it_has_open_is_below_its_folder() {
    let Some(stage) = Stage::at(Place::Local).await else { return };
    let nginx = stage.start().await;
    let folder = stage.spec().folder.canonicalize().unwrap();
    let master = nginx.pid().unwrap();
    // A worker that begins reads what names users and zones have, and closes it again.
    common::eventually("all that it has open is below its folder", || {
        let open = open(master);
        let is_elsewhere =
            |path: &PathBuf| path.is_absolute() && !path.starts_with("/dev/null") && !path.starts_with(&folder);
        open.len() > 10 && !open.iter().any(is_elsewhere)
    });
    let there = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(there, 1, "and that is private but for what it is open to");
    nginx.finish().await.unwrap();
    stage.end().await;
}

/// What a master and its workers have open.
fn open(master: u32) -> Vec<PathBuf> {
    let processes = [master].into_iter().chain(children(master));
    let files = processes.filter_map(|process| std::fs::read_dir(format!("/proc/{process}/fd")).ok()).flatten();
    files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).collect()
}

fn children(of: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn one_that_does_not_start_says_why_and_leaves_nothing(#[values(Place::Local, Place::Docker)] place: Place) {
    let Some(stage) = Stage::at(place).await else { return };
    // It may be no longer than the kernel takes; a container sees another path, and its origin's is as long here.
    let deep: PathBuf = std::iter::repeat_n("deep", 25).collect();
    let spec = match place {
        Place::Local => NginxSpec { folder: stage.run_directory.path().join(&deep).join("nginx"), ..stage.spec() },
        _ => NginxSpec { origin: stage.run_directory.path().join("o".repeat(120)), ..stage.spec() },
    };
    let error = stage.services.nginx(&spec).await.unwrap_err();
    assert!(error.message.contains("ended at its start"), "{error}");
    assert!(error.message.contains("[emerg]") && error.message.contains("too long path"), "{error}");
    assert!(!spec.socket.exists());
    stage.end().await;
}
