//! What a run says and leaves: the console, `results.json`, logs, the output directory.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs::{self, File};

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};
use support::{Context, case};

#[test]
fn a_case_as_declared_is_one_line() {
    let context = Context::new().planted("verdicts");
    let _filters = context.filters();
    let said = context.run("run verdicts/proven verdicts/not_fixed_as_declared verdicts/reproduced");
    insta::assert_snapshot!("as_declared", said);
    assert!(!said.stdout.contains('\x1b') && !said.stderr.contains('\x1b'), "no terminal, no escape codes");
}

#[test]
fn a_failure_says_which_invariant_both_states_who_wrote_and_how_to_run_it_again() {
    let context = Context::new().planted("verdicts");
    let _filters = context.filters();
    insta::assert_snapshot!("failure", context.run("run verdicts/not_fixed"));
}

#[test]
fn what_could_not_be_measured_says_where_it_broke_and_names_the_log() {
    let context = Context::new().planted("verdicts");
    let _filters = context.filters();
    let said = context.run("run verdicts/inconclusive_step_raises");
    insta::assert_snapshot!("broken", said);
    let mut logs = said.stdout.lines().filter(|line| line.contains("#   log (") && line.contains("applied):"));
    let log = fs::read_to_string(context.path(logs.next().unwrap().split_once("): ").unwrap().1)).unwrap();
    assert!(log.contains("Traceback") && log.contains("in charge\n    order = Order.objects.get("), "{log}");
}

#[test]
fn a_skipped_case_says_what_it_needs() {
    let context = Context::new().planted("verdicts");
    let _filters = context.filters();
    insta::assert_snapshot!("skipped", context.run("run verdicts/skipped_postgres verdicts/skipped_python"));
}

#[test]
fn the_command_that_runs_a_case_again_has_the_options_that_matter() {
    let context = Context::new().planted("verdicts");
    fs::rename(context.path("cases"), context.path("stories")).unwrap();
    let said =
        context.run("run --cases-dir stories --python python3 --jobs 1 verdicts/inconclusive_edit_matches_twice");
    let options = "--cases-dir stories --python python3";
    let again = format!("run it again: {} run {options} verdicts/inconclusive_edit_matches_twice\n", support::PROGRAM);
    assert!(said.stdout.contains(&again), "{said}");
}

#[test]
fn timings_split_an_arm_and_what_arms_share() {
    let context = Context::new().planted("verdicts");
    let said = context.run("run --timings verdicts/proven");
    for part in ["clone ", "fork ", "steps ", "probes ", "teardown ", "shared: environments ", "zygotes ", "templates "]
    {
        assert!(said.stdout.contains(part), "`{part}` is not in {said}");
    }
}

#[test]
fn results_hold_each_invariant_of_each_arm() {
    let context = Context::new().planted("verdicts");
    context.run("run verdicts/not_fixed verdicts/skipped_postgres");
    let results = context.results();
    assert_eq!(results["schema_version"], 1);
    assert_eq!(results["run"]["otherwise"], 1);
    assert_eq!(results["run"]["skipped"], 1);
    let skipped = case(&results, "verdicts/skipped_postgres");
    assert!(skipped["reason"].as_str().unwrap().starts_with("needs PostgreSQL 99"), "{skipped:#}");
    let found = case(&results, "verdicts/not_fixed");
    assert_eq!(found["verdict"], "NOT FIXED");
    assert_eq!(found["reason"], "with the fix, `charges`, `charges inserted` do not hold");
    assert!(found["wall"].as_f64().unwrap() > 0.0);
    let arms: Vec<(&Value, &Value, Vec<Value>)> = found["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| {
            let invariants = arm["invariants"].as_array().unwrap().iter();
            let invariants = invariants.map(|found| json!([found["name"], found["value"], found["holds"]]));
            (&arm["fix"], &arm["state"], invariants.collect())
        })
        .collect();
    let reverted = vec![json!(["charges", 2, true]), json!(["charges inserted", 2, true])];
    let applied = vec![json!(["charges", 2, false]), json!(["charges inserted", 2, false])];
    assert_eq!(arms, [(&Value::Null, &json!("reverted"), reverted), (&json!("hope"), &json!("applied"), applied)]);
}

#[test]
fn the_previous_run_is_kept() {
    let context = Context::new().planted("verdicts");
    context.run("run verdicts/skipped_postgres");
    context.run("run verdicts/skipped_python");
    let name = |folder: &str| -> Value {
        let text = fs::read(context.path(folder).join("results.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["cases"][0]["name"].clone()
    };
    assert_eq!(
        (name("regress.out.old"), name("regress.out")),
        (json!("verdicts/skipped_postgres"), json!("verdicts/skipped_python"))
    );
}

#[test]
fn an_output_directory_that_another_run_writes_is_refused() {
    let context = Context::new().planted("verdicts");
    fs::create_dir(context.path("regress.out")).unwrap();
    let lock = File::create(context.path("regress.out/lock")).unwrap();
    let _held = Flock::lock(lock, FlockArg::LockExclusiveNonblock).unwrap();
    insta::assert_snapshot!(context.run("run verdicts/proven"), @r"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: another run is writing regress.out
    hint: wait for it, or name another folder with `--output-dir`
    ");
}

#[test]
fn an_output_directory_that_holds_something_else_is_refused_and_left_alone() {
    let context = Context::new().planted("verdicts");
    fs::create_dir(context.path("thesis")).unwrap();
    fs::write(context.path("thesis/chapter-1.txt"), "years of work").unwrap();
    insta::assert_snapshot!(context.run("run --output-dir thesis verdicts/proven"), @r"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: thesis holds something that is not a dj-regress run
    hint: name another folder with `--output-dir`
    ");
    assert_eq!(fs::read_to_string(context.path("thesis/chapter-1.txt")).unwrap(), "years of work");
}

#[test]
fn an_answer_of_500_says_what_the_view_has_raised_and_how_to_bound_it() {
    let context = Context::new();
    fs::create_dir(context.path("cases/boom")).unwrap();
    fs::write(context.path("cases/boom/__init__.py"), "").unwrap();
    let urls = "from django.urls import path\n\n\ndef boom(request, n):\n    raise ValueError(f'no such thing as {n}')\n\n\n\
                urlpatterns = [path('boom/<int:n>', boom)]\n";
    fs::write(context.path("cases/boom/urls.py"), urls).unwrap();
    let case = "title: t\napp: ./boom\npackages: {django: 5.2.*, django-q2: 1.11.1, waitress: 3.0.*}\n\
                actors: {web: {serve: wsgi}}\nfixes: {hope: {env: {PLEASE: end}}}\n\
                steps: [{http: GET /boom/1, to: web}, {read: {x: '1'}}]\ninvariants: {x: {applied: 1, reverted: 2}}\n";
    fs::write(context.path("cases/boom.yaml"), case).unwrap();
    let said = context.run("run");
    let expected = "line 6: `http: GET /boom/1, to: web`: answered 500 (ValueError: no such thing as 1); a step with a name (`as: page`)";
    assert!(said.stdout.contains(expected), "{said}");
}

#[test]
fn a_key_that_finds_nothing_shows_what_there_was() {
    let case = "actors: {app: {python: }}\nfixes: {hope: {env: {PLEASE: end}}}\n\
                steps:\n  - {python: app, run: 'from shop.effects import happened; happened(\"charged\")'}\n\
                invariants: {charges: {of: effects, key: charge, applied: 1, reverted: 2}}\n";
    let said = Context::new().case("misspelt", case).run("run");
    assert!(said.stdout.contains("it names what did not happen; there was 1 × charged"), "{said}");
}
