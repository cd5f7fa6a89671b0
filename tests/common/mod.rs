//! What the tests of services share.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress::cache::Cache;
use dj_regress::service::locate::Programs;
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use dj_regress::service::{Place, ServiceChoice, Services};
use tempfile::TempDir;

/// The program whose `supervisor` subcommand is used: a test is not `dj-regress`.
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

    pub async fn supervisor(&self) -> (Arc<RunDirectory>, Supervisor) {
        supervisor(self.base()).await
    }

    /// Services as processes of this test.
    pub async fn services(&self, supervisor: &Supervisor, run_directory: &Arc<RunDirectory>) -> Services {
        services(supervisor, run_directory, &self.cache, Programs::Auto).await
    }
}

pub async fn supervisor(base: &Path) -> (Arc<RunDirectory>, Supervisor) {
    let run_directory = Arc::new(RunDirectory::create_in(base).unwrap());
    let supervisor = Supervisor::start_program(Path::new(PROGRAM), &run_directory).await.unwrap();
    (run_directory, supervisor)
}

/// Services as processes of a test.
pub async fn services(
    supervisor: &Supervisor,
    run_directory: &Arc<RunDirectory>,
    cache: &Cache,
    programs: Programs,
) -> Services {
    let choice = ServiceChoice { place: Some(Place::Local), programs, ..ServiceChoice::default() };
    Services::choose(&choice, supervisor, run_directory, cache).await.unwrap()
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

/// How many System V shared memory segments a process has made.
pub fn segments_of(pid: u32) -> usize {
    let text = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let creators = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(4));
    creators.filter(|creator| *creator == pid.to_string()).count()
}

/// `R`, `S`, `T` and so on.
pub fn state_of(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// The variable that makes the ignored test `controller` of a test file play a controller: the base to use.
pub const ROLE: &str = "DJ_REGRESS_TEST_CONTROLLER";

/// A controller in a process of its own, to be SIGKILLed.
pub struct Controller {
    pub child: std::process::Child,
    /// What it has said: pids by name, and the run directory.
    pub said: serde_json::Value,
}

impl Controller {
    /// Starts this test binary as a controller, and waits for what it says with [`Controller::say`].
    pub fn start(room: &Room) -> Self {
        Self::start_with(room, &[])
    }

    /// As [`Controller::start`], with further variables.
    pub fn start_with(room: &Room, variables: &[(&str, String)]) -> Self {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["controller", "--exact", "--ignored", "--nocapture"])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env(ROLE, room.base())
            .env(dj_regress::cache::VARIABLE, room.cache.root())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let said = lines.map_while(Result::ok).find_map(|line| {
            let text = line.split_once("SAID ")?.1.to_owned();
            serde_json::from_str(&text).ok()
        });
        Self { child, said: said.expect("the controller says what it has started") }
    }

    /// Tells the test, then does nothing until it is killed.
    pub async fn say(said: serde_json::Value) {
        println!("SAID {said}");
        std::future::pending::<()>().await;
    }

    pub fn pid(&self, name: &str) -> u32 {
        u32::try_from(self.said[name].as_u64().unwrap()).unwrap()
    }

    pub fn run_directory(&self) -> &Path {
        Path::new(self.said["run"].as_str().unwrap())
    }

    /// SIGKILL, and buried.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A pid that a process has written to a file.
pub fn written_pid(path: &Path) -> u32 {
    let mut pid = None;
    eventually(&format!("{} holds a pid", path.display()), || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        pid = text.strip_suffix('\n').and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}
