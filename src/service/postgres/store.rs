//! Data directories with templates, kept in the cache between runs.
//!
//! `postgres/<version>/current` is a link to a *generation*: a data directory of a server that was shut down cleanly.
//! A generation never changes. Runs that use one hold its lock shared; a run that has new templates publishes another
//! one and turns the link, and generations that nobody holds any more are removed. So no run ever waits for another,
//! nor sees a half-written one. At a start only what the server itself needs is copied: the files of a template follow
//! when it is first cloned.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::INITDB_OPTIONS;
use crate::cache::{Cache, lock};
use crate::error::{Context, Error, Result};
use crate::service::files::{Take, copy_folder};
use crate::service::locate::PostgresBinaries;
use crate::service::user::ServerUser;

/// Raise it when the set-up of the server changes.
const FORMAT: u32 = 2;

/// Another run copies its data directory meanwhile.
const PUBLISH_DEADLINE: Duration = Duration::from_mins(1);

const CURRENT: &str = "current";
const FACTS: &str = "facts.json";
const LOCK: &str = "lock";

/// The generations of one server version.
#[derive(Debug, Clone)]
pub(super) struct Store {
    root: PathBuf,
}

/// A data directory in the cache, held as long as this value lives.
#[derive(Debug)]
pub(super) struct Generation {
    path: PathBuf,
    facts: Facts,
    _lock: File,
}

/// The databases that a data directory holds when its run is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// Of the database `postgres`.
    pub postgres: u32,
    /// Of all others.
    pub others: Vec<u32>,
    /// The keys of the templates.
    pub templates: BTreeSet<String>,
}

/// What must be true of a generation: files cut short (after a power failure) are seen by it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Facts {
    postgres: u32,
    templates: BTreeSet<String>,
    /// Bytes of what is copied at a start.
    base: u64,
    /// Bytes of each other database, by its oid.
    databases: BTreeMap<u32, u64>,
}

impl Store {
    pub fn open(cache: &Cache, binaries: &PostgresBinaries) -> Result<Self> {
        let identity = format!("{FORMAT} {} {} {INITDB_OPTIONS:?}", binaries.version, binaries.folder.display());
        let hash = blake3::hash(identity.as_bytes()).to_hex();
        let root = cache.path(format!("postgres/{}-{}", binaries.major, &hash[..12]));
        fs::create_dir_all(&root).cannot_run(|| format!("make {}", root.display()))?;
        Ok(Self { root })
    }

    /// The newest generation, if there is one that nobody is removing. Waits for nobody: a server can be made without one.
    pub fn current(&self) -> Option<Generation> {
        // Between reading the link and the lock it may be replaced and removed.
        for _ in 0..8 {
            let path = self.root.join(fs::read_link(self.root.join(CURRENT)).ok()?);
            let Ok(lock) = File::open(path.join(LOCK)) else { continue };
            if lock.try_lock_shared().is_ok() && path.join(LOCK).exists() {
                let facts = serde_json::from_slice(&fs::read(path.join(FACTS)).ok()?).ok()?;
                return Some(Generation { path, facts, _lock: lock });
            }
        }
        None
    }

    /// Forgets the newest generation: it is damaged.
    pub fn discard(&self) {
        // If this fails, the next run discards it.
        let _ = fs::remove_file(self.root.join(CURRENT));
    }

