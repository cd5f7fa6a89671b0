//! A private server: a unix socket, no TCP, nothing written to disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::wants::RedisWants;
use crate::clock::Preload;
use crate::error::{Error, Result};
use crate::service::address::RedisUrl;
use crate::service::lifecycle::{Change, Lifecycle};
use crate::service::locate::RedisBinary;
use crate::service::supervisor::{Spawn, Supervisor, Target};

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(2);

/// A server in a folder of an arm; its process is the supervisor's.
#[derive(Debug)]
pub(super) struct Local {
    pub supervisor: Supervisor,
    command: Vec<String>,
    directory: PathBuf,
    pub url: RedisUrl,
    socket: PathBuf,
    pub log: PathBuf,
    pid: AtomicU32,
    clock: Option<Preload>,
}

impl Local {
    pub async fn start(
        supervisor: &Supervisor,
        binary: &RedisBinary,
        wants: &RedisWants,
        clock: Option<Preload>,
        directory: &Path,
    ) -> Result<Self> {
        let (socket, log) = (directory.join("redis.sock"), directory.join("redis.log"));
        let mut command = vec![binary.program.display().to_string()];
        let path = socket.display().to_string();
        let mut options = vec![
            ("--port", "0".to_owned()),
            ("--unixsocket", path),
            ("--unixsocketperm", "700".to_owned()),
            ("--save", String::new()),
            ("--appendonly", "no".to_owned()),
            ("--daemonize", "no".to_owned()),
            ("--databases", "16".to_owned()),
        ];
        options.extend(wants.maxmemory.map(|bytes| ("--maxmemory", bytes.to_string())));
        options.extend(wants.policy.clone().map(|policy| ("--maxmemory-policy", policy)));
        command.extend(options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        let url = RedisUrl::of_socket(socket.clone());
        let (supervisor, directory, pid) = (supervisor.clone(), directory.to_owned(), AtomicU32::new(0));
        let local = Self { supervisor, command, directory, url, socket, log, pid, clock };
        local.launch().await?;
        Ok(local)
    }

    /// Starts the server and waits until it answers.
    pub async fn launch(&self) -> Result<()> {
        let mut spawn = Spawn::new("redis", self.command.clone(), &self.directory, &self.log);
        if let Some(clock) = &self.clock {
            spawn = spawn.preload(clock);
        }
        self.pid.store(self.supervisor.spawn(spawn).await?, Ordering::Relaxed);
        self.wait_until_ready().await
    }

    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let exited = self.supervisor.exited(self.pid());
        tokio::pin!(exited);
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Ok(mut connection) = self.url.connect(0).await
                && ::redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return Ok(());
            }
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            if Instant::now() > deadline {
                let seconds = START_DEADLINE.as_secs();
                return Err(Error::cannot_run(format!("Redis did not answer within {seconds} s\n{}", log())));
            }
            if let Ok(exit) = timeout(POLL, &mut exited).await {
                return Err(Error::cannot_run(format!("Redis ended at its start: {}\n{}", exit?, log())));
            }
        }
    }
}

impl Lifecycle for Local {
    async fn change(&self, change: Change) -> Result<()> {
        let signal = |signal| self.supervisor.signal_all(Target::Tree(self.pid()), signal);
        match change {
            Change::Kill => {
                self.supervisor.end_tree(self.pid()).await?;
                match std::fs::remove_file(&self.socket) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(Error::cannot_run(format!("remove {}: {error}", self.socket.display())))
                    }
                    _ => Ok(()),
                }
            }
            Change::Stop => {
                // A paused one would not hear it.
                signal(Signal::SIGCONT).await?;
                self.supervisor.signal(self.pid(), Signal::SIGTERM).await?;
                match timeout(STOP_DEADLINE, self.supervisor.exited(self.pid())).await {
                    Ok(exit) => exit.map(drop),
                    Err(_) => Err(Error::cannot_run(format!(
                        "Redis (process {}) did not stop within {} s of SIGTERM",
                        self.pid(),
                        STOP_DEADLINE.as_secs()
                    ))),
                }
            }
            // Empty.
            Change::Start => self.launch().await,
            Change::Pause => signal(Signal::SIGSTOP).await.map(drop),
            Change::Resume => signal(Signal::SIGCONT).await.map(drop),
        }
    }
}
