//! The controller's side of the supervisor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::message::{Exit, Order, Reply, Request, Spawn, Target};
use super::{COMMAND, NOT_UNDONE, pulse};
use crate::deadline;
use crate::error::{Context, Error, Result};
use crate::service::choice::{POSTGRES_VARIABLE, REDIS_VARIABLE};
use crate::service::run_directory::{RunDirectory, SUPERVISOR_LOG as LOG};
use crate::service::undo;

/// Longer than the supervisor itself waits for anything: for processes, then for servers of others.
const SHUTDOWN_DEADLINE: Duration = undo::DEADLINE.saturating_add(Duration::from_secs(20));

/// Longer than it takes over any order, of which it may have a few to follow first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// A handle on the supervisor; clones share it. When the last one goes without [`Supervisor::shutdown`], the supervisor ends
/// everything all the same.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: u32,
    log: PathBuf,
    input: tokio::sync::Mutex<Option<ChildStdin>>,
    child: tokio::sync::Mutex<Child>,
    heard: Arc<Heard>,
}

/// What the supervisor has said so far.
#[derive(Debug, Default)]
struct Heard {
    state: Mutex<State>,
    /// Counts changes of the state.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// pid -> (session, exit)
    exits: HashMap<u32, (u32, Exit)>,
    gone: bool,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Result<u32, String>>,
    is_spawn: bool,
}

/// How a supervisor ended.
#[derive(Debug)]
pub(in crate::service) enum Ended {
    /// Nothing is left.
    Well,
    /// No process is left, but something that the run has made elsewhere.
    NotUndone(Error),
    /// In words. It has ended nothing.
    Died(String),
}

impl Supervisor {
    /// Starts a supervisor for this run: this program again, with the hidden subcommand `supervisor`.
    ///
    /// # Errors
    ///
    /// Cannot run if the process cannot be started.
    pub async fn start(run_directory: &RunDirectory) -> Result<Self> {
        // Not `current_exe`: this works also when the file has been replaced meanwhile.
        Self::start_program(Path::new("/proc/self/exe"), run_directory).await
    }

    /// As [`Supervisor::start`], for a controller that is not `dj-regress` itself (a test).
    ///
    /// # Errors
    ///
    /// Cannot run if the process cannot be started.
    pub async fn start_program(program: &Path, run_directory: &RunDirectory) -> Result<Self> {
        let log_path = run_directory.path().join(LOG);
        let log = std::fs::File::create(&log_path).cannot_run(|| format!("make {}", log_path.display()))?;
        let mut child = Command::new(program)
            .arg(COMMAND)
            .arg(run_directory.path())
            // They may hold passwords, and nothing below a supervisor needs them.
            .env_remove(POSTGRES_VARIABLE)
            .env_remove(REDIS_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .cannot_run(|| "start the supervisor".to_owned())?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::bug("the supervisor has no pipes"));
        };
        let mut output = BufReader::new(output);
        let mut line = String::new();
        let hear = async { output.read_line(&mut line).await.cannot_run(|| "hear the supervisor".to_owned()) };
        deadline::within(ANSWER_DEADLINE, || "start the supervisor".to_owned(), hear).await?;
        let Ok(Reply::Ready { pid }) = serde_json::from_str(&line) else {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            return Err(Error::cannot_run(format!("the supervisor did not start: {}{}", line, log.trim_end())));
        };
        run_directory.set_supervisor(pid)?;
        let heard = Arc::new(Heard::default());
        tokio::spawn(Arc::clone(&heard).listen(output));
        let (input, child) = (tokio::sync::Mutex::new(Some(input)), tokio::sync::Mutex::new(child));
        Ok(Self { shared: Arc::new(Shared { pid, log: log_path, input, child, heard }) })
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Starts a process below the supervisor, in its own session; gives its pid, which is its session id too.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be started or the supervisor is gone.
    pub async fn spawn(&self, spawn: Spawn) -> Result<u32> {
        self.request(Order::Spawn(Box::new(spawn))).await
    }

