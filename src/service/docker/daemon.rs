//! The docker daemon: found, asked, and what we have with it.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testcontainers::bollard::errors::Error as BollardError;
use testcontainers::bollard::query_parameters::ListContainersOptionsBuilder;
use testcontainers::bollard::{API_DEFAULT_VERSION, Docker};
use testcontainers::runners::AsyncRunner;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::container::{Container, remove};
use super::labels::{Labelled, Owner, RUN, TOKEN};
use super::spec::{Spec, refused, request};
use crate::error::{Context, Error, Result};

/// For a daemon that is there, to say so.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// For any other request; a container takes a second where the machine is busy.
const REQUEST_DEADLINE: Duration = Duration::from_mins(2);

/// What to do where there is no daemon to use.
const HINT: &str = "start docker, set DOCKER_HOST to its unix socket, or take other services";

/// A daemon that answers and shares this machine's files.
#[derive(Debug, Clone)]
pub struct Daemon {
    pub(super) docker: Docker,
    version: String,
    /// How many containers were named.
    named: Arc<AtomicU32>,
}

impl Daemon {
    /// Connects to the daemon of `DOCKER_HOST`, else to the first of the usual sockets that is there. It must be a unix
    /// socket: a daemon elsewhere does not share this machine's files.
    ///
    /// # Errors
    ///
    /// Cannot run if none answers within 2 s; says why.
    pub async fn connect() -> Result<Self> {
        Self::at(&socket(env::var_os("DOCKER_HOST"))?).await
    }

    async fn at(socket: &Path) -> Result<Self> {
        let asking = async {
            UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
            let name = socket.to_string_lossy();
            let doing = || format!("ask the docker daemon at {name}");
            let docker = Docker::connect_with_unix(&name, REQUEST_DEADLINE.as_secs(), API_DEFAULT_VERSION);
            let docker = docker.cannot_run(doing)?.negotiate_version().await.cannot_run(doing)?;
            let version = docker.version().await.cannot_run(doing)?.version.unwrap_or_default();
            Ok(Self { docker, version, named: Arc::default() })
        };
        timeout(ANSWER_DEADLINE, asking).await.unwrap_or_else(|_| {
            let seconds = ANSWER_DEADLINE.as_secs();
            let message = format!("the docker daemon at {} does not answer within {seconds} s", socket.display());
            Err(Error::cannot_run(message).hint(HINT))
        })
    }

    /// Its version, e.g. `28.2.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs a container. It is started, whatever that means for what is in it: nothing is waited for.
    ///
    /// Where the caller stops waiting, a container may come up all the same: its labels tell whose it is.
    ///
    /// # Errors
    ///
    /// Cannot run if the image cannot be had or the daemon refuses.
    pub async fn run(&self, spec: Spec<'_>) -> Result<Container> {
        let volumes = self.image(spec.image).await?.config.and_then(|config| config.volumes).unwrap_or_default();
        let name =
            format!("dj-regress-{}-{}-{}", spec.owner.run, spec.role, self.named.fetch_add(1, Ordering::Relaxed));
        match request(&spec, &name, &volumes).start().await {
            Ok(started) => {
                let id = started.id().to_owned();
                // Its drop would remove the container, and block for it.
                std::mem::forget(started);
                Ok(Container::new(self.docker.clone(), id, name))
            }
            Err(error) => {
                // It may have been made, and only not started.
                let _ = self.remove(&name).await;
                Err(refused(&spec, &error.to_string()))
            }
        }
    }

    /// All containers of ours, whichever run's and in whatever state.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon cannot be asked.
    pub async fn labelled(&self) -> Result<Vec<Labelled>> {
        self.list(vec![RUN.to_owned(), TOKEN.to_owned()]).await
    }

    /// Removes the containers of an owner, with their volumes: those that carry both of its labels. Returns their names.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon cannot be asked, or one cannot be removed.
    pub async fn remove_labelled(&self, owner: &Owner) -> Result<Vec<String>> {
        let labels = vec![format!("{RUN}={}", owner.run), format!("{TOKEN}={}", owner.token)];
        let mut removed = Vec::new();
        for found in self.list(labels).await?.into_iter().filter(|found| found.owner == *owner) {
            self.remove(&found.id).await.cannot_run(|| format!("remove the container {}", found.name))?;
            removed.push(found.name);
        }
        Ok(removed)
    }

    async fn list(&self, labels: Vec<String>) -> Result<Vec<Labelled>> {
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.cannot_run(|| "list docker's containers".to_owned())?;
        Ok(found.into_iter().filter_map(Labelled::of).collect())
    }

    async fn remove(&self, id: &str) -> Result<(), BollardError> {
        remove(&self.docker, id).await
    }
}

/// The socket of the daemon; the same that testcontainers takes.
fn socket(host: Option<OsString>) -> Result<PathBuf> {
    let host = host.map(|host| host.to_string_lossy().into_owned()).filter(|host| !host.is_empty());
    if let Some(host) = host {
        return host.strip_prefix("unix://").map(PathBuf::from).ok_or_else(|| {
            Error::cannot_run(format!("DOCKER_HOST is {host}: that daemon does not share this machine's files"))
                .hint(HINT)
        });
    }
    let below = |variable: &str, rest: &str| env::var_os(variable).map(|folder| PathBuf::from(folder).join(rest));
    let usual = PathBuf::from("/var/run/docker.sock");
    let others = [
        below("XDG_RUNTIME_DIR", ".docker/run/docker.sock"),
        below("HOME", ".docker/run/docker.sock"),
        below("HOME", ".docker/desktop/docker.sock"),
    ];
    let found = std::iter::once(usual.clone()).chain(others.into_iter().flatten()).find(|path| path.exists());
    Ok(found.unwrap_or(usual))
}

fn unreachable(socket: &Path, error: &io::Error) -> Error {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => Error::cannot_run(format!("no docker daemon: {socket} is not there")).hint(HINT),
        io::ErrorKind::ConnectionRefused => {
            Error::cannot_run(format!("no docker daemon: nobody listens at {socket}")).hint(HINT)
        }
        io::ErrorKind::PermissionDenied => Error::cannot_run(format!("{socket} may not be used by this user"))
            .hint("add the user to the group of the socket (usually `docker`), or take other services"),
        _ => Error::cannot_run(format!("connect to the docker daemon at {socket}: {error}")).hint(HINT),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_daemon_elsewhere_is_refused_because_it_does_not_share_files() {
        let error = socket(Some("tcp://127.0.0.1:2375".into())).unwrap_err();
        assert!(error.to_string().contains("does not share this machine's files"), "{error}");
        assert_eq!(socket(Some("unix:///run/mine.sock".into())).unwrap(), Path::new("/run/mine.sock"));
        assert!(socket(Some("".into())).is_ok(), "an empty variable says nothing");
    }

    #[tokio::test]
    async fn where_no_daemon_answers_the_error_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let said = async || Daemon::at(&path).await.unwrap_err().to_string();
        assert!(said().await.contains("is not there"));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(said().await.contains("nobody listens"));
        std::fs::remove_file(&path).unwrap();
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let begun = Instant::now();
        assert!(said().await.contains("does not answer within 2 s"));
        assert!(begun.elapsed() < 2 * ANSWER_DEADLINE, "{:?}", begun.elapsed());
    }
}
