//! Each edit of a fix is taken back alone: what notices it, and what an edit must be to be taken back.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Context, case};

/// The flagship with something of it changed, and with fewer restarts: the same edits, the same invariants.
fn flagship(change: impl Fn(&str) -> String) -> Context {
    let text = fs::read_to_string("cases/django_q/stat_master_list.yaml").unwrap();
    let smaller = text.replace("restarts: 121", "restarts: 5").replace("reverted: 122", "reverted: 6");
    let smaller = smaller.replace("{q: 200}", "{q: 20}").replace("\">= 3.5 GB\"", "\">= 0.5 GB\"");
    let context = Context::new();
    fs::write(context.path("cases/copy.yaml"), change(&smaller)).unwrap();
    context
}

fn without_lines_that_start_with(text: &str, start: &str) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with(start)).collect();
    kept.join("\n") + "\n"
}

fn edit<'r>(results: &'r Value, name: &str) -> &'r Value {
    let edits = case(results, "copy")["fixes"][0]["edits"].as_array().unwrap();
    edits.iter().find(|edit| edit["edit"] == name).unwrap()
}

#[test]
fn each_edit_of_the_flagship_is_pinned_by_another_kind_of_invariant() {
    let context = flagship(str::to_owned);
    let said = context.run("run copy --verbose").ok();
    let results = context.results();
    assert!(edit(&results, "prune")["pinned_by"].as_array().unwrap().contains(&json!("listed")));
    assert_eq!(edit(&results, "write on change")["pinned_by"][0], "cache statements");
    assert_eq!(edit(&results, "never expire")["pinned_by"], json!(["kept"]));
    for name in ["prune", "write on change", "never expire"] {
        assert_eq!(edit(&results, name)["sufficient_alone"], false, "{name}");
    }
    assert!(said.contains("3/3 edits pinned"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("#     never expire ") && line.contains("no !")), "{said}");
}

#[test]
fn an_edit_that_no_invariant_notices_is_unpinned_and_fails_the_run() {
    let context = flagship(|text| without_lines_that_start_with(text, "kept: "));
    let said = context.run("run copy");
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stdout.contains("the edit `never expire` is UNPINNED"), "{said}");
    assert_eq!(case(&context.results(), "copy")["verdict"], "NOT PINNED");
    assert_eq!(edit(&context.results(), "never expire")["pinned_by"], json!([]));
}

#[test]
fn an_unpinned_edit_may_be_excused_with_a_reason() {
    let context = flagship(|text| {
        let text = without_lines_that_start_with(text, "kept: ");
        text.replace(
            "reverted: \", key_list)\"",
            "reverted: \", key_list)\"\n        unpinned: expiry is looked at elsewhere",
        )
    });
    assert_eq!(context.run("run copy").code, Some(0));
}

#[test]
fn an_excuse_for_an_edit_that_is_pinned_is_out_of_date() {
    let context = flagship(|text| {
        text.replace("reverted: \", key_list)\"", "reverted: \", key_list)\"\n        unpinned: nobody cares")
    });
    let said = context.run("run copy");
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stdout.contains("pinned, though declared unpinned"), "{said}");
}

#[test]
fn edits_that_are_not_all_of_the_fix_are_rejected() {
    let context = flagship(|text| {
        let begin = text.find("      prune:").unwrap();
        let end = text.find("      write on change:").unwrap();
        format!("{}{}", &text[..begin], &text[end..])
    });
    let said = context.run("run copy");
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stdout.contains("taking every edit back does not give the reverted syntax tree"), "{said}");
}

#[test]
fn edits_that_overlap_are_rejected() {
    let context =
        flagship(|text| text.replace("applied: \", key_list, None)\"", "applied: \"Conf.Q_STAT, key_list, None)\""));
    let said = context.run("run copy");
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stdout.contains("the edits `write on change` and `never expire` overlap"), "{said}");
}

#[test]
fn an_ablation_that_does_not_run_is_inconclusive_and_not_pinned() {
    let context = Context::new().case(
        "breaks",
        "actors: {app: {python: shop.tasks}}
fixes:
  two parts:
    edits:
      import: {in: shop/tasks.py, applied: \"from decimal import Decimal, localcontext\", reverted: \"from decimal import Decimal\"}
      use: {in: shop/tasks.py, applied: \"    return localcontext() and 3 * number\", reverted: \"    return 2 * number\"}
steps:
  - read: {tripled: \"__import__('shop.tasks').tasks.double(2)\"}
invariants:
  tripled: {applied: 6, reverted: 4}
",
    );
    let said = context.run("run breaks");
    assert_eq!(said.code, Some(5), "{said}");
    let results = context.results();
    let edits = case(&results, "breaks")["fixes"][0]["edits"].as_array().unwrap();
    assert!(edits[0]["inconclusive"].as_str().unwrap().contains("NameError"), "{edits:#?}");
    assert_eq!(edits[1]["pinned_by"], json!(["tripled"]));
}

#[test]
fn a_run_of_some_states_has_no_verdict_and_says_whether_they_hold() {
    let context = flagship(str::to_owned);
    let said = context.run("run copy --state reverted").ok();
    assert!(said.contains("measured"), "{said}");
    let found = context.results();
    let arms = case(&found, "copy")["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 1);
    assert_eq!(case(&found, "copy")["verdict"], Value::Null);
    let said = context.run("run copy --state edits").ok();
    assert!(said.contains("3/3 edits pinned"), "{said}");
}

#[test]
fn one_noisy_repetition_neither_pins_an_edit_nor_leaves_it_unpinned() {
    let noisy = |arm: u32| {
        let text = format!(
            "repeat: 3
actors: {{app: {{python: shop.tasks}}}}
fixes:
  once:
    edits:
      guard:
        in: shop/tasks.py
        reverted: \"    Charge.objects.create(order=order\"
        applied: \"    order.paid_at or Charge.objects.create(order=order\"
      comment: {{in: shop/tasks.py, reverted: Place an order., applied: Place an order once.}}
steps:
  - {{python: app, run: place('order-1')}}
  - {{python: app, run: charge('order-1'), times: 2}}
  - read: {{charges: \"Charge.objects.count() + 5 * ('/arm-{arm}/' in __import__('os').getcwd() + '/')\"}}
invariants:
  charges: {{applied: 1, reverted: 2}}
"
        );
        let context = Context::new().case("noisy", &text);
        context.run("run noisy");
        case(&context.results(), "noisy").clone()
    };
    // Arms have numbers, three for each state: the base, the fix, its guard alone (which is without the comment).
    let found = noisy(7);
    let comment = found["fixes"][0]["edits"][1].clone();
    assert_eq!(comment["inconclusive"], "repetitions differ: 1 of 3 notice that it is missing", "{found:#}");
    assert_eq!(found["verdict"], "INCONCLUSIVE");
    assert_eq!(noisy(4)["verdict"], "FLAKY");
}
