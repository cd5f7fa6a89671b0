//! The supervisor: parent and subreaper of every server and zygote of a run.
//!
//! A process of its own, in its own session, so that neither Ctrl-C at the terminal nor the end of the controller
//! takes it along. When the controller's pipe closes, for whatever reason, it ends all descendants and removes the run
//! directory. `message` is what the two say to each other, `handle` the controller's side, `process` the supervisor's.

mod ending;
mod handle;
mod message;
mod process;
mod pulse;
mod tree;

pub(super) use handle::Ended;
pub use handle::Supervisor;
pub use message::{Ending, Exit, PATH, Spawn, Target};
pub use process::run;

/// The hidden subcommand: `dj-regress supervisor RUN_DIRECTORY`.
pub const COMMAND: &str = "supervisor";

/// The exit code of a supervisor that could not undo what its run has made elsewhere.
const NOT_UNDONE: u8 = 3;

/// Set in the environment of everything the supervisor spawns: the path of the run directory.
pub const RUN_VARIABLE: &str = "DJ_REGRESS_RUN";
