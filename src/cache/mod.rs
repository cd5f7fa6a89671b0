//! The cache folder: what is kept between runs and may be deleted at any time.

mod folders;
pub mod lock;
mod ownership;
mod removal;
mod room;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub use folders::VARIABLE;
pub use room::free;

use self::folders::FOLDERS;
use self::lock::Hold;
use self::ownership::Links;
use crate::deadline;
use crate::error::{Context, Error, Result};

/// The mode of most files.
pub const USUAL_MODE: u32 = 0o644;

/// The cache folder of this user. While one is open, `clean` leaves it alone.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    _in_use: Arc<File>,
}

impl Cache {
    /// Opens (and makes) the cache at [`Cache::location`].
    ///
    /// # Errors
    ///
    /// As [`Cache::location`] and [`Cache::at`].
    pub fn open() -> Result<Self> {
        Self::at(&Self::location()?)
    }

    /// Where the cache of this user is: `$DJ_REGRESS_CACHE`, else `$XDG_CACHE_HOME/dj-regress`, else
    /// `~/.cache/dj-regress`.
    ///
    /// # Errors
    ///
    /// Cannot run if there is no home directory, and no variable names a folder.
    pub fn location() -> Result<PathBuf> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set(VARIABLE)
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("dj-regress")))
            .or_else(|| env::home_dir().map(|home| home.join(".cache/dj-regress")))
            .ok_or_else(|| {
                Error::cannot_run("no cache folder: there is no home directory")
                    .hint(format!("set {VARIABLE} to a folder that can be written to"))
            })
    }

    /// Opens (and makes) the cache at this folder.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be made or written to, holds anything else than a cache, or others can write to it.
    pub fn at(root: &Path) -> Result<Self> {
        let cannot = |error: io::Error| {
            let why = Error::file_in_the_way(root).map_or_else(|| error.to_string(), |file| file.message);
            Error::cannot_run(format!("cannot write to the cache folder {}: {why}", root.display()))
                .hint(format!("set {VARIABLE} to a folder that can be written to"))
        };
        loop {
            make_folder(root).map_err(cannot)?;
            let root = root.canonicalize().map_err(cannot)?;
            ownership::check_place(&root)?;
            ownership::check_private(&root)?;
            let is_marked = ownership::is_marked(&root);
            if !is_marked && let Some(other) = ownership::other_content(&root, Links::AreFollowed).map_err(cannot)? {
                let message =
                    format!("{} is not a cache of dj-regress: it holds `{}`", root.display(), other.display());
                return Err(
                    Error::cannot_run(message).hint(format!("set {VARIABLE} to a new folder, or to an empty one"))
                );
            }
            let prepare = || -> io::Result<()> {
                make_folder(&root.join("locks"))?;
                // A folder may exist and yet be read-only.
                tempfile::tempfile_in(root.join("locks"))?;
                if is_marked { Ok(()) } else { ownership::mark(&root) }
            };
            prepare().map_err(cannot)?;
            if let Some(file) = in_use(&root.join(ownership::MARKER), cannot)? {
                return Ok(Self { root, _in_use: Arc::new(file) });
            }
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the cache; nothing is made.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        let relative = relative.as_ref();
        debug_assert!(
            FOLDERS.iter().any(|(known, _)| relative.starts_with(known)),
            "`clean` does not know {}",
            relative.display()
        );
        self.root.join(relative)
    }

    /// Waits until no other run holds the lock of this name, and holds it until the file is dropped.
    ///
    /// # Errors
    ///
    /// Cannot run if the lock file cannot be made, or somebody holds it for too long.
    pub fn lock(&self, name: &str) -> Result<File> {
        lock::file(&self.root.join("locks").join(name.replace('/', "-")), deadline::turn())
    }

    /// The cached directory of this name; if there is none yet, `build` fills a new one, which appears under its name
    /// only when `build` succeeded. Two runs that want the same directory build it once: the second waits.
    ///
    /// # Errors
    ///
    /// Those of `build`; cannot run if the cache cannot be written to.
    pub fn directory(&self, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.path(name);
        if path.is_dir() {
            return Ok(path);
        }
        let _lock = self.lock(name)?;
        if path.is_dir() {
            return Ok(path);
        }
        let parent = path.parent().unwrap_or(&self.root);
        let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
        make_folder(parent).cannot_run(|| format!("make {}", parent.display()))?;
        remove_siblings(parent, &prefix);
        let needed = FOLDERS.iter().find(|(known, _)| Path::new(name).starts_with(known)).map_or(0, |(_, size)| *size);
        room::check(parent, needed)?;
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent)
            .cannot_run(|| format!("make a folder in {}", parent.display()))?;
        room::explain(build(temporary.path()), parent, needed)?;
        fs::rename(temporary.path(), &path).cannot_run(|| format!("make {}", path.display()))?;
        // It has moved: there is nothing left to remove.
        let _ = temporary.keep();
        Ok(path)
    }

    /// The cached directory that holds exactly these files, by their path below it; named by their content, so that the
    /// same files are there once and changed ones never meet the bytecode of others. `mode` says what each may be used for.
    ///
    /// # Errors
    ///
    /// Cannot run if the cache cannot be written to.
    pub fn content(
        &self,
        what: &str,
        files: &BTreeMap<String, Vec<u8>>,
        mode: impl Fn(&str) -> u32,
    ) -> Result<PathBuf> {
        let mut special = String::new();
        for (file, mode) in files.keys().map(|file| (file, mode(file))).filter(|(_, mode)| *mode != USUAL_MODE) {
            // Writing to a string cannot fail.
            let _ = writeln!(special, "{mode:o} {file}");
        }
        let modes = (!special.is_empty()).then_some(("\n", special.as_bytes()));
        let contents = files.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice()));
        let id = &digest(contents.chain(modes))[..16];
        self.directory(&format!("{what}/{id}"), |folder| {
            for (file, bytes) in files {
                // The folder is new: whatever is there already, or leads out of it, was not asked for.
                if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
                    return Err(Error::bug(format!("a copy would be written to {file}")));
                }
                let path = folder.join(file);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).cannot_run(|| format!("make {}", parent.display()))?;
                }
                // Whatever the caller's umask is.
                let written = File::create_new(&path).and_then(|mut new| {
                    new.write_all(bytes)?;
                    new.set_permissions(fs::Permissions::from_mode(mode(file)))
                });
                written.cannot_run(|| format!("write {}", path.display()))?;
            }
            Ok(())
        })
    }
}

