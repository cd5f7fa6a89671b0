//! What a statement is, read from its text: `tokens` cuts it up, `touches` finds what it does (each a `touch`) to which tables, `shape` says
//! what it is counted as.

mod shape;
mod tokens;
mod touch;
mod touches;

pub use shape::{Reading, Shape, Way, is_unseen, read, shape};
pub use touch::Touch;
