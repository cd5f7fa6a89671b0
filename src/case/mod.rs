//! The case language.

pub mod bound;
pub mod model;
