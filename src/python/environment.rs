//! Environments: one virtual environment per package set, cached by the hash of its lock.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::intact::{self, Extent};
use super::lock::{self, Lock, Locks};
use super::uv::{Resolution, Uv};
use crate::cache::Cache;
use crate::case::Take;
use crate::error::{Context as _, Error, Result};
use crate::service::program;

/// What the harness needs in every environment, beside the packages of the case.
const HARNESS: &str = include_str!("../../harness/worker/requirements.txt");

/// Raise it when what is kept beside the packages changes: 2 came with the note of what there is, 3 with copies.
pub(super) const FORMAT: u32 = 3;

/// A virtual environment that is ready to use. Its files are nobody else's: none is a link into uv's cache. Never edited
/// even so, as all runs share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Environment {
    /// Hash of lock and interpreter; names it in the cache.
    pub id: String,
    /// The environment's `python`.
    pub python: PathBuf,
    /// Its `site-packages`.
    pub site_packages: PathBuf,
}

impl Environment {
    /// `platform.python_version()`, as the environment's own file says it.
    pub fn python_version(&self) -> String {
        let folder = self.python.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        let configuration = fs::read_to_string(folder.join("pyvenv.cfg")).unwrap_or_default();
        let version = configuration.lines().find_map(|line| line.strip_prefix("version_info"));
        version.map_or_else(|| "?".to_owned(), |version| version.trim_start_matches([' ', '=']).trim().to_owned())
    }
}

/// What came of making an environment. A failure is kept as well: every arm asks, and an index that does not answer
/// must be waited for once only.
pub(super) type Slot = Arc<Mutex<Option<Result<Environment>>>>;

/// Told, in words, before something slow is made.
pub type Announce = Box<dyn Fn(String) + Send + Sync>;

/// Makes environments and unpacks wheels, each once.
pub struct Environments {
    pub(super) cache: Cache,
    locks: Locks,
    /// The interpreter that cases without a pin of their own use: a version or a path.
    pub(super) python: Option<String>,
    uv: OnceLock<Uv>,
    pub(super) announce: Announce,
    pub(super) made: Mutex<HashMap<String, Slot>>,
}

impl Environments {
    /// Environments in `cache`, from `locks`.
    pub fn new(cache: Cache, locks: Locks, python: Option<String>, announce: Announce) -> Self {
        Self { cache, locks, python, announce, uv: OnceLock::new(), made: Mutex::default() }
    }

    pub(super) fn uv(&self) -> Result<Uv> {
        if let Some(uv) = self.uv.get() {
            return Ok(uv.clone());
        }
        let uv = Uv::find(&self.cache)?;
        Ok(self.uv.get_or_init(|| uv).clone())
    }

    /// The environment with these packages (distribution -> version) and a Python; blocks while it is made.
    pub fn get(&self, packages: &IndexMap<String, String>, python: Option<&str>) -> Result<Environment> {
        let python = python.map(str::to_owned).or_else(|| self.python.clone());
        let name = lock::name(packages)?;
        let slot = {
            let mut made = self.made.lock();
            made.entry(format!("{name} {python:?}")).or_default().clone()
        };
        let mut slot = slot.lock();
        slot.get_or_insert_with(|| self.locked(&name, packages, python.as_deref())).clone()
    }

    fn locked(&self, name: &str, packages: &IndexMap<String, String>, python: Option<&str>) -> Result<Environment> {
        let mut requirements = packages
            .iter()
            .map(|(package, release)| lock::requirement(package, release))
            .collect::<Result<Vec<String>>>()?;
        requirements.sort();
        requirements.extend(harness().map(str::to_owned));
        let lock = self.locks.get(name, &requirements, self.locks.resolution(python), &|| self.uv())?;
        if !lock.holds("django")? {
            let wanted: Vec<&str> = packages.keys().map(String::as_str).collect();
            let message = format!("the packages of the case do not bring Django: {}", wanted.join(", "));
            return Err(Error::usage(message).hint("name a release of it: `packages: {django: 5.2.*}`"));
        }
        self.make(&lock, python)
    }

    fn make(&self, lock: &Lock, python: Option<&str>) -> Result<Environment> {
        let identity = format!("{FORMAT} {} {}", lock.hash, interpreter_identity(python));
        let id = blake3::hash(identity.as_bytes()).to_hex()[..16].to_owned();
        let name = format!("environments/{id}");
        let folder = self.cache.path(&name);
        if folder.is_dir()
            && let Some(why) = damage(&folder)
        {
            (self.announce)(format!("the environment {} is damaged and is made again: {why}", folder.display()));
            intact::discard(&self.cache, &name, |folder| damage(folder).is_some())?;
        }
        let folder = self.cache.directory(&name, |folder| {
            (self.announce)(format!("installing {} (once)", lock.name()));
            let uv = self.uv()?;
            uv.environment(folder, python, &lock.path)?;
            if let Some(file) = intact::unlike_its_record(&site_packages(folder)?) {
                (self.announce)(format!("{} is damaged in uv's cache: installing without it", file.display()));
                uv.reinstall(folder, &lock.path)?;
            }
            Extent::note(folder)
        })?;
        let site_packages = site_packages(&folder)?;
        Ok(Environment { id, python: folder.join("bin/python"), site_packages })
    }

    /// The unpacked wheel of another release: the folder that holds its packages.
    pub fn wheel(&self, take: &Take) -> Result<PathBuf> {
        let requirements = [lock::requirement(&take.package, &take.version)?];
        let name = format!("{}.wheel", lock::name([(&take.package, &take.version)])?);
        let lock = self.locks.get(&name, &requirements, Resolution::Alone, &|| self.uv())?;
        let id = blake3::hash(format!("{FORMAT} {}", lock.hash).as_bytes()).to_hex();
        let name = format!("wheels/{}", &id[..16]);
        let damaged = |folder: &Path| Extent::damage(folder).is_some();
        let folder = self.cache.path(&name);
        if folder.is_dir() && damaged(&folder) {
            intact::discard(&self.cache, &name, damaged)?;
        }
        self.cache.directory(&name, |folder| {
            self.uv()?.unpack(folder, &lock.path)?;
            Extent::note(folder)
        })
    }
}

/// What is wrong with an environment, if anything.
pub(super) fn damage(folder: &Path) -> Option<String> {
    let python = folder.join("bin/python");
    if !python.is_file() {
        return Some(match fs::read_link(&python) {
            Ok(target) => format!("its interpreter {} is gone", target.display()),
            Err(_) => "it has no interpreter".to_owned(),
        });
    }
    Extent::damage(folder)
}

/// Tells two interpreters apart without starting them: what was asked, and where that leads.
fn interpreter_identity(python: Option<&str>) -> String {
    let found = program(python.unwrap_or("python3"));
    let path = found.and_then(|path| fs::canonicalize(path).ok());
    format!("{python:?} {path:?} {:?}", std::env::var_os("PYENV_VERSION"))
}

fn harness() -> impl Iterator<Item = &'static str> {
    HARNESS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

pub(super) fn site_packages(environment: &Path) -> Result<PathBuf> {
    let lib = environment.join("lib");
    fs::read_dir(&lib)
        .cannot_run(|| format!("look into {}", lib.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages")))
        .find(|path| path.is_dir())
        .ok_or_else(|| {
            Error::cannot_run(format!("no site-packages below {}", lib.display()))
                .hint("`dj-regress clean --cache` empties the cache")
        })
}
