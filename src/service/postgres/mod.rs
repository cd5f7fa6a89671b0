//! Postgres: one server per run, one database per arm, templates to clone them from.
//!
//! `server` is what a server is asked for, the same wherever it runs: in processes of the run (`local`), in a container
//! (`contained`), or as somebody else runs it (`external`); `open` brings it up. `control` takes a local one down and up
//! again, `death` sees when one goes by itself, `config` is its configuration; `store` keeps its data directory with the
//! templates in the cache; `template` makes and clones databases; `clocks` gives backends the clock of their arm; `login` is as whom apps come in, `connection` as whom
//! the harness does.

mod clocks;
mod config;
mod connection;
pub mod contained;
mod control;
mod death;
mod external;
mod local;
mod login;
mod open;
mod server;
mod store;
mod template;

pub use config::PostgresWants;
pub use connection::{APP, SUPERUSER};
pub use death::QUESTIONS;
pub use external::{look_at, undo};
pub use login::{Login, SERVICE};
pub use server::Postgres;

pub use crate::proxy::POSTGRES_PORT as PORT;
