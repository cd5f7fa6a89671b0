//! Measurements: one file each, and what reconciles them.

pub mod fetches;
pub mod journal;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod memory;
pub mod reconcile;
pub mod rows;
pub mod server;
pub mod sql;
pub mod statements;
pub mod triggers;
pub mod writers;
