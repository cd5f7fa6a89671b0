//! Web requests in the case language: what they mean, and what is wrong with them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dj_regress::case::load::load_str;
use dj_regress::case::{Action, Actor, CacheKind, Member, Part};
use indexmap::IndexMap;
use rstest::rstest;

const HEAD: &str = r#"
title: a page behind a proxy
packages: {django: 5.2.*}
fixes: {other: {env: {OTHER: "1"}}}
"#;

const ACTORS: &str =
    "actors: {web: {serve: wsgi}, corporate: {cache: aggressive, to: web, timeout: 2s}, q: {cluster: simulated}}\n";

const INVARIANTS: &str = "invariants: {hits: {of: requests, applied: 1, reverted: 0}}\n";

fn load(actors: &str, steps: &str, invariants: &str) -> Result<dj_regress::case::Case, String> {
    let vars = if steps.contains("$status") || steps.contains("keep: {status") {
        "vars: {status: \"/status/$id?_=$i\"}\n"
    } else {
        ""
    };
    let text = format!("{HEAD}{vars}{actors}steps:\n{steps}{invariants}");
    load_str(&text, Path::new("case.yaml"), Path::new(".")).map_err(|error| error.message)
}

#[test]
fn what_is_only_known_when_it_is_sent_is_left_in_a_request() {
    let steps = "  - {http: POST /export, json: {of: 1}, keep: {id: $.id}}\n  \
                   - {http: GET $status, via: corporate, until: {$.state: SUCCESS}, times: 6, every: 2s, as: polls}\n";
    let case = load(ACTORS, steps, INVARIANTS).expect("a case");
    let state = &case.states.state;
    assert_eq!(state.packages["waitress"], "3.0.*");
    assert_eq!(state.web_actor(), Some("web"));
    let proxy = Actor::Proxy { kind: CacheKind::Aggressive, to: "web".into(), timeout: Some(Duration::from_secs(2)) };
    assert_eq!((&state.actors["web"], &state.actors["corporate"]), (&Actor::Web { threads: 4 }, &proxy));
    let [Action::Http { http: export, .. }, Action::Http { http: polls, .. }] = state.actions().collect::<Vec<_>>()[..]
    else {
        panic!("two requests")
    };
    let line = &export.request;
    assert_eq!((line.method, line.target.as_str(), export.callers, export.times), ("POST", "/export", 1, 1));
    assert_eq!(polls.request.target, "/status/$id?_=$i");
    assert_eq!((polls.asked(), polls.to.as_deref()), (Some("corporate"), None));
    let state = Part::parse("$.state").expect("a part");
    assert_eq!(polls.until, IndexMap::<Part, serde_json::Value>::from([(state, "SUCCESS".into())]));
    assert_eq!((polls.times, polls.every), (6, Some(Duration::from_secs(2))));
}

#[rstest]
#[case::no_method("http: /orders, via: corporate", "`/orders` has no method")]
#[case::unknown_method("http: GTE /", "did you mean `GET`?")]
#[case::two_bodies("http: POST /, json: 1, body: x", "a request has one body: this one has `json` and `body`")]
#[case::both_ways("http: GET /, to: web, via: corporate", "a request goes `to` a web actor or `via` a proxy")]
#[case::wrong_way("http: GET /, to: corporate", "say `via`")]
#[case::not_asked("http: GET /, to: q", "`q` is a simulated cluster and answers no requests")]
#[case::unknown("http: GET /, via: corporat", "did you mean `corporate`?")]
#[case::no_path("http: GET orders", "`orders` is not a path: it begins with `/`")]
#[case::too_early("http: GET /$id", "unknown variable `$id`")]
#[case::var_too_early("http: GET $status", "unknown variable `$id`")]
#[case::no_part("http: GET /, keep: {id: id}", "`id` is no part of an answer")]
#[case::no_name("http: GET /, keep: {a-b: body}", "nothing can be kept as `a-b`")]
#[case::taken("http: GET /, keep: {status: body}", "nothing can be kept as `status`: `$status` is something else")]
#[case::never("http: GET /, times: 0", "it is counted from 1")]
#[case::crowd("http: GET /, callers: 1000", "1000 callers are too many: at most 128")]
#[case::not_yet_kept("http: GET /, until: {$.id: $id}, as: polls", "unknown variable `$id`")]
#[case::many_clocks("http: GET /, callers: 2, times: 2, every: 2s", "the clock would be moved by each caller")]
#[case::in_its_own_while("http: POST /, keep: {id: $.id}, while: [{http: GET /$id}]", "unknown variable `$id`")]
#[case::unseen("http: GET /, until: {status: 200}", "`until` without `as`")]
#[case::no_unit("http: GET /, within: 5", "`5` has no unit")]
#[case::misspelled("http: GET /, untill: {status: 200}", "did you mean `until`?")]
fn a_request_that_cannot_be_sent_is_refused(#[case] http: &str, #[case] message: &str) {
    let error = load(ACTORS, &format!("  - {{{http}}}\n"), INVARIANTS).expect_err("it is wrong");
    assert!(error.contains(message), "{error}");
}

