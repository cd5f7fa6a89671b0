//! Redis (and Valkey): `request` cuts the client's bytes into commands, `reply` the server's into replies. `time` is which
//! commands wait for time, or ask for it; `alarm` ends the waiting where the server's clock stands; `ask` is what the harness
//! itself says.
//!
//! Counted as statements, by their names. Malformed bytes are counted and passed on: to refuse them is the server's
//! business. A subscriber's replies are not matched to its commands.

mod alarm;
mod ask;
mod reply;
mod request;
mod time;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use self::alarm::Alarm;
use self::ask::ask;
use self::reply::{Found, Replies, Reply};
use self::request::{Command, Requests};
use crate::error::Result;
use crate::proxy::Endpoint;
use crate::proxy::wire::connection_counts::ConnectionCounts;
use crate::proxy::wire::cut_finder::CutFinder;
use crate::proxy::wire::listener::{Opened, Protocol, Proxy};
use crate::proxy::wire::observer::{Broken, Observer};
use crate::proxy::wire::sql::Shape;
use crate::proxy::wire::statement_counts::{Class, Outcome, StatementCounts};
use crate::proxy::wire::stream::{self, Side, Stream};
use crate::proxy::wire::time_asked::TimeAsked;

/// Commands whose answers are waited for. A client that has more of them under way has its replies no longer matched.
const MAX_WAITING: usize = 1 << 20;

/// The protocol.
#[derive(Debug)]
pub struct Redis {
    preamble: Vec<Vec<String>>,
    upstream: Endpoint,
    clock: RedisClock,
}

/// Whose time the server has.
#[derive(Debug, Clone)]
pub enum RedisClock {
    /// The arm's, which goes.
    Goes,
    /// The arm's, which stands: a client that waits for time would wait for ever, so the proxy ends its waiting.
    Stands,
    /// The machine's: what asks for it is kept in mind.
    Machine(TimeAsked),
}

/// A counting proxy for Redis.
pub type RedisProxy = Proxy<Redis>;

impl RedisProxy {
    /// Listens at `socket` (mode 0600), and passes on to `upstream`, which has this clock. The commands of `preamble`, e.g.
    /// AUTH and SELECT, are said first on every connection, and neither they nor their replies are counted; a client whose
    /// preamble is answered by an error is hung up on.
    ///
    /// # Errors
    ///
    /// Cannot run if the socket cannot be made, or its address would be too long.
    #[expect(clippy::unused_async, reason = "a listener needs the runtime: nobody can call this outside")]
    pub async fn start(
        upstream: Endpoint,
        preamble: Vec<Vec<String>>,
        clock: RedisClock,
        socket: &Path,
    ) -> Result<Self> {
        Self::listen(Redis { preamble, upstream: upstream.clone(), clock }, upstream, socket)
    }
}

impl Protocol for Redis {
    type Observer = Dialogue;

    fn observer(&self) -> Dialogue {
        let alarm = matches!(self.clock, RedisClock::Stands)
            .then(|| Arc::new(Alarm::new(self.upstream.clone(), self.preamble.clone())));
        let asked = if let RedisClock::Machine(asked) = &self.clock { Some(asked.clone()) } else { None };
        Dialogue { alarm, asked, ..Dialogue::default() }
    }

    async fn open(
        &self,
        _: &Stream,
        upstream: &Endpoint,
        counts: &Mutex<ConnectionCounts<Dialogue>>,
    ) -> Option<Opened> {
        counts.lock().totals().connections += 1;
        let server = stream::connect(upstream).await.ok()?;
        ask(&server, &self.preamble).await.ok()?;
        let alarm = counts.lock().observer().alarm.clone();
        if let Some(alarm) = alarm {
            alarm.learn_id(&server).await.ok()?;
        }
        Some(Opened { server, first: Vec::new() })
    }
}

/// What both sides of a connection say.
#[derive(Debug, Default)]
pub struct Dialogue {
    requests: Requests,
    replies: Replies,
    /// Commands that have no answer yet.
    waiting: VecDeque<usize>,
    sent: u64,
    /// The client gets more than answers.
    subscribes: bool,
    counts: StatementCounts,
    /// Where the server's clock stands.
    alarm: Option<Arc<Alarm>>,
    /// Where the server has the machine's time.
    asked: Option<TimeAsked>,
}

