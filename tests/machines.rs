//! Other machines: without servers, with another Python, as another user.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dj_regress::cache::{Cache, VARIABLE};
use nix::unistd::Uid;
use rstest::rstest;
use support::{Context, interpreter, said, skip};

/// The user `nobody` of every Linux.
const NOBODY: u32 = 65534;

#[test]
fn without_servers_and_without_an_index_a_run_says_what_to_install() {
    let context = Context::new().planted("verdicts");
    context.run("run verdicts/skipped_postgres"); // makes the environment that is linked next
    let cache = context.path("cache");
    fs::create_dir(&cache).unwrap();
    std::os::unix::fs::symlink(Cache::open().unwrap().path("environments"), cache.join("environments")).unwrap();
    copy_uv(&context);
    let mut command = context.command("run --programs wheels verdicts/proven");
    command.env("PATH", path(&[context.path("bin")], &path_folders())).env("UV_CACHE_DIR", context.path("uv"));
    let said = said(command.env(VARIABLE, cache).env("PIP_NO_INDEX", "1").env("UV_OFFLINE", "1"));
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
    for part in ["no PostgreSQL was found", "PyPI: ", "hint: apt-get install postgresql"] {
        assert!(said.stderr.contains(part), "`{part}` is not in {said}");
    }
    assert!(!said.stderr.contains("--requirement"), "what failed is said in words: {said}");
}

#[test]
fn where_no_server_is_installed_those_of_the_wheels_prove_a_case() {
    let context = Context::new().planted("verdicts").planted("language");
    let said = context.run("run --programs wheels verdicts/proven language/redis_cache");
    assert_eq!(said.code, Some(0), "{said}");
}

#[test]
fn without_an_index_and_with_an_empty_cache_the_environment_is_tried_once() {
    let context = Context::new().planted("verdicts");
    let mut command = context.command("run verdicts/proven verdicts/not_pinned");
    command.env(VARIABLE, context.path("cache")).env("UV_CACHE_DIR", context.path("uv"));
    let said = said(command.env("PIP_NO_INDEX", "1").env("UV_OFFLINE", "1"));
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
    assert_eq!(said.stderr.matches("# installing").count(), 1, "{said}");
    assert!(said.stderr.contains("\nhint: "), "{said}");
}

#[test]
fn a_doctor_without_servers_says_how_to_get_them() {
    let context = Context::new();
    let said = said(context.command("doctor").env(VARIABLE, context.path("cache")));
    for line in ["PostgreSQL", "Redis", "run directories", "servers run as", "cache", "docker", "nginx", "Python", "uv"]
    {
        assert!(said.stdout.lines().any(|found| found[8..].starts_with(line)), "no line about {line} in {said}");
    }
    let missing = said.stdout.contains("missing");
    assert_eq!(said.code, Some(if missing { 2 } else { 0 }), "{said}");
    // Without nginx a run goes on, and only the cases behind one are skipped.
    let installs = |line: &str| line.contains("-> apt-get install") && !line.contains("nginx");
    assert_eq!(missing, said.stdout.lines().any(installs), "{said}");
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_that_says_what_to_set() {
    let context = Context::new().planted("verdicts");
    fs::write(context.path("file"), "").unwrap();
    let said = said(context.command("run verdicts/proven").env(VARIABLE, context.path("file/cache")));
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("hint: set DJ_REGRESS_CACHE to a folder that can be written to"), "{said}");
}

#[rstest]
fn a_case_is_proven_with_each_python_from_the_same_build(
    #[values("3.10", "3.11", "3.12", "3.13", "3.14")] version: &str,
) {
    let Some(python) = interpreter(version) else { return skip(&format!("there is no Python {version} here")) };
    let context = Context::new().planted("verdicts");
    let said = context.run(&format!("run --python {} verdicts/proven", python.display()));
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stdout.contains(&format!(" · Python {version}.")), "{said}");
}

#[test]
fn a_case_can_pin_its_python() {
    let context = Context::new().planted("verdicts");
    context.run("run verdicts/skipped_postgres");
    let version = context.results()["setting"]["python"][0].as_str().unwrap().to_owned();
    let (pin, _) = version.rsplit_once('.').unwrap();
    let path = context.path("cases/verdicts/proven.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replace("actors:", &format!("python: \"{pin}\"\nactors:"))).unwrap();
    context.run("run verdicts/proven").ok();
    assert_eq!(context.results()["setting"]["python"][0], version.as_str());
}

/// The program is alone in its folder: it carries what it needs. Root's own files (its cache, its Pythons, this build) may be
/// out of reach.
#[test]
fn an_ordinary_user_proves_a_case() {
    let context = Context::new().planted("verdicts");
    if !Uid::effective().is_root() {
        // All other tests are run by one as well.
        context.run("run verdicts/proven").ok();
        return;
    }
    let folders: Vec<PathBuf> = path_folders().into_iter().filter(|folder| is_open(folder)).collect();
    if !folders.iter().any(|folder| folder.join("python3").is_file()) {
        return skip("there is no python3 on PATH that another user than root can run");
    }
    let built = Path::new(support::PROGRAM);
    let program = context.path("dj-regress");
    fs::copy(built, &program).unwrap();
    let home = context.path("home");
    fs::create_dir(&home).unwrap();
    copy_uv(&context);
    give(&context.path(""));

    let mut command = Command::new(program);
    command.args(["run", "--frozen", "verdicts/proven"]).current_dir(context.path("")).stdin(Stdio::null());
    command.env("PATH", path(&[context.path("bin")], &folders)).env("HOME", &home);
    for variable in ["XDG_CACHE_HOME", VARIABLE, "UV_CACHE_DIR", "TMPDIR"] {
        command.env_remove(variable);
    }
    let said = said(command.uid(NOBODY).gid(NOBODY));
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stdout.contains("PROVEN"), "{said}");
    assert!(home.join(".cache/dj-regress/environments").is_dir());
}

/// Copies the uv that an earlier run has installed into `bin`: seconds that pip would take for another.
fn copy_uv(context: &Context) {
    fs::create_dir(context.path("bin")).unwrap();
    let tools = fs::read_dir(Cache::open().unwrap().path("tools")).into_iter().flatten().flatten();
    if let Some(uv) = tools.map(|tool| tool.path().join("bin/uv")).find(|uv| uv.is_file()) {
        fs::copy(uv, context.path("bin/uv")).unwrap();
    }
}

fn path_folders() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap()).collect()
}

fn path(first: &[PathBuf], then: &[PathBuf]) -> OsString {
    env::join_paths(first.iter().chain(then)).unwrap()
}

/// Whether everybody can read this folder, and pass all above it.
fn is_open(folder: &Path) -> bool {
    let allows = |path: &Path, bits| path.metadata().is_ok_and(|found| found.permissions().mode() & bits == bits);
    let Ok(folder) = folder.canonicalize() else { return false };
    allows(&folder, 0o5) && folder.ancestors().all(|path| allows(path, 0o1))
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(path).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path());
        } else {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}
