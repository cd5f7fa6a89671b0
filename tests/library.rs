//! The cases that came with the program are there wherever it is called.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dj_regress::cache::VARIABLE;
use support::{Context, case};
use tempfile::TempDir;

/// Every file below a folder, by its path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if !path.is_dir() {
                found.insert(path.strip_prefix(folder).unwrap().display().to_string(), fs::read(&path).unwrap());
            } else if entry.file_name() != "__pycache__" {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn the_library_holds_what_the_folder_of_cases_holds() {
    let (context, cache) = (Context::new(), TempDir::new().unwrap());
    let mut list = context.command("list django_q");
    support::said(list.env(VARIABLE, cache.path())).ok();
    let unpacked = fs::read_dir(cache.path().join("cases")).unwrap().next().unwrap().unwrap().path();
    let (carried, ours) = (files(&unpacked), files(Path::new("cases")));
    let differ = |file: &&String| carried.get(*file) != ours.get(*file);
    let stale: Vec<&String> = ours.keys().chain(carried.keys()).filter(differ).collect();
    assert!(stale.is_empty(), "`touch src/main.rs` and build again: {stale:?}");
}

#[test]
fn a_case_of_the_library_is_proven_in_an_empty_folder_with_its_own_locks() {
    let context = Context::new();
    fs::remove_dir_all(context.path("cases")).unwrap();
    context.run("run django_q/async_iter_arguments_expire").ok();
    assert_eq!(case(&context.results(), "django_q/async_iter_arguments_expire")["verdict"], "PROVEN");
    assert!(!context.path("cases").exists());
}

#[test]
fn ones_own_cases_are_looked_at_before_the_library() {
    let context = Context::new().planted("verdicts");
    fs::create_dir(context.path("cases/django_q")).unwrap();
    fs::copy(context.path("cases/verdicts/proven.yaml"), context.path("cases/django_q/two_schedulers.yaml")).unwrap();
    insta::assert_snapshot!(context.run("check django_q/two_schedulers django_q").ok(), @"ok django_q/two_schedulers");
    insta::assert_snapshot!(context.run("check django_q/stat_master_list").ok(), @"ok django_q/stat_master_list");
    // One of one's own and one of the library are not one folder.
    insta::assert_snapshot!(context.run("check verdicts/proven django_q/stat_master_list"), @r"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: no case, folder of cases or case file is called `django_q/stat_master_list`
    hint: `dj-regress list` shows them all
    ");
}

#[test]
fn a_folder_that_is_named_is_the_only_one() {
    let context = Context::new();
    let said = context.run("check --cases-dir cases django_q/stat_master_list");
    assert_eq!((said.code, said.stdout.as_str()), (Some(4), ""), "{said}");
}

#[test]
fn where_there_is_no_folder_of_cases_the_library_is_listed_and_said_to_be() {
    let context = Context::new();
    fs::remove_dir_all(context.path("cases")).unwrap();
    let said = context.run("list");
    assert_eq!(said.stderr, "# no folder `cases` here: these are the cases that came with dj-regress\n");
    assert!(said.stdout.lines().count() > 50, "{said}");
    let mistyped = context.run("run django_q/stat_masterlist");
    assert!(mistyped.stderr.contains("did you mean `django_q/stat_master_list`?"), "{mistyped}");
}

#[test]
fn uv_is_the_one_beside_the_program_before_that_on_path() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let program = |name: &str, text: &str| {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("path/uv", "#!/bin/sh\n");
    let doctor = |uv: &str| {
        let mut doctor = std::process::Command::new(folder.path().join("bin/dj-regress"));
        doctor.arg("doctor").env(VARIABLE, folder.path().join("cache"));
        let said = support::said(doctor.env("PATH", folder.path().join("path")));
        let found = said.stdout.lines().find(|line| line.contains(" uv ")).unwrap().to_owned();
        assert!(found.ends_with(&folder.path().join(uv).display().to_string()), "{found}");
    };
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::copy(support::PROGRAM, folder.path().join("bin/dj-regress")).unwrap();
    doctor("path/uv");
    program("bin/uv", "#!/bin/sh\n");
    doctor("bin/uv");
}
