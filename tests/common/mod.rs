//! What the tests of services share.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use dj_regress::cache::Cache;
use dj_regress::service::keeper::Keeper;
use dj_regress::service::run_directory::RunDirectory;
use tempfile::TempDir;

/// The program whose `keeper` subcommand is used: a test is not `dj-regress`.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dj-regress");

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A cache and a base for run directories of this test alone.
pub struct Room {
    pub folder: TempDir,
    pub cache: Cache,
}

impl Room {
    pub fn new() -> Self {
        let base = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm") } else { Path::new("/tmp") };
        let folder = tempfile::Builder::new().prefix("djt-").tempdir_in(base).unwrap();
        // Servers of root run as another user, who must be able to pass.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let cache = Cache::at(&folder.path().join("cache")).unwrap();
        Self { folder, cache }
    }

    pub fn base(&self) -> &Path {
        self.folder.path()
    }

    pub async fn keeper(&self) -> (RunDirectory, Keeper) {
        let run_directory = RunDirectory::create_in(self.base()).unwrap();
        let keeper = Keeper::start_program(Path::new(PROGRAM), &run_directory).await.unwrap();
        (run_directory, keeper)
    }
}

/// Waits until something holds; fails the test after [`DEADLINE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs (a zombie does not).
pub fn is_running(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}
