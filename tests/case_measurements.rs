//! What the language says of measurements, real clusters, strangers, growth and repetition.

use std::path::Path;
use std::time::Duration;

use dj_regress::case::load::load_str;
use dj_regress::case::{Action, Actor, Case, Direction, Per, Quantity, State, StatementUnit, word};
use dj_regress::error::{ErrorKind, Result};
use rstest::rstest;
use serde_json::Value;

/// A good case; tests break one line of it at a time.
const GOOD: &str = r#"title: what crosses the wire
vars: {restarts: 2, clusters: 4}
repeat: 3
growth: {restarts: [1, 2, 4, 8]}
actors:
  q: {cluster: simulated}
  orphans: {cluster: real, count: $clusters}
  app: {python: }
  psql: {stranger: psql by hand}
fixes:
  upstream:
    edits:
      prune: {in: a.py, applied: "x", reverted: "y"}
      tidy:  {in: a.py, applied: "v", reverted: "w", unpinned: a comment}
steps:
  - start: q
  - {restart: q, times: $restarts}
  - {beat: q, times: 20, as: steady}
  - {sql: "DELETE FROM t WHERE a = $restarts", by: psql, as: gone}
  - start: orphans
  - {measure: 20s, as: real}
  - stop: orphans
invariants:
  list:      {of: statements, table: t, during: steady, per: beat, applied: 1, reverted: 2}
  traffic:   {of: wire_bytes, during: steady, per: day, applied: <= 0.4 GB, reverted: ">= 3.5 GB"}
  sent:      {of: wire_bytes, direction: up, actor: app, both: <= 1 MB}
  opened:    {of: connections, actor: q, during: real, per: second, both: 0..9}
  log:       {of: wal_bytes, table: t, during: steady, both: <= 1 MB}
  strangers: {of: writers, table: t, verbs: [delete, DELETE], allowed: [q, app], during: gone, both: 1}
  anybody:   {of: writers, table: t, both: 0..99}
  grown:     {of: memory, actor: app, during: steady, both: <= 20 MB}
  fetches:   {of: fetches, during: steady, per: beat, both: 26}
  a FETCH:   {of: fetches, actor: app, unit: rows, per: fetch, both: 2000}
  grows:     {of: growth, in: list, applied: constant, reverted: linear}
  gone:      {both: 1}
"#;

fn load(text: &str) -> Result<Case> {
    // At its end, so that what is wrong stays in its line.
    let text = format!("{text}packages: {{django: 5.2.*, django-q2: 1.11.1}}\n");
    load_str(&text, Path::new("cases/x.yaml"), Path::new("cases"))
}

fn good() -> Case {
    load(GOOD).unwrap_or_else(|error| panic!("error: {error}"))
}

fn message(text: &str) -> String {
    let error = load(text).expect_err("the case should be rejected");
    assert_eq!(error.kind, ErrorKind::Usage);
    format!("error: {}", error.message)
}

fn state(case: &Case) -> State {
    State::clone(&case.states.state)
}

#[test]
fn measurements_have_their_filters_and_defaults() {
    let of = |name: &str| state(&good()).invariants[name].of.clone();
    assert_eq!(
        of("traffic"),
        Quantity::WireBytes { direction: Direction::Both, actor: None, during: Some("steady".into()) }
    );
    assert_eq!(of("sent"), Quantity::WireBytes { direction: Direction::Up, actor: Some("app".into()), during: None });
    assert_eq!(of("opened"), Quantity::Connections { actor: Some("q".into()), during: Some("real".into()) });
    assert_eq!(of("log"), Quantity::WalBytes { table: Some("t".into()), during: Some("steady".into()) });
    assert_eq!(
        of("strangers"),
        Quantity::Writers {
            table: "t".into(),
            verbs: vec!["DELETE".into()],
            allowed: vec!["q".into(), "app".into()],
            during: Some("gone".into()),
        }
    );
    let all = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"].map(str::to_owned).to_vec();
    assert_eq!(of("anybody"), Quantity::Writers { table: "t".into(), verbs: all, allowed: Vec::new(), during: None });
    assert_eq!(of("grown"), Quantity::Memory { actor: "app".into(), during: Some("steady".into()) });
    let unit = StatementUnit::Count;
    assert_eq!(of("fetches"), Quantity::Fetches { actor: None, unit, during: Some("steady".into()) });
    let unit = StatementUnit::Rows;
    assert_eq!(of("a FETCH"), Quantity::Fetches { actor: Some("app".into()), unit, during: None });
    assert_eq!(state(&good()).invariants["a FETCH"].per, Some(Per::Fetch));
    assert_eq!(of("grows"), Quantity::Growth { of: "list".into() });
    assert_eq!(state(&good()).invariants["traffic"].per, Some(Per::Day));
    assert_eq!(word(Per::Second), "second");
}

