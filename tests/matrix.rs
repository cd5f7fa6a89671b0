//! Cases over releases: the table, the search, and what is skipped.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use rstest::rstest;
use serde_json::json;
use support::{Context, Said, case, said};

/// What broke once and was mended in 1.10.0.
const CASE: &str = "
settings:
  CACHES: {default: {BACKEND: django.core.cache.backends.db.DatabaseCache, LOCATION: django_cache_table}}
  Q_CLUSTER: {orm: default}
actors: {q: {cluster: simulated}, app: {python: shop.tasks}}
fixes:
  upstream: {packages: {django-q2: 1.10.0}}
steps:
  - start: q
  - python: app
    run: \"async_iter('shop.tasks.double', [1, 2, 3])\"
  - advance: 301s
  - drain: q
  - read: {release: \"__import__('django_q').VERSION[1]\"}
invariants:
  tasks:   {of: rows, table: django_q_task, applied: 1, reverted: 0}
  release: {both: 9}
";

/// The program without an index: what has no lock cannot be installed.
fn offline(context: &Context, arguments: &str) -> Command {
    let mut command = context.command(arguments);
    command.env("UV_OFFLINE", "1").env("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple");
    // Where nothing was ever resolved.
    command.env("UV_CACHE_DIR", context.path("uv"));
    command
}

fn run(context: &Context, arguments: &str) -> Said {
    said(&mut offline(context, arguments))
}

#[test]
fn a_table_says_at_which_release_a_case_flips_and_what_was_skipped() {
    let context = Context::new().case("iter", CASE);
    let _filters = context.filters();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"9\.9\.9 SKIPPED: (.|\n)*?\n# 2 runs", "9.9.9 SKIPPED: [REASON]\n# 2 runs");
    let _reason = settings.bind_to_scope();
    insta::assert_snapshot!("table", run(&context, "matrix iter --releases 1.9.0,9.9.9,1.10.0").ok());
    let locks: Vec<_> = fs::read_dir(context.path("cases/locks")).unwrap().collect();
    assert_eq!(locks.len(), fs::read_dir("cases/locks").unwrap().count(), "none was written");

    let results = context.results();
    let found = case(&results, "iter@1.10.0");
    assert_eq!(found["arms"].as_array().unwrap().len(), 1, "no fix, no control: {found:#}");
    assert_eq!((&found["verdict"], &found["arms"][0]["state"]), (&json!(null), &json!("reverted")));
    assert_eq!(found["arms"][0]["versions"]["django-q2"], "1.10.0");
    assert_eq!(case(&results, "iter@9.9.9")["verdict"], "SKIPPED");
}

#[test]
fn the_first_release_that_flips_is_searched_for() {
    let context = Context::new().case("iter", CASE);
    let said = run(&context, "bisect iter --releases 1.9.0,9.9.9,1.10.0");
    let out = said.ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..3],
        ["# iter: 3 releases of django-q2, 1.9.0 to 1.10.0", "1.9.0    broken: tasks 0", "1.10.0   fixed: tasks 1",]
    );
    assert!(lines[3].starts_with("9.9.9    SKIPPED "), "{out}");
    let answer =
        "between 1.9.0 and 1.10.0: 9.9.9 cannot be installed; broken at 1.9.0 and fixed at 1.10.0: `tasks` (2 runs)";
    assert_eq!(lines[4..], [answer]);
    assert_eq!(context.results()["cases"].as_array().unwrap().len(), 3, "the results are those of all runs");
}

#[test]
fn a_guard_can_be_searched_for_and_ends_that_are_alike_are_said_to_be() {
    let context = Context::new().case("iter", CASE);
    let out = run(&context, "bisect iter --invariant release --releases 1.9.0,1.10.0").ok();
    let answer = "1.10.0 is the first that differs: holds at 1.9.0 and fails at 1.10.0: `release` (2 runs)";
    assert_eq!(out.lines().last(), Some(answer));
    let out = run(&context, "bisect iter --releases 1.9.0").ok();
    let answer = "only 1.9.0 could be measured: there is nothing to hold it against (1 run)";
    assert_eq!(out.lines().last(), Some(answer));
}

#[test]
fn a_python_that_is_not_here_is_skipped() {
    let context = Context::new().planted("verdicts");
    let said = run(&context, "matrix verdicts/reproduced --pythons 3.99");
    assert_eq!(said.code, Some(4), "{said}");
    assert!(said.stdout.contains("# 3.99 SKIPPED: needs Python 3.99, which is not installed"), "{said}");
}

