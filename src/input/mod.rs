//! What cases and the command line name: paths, files, packages, releases, patches, and how much of anything. Each is checked
//! here before anything uses it.

pub mod commit;
pub mod inside;
pub mod limit;
pub mod patch;
pub mod path;
pub mod requirement;
