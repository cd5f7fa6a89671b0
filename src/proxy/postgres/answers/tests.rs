//! Conversations, as the server and the common drivers hold them.

use std::fmt::Write as _;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Holds a conversation after start-up. A message is `>` (to the server) or `<` (from it), its type, a blank and its
/// body, where `|` stands for the zero byte.
fn talk(messages: &str) -> Answers {
    let mut session = Answers::default();
    for message in "<R\n<Z I\n".lines().chain(messages.lines()).map(str::trim).filter(|line| !line.is_empty()) {
        let body = message.get(3..).unwrap_or_default().replace('|', "\0");
        let framed = Message { kind: message.as_bytes()[1], length: body.len(), body: body.as_bytes() };
        if message.starts_with('>') { session.frontend(&framed) } else { session.backend(&framed) }
    }
    session
}

/// The counts in one line: shapes in brackets are those that wrappers cannot see.
fn counts(session: &Answers) -> String {
    let counters = session.counts().counters();
    let mut found = Vec::new();
    for (by_shape, before, after) in [(&counters.seen, "", ""), (&counters.unseen, "[", "]")] {
        for (shape, counts) in by_shape {
            let mut text = format!("{before}{shape}{after} {}", counts.statements);
            for (name, count) in
                [("failed", counts.failed), ("skipped", counts.skipped), ("unanswered", counts.unanswered)]
            {
                if count > 0 {
                    let _ = write!(text, " {name} {count}");
                }
            }
            found.push(text);
        }
    }
    if counters.unmatched > 0 {
        found.push(format!("unmatched {}", counters.unmatched));
    }
    let sum = |count: fn(&crate::proxy::Counts) -> u64| -> u64 {
        counters.seen.values().chain(counters.unseen.values()).map(count).sum()
    };
    assert_eq!(counters.statements, sum(|counts| counts.statements));
    assert_eq!(counters.failed, sum(|counts| counts.failed));
    found.join(", ")
}

#[rstest]
#[case::one(">Q SELECT a FROM t|\n<T\n<D\n<C SELECT 1|\n<Z I", "SELECT t 1")]
#[case::several(
    ">Q BEGIN; UPDATE t SET a = ';'; COMMIT|\n<C BEGIN|\n<C UPDATE 1|\n<C COMMIT|\n<Z I",
    "UPDATE t 1, [BEGIN] 1, [COMMIT] 1"
)]
#[case::empty(">Q ;|\n<I\n<Z I", " 1")]
#[case::failed(">Q UPDATE t|\n<E\n<Z I\n>Q COMMIT|\n<C COMMIT|\n<Z I", "UPDATE t 1 failed 1, [COMMIT] 1")]
#[case::failed_in_the_middle(
    ">Q UPDATE a; UPDATE b; UPDATE c|\n<C UPDATE 1|\n<E\n<Z I",
    "UPDATE a 1, UPDATE b 1 failed 1, UPDATE c 0 skipped 1"
)]
#[case::copy_in(
    ">Q COPY t FROM STDIN; UPDATE t|\n<G\n>d 1\n>d 2\n>c\n<C COPY 2|\n<C UPDATE 2|\n<Z I",
    "COPY t + INSERT t 1, UPDATE t 1"
)]
#[case::copy_in_fails_under_way(
    ">Q COPY t FROM STDIN|\n<G\n>d 1\n<E\n<Z I\n>d 2\n>c\n>Q UPDATE t|\n<C UPDATE 2|\n<Z I",
    "COPY t + INSERT t 1 failed 1, UPDATE t 1"
)]
#[case::copy_given_up(
    ">Q COPY t FROM STDIN|\n<G\n>d 1\n>f no|\n<E\n<Z I\n>Q UPDATE t|\n<C UPDATE 2|\n<Z I",
    "COPY t + INSERT t 1 failed 1, UPDATE t 1"
)]
#[case::copy_out(">Q COPY t TO STDOUT|\n<H\n<d 1\n<d 2\n<c\n<C COPY 2|\n<Z I", "COPY t + SELECT t 1")]
#[case::prepared_by_sql(
    ">Q PREPARE p AS INSERT INTO t VALUES (1)|\n<C PREPARE|\n<Z I\n>Q EXECUTE p; EXECUTE p|\n<C INSERT 0 1|\n<C INSERT 0 1|\n<Z I",
    "INSERT t 2, [PREPARE] 1"
)]
#[case::function(">F\n<V\n<Z I\n>F\n<E\n<Z I", "[FUNCTION] 2 failed 1")]
#[case::terminated(">Q UPDATE t|\n<E\n", "UPDATE t 1 failed 1")]
#[case::terminated_while_idle("<E", "")]
fn simple_queries(#[case] messages: &str, #[case] expected: &str) {
    assert_eq!(counts(&talk(messages)), expected);
}

