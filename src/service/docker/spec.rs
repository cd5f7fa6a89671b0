//! A container to be run, and how the daemon is asked for it.

use std::path::PathBuf;

use testcontainers::core::Mount;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use super::labels::{Owner, RUN, TOKEN};
use crate::clock::Preload;
use crate::error::Error;

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

    /// With a clock.
    #[must_use]
    pub fn preload(mut self, clock: Option<&Preload>) -> Self {
        if let Some(clock) = clock {
            let variables = clock.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            self.environment.extend(variables);
            self.folders.push((clock.folder.clone(), clock.folder.display().to_string()));
        }
        self
    }
}

/// An image by its name.
pub(super) fn generic(image: &str) -> GenericImage {
    // A tag's colon comes after the last slash, and a digest's `name@sha256:...` is split as well as `name:tag`.
    let file = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[file..].rfind(':') {
        Some(colon) => GenericImage::new(&image[..file + colon], &image[file + colon + 1..]),
        None => GenericImage::new(image, "latest"),
    }
}

/// What testcontainers is asked for; `volumes` are those that the image declares.
pub(super) fn request(spec: &Spec<'_>, name: &str, volumes: &[String]) -> ContainerRequest<GenericImage> {
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

/// An error with what to do.
pub(super) fn refused(spec: &Spec<'_>, said: &str) -> Error {
    if said.contains("bind source path does not exist") {
        return Error::cannot_run(format!("the docker daemon does not share this machine's files: {said}"))
            .hint("containers are reached through a folder of this machine: use a daemon of this machine");
    }
    Error::cannot_run(format!("run a container of {}: {said}", spec.image))
}

#[cfg(test)]
mod tests {
    use super::*;

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
