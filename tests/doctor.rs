//! `doctor` says what a run would find.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use dj_regress::cache::VARIABLE;
use nix::unistd::Uid;
use support::{PROGRAM, said, skip};
use tempfile::TempDir;

/// The line about something, and the hint below it.
fn about<'s>(said: &'s support::Said, subject: &str) -> (&'s str, &'s str) {
    let mut lines = said.stdout.lines().skip_while(|line| !line[8..].starts_with(subject));
    (lines.next().unwrap_or_else(|| panic!("{said}")), lines.next().unwrap_or_default())
}

fn doctor(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("doctor").env(VARIABLE, folder.join("cache"));
    command
}

#[test]
fn a_folder_of_tmpdir_that_cannot_be_used_is_said_to_be_none() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = said(doctor(Path::new(PROGRAM), folder.path()).env("TMPDIR", &file));
    let (line, hint) = about(&said, "run directories");
    assert!(line.starts_with("ok ") && hint.contains("file is no folder"), "{said}");
}

#[test]
fn what_a_run_takes_that_names_no_place_is_said() {
    let folder = TempDir::new().unwrap();
    let take = |services: &str| {
        let mut command = doctor(Path::new(PROGRAM), folder.path());
        let said = said(command.env("DJ_REGRESS_SERVICES", services).env("DOCKER_HOST", "unix:///nowhere/docker.sock"));
        about(&said, "a run takes").0.to_owned()
    };
    assert!(take("auto").ends_with("local: no docker daemon answers"), "{}", take("auto"));
    assert!(take("docker").ends_with("docker, as the environment says"), "{}", take("docker"));
}

/// Runs a shell in a mount namespace of its own, where what it mounts is seen by nobody else.
fn with_mounts(script: &str, folder: &Path) -> Option<support::Said> {
    if !Uid::effective().is_root() {
        skip("only root can mount");
        return None;
    }
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-euc", script, PROGRAM]).arg(folder).current_dir(env!("CARGO_MANIFEST_DIR"));
    shell.env(VARIABLE, folder.join("cache"));
    let said = said(&mut shell);
    if said.stderr.starts_with("unshare:") || said.stderr.starts_with("mount:") {
        skip(&format!("mounts are not allowed here: {}", said.stderr));
        return None;
    }
    Some(said)
}

#[test]
fn a_disk_that_is_too_full_for_what_is_made_in_the_cache_is_said_to_be() {
    let run = "run --frozen --services local django_q/stat_cache_disabled";
    let folder = TempDir::new().unwrap();
    let script = format!(
        "mkdir \"$1/cache\"; mount -t tmpfs -o size=50m,mode=755 none \"$1/cache\"; \
         \"$0\" {run} --output-dir \"$1/out\""
    );
    let Some(said) = with_mounts(&script, folder.path()) else { return };
    assert!(matches!(said.code, Some(2 | 5)), "{said}");
    let all = format!("{}{}", said.stdout, said.stderr);
    let (free, needed) =
        all.split_once("cache disk full: ").and_then(|(_, text)| text.split_once(" MB free, ")).unwrap();
    assert!(free.parse::<u32>().is_ok_and(|free| free <= 52) && needed.starts_with("about 200 needed\n"), "{said}");
    assert!(!all.contains("install uv by hand"), "{said}");
}

#[test]
fn a_machine_without_servers_can_run_with_what_the_first_run_installs() {
    let folder = TempDir::new().unwrap();
    let hide = "for program in redis-server valkey-server; do for folder in /usr/bin /usr/local/bin /usr/sbin; do \
                if [ -e $folder/$program ]; then mount --bind /dev/null $folder/$program; fi; done; done; \"$0\" doctor";
    let Some(said) = with_mounts(hide, folder.path()) else { return };
    let (line, _) = about(&said, "Redis");
    assert!(line.starts_with("ok ") && line.ends_with("the first run installs a wheel from PyPI"), "{said}");
}