#[test]
fn a_real_cluster_can_be_several() {
    let actors = state(&good()).actors;
    assert_eq!(actors["orphans"], Actor::RealCluster { count: 4 });
    assert_eq!(actors["psql"], Actor::Stranger { application_name: "psql by hand".into() });
    let single = load(&GOOD.replace(", count: $clusters", "").replace(", clusters: 4", ""))
        .unwrap_or_else(|error| panic!("error: {error}"));
    assert_eq!(state(&single).actors["orphans"], Actor::RealCluster { count: 1 });
}

#[test]
fn a_window_may_be_of_real_time_and_sql_a_strangers() {
    let actions: Vec<Action> = state(&good()).steps.into_iter().map(|step| step.action).collect();
    assert!(actions.contains(&Action::MeasureFor { time: Duration::from_secs(20) }));
    assert!(actions.contains(&Action::Stop { actor: "orphans".into(), within: None }));
    let statement = "DELETE FROM t WHERE a = 2".to_owned();
    assert!(actions.contains(&Action::Sql { actor: Some("psql".into()), statement }));
    let words: Vec<String> = state(&good()).steps.into_iter().map(|step| step.written).collect();
    assert_eq!(words[4..], ["start: orphans", "measure: 20s, as: real", "stop: orphans"]);
}

#[test]
fn a_change_wins_over_the_base_and_a_point_of_the_growth_over_both() {
    let text = GOOD.replace("  upstream:\n", "  upstream:\n    vars: {clusters: 5}\n");
    let case = load(&text).unwrap_or_else(|error| panic!("error: {error}"));
    assert_eq!(case.repeat, 3);
    assert_eq!(case.growth.clone().expect("the case grows").values, [1, 2, 4, 8].map(Value::from));
    let restarts = |state: &State| (state.vars["clusters"].clone(), state.steps[1].action.clone());
    let times = |count| Action::Restart { actor: "q".into(), count, by_kill: false };
    let fixed = &case.fixes["upstream"].states;
    assert_eq!(restarts(&case.states.state), (4.into(), times(2)));
    assert_eq!(restarts(&fixed.state), (5.into(), times(2)));
    assert_eq!(fixed.state.actors["orphans"], Actor::RealCluster { count: 5 });
    let grown: Vec<_> = fixed.grown.iter().map(|state| restarts(state)).collect();
    assert_eq!(grown, [1, 2, 4, 8].map(|count| (5.into(), times(count))));
}

#[test]
fn a_case_runs_once_and_does_not_grow_by_itself() {
    let text = GOOD.replace("repeat: 3\ngrowth: {restarts: [1, 2, 4, 8]}\n", "");
    let text =
        text.lines().filter(|line| !line.contains("of: growth")).fold(String::new(), |text, line| text + line + "\n");
    let case = load(&text).unwrap_or_else(|error| panic!("error: {error}"));
    assert_eq!((case.repeat, case.growth), (1, None));
}

#[test]
fn an_edit_may_say_why_nothing_needs_it() {
    let edits = &good().fixes["upstream"].change.edits;
    assert_eq!(edits["tidy"].unpinned.as_deref(), Some("a comment"));
    assert_eq!(edits["prune"].unpinned, None);
}

