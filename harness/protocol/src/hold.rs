//! Holds: moments at which a process stops itself, so that something can be done to it there.

use serde::{Deserialize, Serialize};

/// A hold of the case. It is hung up when the actor enters, and holds nobody before it is armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its slot in the holds file: from 0, different from all others that share the file.
    pub id: u32,
    /// `module:function`, `module:Class.method`, a named moment of django-q2 ([`NAMED_MOMENTS`]), or any other name: a
    /// call of `shop.moments.moment` with it.
    pub moment: String,
    /// Whether it holds after the function has returned (not when it has raised), instead of before it is called.
    pub at_return: bool,
    /// Which call (at return: which return) holds, from 1: counted over all processes of the actor that have the role,
    /// while the hold is armed.
    pub call: u64,
    /// Who is held.
    #[serde(default)]
    pub holder: Holder,
    /// Only a process of this role takes it: as in [`Entry::Process`](crate::Entry::Process); absent: any.
    pub role: Option<String>,
}

/// Who is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The process that takes it stops itself.
    #[default]
    Process,
    /// The thread that takes it waits while the slot says [`HoldState::Taken`]; its process goes on.
    Thread,
    /// Every thread that comes waits while the slot says [`HoldState::Armed`]. Nobody takes it.
    EveryThread,
}

/// The moments that every release of django-q2 has.
///
/// * `before_task`: a worker has taken a task; its function is called next.
/// * `after_task`: the function has returned or raised; its result goes to the monitor next.
/// * `before_ack`: the broker is about to be told that a task is done. Never with Redis, which forgets a task when it
///   is taken.
/// * `after_ack`: it has been told.
pub const NAMED_MOMENTS: [&str; 4] = ["before_task", "after_task", "before_ack", "after_ack"];

/// Bytes per hold in the holds file, which is mapped shared by the actor's processes and the controller: the slot of
/// the hold `id` begins at `id * HOLD_BYTES`. Its first byte is a [`HoldState`], the next three count how often it was
/// released; bytes 8 to 15 count the calls while it was armed (u64, native endian, written by the processes only). All
/// access is atomic: see [`Slot`](crate::Slot).
pub const HOLD_BYTES: usize = 16;

/// Where in its slot a hold's calls are counted.
pub const HOLD_CALLS: usize = 8;

/// What the first byte of a hold's slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HoldState {
    /// Passed by without notice. Threads that were held go on.
    Idle = 0,
    /// The controller wants it: the call that counts takes it, by compare-and-swap to `Taken`.
    Armed = 1,
    /// Used up: a process has stopped there, or a thread waits there.
    Taken = 2,
}
