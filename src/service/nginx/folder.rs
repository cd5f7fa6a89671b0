//! The folder of an nginx: where it writes what, and who may enter.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error, Result};
use crate::service::docker;

/// What it writes, below its folder.
pub(super) const SOCKET: &str = "http.sock";
pub(super) const CONTROL: &str = "control.sock";
pub(super) const ACCESS_LOG: &str = "access.log";
pub(super) const CACHE: &str = "cache";
pub(super) const TEMPORARY: &str = "temporary";
pub(super) const CONFIG: &str = "nginx.conf";

/// Makes the private folder, and in it one that is open to whoever nginx runs as; gives that.
pub(super) fn make_folder(folder: &Path) -> Result<PathBuf> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str())) else {
        return Err(Error::bug(format!("{} is no folder for nginx", folder.display())));
    };
    let open = docker::socket_folder(parent, name)?;
    // A container's root makes only files in them, which whoever owns the folder can remove.
    let make = |path: PathBuf| {
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o777))
    };
    [CACHE, TEMPORARY]
        .into_iter()
        .try_for_each(|name| make(open.join(name)))
        .cannot_run(|| format!("make folders in {}", open.display()))?;
    Ok(open)
}
