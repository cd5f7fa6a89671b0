//! The supervisor's own process: one thread that waits for the controller's orders and for signals.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::setsid;

use super::message::{Ending, Exit, Order, Reply, Request, Spawn, Target};
use super::tree::pid_of;
use super::{NOT_UNDONE, RUN_VARIABLE, tree};
use crate::service::procfs::Process;
use crate::service::run_directory::SUPERVISOR_LOCK;

/// `dj-regress supervisor RUN_DIRECTORY`: keeps until standard input closes, then ends everything it ever started.
pub fn run(directory: &Path) -> ExitCode {
    match Keeping::begin(directory) {
        Ok(mut keeping) => {
            if let Err(error) = keeping.serve() {
                eprintln!("supervisor: {error}");
            }
            if keeping.end() { ExitCode::SUCCESS } else { ExitCode::from(NOT_UNDONE) }
        }
        Err(error) => {
            eprintln!("supervisor: cannot start: {error}");
            ExitCode::from(2)
        }
    }
}

/// The state of a running supervisor.
pub(super) struct Keeping {
    pub(super) directory: PathBuf,
    pub(super) signals: SignalFd,
    /// Pids of those that end themselves on SIGQUIT.
    pub(super) quitters: Vec<u32>,
    /// Held as long as this process lives: tells a sweep to keep away.
    _lock: File,
}

impl Keeping {
    fn begin(directory: &Path) -> io::Result<Self> {
        close_inherited_files()?;
        // Fails only if we lead a session already, which is what we want.
        let _ = setsid();
        nix::sys::prctl::set_child_subreaper(true)?;
        umask(Mode::from_bits_truncate(0o022));
        let signals = receive_signals()?;
        let lock = File::options().create(true).append(true).open(directory.join(SUPERVISOR_LOCK))?;
        lock.lock()?;
        say(&Reply::Ready { pid: std::process::id() })?;
        Ok(Self { directory: directory.to_owned(), signals, quitters: Vec::new(), _lock: lock })
    }

    /// Follows orders until the controller's pipe closes.
    fn serve(&mut self) -> io::Result<()> {
        let input = io::stdin();
        let mut pending = Vec::new();
        let mut buffer = vec![0; 65536];
        loop {
            let mut files =
                [PollFd::new(input.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut files, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let (has_input, has_signal) = (files[0].any().unwrap_or(true), files[1].any().unwrap_or(true));
            if has_signal {
                self.reap(true)?;
            }
            if has_input {
                let length = match nix::unistd::read(input.as_fd(), &mut buffer) {
                    Ok(length) => length,
                    Err(Errno::EINTR) => continue,
                    Err(error) => return Err(error.into()),
                };
                if length == 0 {
                    return Ok(());
                }
                pending.extend_from_slice(&buffer[..length]);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let request: Request = serde_json::from_slice(&line)?;
                    let result = self.obey(request.order);
                    say(&Reply::Answer { number: request.number, result })?;
                }
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<u32, String> {
        match order {
            Order::Spawn(spawn) => {
                let pid = self.spawn(&spawn).map_err(|error| format!("cannot start {}: {error}", spawn.name))?;
                if spawn.ending == Ending::Quit {
                    self.quitters.push(pid);
                }
                Ok(pid)
            }
            Order::Signal { target, signal } => {
                let signal = Signal::try_from(signal).map_err(|_| format!("there is no signal {signal}"))?;
                let mut reached = 0;
                for process in targets(target, signal)? {
                    if !process.is_zombie() {
                        match kill(pid_of(process.pid), signal) {
                            Ok(()) => reached += 1,
                            // It has ended since we looked.
                            Err(Errno::ESRCH) => {}
                            Err(error) => return Err(format!("{signal} to {}: {error}", process.pid)),
                        }
                    }
                }
                Ok(reached)
            }
            Order::EndSessions(sessions) => self.end_sessions(&sessions),
            Order::EndTree(root) => self.end_tree(root),
        }
    }

    fn spawn(&self, spawn: &Spawn) -> io::Result<u32> {
        let [program, arguments @ ..] = spawn.command.as_slice() else {
            return Err(io::Error::other("an empty command"));
        };
        let log = File::options().create(true).append(true).open(&spawn.log)?;
        let mut command = Command::new(program);
        command.env_clear().envs(&spawn.environment).env(RUN_VARIABLE, &self.directory);
        if let Some((user, group)) = spawn.user {
            command.uid(user).gid(group);
        }
        // SAFETY: between fork and exec only async-signal-safe calls are allowed: setsid and sigprocmask are.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                SigSet::empty().thread_set_mask()?;
                Ok(())
            });
        }
        let child = command
            .args(arguments)
            .current_dir(&spawn.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        // Reaped by `reap`, like every other child; dropping the handle neither kills nor waits.
        Ok(child.id())
    }

    /// Takes the signals that came in, and buries every child that has ended.
    pub(super) fn reap(&mut self, tell: bool) -> io::Result<()> {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        // A zombie still tells its session: look before it is buried.
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, peek) {
            let Some(pid) = status.pid() else { break };
            let number = pid.as_raw().cast_unsigned();
            let session = Process::find(number).map_or(0, |process| process.session);
            let exit = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => Exit::Code(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Exit::Signal(signal as i32),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => break,
            };
            self.quitters.retain(|quitter| *quitter != number);
            if tell {
                say(&Reply::Exited { pid: number, session, exit })?;
            }
        }
        Ok(())
    }
}

/// The descendants that a signal goes to.
fn targets(target: Target, signal: Signal) -> Result<Vec<Process>, String> {
    match target {
        Target::Tree(root) if signal == Signal::SIGSTOP => tree::stopped(root),
        Target::Tree(root) => Ok(tree::of(root)),
        _ => {
            let all = Process::descendants(std::process::id()).into_iter();
            Ok(all.filter(|process| target.includes(process)).collect())
        }
    }
}

impl Target {
    fn includes(self, process: &Process) -> bool {
        match self {
            Self::Process(pid) | Self::Tree(pid) => process.pid == pid,
            Self::Group(group) => process.group == group,
            Self::Session(session) => process.session == session,
        }
    }
}

fn say(reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    io::stdout().flush()
}

/// What the controller was started with must not reach the servers.
fn close_inherited_files() -> io::Result<()> {
    let numbers: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // One of them was the listing itself, closed by now.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Default dispositions (they are inherited by what we spawn), then all that could end us blocked and readable as a
/// file: so nothing but SIGKILL and the end of the pipe ends a supervisor.
fn receive_signals() -> io::Result<SignalFd> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let caught = [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP | Signal::SIGPIPE) {
            // SAFETY: the default disposition runs no handler. SIGPIPE stays ignored here; spawning resets it.
            let _ = unsafe { sigaction(signal, &default) };
        }
    }
    let mut mask = SigSet::empty();
    for signal in caught {
        mask.add(signal);
    }
    mask.thread_set_mask()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}
