//! YAML as a tree that knows its places: read, filled with variables, and decoded into types.

mod access;
pub mod decode;
mod decoder;
pub mod diagnostic;
pub mod error;
mod keyed;
pub mod node;
pub mod place;
pub mod shape;
pub mod text;
pub mod vars;