#[rstest]
#[case::unnamed(">P |UPDATE t|\n>B ||\n>D P|\n>E |\n>S\n<1\n<2\n<n\n<C UPDATE 1|\n<Z I", "UPDATE t 1")]
#[case::prepared(
    ">P s|SELECT a FROM t|\n>D Ss|\n>S\n<1\n<t\n<T\n<Z I
     >B |s|\n>E |\n>S\n<2\n<D\n<C SELECT 1|\n<Z I\n>B |s|\n>E |\n>S\n<2\n<s\n<Z I\n>C Ss|\n>S\n<3\n<Z I",
    "SELECT t 2"
)]
#[case::named_portal(">P |UPDATE t|\n>B p||\n>E p|\n>S\n<1\n<2\n<C UPDATE 1|\n<Z I", "UPDATE t 1")]
#[case::wrong_text(">P |UPDATE t|\n>B ||\n>E |\n>S\n<E\n<Z I", "UPDATE t 1 failed 1")]
#[case::wrong_text_early(">P |UPDATE t|\n<E\n>B ||\n>E |\n>S\n<Z I", "UPDATE t 1 failed 1")]
#[case::wrong_text_only_prepared(">P s|UPDATE t|\n>D Ss|\n>S\n<E\n<Z I", "UPDATE t 1 failed 1")]
#[case::wrong_parameter(">P |UPDATE t|\n>B ||\n>E |\n>S\n<1\n<E\n<Z I", "UPDATE t 1 failed 1")]
#[case::wrong_when_described(">P |UPDATE t|\n>B ||\n>D P|\n>E |\n>S\n<1\n<2\n<E\n<Z I", "UPDATE t 1 failed 1")]
#[case::pipeline(
    ">P |UPDATE a|\n>B ||\n>E |\n>P |UPDATE b|\n>B ||\n>E |\n>S\n<1\n<2\n<C UPDATE 1|\n<1\n<2\n<C UPDATE 1|\n<Z I",
    "UPDATE a 1, UPDATE b 1"
)]
#[case::pipeline_fails(
    ">P |UPDATE a|\n>B ||\n>E |\n>P |UPDATE b|\n>B ||\n>E |\n<1\n<2\n<E\n>P |UPDATE c|\n>B ||\n>E |\n>S
     >P |UPDATE d|\n>B ||\n>E |\n>S\n<Z I\n<1\n<2\n<C UPDATE 1|\n<Z I",
    "UPDATE a 1 failed 1, UPDATE b 0 skipped 1, UPDATE c 0 skipped 1, UPDATE d 1"
)]
#[case::many_fail(
    ">P s|UPDATE a|\n>B |s|\n>E |\n>B |s|\n>E |\n>B |s|\n>E |\n>S\n<1\n<2\n<C UPDATE 1|\n<2\n<E\n<Z I",
    "UPDATE a 2 failed 1 skipped 1"
)]
#[case::commit_fails(">P |UPDATE t|\n>B ||\n>E |\n>S\n<1\n<2\n<C UPDATE 1|\n<E\n<Z I", "UPDATE t 1 failed 1")]
#[case::copy_in(
    ">P |COPY t FROM STDIN|\n>B ||\n>E |\n>S\n<1\n<2\n<G\n>d 1\n>c\n>S\n<C COPY 1|\n<Z I
     >Q UPDATE t|\n<C UPDATE 1|\n<Z I",
    "COPY t + INSERT t 1, UPDATE t 1"
)]
#[case::copy_in_fails(
    ">P |COPY t FROM STDIN|\n>B ||\n>E |\n>S\n<1\n<2\n<G\n>d 1\n<E\n>c\n>S\n<Z I\n>Q UPDATE t|\n<C UPDATE 1|\n<Z I",
    "COPY t + INSERT t 1 failed 1, UPDATE t 1"
)]
#[case::deallocated(
    ">P s|UPDATE t|\n>S\n<1\n<Z I\n>Q DEALLOCATE s|\n<C DEALLOCATE|\n<Z I\n>B |s|\n>E |\n>S\n<2\n<C SELECT 1|\n<Z I",
    "SELECT 1, [DEALLOCATE] 1"
)]
fn extended_queries(#[case] messages: &str, #[case] expected: &str) {
    assert_eq!(counts(&talk(messages)), expected);
}

