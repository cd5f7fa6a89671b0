//! Handles on the Python processes of a run: zygotes and actors.

mod process;
mod tree;
pub mod worker;
pub mod world;

pub use process::{Control, Process, StepError};
pub use tree::{Folders, StateCode, Tree, Zygote};
pub use world::Worlds;
