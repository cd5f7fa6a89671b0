//! The private folder of one run: sockets, data directories, logs. On tmpfs where there is enough room.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::{AccessFlags, Uid, access};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::address::{PostgresUrl, RedisUrl};
use super::files::write_private;
use super::procfs::Process;
use super::secret;
use super::user::ServerUser;
use crate::cache::{free, lock};
use crate::clock::Clocks;
use crate::error::{Context, Error, Result};

/// The variable that says where temporary folders are to be.
const TMPDIR: &str = "TMPDIR";

/// A file system in memory, where Linux has one.
const TMPFS: &str = "/dev/shm";

/// Room that a run wants: a data directory and a few clones take 100 MB.
const ROOM: u64 = 512 << 20;

/// Longest path of a unix socket that is allowed below the run directory: the kernel takes 107 bytes.
const SOCKET_PATH: usize = 107;

/// What the longest socket adds to the run directory: `arms/<16>/postgres-9/.s.PGSQL.5432`.
const SOCKET_BELOW: usize = 48;

/// A sweep ends processes and undoes what a run has elsewhere while it holds the lock.
const LOCK_DEADLINE: Duration = Duration::from_mins(2);

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const LOCK: &str = "lock";
/// The folder of the clocks. No place in the cache: a server may run as a user who cannot enter that.
const CLOCKS: &str = "clocks";
const BASE_LOCK: &str = "lock";
/// Held by the supervisor of a run as long as it lives.
pub(super) const SUPERVISOR_LOCK: &str = "supervisor.lock";
/// What the supervisor said.
pub(super) const SUPERVISOR_LOG: &str = "supervisor.log";

/// The private folder of one run; locked as long as this value lives. The supervisor removes it at the end.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    manifest: Mutex<Manifest>,
    clocks: Arc<Clocks>,
    _lock: File,
}

/// `manifest.json`: who made the folder, and what the run has elsewhere. It may hold passwords: only its owner reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The folder's own name.
    pub run: String,
    /// Who runs it.
    pub controller: Identity,
    /// Its supervisor, once there is one.
    pub supervisor: Option<Identity>,
    /// Seconds since 1970.
    pub created: u64,
    /// 128 random bits, in hexadecimal: the label of all that the run makes elsewhere.
    #[serde(default)]
    pub token: String,
    /// What the run makes outside of its folder, noted before it is made.
    #[serde(default)]
    pub elsewhere: Elsewhere,
}

/// What a run has outside of its folder, and what must be undone if it cannot do so itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Whether it makes containers.
    pub docker: bool,
    /// Where it makes databases and a role.
    pub postgres: Option<PostgresUrl>,
    /// Where it takes databases.
    pub redis: Option<RedisUrl>,
    /// Which ones it has taken.
    pub redis_databases: BTreeSet<i64>,
}

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its pid.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub started: u64,
}

impl RunDirectory {
    /// Makes a folder `<base>/dj-regress-<uid>/run-<pid>-<random>` in the [chosen base](chosen_base).
    ///
    /// # Errors
    ///
    /// Cannot run if none can be made, its path is too long for sockets, or somebody else has made the base.
    pub fn create() -> Result<Self> {
        Self::create_in(&chosen_base()?)
    }

