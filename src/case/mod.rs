//! The case language: reading it, saying what is wrong with it, and settling its states.
//!
//! `text -> tree`, and for each state `tree -> the change laid over it and variables put in -> types -> check`.

mod actor;
mod amount;
mod bound;
#[expect(clippy::module_inception, reason = "a case is what the language writes")]
mod case;
mod change;
mod check;
mod count;
mod fault;
mod invariant;
pub mod load;
mod moment;
pub mod postgres_setting;
mod quantity;
pub mod schema;
mod service;
mod state;
mod step;
pub mod unit;
pub mod verdict;
mod yaml;

pub use actor::{Actor, ActorChange, CLIENT, CacheKind};
pub use bound::Bound;
pub use case::{Case, Control, Fix, Growth, Needs, States};
pub use change::{Change, Edit, Take};
pub use count::{
    CacheCount, Direction, HttpCount, Per, RedisField, StatementFilter, StatementUnit, StatusFilter, TaskCount, WRITES,
};
pub use fault::{CutAt, Fault, Link, Trigger};
pub use invariant::Invariant;
pub use moment::{Moment, START};
pub use quantity::{GROWTHS, Quantity};
pub use service::{Policy, PostgresService, RedisService, Server, Services};
pub use state::{App, State};
pub use step::action::{Action, Step};
pub use step::hold::{HoldSpec, Role};
pub use step::http::{Http, Member, Part, RequestLine};
pub use step::task::{Due, Enqueue, Schedule, ScheduleType, What};
pub use step::wait::WaitFor;
pub use yaml::diagnostic::{Diagnostic, Span, nearest};
pub use yaml::text::word;
pub use yaml::vars::{REDIS_URL, substitute};
