//! Properties of bounds, and of the loader on any text.

use std::path::Path;

use dj_regress::case::load::load_str;
use dj_regress::case::verdict::Verdict;
use dj_regress::case::{Bound, Case, unit};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the repository's cases do not use.
const MEASURED: &str = r#"title: t
vars: {restarts: 2}
repeat: 2
growth: {restarts: [1, 2, 4]}
actors: {q: {cluster: simulated}, real: {cluster: real, count: $restarts}, psql: {stranger: psql}}
fixes: {f: {edits: {e: {in: a.py, applied: x, reverted: y, unpinned: z}}}}
steps:
  - start: q
  - {beat: q, times: 20, as: steady}
  - {sql: DELETE FROM t, by: psql}
  - start: real
  - {measure: 2s, as: real time}
  - stop: real
invariants:
  a: {of: wire_bytes, direction: up, actor: q, during: steady, per: day, applied: <= 1 GB, reverted: "> 1 GB"}
  b: {of: connections, during: real time, per: second, both: 1..2}
  c: {of: wal_bytes, table: t, both: 1}
  d: {of: writers, table: t, verbs: [DELETE], allowed: [q], both: 1}
  e: {of: growth, in: a, applied: constant, reverted: linear}
packages: {django: 5.2.*, django-q2: 1.11.1}
"#;

const CASES: [&str; 6] = [
    MEASURED,
    include_str!("../cases/django_q/stat_master_list.yaml"),
    include_str!("../cases/django/database_cache_culls.yaml"),
    include_str!("../cases/django_q/async_iter_arguments_expire.yaml"),
    include_str!("good/clusters.yaml"),
    include_str!("good/faults.yaml"),
];

fn load(text: &str) -> Option<Case> {
    load_str(text, Path::new("cases/x.yaml"), Path::new("cases")).ok()
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (-40i64..40).prop_map(|int| int.to_string()),
        any::<i64>().prop_map(|int| int.to_string()),
        (-40i32..40).prop_map(|int| format!("{:?}", f64::from(int) / 4.0)),
        (-1e15..1e15).prop_map(|float: f64| format!("{float:?}")),
    ]
}

fn amount() -> impl Strategy<Value = String> {
    (number(), prop::sample::select(vec!["", "B", "kB", " MB", " GiB"])).prop_map(|(number, unit)| number + unit)
}

fn bound() -> impl Strategy<Value = Bound> {
    let text = prop_oneof![
        (prop::sample::select(vec!["<= ", ">=", "<", "> "]), amount())
            .prop_map(|(sign, amount)| sign.to_owned() + &amount),
        (number(), number()).prop_map(|(low, high)| format!("{low}..{high}")),
        (amount(), 0..200u8).prop_map(|(centre, margin)| format!("{centre} +- {margin} %")),
        (number(), 0..50u8).prop_map(|(centre, margin)| format!("{centre} +- {margin}")),
        amount(),
        "[A-Za-z ]{0,6}",
    ];
    let value = prop_oneof![
        4 => text.prop_map(Value::from),
        1 => value(),
    ];
    value.prop_filter_map("not a bound", |value| Bound::parse(&value).ok())
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-60i64..60).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-160i32..160).prop_map(|int| json!(f64::from(int) / 8.0)),
        (-1e15..1e15).prop_map(|float: f64| json!(float)),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "[A-Za-z ]{0,4}".prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn a_bound_reads_as_it_was_shown(bound in bound()) {
        let shown = bound.to_string();
        // As a case holds it: YAML decides between text and number.
        let again: Value = serde_saphyr::from_str(&shown).unwrap_or(Value::String(shown.clone()));
        let text_again = Bound::parse(&Value::String(shown.clone()));
        prop_assert!(
            Bound::parse(&again).is_ok_and(|again| again == bound) || text_again.is_ok_and(|again| again == bound),
            "{bound:?} shown as {shown}"
        );
    }

    #[test]
    fn bounds_that_accept_one_value_overlap(a in bound(), b in bound(), value in value()) {
        if a.holds(&value) && b.holds(&value) {
            prop_assert!(a.overlaps(&b), "{a} and {b} both accept {value}");
        }
    }

    #[test]
    fn a_witness_is_accepted_by_both_and_overlap_is_mutual(a in bound(), b in bound()) {
        if let Some(witness) = a.witness(&b) {
            prop_assert!(a.holds(&witness) && b.holds(&witness), "{a} and {b}: {witness}");
        }
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
    }

    #[test]
    fn a_bound_overlaps_itself_unless_it_accepts_nothing(bound in bound(), value in value()) {
        if bound.holds(&value) {
            prop_assert!(bound.overlaps(&bound));
        }
    }

    #[test]
    fn the_loader_survives_any_text(text in "\\PC{0,200}") {
        let _ = load(&text);
    }

    #[test]
    fn the_loader_survives_yaml_like_text(text in "([a-z:{}\\[\\]\"'$&*!|>% -]{0,20}\n){0,8}") {
        let _ = load(&text);
    }

    #[test]
    fn the_loader_survives_a_mutated_case(
        case in prop::sample::select(CASES.to_vec()),
        at in any::<prop::sample::Index>(),
        len in 0usize..30,
        put in "[a-z0-9:{}\\[\\]\"'$&*!|><=%,.é\n -]{0,12}",
    ) {
        let chars: Vec<char> = case.chars().collect();
        let at = at.index(chars.len());
        let mut text: String = chars[..at].iter().collect();
        text.push_str(&put);
        text.extend(chars.iter().skip(at + len));
        // What loads has all of its states.
        if let Some(case) = load(&text) {
            let points = case.growth.as_ref().map_or(0, |growth| growth.values.len());
            let fixes = case.fixes.values().map(|fix| &fix.states);
            for states in fixes.chain([&case.states]).chain(case.control.as_ref().map(|control| &control.states)) {
                prop_assert!(!states.state.steps.is_empty() && states.grown.len() == points);
            }
        }
    }

    #[test]
    fn filling_never_panics(text in "[$a-z{}0-9.<>=+ -]{0,16}", var in value()) {
        let text = Value::from(text);
        let _ = load(&format!(
            "title: t\nvars: {{a: {var}}}\nsettings: {{X: {text}}}\nactors: {{q: {{cluster: simulated}}}}\n\
             fixes: {{f: {{env: {{A: b}}}}}}\nsteps: [{{start: q}}, {{restart: q, times: {text}}}, {{read: {{x: y}}}}]\n\
             invariants: {{x: {{applied: {text}, reverted: 2}}}}\n"
        ));
    }
}