    /// Signals a descendant of the supervisor; nothing else is ever reached. Says whether it was still there.
    ///
    /// # Errors
    ///
    /// Cannot run if the kernel refuses or the supervisor is gone.
    pub async fn signal(&self, pid: u32, signal: Signal) -> Result<bool> {
        Ok(self.signal_all(Target::Process(pid), signal).await? > 0)
    }

    /// Signals descendants of the supervisor; says how many were reached.
    ///
    /// # Errors
    ///
    /// Cannot run if the kernel refuses or the supervisor is gone.
    pub async fn signal_all(&self, target: Target, signal: Signal) -> Result<u32> {
        self.request(Order::Signal { target, signal: signal as i32 }).await
    }

    /// SIGKILLs all descendants that belong to these sessions, and waits until they are gone. Says how many there
    /// were, and forgets how members of these sessions ended.
    ///
    /// # Errors
    ///
    /// Cannot run if one does not go within 10 s or the supervisor is gone.
    pub async fn end_sessions(&self, sessions: &[u32]) -> Result<u32> {
        let ended = self.request(Order::EndSessions(sessions.to_vec())).await?;
        // A later process may get one of their pids.
        self.shared.heard.lock().exits.retain(|_, (session, _)| !sessions.contains(session));
        Ok(ended)
    }

    /// SIGKILLs a process and all below it, whatever their sessions, and waits until they are gone. Says how many there
    /// were.
    ///
    /// # Errors
    ///
    /// Cannot run if one does not go within 10 s or the supervisor is gone.
    pub async fn end_tree(&self, pid: u32) -> Result<u32> {
        self.request(Order::EndTree(pid)).await
    }

    /// How a process below the supervisor ended (children and orphans that the supervisor adopted); waits until it does.
    ///
    /// # Errors
    ///
    /// Cannot run if the supervisor is gone.
    pub async fn exited(&self, pid: u32) -> Result<Exit> {
        let mut changes = self.shared.heard.changed.subscribe();
        loop {
            changes.borrow_and_update();
            {
                let state = self.shared.heard.lock();
                if let Some((_, exit)) = state.exits.get(&pid) {
                    return Ok(*exit);
                }
                if state.gone {
                    return Err(gone());
                }
            }
            // The sender lives as long as we do.
            let _ = changes.changed().await;
        }
    }

    /// Resolves when the supervisor has died, or was ended because it stood still or did not answer: nobody but the
    /// controller can end what it leaves.
    pub async fn died(&self) -> Error {
        let mut changes = self.shared.heard.changed.subscribe();
        let is_gone = async {
            while !self.is_gone() {
                let _ = changes.changed().await;
            }
        };
        tokio::select! {
            () = is_gone => gone(),
            () = pulse::stands_still(self.shared.pid) => {
                self.kill();
                Error::cannot_run(format!("{}: every process below it is ended", self.standing()))
            }
            error = pulse::silence(async || self.end_sessions(&[]).await) => error,
        }
    }

    fn kill(&self) {
        // It may have ended since; a process that stands still is ended by it, too.
        let _ = kill(Pid::from_raw(self.shared.pid.cast_signed()), Signal::SIGKILL);
    }

    fn standing(&self) -> String {
        let seconds = pulse::PATIENCE.as_secs();
        format!("the supervisor of this run (process {}) stood still for {seconds} s and was ended", self.shared.pid)
    }

    /// Whether the supervisor has ended.
    pub fn is_gone(&self) -> bool {
        self.shared.heard.lock().gone
    }

    /// Ends everything below the supervisor and the supervisor itself; the run directory is gone then. Call it on any clone;
    /// the others find the supervisor gone.
    ///
    /// # Errors
    ///
    /// Cannot run if the supervisor does not end within 50 s, or was itself killed.
    pub async fn shutdown(&self) -> Result<()> {
        match self.end().await? {
            Ended::Well => Ok(()),
            Ended::NotUndone(error) => Err(error),
            Ended::Died(how) => {
                Err(Error::cannot_run(format!("{how}: servers may still run")).hint("dj-regress clean"))
            }
        }
    }

