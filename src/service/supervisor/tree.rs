//! A process with all below it: Postgres, whose backends each have a session of their own.

use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::service::procfs::Process;

/// A process that is not stopped by then hangs in the kernel.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The process with this id and all below it, parents first; nothing if it is no descendant of ours.
pub fn of(root: u32) -> Vec<Process> {
    let mut tree: Vec<Process> =
        Process::descendants(std::process::id()).into_iter().filter(|process| process.pid == root).collect();
    if !tree.is_empty() {
        tree.extend(Process::descendants(root));
    }
    tree
}

/// Stops the root and gives what [`of`] gives. The children that it has forked are then all there, and no more come.
pub fn stopped(root: u32) -> Result<Vec<Process>, String> {
    let Some(process) = of(root).into_iter().next() else { return Ok(Vec::new()) };
    match kill(pid_of(root), Signal::SIGSTOP) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => return Err(format!("SIGSTOP to {root}: {error}")),
    }
    let deadline = Instant::now() + STOP_DEADLINE;
    while Process::find(root).is_some_and(|now| now.started == process.started && !matches!(now.state, 'T' | 'Z' | 'X'))
    {
        if Instant::now() > deadline {
            return Err(format!("{root} still runs {} s after SIGSTOP", STOP_DEADLINE.as_secs()));
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(of(root))
}

/// A pid as nix wants it.
pub(super) fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}
