//! What the loader says about bad case files, and where it points.

use std::path::Path;

use dj_regress::case::load::{load_file, load_files, load_str};
use dj_regress::case::schema;
use dj_regress::case::{Case, REDIS_URL};
use dj_regress::command::selection::discover;
use dj_regress::error::{ErrorKind, Result};
use rstest::rstest;

/// A good case; tests break one line of it at a time.
const GOOD: &str = r#"title: a list that only grows
packages: {django: 5.2.*, django-q2: 1.9.0}
settings: {Q_CLUSTER: {orm: default, redis: $redis}}
vars: {restarts: 121, listed: 1}
actors: {q: {cluster: simulated}, app: {python: shop.tasks}}
fixes:
  upstream:
    take: {django-q2: 1.10.0, files: [django_q/brokers/__init__.py]}
    edits: {prune: {in: django_q/brokers/__init__.py, applied: "a", reverted: "b"}}
  wrong turn: {settings: {Q_CLUSTER: {orm: other}}, verdict: NOT FIXED}
steps:
  - start: q
  - {restart: q, times: $restarts}
  - {beat: q, times: 200, every: 2s, as: steady}
  - python: app
    run: "enqueue()"
    times: 5
  - measure: [{advance: 2.5s}, {drain: q}]
    as: rest
  - sql: SELECT count(*) FROM t WHERE a = $1
    as: total
  - read: {listed: "len(x)", kept: "y"}
invariants:
  listed: {applied: $listed, reverted: ">= 100"}
  kept:   {both: true}
  writes: {of: statements, verb: update, actor: q, during: steady, per: beat, applied: 1, reverted: 2..3}
  left:   {of: rows, table: t, during: rest, both: <= 10}
  sum:    {of: total, both: 0}
"#;

fn load(text: &str) -> Result<Case> {
    load_str(text, Path::new("cases/x.yaml"), Path::new("cases"))
}

fn message(text: &str) -> String {
    let error = load(text).expect_err("the case should be rejected");
    assert_eq!(error.kind, ErrorKind::Usage);
    format!("error: {}", error.message)
}

#[test]
fn a_good_case_loads_and_resolves() {
    let case = load(GOOD).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.name, "x");
    let base = &case.states.state;
    assert!(base.uses_redis());
    assert_eq!(base.settings["Q_CLUSTER"]["redis"], REDIS_URL);
    let wrong = &case.fixes["wrong turn"].states.state;
    assert_eq!(wrong.settings["Q_CLUSTER"]["orm"], "other");
    assert_eq!(wrong.settings["Q_CLUSTER"]["redis"], REDIS_URL, "mappings merge");
    insta::assert_debug_snapshot!("resolved_steps", base.steps);
}

