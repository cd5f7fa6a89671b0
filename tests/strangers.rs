//! Who writes a table: call sites of actors, and strangers by their name.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fmt::Write as _;

use support::{Context, case};

const STRANGERS: usize = 100;

/// A case in which each of a hundred strangers deletes one row in one statement.
fn a_hundred() -> Context {
    let mut actors = String::from("  app: {python: }\n");
    let mut steps = String::from("  - {python: app, run: \"cache.set(f'key-{i}', i, None)\", times: 100}\n");
    for number in 0..STRANGERS {
        let _ = writeln!(actors, "  s{number}: {{stranger: visitor-{number}}}");
        let statement = format!("DELETE FROM django_cache_table WHERE cache_key = ':1:${{prefix}}-{number}'");
        let _ = writeln!(steps, "  - {{sql: \"{statement}\", by: s{number}}}");
    }
    Context::new().case(
        "vanishing",
        &format!(
            "settings:
  CACHES: {{default: {{BACKEND: django.core.cache.backends.db.DatabaseCache, LOCATION: django_cache_table}}}}
vars: {{prefix: key}}
actors:
{actors}fixes: {{told not to: {{vars: {{prefix: nothing}}}}}}
steps:
{steps}invariants:
  rows: {{of: rows, table: django_cache_table, applied: 100, reverted: 0}}
  strangers: {{of: writers, table: django_cache_table, verbs: [DELETE], allowed: [app], both: 100}}
"
        ),
    )
}

#[test]
fn a_stranger_that_deletes_one_row_is_named_a_hundred_times_of_a_hundred() {
    let context = a_hundred();
    context.run("run vanishing --jobs 1 --writes django_cache_table").ok();
    let results = context.results();
    let arms = case(&results, "vanishing")["arms"].as_array().unwrap();
    let arm = arms.iter().find(|arm| arm["state"] == "reverted").unwrap();
    let writes = arm["writes"].as_array().unwrap();
    for number in 0..STRANGERS {
        let name = format!("visitor-{number}");
        let found: Vec<_> = writes.iter().filter(|write| write["writer"] == name.as_str()).collect();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!((&found[0]["statements"], &found[0]["rows"]), (&1.into(), &1.into()), "{name}");
        assert_eq!(found[0]["is_stranger"], true);
    }
}

#[test]
fn a_function_on_the_server_is_told_by_the_call_that_ran_it() {
    let context = Context::new().case(
        "function",
        "settings: {CACHES: {default: {BACKEND: django.core.cache.backends.db.DatabaseCache, LOCATION: django_cache_table}}}
vars: {call: SELECT purge()}
actors: {app: {python: }}
fixes: {do not call it: {vars: {call: SELECT count(*) FROM django_cache_table}}}
steps:
  - sql: \"CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'DELETE FROM django_cache_table'\"
  - {python: app, run: \"cache.set('a', 1, None)\"}
  - {python: app, run: \"connection.cursor().execute('$call')\"}
invariants:
  rows: {of: rows, table: django_cache_table, applied: 1, reverted: 0}
  strangers: {of: writers, table: django_cache_table, verbs: [DELETE], allowed: [app], applied: 0, reverted: 1}
",
    );
    let said = context.run("run function --writes django_cache_table").ok();
    assert!(said.contains("SELECT purge()"), "{said}");
}
