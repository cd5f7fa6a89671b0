//! Faults, as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;

use crate::case::model::{Scalar, Server};

/// A fault: one kind, its target, and the kind's options.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a fault (a mapping with one kind)")]
#[schemars(extend("oneOf" = [
    {"required": ["kill"]}, {"required": ["stop"]}, {"required": ["restart"]}, {"required": ["pause"]},
    {"required": ["terminate"]}, {"required": ["refuse"]}, {"required": ["latency"]}, {"required": ["bandwidth"]},
    {"required": ["cut"]}, {"required": ["reset"]}, {"required": ["black hole"]}, {"required": ["partition"]},
    {"required": ["fill"]}, {"required": ["flush"]}, {"required": ["evict"]}
]))]
pub struct FaultFile {
    /// SIGKILL of a server's processes; undone by starting it again, which recovers.
    pub kill: Option<Server>,
    /// An ordered shutdown of a server; undone by starting it again.
    pub stop: Option<Server>,
    /// A server is killed and started again; over at once, unless it waits for `after`.
    pub restart: Option<Server>,
    /// SIGSTOP of a server's processes; undone by SIGCONT.
    pub pause: Option<Server>,
    /// Postgres ends all backends of this actor; over at once.
    pub terminate: Option<String>,
    /// A server refuses new connections: all, or those `from` one actor.
    pub refuse: Option<Server>,
    /// What is sent arrives so much later: `{latency: 50ms, jitter: 10ms, between: [q, postgres]}`.
    pub latency: Option<Scalar>,
    /// So many bytes pass per second, each way: `{bandwidth: 64 kB, between: [q, postgres]}`.
    pub bandwidth: Option<Scalar>,
    /// The connection is closed there, once: `after COMMIT`, `before COMMIT`, `after 3 statements`, `after 4096 B`.
    pub cut: Option<Scalar>,
    /// All connections of `[q, postgres]` are closed; over at once.
    #[schemars(with = "Option<(String, Server)>")]
    pub reset: Option<Vec<String>>,
    /// What `[q, postgres]` send to each other vanishes.
    #[serde(rename = "black hole")]
    #[schemars(with = "Option<(String, Server)>")]
    pub black_hole: Option<Vec<String>>,
    /// Nothing passes between `[q, postgres]` until it is over.
    #[schemars(with = "Option<(String, Server)>")]
    pub partition: Option<Vec<String>>,
    /// Redis has no memory left.
    pub fill: Option<OnlyRedis>,
    /// Redis forgets everything; over at once.
    pub flush: Option<OnlyRedis>,
    /// Redis evicts what it may; over at once.
    pub evict: Option<OnlyRedis>,
    /// Of kill, stop, restart and pause: only when the actor has sent so much more: `{client: 200}`.
    pub after: Option<IndexMap<String, Scalar>>,
    /// Of refuse: the actor whose connections are refused.
    pub from: Option<String>,
    /// Of latency: up to so much more or less.
    pub jitter: Option<Scalar>,
    /// Of latency, bandwidth and cut: an actor and a server.
    #[schemars(with = "Option<(String, Server)>")]
    pub between: Option<Vec<String>>,
}

/// The one server that these faults know.
#[derive(Debug, Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnlyRedis {
    /// The arm's Redis.
    Redis,
}