#[rstest]
// Quantities.
#[case("direction: up", "direction: upp", &["unknown word `upp`", "did you mean `up`?"])]
#[case("of: wire_bytes, direction", "of: wire_byts, direction", &["`direction` does not belong to the reading `wire_byts`", "did you mean `of: wire_bytes`?"])]
#[case("of: wal_bytes, table: t, during: steady", "of: wal_byts", &["no step gives a reading `wal_byts`", "did you mean", "`wal_bytes`?"])]
#[case("of: wal_bytes, table: t", "of: wal_bytes, actor: q", &["`actor` does not belong to `wal_bytes`", "`wal_bytes` takes `table`, `during` and `per`"])]
#[case("direction: up, actor: app", "actor: ap", &["unknown actor `ap`", "did you mean `app`?"])]
#[case("actor: q, during", "actor: psql, during", &["`psql` is a stranger: only what it writes is seen", "`of: writers`"])]
#[case("table: t, verbs", "verbs", &["`of: writers` needs a `table`"])]
#[case("[delete, DELETE]", "[delete, delte]", &["`DELTE` is not a verb that writes", "did you mean `DELETE`?"])]
#[case("[delete, DELETE]", "[]", &["`verbs` names none"])]
#[case("[q, app]", "[q, ap]", &["unknown actor `ap`", "did you mean `app`?"])]
#[case("[q, app]", "[probe]", &["the probe's statements are left out"])]
#[case("during: gone", "during: gon", &["no step is called `gon`", "did you mean `gone`?"])]
#[case("allowed: [q, app]", "verb: x", &["`verb` does not belong to `writers`", "`verbs`"])]
#[case("as: gone", "as: writers", &["a reading cannot be called `writers`"])]
// Memory and fetches.
#[case("of: memory, actor: app", "of: memory", &["`of: memory` needs an `actor`", "name it: `actor: NAME`"])]
#[case("of: memory, actor: app", "of: memory, actor: ap", &["unknown actor `ap`", "did you mean `app`?"])]
#[case("of: memory, actor: app", "of: memory, actor: orphans", &["`orphans` is a real cluster: it is not one process of ours", "name a web actor, a python actor, a simulated cluster or `client`"])]
#[case("of: memory, actor: app", "of: memory, actor: psql", &["`psql` is a stranger: it is not one process of ours"])]
#[case("of: memory, actor: app", "of: memory, actor: app, per: beat", &["`per` does not belong to `memory`"])]
#[case("both: <= 20 MB", "both: 20 MB", &["memory comes in pages", "it is never exactly `20 MB`", "`<= 20 MB`"])]
#[case("of: fetches, actor: app", "of: fetches, actor: psql", &["`psql` is a stranger: only what it writes is seen"])]
#[case("of: fetches, actor: app", "of: fetches, verb: FETCH", &["`verb` does not belong to `fetches`", "`fetches` takes `actor`, `unit`, `during` and `per`"])]
#[case("unit: rows, per: fetch", "per: fetch", &["there is always 1 FETCH per FETCH", "`unit: rows`"])]
#[case("table: t, during: steady, per: beat", "table: t, during: steady, per: fetch", &["`per: fetch` divides the rows of FETCHes", "`{of: fetches, unit: rows, per: fetch}`"])]
#[case("as: gone", "as: memory", &["a reading cannot be called `memory`"])]
// Growth.
#[case("in: list", "in: lst", &["no invariant is called `lst`", "did you mean `list`?"])]
#[case("in: list", "in: grows", &["`grows` is a growth itself"])]
#[case("in: list, ", "", &["`of: growth` needs an `in`"])]
#[case("reverted: linear", "reverted: liner", &["`liner` is not a way to grow", "did you mean `linear`?"])]
#[case("reverted: linear", "reverted: 2", &["`2` is not a way to grow", "`constant`, `linear`, `quadratic`"])]
#[case("reverted: linear", "reverted: constant", &["`grows` is hollow by construction"])]
#[case("growth: {restarts: [1, 2, 4, 8]}\n", "", &["`of: growth` in a case without `growth`", "at the top of the case"])]
#[case("{restarts: [1, 2, 4, 8]}", "{restart: [1, 2, 4, 8]}", &["`restart` is not declared in `vars`", "did you mean `restarts`?"])]
#[case("{restarts: [1, 2, 4, 8]}", "{restarts: [1, 2, 3], clusters: [1, 2, 3]}", &["a case grows over one var: `clusters` is a second one"])]
#[case("{restarts: [1, 2, 4, 8]}", "{}", &["`growth` without a var"])]
#[case("[1, 2, 4, 8]", "[1, 2]", &["growth over 2 values says nothing"])]
#[case("[1, 2, 4, 8]", "[1, 4, 4]", &["must ascend, 4 comes too late", ":4:27"])]
#[case("[1, 2, 4, 8]", "[1, 2, x]", &["expected a number, found \"x\"", ":4:27"])]
#[case("[1, 2, 4, 8]", "[-1, 2, 4]", &["the count -1 is negative"])]
#[case("in: list", "in: kept", &["`kept` is bounded by `true`: what is not a number does not grow"])]
#[case("    edits:\n", "    vars: {restarts: 3}\n    edits:\n", &["`restarts` is the var of `growth`"])]
#[case("  grows:     {of: growth, in: list, applied: constant, reverted: linear}\n", "", &["no invariant looks at the growth"])]
// Per.
#[case("per: day", "per: dya", &["unknown word `dya`", "did you mean `day`?"])]
#[case("during: steady, per: day", "during: gone, per: day", &["`per: day` is projected from heartbeats", "during"])]
#[case("during: steady, per: day", "during: real, per: day", &["`per: day` is projected from heartbeats", "`per: second`"])]
#[case("during: real, per: second", "during: steady, per: second", &["`per: second` needs a window of real time"])]
#[case("during: real, per: second", "per: second", &["`per: second` needs a window of real time"])]
#[case("per: second, both: 0..9", "per: second, applied: 1, reverted: 2", &["wall-clock rates are guards, give `both`"])]
#[case("table: t, both: 0..99", "table: t, per: day, both: 0", &["`per` divides a count of statements, bytes, connections or requests"])]
#[case("in: list", "in: opened", &["wall-clock rates are guards, give `both`"])]
// Repetition.
#[case("repeat: 3", "repeat: 0", &["`repeat` is a count of at least 1, found 0", ":3:9"])]
#[case("repeat: 3", "repeat: often", &["`repeat` is a count of at least 1, found \"often\""])]
// Actors.
#[case("cluster: real", "cluster: rael", &["unknown word `rael`", "did you mean `real`?"])]
#[case("stranger:", "stranegr:", &["unknown key `stranegr`", "did you mean `stranger`?"])]
#[case("{python: }", "{}", &["an actor without a kind", "stranger"])]
#[case("{python: }", "{python: , cluster: real}", &["an actor has one kind: this one has python and cluster"])]
#[case("{python: }", "{python: , count: 2}", &["`count` does not belong to `python`", "`count` belongs to `cluster: real`"])]
#[case("clusters: 4", "clusters: four", &["expected a count, found \"four\"", ":7:35"])]
#[case("psql by hand", "psql \u{2026}", &["1 to 63 printable ASCII characters"])]
#[case("  - start: orphans\n", "", &["`orphans` is used before it is started"])]
#[case("  - stop: orphans\n", "  - start: orphans\n", &["`orphans` is started already", "`- stop: orphans`"])]
#[case("  - stop: orphans\n", "  - stop: orphans\n  - stop: orphans\n", &["`orphans` is used before it is started"])]
#[case("  - stop: orphans\n", "  - stop: q\n", &["`q` is a simulated cluster and cannot do `stop`"])]
#[case("  - stop: orphans\n", "  - stop: app\n", &["`app` is a python actor and cannot do `stop`"])]
#[case("  - stop: orphans\n", "  - stop: psql\n", &["`psql` is a stranger and cannot do `stop`"])]
#[case("  - stop: orphans\n", "  - beat: orphans\n", &["a real cluster beats by itself: `orphans` cannot do `beat`", "`- {measure: 20s, as: NAME}`"])]
#[case("  - stop: orphans\n", "  - tick: orphans\n", &["a real cluster runs its scheduler by itself: `orphans` cannot do `tick`"])]
#[case("  - stop: orphans\n", "  - {python: orphans, run: x}\n", &["`orphans` is a cluster and cannot do `python`"])]
// Strangers.
#[case("by: psql", "by: psq", &["unknown actor `psq`", "did you mean `psql`?"])]
#[case("by: psql", "by: app", &["`app` is a python actor and cannot do `sql`"])]
#[case("sql: \"", "sql: \"SELECT pg_sleep(1); ", &["its time is virtual"])]
#[case("a = $restarts\"", "a = $restart\"", &["unknown variable `$restart`", ":19:11"])]
#[case("by: psql", "bye: psql", &["unknown key `bye`", "did you mean `by`?"])]
// Windows of real time.
#[case("measure: 20s", "measure: {fro: 20s}", &["expected a duration such as `2.5s`, found a mapping"])]
#[case("measure: 20s", "measure: {for: 20s}", &["`measure: {for: 20s}` is written `measure: 20s`", ":21:6"])]
#[case("measure: 20s", "measure: 20", &["`20` has no unit"])]
#[case("measure: 20s", "measure: 0s", &["a window of no time measures nothing", ":21:15"])]
#[case(", as: real", "", &["`measure` without `as`", ":21:6"])]
// Edits.
#[case("unpinned: a comment", "unpinned: \"\"", &["`unpinned` without a reason", ":14:54"])]
fn a_mistake_is_shown_where_it_is(#[case] good: &str, #[case] bad: &str, #[case] expected: &[&str]) {
    assert!(GOOD.contains(good), "the good case has no {good}");
    let mut text = GOOD.replacen(good, bad, 1);
    if bad == "in: kept" {
        text.push_str("  kept:      {of: gone, both: true}\n");
    }
    let message = message(&text);
    for fragment in expected {
        assert!(message.contains(fragment), "`{fragment}` is not in:\n{message}");
    }
}

#[test]
fn real_time_needs_somebody_who_lives_in_it() {
    let text = "title: t\nfixes: {f: {env: {A: 1}}}\nsteps: [{measure: 1s, as: w}, {read: {x: y}}]\n\
                invariants: {x: {applied: 1, reverted: 2}}\n";
    insta::assert_snapshot!(message(text), @r"
    error: nothing lives in real time here: the case has no real cluster
     --> cases/x.yaml:3:10
      |
    3 | steps: [{measure: 1s, as: w}, {read: {x: y}}]
      |          ^^^^^^^
      = help: declare a real cluster (`actors: {q: {cluster: real}}`), or move the clock: `- advance: 20s`
    ");
}
