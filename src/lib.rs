//! dj-regress: pg_regress for Django.

pub mod cache;
pub mod case;
pub mod error;
pub mod judge;
pub mod service;