#[rstest]
#[case::bare_bound("reverted: \">= 100\"", "reverted: >= 100", &["unexpected character: `>`", "needs quotes: `\">= 3\"`"])]
#[case::unknown_key("steps:", "stpes:", &["unknown key `stpes`", "x.yaml:11:1", "did you mean `steps`?"])]
#[case::unknown_verb("- start: q", "- strat: q", &["unknown key `strat`", ":12:5", "did you mean `start`?"])]
#[case::unknown_invariant_key("per: beat", "pre: beat", &["unknown key `pre`", ":26:68", "did you mean `per`?"])]
#[case::unknown_need("title:", "needs: {postgers: 16}\ntitle:", &["unknown key `postgers`", ":1:9", "`postgres`"])]
#[case::duplicate_key("  kept:   {both: true}", "  listed: {both: true}", &["duplicate key `listed`", ":25:3"])]
#[case::wrong_type("- {beat: q, times: 200, every: 2s, as: steady}", "- beat: [q]", &["expected a text, found a list", ":14:11"])]
#[case::title_is_text("a list that only grows", "[]", &["expected a text, found a list", ":1:8"])]
#[case::missing_title("title: a list that only grows\n", "", &["the key `title` is missing"])]
#[case::empty_value("fixes:\n", "control:\nfixes:\n  nothing:\n", &["expected a fix (a mapping), found nothing", ":8:3"])]
#[case::unknown_verdict("NOT FIXED", "NOT FIXD", &["unknown word `NOT FIXD`", ":10:62", "did you mean `NOT FIXED`?"])]
#[case::impossible_verdict("NOT FIXED", "REPRODUCED", &["a fix cannot be declared REPRODUCED", ":10:62"])]
#[case::unknown_actor("- start: q", "- start: p", &["unknown actor `p`", ":12:12", "there are `q`, `app`"])]
#[case::unknown_actor_in_filter("actor: q", "actor: ap", &["unknown actor `ap`", ":26:49", "did you mean `app`?"])]
#[case::probe_in_filter("actor: q", "actor: probe", &["the probe's statements are left out"])]
#[case::actor_kind("{cluster: simulated}", "{cluster: simulatd}", &["unknown word `simulatd`", ":5:23", "did you mean `simulated`?"])]
#[case::unknown_window("during: steady", "during: stedy", &["no step is called `stedy`", ":26:60", "did you mean `steady`?"])]
#[case::unknown_reading("of: total", "of: totl", &["no step gives a reading `totl`", ":28:16", "did you mean `total`?"])]
#[case::unknown_reading_by_name("  kept:  ", "  kpt:  ", &["no step gives a reading `kpt`", ":25:3", "did you mean `kept`?"])]
#[case::unknown_variable("times: $restarts", "times: $restart", &["unknown variable `$restart`", ":13:25", "`restarts`?"])]
#[case::unknown_variable_in_settings("$redis", "$rediss", &["unknown variable `$rediss`", ":3:45", "did you mean `redis`?"])]
#[case::unknown_variable_in_a_fix("orm: other", "orm: $othr", &["unknown variable `$othr`", ":10:44"])]
#[case::unknown_variable_in_a_bound("$listed", "$lisst", &["unknown variable `$lisst`", ":24:21"])]
#[case::cannot_beat("beat: q, times: 200", "beat: app, times: 200", &["`app` is a python actor and cannot do `beat`", ":14:12"])]
#[case::cannot_python("python: app", "python: q", &["`q` is a cluster and cannot do `python`", ":15:13"])]
#[case::python_starts_itself("- start: q", "- start: q\n  - start: app", &["python actors start by themselves", ":13:12"])]
#[case::two_verbs("- start: q", "- start: q\n    drain: q", &["this one has start and drain", ":13:5"])]
#[case::no_verb("- start: q", "- as: x", &["a step without a verb", ":12:5"])]
#[case::unknown_option("every: 2s", "evry: 2s", &["unknown key `evry`", ":14:27", "did you mean `every`?"])]
#[case::python_without_source("    run: \"enqueue()\"\n", "", &["`python` needs the source to run", ":15:5"])]
#[case::window_twice("as: rest", "as: steady", &["a second step is called `steady`", ":19:9"])]
#[case::reading_twice("kept: \"y\"", "total: \"y\"", &["a second reading is called `total`: the first is in line 21", ":22:30"])]
#[case::not_started("- start: q", "- advance: 1s", &["`q` is used before it is started", ":13:15", "`- start: q`"])]
#[case::reserved("q: {cluster", "probe: {cluster", &["an actor cannot be called `probe`", ":5:10"])]
#[case::filter_of_a_reading("of: total,", "of: total, table: t,", &["`table` does not belong to the reading `total`", ":28:23"])]
#[case::filter_of_rows("during: rest,", "verb: x,", &["`verb` does not belong to `rows` of a table", ":27:32"])]
#[case::per_of_a_reading("of: total,", "of: total, per: task,", &["`per` divides a count of statements", ":28:23"])]
#[case::unknown_per("per: beat", "per: bea", &["unknown word `bea`", ":26:73", "did you mean `beat`?"])]
#[case::hollow("2..3", "1..3", &["`writes` is hollow by construction: applied `1` and reverted `1..3` both accept 1", ":26:101"])]
#[case::hollow_through_a_variable("listed: 1}", "listed: 100}", &["both accept 100"])]
#[case::range_backwards("2..3", "3..2", &["the range `3..2` is empty", ":26:101"])]
#[case::bad_unit("<= 10}", "<= 10 parsecs}", &["`parsecs` is not a unit", ":27:52"])]
#[case::both_and_applied("both: true}", "both: true, applied: 1}", &["`kept` has `both` next to a state of its own", ":25:12"])]
#[case::one_state("applied: 1, ", "", &["`writes` has no `applied` bound", ":26:3"])]
#[case::no_bounds("both: true", "", &["`kept` has no bounds", ":25:3"])]
#[case::negative_count("restarts: 121", "restarts: -1", &["the count -1 is negative", ":13:25", "^^^^^^^^^ `$restarts` is -1"])]
#[case::count_is_text("restarts: 121", "restarts: many", &["expected a count, found \"many\"", ":13:25", "^^^^^^^^^ `$restarts` is many"])]
#[case::sleeps("enqueue()", "time.sleep(5)", &["its time is virtual", ":16:10", "advance"])]
#[case::pg_sleeps("SELECT count(*)", "SELECT pg_sleep(1)", &["its time is virtual", ":20:10"])]
#[case::no_unit_of_time("2.5s", "2.5", &["`2.5` has no unit: say for instance `2.5s`", ":18:25"])]
#[case::bad_unit_of_time("2.5s", "2.5 y", &["`y` is not a unit of time", ":18:25"])]
#[case::measure_without_as("\n    as: rest", "", &["`measure` without `as`", ":18:5"])]
#[case::edit_without_change("reverted: \"b\"", "reverted: \"a\"", &["the edit `prune` changes nothing", ":9:79"])]
#[case::take_without_files(", files: [django_q/brokers/__init__.py]", "", &["`take` without files", ":8:5"])]
#[case::take_without_package("django-q2: 1.10.0, files", "files", &["`take` without a package", ":8:5"])]
#[case::fix_without_change("settings: {Q_CLUSTER: {orm: other}}, ", "", &["it changes nothing", ":10:3"])]
#[case::version_range("1.9.0}", "\">=1.9,\"}", &["`>=1.9,` is not a version", ":2:38", "or a range: `>=5.1,<5.3`"])]
#[case::missing_patch("verdict: NOT", "patch: a.diff, verdict: NOT", &["cannot read the patch cases/a.diff", ":10:60"])]
#[case::verdict_with_fixes("title:", "verdict: REPRODUCED\ntitle:", &["`verdict` is for a case without fixes", ":1:1"])]
#[case::not_finite("2..3", ".inf", &["`.inf` is not a finite number", ":26:101"])]
fn a_mistake_is_shown_where_it_is(#[case] good: &str, #[case] bad: &str, #[case] expected: &[&str]) {
    assert!(GOOD.contains(good), "the good case has no {good}");
    let message = message(&GOOD.replacen(good, bad, 1));
    for fragment in expected {
        assert!(message.contains(fragment), "`{fragment}` is not in:\n{message}");
    }
}