#[rstest]
#[case::nowhere("{web: {serve: wsgi}, p: {cache: strict}}", "a proxy to nowhere")]
#[case::unknown("{web: {serve: wsgi}, p: {cache: strict, to: wep}}", "did you mean `web`?")]
#[case::a_cluster(
    "{web: {serve: wsgi}, q: {cluster: real}, p: {cache: strict, to: q}}",
    "`q` is a real cluster and answers no"
)]
#[case::in_circles(
    "{web: {serve: wsgi}, p: {cache: strict, to: r}, r: {cache: strict, to: p}}",
    "no web actor ever answers"
)]
#[case::kind("{web: {serve: wsgi}, p: {cache: strickt, to: web}}", "did you mean `strict`?")]
#[case::threads("{web: {serve: wsgi, threads: 1000}}", "1000 threads are too many: at most 64")]
#[case::foreign("{web: {serve: wsgi, timeout: 1s}}", "`timeout` does not belong to `serve`")]
#[case::changes("{web: {serve: wsgi}, p: {cache: strict, to: web, env: {A: b}}}", "a proxy does not run the app")]
fn an_actor_of_the_web_that_cannot_be_is_refused(#[case] actors: &str, #[case] message: &str) {
    let steps = "  - {http: GET /, to: web}\n";
    let error = load(&format!("actors: {actors}\n"), steps, INVARIANTS).expect_err("it is wrong");
    assert!(error.contains(message), "{error}");
}

#[rstest]
#[case::start("start: web", "it starts with its first request")]
#[case::kill("kill: web", "it starts with its first request")]
#[case::proxy("python: corporate\n    run: pass", "requests go through it")]
#[case::role("{hold: web, at: computing, role: worker}", "a web actor has threads, and no roles")]
#[case::every_call("{hold: web, at: computing, every: true, call: 2}", "`every` holds each call: `call` says one")]
#[case::nobody_held("release: web", "no step before holds a process of `web`")]
#[case::quiet("wait: {quiet: q}\n    as: still", "`q` is a simulated cluster and has no requests under way")]
#[case::fault("fault: {reset: [corporate, postgres]}", "`corporate` is a proxy: it uses no server")]
fn a_step_that_the_web_cannot_do_is_refused(#[case] step: &str, #[case] message: &str) {
    let error = load(ACTORS, &format!("  - {step}\n"), INVARIANTS).expect_err("it is wrong");
    assert!(error.contains(message), "{error}");
}

#[rstest]
#[case("{of: cache.hits, actor: web, applied: 1, reverted: 0}", "`web` is a web actor: it keeps no answers")]
#[case("{of: requests, actor: corporate, applied: 1, reverted: 0}", "`corporate` is a proxy: no request reaches")]
#[case("{of: statements, actor: corporate, applied: 1, reverted: 0}", "`corporate` is a proxy: it uses no server")]
#[case("{of: http.answers, status: 6xx, applied: 1, reverted: 0}", "`6xx` is not the status of an answer")]
#[case("{of: http.latency, applied: <= 1, reverted: \">= 2\"}", "wall-clock rates are guards, give `both`")]
#[case("{of: http.latency, both: 1}, more: {of: requests, applied: 1, reverted: 0}", "it is never exactly `1`")]
#[case("{of: requests, status: 200, applied: 1, reverted: 0}", "`status` does not belong to `requests`")]
fn a_measurement_of_the_wrong_one_is_refused(#[case] invariant: &str, #[case] message: &str) {
    let error = load(ACTORS, "  - http: GET /\n", &format!("invariants: {{hits: {invariant}}}\n"));
    let error = error.expect_err("it is wrong");
    assert!(error.contains(message), "{error}");
}

#[test]
fn two_web_actors_are_told_apart_by_the_request() {
    let actors = "actors: {a: {serve: wsgi}, b: {serve: wsgi}}\n";
    let error = load(actors, "  - http: GET /\n", INVARIANTS).expect_err("it is not said which");
    assert!(error.contains("`a` and `b` answer requests: it is not said which is asked"), "{error}");
    load(actors, "  - {http: GET /, to: b}\n", INVARIANTS).expect("it is said");
    let error = load("", "  - http: GET /\n", INVARIANTS).expect_err("there is none");
    assert!(error.contains("nobody answers requests here"), "{error}");
}

#[test]
fn the_app_of_a_case_is_a_package_beside_it() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let path = folder.path().join("case.yaml");
    let case = |app: &str| {
        let text = format!("app: {app}\n{}{ACTORS}steps: [{{http: GET /}}]\n{INVARIANTS}", HEAD.trim_start());
        load_str(&text, &path, folder.path()).map(|case| case.app).map_err(|error| error.message)
    };
    assert!(case("./poll").is_err_and(|error| error.contains("it has no __init__.py")));
    fs::create_dir(folder.path().join("poll")).expect("a folder");
    fs::write(folder.path().join("poll/__init__.py"), "").expect("a file");
    let app = case("./poll").expect("a case").expect("an app");
    assert_eq!((app.package.as_str(), app.root.as_path()), ("poll", folder.path()));
    assert!(case("./po-ll").is_err_and(|error| error.contains("is not the folder of a package")));
}

fn key(name: &str) -> Member {
    Member::Key(name.into())
}

#[rstest]
#[case("status", Some(Part::Status))]
#[case("body", Some(Part::Body))]
#[case("header X-Cache", Some(Part::Header("X-Cache".into())))]
#[case("$", Some(Part::Json(vec![])))]
#[case("$.id", Some(Part::Json(vec![key("id")])))]
#[case("$.rows[2].id", Some(Part::Json(vec![key("rows"), Member::Item(2), key("id")])))]
#[case("$[0]", Some(Part::Json(vec![Member::Item(0)])))]
#[case("id", None)]
#[case("$id", None)]
#[case("$.", None)]
#[case("$..a", None)]
#[case("$[x]", None)]
#[case("$[0", None)]
#[case("header ", None)]
#[case("header a b", None)]
fn a_part_of_an_answer_is_named_in_one_way(#[case] text: &str, #[case] part: Option<Part>) {
    assert_eq!(Part::parse(text), part);
}
