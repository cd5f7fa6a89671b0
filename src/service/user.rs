//! Whom servers run as: Postgres refuses to run as root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

/// The user `nobody` of every Linux, where no user of that name is known.
const NOBODY: u32 = 65534;

/// A user that servers run as instead of root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUser {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub user: u32,
    /// Its group id.
    pub group: u32,
}

impl ServerUser {
    /// Whom Postgres runs as: nobody in particular (`None`: whoever we are) unless we are root.
    pub fn find() -> Option<Self> {
        if !Uid::effective().is_root() {
            return None;
        }
        let named = |name: &str| User::from_name(name).ok().flatten();
        match named("postgres").or_else(|| named("nobody")) {
            Some(user) => Some(Self { name: user.name, user: user.uid.as_raw(), group: user.gid.as_raw() }),
            None => Some(Self { name: "nobody".to_owned(), user: NOBODY, group: NOBODY }),
        }
    }

    /// Whether it can read this file or list this folder, and pass every folder above.
    pub fn can_read(&self, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        let end = if path.is_dir() { 0o5 } else { 0o4 };
        self.is_allowed(&path, end) && path.parent().is_none_or(|parent| self.can_enter(parent))
    }

    /// Whether it can pass this folder and every folder above.
    pub fn can_enter(&self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else { return false };
        folder.ancestors().all(|part| self.is_allowed(part, 0o1))
    }

    fn is_allowed(&self, path: &Path, needed: u32) -> bool {
        let Ok(metadata) = path.metadata() else { return false };
        let shift = if metadata.uid() == self.user {
            6
        } else if metadata.gid() == self.group {
            3
        } else {
            0
        };
        metadata.mode() >> shift & needed == needed
    }
}
