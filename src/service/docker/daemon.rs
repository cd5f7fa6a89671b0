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
use testcontainers::bollard::models::{ContainerSummary, ImageInspect};
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
};
use testcontainers::bollard::{API_DEFAULT_VERSION, Docker};
use testcontainers::core::Mount;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Container;
use crate::error::{Context, Error, Result};

/// For a daemon that is there, to say so.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// For any other request; a container takes a second where the machine is busy.
const REQUEST_DEADLINE: Duration = Duration::from_mins(2);

/// The labels of every container.
const RUN: &str = "dj-regress.run";
const TOKEN: &str = "dj-regress.token";

/// The label of images that we have made: of which.
pub(super) const MADE: &str = "dj-regress.made";

/// What to do where there is no daemon to use.
const HINT: &str = "start docker, set DOCKER_HOST to its unix socket, or take other services";

/// A daemon that answers and shares this machine's files.
#[derive(Debug, Clone)]
pub struct Daemon {
    docker: Docker,
    version: String,
    /// How many containers were named.
    named: Arc<AtomicU32>,
}

/// Whose containers they are: the run, and a secret of its own, so that no other run's name is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The id of the run.
    pub run: String,
    /// What only this run (and who sweeps it) knows.
    pub token: String,
}

/// A container to be run. It has no network, and a tmpfs over every volume that its image declares.
#[derive(Debug, Clone)]
pub struct Spec<'a> {
    /// What it is, for its name.
    pub role: &'a str,
    /// Whose it is.
    pub owner: &'a Owner,
    /// `name:tag` or `name@sha256:digest`; pulled if it is not there.
    pub image: &'a str,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// Arguments of its entrypoint.
    pub arguments: Vec<String>,
    /// Folders of this machine, and where the container sees them.
    pub folders: Vec<(PathBuf, String)>,
    /// Further places that hold a tmpfs; what is in one is gone when the container stops.
    pub tmpfs: Vec<String>,
    /// The user inside; without one the image's own.
    pub user: Option<String>,
    /// Size of `/dev/shm` in bytes; docker gives 64 MB.
    pub shared_memory: Option<u64>,
}

/// A container of some run of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it says it is.
    pub owner: Owner,
}

impl<'a> Spec<'a> {
    /// With nothing but an image.
    pub fn new(role: &'a str, owner: &'a Owner, image: &'a str) -> Self {
        Self {
            role,
            owner,
            image,
            environment: Vec::new(),
            arguments: Vec::new(),
            folders: Vec::new(),
            tmpfs: Vec::new(),
            user: None,
            shared_memory: None,
        }
    }
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

    /// Whether it has an image.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be asked.
    pub async fn has_image(&self, image: &str) -> Result<bool> {
        Ok(self.find_image(image).await?.is_some())
    }

