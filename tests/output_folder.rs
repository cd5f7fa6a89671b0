//! The output folder: a previous run's is replaced, and nothing else is, ever.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use dj_regress::report::OutputDirectory;
use rstest::rstest;
use support::Context;
use tempfile::TempDir;

const MINE: &str = "years of work";

/// A run that wrote this as its results, and has ended.
fn ended_run(path: &Path, results: &str) {
    let output = OutputDirectory::create(path).unwrap();
    fs::write(output.path().join("results.json"), results).unwrap();
}

fn results(path: &Path) -> String {
    fs::read_to_string(path.join("results.json")).unwrap()
}

fn refused(path: &Path) -> String {
    let error = OutputDirectory::create(path).map(|_| ()).unwrap_err();
    format!("{}\n{}", error.message, error.hint.unwrap())
}

#[test]
fn a_folder_with_a_file_called_lock_is_not_ours() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    for lock in ["", "12345\n"] {
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join("lock"), lock).unwrap();
        fs::write(out.join("thesis.txt"), MINE).unwrap();
        assert!(refused(&out).contains("holds something that is not a dj-regress run"));
        assert_eq!(fs::read_to_string(out.join("thesis.txt")).unwrap(), MINE);
        assert_eq!(fs::read_to_string(out.join("lock")).unwrap(), lock);
        assert!(!folder.path().join("out.old").exists());
    }
}

#[test]
fn what_somebody_has_put_beside_a_run_is_not_moved_away() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    ended_run(&out, "1");
    fs::write(out.join("thesis.txt"), MINE).unwrap();
    assert!(refused(&out).contains("holds `thesis.txt`, which is not from dj-regress"));
    assert_eq!((results(&out).as_str(), folder.path().join("out.old").exists()), ("1", false));
}

#[rstest]
#[case::a_folder(|old: &Path| { fs::create_dir(old).unwrap(); fs::write(old.join("thesis.txt"), MINE).unwrap(); })]
#[case::a_file(|old: &Path| fs::write(old, MINE).unwrap())]
#[case::a_link(|old: &Path| symlink("/usr", old).unwrap())]
#[case::a_run_and_more(|old: &Path| { ended_run(old, "0"); fs::write(old.join("thesis.txt"), MINE).unwrap(); })]
fn what_is_not_ours_is_not_removed_to_keep_the_previous_run(#[case] make: fn(&Path)) {
    let folder = TempDir::new().unwrap();
    let (out, old) = (folder.path().join("out"), folder.path().join("out.old"));
    ended_run(&out, "1");
    make(&old);
    let before = fs::symlink_metadata(&old).unwrap();
    let said = refused(&out);
    assert!(said.contains("out.old") && said.contains("--output-dir"), "{said}");
    assert_eq!(results(&out), "1");
    let after = fs::symlink_metadata(&old).unwrap();
    assert_eq!((after.file_type(), after.modified().unwrap()), (before.file_type(), before.modified().unwrap()));
    let thesis = if old.is_dir() { old.join("thesis.txt") } else { old };
    assert!(thesis.starts_with("/usr") || !thesis.is_file() || fs::read_to_string(thesis).unwrap() == MINE);
}

#[test]
fn a_run_that_writes_to_the_kept_folder_is_not_disturbed() {
    let folder = TempDir::new().unwrap();
    let (out, old) = (folder.path().join("out"), folder.path().join("out.old"));
    ended_run(&out, "1");
    let _writing = OutputDirectory::create(&old).unwrap();
    assert!(refused(&out).contains("another run is writing"));
    assert!(old.join("log").is_dir() && results(&out) == "1");
}

#[test]
fn a_link_is_followed_and_stays() {
    let folder = TempDir::new().unwrap();
    let (out, disk) = (folder.path().join("out"), folder.path().join("disk"));
    fs::create_dir_all(disk.join("big")).unwrap();
    symlink("disk/big", &out).unwrap();
    for path in [out.clone(), folder.path().join("out/")] {
        ended_run(&path, "1");
        ended_run(&path, "2");
        assert_eq!(fs::read_link(&out).unwrap(), Path::new("disk/big"));
        assert_eq!((results(&disk.join("big")).as_str(), results(&disk.join("big.old")).as_str()), ("2", "1"));
        assert!(!folder.path().join("out.old").exists());
    }
}

#[test]
fn a_link_to_nothing_is_said_to_be_one() {
    let folder = TempDir::new().unwrap();
    symlink("nowhere", folder.path().join("out")).unwrap();
    assert!(refused(&folder.path().join("out")).contains("out is a link to nowhere: No such file"));
}

#[test]
fn an_empty_folder_is_written_where_it_is() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(folder.path().join("out.old"), MINE).unwrap();
    ended_run(&out, "1");
    assert_eq!(fs::read_to_string(folder.path().join("out.old")).unwrap(), MINE);
}

#[test]
fn a_run_of_a_version_that_left_no_mark_is_replaced() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    ended_run(&out, "{\n  \"schema_version\": 1,\n  \"dj_regress\": \"0.1.0\",\n  \"cases\": []\n}\n");
    fs::write(out.join("lock"), "").unwrap();
    ended_run(&out, "2");
    assert!(results(&folder.path().join("out.old")).contains("0.1.0"));
}

#[test]
fn a_file_where_the_folder_should_be_is_said_to_be_one() {
    let context = Context::new().planted("verdicts");
    fs::write(context.path("afile"), MINE).unwrap();
    for (path, command) in [
        ("afile", "run --output-dir afile verdicts/proven"),
        ("afile", "matrix --output-dir afile/out --releases 1.9.0 verdicts/proven"),
        ("afile", "run --output-dir afile/a/b verdicts/proven"),
    ] {
        let said = context.run(command);
        assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{said}");
        assert_eq!(said.stderr, format!("error: `{path}` is a file\nhint: name another folder with `--output-dir`\n"));
    }
    assert_eq!(fs::read_to_string(context.path("afile")).unwrap(), MINE);
}

#[test]
fn many_who_want_the_same_folder_at_once_are_told_apart() {
    let folder = TempDir::new().unwrap();
    for out in [folder.path().join("new"), folder.path().join("empty"), folder.path().join("used")] {
        match out.file_name().unwrap().to_str() {
            Some("empty") => fs::create_dir(&out).unwrap(),
            Some("used") => ended_run(&out, "0"),
            _ => {}
        }
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| OutputDirectory::create(&out))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().filter(|output| output.is_ok()).count(), 1, "{}: {all:?}", out.display());
    }
}
