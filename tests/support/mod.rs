//! Whole commands: the program in a folder of its own, and what it said.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dj_regress::error::Error;
use dj_regress::service::docker::Daemon;
use nix::unistd::Uid;
use serde_json::Value;
use tempfile::TempDir;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dj-regress");

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// What a case needs before its steps: the package set whose lock is checked in.
pub const HEAD: &str = "packages: {django: 5.2.*, django-q2: 1.9.0}\n";

/// A folder in which the program is run, as a user would who has only `cases/` there.
pub struct Context {
    folder: TempDir,
}

impl Context {
    /// A folder with `cases/locks`: nothing has to be resolved.
    pub fn new() -> Self {
        // With a short path: the folder's name stands in messages whose width is looked at.
        let folder = tempfile::Builder::new().prefix("djt-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let context = Self { folder };
        copy(Path::new("cases/locks"), &context.path("cases/locks"));
        context
    }

    /// Adds the planted cases of this folder below `tests/planted`, in a folder of the same name.
    pub fn planted(self, folder: &str) -> Self {
        copy(&Path::new("tests/planted").join(folder), &self.path("cases").join(folder));
        self
    }

    /// Adds a case: what comes after its title and packages.
    pub fn case(self, name: &str, rest: &str) -> Self {
        let title = name.replace('_', " ");
        fs::write(self.path(format!("cases/{name}.yaml")), format!("title: {title}\n{HEAD}{rest}")).unwrap();
        self
    }

    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The program with these words as its arguments; locks are never written.
    pub fn command(&self, arguments: &str) -> Command {
        let mut words: Vec<&str> = arguments.split_whitespace().collect();
        if words.first() == Some(&"run") {
            words.insert(1, "--frozen");
        }
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        for variable in ["NO_COLOR", "CLICOLOR_FORCE", "PYENV_VERSION", "VIRTUAL_ENV"] {
            command.env_remove(variable);
        }
        // Where docker runs, most tests would take twice as long. Those that want it say so.
        command.env("DJ_REGRESS_SERVICES", "local");
        command.env("COLUMNS", "100");
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &str) -> Said {
        said(&mut self.command(arguments))
    }

    /// `results.json` of the last run.
    pub fn results(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("regress.out/results.json")).unwrap()).unwrap()
    }

    /// Snapshots of this test: what differs from run to run and from machine to machine is filtered.
    pub fn filters(&self) -> insta::internals::SettingsBindDropGuard {
        let folder = self.folder.path().canonicalize().unwrap();
        let mut settings = insta::Settings::clone_current();
        for folder in [folder.as_path(), self.folder.path()] {
            settings.add_filter(&format!("{}\\b", folder.display()).replace('.', "\\."), "[FOLDER]");
        }
        settings.add_filter(&PROGRAM.replace('.', "\\."), "[PROGRAM]");
        for (found, shown) in [
            (r"# installing \S+ \(once\)\n", ""),
            (r"# PostgreSQL \d[^\n]*\n", "# [SERVICES]\n"),
            (r"this is \d[^\n]*", "this is [VERSION]"),
            (r"\d+\.\ds\b", "[TIME]"),
            (r"dj-regress \d+\.\d+\.\d+", "dj-regress [VERSION]"),
        ] {
            settings.add_filter(found, shown);
        }
        settings.bind_to_scope()
    }
}

/// What a command said, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Said {
    /// Standard output of a command that must have gone well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self}");
        self.stdout
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
        write!(f, "exit: {code}\n----- stdout -----\n{}----- stderr -----\n{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end.
pub fn said(command: &mut Command) -> Said {
    let start = Instant::now();
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr), took: start.elapsed() }
}

/// The case of this name in `results.json`.
pub fn case<'r>(results: &'r Value, name: &str) -> &'r Value {
    let cases = results["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no case {name} in the results"))
}

/// Waits until something holds; fails the test after [`DEADLINE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The private folder of a run, which is named for its pid.
pub fn run_directory_of(pid: u32) -> Option<PathBuf> {
    let prefix = format!("run-{pid}-");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let told = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"TMPDIR="));
    let told = told.map(|base| PathBuf::from(OsStr::from_bytes(base)));
    let bases = [PathBuf::from("/dev/shm"), std::env::temp_dir(), PathBuf::from("/tmp")].into_iter().chain(told);
    let mine = |base: PathBuf| base.join(format!("dj-regress-{}", Uid::effective()));
    let folders = bases.flat_map(|base| fs::read_dir(mine(base)).into_iter().flatten().flatten());
    folders.map(|entry| entry.path()).find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix))
}

/// Pids of a run's processes: by the variable that the supervisor gives them, or their working directory.
pub fn processes_of(run_directory: &Path) -> Vec<u32> {
    let variable = format!("DJ_REGRESS_RUN={}", run_directory.display());
    let belongs = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let here = fs::read_link(process.join("cwd")).is_ok_and(|path| path.starts_with(run_directory));
        here || environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let numbers = all.filter(|path| belongs(path)).filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    numbers.collect()
}

pub fn nothing_is_left_of(run_directory: &Path) {
    eventually("the processes are gone", || processes_of(run_directory).is_empty());
    eventually("the folder is gone", || !run_directory.exists());
}

/// Docker, if it answers and services can be had from it; else says loudly that there is none.
pub async fn docker(what: &str) -> Option<Daemon> {
    let found = async {
        let daemon = Daemon::connect().await?;
        for images in [["postgres:17", "dj-regress/postgres:15"], ["redis:7", "dj-regress/redis:7"]] {
            if !(daemon.has_image(images[0]).await? || daemon.has_image(images[1]).await?) {
                return Err(Error::cannot_run(format!("docker has neither {}", images.join(" nor "))));
            }
        }
        Ok(daemon)
    };
    found.await.map_err(|error| skip(&format!("{what}: {error}"))).ok()
}

/// Says that a test did not do its work here, past the capture of the test harness.
pub fn skip(why: &str) {
    // Not `eprintln`: the test harness would keep it to itself.
    std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

/// The first program of this name on PATH.
pub fn on_path(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name.as_ref())).find(|program| program.is_file())
}

/// The Python of this version (`3.13`): among pyenv's and uv's, else on PATH.
pub fn interpreter(version: &str) -> Option<PathBuf> {
    let name = format!("python{version}");
    let home = std::env::home_dir().unwrap_or_default();
    let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let managers = [pyenv.join("versions"), home.join(".local/share/uv/python")];
    let managed = managers.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let managed = managed.map(|entry| entry.path().join("bin").join(&name)).filter(|path| path.is_file());
    // A shim on PATH may be there for a Python that is not.
    managed.chain(on_path(&name)).find(|python| {
        let checked = Command::new(python).arg("-V").stdin(Stdio::null()).output();
        checked.is_ok_and(|output| output.status.success())
    })
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