#[test]
fn an_index_that_does_not_answer_is_an_error_unless_it_did_before() {
    let context = Context::new().planted("verdicts");
    let mut command = offline(&context, "matrix verdicts/reproduced --releases 1.9.0..1.10.0");
    let failed = said(command.env("DJ_REGRESS_CACHE", context.path("cache")));
    assert_eq!(failed.code, Some(2), "{failed}");
    assert!(failed.stderr.starts_with("error: ask the package index for the releases of django-q2: "), "{failed}");
    assert!(failed.stderr.contains("hint: without an index, name the releases"), "{failed}");

    fs::create_dir_all(context.path("cache/releases")).unwrap();
    fs::write(context.path("cache/releases/django-q2.txt"), "1.8.0 \n1.9.0 yanked\n1.10.0 \n1.11.0rc1 \n").unwrap();
    let mut command = offline(&context, "matrix verdicts/reproduced --releases 1.11.0..1.12.0");
    let failed = said(command.env("DJ_REGRESS_CACHE", context.path("cache")));
    assert_eq!(failed.code, Some(4), "{failed}");
    assert!(failed.stderr.contains("these are the releases of the last time"), "{failed}");
    assert!(failed.stderr.contains("the index has 1.8.0..1.10.0"), "{failed}");
}

/// An index that answers once. Gives its address, and the first line of what it was asked.
fn index(content_type: &str, page: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/simple/", listener.local_addr().unwrap());
    let length = page.len();
    let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{page}");
    let served = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map(Result::unwrap);
        let asked = lines.next().unwrap();
        assert!(lines.any(|line| line.is_empty()), "a whole request");
        connection.write_all(answer.as_bytes()).unwrap();
        asked
    });
    (address, served)
}

#[rstest]
#[case::json(
    "application/vnd.pypi.simple.v1+json",
    r#"{"files": [{"filename": "django_q2-1.10.0-py3-none-any.whl", "yanked": false},
                  {"filename": "django_q2-1.12.0-py3-none-any.whl", "yanked": "broken"},
                  {"filename": "django_q2-1.13.0rc1-py3-none-any.whl"}, {"filename": "django_q2-1.9.0.tar.gz"}]}"#
)]
#[case::html(
    "text/html",
    r#"<a href="../x/django_q2-1.10.0-py3-none-any.whl#sha256=1-2">w</a> <a href="django-q2-1.12.0.zip" data-yanked="">z</a>
       <a href="django_q2-1.13.0rc1-py3-none-any.whl">r</a> <a href="/django_q2-1.9.0.tar.gz?x=1-1">s</a>"#
)]
fn a_range_is_of_the_final_releases_that_the_index_has_and_nobody_yanked(
    #[case] content_type: &str,
    #[case] page: &str,
) {
    let context = Context::new().planted("verdicts");
    let (address, served) = index(content_type, page);
    let mut command = offline(&context, "matrix verdicts/reproduced --package Django_Q2 --releases 1.12.0..1.13.0");
    // The list is kept: not in the cache of whoever runs this test.
    command.env("DJ_REGRESS_CACHE", context.path("cache")).env("UV_DEFAULT_INDEX", address);
    let said = said(&mut command);
    assert_eq!(said.code, Some(4), "{said}");
    let error = "error: no final release of django-q2 is among those asked for; the index has 1.9.0..1.10.0\n";
    assert_eq!(said.stderr, error);
    assert_eq!(served.join().unwrap(), "GET /simple/django-q2/ HTTP/1.1");
    assert!(!context.path("regress.out").exists(), "nothing was started");
}

#[rstest]
#[case::nothing_to_vary("matrix")]
#[case::two_things_to_vary("matrix --releases 1.9.0 --pythons 3.10")]
#[case::a_package_and_pythons("matrix --package django --pythons 3.10")]
#[case::a_range_that_runs_backwards("matrix --releases 1.10.0..1.9.0")]
#[case::two_kinds_of_ends("bisect verdicts/proven --releases 1.9..1.10.0")]
#[case::no_python("matrix --pythons ,")]
#[case::no_package("matrix --package ../x --releases 1.9.0..1.10.0")]
#[case::several_cases("bisect verdicts --releases 1.9.0,1.10.0")]
#[case::no_such_invariant("bisect verdicts/proven --invariant chrges --releases 1.9.0,1.10.0")]
fn what_makes_no_sense_exits_3(#[case] arguments: &str) {
    let context = Context::new().planted("verdicts");
    let said = run(&context, arguments);
    assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{said}");
    assert!(said.stderr.starts_with("error: "), "{said}");
}

#[rstest]
#[case::matrix("matrix verdicts/reproduced --releases 1.9.0,1.10.0", "# PostgreSQL")]
#[case::bisect("bisect verdicts/reproduced --releases 1.9.0,1.10.0", "# verdicts/reproduced: 2 releases of django-q2")]
fn a_reader_that_goes_away_ends_the_run(#[case] arguments: &str, #[case] first: &str) {
    let context = Context::new().planted("verdicts");
    let mut child = offline(&context, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with(first), "{line}");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: standard output is closed"), "{stderr}");
}
