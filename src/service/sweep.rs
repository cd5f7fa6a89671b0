//! Removes what runs left behind whose controller and supervisor are both dead.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::procfs::Process;
use super::run_directory::{LOCK, Manifest, RunDirectory, bases, folder_in, is_private, lock_base, take_over};
use super::supervisor::{Ended, RUN_VARIABLE, Supervisor};
use super::{run_directory, shared_memory, undo};
use crate::error::{Context, Error, Result};

/// Postgres itself kills its children 5 s after an immediate shutdown began.
const QUIT_DEADLINE: Duration = Duration::from_secs(6);
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// What a sweep removed of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Its folder.
    pub run_directory: PathBuf,
    /// Processes that still ran: pid and command.
    pub processes: Vec<(u32, String)>,
    /// Ids of System V shared memory segments.
    pub shared_memory: Vec<i32>,
    /// What it had made elsewhere, in words.
    pub elsewhere: Vec<String>,
    /// Why something that it had made elsewhere is still there: then its folder stays, for the next attempt.
    pub not_undone: Option<String>,
}

impl Swept {
    /// What was removed, and what could not be, one line each.
    pub fn lines(&self) -> Vec<String> {
        let folder = self.run_directory.display();
        let mut lines = vec![match &self.not_undone {
            None => format!("removed {folder}"),
            Some(why) => format!("left {folder}: what its run has made elsewhere is still there: {why}"),
        }];
        lines.extend(self.processes.iter().map(|(pid, command)| format!("  ended process {pid} ({command})")));
        lines.extend(self.shared_memory.iter().map(|id| format!("  removed shared memory {id}")));
        lines.extend(self.elsewhere.iter().map(|what| format!("  removed {what}")));
        lines
    }

    /// Whether the run had anything on servers that outlive it.
    pub fn was_elsewhere(&self) -> bool {
        self.not_undone.is_some() || !self.elsewhere.is_empty()
    }
}

/// Sweeps every place where run directories of this user may be.
///
/// # Errors
///
/// Cannot run if a folder cannot be removed or locked.
pub fn sweep() -> Result<Vec<Swept>> {
    let mut swept = Vec::new();
    for base in bases() {
        swept.extend(sweep_base(&base)?);
    }
    Ok(swept)
}

/// Sweeps one base. Runs that are locked by a living controller or supervisor are left alone.
///
/// # Errors
///
/// As [`sweep`].
pub fn sweep_base(base: &Path) -> Result<Vec<Swept>> {
    let folder = folder_in(base);
    if !is_private(&folder) {
        return Ok(Vec::new());
    }
    // Written as the kernel reports it for working directories.
    let folder = folder.canonicalize().cannot_run(|| format!("find {}", folder.display()))?;
    let _base_lock = lock_base(&folder)?;
    let entries = fs::read_dir(&folder).cannot_run(|| format!("list {}", folder.display()))?;
    let mut swept = Vec::new();
    for entry in entries.flatten() {
        let is_run = entry.file_name().to_string_lossy().starts_with("run-");
        if is_run && is_private(&entry.path()) && is_of_a_run(&entry.path()) {
            let Some(_locks) = take_over(&entry.path()) else { continue };
            swept.push(sweep_run(&entry.path())?);
        }
    }
    Ok(swept)
}

