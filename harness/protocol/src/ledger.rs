//! The ledger: every SQL statement that an arm's actors gave to Django, one JSON record per line.
//!
//! A file rather than a socket: a SIGKILLed process leaves "begun, not ended", and a slow reader
//! never blocks the app. Records of all processes of an arm stand in one file, opened with `O_APPEND`.

use serde::{Deserialize, Serialize};

/// One line of a ledger. A statement is known by (`pid`, `seq`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A statement's text, written before the first `Begin` of this process that has it.
    Text {
        /// Hash of the text (the first 16 hex digits of its BLAKE3).
        id: String,
        /// The text as Django passed it on, with its `%s`.
        sql: String,
    },
    /// A statement is about to be sent.
    Begin {
        /// Process.
        pid: u32,
        /// Counts up from 1 in each process.
        seq: u64,
        /// The actor's name in the case; `probe` for the harness's own reader.
        actor: String,
        /// `multiprocessing.current_process()`'s target where it is known, else `main`.
        role: String,
        /// `CLOCK_MONOTONIC` in nanoseconds: the same clock in every process of the machine.
        at: u64,
        /// [`Record::Text`]'s id.
        text: String,
        /// `file:line:function` of the first frame outside Django, its drivers and the harness; the
        /// file is relative to the `sys.path` folder it was found in.
        site: String,
        /// Django's alias of the connection.
        alias: String,
        /// How often the server is asked to execute it: 1, or the parameter count of `executemany`; 0, where that is not
        /// known yet.
        times: u64,
        /// The process of the server that the connection is to; 0, where the driver does not say.
        #[serde(default)]
        backend: u32,
    },
    /// The statement came back.
    End {
        /// Process.
        pid: u32,
        /// As in its `Begin`.
        seq: u64,
        /// `CLOCK_MONOTONIC` in nanoseconds.
        at: u64,
        /// The cursor's row count; -1 where the driver does not know.
        rows: i64,
        /// The exception's class where one came out of it.
        error: Option<String>,
    },
}
