//! `clean --cache` removes a cache that is ours alone, and nothing else; a cache in which others can write is not used.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dj_regress::cache::{Cache, VARIABLE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use rstest::rstest;
use support::{Context, PROGRAM, Said, eventually, said, skip};
use tempfile::TempDir;

/// Of all below a folder: links with where they lead, files with what they hold, folders.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, kind) = (entry.as_ref().unwrap().path(), entry.unwrap().file_type().unwrap());
            let content = if kind.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if kind.is_dir() {
                folders.push(path.clone());
                b"a folder".to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path, content);
        }
    }
    found
}

/// The program with this cache, and this folder as its home.
fn with_cache(arguments: &str, cache: &Path, home: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments.split(' ')).stdin(Stdio::null()).current_dir(home);
    // No daemon is asked for images.
    command.env(VARIABLE, cache).env("HOME", home).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command
}

fn clean(cache: &Path, home: &Path) -> Said {
    said(&mut with_cache("clean --cache", cache, home))
}

/// A cache with something in it.
fn filled(folder: &Path) -> PathBuf {
    let cache = Cache::at(&folder.join("cache")).unwrap();
    cache
        .directory("environments/0123456789abcdef", |path| {
            fs::write(path.join("pyvenv.cfg"), "x").unwrap();
            Ok(())
        })
        .unwrap();
    cache.root().to_owned()
}

#[test]
fn a_cache_is_removed_whole_and_what_is_beside_it_stays() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let before = tree(folder.path());
    let cache = filled(folder.path());
    assert_eq!(clean(&cache, folder.path()).ok(), format!("removed {}\n", cache.display()));
    assert_eq!(tree(folder.path()), before);
    assert_eq!(clean(&cache, folder.path()).ok(), "nothing to clean\n");
    assert_eq!(tree(folder.path()), before, "and none is made to be removed");
}

#[test]
fn a_cache_of_a_version_that_marked_none_is_removed() {
    let folder = TempDir::new().unwrap();
    let cache = filled(folder.path());
    fs::remove_file(cache.join("CACHEDIR.TAG")).unwrap();
    clean(&cache, folder.path()).ok();
    assert!(!cache.exists());
}

/// What makes a folder none that may be removed, and what is said of it.
#[rstest]
#[case::other_content(|cache: &Path| fs::write(cache.join("notes.txt"), "mine").unwrap(), "holds `notes.txt`")]
#[case::a_repository(|cache: &Path| fs::create_dir(cache.join(".git")).unwrap(), "holds `.git`")]
#[case::a_link_in_it(|cache: &Path| symlink("/usr/lib", cache.join("wheels")).unwrap(), "holds `wheels`")]
#[case::a_file_in_place_of_a_folder(|cache: &Path| fs::write(cache.join("uv"), "mine").unwrap(), "holds `uv`")]
#[case::another_mark(
    |cache: &Path| fs::write(cache.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap(),
    "holds `CACHEDIR.TAG`"
)]
#[case::locks_of_a_project(
    |cache: &Path| {
        fs::remove_file(cache.join("CACHEDIR.TAG")).unwrap();
        fs::write(cache.join("locks/django.txt"), "django==5.2").unwrap();
    },
    "it has no CACHEDIR.TAG"
)]
#[case::others_write_to_it(
    |cache: &Path| fs::set_permissions(cache, Permissions::from_mode(0o777)).unwrap(),
    "other users can write to the cache folder"
)]
fn a_folder_that_is_not_a_cache_alone_is_left_as_it_is(#[case] spoil: fn(&Path), #[case] expected: &str) {
    let folder = TempDir::new().unwrap();
    let cache = filled(folder.path());
    spoil(&cache);
    let before = tree(folder.path());
    let said = clean(&cache, folder.path());
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
    assert!(said.stderr.contains(expected) && said.stderr.contains("\nhint: "), "{said}");
    assert_eq!(tree(folder.path()), before);
}

/// Somebody may keep what is large on another disk.
#[test]
fn a_cache_with_links_in_place_of_folders_is_used() {
    let folder = TempDir::new().unwrap();
    let (cache, disk) = (folder.path().join("cache"), folder.path().join("disk"));
    fs::create_dir_all(&disk).unwrap();
    fs::create_dir_all(&cache).unwrap();
    symlink(&disk, cache.join("environments")).unwrap();
    let cache = Cache::at(&cache).unwrap();
    cache.directory("environments/0123456789abcdef", |_| Ok(())).unwrap();
    assert!(disk.join("0123456789abcdef").is_dir());
}

