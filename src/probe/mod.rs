//! Measurements: one file each, listed in `registry`; what they look at, and what reconciles it.
//!
//! A measurement says what it needs, what is sampled when its window ends, what it makes of what an arm has left, and how
//! exactly it repeats (`measurement`). `ledger`, `journal`, `exchange`, `window`, `server`, `triggers` and `peaks` are what
//! they look at.

mod answers;
pub mod arm_log;
mod cache;
mod connections;
mod effects;
pub mod exchange;
pub mod fetches;
pub mod journal;
pub mod ledger;
pub mod log;
pub mod measurement;
mod memory;
mod outbound;
pub mod peaks;
pub mod reading;
pub mod reconcile;
mod redis;
pub mod registry;
mod requests;
mod rows;
pub mod sample;
pub mod server;
pub mod sql;
pub mod statement;
mod statements;
mod tasks;
pub mod triggers;
mod wal_bytes;
pub mod window;
mod wire_bytes;
pub mod writer;
pub mod writers;
