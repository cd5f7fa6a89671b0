//! The images that servers are made from, and the daemon that has them.

use std::time::Duration;

use tokio::time::timeout;

use super::choice::{Place, ServiceChoice};
use super::docker::Daemon;
use crate::error::{Error, Result};

/// The images of Postgres that are taken where a case names none: the official one, else one of `harness/images/build`,
/// which has the version of the machine that made it.
pub(super) const POSTGRES_IMAGES: &[&str] = &[
    "postgres:17",
    "dj-regress/postgres:18",
    "dj-regress/postgres:17",
    "dj-regress/postgres:16",
    "dj-regress/postgres:15",
    "dj-regress/postgres:14",
    "dj-regress/postgres:13",
];

/// The same of Redis.
pub(super) const REDIS_IMAGES: &[&str] = &["redis:7", "dj-regress/redis:8", "dj-regress/redis:7", "dj-regress/redis:6"];

/// The same of nginx.
pub(super) const NGINX_IMAGES: &[&str] = &["nginx:1", "dj-regress/nginx:1"];

/// How long images may take to be pulled where nobody has asked for docker.
pub(super) const PULL_DEADLINE: Duration = Duration::from_mins(1);

/// The daemon that services are taken from where nobody has said from where: one that answers and has our images, or can
/// have them.
pub(super) async fn usable_daemon(notes: &mut Vec<String>) -> Option<Daemon> {
    // Most machines have none: that is no news.
    let daemon = Daemon::connect().await.ok()?;
    let images = async {
        image(&daemon, None, POSTGRES_IMAGES).await?;
        image(&daemon, None, REDIS_IMAGES).await
    };
    let found = timeout(PULL_DEADLINE, images).await;
    match found.unwrap_or_else(|_| Err(Error::cannot_run(format!("no image within {} s", PULL_DEADLINE.as_secs())))) {
        Ok(_) => Some(daemon),
        Err(error) => {
            notes.push(format!("docker answers, but {}", error.message));
            None
        }
    }
}

/// What is in an image of ours or an official one, by its tag: `Redis 7`.
pub(super) fn of_image(name: &str, image: &str) -> String {
    format!("{name} {}", image.rsplit_once(':').map_or(image, |(_, tag)| tag))
}

/// Where a run that names no place takes its servers from, in words; installs, pulls and starts nothing.
pub(super) async fn of_auto(choice: &ServiceChoice) -> String {
    match (choice.place, &choice.postgres_url) {
        (Some(Place::External) | None, Some(url)) => return format!("{}: {url}", Place::External),
        (Some(place), _) => return format!("{place}, as the environment says"),
        (None, None) => {}
    }
    let Ok(daemon) = Daemon::connect().await else { return format!("{}: no docker daemon answers", Place::Local) };
    let mut found = Vec::new();
    for (name, images) in [("Postgres", POSTGRES_IMAGES), ("Redis", REDIS_IMAGES)] {
        let mut is_there = None;
        for image in images {
            if is_there.is_none() && daemon.has_image(image).await.unwrap_or(false) {
                is_there = Some(*image);
            }
        }
        let Some(image) = is_there else {
            let (docker, local) = (Place::Docker, Place::Local);
            return format!("{docker}, if {} can be pulled (no image of {name} is here); else {local}", images[0]);
        };
        found.push(image);
    }
    format!("{} ({}); `--services local` takes the programs above", Place::Docker, found.join(", "))
}

/// The image that a case names, else the first of these that is there, else the first, pulled.
pub(super) async fn image(daemon: &Daemon, wanted: Option<&str>, known: &[&str]) -> Result<String> {
    if let Some(wanted) = wanted {
        return Ok(wanted.to_owned());
    }
    for image in known {
        if daemon.has_image(image).await? {
            return Ok((*image).to_owned());
        }
    }
    daemon.pull(known[0]).await?;
    Ok(known[0].to_owned())
}
