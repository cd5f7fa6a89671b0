//! What a statement is, read from its text: `tokens` cuts it up, `touches` finds what it does to which tables, `shape` says
//! what it is counted as.

mod shape;
mod tokens;
mod touches;

pub use shape::{Reading, Shape, Touch, Way, is_unseen, read, shape};
