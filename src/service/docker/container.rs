//! One container: its life, and what it says.

use std::time::Duration;

use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as BollardError;
use testcontainers::bollard::models::{ContainerConfig, ContainerState};
use testcontainers::bollard::query_parameters::{
    CommitContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use tokio::time::{sleep, timeout};

use super::labels::MADE;
use crate::error::{Context, Error, Result};
use crate::service::lifecycle::Change;

/// Between two attempts to connect.
const POLL: Duration = Duration::from_millis(5);

/// Attempts to connect between two looks at whether the container still runs: that takes longer.
const ATTEMPTS: usize = 40;

/// Between two looks at a container that should run: each takes the daemon some milliseconds.
const LOOK: Duration = Duration::from_millis(500);

/// How many lines of the log an error shows.
const LOG_LINES: usize = 30;

/// A container. Dropping it does nothing: it is removed by hand, or found by its labels.
#[derive(Debug, Clone)]
pub struct Container {
    docker: Docker,
    id: String,
    name: String,
}

impl Container {
    pub(super) fn new(docker: Docker, id: String, name: String) -> Self {
        Self { docker, id, name }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name: that of the run, its role and a number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id of its first process as this machine sees it, while it runs.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon cannot be asked, or the container is gone.
    pub async fn pid(&self) -> Result<Option<u32>> {
        let pid = self.state().await?.pid.unwrap_or_default();
        Ok(u32::try_from(pid).ok().filter(|pid| *pid > 0))
    }

    /// Its exit code if it has ended (137 after SIGKILL), nothing while it runs or is paused.
    ///
    /// # Errors
    ///
    /// As [`Container::pid`].
    pub async fn exited(&self) -> Result<Option<i64>> {
        let state = self.state().await?;
        Ok(if state.running == Some(true) { None } else { state.exit_code })
    }

    /// Resolves when it has ended, or is gone; says how, with the end of its log.
    pub(in crate::service) async fn died(&self) -> String {
        loop {
            match self.exited().await {
                Ok(Some(code)) => return format!("exit code {code}{}", self.end_of_log().await),
                Ok(None) => sleep(LOOK).await,
                Err(error) => return error.message,
            }
        }
    }

    /// Ends all of its processes at once (SIGKILL); returns when they have.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not run.
    pub async fn kill(&self) -> Result<()> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        self.docker.kill_container(&self.id, Some(options)).await.cannot_run(|| self.doing("kill"))
    }

    /// Asks it to end, in the way that its image says, and kills it after so many whole seconds; returns when it has
    /// ended.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon refuses.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        let seconds = i32::try_from(grace.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        self.docker.stop_container(&self.id, Some(options)).await.cannot_run(|| self.doing("stop"))
    }

    /// Starts it again after it has ended. Its files are there, but for what was on a tmpfs.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon refuses.
    pub async fn start(&self) -> Result<()> {
        let started = self.docker.start_container(&self.id, None::<StartContainerOptions>).await;
        started.cannot_run(|| self.doing("start"))
    }

    /// Freezes all of its processes.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not run.
    pub async fn pause(&self) -> Result<()> {
        self.docker.pause_container(&self.id).await.cannot_run(|| self.doing("pause"))
    }

    /// Lets its processes go on.
    ///
    /// # Errors
    ///
    /// Cannot run if it is not paused.
    pub async fn unpause(&self) -> Result<()> {
        self.docker.unpause_container(&self.id).await.cannot_run(|| self.doing("unpause"))
    }

    /// Does this to all that runs in it; what is stopped is killed after `grace`.
    pub(in crate::service) async fn change(&self, change: Change, grace: Duration) -> Result<()> {
        match change {
            Change::Kill => self.kill().await,
            Change::Stop => self.stop(grace).await,
            Change::Start => self.start().await,
            Change::Pause => self.pause().await,
            Change::Resume => self.unpause().await,
        }
    }

    /// The last lines of what it has written to standard output and standard error.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon cannot be asked.
    pub async fn logs(&self, lines: usize) -> Result<String> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut pieces = std::pin::pin!(self.docker.logs(&self.id, Some(options)));
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece.cannot_run(|| self.doing("read the log of"))?.into_bytes());
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The end of its log, each line indented, for a message; nothing, if it cannot be had.
    pub(in crate::service) async fn end_of_log(&self) -> String {
        let log = self.logs(8).await.unwrap_or_default();
        log.lines().flat_map(|line| ["\n  ", line]).collect()
    }

    /// Removes it with its volumes, running or not.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon refuses; not if it is gone already.
    pub async fn remove(self) -> Result<()> {
        remove(&self.docker, &self.id).await.cannot_run(|| self.doing("remove"))
    }

    /// Waits until what runs in it answers. If it ends first, or does not answer in time, the error has the end of its log.
    pub(in crate::service) async fn wait_until<F: Future<Output = bool>>(
        &self,
        deadline: Duration,
        is_ready: impl Fn() -> F,
    ) -> Result<()> {
        let waiting = async {
            loop {
                for _ in 0..ATTEMPTS {
                    if is_ready().await {
                        return Ok(());
                    }
                    sleep(POLL).await;
                }
                if let Some(code) = self.exited().await? {
                    return Err(self.failed(&format!("ended at its start with exit code {code}")).await);
                }
            }
        };
        match timeout(deadline, waiting).await {
            Ok(ended) => ended,
            Err(_) => Err(self.failed(&format!("does not answer within {} s", deadline.as_secs())).await),
        }
    }

    async fn failed(&self, how: &str) -> Error {
        let log = self.logs(LOG_LINES).await.unwrap_or_default();
        Error::cannot_run(format!("the container {} {how}\n{log}", self.name))
    }

    /// Keeps its files, but for those on volumes and tmpfs, as an image of ours, made of that one.
    pub(in crate::service) async fn keep_as(&self, name: &str, tag: &str, of: &str) -> Result<()> {
        let options = CommitContainerOptionsBuilder::new().container(&self.id).repo(name).tag(tag).build();
        let labels = [(MADE.to_owned(), of.to_owned())].into();
        let config = ContainerConfig { labels: Some(labels), ..ContainerConfig::default() };
        let kept = self.docker.commit_container(options, config).await;
        kept.map(|_| ()).cannot_run(|| self.doing("make an image of"))
    }

    async fn state(&self) -> Result<ContainerState> {
        let found = self.docker.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        Ok(found.cannot_run(|| self.doing("look at"))?.state.unwrap_or_default())
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the container {}", self.name)
    }
}

/// Removes a container with its volumes, running or not. One that is gone, or just going, is removed.
pub(super) async fn remove(docker: &Docker, id: &str) -> Result<(), BollardError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(BollardError::DockerResponseServerError { status_code: 409, message })
            if message.contains("already in progress") =>
        {
            Ok(())
        }
        other => other,
    }
}
