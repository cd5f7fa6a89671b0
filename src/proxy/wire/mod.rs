//! What all protocols on a socket share: connections whose bytes are passed on, counted, and hurt where a fault is set.
//!
//! `listener` accepts connections, `relay` passes their bytes on, `faulty` does so while a fault is set; `faults` is what
//! is set, `cut_finder` finds where to cut, `in_flight` is bytes under way; `connection_counts` is what one connection
//! counts, `statement_counts` that by statement, `sql` what a statement is, `time_asked` what asks for the time of a server
//! that has not the arm's, `counters` what comes out. An `observer`
//! understands the bytes.

pub(super) mod connection_counts;
pub(super) mod counters;
pub(super) mod cut_finder;
pub(super) mod faults;
mod faulty;
mod in_flight;
pub(super) mod listener;
pub(super) mod observer;
mod relay;
pub(super) mod sql;
pub(super) mod statement_counts;
pub(super) mod stream;
pub(super) mod time_asked;