#[rstest]
#[case::link("link")]
#[case::link_with_a_slash("link/")]
fn nothing_is_removed_through_a_link(#[case] name: &str) {
    let folder = TempDir::new().unwrap();
    let cache = filled(folder.path());
    symlink(&cache, folder.path().join("link")).unwrap();
    let before = tree(folder.path());
    let said = clean(&folder.path().join(name), folder.path());
    assert!(said.code == Some(2) && said.stderr.contains("link is a link to "), "{said}");
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_home_directory_is_never_a_cache_not_even_an_empty_one() {
    let folder = TempDir::new().unwrap();
    for (home, cache) in [(folder.path().to_owned(), folder.path()), (folder.path().join("home"), folder.path())] {
        fs::create_dir_all(&home).unwrap();
        for arguments in ["clean --cache", "doctor"] {
            let said = said(&mut with_cache(arguments, cache, &home));
            assert!(said.code == Some(2) && said.stderr.contains("your home directory"), "{said}");
        }
        assert!(!folder.path().join("locks").exists());
    }
    let said = clean(Path::new("/"), folder.path());
    assert!(said.code == Some(2) && said.stderr.contains("the root of the file system"), "{said}");
}

#[test]
fn a_folder_with_other_content_is_not_used_as_a_cache() {
    let folder = TempDir::new().unwrap();
    let project = folder.path().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("manage.py"), "mine").unwrap();
    let before = tree(folder.path());
    let said = said(&mut with_cache("doctor", &project, folder.path()));
    assert!(said.code == Some(2) && said.stderr.contains("it holds `manage.py`"), "{said}");
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_run_that_goes_on_keeps_its_cache() {
    let context = Context::new().planted("verdicts");
    let cache = context.path("cache");
    let mut run = context.command("run verdicts/proven");
    let mut run = run.env(VARIABLE, &cache).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The environment has to be installed: that takes a while.
    eventually("the run has made its cache", || cache.join("tools").is_dir() || cache.join("environments").is_dir());
    let said = clean(&cache, &context.path(""));
    assert!(said.code == Some(2) && said.stderr.contains("a run is using the cache"), "{said}");
    assert!(cache.join("CACHEDIR.TAG").is_file() && run.try_wait().unwrap().is_none());
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    clean(&cache, &context.path("")).ok();
    assert!(!cache.exists());
}

#[rstest]
#[case::of_the_cache("", 0o775)]
#[case::of_all("", 0o757)]
#[case::of_a_folder_in_it("environments", 0o775)]
fn a_cache_to_which_others_can_write_is_not_used(#[case] part: &str, #[case] mode: u32) {
    let context = Context::new().planted("verdicts");
    let cache = filled(&context.path(""));
    fs::set_permissions(cache.join(part), Permissions::from_mode(mode)).unwrap();
    for arguments in ["run verdicts/proven", "doctor", "matrix verdicts/proven --releases 1.9.0"] {
        let said = said(context.command(arguments).env(VARIABLE, &cache));
        assert!(said.code == Some(2) && said.stderr.contains("other users can write to the cache folder"), "{said}");
        assert!(said.stderr.contains("chmod -R go-w"), "{said}");
    }
}

#[test]
fn a_cache_of_another_user_is_not_used() {
    if !Uid::effective().is_root() {
        return skip("only root can give a folder to another user");
    }
    let folder = TempDir::new().unwrap();
    let cache = filled(folder.path());
    chown(&cache, Some(65534), Some(65534)).unwrap();
    for arguments in ["doctor", "clean --cache"] {
        let said = said(&mut with_cache(arguments, &cache, folder.path()));
        assert!(said.code == Some(2) && said.stderr.contains("belongs to another user (uid 65534)"), "{said}");
    }
}

/// As on machines where each user has a group of their own.
#[test]
fn a_cache_that_is_made_with_a_loose_umask_is_private_all_the_same() {
    let folder = TempDir::new().unwrap();
    let cache = folder.path().join("cache");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$0\" doctor", PROGRAM]).env(VARIABLE, &cache).env("HOME", folder.path());
    said(&mut shell);
    for folder in [cache.clone(), cache.join("locks")] {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o022, 0, "{}", folder.display());
    }
    said(&mut with_cache("doctor", &cache, folder.path()));
    clean(&cache, folder.path()).ok();
}
