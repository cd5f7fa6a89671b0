//! Postgres and Redis, and nginx where a case wants one, for one run: found, started, kept and ended without leaving anything behind.

pub mod address;
mod bounded;
mod choice;
pub mod docker;
mod files;
mod images;
pub mod installer;
mod lifecycle;
pub mod locate;
pub mod nginx;
pub mod postgres;
pub(crate) mod procfs;
mod programs;
pub mod redis;
mod report;
pub mod run_directory;
pub mod secret;
mod services;
mod shared_memory;
pub mod supervisor;
mod sweep;
pub mod undo;
mod user;
mod wheels;

pub use choice::{Place, ServiceChoice, preferred_place};
pub use files::{is_full, write_private};
pub use lifecycle::{Change, Lifecycle};
pub use programs::{program, uv};
pub use report::{Finding, report};
pub use secret::Secret;
pub use services::{ServiceNeeds, Services};
pub use sweep::{Swept, adopt_orphans, end_run, sweep, sweep_base};
