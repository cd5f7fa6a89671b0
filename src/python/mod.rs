//! Python environments, wheels and overlays: which code a state runs.

mod environment;
mod interpreter;
mod lock;
pub mod overlay;
pub mod source;
mod uv;

pub use environment::{Environment, Environments};
pub use lock::Locks;
pub use source::Sources;
