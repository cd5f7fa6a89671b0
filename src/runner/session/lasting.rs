//! Faults that last, and what ends them.

use crate::case::{Fault, Server};
use crate::proxy::Faults;
use crate::service::redis::Memory;

/// A fault that lasts.
#[derive(Debug)]
pub struct Lasting {
    pub fault: Fault,
    /// Its place among the reports.
    pub report: usize,
    pub undo: Undo,
}

/// What ends a fault.
#[derive(Debug)]
pub enum Undo {
    /// It was over at once.
    Nothing,
    /// The server is started again.
    Start(Server),
    /// The server goes on.
    Resume(Server),
    /// What stands between is as before.
    Links(Vec<Faults>),
    /// Redis has the memory that it had.
    Memory(Memory),
}