#[rstest]
#[case::only_guards("x: {both: 1}", "fixes: {f: {env: {A: 1}}}", "every invariant holds in both states")]
#[case::no_fix_no_control("x: {reverted: 1}", "", "neither `fixes` nor `control`")]
#[case::applied_without_a_fix("x: {applied: 1, reverted: 2}", "control: {env: {A: 1}, x: 1}", "the case has no fix")]
#[case::control_bounds_nothing("x: {reverted: 1}", "control: {env: {A: 1}}", "the control bounds nothing")]
#[case::control_changes_nothing("x: {reverted: 1}", "control: {x: 2}", "it changes nothing")]
#[case::control_is_hollow(
    "x: {reverted: 1}",
    "control: {env: {A: 1}, x: <= 1}",
    "the control is hollow: `x` accepts 1"
)]
#[case::control_unknown("xs: {reverted: 1, of: x}", "control: {env: {A: 1}, xz: 1}", "did you mean `xs`?")]
fn a_case_that_cannot_tell_is_rejected(#[case] invariant: &str, #[case] change: &str, #[case] expected: &str) {
    let message = message(&format!(
        "title: t\npackages: {{django: 5.2.*}}\n{change}\nsteps: [{{read: {{x: y}}}}]\ninvariants:\n  {invariant}\n"
    ));
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
}

#[test]
fn a_case_without_invariants_is_rejected() {
    let head = &GOOD[..GOOD.find("invariants:").expect("the good case has invariants")];
    assert!(message(&format!("{head}invariants: {{}}\n")).contains("there are no invariants"));
    assert!(message(head).contains("the key `invariants` is missing"));
}

#[test]
fn errors_look_like_a_compilers() {
    insta::assert_snapshot!(message(&GOOD.replace("- start: q", "- advance: 1s").replace("during: steady", "during: stedy")), @r"
    error: `q` is used before it is started
      --> cases/x.yaml:13:15
       |
    13 |   - {restart: q, times: $restarts}
       |               ^
       = help: put `- start: q` before it

    error: no step is called `stedy`
      --> cases/x.yaml:26:60
       |
    26 |   writes: {of: statements, verb: update, actor: q, during: stedy, per: beat, applied: 1, reverted: 2..3}
       |                                                            ^^^^^
       = help: did you mean `steady`?
    ");
}

#[test]
fn several_bad_files_are_all_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = ["a.yaml", "b.yaml"].map(|name| folder.path().join(name));
    for path in &paths {
        std::fs::write(path, "titel: x\n").expect("written");
    }
    let message = load_files(&paths, folder.path()).expect_err("both are bad").message;
    assert!(message.contains("a.yaml:1:1") && message.contains("b.yaml:1:1"), "{message}");
}

