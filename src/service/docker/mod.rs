//! Containers, through the crate `testcontainers`.
//!
//! A container is reached through a unix socket in a folder that it shares with this machine. It has no network and
//! publishes nothing: it reaches nothing, nobody else reaches it, and no port changes when it is started again.
//!
//! Everything is removed by hand. What a killed run leaves behind is found by its two labels.

mod container;
mod daemon;
mod image;
mod labels;
mod spec;

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use container::Container;
pub use daemon::Daemon;
pub use labels::{Labelled, Owner};
pub use spec::Spec;

use super::bounded::bounded;
use crate::error::{Context, Result};

/// Where a container sees the folder of its socket.
pub(super) const INSIDE: &str = "/dj-regress";

/// How long images may take to be removed, all together.
const REMOVAL_DEADLINE: Duration = Duration::from_mins(1);

/// Removes the images that we have made of others, where a daemon answers; gives their names, each with the error if it
/// could not be removed.
///
/// # Errors
///
/// Cannot run if the daemon cannot say which they are, or takes over a minute.
pub fn remove_made_images() -> Result<Vec<(String, Result<()>)>> {
    bounded(REMOVAL_DEADLINE, async {
        // Where there is no docker, there is nothing to remove.
        let Ok(daemon) = Daemon::connect().await else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        for image in daemon.made_images().await? {
            let result = daemon.remove_made_image(&image).await;
            removed.push((image, result));
        }
        Ok(removed)
    })
}

/// Makes a folder for the socket of a container and returns it: `<within>/<name>/s`. A container's own user, whoever
/// that is, can make its socket there, and this user can remove it; the folder around it is private.
///
/// # Errors
///
/// Cannot run if it cannot be made.
pub fn socket_folder(within: &Path, name: &str) -> Result<PathBuf> {
    let private = within.join(name);
    let open = private.join("s");
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(&private)?;
        fs::set_permissions(&private, Permissions::from_mode(0o700))?;
        fs::create_dir(&open)?;
        fs::set_permissions(&open, Permissions::from_mode(0o777))
    };
    make().cannot_run(|| format!("make {}", open.display()))?;
    Ok(open)
}
