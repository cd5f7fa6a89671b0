//! The schema that editors use says what the loader says.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use dj_regress::case::load::load_str;
use dj_regress::case::schema;
use jsonschema::Validator;
use rstest::{fixture, rstest};
use serde_json::Value;

const CLUSTERS: &str = include_str!("good/clusters.yaml");

#[fixture]
#[once]
fn validator() -> Validator {
    jsonschema::validator_for(&serde_json::from_str(&schema::text()).unwrap()).unwrap()
}

/// As the loader reads it.
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).unwrap()
}

fn loads(text: &str) -> bool {
    load_str(text, Path::new("cases/x.yaml"), Path::new("cases")).is_ok()
}

#[rstest]
fn a_case_that_loads_is_valid(
    validator: &Validator,
    #[files("cases/**/*.yaml")]
    #[files("tests/planted/**/*.yaml")]
    #[files("tests/good/*.yaml")]
    path: PathBuf,
) {
    let errors: Vec<String> =
        validator.iter_errors(&yaml(&fs::read_to_string(path).unwrap())).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// What can be told without looking at names.
#[rstest]
#[case::a_key("tick: sim,", "tick: sim, strat: q,")]
#[case::two_verbs("tick: sim,", "tick: sim, stop: q,")]
#[case::an_option_of_another_verb("tick: sim", "tick: sim, every: 2s")]
#[case::the_old_form("{tick: sim, times: 2}", "tick: {sim: 2}")]
#[case::a_word("cluster: simulated", "cluster: simulatd")]
#[case::a_role("role: sentinel", "role: sentinl")]
#[case::a_signal("{pause: q, role: sentinel}", "{signal: q, send: KILL}")]
#[case::a_count("times: 2", "times: often")]
#[case::a_negative_count("times: 2", "times: -2")]
#[case::a_duration("within: 20s", "within: 20")]
#[case::a_unit("within: 20s", "within: 20 parsecs")]
#[case::a_type("type: minutes", "type: minute")]
#[case::a_server("{pause: q, role: sentinel}", "{fault: {kill: postgre}}")]
#[case::an_option_of_another_fault("{pause: q, role: sentinel}", "{fault: {kill: postgres, between: [q, redis]}}")]
#[case::two_faults("{pause: q, role: sentinel}", "{fault: {kill: postgres, pause: redis}}")]
#[case::no_method("{pause: q, role: sentinel}", "{http: /orders}")]
#[case::an_actor_of_two_kinds("{stranger: psql}", "{stranger: psql, python: app}")]
#[case::an_option_of_another_actor("{stranger: psql}", "{stranger: psql, threads: 2}")]
#[case::a_key_of_an_invariant("of: boot.exit", "off: boot.exit")]
#[case::a_services_key("maxmemory: 5 MB", "maxmemry: 5 MB")]
#[case::a_policy("policy: noeviction", "policy: none")]
#[case::no_title("title:", "titel:")]
fn what_is_wrong_by_its_form_is_wrong_for_both(validator: &Validator, #[case] good: &str, #[case] bad: &str) {
    assert!(CLUSTERS.contains(good), "{good}");
    let text = CLUSTERS.replacen(good, bad, 1);
    assert!(!loads(&text), "the loader takes it");
    assert!(!validator.is_valid(&yaml(&text)), "the schema takes it");
}
