//! Ledger against server and wire, per verb and table: *ended well <= server <= begun*, and equal when
//! nothing was killed. A difference means that one of the two did not see something.

use std::collections::BTreeMap;

use super::ledger::{Ledger, Statement};
use super::server::Executed;
use crate::proxy::{CountsByShape, Shape, is_unseen};

/// What the ledger says of one shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    begun: u64,
    ended_well: u64,
}

/// The differences between ledger and server, as sentences that name the statements; none when the two agree.
pub fn with_server(ledger: &Ledger, server: &Executed, killed: bool) -> Vec<String> {
    differences(ledger.statements.iter(), server, "the server executed", killed)
}

/// The differences between the ledger and what went over an actor's wire.
pub fn with_wire(ledger: &Ledger, actor: &str, wire: &CountsByShape, killed: bool) -> Vec<String> {
    let answered = wire.iter().map(|(shape, counts)| (shape.clone(), counts.statements - counts.failed)).collect();
    let own = ledger.statements.iter().filter(|statement| *statement.actor == *actor);
    differences(own, &answered, &format!("the wire of {actor} carried"), killed)
}

/// Web requests that were sent to an actor, and that it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The web actor or proxy.
    pub actor: String,
    /// By the harness's own clients, and by proxies.
    pub sent: u64,
    /// By itself.
    pub seen: u64,
    /// Whether each was answered, and none refused before it was looked at: the two are then the same.
    pub all_answered: bool,
}

/// The differences between the requests that were sent and those that arrived.
pub fn with_requests(requested: &[Requested], disturbed: bool) -> Vec<String> {
    let agree = |one: &&Requested| {
        if one.all_answered && !disturbed { one.seen == one.sent } else { one.seen <= one.sent }
    };
    let differ = requested.iter().filter(|one| !agree(one));
    differ.map(|one| format!("{} was sent {} requests and saw {}", one.actor, one.sent, one.seen)).collect()
}

fn differences<'l>(
    statements: impl Iterator<Item = &'l Statement>,
    executed: &Executed,
    by: &str,
    killed: bool,
) -> Vec<String> {
    let mut counts: BTreeMap<&Shape, Counts> = executed.keys().map(|shape| (shape, Counts::default())).collect();
    for statement in statements.filter(|statement| !is_unseen(&statement.sql)) {
        let counts = counts.entry(&statement.shape).or_default();
        counts.begun += statement.times;
        if statement.end.as_ref().is_some_and(|end| end.error.is_none()) {
            counts.ended_well += statement.times;
        }
    }
    counts
        .into_iter()
        .filter_map(|(shape, Counts { begun, ended_well })| {
            let executed = executed.get(shape).copied().unwrap_or_default();
            let agree = if killed { (ended_well..=begun).contains(&executed) } else { executed == ended_well };
            (!agree)
                .then(|| format!("{shape}: the ledger has {begun} begun and {ended_well} ended well, {by} {executed}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::ledger::End;
    use super::*;
    use crate::proxy::shape;

    /// Open; or ended, perhaps with an error.
    type Ended = Option<Result<(), &'static str>>;

    fn statement(sql: &str, end: Ended, times: u64) -> Statement {
        Statement {
            actor: "q".into(),
            role: "main".into(),
            shape: shape(sql).into(),
            sql: sql.into(),
            site: "".into(),
            begin: 0,
            times,
            end: end.map(|end| End { at: 1, rows: 0, error: end.err().map(str::to_owned) }),
        }
    }

    fn server(pairs: &[(&str, u64)]) -> Executed {
        pairs.iter().map(|&(sql, calls)| (shape(sql), calls)).collect()
    }

    const WELL: Ended = Some(Ok(()));
    const BADLY: Ended = Some(Err("IntegrityError"));

    #[rstest]
    #[case::equal(vec![statement("SELECT a FROM t", WELL, 1)], &[("SELECT a FROM t", 1)], false, 0)]
    #[case::many(vec![statement("INSERT INTO t", WELL, 5)], &[("INSERT INTO t", 5)], false, 0)]
    #[case::failed(vec![statement("INSERT INTO t", BADLY, 1)], &[], false, 0)]
    #[case::unseen(vec![statement("SELECT 1", WELL, 1)], &[], false, 0)]
    #[case::stranger(vec![], &[("DELETE FROM t", 1)], false, 1)]
    #[case::lost(vec![statement("SELECT a FROM t", WELL, 1)], &[], false, 1)]
    #[case::open_and_alive(vec![statement("SELECT a FROM t", None, 1)], &[("SELECT a FROM t", 1)], false, 1)]
    #[case::open_and_killed(vec![statement("SELECT a FROM t", None, 1)], &[("SELECT a FROM t", 1)], true, 0)]
    #[case::open_and_killed_before(vec![statement("SELECT a FROM t", None, 1)], &[], true, 0)]
    #[case::more_than_begun(vec![statement("SELECT a FROM t", None, 1)], &[("SELECT a FROM t", 2)], true, 1)]
    fn ledger_and_server_agree_or_the_shape_is_named(
        #[case] statements: Vec<Statement>,
        #[case] executed: &[(&str, u64)],
        #[case] killed: bool,
        #[case] expected: usize,
    ) {
        assert_eq!(with_server(&Ledger { statements }, &server(executed), killed).len(), expected);
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
        assert_eq!(with_requests(&requested, disturbed).is_empty(), agree);
    }

    proptest! {
        #[test]
        fn what_agrees_alive_agrees_killed(well in 0_u64..5, badly in 0_u64..5, open in 0_u64..5, executed in 0_u64..12) {
            let mut statements = Vec::new();
            statements.extend((0..well).map(|_| statement("UPDATE t", WELL, 1)));
            statements.extend((0..badly).map(|_| statement("UPDATE t", BADLY, 1)));
            statements.extend((0..open).map(|_| statement("UPDATE t", None, 1)));
            let ledger = Ledger { statements };
            let server = server(&[("UPDATE t", executed)]);
            if with_server(&ledger, &server, false).is_empty() {
                prop_assert!(with_server(&ledger, &server, true).is_empty());
            }
        }
    }
}
