//! dj-regress: pg_regress for Django.

pub mod case;
pub mod error;
pub mod judge;
