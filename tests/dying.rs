//! What is said of a process that ends when it should not.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use common::{PROGRAM, Room};
use dj_regress::actor::{Folders, Tree, Worlds, worker};
use dj_regress::python::Environment;

#[tokio::test]
async fn an_interpreter_that_ends_at_once_is_named_with_its_exit_code_and_what_it_said() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let python = room.base().join("python");
    std::fs::write(&python, "#!/bin/sh\necho it is broken >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let worker = worker::package(&room.cache).unwrap();
    let run = run_directory.path().to_owned();
    let worlds = Worlds::find_by_program(Path::new(PROGRAM), &run).unwrap();
    let folders = Folders { logs: run.clone(), code: room.cache.root().to_owned(), run, worker };
    let tree = Tree::new(supervisor.clone(), worlds, folders, Arc::clone(run_directory.clocks())).unwrap();
    let environment =
        Environment { id: "broken".to_owned(), python: python.clone(), site_packages: room.base().to_owned() };
    let error = tree.warm(&environment, &BTreeMap::new()).await.unwrap_err().to_string();
    assert_eq!(error, format!("{} ended at once (exit code 1): it is broken", python.display()));
    supervisor.shutdown().await.unwrap();
}