    /// As [`Supervisor::shutdown`], told apart by what is left to do.
    pub(in crate::service) async fn end(&self) -> Result<Ended> {
        // The end of its input is the order.
        drop(self.shared.input.lock().await.take());
        let mut child = self.shared.child.lock().await;
        let late = tokio::select! {
            status = child.wait() => Ok(status),
            () = pulse::stands_still(self.shared.pid) => Err(self.standing()),
            () = sleep(SHUTDOWN_DEADLINE) => {
                let (pid, seconds) = (self.shared.pid, SHUTDOWN_DEADLINE.as_secs());
                Err(format!("the supervisor (process {pid}) did not end within {seconds} s"))
            }
        };
        let status = match late {
            Ok(status) => status,
            Err(how) => {
                child.kill().await.cannot_run(|| "end the supervisor".to_owned())?;
                return Ok(Ended::Died(how));
            }
        };
        let status = status.cannot_run(|| "wait for the supervisor".to_owned())?;
        if status.success() {
            return Ok(Ended::Well);
        }
        if status.code() == Some(i32::from(NOT_UNDONE)) {
            let log = std::fs::read_to_string(&self.shared.log).unwrap_or_default();
            let message = format!("not everything that this run has made elsewhere is gone: {}", log.trim_end());
            return Ok(Ended::NotUndone(Error::cannot_run(message).hint("dj-regress clean  (tries again)")));
        }
        Ok(Ended::Died(format!("the supervisor ended by itself ({status})")))
    }

    async fn request(&self, order: Order) -> Result<u32> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = self.shared.heard.lock();
            if state.gone {
                return Err(gone());
            }
            state.next += 1;
            let number = state.next;
            state.waiting.insert(number, Waiting { sender, is_spawn: matches!(order, Order::Spawn(_)) });
            number
        };
        let mut line = serde_json::to_vec(&Request { number, order })
            .map_err(|error| Error::bug(format!("an order for the supervisor: {error}")))?;
        line.push(b'\n');
        let answer = async {
            match self.shared.input.lock().await.as_mut() {
                Some(input) => input.write_all(&line).await.map_err(|_| gone())?,
                None => return Err(gone()),
            }
            receiver.await.map_err(|_| gone())?.map_err(Error::cannot_run)
        };
        let Ok(answer) = timeout(ANSWER_DEADLINE, answer).await else {
            // One that hangs keeps nothing: its death is seen, and dealt with, by whoever plays the run.
            self.kill();
            let message = format!("the supervisor (process {}) did not answer", self.shared.pid);
            return Err(deadline::passed(ANSWER_DEADLINE, &message));
        };
        answer
    }
}

fn gone() -> Error {
    Error::cannot_run("the supervisor of this run has died: every process below it is ended")
}

impl Heard {
    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    async fn listen(self: Arc<Self>, output: BufReader<ChildStdout>) {
        let mut lines = output.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(reply) = serde_json::from_str(&line) else { break };
            self.take(reply);
        }
        let mut state = self.lock();
        state.gone = true;
        state.waiting.clear();
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    fn take(&self, reply: Reply) {
        let mut state = self.lock();
        match reply {
            Reply::Ready { .. } => {}
            Reply::Answer { number, result } => {
                if let Some(waiting) = state.waiting.remove(&number) {
                    if let (true, Ok(pid)) = (waiting.is_spawn, &result) {
                        // An earlier process had the same pid.
                        state.exits.remove(pid);
                    }
                    // Whoever asked may have stopped waiting.
                    let _ = waiting.sender.send(result);
                }
            }
            Reply::Exited { pid, session, exit } => {
                state.exits.insert(pid, (session, exit));
            }
        }
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }
}