proptest! {
    #[test]
    fn vars_of_any_text_never_panic(
        text in "[$a-zB{}0-9.<>=+: -]{0,16}",
        amount in amount(),
        value in value(),
        which in any::<prop::sample::Index>(),
    ) {
        for case in [CASES[4], CASES[5]] {
            let Some(vars) = load(case).map(|case| case.base.vars) else {
                return Err(TestCaseError::fail("the case should load"));
            };
            for text in [Value::from(text.as_str()), Value::from(amount.as_str()), value.clone()] {
                let mut vars = vars.clone();
                let at = which.index(vars.len());
                vars[at] = text;
                let line = format!("vars: {}", json!(vars));
                let put = |text: String, own: &str| text + if own.starts_with("vars:") { &line } else { own } + "\n";
                let _ = load(&case.lines().fold(String::new(), put));
            }
        }
    }

    #[test]
    fn whole_bytes_stay_whole(bytes in 0u64..9_000_000_000_000_000, thousandths in 0u64..9_000_000_000) {
        prop_assert_eq!(unit::bytes(&format!("{bytes} B")), Ok(bytes));
        let kilobytes = format!("{}.{:03} kB", thousandths / 1000, thousandths % 1000);
        prop_assert_eq!(unit::bytes(&kilobytes), Ok(thousandths));
    }

    #[test]
    fn a_time_from_now_is_a_duration_with_a_sign(amount in 0u32..u32::MAX, unit in prop::sample::select(vec!["us", "ms", "s"])) {
        let ahead = unit::offset(&format!("{amount}{unit}"));
        prop_assert_eq!(unit::offset(&format!("-{amount}{unit}")), ahead.clone().map(|ahead| -ahead));
        let duration = unit::duration(&format!("{amount}{unit}")).map(|duration| duration.as_nanos());
        prop_assert_eq!(ahead.map(i64::cast_unsigned).map(u128::from), duration.clone());
        prop_assert!(unit != "s" || duration == Ok(u128::from(amount) * 1_000_000_000));
    }
}

#[test]
fn the_cases_load() {
    for case in CASES {
        assert!(load(case).is_some(), "{case}");
    }
}

#[test]
fn nan_holds_nowhere() {
    // JSON has no NaN: serde_json makes null of it.
    let nan = json!(f64::NAN);
    for bound in ["<= 1", ">= 1", "0..1", "1 +- 1 %", "3 GB"] {
        assert!(!Bound::parse(&bound.into()).expect("a bound").holds(&nan), "{bound}");
    }
}

#[test]
fn the_worst_verdict_is_the_least() {
    let worst = [Verdict::Proven, Verdict::NotPinned, Verdict::Inconclusive, Verdict::Flaky].into_iter().min();
    assert_eq!(worst, Some(Verdict::Inconclusive));
    let order = [
        Verdict::Inconclusive,
        Verdict::Backwards,
        Verdict::NotFixed,
        Verdict::Flaky,
        Verdict::NotPinned,
        Verdict::Proven,
    ];
    assert!(order.is_sorted(), "DESIGN.md's order");
}
