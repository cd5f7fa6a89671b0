//! The case language: reading it, saying what is wrong with it, and settling its states.
//!
//! `text -> node -> file -> lower -> model -> check`, and from the model `resolve`.

pub mod bound;
mod check;
mod decode;
mod describe;
pub mod diagnostic;
pub mod file;
pub mod load;
mod lower;
pub mod model;
mod node;
pub mod postgres_setting;
pub mod resolve;
pub mod schema;
pub mod unit;
pub mod vars;
pub mod verdict;
