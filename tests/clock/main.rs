//! One clock: what moves for an arm moves for all of its processes and servers, and real timeouts stay real.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod native;
mod nginx;
#[path = "../origin/mod.rs"]
mod origin;
mod postgres;
mod python;
mod redis;
mod stage;
#[path = "../support/mod.rs"]
mod support;