#[rstest]
#[case(">Q UPDATE a; UPDATE b|\n<C UPDATE 1|", "UPDATE a 1, UPDATE b 0 unanswered 1")]
#[case(">P |UPDATE t|\n>B ||\n>E |\n>S", "UPDATE t 0 unanswered 1")]
#[case(">Q UPDATE a|\n<E", "UPDATE a 1 failed 1")]
fn what_has_no_answer_when_the_connection_ends_is_unanswered(#[case] messages: &str, #[case] expected: &str) {
    let mut session = talk(messages);
    session.end();
    assert_eq!(counts(&session), expected);
}

#[test]
fn a_refused_client_has_executed_nothing() {
    let mut session = Answers::default();
    session.backend(&Message { kind: b'R', length: 4, body: b"" });
    session.backend(&Message { kind: b'E', length: 4, body: b"" });
    assert_eq!(counts(&session), "");
}

#[test]
fn a_text_cut_short_is_known_by_its_answer() {
    assert_eq!(counts(&talk(">Q SELECT 'a|\n<C SELECT 1|\n<C DELETE 5|\n<Z I")), "DELETE 1, SELECT 1");
}

#[rstest]
#[case(">Q BEGIN|", false)]
#[case(">Q UPDATE t; COMMIT|", true)]
#[case(">Q END|", true)]
#[case(">P |COMMIT|\n>B ||", false)]
#[case(">P |COMMIT|\n>B ||\n>E |", true)]
#[case(">P |COMMIT|\n>B ||\n>E |\n>S", false)]
#[case(">P c|COMMIT|\n>S\n<1\n<Z I\n>B |c|\n>E |", true)]
#[case(">P c|COMMIT|\n>B p|c|\n>P |SELECT|\n>B ||\n>E |", false)]
#[case(">P c|COMMIT|\n>B p|c|\n>P |SELECT|\n>B ||\n>E p|", true)]
#[case(">P c|COMMIT|\n>B p|c|\n>S\n<1\n<2\n<Z T\n>E p|", true)]
#[case(">P |UPDATE t|\n<E\n>P |COMMIT|\n>B ||\n>E |", false)]
fn a_commit_is_known_before_anything_is_answered(#[case] messages: &str, #[case] expected: bool) {
    assert_eq!(talk(messages).commits(), expected);
}

#[rstest]
#[case(">Q SELECT; SELECT|\n<C", 2, 1, Some(2))]
#[case(">Q SELECT|\n<C\n<Z I", 1, 1, None)]
#[case(">Q SELECT; SELECT|\n>Q SELECT|\n<E", 3, 2, None)]
#[case(">Q SELECT; SELECT|\n>Q SELECT|\n<E\n<Z I", 3, 2, Some(3))]
#[case(">P |SELECT|\n>B ||\n>E |\n>S\n<1", 1, 0, None)]
#[case(">P |SELECT|\n>B ||\n>E |\n>S\n<1\n<2", 1, 0, Some(1))]
#[case(">P |SELECT|\n>B ||\n>E |\n>E |\n>S\n>Q SELECT|\n<1\n<2\n<E", 3, 2, None)]
#[case(">P |nonsense|\n>S\n<E\n<Z I\n>Q SELECT|", 1, 0, Some(1))]
fn a_statement_is_known_by_its_turn(
    #[case] messages: &str,
    #[case] sent: u64,
    #[case] settled: u64,
    #[case] next: Option<u64>,
) {
    let session = talk(messages);
    assert_eq!((session.sent(), session.settled(), session.next_answered()), (sent, settled, next));
}