/// Whether a run has made it: its lock is there, or it was killed before it made any file.
fn is_of_a_run(folder: &Path) -> bool {
    folder.join(LOCK).is_file() || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Ends a run: through its supervisor, and, where that has died, without it. Nothing is left then, but for what
/// could not be undone elsewhere.
///
/// # Errors
///
/// Cannot run if something is left, saying how to try again.
pub async fn end_run(supervisor: &Supervisor, run_directory: &Arc<RunDirectory>) -> Result<()> {
    // The manifest says what there is elsewhere: whoever has removed the folder has removed that, too.
    let restored = run_directory.restore();
    match supervisor.end().await? {
        Ended::Well => return restored,
        Ended::NotUndone(error) => return Err(error),
        Ended::Died(_) => {}
    }
    let run_directory = Arc::clone(run_directory);
    let sweep = tokio::task::spawn_blocking(move || sweep_run(run_directory.path()));
    let swept = sweep.await.map_err(|error| Error::bug(error.to_string()))??;
    match swept.not_undone {
        None => Ok(()),
        Some(why) => {
            let message = format!("not everything that this run has made elsewhere is gone: {why}");
            Err(Error::cannot_run(message).hint("dj-regress clean  (tries again)"))
        }
    }
}

fn sweep_run(run_directory: &Path) -> Result<Swept> {
    let remaining = end_processes(run_directory);
    let shared_memory = shared_memory::remove_below(run_directory);
    let undone = undo::undo(run_directory);
    let removed = if undone.is_ok() { fs::remove_dir_all(run_directory) } else { run_directory::strip(run_directory) };
    removed.cannot_run(|| format!("remove {}", run_directory.display()))?;
    let processes = remaining.into_iter().map(|process| (process.pid, process.command)).collect();
    let (elsewhere, not_undone) = match undone {
        Ok(elsewhere) => (elsewhere, None),
        Err(error) => (Vec::new(), Some(error.message)),
    };
    Ok(Swept { run_directory: run_directory.to_owned(), processes, shared_memory, elsewhere, not_undone })
}

/// Ends what is provably of this run, postmasters by SIGQUIT so that they free their shared memory.
fn end_processes(run_directory: &Path) -> Vec<Process> {
    let manifest = Manifest::read(run_directory);
    let since = manifest.map_or(0, |manifest| manifest.controller.started);
    let belongs =
        |process: &Process| !process.is_zombie() && process.started >= since && belongs_to(process, run_directory);
    let postmasters = postmaster_pids(run_directory);
    let mut found: Vec<Process> = Vec::new();
    let quit_until = Instant::now() + QUIT_DEADLINE;
    let kill_until = quit_until + KILL_DEADLINE;
    let mut asked_to_quit = false;
    loop {
        let mut remaining: Vec<Process> = Process::all().into_iter().filter(belongs).collect();
        let found_already = |orphan: &Process| remaining.iter().any(|process| process.pid == orphan.pid);
        let adopted: Vec<Process> = adopted().into_iter().filter(|orphan| !found_already(orphan)).collect();
        remaining.extend(adopted);
        for process in &remaining {
            if !found.iter().any(|known| (known.pid, known.started) == (process.pid, process.started)) {
                found.push(process.clone());
            }
        }
        let now = Instant::now();
        if remaining.is_empty() || now > kill_until {
            return found;
        }
        for process in &remaining {
            let is_postgres =
                postmasters.contains(&process.pid) || postmasters.contains(&process.parent) && now < quit_until;
            if is_postgres && now < quit_until {
                if process.state == 'T' {
                    // A case has stopped all of a server: none of it hears its postmaster.
                    signal(process, Signal::SIGCONT);
                }
                if postmasters.contains(&process.pid) && !asked_to_quit {
                    signal(process, Signal::SIGQUIT);
                    // A stopped one would not hear it.
                    signal(process, Signal::SIGCONT);
                }
            } else {
                signal(process, Signal::SIGKILL);
            }
        }
        asked_to_quit = true;
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process is provably of this run: it was given the run's variable, works inside the folder, or writes both
/// its outputs there (a process may overwrite its environment and change its directory).
fn belongs_to(process: &Process, run_directory: &Path) -> bool {
    let is_inside = |path: Option<PathBuf>| path.is_some_and(|path| path.starts_with(run_directory));
    process.pid != std::process::id()
        && (process.has_variable(RUN_VARIABLE, run_directory)
            || is_inside(process.working_directory())
            || is_inside(process.descriptor(1)) && is_inside(process.descriptor(2)))
}

/// Orphans of a supervisor that have become ours, whatever they did to their environment, folder and files. What we have
/// started ourselves, installers for one, is in our own session.
fn adopted() -> Vec<Process> {
    let is_heir = nix::sys::prctl::get_child_subreaper().unwrap_or(false);
    let Some(own) = Process::current().filter(|_| is_heir) else { return Vec::new() };
    let descendants = Process::descendants(own.pid).into_iter();
    descendants.filter(|process| !process.is_zombie() && process.session != own.session).collect()
}

/// From now on the orphans of a supervisor that dies become children of this process: none gets away.
pub fn adopt_orphans() {
    // Without it, they are found by their environment, their folder and their files.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

fn postmaster_pids(run_directory: &Path) -> Vec<u32> {
    let instances = fs::read_dir(run_directory).into_iter().flatten().flatten();
    instances
        .filter_map(|instance| fs::read_to_string(instance.path().join("data/postmaster.pid")).ok())
        .filter_map(|text| text.lines().next()?.trim().parse().ok())
        .collect()
}

fn signal(process: &Process, signal: Signal) {
    // The pid could be another's by now: look again at the last moment.
    if process.is_alive() {
        let _ = kill(Pid::from_raw(process.pid.cast_signed()), signal);
    }
}
