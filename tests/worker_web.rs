//! Web actors: pages are served beside the message loop, and every request is in the journal.

mod worker;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dj_regress_protocol::{ActorKind, Reply, Request, Serve};
use rstest::rstest;
use serde_json::{Value, json};
use worker::{Controller, Site, text};

/// When a clock stands in these tests.
const BEGINNING: &str = "Mon, 05 Jan 2026 09:00:00 GMT";
const A_DAY_LATER: &str = "Tue, 06 Jan 2026 09:00:00 GMT";
const DAY: Duration = Duration::from_hours(24);

#[test]
fn an_actor_that_serves_is_ready_and_answers_for_its_user_alone() {
    let site = Site::serving(4, Vec::new());
    let mode = fs::metadata(&site.socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let page = site.browser().get("/hello?name=you");
    assert_eq!((page.status, page.body.as_str()), (200, "hello you"));
    assert_eq!(site.browser().get("/nowhere").status, 404);
    let mut proxy = site.browser();
    proxy.write("GET /forwarded HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert_eq!(proxy.page().body, "192.0.2.1", "what a proxy says is for the app");
    assert_eq!(site.arm.log(), "", "no noise");
}

#[test]
fn sixteen_requests_are_handled_side_by_side_by_sixteen_threads_and_the_loop_answers_meanwhile() {
    let mut site = Site::serving(16, Vec::new());
    // Each waits for all others.
    let mut waiting = site.browsers(15, "/meet");
    assert_eq!(site.web.read("settings.ROOT_URLCONF"), json!("poll.urls"));
    site.web.python("from poll import views");
    worker::eventually("fifteen wait", || site.web.read("views.together.n_waiting") == json!(15));
    assert_eq!(site.browser().get("/meet").body, "met");
    for browser in &mut waiting {
        assert_eq!(browser.page().body, "met");
    }
    assert_eq!(site.requests().len(), 32);
}

#[test]
fn serving_twice_is_refused_and_does_no_harm() {
    let mut site = Site::serving(1, Vec::new());
    let Reply::Failed(failed) = site.serve(1) else { panic!("it served twice") };
    assert_eq!(failed.message, "this actor serves already");
    assert_eq!(site.browser().get("/hello").status, 200);
}

#[test]
fn without_waitress_serving_fails_and_says_so() {
    let (controller, mut zygote) = Controller::start();
    controller.module("waitress", "raise ModuleNotFoundError(\"No module named 'waitress'\", name='waitress')");
    zygote.prepare(controller.prepare(json!({}))).expect("a zygote");
    let (_arm, mut web) = controller.actor(&mut zygote, ActorKind::Web);
    let socket = text(&controller.folder.path().join("web.sock"));
    let failed = web.fails(&Request::Serve(Serve { socket, threads: 1 }));
    assert_eq!(failed.message, "waitress is not installed here: an actor that serves needs it");
    assert_eq!(web.read("1 + 1"), json!(2));
}

#[test]
fn pages_that_cannot_be_imported_fail_serving() {
    let (controller, mut zygote) = Controller::start();
    let files = [("__init__.py", ""), ("urls.py", "from poll.views import no_such_view"), ("views.py", "")];
    controller.poll(&mut zygote, &files, json!({})).expect("a zygote");
    let (_arm, mut web) = controller.actor(&mut zygote, ActorKind::Web);
    let socket = text(&controller.folder.path().join("web.sock"));
    let failed = web.fails(&Request::Serve(Serve { socket, threads: 1 }));
    assert_eq!(failed.exception, "ImportError");
    assert!(failed.message.contains("no_such_view"), "{}", failed.message);
}

#[test]
fn the_project_s_own_application_is_served_and_its_logging_does_not_silence_waitress() {
    // A wsgi.py has Django set up again, and logging with it.
    let own = "from django.core.wsgi import get_wsgi_application\n\
               inner = get_wsgi_application()\n\
               def application(environ, start_response):\n    \
                   if environ['PATH_INFO'] == '/own':\n        \
                       start_response('299 Own', [('Content-Length', '3')])\n        return [b'own']\n    \
                   if environ['PATH_INFO'] == '/wrong':\n        raise LookupError('wrong')\n    \
                   return inner(environ, start_response)\n";
    let settings = json!({
        "WSGI_APPLICATION": "own.application",
        "LOGGING": {"version": 1, "root": {"level": "DEBUG"}},
    });
    let mut site = Site::new(settings, Vec::new());
    site.controller.module("own", own);
    assert_eq!(site.serve(2), Reply::Done);
    assert_eq!(site.browser().get("/own").status, 299);
    assert_eq!(site.browser().get("/hello").body, "hello ");
    assert_eq!(site.browser().get("/wrong").status, 500);
    assert_eq!(site.requests(), ["GET /own", "299 /own", "GET /hello", "200 /hello", "GET /wrong", "500 /wrong"]);
    assert!(site.arm.log().contains("LookupError: wrong"), "{}", site.arm.log());
}

#[test]
fn every_request_is_in_the_journal_before_its_answer_is_all_there() {
    let site = Site::serving(2, Vec::new());
    let mut browser = site.browser();
    let mut expected = Vec::new();
    for (path, status) in [("/hello?name=x&n=1", 200), ("/nowhere", 404), ("/fail", 500), ("/stream", 200)] {
        assert_eq!(browser.get(path).status, status);
        expected.extend([format!("GET {path}"), format!("{status} {path}")]);
        assert_eq!(site.requests(), expected);
        if path == "/stream" {
            // It has no length: waitress closes the connection, so that the browser sees its end.
            browser = site.browser();
        }
    }
    browser.write("HEAD /hello HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert_eq!(browser.head().status, 200);
    assert_eq!(site.requests()[8..], ["HEAD /hello", "200 /hello"]);
    let log = site.arm.log();
    assert_eq!(log.matches("RuntimeError: as asked").count(), 1, "{log}");
}

#[rstest]
#[case::with_a_length("GET", "('Content-Length', '2')", json!([["a", null], ["b", 200]]))]
#[case::without("GET", "('X-Other', '2')", json!([["a", null], ["b", null], [null, 200]]))]
#[case::whose_body_nobody_wants("HEAD", "('X-Other', '2')", json!([["a", 200], ["b", 200]]))]
fn the_end_of_an_answer_is_told_no_later_than_with_its_last_byte(
    #[case] method: &str,
    #[case] header: &str,
    #[case] expected: Value,
) {
    let mut site = Site::new(Value::Null, Vec::new());
    site.web.python(&format!(
        "from dj_regress.web import Recorded\ntold = [None]\n\
         class Journal:\n    \
             def requested(self, method, path): return 'the first'\n    \
             def answered(self, request, status): told.append(status)\n\
         def application(environ, start_response):\n    \
             assert 'wsgi.file_wrapper' not in environ\n    \
             start_response('200 OK', [{header}])\n    return ['a', 'b']\n\
         environ = {{'REQUEST_METHOD': '{method}', 'REQUEST_URI': '/', 'wsgi.file_wrapper': iter}}\n\
         answer = Recorded(application, Journal())(environ, lambda *_: None)\n\
         seen = [[chunk, told[-1]] for chunk in answer]\n\
         seen += [[None, told[-1]]] if seen[-1][1] is None else []\n\
         answer.close()"
    ));
    assert_eq!(site.web.read("seen"), expected);
    assert_eq!(site.web.read("told"), json!([null, 200]), "once");
}

#[rstest]
#[case::before_anything_was_given(0, 500)]
#[case::after_a_part(1, 200)]
fn an_answer_that_breaks_off_has_the_status_that_the_browser_saw(#[case] after: u32, #[case] status: u16) {
    let site = Site::serving(1, Vec::new());
    let path = format!("/break_off/{after}");
    let mut browser = site.browser();
    browser.send(&path);
    assert_eq!(browser.head().status, status);
    worker::eventually("it is answered", || site.requests().len() == 2);
    assert_eq!(site.requests(), [format!("GET {path}"), format!("{status} {path}")]);
    worker::eventually("waitress has told of it", || site.arm.log().contains("RuntimeError: broken off"));
    assert_eq!(site.browser().get("/hello").status, 200);
}

#[test]
fn a_clock_that_jumps_by_a_day_closes_no_kept_connection() {
    let site = Site::serving(1, Vec::new());
    let mut kept = site.browser();
    let mut begun = site.browser();
    assert_eq!(kept.get("/hello").header("date"), Some(BEGINNING));
    begun.write("GET /hello HTTP/1.1\r\nHost:");
    // The one thread is done with what came before, and waitress has heard all of it.
    assert_eq!(site.browser().get("/hello").status, 200);
    site.arm.advance(DAY);
    assert_eq!(site.browser().get("/hello").header("date"), Some(A_DAY_LATER));
    assert_eq!(kept.get("/hello").header("date"), Some(A_DAY_LATER));
    begun.write(" shop\r\n\r\n");
    assert_eq!(begun.page().status, 200);
}

#[test]
fn the_case_s_own_app_is_installed_and_its_urls_are_the_root() {
    let (plain, mut peer) = Controller::start();
    let without = peer.prepare(plain.prepare(json!({}))).expect("a zygote").template;

    let mut templates = vec![without];
    for migration in [None, Some(MIGRATION.to_owned()), Some(format!("{MIGRATION}# edited\n"))] {
        let (controller, mut zygote) = Controller::start();
        let mut files = worker::POLL.to_vec();
        if let Some(migration) = &migration {
            files.extend([("migrations/__init__.py", ""), ("migrations/0001_initial.py", migration.as_str())]);
        }
        let prepared = controller.poll(&mut zygote, &files, json!({})).expect("a zygote");
        assert!(!templates.contains(&prepared.template), "{migration:?} has a template of its own");
        templates.push(prepared.template);
        let (_arm, mut actor) = controller.actor(&mut zygote, worker::python(""));
        assert_eq!(actor.read("settings.INSTALLED_APPS[-2:]"), json!(["shop", "poll"]));
        assert_eq!(actor.read("settings.ROOT_URLCONF"), json!("poll.urls"));
    }
}

/// A migration without operations.
const MIGRATION: &str = "from django.db import migrations\nclass Migration(migrations.Migration):\n    pass\n";

#[rstest]
#[case::named_by_the_case(&worker::POLL, json!({"ROOT_URLCONF": "shop.urls"}), "shop.urls", "poll")]
#[case::it_has_none(&[("__init__.py", "")], json!({}), "shop.urls", "poll")]
#[case::installed_by_its_configuration(
    &[("__init__.py", ""), ("urls.py", ""), ("apps.py", CONFIGURATION)],
    json!({"INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "shop", "poll.apps.Poll"]}),
    "poll.urls",
    "poll.apps.Poll",
)]
fn the_case_s_own_app_is_added_only_where_something_is_missing(
    #[case] files: &[(&str, &str)],
    #[case] settings: Value,
    #[case] urls: &str,
    #[case] installed: &str,
) {
    let (controller, mut zygote) = Controller::start();
    controller.poll(&mut zygote, files, settings).expect("a zygote");
    let arm = worker::Arm::create(&controller.folder.path().join("arm"), &controller.clocks);
    let mut actor = controller.enter(&mut zygote, &arm, "q", worker::python(""));
    assert_eq!(actor.read("settings.ROOT_URLCONF"), json!(urls));
    let polls = "[app for app in settings.INSTALLED_APPS if app.startswith('poll')]";
    assert_eq!(actor.read(polls), json!([installed]));
}

const CONFIGURATION: &str = "from django.apps import AppConfig\nclass Poll(AppConfig):\n    name = 'poll'\n";

#[rstest]
#[case::missing(&[], "ModuleNotFoundError", "No module named 'poll'")]
#[case::broken(&[("__init__.py", "from json import no_such_name")], "ImportError", "no_such_name")]
fn an_app_that_cannot_be_imported_fails_prepare(
    #[case] files: &[(&str, &str)],
    #[case] exception: &str,
    #[case] message: &str,
) {
    let (controller, mut zygote) = Controller::start();
    let failed = controller.poll(&mut zygote, files, json!({})).expect_err("an import error");
    assert_eq!(failed.exception, exception);
    assert!(failed.message.contains(message), "{}", failed.message);
}
