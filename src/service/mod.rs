//! Postgres and Redis for one run: found, started, kept and ended without leaving anything behind.

pub mod docker;
mod files;
pub mod installer;
pub mod keeper;
pub mod locate;
pub mod postgres;
mod procfs;
pub mod redis;
mod report;
pub mod run_directory;
mod shared_memory;
mod sweep;
mod user;
mod wheels;

pub use report::{Finding, report};
pub use sweep::{Swept, sweep, sweep_base};