impl Dialogue {
    fn command(&mut self, command: Command<'_>) {
        self.counts.totals.messages_up += 1;
        self.sent += 1;
        let verb = String::from_utf8_lossy(command.name).to_ascii_uppercase();
        if let Some(alarm) = &self.alarm
            && let Some(wait) = time::waits(&verb, command.arguments)
        {
            alarm.set(wait, self.sent);
        }
        if let Some(asked) = &self.asked {
            time::tell(&verb, command.arguments, asked);
        }
        self.subscribes |= matches!(verb.as_str(), "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "MONITOR");
        self.subscribes |= self.waiting.len() >= MAX_WAITING;
        self.waiting.push_back(self.counts.class(Class { shape: Shape::of_verb(verb), ..Class::default() }));
        if self.subscribes {
            for class in std::mem::take(&mut self.waiting) {
                self.counts.count(class, Outcome::Done);
            }
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.counts.totals.messages_down += 1;
        if self.subscribes || reply.is_push() {
            return;
        }
        if let Some(alarm) = &self.alarm {
            alarm.answered();
        }
        match self.waiting.pop_front() {
            Some(class) => self.counts.count(class, if reply.is_error() { Outcome::Failed } else { Outcome::Done }),
            None => self.counts.totals.unmatched += 1,
        }
    }

    /// Whether the server's next reply answers EXEC.
    fn awaits_exec(&self) -> bool {
        self.waiting.front().is_some_and(|class| self.counts.verb(*class) == "EXEC")
    }

    fn settled(&self) -> u64 {
        self.sent - self.waiting.len() as u64
    }

    /// The ordinal of the command that the server's next reply answers.
    fn next_answered(&self) -> Option<u64> {
        (!self.waiting.is_empty()).then(|| self.settled() + 1)
    }

    /// What the client has sent, with what is aimed at.
    fn requests(&mut self, bytes: &[u8], cut: &mut Option<&mut CutFinder<'_>>) -> Result<(), request::Malformed> {
        let mut requests = std::mem::take(&mut self.requests);
        let result = requests.push(bytes, |command, span| {
            self.command(command);
            if let Some(cut) = cut {
                cut.sent(span.start, self.sent..self.sent + 1, || command.name.eq_ignore_ascii_case(b"EXEC"));
            }
        });
        self.requests = requests;
        result
    }

    /// What the server has sent, with what is aimed at.
    fn replies(&mut self, bytes: &[u8], cut: &mut Option<&mut CutFinder<'_>>) -> Result<(), request::Malformed> {
        if let Some(cut) = cut {
            cut.answers(0, self.next_answered());
        }
        let mut replies = std::mem::take(&mut self.replies);
        let result = replies.push(bytes, |found, span| match found {
            Found::Array => {
                if let Some(cut) = cut
                    && self.awaits_exec()
                {
                    cut.committed(span.start);
                }
            }
            Found::Reply(reply) => {
                self.reply(reply);
                if let Some(cut) = cut {
                    cut.answered(span, self.settled(), self.next_answered());
                }
            }
        });
        self.replies = replies;
        result
    }
}

impl Observer for Dialogue {
    fn received(&mut self, side: Side, bytes: &[u8], mut cut: Option<&mut CutFinder<'_>>) -> Result<(), Broken> {
        let result = match side {
            Side::Client => self.requests(bytes, &mut cut),
            Side::Server => self.replies(bytes, &mut cut),
        };
        self.counts.totals.malformed += u64::from(result.is_err());
        Ok(())
    }

    fn is_between_messages(&self, side: Side) -> bool {
        match side {
            Side::Client => self.requests.is_between_commands(),
            Side::Server => self.replies.is_between_replies(),
        }
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn undecided(&self) -> usize {
        if self.awaits_exec() { self.replies.undecided() } else { 0 }
    }

    fn end(&mut self) {
        for class in std::mem::take(&mut self.waiting) {
            self.counts.count(class, Outcome::Unanswered);
        }
    }

    fn counts(&self) -> &StatementCounts {
        &self.counts
    }

    fn counts_mut(&mut self) -> &mut StatementCounts {
        &mut self.counts
    }
}
