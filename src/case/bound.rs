//! Bounds: what a value may be. (Stub: replaced by the case room.)

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {}
