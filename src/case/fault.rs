//! Faults: what can be done to a server, or to what stands between an actor and a server.

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::service::Server;
use super::unit::{self, Bytes, Time};
use super::yaml::diagnostic::Diagnostic;
use super::yaml::error::refused;

/// What breaks: one kind, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[schemars(rename = "Fault")]
#[serde(rename = "$a fault/kind", deny_unknown_fields, expecting = "a fault (a mapping with one kind)")]
pub enum Fault {
    /// SIGKILL of a server's processes; undone by starting it again, which recovers.
    #[serde(rename = "kill")]
    Kill {
        /// The server.
        #[serde(rename = "kill")]
        server: Server,
        /// Only when the actor has sent so much more: `{client: 200}`.
        after: Option<Trigger>,
    },
    /// An ordered shutdown of a server; undone by starting it again.
    #[serde(rename = "stop")]
    Stop {
        /// The server.
        #[serde(rename = "stop")]
        server: Server,
        /// Only when the actor has sent so much more: `{client: 200}`.
        after: Option<Trigger>,
    },
    /// A server is killed and started again; over at once, unless it waits for `after`.
    #[serde(rename = "restart")]
    Restart {
        /// The server.
        #[serde(rename = "restart")]
        server: Server,
        /// Only when the actor has sent so much more: `{client: 200}`.
        after: Option<Trigger>,
    },
    /// SIGSTOP of a server's processes; undone by SIGCONT.
    #[serde(rename = "pause")]
    Pause {
        /// The server.
        #[serde(rename = "pause")]
        server: Server,
        /// Only when the actor has sent so much more: `{client: 200}`.
        after: Option<Trigger>,
    },
    /// Postgres ends all backends of this actor; over at once.
    #[serde(rename = "terminate")]
    Terminate {
        /// The actor.
        #[serde(rename = "terminate")]
        actor: String,
    },
    /// A server refuses new connections: all, or those `from` one actor.
    #[serde(rename = "refuse")]
    Refuse {
        /// The server.
        #[serde(rename = "refuse")]
        server: Server,
        /// The actor whose connections are refused.
        from: Option<String>,
    },
    /// What is sent arrives so much later, each way: `{latency: 50ms, jitter: 10ms, between: [q, postgres]}`.
    #[serde(rename = "latency")]
    Latency {
        /// An actor and a server.
        #[serde(rename = "between", default)]
        link: Link,
        /// By so much.
        #[serde(deserialize_with = "unit::read_real_time")]
        #[schemars(with = "Time")]
        latency: Duration,
        /// And up to so much more or less.
        #[serde(default, deserialize_with = "unit::read_real_time")]
        #[schemars(with = "Time")]
        jitter: Duration,
    },
    /// So many bytes pass per second, each way: `{bandwidth: 64 kB, between: [q, postgres]}`.
    #[serde(rename = "bandwidth")]
    Bandwidth {
        /// An actor and a server.
        #[serde(rename = "between", default)]
        link: Link,
        /// So many.
        #[serde(rename = "bandwidth", deserialize_with = "bandwidth")]
        #[schemars(with = "Bytes")]
        bytes_per_second: u64,
    },
    /// The connection is closed there, once: `after COMMIT`, `before COMMIT`, `after 3 statements`, `after 4096 B`.
    #[serde(rename = "cut")]
    Cut {
        /// An actor and a server.
        #[serde(rename = "between", default)]
        link: Link,
        /// Where.
        #[serde(rename = "cut")]
        at: CutAt,
    },
    /// All connections of `[q, postgres]` are closed; over at once.
    #[serde(rename = "reset")]
    Reset {
        /// An actor and a server.
        #[serde(rename = "reset")]
        link: Link,
    },
    /// What `[q, postgres]` send to each other vanishes.
    #[serde(rename = "black hole")]
    BlackHole {
        /// An actor and a server.
        #[serde(rename = "black hole")]
        link: Link,
    },
    /// Nothing passes between `[q, postgres]` until it is over.
    #[serde(rename = "partition")]
    Partition {
        /// An actor and a server.
        #[serde(rename = "partition")]
        link: Link,
    },
    /// Redis has no memory left.
    #[serde(rename = "fill: redis")]
    Fill,
    /// Redis forgets everything; over at once.
    #[serde(rename = "flush: redis")]
    Flush,
    /// Redis evicts what it may; over at once.
    #[serde(rename = "evict: redis")]
    Evict,
}

/// What stands between an actor and a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The actor.
    pub actor: String,
    /// The server.
    pub server: Server,
}

