//! Ceilings: what is asked and what is allowed, where it stands.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use dj_regress::case::Case;
use dj_regress::case::load::load_str;
use dj_regress::error::Result;
use rstest::rstest;

/// A good case; tests break one line of it at a time.
const GOOD: &str = "title: t
packages: {django: 5.2.*, django-q2: 1.9.0}
repeat: 2
vars: {n: 2, v: 1}
growth: {v: [1, 2, 3]}
actors: {q: {cluster: real, count: 2}, app: {python: }, sim: {cluster: simulated, env: {V: $v}}, web: {serve: wsgi, threads: 8}}
services: {redis: {maxmemory: 5 MB}}
fixes:
  one: {vars: {n: 1}}
steps:
  - advance: 1d
  - read: {x: '0 + $n'}
  - start: q
  - start: sim
  - {measure: 1s, as: window}
  - drain: q
    within: 20s
invariants:
  x: {applied: 1, reverted: 2}
  y: {of: growth, in: x, both: constant}
";

fn load(text: &str) -> Result<Case> {
    load_str(text, Path::new("cases/x.yaml"), Path::new("cases"))
}

fn refused(good: &str, bad: &str) -> String {
    assert!(GOOD.contains(good), "the good case has no {good}");
    load(&GOOD.replacen(good, bad, 1)).expect_err("it is refused").message
}

#[test]
fn the_case_that_is_broken_below_is_a_good_one() {
    load(GOOD).unwrap_or_else(|error| panic!("{error}"));
}

#[rstest]
#[case("repeat: 2", "repeat: 101", "101 repetitions are too many: at most 100", ":3:9")]
#[case("repeat: 2", "repeat: 0", "`repeat` is a count of at least 1, found 0", ":3:9")]
#[case("repeat: 2", "repeat: 99999999999999999999", "", ":3:9")]
#[case("count: 2", "count: 17", "17 clusters are too many: at most 16", ":6:36")]
#[case("count: 2", "count: 0", "it is counted from 1", ":6:36")]
#[case("threads: 8", "threads: 65", "65 threads are too many: at most 64", ":6:126")]
#[case("maxmemory: 5 MB", "maxmemory: 2 GB", "`2000000000` is too much memory: at most 1 GB", ":7:31")]
#[case("advance: 1d", "advance: 36501d", "`36501d` is too long: at most 36500d", ":11:14")]
#[case("advance: 1d", "advance: 1e300d", "is too long", ":11:14")]
#[case("measure: 1s", "measure: 2h", "`2h` is too long: at most 1h", ":15:15")]
#[case("within: 20s", "within: 61min", "`61min` is too long: at most 1h", ":17:13")]
#[case(
    "- drain: q\n    within: 20s",
    "- {http: GET /, callers: 129}",
    "129 callers are too many: at most 128",
    ":16:28"
)]
#[case("- drain: q\n    within: 20s", "- {http: GET /, times: 0}", "it is counted from 1", ":16:26")]
#[case(
    "- drain: q\n    within: 20s",
    "- {http: GET /, times: 1000, callers: 21}",
    "21000 times are too many: at most 20000",
    ":16:26"
)]
#[case(
    "- drain: q\n    within: 20s",
    "- {tick: sim, times: 20001}",
    "20001 times are too many: at most 20000",
    ":16:24"
)]
#[case("- drain: q\n    within: 20s", "- {tick: sim, times: 0}", "a step that acts 0 times does nothing", ":16:24")]
fn too_much_is_refused_where_it_stands_with_what_is_allowed(
    #[case] good: &str,
    #[case] bad: &str,
    #[case] expected: &str,
    #[case] place: &str,
) {
    let message = refused(good, bad);
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
    assert!(message.contains(&format!("x.yaml{place}\n")), "{message}");
}

#[rstest]
#[case::verbs("- {tick: sim, times: $n}")]
#[case::sources("- {python: app, run: pass, times: $n}")]
fn a_var_may_bring_no_time_at_all_as_a_controls_does(#[case] step: &str) {
    let text = GOOD.replace("vars: {n: 2,", "vars: {n: 0,").replace("reverted: 2", "reverted: 0");
    let text = text.replace("- drain: q\n    within: 20s", step);
    load(&text).unwrap_or_else(|error| panic!("{error}"));
    let error = load(&text.replace("n: 0", "n: 20001")).expect_err("it is too much").message;
    assert!(error.contains("20001 times are too many: at most 20000"), "{error}");
}

#[test]
fn the_virtual_time_of_all_steps_has_an_end() {
    let message = refused("- advance: 1d", "- advance: 30000d\n  - advance: 30000d");
    assert!(message.contains("the virtual time of all steps: `60000d` is too long: at most 36500d"), "{message}");
    assert!(message.contains("x.yaml:10:1\n"), "{message}");
}

