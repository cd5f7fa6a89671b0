//! What the server says that it executed: pg_stat_statements, scoped to an arm's database and role.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::error::{Context as _, Error, Result};
use crate::proxy::{Shape, is_unseen, shape};

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
        let shape = shape(&query);
        *statistics.wal.entry(shape.clone()).or_default() += wal.unsigned_abs();
        if !is_unseen(&query) {
            *statistics.executed.entry(shape).or_default() += calls.unsigned_abs();
        }
    }
    Ok(statistics)
}