/// Of nobody: what does not say is refused by `check`.
impl Default for Link {
    fn default() -> Self {
        Self { actor: String::new(), server: Server::Postgres }
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Link;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Link, A::Error> {
                let actor: Option<String> = seq.next_element()?;
                let server = match &actor {
                    Some(actor) => seq.next_element_seed(Beside(actor))?,
                    None => None,
                };
                let mut count = usize::from(actor.is_some()) + usize::from(server.is_some());
                while seq.next_element::<de::IgnoredAny>()?.is_some() {
                    count += 1;
                }
                match (actor, server) {
                    (Some(actor), Some(server)) if count == 2 => Ok(Link { actor, server }),
                    _ => {
                        let message = format!("expected an actor and a server, found a list of {count}");
                        Err(refused(Diagnostic::new(message).help("write `[q, postgres]`")))
                    }
                }
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

/// The server beside this actor.
struct Beside<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Beside<'_> {
    type Value = Server;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Server, D::Error> {
        let Self(actor) = self;
        let name = String::deserialize(deserializer)?;
        let servers = [Server::Postgres, Server::Redis];
        servers.into_iter().find(|server| server.word() == name).ok_or_else(|| {
            let unknown = Diagnostic::new(format!("`{name}` is not a server"));
            let unknown = if servers.iter().any(|server| server.word() == actor) {
                unknown.help(format!("the actor comes first: `[{name}, {actor}]`"))
            } else {
                unknown.suggest(&name, servers.map(Server::word))
            };
            refused(unknown)
        })
    }
}

impl JsonSchema for Link {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Link".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <(String, Server)>::json_schema(generator)
    }
}

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "IndexMap<String, u64>")]
pub struct Trigger {
    /// The actor whose wire is watched.
    pub actor: String,
    /// After so many further statements (Redis: commands) of it.
    pub statements: u64,
}

impl<'de> Deserialize<'de> for Trigger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Statements(#[serde(deserialize_with = "unit::read_ordinal")] u64);
        let mut after: IndexMap<String, Statements> = IndexMap::deserialize(deserializer)?;
        if let (1, Some((actor, Statements(statements)))) = (after.len(), after.pop()) {
            return Ok(Self { actor, statements });
        }
        let help = "name it, and how much it sends before: `after: {client: 200}`";
        Err(refused(Diagnostic::new("`after` watches one actor").help(help)))
    }
}

/// Where a connection is cut, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum CutAt {
    /// The server has executed COMMIT (Redis: EXEC), and nothing of its answer is passed on.
    AfterCommit,
    /// COMMIT (Redis: EXEC) is not passed on.
    BeforeCommit,
    /// The server has executed the statement (Redis: the command) that was sent as the n-th since the cut was set, and
    /// nothing of its answer is passed on.
    AfterStatements(u64),
    /// The clients' first n bytes since the cut was set are passed on.
    AfterBytes(u64),
}

impl<'de> Deserialize<'de> for CutAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        cut(&text).map_err(|message| {
            let help = "write `after COMMIT`, `before COMMIT`, `after 3 statements` or `after 4096 B`";
            refused(Diagnostic::new(message).help(help))
        })
    }
}

fn cut(text: &str) -> Result<CutAt, String> {
    let unknown = || format!("`{text}` is not where a connection can be cut");
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [side, commit] if commit.eq_ignore_ascii_case("commit") => match *side {
            "after" => Ok(CutAt::AfterCommit),
            "before" => Ok(CutAt::BeforeCommit),
            _ => Err(unknown()),
        },
        ["after", count, "statement" | "statements" | "command" | "commands"] => match count.parse() {
            Ok(0) => Err("they are counted from 1".to_owned()),
            Ok(count) => Ok(CutAt::AfterStatements(count)),
            Err(_) => Err(unknown()),
        },
        ["after", bytes @ ..] if !bytes.is_empty() => unit::bytes(&bytes.join(" ")).map(CutAt::AfterBytes),
        _ => Err(unknown()),
    }
}

fn bandwidth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match unit::read_bytes(deserializer)? {
        0 => Err(de::Error::custom("nothing passes at no bytes per second: that is a `partition`")),
        bytes => Ok(bytes),
    }
}

impl Fault {
    /// Whether it is over at once, so that nothing can be done while it lasts.
    pub fn is_momentary(&self) -> bool {
        matches!(
            self,
            Self::Restart { after: None, .. } | Self::Terminate { .. } | Self::Reset { .. } | Self::Flush | Self::Evict
        )
    }

    /// When it strikes, where that is said.
    pub fn trigger(&self) -> Option<&Trigger> {
        match self {
            Self::Kill { after, .. }
            | Self::Stop { after, .. }
            | Self::Restart { after, .. }
            | Self::Pause { after, .. } => after.as_ref(),
            _ => None,
        }
    }

    /// What it lies between, where it lies between two.
    pub fn link(&self) -> Option<&Link> {
        match self {
            Self::Latency { link, .. }
            | Self::Bandwidth { link, .. }
            | Self::Cut { link, .. }
            | Self::Reset { link }
            | Self::BlackHole { link }
            | Self::Partition { link } => Some(link),
            _ => None,
        }
    }

    /// The servers that must be there for it.
    pub fn servers(&self) -> Vec<Server> {
        match self {
            Self::Refuse { server, .. } => vec![*server],
            Self::Terminate { .. } => vec![Server::Postgres],
            Self::Fill | Self::Flush | Self::Evict => vec![Server::Redis],
            _ => self.hurts().or(self.link().map(|link| link.server)).into_iter().collect(),
        }
    }

    /// Whether all who use the server notice: its processes are hurt, or Redis is filled or emptied as a whole.
    pub fn is_noticed_by_all(&self) -> bool {
        self.hurts().is_some() || matches!(self, Self::Fill | Self::Flush | Self::Evict)
    }

    /// The server whose processes it hurts; what only stands between actors and servers hurts none.
    pub fn hurts(&self) -> Option<Server> {
        match self {
            Self::Kill { server, .. }
            | Self::Stop { server, .. }
            | Self::Restart { server, .. }
            | Self::Pause { server, .. } => Some(*server),
            _ => None,
        }
    }
}
