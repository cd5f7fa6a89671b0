//! A world of its own for the processes of an arm, made of Linux namespaces.
//!
//! What a process in it sees of the machine: all files, but none that it can change; its own empty `/tmp`, `/var/tmp`,
//! `/dev/shm` and `/run`; a network that has nothing but loopback; the host name `localhost`; and the folders that it is
//! given. One process [`seal`]s itself off, the others [`join`] it. Where that takes a user namespace, there is one for
//! all, which [`Grant::find`] makes.

mod grant;
mod mounts;
mod seal;
mod system;

pub use grant::Grant;
pub use seal::{Plan, join, join_user, seal};
pub use system::Refused;

/// Where temporary files are in a world.
pub const TEMPORARY: &str = "/tmp";

/// The home of whoever lives in a world.
pub const HOME: &str = "/run/home";

/// Below it caches are.
pub const CACHE: &str = "/run/home/.cache";

/// Folders of the machine that a world has empty ones of its own of, as far as they are there.
pub const OWN: [&str; 4] = [TEMPORARY, "/var/tmp", "/dev/shm", "/run"];
