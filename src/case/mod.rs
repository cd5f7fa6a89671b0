//! The case language: reading it, saying what is wrong with it, and settling its states.
//!
//! `text -> node -> file -> lower -> model -> check`, and from the model `resolve`.

pub mod bound;
mod check;
mod decode;
mod describe;
pub mod diagnostic;
pub mod file;
pub mod inside;
pub mod limit;
pub mod load;
mod lower;
pub mod model;
mod node;
pub mod patch;
pub mod path;
pub mod requirement;
pub mod resolve;
pub mod schema;
pub mod unit;
pub mod vars;
