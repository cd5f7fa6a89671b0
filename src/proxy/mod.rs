//! The counting proxies: each stands between an actor and a server, relays bytes unchanged, counts them, and can do
//! what networks and servers do when they fail.
//!
//! `wire` is what they share; `postgres` and `redis` understand the bytes. `http` stands between browsers and the app
//! instead: it answers from what it has stored, as a cache of its kind would.
//!
//! Everything is counted before it is passed on: when a client has its answer, the counts include it. What a fault
//! drops counts as sent by its sender.

mod endpoint;
mod http;
mod postgres;
mod redis;
mod wire;

pub use endpoint::Endpoint;
pub use http::{HttpCounters, HttpProxy, HttpProxySpec};
pub use postgres::{PORT as POSTGRES_PORT, PostgresProxy, ServerClock, asks_for_time};
pub use redis::{RedisClock, RedisProxy};
pub use wire::counters::{Client, Counters, Counts, CountsByShape};
pub use wire::faults::Faults;
pub use wire::sql::{Reading, Shape, Touch, Way, is_unseen, read, shape};
pub use wire::statement_counts::{Class, Outcome, Sent, monotonic};
pub use wire::time_asked::TimeAsked;
