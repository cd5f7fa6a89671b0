//! Web requests of an arm: who answers them, and who sends them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cookie::Cookie;
use dj_regress_protocol::{Reply, Request, Serve};
use indexmap::IndexMap;
use serde_json::Value;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Session;
use super::limits::LIMIT;
use super::web::Between;
use crate::actor::StepError;
use crate::case::{Actor, CacheKind, Http};
use crate::probe::exchange::Exchange;
use crate::probe::journal::Journal;
use crate::probe::ledger::PROBE;
use crate::probe::log::raised_since;
use crate::probe::reconcile::Requested;
use crate::proxy::{HttpCounters, HttpProxy, HttpProxySpec};
use crate::runner::browser::{Answer, Caller, Told};
use crate::service::nginx::NginxSpec;
use crate::service::procfs;

/// How long an app may be busy after its last answer; one that computes in the background is not waited for.
const REST: Duration = Duration::from_secs(1);

/// Looks that must agree before an actor counts as quiet.
const QUIET_LOOKS: usize = 5;

/// Between two of them; also how long what is sent is under way at most on this machine.
const LOOK: Duration = Duration::from_millis(10);

/// Requests under way.
pub struct UnderWay {
    http: Arc<Http>,
    /// Where the arm's log stood, in bytes.
    log: u64,
    /// The web actor that is asked in the end.
    web: String,
    callers: JoinSet<(u64, Told)>,
}

/// What came of a step's requests.
pub struct Answered {
    /// Requests that were sent.
    pub requests: u64,
    /// Readings under the step's name.
    pub readings: Vec<(&'static str, Value)>,
    /// What was kept.
    pub kept: Vec<(String, Value)>,
    /// The first thing that is wrong with them, if nobody looks at it.
    pub wrong: Option<String>,
}

impl Session<'_> {
    /// Sends a step's requests; they are under way when this returns.
    pub async fn send_requests(&mut self, http: &Http) -> Result<UnderWay, StepError> {
        let http = Arc::new(http.clone());
        let target = http.asked().or_else(|| self.state.web_actor()).unwrap_or_default();
        let (socket, web) = self.answering(target).await?;
        let mut jar = self.web.jars.get(&http.by).cloned().unwrap_or_default();
        if !http.login.is_empty() {
            jar.add_original(self.login(&http.login).await?);
        }
        let barrier = Arc::new(Barrier::new(http.callers as usize));
        let log = std::fs::metadata(self.log.path()).map_or(0, |log| log.len());
        let mut callers = JoinSet::new();
        for index in 0..http.callers {
            let caller = Caller {
                target: target.to_owned(),
                socket: socket.clone(),
                http: Arc::clone(&http),
                kept: Arc::clone(&self.web.kept),
                jar: jar.clone(),
                time: self.time.clone(),
                barrier: Arc::clone(&barrier),
                within: http.within.unwrap_or(LIMIT),
            };
            callers.spawn(async move { (index, caller.ask().await) });
        }
        Ok(UnderWay { http, log, web, callers })
    }

