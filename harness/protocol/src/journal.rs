//! The journal: what happened in an arm besides SQL, one JSON record per line.
//!
//! A file like the ledger, for the same reasons: opened with `O_APPEND`, one write per record, so that a SIGKILLed
//! process leaves whole lines. Records of all processes of an arm stand in it, and those that the app writes itself.

use serde::{Deserialize, Serialize};

/// One line of a journal. `at` is `CLOCK_MONOTONIC` in nanoseconds, as in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Entry {
    /// A process of a real cluster, written by itself right after its fork.
    Process {
        /// Process.
        pid: u32,
        /// Its parent at that moment.
        parent: u32,
        /// What it is: `parent`, `sentinel`, `pusher`, `monitor`, `worker`, or `other:` and the name of its target.
        role: String,
        /// The actor's name in the case.
        actor: String,
        /// When.
        at: u64,
    },
    /// A real cluster is up: its parent has seen that its sentinel is, and from now on ends in order when it is told to.
    Up {
        /// Process: the parent.
        pid: u32,
        /// When.
        at: u64,
    },
    /// A task was put into the queue, by whomever, and is there: the transaction that did it is over. A chain puts its
    /// tasks there one after the other, an iter all at once: the ids are theirs, not that of the group.
    Accepted {
        /// The task's id.
        id: String,
        /// The actor's name in the case.
        actor: String,
        /// When.
        at: u64,
    },
    /// A task's function is about to be called. Written after the moment `before_task` has passed.
    Execution {
        /// The task's id.
        id: String,
        /// The dotted name of its function.
        name: String,
        /// Its group, where it has one. That of an iter is also the id of the one task that its parts end as.
        group: Option<String>,
        /// Process.
        pid: u32,
        /// The actor's name in the case.
        actor: String,
        /// When.
        at: u64,
        /// The arm's time: seconds since the epoch.
        time: f64,
    },
    /// A task is done with: its function has come back, and the monitor has saved and acknowledged the result.
    Executed {
        /// The task's id.
        id: String,
        /// Whether its function raised an exception.
        #[serde(default)]
        failed: bool,
        /// Process.
        pid: u32,
        /// When.
        at: u64,
    },
    /// Something happened outside of any transaction. Written by the app itself (`shop.effects.happened`).
    Effect {
        /// What it was, e.g. the number of an order that was charged.
        key: String,
        /// Process.
        pid: u32,
        /// The actor's name in the case.
        actor: String,
        /// When.
        at: u64,
        /// The arm's time: seconds since the epoch.
        time: f64,
        /// Counts up from 1 where the app knows which try it is.
        attempt: Option<u64>,
    },
    /// A web actor has begun to handle a request.
    Requested {
        /// Different from all other requests of the arm.
        id: String,
        /// GET, POST, ...
        method: String,
        /// Path and query.
        path: String,
        /// The actor's name in the case.
        actor: String,
        /// Process.
        pid: u32,
        /// When.
        at: u64,
    },
    /// A web actor has given its answer to the server that sends it; written when the last of the body is given.
    Answered {
        /// Of the request.
        id: String,
        /// E.g. 200.
        status: u16,
        /// When.
        at: u64,
    },
    /// An exception came out of the app's code, and somebody else caught it: the queue, Django, a thread, or the case's own step.
    Raised {
        /// What it came out of.
        during: During,
        /// Its class, e.g. `NameError`.
        exception: String,
        /// What it said, cut.
        message: String,
        /// Where in the code: `file:line:function`.
        site: String,
        /// Process.
        pid: u32,
        /// The actor's name in the case.
        actor: String,
        /// When.
        at: u64,
    },
    /// The app tried to reach a server that is not the arm's. It was kept from it.
    Outbound {
        /// Whom, e.g. `10.0.0.1:5432` or the path of a socket.
        address: String,
        /// Where in the app: `file:line:function`.
        site: String,
        /// Process.
        pid: u32,
        /// The actor's name in the case.
        actor: String,
        /// When.
        at: u64,
    },
    /// A process has taken a hold, and is about to stop itself (SIGSTOP). It is stopped when `/proc` says `T`. Of a
    /// web actor it is a thread: each that waits there writes this once.
    Held {
        /// The hold's id.
        hold: u32,
        /// Process.
        pid: u32,
        /// When.
        at: u64,
    },
}

/// What an exception came out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum During {
    /// A task: it is on record as failed.
    Task,
    /// A request: it is answered with 500.
    Request,
    /// A step of the case, which caught it.
    Step,
    /// A thread, which ended with it.
    Thread,
}