    /// As [`RunDirectory::create`], below another base.
    ///
    /// # Errors
    ///
    /// As [`RunDirectory::create`].
    pub fn create_in(base: &Path) -> Result<Self> {
        let base = base.canonicalize().cannot_run(|| format!("find {}", base.display()))?;
        let folder = own_folder(&base)?;
        // A sweep must not find the run before it is locked.
        let _base_lock = lock_base(&folder)?;
        let path = tempfile::Builder::new()
            .prefix(&format!("run-{}-", std::process::id()))
            .tempdir_in(&folder)
            .cannot_run(|| format!("make a folder in {}", folder.display()))?
            .keep();
        open_to_servers(&path)?;
        let length = path.as_os_str().len() + SOCKET_BELOW;
        if length > SOCKET_PATH {
            // It is empty: nothing is lost if it stays.
            let _ = fs::remove_dir(&path);
            return Err(Error::cannot_run(format!(
                "{} is too deep: sockets below it would have paths of {length} bytes, {SOCKET_PATH} are allowed",
                folder.display()
            ))
            .hint("set TMPDIR to a shorter path, e.g. /tmp"));
        }
        let make = || -> std::io::Result<File> {
            let lock = File::create_new(path.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        };
        let lock = make().cannot_run(|| format!("lock {}", path.display()))?;
        let controller = Process::current().ok_or_else(|| Error::cannot_run("/proc is not there"))?;
        let manifest = Manifest {
            run: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            controller: Identity { pid: controller.pid, started: controller.started },
            supervisor: None,
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            token: secret::random().cannot_run(|| "make a random token".to_owned())?,
            elsewhere: Elsewhere::default(),
        };
        write_manifest(&path, &manifest)?;
        let clocks = Arc::new(Clocks::create(&path.join(CLOCKS))?);
        Ok(Self { path, manifest: Mutex::new(manifest), clocks, _lock: lock })
    }

    /// The clocks of its arms.
    pub fn clocks(&self) -> &Arc<Clocks> {
        &self.clocks
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the run: that of its folder.
    pub fn id(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Makes and returns a folder below it.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be made.
    pub fn folder(&self, relative: &str) -> Result<PathBuf> {
        let path = self.path.join(relative);
        fs::create_dir_all(&path).cannot_run(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// 128 random bits, in hexadecimal: the label of all that the run makes elsewhere.
    pub fn token(&self) -> String {
        self.manifest().token.clone()
    }

    /// Notes what the run makes elsewhere: before it is made, and when it is gone.
    pub(super) fn note(&self, change: impl FnOnce(&mut Elsewhere)) -> Result<()> {
        let mut manifest = self.manifest();
        change(&mut manifest.elsewhere);
        write_manifest(&self.path, &manifest)
    }

    pub(super) fn set_supervisor(&self, pid: u32) -> Result<()> {
        let mut manifest = self.manifest();
        manifest.supervisor = Process::find(pid).map(|supervisor| Identity { pid, started: supervisor.started });
        write_manifest(&self.path, &manifest)
    }

    /// Whether it is still there.
    pub fn is_there(&self) -> bool {
        self.path.join(LOCK).exists()
    }

    /// Makes it again with its manifest, if somebody has removed it: what the run has elsewhere is to be undone.
    pub(super) fn restore(&self) -> Result<()> {
        if self.path.join(MANIFEST).exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.path).cannot_run(|| format!("make {}", self.path.display()))?;
        write_manifest(&self.path, &self.manifest())
    }

    fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock()
    }
}

impl Manifest {
    pub(super) fn read(run_directory: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(run_directory.join(MANIFEST)).ok()?).ok()
    }
}

/// Where run directories may be.
pub fn bases() -> Vec<PathBuf> {
    let mut bases = vec![PathBuf::from(TMPFS), env::temp_dir(), PathBuf::from("/tmp")];
    bases.retain(|base| base.is_dir());
    bases.dedup();
    bases
}

/// The base that the next run takes: `$TMPDIR`, where it is set; else tmpfs, where there is room; else `/tmp`.
///
/// # Errors
///
/// Cannot run if none of them will do, saying why.
pub fn chosen_base() -> Result<PathBuf> {
    let tmpdir = env::var_os(TMPDIR).filter(|value| !value.is_empty()).map(PathBuf::from);
    let tmpfs = Some(PathBuf::from(TMPFS)).filter(|base| free(base) >= ROOM);
    let mut refusals = Vec::new();
    for base in tmpdir.into_iter().chain(tmpfs).chain([PathBuf::from("/tmp")]) {
        match refusal(&base) {
            None => return Ok(base),
            Some(why) => refusals.push(why),
        }
    }
    Err(Error::cannot_run(format!("there is no place for the folder of a run: {}", refusals.join("; ")))
        .hint(format!("set {TMPDIR} to a folder of your own, with a short path")))
}

/// Why the folder that `$TMPDIR` names is not the one that the next run takes, if so.
pub fn tmpdir_refusal() -> Option<String> {
    let base = env::var_os(TMPDIR).filter(|value| !value.is_empty()).map(PathBuf::from)?;
    refusal(&base).map(|why| format!("the run is not in {TMPDIR}: {why}"))
}

/// Why no run can be below this base, if so.
fn refusal(base: &Path) -> Option<String> {
    let shown = base.display();
    let Ok(base) = base.canonicalize() else { return Some(format!("{shown} is not there")) };
    if !base.is_dir() {
        return Some(format!("{shown} is no folder"));
    }
    if base.to_str().is_none() {
        return Some(format!("the name of {shown} is not UTF-8"));
    }
    if base.to_string_lossy().contains([' ', ':']) {
        // The clocks' library is below it, and the dynamic linker takes several paths between these.
        return Some(format!(
            "the path {shown} has a space or a colon in it, and no library below it can be preloaded"
        ));
    }
    let folder = folder_in(&base);
    let length = folder.join(format!("run-{}-XXXXXX", std::process::id())).as_os_str().len() + SOCKET_BELOW;
    if length > SOCKET_PATH {
        let allowed = (SOCKET_PATH + base.as_os_str().len()).saturating_sub(length);
        return Some(format!(
            "the path {shown} is {} bytes long, and {allowed} are allowed: unix sockets must be below it",
            base.as_os_str().len()
        ));
    }
    if fs::symlink_metadata(&folder).is_ok() {
        if !is_private(&folder) {
            return Some(format!("{} is not a private folder of this user", folder.display()));
        }
    } else if access(&base, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Some(format!("{shown} cannot be written to"));
    }
    let server_user = ServerUser::find().filter(|user| !user.can_enter(&base));
    server_user.map(|user| format!("{shown} cannot be entered by {}, as whom servers run", user.name))
}

/// `<base>/dj-regress-<uid>`, made if need be, and nobody else's.
fn own_folder(base: &Path) -> Result<PathBuf> {
    let folder = folder_in(base);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::cannot_run(format!("make {}: {error}", folder.display())));
        }
        _ => {}
    }
    if !is_private(&folder) {
        return Err(Error::cannot_run(format!("{} is not a private folder of this user", folder.display()))
            .hint("remove it, or set TMPDIR to a folder of your own, with a short path"));
    }
    open_to_servers(&folder)?;
    Ok(folder)
}

