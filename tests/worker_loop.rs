//! A process from a bare interpreter to a zygote: imports, settings, code, forks.

mod worker;

use std::fs;
use std::path::Path;
use std::process::Command;

use dj_regress_protocol::{Fork, Reply, Request};
use serde_json::json;
use worker::{Controller, no_settings, text};

#[test]
fn a_copy_leads_its_own_session_under_its_own_name() {
    let (controller, mut zygote) = Controller::start();
    let copy = controller.fork(&mut zygote, "copy");
    assert_ne!(copy.hello.pid, zygote.hello.pid);
    assert_eq!(copy.hello.python, zygote.hello.python);
    let stat = fs::read_to_string(format!("/proc/{}/stat", copy.hello.pid)).expect("a live process");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let (parent, session) = (fields[1], fields[3]);
    assert_eq!(session, copy.hello.pid.to_string());
    assert_ne!(parent, zygote.hello.pid.to_string(), "it is the supervisor's child");
}

#[test]
fn copies_do_not_share_their_random_numbers() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut one) = controller.actor(&mut zygote, worker::python(""));
    let mut other = controller.enter(&mut zygote, &arm, "other", worker::python(""));
    let draw = "__import__('random').random()";
    assert_ne!(one.read(draw), other.read(draw));
}

#[test]
fn a_process_is_prepared_once_and_an_actor_is_not_forked() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let failed = zygote.prepare(controller.prepare(no_settings())).expect_err("prepared twice");
    assert_eq!(failed.message, "this process is prepared already: fork another one");
    let (_arm, mut actor) = controller.actor(&mut zygote, worker::python(""));
    let failed = actor.fails(&Request::Fork(Fork { name: "copy".into() }));
    assert_eq!(failed.message, "an actor cannot be forked: fork its zygote instead");
}

#[test]
fn a_failed_import_comes_back_with_its_class() {
    let (_controller, mut peer) = Controller::start();
    let failed = peer.fails(&Request::Import(vec!["json".into(), "no_such_module".into()]));
    assert_eq!(failed.exception, "ModuleNotFoundError");
    assert_eq!(failed.message, "No module named 'no_such_module'");
    assert_eq!(peer.ask(&Request::Import(vec!["json".into()])), Reply::Done);
}

#[test]
fn a_name_that_the_code_lacks_fails_prepare_as_import_error() {
    let (controller, mut peer) = Controller::start();
    controller.module("broken", "from shop.settings import *\nfrom json import no_such_name\n");
    let mut prepare = controller.prepare(no_settings());
    prepare.settings_module = "broken".into();
    let failed = peer.prepare(prepare).expect_err("an import error");
    assert_eq!(failed.exception, "ImportError");
    assert!(failed.traceback.contains("app/broken.py\", line 2"), "{}", failed.traceback);
}

#[test]
fn a_step_before_the_arm_is_refused() {
    let (_controller, mut peer) = Controller::start();
    let failed = peer.fails(&Request::Migrate);
    assert_eq!(failed.message, "migrate: this process has not entered an arm");
}

#[test]
fn a_process_with_a_second_thread_is_not_forked() {
    let (controller, mut peer) = Controller::start();
    let source = "from shop.settings import *\nimport threading\n\
                  threading.Thread(target=threading.Event().wait, daemon=True).start()\n";
    controller.module("threaded", source);
    let mut prepare = controller.prepare(no_settings());
    prepare.settings_module = "threaded".into();
    peer.prepare(prepare).expect("it is set up");
    let failed = peer.fails(&Request::Fork(Fork { name: "copy".into() }));
    assert_eq!(failed.exception, "RuntimeError");
    assert!(failed.message.starts_with("cannot fork with 2 threads"), "{}", failed.message);
}

#[test]
fn a_connection_opened_during_set_up_is_refused() {
    let (controller, mut peer) = Controller::start();
    let source = "from django.apps import AppConfig\nclass Eager(AppConfig):\n    name = 'eager'\n    \
                  def ready(self):\n        from django.db import connection\n        \
                  connection.ensure_connection()\n";
    controller.module("eager", source);
    let mut prepare = controller.prepare(json!({
        "INSTALLED_APPS": ["eager.Eager"],
        "DATABASES": {"default": {"NAME": ":memory:"}},
    }));
    prepare.watch.clear();
    let failed = peer.prepare(prepare).expect_err("an open connection");
    assert!(failed.message.starts_with("the app opened a connection to default"), "{}", failed.message);
}

