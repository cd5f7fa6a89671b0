//! The cache folder: what is kept between runs and may be deleted at any time.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// The variable that names the cache folder.
pub const VARIABLE: &str = "DJ_REGRESS_CACHE";

/// The cache folder of this user.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens (and makes) `$DJ_REGRESS_CACHE`, else `$XDG_CACHE_HOME/dj-regress`, else `~/.cache/dj-regress`.
    ///
    /// # Errors
    ///
    /// Cannot run if there is no such folder and none can be made, or it cannot be written to.
    pub fn open() -> Result<Self> {
        let given = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = given(VARIABLE)
            .or_else(|| given("XDG_CACHE_HOME").map(|folder| folder.join("dj-regress")))
            .or_else(|| env::home_dir().map(|home| home.join(".cache/dj-regress")));
        match root {
            Some(root) => Self::at(&root),
            None => Err(Error::cannot_run("no cache folder: there is no home directory")
                .hint(format!("set {VARIABLE} to a folder that can be written to"))),
        }
    }

    /// Opens (and makes) the cache at this folder.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be made or written to.
    pub fn at(root: &Path) -> Result<Self> {
        let prepare = || -> std::io::Result<PathBuf> {
            fs::create_dir_all(root.join("locks"))?;
            let root = root.canonicalize()?;
            // A folder may exist and yet be read-only.
            tempfile::tempfile_in(root.join("locks"))?;
            Ok(root)
        };
        match prepare() {
            Ok(root) => Ok(Self { root }),
            Err(error) => {
                Err(Error::cannot_run(format!("cannot write to the cache folder {}: {error}", root.display()))
                    .hint(format!("set {VARIABLE} to a folder that can be written to")))
            }
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the cache; nothing is made.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Waits until no other run holds the lock of this name, and holds it until the file is dropped.
    ///
    /// # Errors
    ///
    /// Cannot run if the lock file cannot be made.
    pub fn lock(&self, name: &str) -> Result<File> {
        let path = self.root.join("locks").join(name.replace('/', "-"));
        let lock = || -> std::io::Result<File> {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().cannot_run(|| format!("lock {}", path.display()))
    }

    /// The cached directory of this name; if there is none yet, `build` fills a new one, which appears under its name
    /// only when `build` succeeded. Two runs that want the same directory build it once: the second waits.
    ///
    /// # Errors
    ///
    /// Those of `build`; cannot run if the cache cannot be written to.
    pub fn directory(&self, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.root.join(name);
        if path.is_dir() {
            return Ok(path);
        }
        let _lock = self.lock(name)?;
        if path.is_dir() {
            return Ok(path);
        }
        let parent = path.parent().unwrap_or(&self.root);
        let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
        fs::create_dir_all(parent).cannot_run(|| format!("make {}", parent.display()))?;
        remove_siblings(parent, &prefix);
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent)
            .cannot_run(|| format!("make a folder in {}", parent.display()))?;
        build(temporary.path())?;
        fs::rename(temporary.path(), &path).cannot_run(|| format!("make {}", path.display()))?;
        // It has moved: there is nothing left to remove.
        let _ = temporary.keep();
        Ok(path)
    }
}

/// Removes what builders that died left behind; called with their lock held.
fn remove_siblings(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            // Only a leftover: if it cannot be removed now, the next build tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