/// Root's servers run as another user: it must be able to pass, though not to list. Whatever the umask is.
fn open_to_servers(folder: &Path) -> Result<()> {
    let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
        .cannot_run(|| format!("set the mode of {}", folder.display()))
}

/// Where the runs of this user are below a base.
pub(super) fn folder_in(base: &Path) -> PathBuf {
    base.join(format!("dj-regress-{}", Uid::effective()))
}

/// A folder (no link) of this user that nobody else can write to.
pub(super) fn is_private(folder: &Path) -> bool {
    fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == Uid::effective().as_raw() && found.mode() & 0o022 == 0)
}

/// Keeps runs from appearing while others are swept, and two sweeps apart.
pub(super) fn lock_base(folder: &Path) -> Result<File> {
    lock::file(&folder.join(BASE_LOCK), LOCK_DEADLINE)
}

/// The locks of a run, if both its controller and its supervisor are dead.
pub(super) fn take_over(run_directory: &Path) -> Option<[File; 2]> {
    let take = |name| {
        let file = File::options().create(true).append(true).open(run_directory.join(name)).ok()?;
        file.try_lock().ok()?;
        Some(file)
    };
    Some([take(LOCK)?, take(SUPERVISOR_LOCK)?])
}

/// Leaves of a run that is over what is needed to undo what it has elsewhere.
pub(super) fn strip(run_directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(run_directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if ![MANIFEST, LOCK, SUPERVISOR_LOCK, SUPERVISOR_LOG].iter().any(|name| entry.file_name() == *name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write_manifest(run_directory: &Path, manifest: &Manifest) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = run_directory.join("manifest.json.new");
        write_private(&temporary, &serde_json::to_string_pretty(manifest)?)?;
        fs::rename(&temporary, run_directory.join(MANIFEST))
    };
    write().cannot_run(|| format!("write {}", run_directory.join(MANIFEST).display()))
}
