//! Handles on the Python processes of a run: zygotes and actors.

mod process;
mod tree;
pub mod worker;

pub use process::{Control, Process, StepError};
pub use tree::{StateCode, Tree, Zygote};
