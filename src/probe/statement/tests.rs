//! Wires and ledgers that agree, and that do not.

use rstest::rstest;

use super::*;
use crate::probe::ledger::End;
use crate::proxy::{read, shape};

fn sent(sql: &str, at: u64) -> Sent {
    let reading = read(sql);
    let class = Class { shape: reading.shape, way: reading.way, ..Class::default() };
    Sent {
        backend: 7,
        database: "d".into(),
        class: class.into(),
        example: sql.into(),
        at,
        rows: 1,
        outcome: Outcome::Done,
    }
}

/// Ended at this moment; or, at 0, never.
fn call(sql: &str, begin: u64, end: u64, error: Option<&str>) -> Call {
    Call {
        actor: "app".into(),
        role: "main".into(),
        shape: shape(sql).into(),
        sql: sql.into(),
        site: format!("at {begin}").into(),
        begin,
        times: 1,
        backend: 7,
        end: (end > 0).then(|| End { at: end, rows: 0, error: error.map(str::to_owned) }),
    }
}

/// The call sites of what is counted, and how many differences there are.
fn found(calls: Vec<Call>, wire: &[Sent]) -> (Vec<String>, Vec<String>) {
    let evidence = Evidence::new(&Ledger { calls }, [("app", wire)], 100);
    let sites = evidence.statements.iter().map(|statement| statement.site.to_string());
    (sites.collect(), evidence.differences)
}

#[rstest]
#[case::one(vec![call("SELECT a FROM x", 1, 9, None)], &[sent("SELECT a FROM x", 5)], &["at 1"])]
#[case::several_of_one_call(
    vec![call("INSERT INTO x; INSERT INTO y", 1, 9, None)],
    &[sent("INSERT INTO x", 5), sent("INSERT INTO y", 5)],
    &["at 1", "at 1"]
)]
#[case::its_process_was_killed(vec![call("SELECT a FROM x", 1, 0, None)], &[sent("SELECT a FROM x", 5)], &["at 1"])]
#[case::the_driver_begins_within(
    vec![call("SELECT a FROM x", 1, 9, None)],
    &[sent("BEGIN", 3), sent("SELECT a FROM x", 5)],
    &["at 1"]
)]
#[case::the_app_begins(vec![call("BEGIN", 1, 9, None)], &[sent("BEGIN", 3)], &["at 1"])]
#[case::the_driver_by_itself(vec![], &[sent("BEGIN", 3), sent("FETCH 10 FROM \"c\"", 5), sent("COMMIT", 6)], &[])]
#[case::in_a_pipeline(
    vec![call("SELECT a FROM x", 1, 2, None), call("SELECT a FROM y", 3, 4, None)],
    &[sent("SELECT a FROM x", 8), sent("SELECT a FROM y", 8)],
    &["at 1", "at 3"]
)]
#[case::a_pipeline_that_is_sent_within_a_later_call(
    vec![call("SELECT a FROM x", 1, 2, None), call("SELECT a FROM y", 3, 9, None)],
    &[sent("SELECT a FROM x", 5), sent("SELECT a FROM y", 5)],
    &["at 1", "at 3"]
)]
#[case::within_a_wrapper(
    vec![call("SELECT a FROM x", 1, 9, None), call("SELECT b FROM y", 2, 4, None)],
    &[sent("SELECT b FROM y", 3), sent("SELECT a FROM x", 5)],
    &["at 2", "at 1"]
)]
#[case::copy(vec![], &[sent("COPY x FROM STDIN", 5)], &["<no call site>"])]
#[case::refused_before_it_was_sent(vec![call("SELECT a FROM x", 1, 9, Some("ProgrammingError"))], &[], &[])]
#[case::of_another_engine(vec![Call { backend: 0, ..call("CREATE TABLE x", 1, 9, None) }], &[], &[])]
#[case::a_comment(vec![call("-- nothing", 1, 9, None)], &[], &[])]
fn what_goes_over_a_wire_has_the_call_site_of_its_call(
    #[case] calls: Vec<Call>,
    #[case] wire: &[Sent],
    #[case] sites: &[&str],
) {
    let (of, differences) = found(calls, wire);
    assert_eq!(of, sites);
    assert_eq!(differences, Vec::<String>::new());
}

#[rstest]
#[case::past_django(vec![], &[sent("INSERT INTO x VALUES (1)", 5)], "app sent INSERT x past Django's cursors (1 times")]
#[case::after_the_call(vec![call("SELECT a FROM x", 1, 2, None)], &[sent("INSERT INTO x", 5), sent("SELECT a FROM x", 2)], "INSERT x past Django")]
#[case::never_sent(vec![call("SELECT a FROM x", 1, 9, None)], &[], "Django sent SELECT x from at 1 (1 times), and the wire of app")]
fn what_only_one_of_the_two_has_seen_is_named(#[case] calls: Vec<Call>, #[case] wire: &[Sent], #[case] expected: &str) {
    let (_, differences) = found(calls, wire);
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].contains(expected), "{differences:?}");
}

#[test]
fn what_is_answered_after_the_last_look_is_not_missed() {
    assert_eq!(found(vec![call("SELECT a FROM x", 90, 101, None)], &[]).1, Vec::<String>::new());
}
