//! Python environments, wheels and overlays: which code a state runs.

mod environment;
mod interpreter;
mod lock;
mod overlay;
mod source;
mod uv;

pub use environment::{Environment, Environments};
pub use lock::Locks;
pub use overlay::{Overlay, mismatch};
pub use source::{Refusal, Sources};