    /// The cookie of a new session of a user.
    async fn login(&mut self, user: &IndexMap<String, Value>) -> Result<Cookie<'static>, StepError> {
        let fields = user.clone().into_iter().collect();
        match self.ask(PROBE, &Request::Login(fields)).await? {
            Reply::Cookie(name, value) => Ok(Cookie::new(name, value)),
            _ => Err(StepError::Died(format!("{PROBE} gave a reply to another request and"))),
        }
    }

    /// Waits for the answers.
    pub async fn answers(&mut self, under_way: UnderWay) -> Result<Answered, StepError> {
        let UnderWay { http, log, web, mut callers } = under_way;
        let mut told = Vec::new();
        while let Some(caller) = callers.join_next().await {
            told.push(caller.map_err(|error| StepError::Died(format!("a caller ({error})")))?);
        }
        told.sort_by_key(|(index, _)| *index);
        self.rest(&web).await?;
        if let Some(why) = told.iter().find_map(|(_, told)| told.unsent.as_ref()) {
            return Err(StepError::Refused(why.clone()));
        }
        let exchanges = || told.iter().flat_map(|(_, told)| &told.exchanges);
        let wrong = exchanges().find_map(|exchange| match &exchange.outcome {
            Ok((status, _)) if *status < 400 => None,
            Ok((status, body)) => {
                let why = raised_since(self.log.path(), log).or_else(|| beginning(body));
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                Some(format!(
                    "{}answered {status}{why}; a step with a name (`as: page`) can bound it (`page.status`)",
                    filled(&http, exchange)
                ))
            }
            Err(why) => Some(format!("{}{why}", filled(&http, exchange))),
        });
        let answers = exchanges().filter(|exchange| exchange.outcome.is_ok()).count();
        let requests = exchanges().count();
        let errors = exchanges().filter(|exchange| exchange.is_error()).count();
        let last = told.iter().rev().find_map(|(_, told)| told.last.as_ref());
        let mut readings = vec![
            ("status", last.map_or(Value::Null, |answer| answer.status.as_u16().into())),
            ("answers", Value::from(answers)),
            ("errors", Value::from(errors)),
        ];
        if !http.until.is_empty() {
            readings.push(("reached", Value::from(told.iter().all(|(_, told)| told.reached))));
        }
        let part = |part| last.map_or(Value::Null, |answer: &Answer| answer.part(part));
        let kept: Vec<(String, Value)> = http.keep.iter().map(|(name, of)| (name.clone(), part(of))).collect();
        let known = Arc::make_mut(&mut self.web.kept);
        for (name, value) in &kept {
            // What is not there is not what was there before.
            if value.is_null() {
                known.shift_remove(name)
            } else {
                known.insert(name.clone(), value.clone())
            };
        }
        self.web.exchanges.extend(exchanges().cloned());
        if let Some((_, told)) = told.into_iter().next() {
            self.web.jars.insert(http.by.clone(), told.jar);
        }
        Ok(Answered { requests: requests as u64, readings, kept, wrong })
    }

    /// Where an actor answers, and the web actor that is asked in the end; all on the way are started.
    async fn answering(&mut self, actor: &str) -> Result<(PathBuf, String), StepError> {
        let mut way = vec![actor.to_owned()];
        while let Some(Actor::Proxy { to, .. }) = way.last().and_then(|last| self.state.actors.get(last)) {
            way.push(to.clone());
        }
        let web = way.last().cloned().unwrap_or_default();
        let mut socket = PathBuf::new();
        for name in way.iter().rev() {
            if let Some(known) = self.web.sockets.get(name) {
                socket.clone_from(known);
                continue;
            }
            socket = match self.state.actors.get(name) {
                Some(Actor::Web { threads }) => self.serve(name, *threads).await?,
                Some(Actor::Proxy { kind, timeout, .. }) => {
                    let spec = HttpProxySpec { kind: *kind, origin: socket, timeout: *timeout };
                    self.stand_between(name, spec).await?
                }
                _ => return Err(StepError::Refused(format!("{name} answers no requests"))),
            };
            self.web.sockets.insert(name.clone(), socket.clone());
        }
        Ok((socket, web))
    }

    async fn serve(&mut self, actor: &str, threads: u32) -> Result<PathBuf, StepError> {
        let socket = self.wire_of(actor).await?.directory.join("web.sock");
        self.ask(actor, &Request::Serve(Serve { socket: socket.display().to_string(), threads })).await?;
        Ok(socket)
    }

    async fn stand_between(&mut self, name: &str, spec: HttpProxySpec) -> Result<PathBuf, StepError> {
        let clock = Arc::clone(self.time.clock());
        let socket = self.folder.join(format!("proxy-{}.sock", self.web.proxies.len()));
        let between = if spec.kind == CacheKind::Nginx {
            let folder = self.folder.join(format!("nginx-{}", self.web.proxies.len()));
            let (origin, timeout) = (spec.origin, spec.timeout);
            let spec = NginxSpec { origin, socket: socket.clone(), folder, timeout, clock: Some(clock) };
            let nginx = self.context.services.nginx(&spec).await?;
            self.servers.watch_nginx(self.state, &nginx);
            if !nginx.has_clock() {
                self.servers.asked_others.last(format!("what {name} keeps"));
            }
            Between::Nginx(Box::new(nginx))
        } else {
            Between::Ours(HttpProxy::start(spec, &socket, Arc::new(move || clock.now()))?)
        };
        self.web.proxies.insert(name.to_owned(), between);
        Ok(socket)
    }

    /// What each actor of the web was sent over the whole arm, and what it saw itself.
    pub fn requested(&self, journal: &Journal) -> Vec<Requested> {
        let counters = self.record.windows.flow(None).http;
        let is_calm = counters.values().all(|counters| counters.errors == 0 && counters.malformed == 0);
        let all_answered = is_calm && self.web.exchanges.iter().all(Exchange::is_handled);
        // What nginx asks for somebody who has given up is not in its log.
        let is_told = all_answered || !self.state.has_nginx();
        let requested = self.web.sockets.keys().filter(|_| is_told).map(|actor| {
            let seen = match counters.get(actor) {
                Some(counters) => counters.requests,
                None => journal.requests().filter(|(by, ..)| by == actor).count() as u64,
            };
            let ours = self.web.exchanges.iter().filter(|exchange| exchange.target == *actor).count() as u64;
            let asks = |(name, _): &(&String, &HttpCounters)| {
                matches!(self.state.actors.get(*name), Some(Actor::Proxy { to, .. }) if to == actor)
            };
            let theirs: u64 = counters.iter().filter(asks).map(|(_, counters)| counters.origin_requests).sum();
            Requested { actor: actor.clone(), sent: ours + theirs, seen, all_answered }
        });
        requested.collect()
    }

    /// An answer is there before the app is done with its request: what it still does, closing its connection to the
    /// database for one, belongs to the same window. Threads that are held, or wait for another, are not waited for.
    async fn rest(&mut self, web: &str) -> Result<(), StepError> {
        let deadline = Instant::now() + REST;
        let mut looks = 0;
        while looks < 2 && Instant::now() < deadline {
            looks = if self.does_nothing(web).await? { looks + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Waits until each request under way of a web actor is held or waits for another; whether that came.
    pub(super) async fn quiet(&mut self, actor: &str, within: Duration) -> Result<bool, StepError> {
        let deadline = Instant::now() + within;
        let (mut looks, mut before) = (0, None);
        while looks < QUIET_LOOKS {
            let now = self.journal().map_err(StepError::Refused)?.length();
            let rests = self.does_nothing(actor).await?;
            looks = if rests && before == Some(now) { looks + 1 } else { 0 };
            before = Some(now);
            if Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// Whether no thread of a web actor runs, and whoever waits for a server waits for a lock there.
    async fn does_nothing(&mut self, actor: &str) -> Result<bool, StepError> {
        let pid = self.process(actor).await?.hello.pid;
        if !procfs::Process::is_running(pid) {
            return Err(StepError::Died(format!("the web actor {actor}")));
        }
        if self.under_way > 0 {
            // Under a fault the server cannot be asked, or answers nobody.
            return Ok(procfs::Process::is_asleep(pid));
        }
        let blocked = self.servers.blocked_backends(actor).await?;
        let wire = self.wire_of(actor).await?;
        // What waits for an answer, or to be let in, does so for a lock; what it sent has arrived.
        let awaited =
            wire.postgres.awaited() == blocked && wire.redis.as_ref().is_none_or(|redis| redis.awaited() == 0);
        Ok(awaited && procfs::Process::is_asleep(pid))
    }
}

/// The first line of a body that a reader can read: a page says it with too many words.
fn beginning(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    (!line.starts_with('<')).then(|| line.chars().take(200).collect())
}

/// The request as it was sent, where the step says it with names.
fn filled(http: &Http, exchange: &Exchange) -> String {
    let is_filled = http.request.target.contains('$');
    if is_filled { format!("{}: ", exchange.request) } else { String::new() }
}