    /// Makes the data directory of a stopped server the newest generation. Unless another run has published all its
    /// templates meanwhile.
    pub fn publish(&self, data: &Path, kept: &Kept, from: Option<&Generation>) -> Result<()> {
        let _lock = lock::file(&self.root.join("publish.lock"), PUBLISH_DEADLINE)?;
        let publish = || -> io::Result<()> {
            let newer = self.current().filter(|current| from.is_none_or(|from| from.path != current.path));
            if newer.is_some_and(|current| current.facts.templates.is_superset(&kept.templates)) {
                return Ok(());
            }
            self.remove_unused();
            let new = tempfile::Builder::new().prefix("new-").tempdir_in(&self.root)?;
            let facts = fill(&new.path().join("data"), data, kept, from)?;
            fs::write(new.path().join(FACTS), serde_json::to_vec_pretty(&facts)?)?;
            File::create(new.path().join(LOCK))?;
            // Its random name becomes the generation's.
            let random =
                new.path().file_name().unwrap_or_default().to_string_lossy().replacen("new-", "generation-", 1);
            fs::rename(new.path(), self.root.join(&random))?;
            let _ = new.keep();
            let link = self.root.join("current.new");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&random, &link)?;
            fs::rename(&link, self.root.join(CURRENT))?;
            self.remove_unused();
            Ok(())
        };
        publish().cannot_run(|| format!("keep the templates in {}", self.root.display()))
    }

    /// Removes generations that are neither the newest nor in use, and what a publisher that died left.
    fn remove_unused(&self) {
        let current = fs::read_link(self.root.join(CURRENT)).unwrap_or_default();
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_old = name.starts_with("generation-") && Path::new(&name) != current;
            if is_old && let Ok(lock) = File::open(entry.path().join(LOCK)) {
                if lock.try_lock().is_ok() {
                    // What cannot be removed now is tried again by the next publisher.
                    let _ = fs::remove_dir_all(entry.path());
                }
            } else if is_old || name.starts_with("new-") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Generation {
    /// Copies what the server needs to start.
    pub fn copy_base(&self, data: &Path, user: Option<&ServerUser>) -> Result<()> {
        // Made first, by initdb: `template1` and `template0`, from which all others are made.
        for (database, bytes) in self.facts.databases.iter().take(2) {
            let folder = self.path.join(format!("data/base/{database}"));
            if !has_bytes(&folder, *bytes) {
                return Err(Error::cannot_run(format!("{} is damaged", folder.display())));
            }
        }
        let copied = copy_folder(&self.path.join("data"), data, user, &|path| essential(path, self.facts.postgres));
        self.check(copied.cannot_run(|| format!("copy {}", self.path.display()))?, self.facts.base)
    }

    /// Copies the files of a database, if it was made by an earlier run and is not there yet.
    pub fn fetch(&self, database: u32, data: &Path, user: Option<&ServerUser>) -> Result<()> {
        let target = data.join(format!("base/{database}"));
        if target.exists() {
            return Ok(());
        }
        let Some(bytes) = self.facts.databases.get(&database) else {
            return Err(Error::cannot_run(format!("{} has no files of database {database}", self.path.display())));
        };
        let source = self.path.join(format!("data/base/{database}"));
        let copied = copy_folder(&source, &target, user, &|_| Take::Copy);
        let copied = copied.cannot_run(|| format!("copy {}", source.display()));
        copied.and_then(|copied| self.check(copied, *bytes)).inspect_err(|_| {
            // What is there of it would be taken for the whole.
            let _ = fs::remove_dir_all(&target);
        })
    }

    fn check(&self, copied: u64, expected: u64) -> Result<()> {
        if copied == expected {
            return Ok(());
        }
        Err(Error::cannot_run(format!("{} is damaged: {copied} bytes, {expected} expected", self.path.display())))
    }
}

/// What a server needs to start: all but the files of other databases than `postgres`, and of what a server that has
/// stopped leaves behind.
fn essential(path: &Path, postgres: u32) -> Take {
    match path.to_str() {
        Some("postmaster.pid" | "postmaster.opts" | "base/pgsql_tmp") => Take::Skip,
        Some("pg_stat_tmp" | "pg_dynshmem") => Take::Empty,
        Some(path) => match path.strip_prefix("base/").map(str::parse::<u32>) {
            Some(Ok(database)) if database != postgres => Take::Skip,
            _ => Take::Copy,
        },
        None => Take::Copy,
    }
}

fn fill(to: &Path, data: &Path, kept: &Kept, from: Option<&Generation>) -> io::Result<Facts> {
    let base = copy_folder(data, to, None, &|path| essential(path, kept.postgres))?;
    let mut databases = BTreeMap::new();
    for database in &kept.others {
        let relative = format!("base/{database}");
        let target = to.join(&relative);
        // Nobody writes to a database that was kept before: it stays the same files.
        let before = from.and_then(|from| Some((from, *from.facts.databases.get(database)?)));
        let bytes = match before {
            Some((from, bytes)) => {
                let source = from.path.join("data").join(&relative);
                if !has_bytes(&source, bytes) {
                    // Damaged: it is made anew when it is wanted.
                    continue;
                }
                if link_folder(&source, &target).is_err() {
                    let _ = fs::remove_dir_all(&target);
                    copy_folder(&source, &target, None, &|_| Take::Copy)?;
                }
                bytes
            }
            None => copy_folder(&data.join(&relative), &target, None, &|_| Take::Copy)?,
        };
        databases.insert(*database, bytes);
    }
    Ok(Facts { postgres: kept.postgres, templates: kept.templates.clone(), base, databases })
}

/// Whether the files of a database are all there.
fn has_bytes(folder: &Path, expected: u64) -> bool {
    let sizes = |entries: fs::ReadDir| entries.map(|entry| entry?.metadata().map(|file| file.len())).sum();
    fs::read_dir(folder).and_then(sizes).is_ok_and(|found: u64| found == expected)
}

fn link_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::hard_link(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
