//! Postgres: `framing` cuts streams into messages, `startup` reads the packet before them, `answers` makes counts of
//! them, `split` cuts a query into statements.

mod answers;
mod framing;
mod split;
mod startup;
mod time;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use self::answers::Answers;
use self::framing::{Framer, Malformed, Message};
use self::startup::Startup;
pub use self::time::asks_for_time;
use crate::clock::ArmBackends;
use crate::error::{Context as _, Result};
use crate::proxy::Endpoint;
use crate::proxy::wire::connection_counts::ConnectionCounts;
use crate::proxy::wire::cut_finder::CutFinder;
use crate::proxy::wire::listener::{self, Opened, Protocol, Proxy};
use crate::proxy::wire::observer::{Broken, Observer};
use crate::proxy::wire::statement_counts::StatementCounts;
use crate::proxy::wire::stream::{self, Side, Stream};
use crate::proxy::wire::time_asked::TimeAsked;

/// What every server calls its port, whose name is in that of a unix socket.
pub const PORT: u16 = 5432;

/// TLS, then GSSAPI encryption: libpq asks for each once.
const MAX_REFUSALS: u64 = 2;

/// The answer to both.
const REFUSAL: &[u8] = b"N";

/// How long a client may take to say who it is; Postgres's own `authentication_timeout`.
const STARTUP_DEADLINE: Duration = Duration::from_mins(1);

/// The protocol.
#[derive(Debug)]
pub struct Postgres {
    startup_deadline: Duration,
    clock: ServerClock,
}

/// Whose time the server's backends have.
#[derive(Debug, Clone)]
pub enum ServerClock {
    /// The arm's, once they are given it.
    Arm(Arc<ArmBackends>),
    /// The machine's: what asks for it is kept in mind.
    Machine(TimeAsked),
}

/// A counting proxy for Postgres.
pub type PostgresProxy = Proxy<Postgres>;

impl PostgresProxy {
    /// Listens in `folder`, which is made, and passes on to `upstream`.
    ///
    /// # Errors
    ///
    /// Cannot run if the socket cannot be made, or its address would be too long.
    #[expect(clippy::unused_async, reason = "a listener needs the runtime: nobody can call this outside")]
    pub async fn start(upstream: Endpoint, clock: ServerClock, folder: &Path) -> Result<Self> {
        let doing = || format!("make {}", folder.display());
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        listener::check(&socket)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).cannot_run(doing)?;
        Self::listen(Postgres { startup_deadline: STARTUP_DEADLINE, clock }, upstream, &socket)
    }

    /// What goes into libpq's `host`; the port is the server's.
    pub fn host(&self) -> &Path {
        self.socket().parent().unwrap_or(self.socket())
    }
}

impl Protocol for Postgres {
    type Observer = Conversation;

    fn observer(&self) -> Conversation {
        Conversation::new(self.clock.clone())
    }

    async fn open(
        &self,
        client: &Stream,
        upstream: &Endpoint,
        counts: &Mutex<ConnectionCounts<Conversation>>,
    ) -> Option<Opened> {
        let Ok(first) = timeout(self.startup_deadline, greet(client, counts)).await else {
            counts.lock().totals().malformed += 1;
            return None;
        };
        let first = first.ok()?;
        let server = stream::connect(upstream).await.ok()?;
        Some(Opened { server, first })
    }
}

/// What both sides of a connection say after start-up.
#[derive(Debug)]
pub struct Conversation {
    answers: Answers,
    up: Framer,
    down: Framer,
    clock: ServerClock,
}

impl Conversation {
    fn new(clock: ServerClock) -> Self {
        let (up, down) = (Framer::new(Side::Client), Framer::new(Side::Server));
        Self { answers: Answers::default(), up, down, clock }
    }
}

impl Observer for Conversation {
    fn received(&mut self, side: Side, bytes: &[u8], mut cut: Option<&mut CutFinder<'_>>) -> Result<(), Broken> {
        let Self { answers, up, down, clock } = self;
        let result = match side {
            Side::Client => up.push(bytes, |message, span| {
                let before = answers.sent();
                answers.frontend(&message);
                if let ServerClock::Machine(asked) = clock
                    && let Some(text) = time::asked(&message)
                {
                    asked.ask(text);
                }
                if let Some(cut) = &mut cut {
                    cut.sent(span.start, before + 1..answers.sent() + 1, || answers.commits());
                }
            }),
            Side::Server => {
                if let Some(cut) = &mut cut {
                    cut.answers(0, answers.next_answered());
                }
                down.push(bytes, |message, span| {
                    answers.backend(&message);
                    // The backend has said who it is. What the client says first comes after that.
                    if let (b'K', ServerClock::Arm(backends)) = (message.kind, &*clock) {
                        backends.give(answers.counts().backend);
                    }
                    if let Some(cut) = &mut cut {
                        if has_committed(&message) {
                            cut.committed(span.start);
                        }
                        cut.answered(span, answers.settled(), answers.next_answered());
                    }
                })
            }
        };
        result.inspect_err(|_| answers.counts_mut().totals.malformed += 1).map_err(Broken::from)
    }

