//! What the case language offers does what it says: each delta, each step, the overlay of Django itself.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::PathBuf;
use std::sync::LazyLock;

use rstest::rstest;
use serde_json::Value;
use support::{Context, case};

/// One run of all planted cases.
static RESULTS: LazyLock<Value> = LazyLock::new(|| {
    let context = Context::new().planted("language");
    context.run("run language");
    context.results()
});

/// Exact bounds in both states: a part of the language that does nothing would be NOT FIXED or INCONCLUSIVE.
#[rstest]
fn a_case_that_uses_one_part_of_the_language_is_proven(#[files("tests/planted/language/*.yaml")] path: PathBuf) {
    let found = case(&RESULTS, &format!("language/{}", path.file_stem().unwrap().to_str().unwrap()));
    let fixes = found["fixes"].as_array().unwrap();
    assert!(!fixes.is_empty() && fixes.iter().all(|fix| fix["verdict"] == "PROVEN"), "{found:#}");
}

#[test]
fn another_release_is_named_in_the_results() {
    let found = case(&RESULTS, "language/delta_packages");
    let versions: Vec<(&Value, &Value)> =
        found["arms"].as_array().unwrap().iter().map(|arm| (&arm["state"], &arm["versions"]["django-q2"])).collect();
    assert_eq!(
        versions,
        [(&"reverted".into(), &"1.9.0".into()), (&"applied".into(), &"1.10.0".into())] as [(&Value, &Value); 2]
    );
}

#[test]
fn a_run_whose_cases_use_redis_says_which() {
    let redis = RESULTS["setting"]["redis"].as_str().unwrap();
    // A container is told by its image.
    assert!(redis.starts_with("Redis ") || redis.contains("redis:"), "{redis}");
}

/// They were waited for until the harness lost its patience, after a minute.
#[test]
fn an_arm_whose_clusters_stand_still_ends_at_once() {
    let arms = case(&RESULTS, "language/ends_while_it_stands")["arms"].as_array().unwrap();
    assert!(arms.iter().all(|arm| arm["timings"]["steps"].as_f64().unwrap() < 50.0), "{arms:#?}");
}
