//! The cache folder.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};

use dj_regress::cache::Cache;
use dj_regress::error::Error;

#[test]
fn a_directory_is_built_once_by_many_who_want_it() {
    let folder = tempfile::tempdir().unwrap();
    let built = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = Cache::at(folder.path()).unwrap();
                let directory = cache
                    .directory("worker/abc", |path| {
                        built.fetch_add(1, Ordering::SeqCst);
                        std::fs::write(path.join("module.so"), "x").unwrap();
                        Ok(())
                    })
                    .unwrap();
                assert!(directory.join("module.so").is_file());
            });
        }
    });
    assert_eq!(built.into_inner(), 1);
}

#[test]
fn a_directory_whose_builder_failed_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let failed = cache.directory("worker/abc", |path| {
        std::fs::write(path.join("half"), "x").unwrap();
        Err(Error::cannot_run("no"))
    });
    assert!(failed.is_err());
    assert_eq!(std::fs::read_dir(cache.path("worker")).unwrap().count(), 0);
    assert!(cache.directory("worker/abc", |_| Ok(())).unwrap().is_dir());
}

#[test]
fn what_a_dead_builder_left_is_removed_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    std::fs::create_dir_all(cache.path("worker/.abc.left")).unwrap();
    cache.directory("worker/abc", |_| Ok(())).unwrap();
    assert!(!cache.path("worker/.abc.left").exists());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_an_error_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Cache::at(&file.join("cache")).unwrap_err();
    assert!(error.hint.unwrap().contains("DJ_REGRESS_CACHE"));
}
