//! Redis (or Valkey) for one arm.
//!
//! `server` is what a server is asked for, the same wherever it runs: a process of the run (`local`), a container
//! (`contained`), or a database of a server that somebody else runs (`external`). `death` sees when it goes by itself,
//! `clock` that it has the arm's time, `memory` is what a case does to what it holds.

mod clock;
pub mod contained;
mod death;
mod external;
mod local;
mod memory;
mod server;
mod wants;

pub use external::{Pool, look_at, undo};
pub use memory::Memory;
pub use server::Redis;
pub use wants::RedisWants;
