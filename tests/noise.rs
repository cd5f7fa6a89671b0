//! What differs from run to run: repetitions that flip, states held against themselves, growth that fits nothing.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{Context, case};

/// A number that differs from arm to arm: each has a folder of its own, above those of its actors.
const ARM: &str = "int(__import__('os').getcwd().rsplit('/', 2)[1].rsplit('-', 1)[1])";

fn flaky() -> Context {
    Context::new().case(
        "flips",
        &format!(
            "repeat: 2
vars: {{base: 10}}
actors: {{app: {{python: }}}}
fixes: {{more: {{vars: {{base: 20}}}}}}
steps:
  - read: {{drawn: \"$base + {ARM} % 2\"}}
invariants:
  drawn: {{applied: 20, reverted: 10..11}}
"
        ),
    )
}

#[test]
fn an_invariant_that_flips_between_repetitions_is_flaky_and_never_proven() {
    let context = flaky();
    let said = context.run("run flips");
    assert_eq!(said.code, Some(5), "{said}");
    let results = context.results();
    let fix = &case(&results, "flips")["fixes"][0];
    assert_eq!(fix["verdict"], "FLAKY", "{fix:#}");
    assert_eq!(fix["agreement"], json!([1, 2]));
    assert_eq!(fix["decisive"], json!(["drawn"]));
}

#[test]
fn repetitions_that_agree_say_how_many() {
    let context = Context::new();
    // A text that is one variable has the variable's type, and an expression is a text.
    let context = context.case(
        "agrees",
        "repeat: 3
vars: {base: 10}
actors: {app: {python: }}
fixes: {more: {vars: {base: 20}}}
steps:
  - read: {drawn: \"int($base)\"}
invariants:
  drawn: {applied: 20, reverted: 10}
",
    );
    let said = context.run("run agrees --verbose").ok();
    assert!(said.contains("3 of 3 repetitions agree"), "{said}");
}

#[test]
fn the_applied_state_against_itself_measures_equal() {
    let context = flaky();
    let said = context.run("run flips --self-check");
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stdout.contains("two runs of the same state differ: `drawn`"), "{said}");
    let context = Context::new().planted("language");
    let said = context.run("run language/steps_beat_every --self-check");
    assert_eq!(said.code, Some(0), "{said}");
    // That a wrong fix does not meet its bounds is declared.
    let context = Context::new().planted("verdicts");
    let said = context.run("run verdicts/not_fixed_as_declared --self-check");
    assert_eq!(said.code, Some(0), "{said}");
}

fn growing(expression: &str, applied: &str, reverted: &str) -> Context {
    Context::new().case(
        "grows",
        &format!(
            "vars: {{n: 4, fixed: 0}}
growth: {{n: [1, 2, 4, 8, 16]}}
actors: {{app: {{python: }}}}
fixes: {{flat: {{vars: {{fixed: 1}}}}}}
steps:
  - read: {{size: \"3 if $fixed else ({expression})\"}}
invariants:
  size: {{applied: 3, reverted: '>= 4'}}
  size grows: {{of: growth, in: size, applied: {applied}, reverted: {reverted}}}
"
        ),
    )
}

fn growths(context: &Context) -> Value {
    case(&context.results(), "grows")["fixes"][0]["growths"].clone()
}

#[test]
fn how_a_value_grows_is_told_with_its_goodness() {
    for (expression, class) in [("4 * $n + 1", "linear"), ("$n * $n + 4", "quadratic")] {
        let context = growing(expression, "constant", class);
        let said = context.run("run grows --verbose").ok();
        assert!(said.contains(&format!("size grows, reverted: {class} (R² 1.000)")), "{said}");
        assert_eq!(growths(&context)[0]["points"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn growth_that_fits_nothing_is_inconclusive() {
    let context = growing("{1: 50, 2: 5, 4: 90, 8: 20, 16: 60}[$n]", "constant", "linear");
    let said = context.run("run grows");
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stdout.contains("it grows neither linearly"), "{said}");
}