    /// Makes it have an image: pulled if it is not there.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be pulled.
    pub async fn pull(&self, image: &str) -> Result<()> {
        self.image(image).await.map(|_| ())
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

    /// The images that we have made of others: initialised data directories. They are kept between runs.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon cannot be asked.
    pub async fn made_images(&self) -> Result<Vec<String>> {
        let filters = HashMap::from([("label".to_owned(), vec![MADE.to_owned()])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let images = self.docker.list_images(Some(options)).await.cannot_run(|| "list docker's images".to_owned())?;
        Ok(images.into_iter().map(|image| image.repo_tags.into_iter().next().unwrap_or(image.id)).collect())
    }

    /// Removes an image that we have made.
    ///
    /// # Errors
    ///
    /// Cannot run if it is used, or is none of ours.
    pub async fn remove_made_image(&self, image: &str) -> Result<()> {
        let doing = || format!("remove the image {image}");
        let labels = self.find_image(image).await?.and_then(|found| found.config?.labels).unwrap_or_default();
        if !labels.contains_key(MADE) {
            return Err(Error::bug(format!("{image} is none of ours")));
        }
        self.docker.remove_image(image, None::<RemoveImageOptions>, None).await.cannot_run(doing)?;
        Ok(())
    }

    /// What is known of an image, pulled if it is not there.
    pub(super) async fn image(&self, image: &str) -> Result<ImageInspect> {
        if let Some(found) = self.find_image(image).await? {
            return Ok(found);
        }
        if let Err(error) = generic(image).pull_image().await {
            let hint = "pull it by hand where a registry can be reached, or make one with harness/images/build";
            let message = format!("the image {image} is not there and cannot be pulled: {error}");
            return Err(Error::cannot_run(message).hint(hint));
        }
        self.find_image(image).await?.ok_or_else(|| Error::cannot_run(format!("{image} was pulled, but is not there")))
    }

    async fn find_image(&self, image: &str) -> Result<Option<ImageInspect>> {
        match self.docker.inspect_image(image).await {
            Ok(found) => Ok(Some(found)),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error).cannot_run(|| format!("look for the image {image}")),
        }
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

impl Labelled {
    fn of(found: ContainerSummary) -> Option<Self> {
        let mut labels = found.labels?;
        let owner = Owner { run: labels.remove(RUN)?, token: labels.remove(TOKEN)? };
        let name = found.names?.into_iter().next()?;
        Some(Self { id: found.id?, name: name.trim_start_matches('/').to_owned(), owner })
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

fn generic(image: &str) -> GenericImage {
    // A tag's colon comes after the last slash, and a digest's `name@sha256:...` is split as well as `name:tag`.
    let file = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[file..].rfind(':') {
        Some(colon) => GenericImage::new(&image[..file + colon], &image[file + colon + 1..]),
        None => GenericImage::new(image, "latest"),
    }
}

fn request(spec: &Spec<'_>, name: &str, volumes: &[String]) -> ContainerRequest<GenericImage> {
    let mut request = generic(spec.image)
        .with_container_name(name)
        .with_label(RUN, &spec.owner.run)
        .with_label(TOKEN, &spec.owner.token)
        .with_cmd(spec.arguments.iter().cloned())
        // Not `with_network`, which asks for the list of networks first.
        .with_host_config_modifier(|config| {
            config.network_mode = Some("none".to_owned());
            config.publish_all_ports = None;
        });
    for (variable, value) in &spec.environment {
        request = request.with_env_var(variable, value);
    }
    for (here, there) in &spec.folders {
        request = request.with_mount(Mount::bind_mount(here.to_string_lossy(), there));
    }
    let is_covered = |place: &&String| spec.folders.iter().all(|(_, there)| there != *place);
    for place in volumes.iter().filter(is_covered).chain(&spec.tmpfs) {
        request = request.with_mount(Mount::tmpfs_mount(place));
    }
    if let Some(user) = &spec.user {
        request = request.with_user(user);
    }
    match spec.shared_memory {
        Some(bytes) => request.with_shm_size(bytes),
        None => request,
    }
}

fn refused(spec: &Spec<'_>, said: &str) -> Error {
    if said.contains("bind source path does not exist") {
        return Error::cannot_run(format!("the docker daemon does not share this machine's files: {said}"))
            .hint("containers are reached through a folder of this machine: use a daemon of this machine");
    }
    Error::cannot_run(format!("run a container of {}: {said}", spec.image))
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

    #[test]
    fn names_of_images_are_split_at_their_tag_or_digest() {
        for (image, whole) in [
            ("redis", "redis:latest"),
            ("redis:7", "redis:7"),
            ("localhost:5000/redis", "localhost:5000/redis:latest"),
            ("localhost:5000/redis:7", "localhost:5000/redis:7"),
            ("redis@sha256:0123", "redis@sha256:0123"),
        ] {
            assert_eq!(ContainerRequest::from(generic(image)).descriptor(), whole);
        }
    }
}
