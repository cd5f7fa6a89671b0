//! An arm's world is its own: nothing of the caller, of the machine, of other arms or of earlier runs is in it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use dj_regress::cache::VARIABLE;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, getgid, getuid};
use rstest::rstest;
use serde_json::Value;
use support::{Context, Said, case, said, skip};

/// One run of all planted cases.
static RESULTS: LazyLock<Value> = LazyLock::new(|| {
    let context = Context::new().planted("world");
    let said = context.run("run world");
    assert!(said.code.is_some(), "{said}");
    context.results()
});

/// The second line of a planted case: `# expect: VERDICT[, not as declared][: a part of the reason]`.
#[rstest]
fn a_planted_case_gets_the_verdict_it_deserves(#[files("tests/planted/world/*.yaml")] path: PathBuf) {
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().nth(1).unwrap().strip_prefix("# expect: ").expect("the second line says what is expected");
    let (verdict, reason) = line.split_once(": ").unwrap_or((line, ""));
    let verdict = verdict.trim_end_matches(", not as declared");
    let found = case(&RESULTS, &format!("world/{}", path.file_stem().unwrap().to_str().unwrap()));
    assert_eq!(found["verdict"], verdict, "{found:#}");
    let mut reasons = found["fixes"].as_array().unwrap().iter().map(|fix| &fix["reason"]).chain([&found["reason"]]);
    let is_said = |found: &Value| found.as_str().unwrap_or_default().contains(reason);
    assert!(reasons.any(is_said), "`{reason}` is not said in {found:#}");
}

/// What of a process depends on who started it, if it is not kept from it. The paths of the run are left out.
const LOOKS: &str = r#"
actors: {app: {python: shop.tasks}}
fixes: {right: {env: {SAID: loud}}}
steps:
  - python: app
    run: |
      import os, socket, sys, tempfile, time, locale
      run = os.environ["DJ_REGRESS_RUN"]
      seen = [f"{name}={value}" for name, value in sorted(os.environ.items()) if run not in value]
      seen += [tempfile.gettempdir(), os.path.expanduser("~"), socket.gethostname(), time.tzname[0]]
      seen += [oct(os.umask(0o22)), hash("alpha"), list({"a", "b", "c"}), locale.getpreferredencoding(), sys.flags.dev_mode]
      print("seen", seen)
      Receipt.objects.create(key=os.environ.get("SAID", "quiet"))
  - sql: SELECT key FROM shop_receipt
    as: said
invariants:
  said: {applied: loud, reverted: quiet}
"#;

/// What the app saw, as it stands in the arm's log.
fn seen(context: &Context, variables: &[(&str, &str)]) -> String {
    let mut command = context.command("run looks");
    // SAFETY: it only sets the mask of the child.
    unsafe { command.pre_exec(|| Ok(umask(Mode::from_bits_truncate(0o077))).map(|_| ())) };
    said(command.envs(variables.iter().copied())).ok();
    let log = fs::read_to_string(context.path("regress.out/log/looks.reverted.log")).unwrap();
    let line = log.lines().find(|line| line.starts_with("seen ")).unwrap_or_else(|| panic!("not seen in {log}"));
    line.to_owned()
}

#[test]
fn runs_of_different_callers_see_the_same_and_keep_nothing_of_them() {
    let context = Context::new().case("looks", LOOKS);
    let folder = context.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    let elsewhere = folder.to_str().unwrap();
    let first = seen(&context, &[]);
    let secret = "s3cret-of-the-caller";
    let theirs = [
        ("API_TOKEN", secret),
        ("DEBUG", "true"),
        ("DJANGO_SETTINGS_MODULE", "theirs.settings"),
        ("LANG", "de_DE.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("PGDATABASE", "theirs"),
        ("PGOPTIONS", "-c lock_timeout=7s"),
        ("PYTHONDEVMODE", "1"),
        ("PYTHONHASHSEED", "12"),
        ("PYTHONPATH", elsewhere),
        ("TMPDIR", elsewhere),
        ("TZ", "Asia/Tokyo"),
    ];
    assert_eq!(seen(&context, &theirs), first);
    for file in files(&context.path("regress.out")) {
        let bytes = fs::read(&file).unwrap();
        let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_there, "{} holds what the caller has in its environment", file.display());
    }
}

