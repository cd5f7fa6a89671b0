//! What is kept between runs is damaged: it is made again, or the message says what to do.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dj_regress::cache::{Cache, VARIABLE};
use support::{Context, Said, said};

/// Runs with this cache.
fn run(context: &Context, cache: &Path) -> Said {
    said(context.command("run verdicts/proven").env(VARIABLE, cache))
}

/// A cache of the test's own, filled by a run; the tools are those of the user's.
fn warm(context: &Context) -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    let shared = Cache::open().unwrap();
    fs::create_dir_all(shared.path("tools")).unwrap();
    symlink(shared.path("tools"), cache.path().join("tools")).unwrap();
    run(context, cache.path()).ok();
    cache
}

/// The files below a folder that end so, the largest first.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().to_string_lossy().ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    assert!(!found.is_empty(), "nothing in {} ends with {ending}", folder.display());
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    found
}

/// Puts half of a file in its place. Not in place: uv links what it installs, and others must keep theirs.
fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let half = path.with_extension("half");
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    fs::set_permissions(&half, path.metadata().unwrap().permissions()).unwrap();
    fs::rename(&half, path).unwrap();
}

/// The data directory that servers are started from.
fn generation(cache: &Path) -> PathBuf {
    let versions = fs::read_dir(cache.join("postgres")).unwrap().flatten();
    versions.map(|version| version.path().join("current")).find(|current| current.exists()).unwrap()
}

/// The database with the highest number: a template.
fn template(cache: &Path) -> PathBuf {
    let databases = fs::read_dir(generation(cache).join("data/base")).unwrap().flatten();
    let number = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().parse::<u32>().unwrap_or_default();
    databases.map(|database| database.path()).max_by_key(number).unwrap()
}

#[test]
fn what_is_damaged_in_the_cache_is_made_again() {
    let context = Context::new().planted("verdicts");
    let cache = warm(&context);
    let cache = cache.path();
    let environments = cache.join("environments");
    let damages: [(&str, &dyn Fn()); 8] = [
        ("a file of a package", &|| fs::remove_file(&files(&environments, "django_q/cluster.py")[0]).unwrap()),
        ("a library that is cut", &|| cut(&files(&environments, ".so")[0])),
        ("an interpreter that is gone", &|| {
            let python = files(&environments, "bin/python").remove(0);
            fs::remove_file(&python).unwrap();
            symlink("/nowhere/python3", &python).unwrap();
        }),
        ("the harness's own library, cut", &|| cut(&files(&cache.join("worker"), ".so")[0])),
        ("a file of the shop", &|| fs::remove_file(&files(&cache.join("shop"), "tasks.py")[0]).unwrap()),
        ("an overlay, cut", &|| cut(&files(&cache.join("overlays"), "tasks.py")[0])),
        ("a server's own files", &|| cut(&files(&generation(cache).join("data/base/1"), "")[0])),
        ("a template that is gone", &|| fs::remove_dir_all(template(cache)).unwrap()),
    ];
    for (what, damage) in damages {
        damage();
        let healed = run(&context, cache);
        assert_eq!(healed.code, Some(0), "{what}: {healed}");
        // For good.
        let after = run(&context, cache);
        assert_eq!((after.code, after.stderr.as_str()), (Some(0), ""), "{what}: {after}");
    }
}

#[test]
fn a_template_that_is_cut_is_made_again() {
    let context = Context::new().planted("verdicts");
    let cache = warm(&context);
    cut(&files(&template(cache.path()), "")[0]);
    run(&context, cache.path()).ok();
    run(&context, cache.path()).ok();
}

#[test]
fn a_lock_that_is_cut_is_made_again_or_says_what_to_do() {
    let context = Context::new().planted("verdicts");
    let lock = context.path("cases/locks/django-5.2.x_django-q2-1.9.0.txt");
    cut(&lock);
    let said = context.run("run verdicts/proven");
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("is damaged: a part of it is missing"), "{said}");
    assert!(said.stderr.contains("run once without `--frozen`"), "{said}");
}