    fn is_between_messages(&self, side: Side) -> bool {
        match side {
            Side::Client => self.up.is_between_messages(),
            Side::Server => self.down.is_between_messages(),
        }
    }

    fn sent(&self) -> u64 {
        self.answers.sent()
    }

    fn is_awaited(&self) -> bool {
        self.answers.is_awaited()
    }

    fn under_way(&self) -> Vec<(usize, u64)> {
        self.answers.under_way()
    }

    fn undecided(&self) -> usize {
        self.down.undecided()
    }

    fn end(&mut self) {
        self.answers.end();
    }

    fn counts(&self) -> &StatementCounts {
        self.answers.counts()
    }

    fn counts_mut(&mut self) -> &mut StatementCounts {
        self.answers.counts_mut()
    }
}

/// Whether a message of the server says so. COMMIT of a failed transaction is answered by ROLLBACK.
fn has_committed(message: &Message<'_>) -> bool {
    message.kind == b'C' && message.body == b"COMMIT\0"
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads the first packet, refusing encryption as often as it is asked for.
async fn greet(client: &Stream, counts: &Mutex<ConnectionCounts<Conversation>>) -> Result<Vec<u8>, Broken> {
    loop {
        let packet = read_packet(client, counts).await?;
        let startup = startup::parse(&packet);
        {
            let mut counts = counts.lock();
            let totals = counts.totals();
            totals.messages_up += 1;
            match startup {
                Ok(Startup::Session(client)) => {
                    totals.connected(client);
                    return Ok(packet);
                }
                Ok(Startup::Cancel) => {
                    totals.cancels += 1;
                    return Ok(packet);
                }
                Ok(Startup::Encryption) if totals.refused < MAX_REFUSALS => {
                    totals.refused += 1;
                    totals.messages_down += 1;
                    totals.bytes_down += REFUSAL.len() as u64;
                }
                Ok(Startup::Encryption) | Err(_) => {
                    totals.malformed += 1;
                    return Err(Broken::Malformed);
                }
            }
        }
        client.write_all(REFUSAL).await?;
    }
}

/// Reads one packet and nothing beyond.
async fn read_packet(client: &Stream, counts: &Mutex<ConnectionCounts<Conversation>>) -> Result<Vec<u8>, Broken> {
    let mut packet = vec![0; 4];
    let mut have = 0;
    while have < packet.len() {
        client.readable().await?;
        let mut counts = counts.lock();
        match client.try_read(&mut packet[have..]) {
            Ok(0) => {
                counts.totals().truncated += u64::from(have > 0);
                return Err(Broken::Io);
            }
            Ok(length) => {
                have += length;
                counts.totals().bytes_up += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        if let Ok(first) = <[u8; 4]>::try_from(&packet[..])
            && have == 4
        {
            let length = startup::length(first).inspect_err(|_| counts.totals().malformed += 1)?;
            packet.resize(length, 0);
        }
    }
    Ok(packet)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use tokio::net::UnixStream;

    use crate::proxy::wire::faults::Faults;
    use crate::proxy::wire::listener::serve;

    use super::*;

    async fn served(sends: &[u8]) -> (UnixStream, Mutex<ConnectionCounts<Conversation>>) {
        let (mut actor, client) = UnixStream::pair().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut actor, sends).await.unwrap();
        let client = Arc::new(Stream::Unix(client));
        let clock = ServerClock::Machine(TimeAsked::default());
        let postgres = Postgres { startup_deadline: Duration::from_millis(20), clock };
        let counts = Mutex::new(ConnectionCounts::new(postgres.observer(), Arc::clone(&client), Faults::default()));
        let upstream = Endpoint::Unix(PathBuf::from("/nonexistent"));
        serve(&postgres, &upstream, client, &counts, &Faults::default().of_connection()).await;
        (actor, counts)
    }

    #[tokio::test]
    async fn who_does_not_say_who_it_is_is_not_waited_for() {
        for said in [&b""[..], b"\0\0\0\x20", b"\0\0\0\x20\0\x03\0\0user\0"] {
            let (_actor, counts) = served(said).await;
            let counters = counts.lock().counters();
            assert_eq!((counters.malformed, counters.connections), (1, 0));
            assert_eq!(counters.bytes_up, said.len() as u64);
        }
    }

    #[tokio::test]
    async fn where_there_is_no_server_the_client_is_not_kept() {
        let (_actor, counts) = served(b"\0\0\0\x09\0\x03\0\0\0").await;
        assert_eq!(counts.lock().counters().connections, 1);
    }
}