/// Rows of each shape that has any, in one line.
fn rows_of(session: &Answers) -> String {
    let counters = session.counts().counters();
    let by_shape = counters.seen.iter().chain(&counters.unseen).filter(|(_, counts)| counts.rows > 0);
    by_shape.map(|(shape, counts)| format!("{shape} {}", counts.rows)).collect::<Vec<_>>().join(", ")
}

#[rstest]
#[case(">Q SELECT a FROM t|\n<T\n<D\n<C SELECT 5|\n<Z I", "SELECT t 5")]
#[case(">Q BEGIN; INSERT INTO t; COMMIT|\n<C BEGIN|\n<C INSERT 0 3|\n<C COMMIT|\n<Z I", "INSERT t 3")]
#[case(">Q UPDATE t; DELETE FROM t|\n<C UPDATE 2|\n<C DELETE 1|\n<Z I", "DELETE t 1, UPDATE t 2")]
#[case(">Q COPY t FROM STDIN|\n<G\n>d 1\n>c\n<C COPY 7|\n<Z I", "COPY t + INSERT t 7")]
#[case(">Q FETCH 2000 FROM c|\n<C FETCH 2000|\n<Z I\n>Q FETCH 2000 FROM c|\n<C FETCH 500|\n<Z I", "FETCH 2500")]
#[case(">P |SELECT a FROM t|\n>B ||\n>E |\n>S\n<1\n<2\n<D\n<C SELECT 1|\n<Z I", "SELECT t 1")]
#[case(">P |FETCH 9 FROM c|\n>B ||\n>E |\n>S\n<1\n<2\n<D\n<C FETCH 9|\n<Z I", "FETCH 9")]
#[case(">Q UPDATE t|\n<E\n<Z I\n>Q ;|\n<I\n<Z I\n>Q FETCH 5 FROM c|\n<C FETCH 0|\n<Z I", "")]
fn rows_are_those_that_the_answers_speak_of(#[case] messages: &str, #[case] expected: &str) {
    assert_eq!(rows_of(&talk(messages)), expected);
}

#[test]
fn a_lost_track_is_found_again() {
    let messages = ">D P|\n<C X|\n>S\n<Z I\n>Q UPDATE t|\n<C UPDATE 1|\n<Z I";
    assert_eq!(counts(&talk(messages)), "UPDATE t 1, unmatched 2");
}

proptest! {
    #[test]
    fn rows_are_what_a_tag_ends_with(words in "[A-Z]{1,10}( [A-Z]{1,10}){0,3}", count in any::<u64>()) {
        prop_assert_eq!(rows(format!("{words} {count}\0").as_bytes()), count);
        prop_assert_eq!(rows(format!("{words}\0").as_bytes()), 0);
    }

    #[test]
    fn any_tag_has_a_number_of_rows(tag in prop::collection::vec(prop_oneof![any::<u8>(), b'0'..=b'9', Just(b' ')], 0..40)) {
        let _ = rows(&tag);
    }

    #[test]
    fn any_conversation_can_be_counted(
        messages in prop::collection::vec((any::<bool>(), prop::sample::select(b"QPBDECFSdcfXGHVZITn123sAK".to_vec()), "[a-c; |]{0,8}"), 0..60)
    ) {
        let messages: Vec<String> = messages
            .into_iter()
            .map(|(up, kind, body)| format!("{}{} {body}", if up { '>' } else { '<' }, char::from(kind)))
            .collect();
        let mut session = talk(&messages.join("\n"));
        session.end();
        let _ = counts(&session);
    }
}
