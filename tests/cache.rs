//! The cache folder.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dj_regress::cache::Cache;
use dj_regress::error::Error;
use serde_json::json;

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

/// A docker daemon that has one image that we have made, and tells which requests it had.
fn daemon_with_an_image(socket: &Path) -> Arc<Mutex<Vec<String>>> {
    let (listener, asked) = (UnixListener::bind(socket).unwrap(), Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let Some(request) = head.first() else { continue };
            let image = json!({
                "Id": "sha256:1", "ParentId": "", "RepoTags": [MADE], "RepoDigests": [], "Created": 0, "Size": 0,
                "SharedSize": 0, "Labels": {}, "Containers": 0,
            });
            let body = match request {
                request if request.contains("/version") => json!({"Version": "1.2.3", "ApiVersion": "1.41"}),
                request if request.contains("/images/json") => json!([image]),
                request if request.starts_with("DELETE") => json!([]),
                _ => json!({"Id": "sha256:1", "Config": {"Labels": {"dj-regress.made": "postgres:17"}}}),
            };
            let (body, request) = (body.to_string(), request.clone());
            heard.lock().unwrap().push(request);
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    asked
}

/// The name of that image.
const MADE: &str = "dj-regress/initialised:0123456789abcdef";

#[test]
fn clean_removes_images_that_hold_what_was_initialised_only_with_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, cache) = (folder.path().join("docker.sock"), folder.path().join("cache"));
    let asked = daemon_with_an_image(&socket);
    let clean = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dj-regress"));
        command.arg("clean").args(arguments).env("DOCKER_HOST", format!("unix://{}", socket.display()));
        let output = command.env(dj_regress::cache::VARIABLE, &cache).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!clean(&[]).contains("image"));
    assert_eq!(asked.lock().unwrap().len(), 0, "nobody has asked for it");
    let said = clean(&["--cache"]);
    assert!(said.contains(&format!("removed the image {MADE}\n")) && !cache.exists(), "{said}");
    let asked = asked.lock().unwrap();
    let listed = asked.iter().find(|request| request.contains("/images/json")).unwrap();
    assert!(listed.contains("dj-regress.made"), "only those are looked for: {listed}");
    let removed: Vec<_> = asked.iter().filter(|request| request.starts_with("DELETE")).collect();
    assert!(removed.len() == 1 && removed[0].contains("/images/dj-regress/initialised"), "{asked:?}");
}
