//! The counting proxies: each stands between an actor and a server, relays bytes unchanged, counts them, and can do
//! what networks and servers do when they fail.
//!
//! `listener` accepts connections, `relay` passes their bytes on, `faulty` does so while a fault is set; `fault` is
//! what is set, `cut` finds where to cut, `line` is bytes under way; `meter` is one connection's counts, `book` those
//! by statement, `counters` what comes out. `postgres` and `redis` understand the bytes, each as an `observer`.
//!
//! `http` stands between browsers and the app instead: it answers from what it has stored, as a cache of its kind would.
//!
//! Everything is counted before it is passed on: when a client has its answer, the counts include it. What a fault
//! drops counts as sent by its sender.

mod book;
mod counters;
mod cut;
mod fault;
mod faulty;
mod http;
mod line;
mod listener;
mod meter;
mod observer;
mod postgres;
mod redis;
mod relay;
mod stream;

pub use counters::{Client, Counters, Tallies, Tally};
pub use fault::Faults;
pub use http::{HttpCounters, HttpProxy, HttpProxySpec};
pub use postgres::PostgresProxy;
pub use redis::RedisProxy;
