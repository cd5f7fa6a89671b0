//! What the server says that it executed: pg_stat_statements, scoped to an arm's database and role.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::sql::{self, Shape};
use crate::error::{Context as _, Error, Result};

/// Executions per shape, without what Django's wrappers cannot see.
pub type Executed = BTreeMap<Shape, u64>;

/// What the server says of a database.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Executions.
    pub executed: Executed,
    /// Bytes of write-ahead log, of all statements.
    pub wal: BTreeMap<Shape, u64>,
}

/// Asks the server what was executed in the database with this oid, by whatever role of the app; what the harness does is
/// not counted. `client` is the harness's, connected to the database that has the extension.
pub async fn statistics(client: &Client, database: u32) -> Result<Statistics> {
    let doing = || "ask pg_stat_statements".to_owned();
    let evicted: i64 =
        client.query_one("SELECT dealloc FROM pg_stat_statements_info", &[]).await.cannot_run(doing)?.get(0);
    if evicted != 0 {
        return Err(Error::cannot_run(format!(
            "pg_stat_statements dropped entries {evicted} times: its counts cannot be trusted"
        )));
    }
    let rows = client
        .query(
            "SELECT query, calls, wal_bytes::bigint FROM pg_stat_statements WHERE dbid = $1 \
             AND userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user)",
            &[&database],
        )
        .await
        .cannot_run(doing)?;
    let mut statistics = Statistics::default();
    for row in rows {
        let (query, calls, wal): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        let shape = sql::shape(&query);
        *statistics.wal.entry(shape.clone()).or_default() += wal.unsigned_abs();
        if !is_unseen(&query) {
            *statistics.executed.entry(shape).or_default() += calls.unsigned_abs();
        }
    }
    Ok(statistics)
}

/// Statements that the server executes without their passing Django's execute wrappers: the driver's
/// transaction control, session set-up and pings, COPY, what it does with server-side cursors, and the
/// server's own checks of foreign keys (Django's are deferred: at COMMIT they count as top-level).
pub fn is_unseen(sql: &str) -> bool {
    if sql.contains(" ONLY ") && sql.contains(" OPERATOR(pg_catalog.=) ") {
        return true;
    }
    let shape = sql::shape(sql);
    match shape.verb.as_str() {
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SET" | "SHOW" | "FETCH" | "MOVE" | "CLOSE" | "DISCARD"
        | "COPY" | "DEALLOCATE" => true,
        "SELECT" if shape.table.is_none() => {
            let text = sql.trim().trim_end_matches(';');
            text.contains("set_config(")
                || text.eq_ignore_ascii_case("SELECT $1")
                || text.eq_ignore_ascii_case("SELECT 1")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("COMMIT", true)]
    #[case("SELECT set_config('TimeZone', $1, $2)", true)]
    #[case("SELECT $1", true)]
    #[case(
        r#"SELECT $2 FROM ONLY "public"."shop_order" x WHERE "id" OPERATOR(pg_catalog.=) $1 FOR KEY SHARE OF x"#,
        true
    )]
    #[case("FETCH FORWARD $1 FROM \"c\"", true)]
    #[case("ROLLBACK TO SAVEPOINT s1", false)]
    #[case("SELECT a FROM shop_order", false)]
    #[case("SELECT count(*)", false)]
    fn what_wrappers_cannot_see_is_known(#[case] sql: &str, #[case] expected: bool) {
        assert_eq!(is_unseen(sql), expected);
    }
}
