//! `$name` in a case: what is put in, where it stands, and what stays.

use std::path::Path;

use dj_regress::case::REDIS_URL;
use dj_regress::case::load::load_str;
use rstest::rstest;
use serde_json::{Value, json};

/// A setting with this text, or all that is wrong.
fn put(text: &str) -> Result<Value, String> {
    let text = format!(
        "title: t\npackages: {{django: 5.2.*}}\nvars: {{n: 3, list: [1], parts: [{{a: 1}}]}}\nsettings: {{X: '{text}', Y: [$n, $list, $parts]}}\n\
         fixes: {{f: {{env: {{A: 1}}}}}}\nsteps: [{{read: {{x: y}}}}]\ninvariants: {{x: {{applied: 1, reverted: 2}}}}\n"
    );
    let case = load_str(&text, Path::new("cases/x.yaml"), Path::new("cases")).map_err(|error| error.message)?;
    Ok(case.states.state.settings["X"].clone())
}

#[rstest]
#[case("$n", json!(3))]
#[case("${list}", json!([1]))]
#[case("<= $n", json!("<= 3"))]
#[case("${n}00", json!("300"))]
fn a_text_that_is_one_variable_keeps_its_type(#[case] text: &str, #[case] expected: Value) {
    assert_eq!(put(text), Ok(expected));
}

#[rstest]
#[case("$1", "$1")]
#[case("$.id", "$.id")]
#[case("a$", "a$")]
#[case("$", "$")]
#[case("^x$|y", "^x$|y")]
#[case("$$n $$", "$n $")]
fn other_dollars_stay(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(put(text), Ok(expected.into()));
}

#[rstest]
#[case("${n", "`${` without a name")]
#[case("${}", "`${` without a name")]
#[case("a $list", "`$list` is a list or mapping and cannot be part of a text")]
#[case("$m", "unknown variable `$m`")]
fn what_cannot_be_put_in_is_told(#[case] text: &str, #[case] expected: &str) {
    let told = put(text).expect_err("it cannot be put in");
    assert!(told.contains(expected), "{told}");
}

#[test]
fn redis_is_always_known() {
    assert_eq!(put("$redis"), Ok(json!(REDIS_URL)));
}

/// A case whose steps are these.
fn told(vars: &str, steps: &str) -> String {
    let text = format!(
        "title: t\npackages: {{django: 5.2.*}}\nvars: {{{vars}}}\nactors: {{web: {{serve: wsgi}}}}\nsteps:\n{steps}\
         fixes: {{f: {{env: {{A: 1}}}}}}\ninvariants: {{x: {{of: requests, applied: 1, reverted: 2}}}}\n"
    );
    let loaded = load_str(&text, Path::new("cases/x.yaml"), Path::new("cases"));
    loaded.map_or_else(|error| error.message, |_| String::new())
}

#[test]
fn what_is_put_in_stands_where_the_variable_stood_and_says_which_it_is() {
    let told = told("many: {a: 1}", "  - {http: GET /, times: $many}\n");
    assert!(told.contains("cases/x.yaml:6:26"), "{told}");
    assert!(told.contains("^^^^^ `$many` is {a: 1}"), "{told}");
}

#[test]
fn names_that_are_put_in_later_stay_and_must_be_known_then() {
    let keep = "  - {http: GET /$i, keep: {id: $.id}}\n";
    let ask = "  - {http: GET $path?$i}\n";
    assert_eq!(told("path: /$id/$i", &format!("{keep}{ask}")), "");
    let told = told("path: /$id/$i", ask);
    assert!(told.contains("unknown variable `$id`"), "{told}");
}