/// A run in which a machine grants no namespaces: in a user namespace that may have no networks.
fn confined(context: &Context, arguments: &str) -> Option<Said> {
    let (user, group) = (getuid(), getgid());
    let mut command = context.command(arguments);
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        // A user of every Linux who is not root.
        ("/proc/self/uid_map", format!("1 {user} 1")),
        ("/proc/self/gid_map", format!("1 {group} 1")),
        ("/proc/sys/user/max_net_namespaces", "0".to_owned()),
    ];
    let confine = move || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        files.iter().try_for_each(|(file, text)| fs::write(file, text))
    };
    // SAFETY: the child has one thread, and what it writes is there already.
    unsafe { command.pre_exec(confine) };
    let is_allowed = Command::new("unshare").args(["--user", "true"]).status().is_ok_and(|status| status.success());
    is_allowed.then(|| said(&mut command))
}

#[test]
fn where_no_namespaces_are_granted_a_run_says_what_is_weaker_and_reaches_nobody_all_the_same() {
    let context = Context::new().planted("world");
    let Some(said) = confined(&context, "run world/outbound_address world/outbound_socket world/outbound_localhost")
    else {
        return skip("this machine grants no user namespaces, so they cannot be taken away");
    };
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stdout.contains("# isolation is weaker here (unshare"), "{said}");
    for address in ["192.0.2.1:443", "/var/run/postgresql/.s.PGSQL.5432", "127.0.0.1:6379"] {
        assert!(said.stdout.contains(&format!("the app tried to reach {address}")), "{address} is not told in {said}");
    }
}

#[test]
fn where_no_namespaces_are_granted_temporary_files_are_an_arms_own_by_their_names() {
    let context = Context::new().case(
        "leaves_a_file",
        r#"
vars: {n: 2}
actors: {app: {python: shop.tasks}}
fixes: {right: {vars: {n: 1}}}
steps:
  - python: app
    run: |
      import os, pathlib, tempfile
      for folder in (tempfile.gettempdir(), os.path.expanduser("~"), os.environ["XDG_CACHE_HOME"]):
          mark = pathlib.Path(folder) / "planted-mark"
          assert not mark.exists()
          mark.write_text("x")
      [place(str(number)) for number in range($n)]
invariants:
  orders: {of: rows, table: shop_order, applied: 1, reverted: 2}
"#,
    );
    match confined(&context, "run leaves_a_file") {
        Some(said) => drop(said.ok()),
        None => skip("this machine grants no user namespaces, so they cannot be taken away"),
    }
}

/// A role's setting reached the next run through the cached data directory.
#[test]
fn what_an_app_does_to_its_role_is_in_no_later_run() {
    let context = Context::new().planted("world");
    let run = |case: &str| said(context.command(&format!("run {case}")).env(VARIABLE, context.path("cache")));
    link_environments(&context);
    for _ in 0..2 {
        run("world/role_of_another_arm").ok();
    }
    let kept = fs::read_dir(context.path("cache/postgres")).unwrap().count();
    assert_eq!(kept, 1, "a server that no arm has changed is kept with its template");
}

/// Installing takes long, and what is installed is not what is asked here.
fn link_environments(context: &Context) {
    context.run("run world/randomness").ok();
    let shared = dj_regress::cache::Cache::open().unwrap();
    fs::create_dir(context.path("cache")).unwrap();
    for folder in ["environments", "tools", "wheels"] {
        let target = shared.path(folder);
        if target.exists() {
            std::os::unix::fs::symlink(target, context.path("cache").join(folder)).unwrap();
        }
    }
}

#[test]
fn a_doctor_says_how_well_arms_are_kept_apart() {
    let context = Context::new();
    let said = context.run("doctor");
    let line = said.stdout.lines().find(|line| line.contains(" isolation ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.starts_with("ok ") && line.contains("namespaces"), "{line}");
    if Uid::effective().is_root() && !line.contains("no namespaces") {
        let confined = confined(&context, "doctor").expect("root may make user namespaces where others are granted");
        assert!(confined.stdout.contains("no namespaces: unshare"), "{confined}");
        assert!(confined.stdout.contains("-> run as root, or allow user namespaces"), "{confined}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}
