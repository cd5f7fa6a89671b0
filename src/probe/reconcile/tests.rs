//! Wires and servers that agree, and that do not.

use rstest::rstest;

use super::*;
use crate::proxy::{Class, Outcome, shape};

fn sent(sql: &str, outcome: Outcome) -> Sent {
    let class = Class { shape: shape(sql), ..Class::default() };
    Sent { backend: 7, database: "arm".into(), class: class.into(), example: "".into(), at: 1, rows: 0, outcome }
}

fn server(pairs: &[(&str, u64)]) -> Executed {
    pairs.iter().map(|&(sql, calls)| (shape(sql), calls)).collect()
}

fn wire(actor: &str, after: Vec<Sent>, is_disturbed: bool) -> Wire {
    Wire { actor: actor.to_owned(), before: after.clone(), after, is_disturbed }
}

#[rstest]
#[case::equal(vec![sent("SELECT a FROM t", Outcome::Done)], false, &[("SELECT a FROM t", 1)], true)]
#[case::failed(vec![sent("INSERT INTO t", Outcome::Failed)], false, &[], true)]
#[case::failed_after_it_was_executed(vec![sent("INSERT INTO t", Outcome::Failed)], true, &[("INSERT INTO t", 1)], true)]
#[case::failed_and_executed(vec![sent("INSERT INTO t", Outcome::Failed)], false, &[("INSERT INTO t", 1)], false)]
#[case::stranger(vec![], true, &[("DELETE FROM t", 1)], false)]
#[case::lost(vec![sent("SELECT a FROM t", Outcome::Done)], true, &[], false)]
#[case::unanswered_and_executed(vec![sent("UPDATE t", Outcome::Unanswered)], false, &[("UPDATE t", 1)], true)]
#[case::unanswered_and_not(vec![sent("UPDATE t", Outcome::Unanswered)], false, &[], true)]
#[case::more_than_was_sent(vec![sent("UPDATE t", Outcome::Unanswered)], true, &[("UPDATE t", 2)], false)]
#[case::another_table(vec![sent("SELECT a FROM t JOIN u ON true", Outcome::Done)], false, &[("SELECT a FROM t", 1)], false)]
fn wires_and_server_agree_or_the_shape_is_named(
    #[case] sent: Vec<Sent>,
    #[case] is_disturbed: bool,
    #[case] executed: &[(&str, u64)],
    #[case] agree: bool,
) {
    let differences = with_server(&[wire("app", sent, is_disturbed)], "arm", &server(executed));
    assert_eq!(differences.is_empty(), agree, "{differences:?}");
}

#[test]
fn what_is_executed_between_two_looks_at_the_wires_may_be_counted_or_not() {
    let one = || sent("SELECT a FROM t", Outcome::Done);
    let wire = Wire { actor: "app".into(), before: vec![one()], after: vec![one(), one()], is_disturbed: false };
    for (executed, agree) in [(0, false), (1, true), (2, true), (3, false)] {
        let differences = with_server(std::slice::from_ref(&wire), "arm", &server(&[("SELECT a FROM t", executed)]));
        assert_eq!(differences.is_empty(), agree, "{executed}: {differences:?}");
    }
}

#[test]
fn a_fault_loosens_no_other_wire() {
    let failed = || vec![sent("UPDATE t", Outcome::Failed)];
    let wires = [wire("hurt", failed(), true), wire("app", failed(), false)];
    assert!(with_server(&wires, "arm", &server(&[("UPDATE t", 1)])).is_empty());
    assert_eq!(with_server(&wires, "arm", &server(&[("UPDATE t", 2)])).len(), 1);
}

#[test]
fn what_another_database_executes_is_not_held_against_this_one() {
    let wires = [wire("app", vec![sent("UPDATE t", Outcome::Done)], false)];
    assert!(with_server(&wires, "another", &server(&[])).is_empty());
}

#[rstest]
#[case(3, 3, true, false, true)]
#[case(3, 2, true, false, false)]
#[case(3, 4, true, false, false)]
#[case(3, 2, false, false, true)]
#[case(3, 4, false, false, false)]
#[case(3, 2, true, true, true)]
#[case(3, 4, true, true, false)]
fn nobody_sees_more_requests_than_were_sent_nor_fewer_where_all_were_answered(
    #[case] sent: u64,
    #[case] seen: u64,
    #[case] all_answered: bool,
    #[case] disturbed: bool,
    #[case] agree: bool,
) {
    let requested = [Requested { actor: "web".into(), sent, seen, all_answered }];
    assert_eq!(with_requests(&requested, |_| disturbed).is_empty(), agree);
}
