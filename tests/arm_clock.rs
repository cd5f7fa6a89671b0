//! An arm has one clock: what its case moves, moves for its app, Postgres, Redis and nginx alike.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use rstest::rstest;
use serde_json::Value;
use support::{Context, case};

/// One run of all planted cases, on servers of this machine that arms share.
static RESULTS: LazyLock<Value> = LazyLock::new(|| {
    let context = Context::new().planted("clock");
    let said = context.run("run clock -j 2 --services local");
    assert_eq!(said.code, Some(1), "{said}");
    context.results()
});

/// The second line of a planted case: `# expect: VERDICT[: a part of the reason]`.
#[rstest]
fn a_planted_case_gets_the_verdict_it_deserves(#[files("tests/planted/clock/*.yaml")] path: PathBuf) {
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().nth(1).unwrap().strip_prefix("# expect: ").expect("the second line says what is expected");
    let (verdict, reason) = line.split_once(": ").unwrap_or((line, ""));
    let found = case(&RESULTS, &format!("clock/{}", path.file_stem().unwrap().to_str().unwrap()));
    assert_eq!(found["verdict"], verdict, "{found:#}");
    let mut reasons = found["fixes"].as_array().unwrap().iter().map(|fix| &fix["reason"]).chain([&found["reason"]]);
    let is_said = |found: &Value| found.as_str().unwrap_or_default().contains(reason);
    assert!(reasons.any(is_said), "`{reason}` is not said in {found:#}");
}
