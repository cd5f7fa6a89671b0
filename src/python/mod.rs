//! Python environments, wheels and overlays: which code a state runs.

mod environment;
mod intact;
mod interpreter;
mod lock;
mod overlay;
mod project;
mod releases;
mod report;
mod source;
mod uv;

pub use environment::{Environment, Environments};
pub use intact::content;
pub use interpreter::is_installed;
pub use lock::Locks;
pub use overlay::{Overlay, mismatch};
pub use releases::{Releases, releases};
pub use report::report;
pub use source::{Refusal, Sources};