#[rstest]
#[case("growth: {v: [1, 2, 3]}", format!("growth: {{v: {:?}}}", (1..=33).collect::<Vec<_>>()), "growth over 33 values is too much: at most 32")]
#[case("  - drain: q\n", "  - drain: q\n".repeat(1001), "1006 steps are too many: at most 1000")]
#[case("  one: {vars: {n: 1}}\n", many("f", "{vars: {n: 1}}", 33), "33 fixes are too many: at most 32")]
#[case("app: {python: }", format!("app: {{python: }}, {}", list("a", "{python: }", 125)), "129 actors are too many: at most 128")]
#[case("invariants:\n", format!("invariants:\n{}", many("i", "{of: x, both: 1..2}", 255)), "257 invariants are too many: at most 256")]
#[case("one: {", format!("one: {{edits: {{{}}}, ", list("e", "{in: a/b.py, applied: a, reverted: b}", 65)), "65 edits are too many: at most 64")]
fn there_is_a_most_of_everything(#[case] good: &str, #[case] bad: String, #[case] expected: &str) {
    let message = refused(good, &bad);
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
}

fn many(name: &str, value: &str, count: usize) -> String {
    (0..count).map(|n| format!("  {name}{n}: {value}\n")).collect()
}

fn list(name: &str, value: &str, count: usize) -> String {
    (0..count).map(|n| format!("{name}{n}: {value}")).collect::<Vec<_>>().join(", ")
}

#[rstest]
#[case::fix("  one:", "  \"a\\nb\":", "the name `a\\nb` has a control character in it")]
#[case::escape("  one:", "  \"a\\e[2J\":", "has a control character in it")]
#[case::empty("  one:", "  \" \":", "a name is empty")]
#[case::long("  one:", &format!("  {}:", "x".repeat(61)), "a name of 61 bytes is too long: at most 60")]
#[case::actor("sim:", &format!("{}:", "x".repeat(53)), "an actor's name of 53 bytes is too long: at most 52")]
#[case::actor_that_a_server_changes("sim:", "größe:", "the name of the actor `größe` has more than ASCII")]
#[case::window("as: window", "as: \"a\\tb\"", "the name `a\\tb` has a control character in it")]
#[case::reading("{x: '0 + $n'}", "{x: '0 + $n', \"a\\0\": y}", "the name `a\\0` has a control character in it")]
#[case::invariant("  y:", "  \"y\\r\":", "the name `y\\r` has a control character in it")]
#[case::variable("{n: 2,", "{n: 2, \"a\\nb\": 1,", "the name `a\\nb` has a control character in it")]
#[case::title("title: t", "title: \"t\\e[31m\"", "has a control character in it")]
fn what_cannot_be_a_name_is_refused(#[case] good: &str, #[case] bad: &str, #[case] expected: &str) {
    let message = refused(good, bad);
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
    assert!(!message.contains(['\u{1b}', '\0', '\r']), "{message:?}");
}

#[rstest]
#[case("cases/a\nb.yaml", "has a control character in it")]
#[case(&format!("cases/{}.yaml", "x".repeat(91)), "the name of a case with 91 bytes is too long: at most 90")]
fn what_cannot_be_the_name_of_a_case_is_refused(#[case] path: &str, #[case] expected: &str) {
    let message = load_str(GOOD, Path::new(path), Path::new("cases")).expect_err("it is refused").message;
    assert!(message.contains(expected), "{message}");
}

#[rstest]
#[case::file(format!("{GOOD}# {}\n", "x".repeat(256 * 1024)), "a case file of more than 262144 bytes is too large")]
#[case::depth(format!("{GOOD}env: {}1{}\n", "[".repeat(41), "]".repeat(41)), "values more than 40 levels deep are too deep")]
#[case::values(format!("{GOOD}issues: [{}]\n", "a, ".repeat(10_001)), "more than 10000 values in one case are too many")]
#[case::laughs(format!("{}{GOOD}", laughs(9)), "more than 10000 values in one case are too many")]
#[case::long_ones(format!("x: &a {}\ny: [{}]\n{GOOD}", "a".repeat(100_000), "*a, ".repeat(500)), "more than 10000 values")]
fn a_file_that_only_fills_memory_is_refused_at_once(#[case] text: String, #[case] expected: &str) {
    let start = Instant::now();
    let message = load(&text).expect_err("it is refused").message;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(message.contains(expected), "`{expected}` is not in:\n{}", &message[..message.len().min(2000)]);
    assert!(message.contains("--> cases/x.yaml:") && message.len() < 2000, "{}", message.len());
}

/// Each level ten times the one before.
fn laughs(levels: usize) -> String {
    let level = |n: usize| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(", "));
    format!("l0: &l0 ha\n{}", (1..=levels).map(level).collect::<String>())
}
