//! Steps: the incident, one verb after the other.

pub mod action;
pub mod fill;
pub mod hold;
pub mod http;
pub mod old;
pub mod task;
pub mod wait;