#[test]
fn a_version_that_looks_like_a_number_keeps_its_last_zero() {
    let case = load(&GOOD.replace("django-q2: 1.9.0", "django-q2: 1.10")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.base.packages["django-q2"], "1.10");
}

#[rstest]
#[case::a_case("django_q/stat_master_list", &["django_q/stat_master_list"])]
#[case::a_folder("redis/", &["redis/results_fill_a_small_redis"])]
#[case::a_path("cases/django/database_cache_culls.yaml", &["django/database_cache_culls"])]
fn a_selection_is_a_case_a_folder_or_a_path(#[case] word: &str, #[case] expected: &[&str]) {
    let root = Path::new("cases");
    let found = discover(&[word.to_owned()], root).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<String> =
        found.iter().map(|path| load_file(path, root).unwrap_or_else(|error| panic!("{error}")).name).collect();
    assert_eq!(names, expected);
}

#[rstest]
#[case("django_q/stat_mastr_list", "did you mean `django_q/stat_master_list`?")]
#[case("stat_master_list", "did you mean `django_q/stat_master_list`?")]
#[case("djagno", "did you mean `django`?")]
fn a_selection_that_names_nothing_says_what_was_meant(#[case] word: &str, #[case] hint: &str) {
    let error = discover(&[word.to_owned()], Path::new("cases")).expect_err("nothing has that name");
    assert_eq!(error.kind, ErrorKind::NothingSelected);
    assert_eq!(error.hint.as_deref(), Some(hint));
}

#[test]
fn every_case_of_the_repository_loads() {
    let root = Path::new("cases");
    let paths = discover(&[], root).unwrap_or_else(|error| panic!("{error}"));
    load_files(&paths, root).unwrap_or_else(|error| panic!("error: {error}"));
}

#[test]
fn the_checked_in_schema_is_that_of_the_types() {
    let checked_in = std::fs::read_to_string("cases/case.schema.json").unwrap_or_default();
    assert!(
        checked_in == schema::text(),
        "cases/case.schema.json is stale: run `dj-regress schema > cases/case.schema.json`"
    );
}

#[rstest]
#[case("beat: {q: 200, every: 2s}", "`beat: q` with `times: 200` and `every: 2s` beside it")]
#[case("restart: {q: 3, by: kill}", "`restart: q` with `times: 3` and `by: kill` beside it")]
#[case("kill: {q: worker}", "`kill: q` with `role: worker` beside it")]
#[case("signal: {q: , send: USR1}", "`signal: q` with `send: USR1` beside it")]
#[case("hold: {q: 'a:b', at: return}", "`hold: q` with `at: 'a:b'` and `when: return` beside it")]
#[case("python: {app: \"f()\", times: 5}", "`python: app` with `run: \"f()\"` and `times: 5` beside it")]
#[case("enqueue: {charge: [a], times: 5}", "`enqueue: charge` with `args: [a]` and `times: 5` beside it")]
#[case("enqueue: {double: [1, 2], iter: true}", "`enqueue: double` with `iter: [1, 2]` beside it")]
#[case("enqueue: {chain: [{charge: [a]}], group: g}", "`enqueue: [{charge: [a]}]` with `group: g` beside it")]
#[case("schedule: {charge: , due: -4d}", "`schedule: charge` with `due: -4d` beside it")]
#[case("sql: {psql: DELETE FROM t}", "`sql: DELETE FROM t` with `by: psql` beside it")]
#[case("wait: {until: x, within: 5s}", "`wait: x` with `within: 5s` beside it")]
#[case("wait: {held: q, within: 5s}", "`wait: {held: q}` with `within: 5s` beside it")]
#[case("measure: {for: 20s}", "`measure: 20s`")]
#[case("http: {get: /a, via: p}", "`http: GET /a` with `via: p` beside it")]
fn a_step_as_it_was_written_is_answered_with_the_same_as_it_is_written_now(#[case] old: &str, #[case] new: &str) {
    let message = message(&GOOD.replace("- start: q", &format!("- {{fault: {{evict: redis}}, while: [{{{old}}}]}}")));
    assert!(message.contains(&format!("`{old}` is written {new}\n")), "{message}");
}

#[rstest]
#[case("wait: {held: q}")]
#[case("enqueue: [{charge: [a]}]")]
#[case("fault: {kill: postgres}")]
#[case("read: {a: b}")]
#[case("beat: q")]
fn a_step_as_it_is_written_now_is_left_alone(#[case] step: &str) {
    let told = load(&GOOD.replace("- start: q", &format!("- {{{step}}}")))
        .map_or_else(|error| error.message, |_| String::new());
    assert!(!told.contains("is written"), "{told}");
}
