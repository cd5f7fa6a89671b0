//! Each verdict is given to a planted case that deserves it, and decides the exit code.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rstest::rstest;
use serde_json::Value;
use support::{Context, case};

/// One run of all planted cases.
static RESULTS: LazyLock<Value> = LazyLock::new(|| {
    let context = Context::new().planted("verdicts").planted("corpus");
    let said = context.run("run verdicts corpus");
    assert_eq!(said.code, Some(1), "{said}");
    context.results()
});

/// One run of all cases about what is counted.
static COUNTED: LazyLock<Value> = LazyLock::new(|| {
    let context = Context::new().planted("counting");
    let said = context.run("run counting");
    assert_eq!(said.code, Some(1), "{said}");
    context.results()
});

/// The second line of a planted case: `# expect: VERDICT[, not as declared][: a part of the reason]`.
fn expected(text: &str) -> (&str, bool, &str) {
    let line = text.lines().nth(1).unwrap().strip_prefix("# expect: ").expect("the second line says what is expected");
    let (verdict, reason) = line.split_once(": ").unwrap_or((line, ""));
    match verdict.strip_suffix(", not as declared") {
        Some(verdict) => (verdict, false, reason),
        None => (verdict, true, reason),
    }
}

#[rstest]
fn a_planted_case_gets_the_verdict_it_deserves(
    #[files("tests/planted/verdicts/*.yaml")]
    #[files("tests/planted/corpus/*.yaml")]
    path: PathBuf,
) {
    is_as_expected(&RESULTS, &path);
}

#[rstest]
fn nothing_that_is_done_is_counted_as_something_else(#[files("tests/planted/counting/*.yaml")] path: PathBuf) {
    is_as_expected(&COUNTED, &path);
}

/// Holds what a run found of a planted case against what the case says that it deserves.
fn is_as_expected(results: &Value, path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let (verdict, as_declared, reason) = expected(&text);
    let name = [path.parent().unwrap(), path].map(|part| part.file_stem().unwrap().to_str().unwrap()).join("/");
    let found = case(results, &name);
    assert_eq!(found["verdict"], verdict, "{found:#}");
    assert_eq!(found["as_declared"], as_declared, "{found:#}");
    let mut reasons = found["fixes"].as_array().unwrap().iter().map(|fix| &fix["reason"]).chain([&found["reason"]]);
    let is_said = |found: &Value| found.as_str().unwrap_or_default().contains(reason);
    assert!(reasons.any(is_said), "`{reason}` is not said in {found:#}");
}

#[test]
fn an_arm_that_could_not_be_measured_has_no_values_and_says_why() {
    let found = case(&RESULTS, "verdicts/inconclusive_step_raises");
    let arms = found["arms"].as_array().unwrap();
    let applied = arms.iter().find(|arm| arm["state"] == "applied").unwrap();
    assert_eq!(applied["invariants"], serde_json::json!([]));
    assert!(applied["broken"].as_str().unwrap().contains("line 16"), "{applied:#}");
    let reverted = arms.iter().find(|arm| arm["state"] == "reverted").unwrap();
    assert_eq!(reverted["broken"], Value::Null);
    assert_eq!(reverted["invariants"][0]["value"], 2);
}

#[rstest]
#[case::proven("proven", 0)]
#[case::reproduced("reproduced", 0)]
#[case::a_wrong_fix_that_is_declared("not_fixed_as_declared", 0)]
#[case::a_wrong_fix_that_is_not("not_fixed", 1)]
#[case::only_undecided("inconclusive_edit_matches_twice inconclusive_settings_error proven", 5)]
#[case::undecided_and_wrong("inconclusive_edit_matches_twice not_fixed", 1)]
#[case::only_skipped("skipped_postgres skipped_python", 4)]
#[case::skipped_and_proven("skipped_postgres proven", 0)]
fn the_exit_code_says_what_ci_should_do(#[case] cases: &str, #[case] code: i32) {
    let context = Context::new().planted("verdicts");
    let words: Vec<String> = cases.split(' ').map(|case| format!("verdicts/{case}")).collect();
    let said = context.run(&format!("run {}", words.join(" ")));
    assert_eq!(said.code, Some(code), "{said}");
}

#[test]
fn the_corpus_has_no_false_proof_and_no_false_alarm() {
    let all = RESULTS["cases"].as_array().unwrap();
    let corpus: Vec<&Value> = all.iter().filter(|case| case["name"].as_str().unwrap().starts_with("corpus/")).collect();
    assert!(corpus.len() >= 150, "{} cases", corpus.len());
    let proven = corpus.iter().filter(|case| case["verdict"] == "PROVEN" && case["as_declared"] == false);
    assert_eq!(proven.count(), 0, "what is not as declared is never PROVEN");
}