/// BLAKE3 in hex over files in the order given: for each its path, a zero byte, its length as 8 bytes little endian, its
/// bytes. Workers compute [`Fingerprint::hash`](dj_regress_protocol::Fingerprint) in the same way.
pub fn digest<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (file, bytes) in files {
        hasher.update(file.as_bytes()).update(&[0]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// Makes a folder to which nobody else can write, whatever the umask is.
fn make_folder(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if !path.is_dir() => Err(error),
        _ => Ok(()),
    }
}

/// The marker, held so that `clean` leaves the cache alone; nothing if the cache was removed meanwhile.
fn in_use(marker: &Path, cannot: impl Fn(io::Error) -> Error) -> Result<Option<File>> {
    let file = match File::open(marker) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(cannot)?,
    };
    lock::within(&file, marker, Hold::Shared, deadline::turn())?;
    let is_still_there =
        fs::metadata(marker).is_ok_and(|found| file.metadata().is_ok_and(|ours| ours.ino() == found.ino()));
    Ok(is_still_there.then_some(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_same_content_share_a_folder_and_any_change_has_its_own() {
        let root = tempfile::tempdir().expect("a temp folder");
        let cache = Cache::at(root.path()).expect("a cache");
        let mut files =
            BTreeMap::from([("app/a.py".to_owned(), b"x = 1\n".to_vec()), ("app/t.html".to_owned(), b"<p>".to_vec())]);
        let content = |files: &BTreeMap<_, _>| cache.content("overlays", files, |_| USUAL_MODE).expect("a folder");
        let before = content(&files);
        assert_eq!(fs::read(before.join("app/a.py")).expect("a file"), b"x = 1\n");
        assert_eq!(content(&files), before);
        files.insert("app/t.html".to_owned(), b"<b>".to_vec());
        assert_ne!(content(&files), before);
        let secret = cache.content("overlays", &files, |file| if file == "app/a.py" { 0o600 } else { USUAL_MODE });
        let secret = secret.expect("a folder");
        assert_ne!(secret, content(&files));
        let mode = |file: &str| fs::metadata(secret.join(file)).expect("a file").permissions().mode() & 0o7777;
        assert_eq!((mode("app/a.py"), mode("app/t.html")), (0o600, USUAL_MODE));
    }
}
