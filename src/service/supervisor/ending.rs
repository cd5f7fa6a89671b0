//! How the supervisor ends a session, and in the end everything.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};

use super::process::Keeping;
use super::tree;
use super::tree::pid_of;
use crate::service::procfs::Process;
use crate::service::run_directory::{self, Elsewhere, Manifest};
use crate::service::{shared_memory, undo};

/// A process that is still there so long after SIGKILL hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// Postgres itself kills its children 5 s after an immediate shutdown began.
const QUIT_DEADLINE: Duration = Duration::from_secs(6);

/// It ends by itself somewhat earlier.
const UNDO_DEADLINE: Duration = undo::DEADLINE.saturating_add(Duration::from_secs(2));

impl Keeping {
    /// SIGKILLs all descendants of these sessions until none is left; says how many there were.
    pub(super) fn end_sessions(&mut self, sessions: &[u32]) -> Result<u32, String> {
        let own = std::process::id();
        let deadline = Instant::now() + KILL_DEADLINE;
        let mut killed = std::collections::HashSet::new();
        loop {
            // A child forked while we looked is found by the next look.
            let left: Vec<Process> = Process::descendants(own)
                .into_iter()
                .filter(|process| sessions.contains(&process.session))
                // One that ended and is a child of somebody else holds nothing; ours are reaped below.
                .filter(|process| !process.is_zombie() || process.parent == own)
                .collect();
            if left.is_empty() {
                return Ok(u32::try_from(killed.len()).unwrap_or(u32::MAX));
            }
            if Instant::now() > deadline {
                let pids: Vec<u32> = left.iter().map(|process| process.pid).collect();
                return Err(format!("{pids:?} still run {} s after SIGKILL", KILL_DEADLINE.as_secs()));
            }
            for process in left.iter().filter(|process| !process.is_zombie()) {
                killed.insert((process.pid, process.started));
                // It may have ended since we looked.
                let _ = kill(pid_of(process.pid), Signal::SIGKILL);
            }
            self.wait_for_signal();
            self.reap(true).map_err(|error| error.to_string())?;
        }
    }

    /// SIGKILLs a process and all below it until none is left; says how many there were.
    pub(super) fn end_tree(&mut self, root: u32) -> Result<u32, String> {
        let own = std::process::id();
        let tree = tree::stopped(root)?;
        for process in &tree {
            // It may have ended since we looked.
            let _ = kill(pid_of(process.pid), Signal::SIGKILL);
        }
        let deadline = Instant::now() + KILL_DEADLINE;
        let is_left = |process: &Process| match Process::find(process.pid) {
            // A zombie is ours to reap: its parent is gone, too.
            Some(now) => now.started == process.started && (!now.is_zombie() || now.parent == own),
            None => false,
        };
        while let Some(left) = tree.iter().find(|process| is_left(process)) {
            if Instant::now() > deadline {
                return Err(format!("{} still runs {} s after SIGKILL", left.pid, KILL_DEADLINE.as_secs()));
            }
            self.wait_for_signal();
            self.reap(true).map_err(|error| error.to_string())?;
        }
        Ok(u32::try_from(tree.len()).unwrap_or(u32::MAX))
    }

    /// Ends every descendant, undoes what the run has elsewhere, then removes the run directory. If that could not be
    /// undone, says so and leaves what a later attempt needs.
    pub(super) fn end(&mut self) -> bool {
        self.end_descendants();
        shared_memory::remove_below(&self.directory);
        let is_undone = self.undo();
        let removed =
            if is_undone { fs::remove_dir_all(&self.directory) } else { run_directory::strip(&self.directory) };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("supervisor: cannot remove {}: {error}", self.directory.display());
        }
        is_undone
    }

    /// Undoes what the run has elsewhere, in a process of its own: it may hang.
    fn undo(&self) -> bool {
        if Manifest::read(&self.directory).is_none_or(|manifest| manifest.elsewhere == Elsewhere::default()) {
            return true;
        }
        // Not `current_exe`: this works also when the file has been replaced meanwhile.
        let mut undo = Command::new("/proc/self/exe");
        undo.arg(undo::COMMAND).arg(&self.directory).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = match undo.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("supervisor: cannot undo: {error}");
                return false;
            }
        };
        let deadline = Instant::now() + UNDO_DEADLINE;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(status)) => return status.success(),
                Err(_) => return false,
            }
        }
        eprintln!("supervisor: undoing takes over {} s", UNDO_DEADLINE.as_secs());
        let _ = child.kill().and_then(|()| child.wait());
        false
    }

    fn end_descendants(&mut self) {
        let own = std::process::id();
        for quitter in self.quitters.clone() {
            let _ = kill(pid_of(quitter), Signal::SIGQUIT);
            // One that a case has stopped would not hear it.
            let _ = kill(pid_of(quitter), Signal::SIGCONT);
        }
        let quit_until = Instant::now() + QUIT_DEADLINE;
        let deadline = Instant::now() + QUIT_DEADLINE + KILL_DEADLINE;
        loop {
            let spared = if Instant::now() < quit_until { self.quitters.clone() } else { Vec::new() };
            let below: Vec<Process> = spared.iter().flat_map(|pid| Process::descendants(*pid)).collect();
            for process in below.iter().filter(|process| process.state == 'T') {
                // A case has stopped all of a server: none of it hears its postmaster.
                let _ = kill(pid_of(process.pid), Signal::SIGCONT);
            }
            let below: Vec<u32> = below.into_iter().map(|process| process.pid).collect();
            let left = Process::descendants(own);
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            for process in left {
                if !process.is_zombie() && !spared.contains(&process.pid) && !below.contains(&process.pid) {
                    let _ = kill(pid_of(process.pid), Signal::SIGKILL);
                }
            }
            self.wait_for_signal();
            // Nobody listens any more.
            let _ = self.reap(false);
        }
    }

    /// Until a signal (the end of a child), at most 2 ms: grandchildren end without one.
    fn wait_for_signal(&self) {
        let mut files = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut files, PollTimeout::from(2_u8));
    }
}
