//! The messages between controller and worker, and the records of ledger and journal.
//!
//! Every Python process of a run (zygotes and actors alike) runs the same loop: it connects to the
//! controller's unix socket, says [`Hello`], then answers one [`Reply`] to each [`Request`].
//! Both directions are JSON, one message per line.

pub mod clock;
mod hold;
mod job;
mod journal;
mod ledger;
mod lines;
mod message;
mod slot;

pub use hold::{HOLD_BYTES, HOLD_CALLS, Hold, HoldState, Holder, NAMED_MOMENTS};
pub use job::{Due, Enqueue, Schedule, Tasks};
pub use journal::{During, Entry};
pub use ledger::Record;
pub use lines::{line, record, records};
pub use message::{
    ActorKind, Enter, Failed, Fingerprint, Fork, Hello, Namespaces, PROJECT, Prepare, Prepared, ProjectTree, Reply,
    Request, Serve, Stepped, Texts, World,
};
pub use slot::Slot;