#[test]
fn a_case_s_settings_are_merged_over_the_app_s() {
    let (controller, mut zygote) = Controller::zygote(json!({
        "Q_CLUSTER": {"retry": 90, "guard_cycle": 2},
        "INVENTED": [1, null],
        "ALLOWED_HOSTS": ["here"],
    }));
    let (_arm, mut actor) = controller.actor(&mut zygote, worker::python(""));
    assert_eq!(
        actor.read("settings.Q_CLUSTER"),
        json!({"mapping": {"name": "shop", "orm": "default", "workers": 1, "timeout": 30, "retry": 90, "guard_cycle": 2}}),
    );
    assert_eq!(actor.read("settings.INVENTED, settings.ALLOWED_HOSTS"), json!([[1, null], ["here"]]));
    assert_eq!(actor.read("Conf.RETRY"), json!(90));
}

#[test]
fn a_fingerprint_is_the_hash_that_the_protocol_defines() {
    let (controller, mut peer) = Controller::start();
    let folder = controller.folder.path().join("app/watched");
    fs::create_dir_all(folder.join("a/__pycache__")).expect("folders");
    fs::write(folder.join("__init__.py"), "x = 1\n").expect("a file");
    fs::write(folder.join("a/__init__.py"), "").expect("a file");
    fs::write(folder.join("a.py"), "y = 2\n").expect("a file");
    fs::write(folder.join("a/__pycache__/b.py"), "left out").expect("a file");
    fs::write(folder.join("data.txt"), "left out").expect("a file");
    let mut prepare = controller.prepare(no_settings());
    prepare.watch = vec!["watched".into()];
    let prepared = peer.prepare(prepare).expect("a zygote");

    let mut hasher = blake3::Hasher::new();
    for (path, source) in [("__init__.py", "x = 1\n"), ("a.py", "y = 2\n"), ("a/__init__.py", "")] {
        hasher.update(path.as_bytes());
        hasher.update(&[0]);
        hasher.update(&(source.len() as u64).to_le_bytes());
        hasher.update(source.as_bytes());
    }
    assert_eq!(prepared.code["watched"].hash, hasher.finalize().to_hex().to_string());
    assert_eq!(prepared.code["watched"].path, text(&folder));
    assert_eq!(prepared.guard_cycle, Some(0.5));
    assert_eq!(prepared.versions["django-q2"], "1.9.0");
}

#[test]
fn an_overlay_wins_and_only_migrations_change_the_template() {
    let (plain, mut peer) = Controller::start();
    let installed = peer.prepare(plain.prepare(no_settings())).expect("a zygote");

    let (edited, mut peer) = Controller::start();
    let overlay = edited.folder.path().join("overlay");
    copy(&installed.code["django_q"].path, &overlay);
    append(&overlay.join("django_q/status.py"), "# edited\n");
    let mut prepare = edited.prepare(no_settings());
    prepare.sys_path.insert(0, text(&overlay));
    let changed = peer.prepare(prepare).expect("a zygote");
    assert_eq!(changed.code["django_q"].path, text(&overlay.join("django_q")));
    assert_ne!(changed.code["django_q"].hash, installed.code["django_q"].hash);
    assert_eq!(changed.code["shop"], installed.code["shop"]);
    assert_eq!(changed.template, installed.template);

    let (migrated, mut peer) = Controller::start();
    append(&overlay.join("django_q/migrations/0001_initial.py"), "# edited\n");
    let mut prepare = migrated.prepare(no_settings());
    prepare.sys_path.insert(0, text(&overlay));
    let changed = peer.prepare(prepare).expect("a zygote");
    assert_ne!(changed.template, installed.template);
}

fn copy(package: &str, target: &Path) {
    fs::create_dir_all(target).expect("a folder");
    let status = Command::new("cp").arg("-r").arg(package).arg(target).status();
    assert!(status.expect("cp").success());
}

fn append(file: &Path, line: &str) {
    let source = fs::read_to_string(file).expect("a source file");
    fs::write(file, source + line).expect("a write");
}
