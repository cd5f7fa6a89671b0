//! dj-regress: pg_regress for Django.
//!
//! Data flows one way: `case -> plan -> runner -> (service, python, actor) -> probe -> judge -> report`.

pub mod actor;
pub mod cache;
pub mod case;
pub mod cli;
pub mod clock;
pub mod command;
pub mod deadline;
pub mod error;
pub mod exit;
pub mod input;
pub mod judge;
pub mod library;
pub mod plan;
pub mod probe;
pub mod project;
pub mod proxy;
pub mod python;
pub mod report;
pub mod runner;
pub mod service;
