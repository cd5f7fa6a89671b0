//! Statement-level triggers that record who writes a table, for arms that ask for `writers`.
//!
//! They record into a schema of the harness's own, as its role, so that neither what the app may do
//! nor what is counted changes; nested statements are not in `pg_stat_statements.track = top`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;

use super::sql::{message, quoted};

/// One statement that wrote the table, as the server saw its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `CLOCK_MONOTONIC` in nanoseconds, as everything else that windows hold.
    pub at: u64,
    /// The client's `application_name`.
    pub application: String,
    /// The backend's process id.
    pub pid: i32,
    /// The client's address; absent for a unix socket.
    pub address: Option<String>,
    /// `INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`.
    pub verb: String,
    /// The statement that the client sent, which for a function is the call.
    pub statement: String,
    /// Rows that it touched; 0 for `TRUNCATE`.
    pub rows: u64,
}

/// Not named like the harness's role: a schema of that name would come first on its `search_path`, and catch what a `sql`
/// step creates.
const FUNCTIONS: &str = "
CREATE SCHEMA IF NOT EXISTS dj_regress_triggers;
CREATE TABLE IF NOT EXISTS dj_regress_triggers.writes (
    id bigserial, at_us bigint DEFAULT extract(epoch FROM clock_timestamp()) * 1000000, tab text, application text, pid int, address text, verb text, statement text, touched bigint);
CREATE OR REPLACE FUNCTION dj_regress_triggers.wrote_rows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$ BEGIN
    INSERT INTO dj_regress_triggers.writes (tab, application, pid, address, verb, statement, touched)
    SELECT TG_TABLE_NAME, current_setting('application_name'), pg_backend_pid(), host(inet_client_addr()), TG_OP,
           current_query(), (SELECT count(*) FROM touched);
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION dj_regress_triggers.wrote() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$ BEGIN
    INSERT INTO dj_regress_triggers.writes (tab, application, pid, address, verb, statement, touched)
    SELECT TG_TABLE_NAME, current_setting('application_name'), pg_backend_pid(), host(inet_client_addr()), TG_OP,
           current_query(), 0;
    RETURN NULL;
END $$;
";

/// Installs the triggers on a table of the database that `client`, a superuser's, is connected to.
pub async fn install(client: &Client, table: &str) -> Result<(), String> {
    let table = quoted(table);
    let row_triggers = [("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")].map(|(verb, rows)| {
        format!(
            "CREATE TRIGGER dj_regress_{verb} AFTER {verb} ON {table} REFERENCING {rows} TABLE AS touched \
             FOR EACH STATEMENT EXECUTE FUNCTION dj_regress_triggers.wrote_rows();"
        )
    });
    let truncate = format!(
        "CREATE TRIGGER dj_regress_truncate AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION dj_regress_triggers.wrote();"
    );
    let statements = format!("{FUNCTIONS}{}{truncate}", row_triggers.concat());
    client.batch_execute(&statements).await.map_err(|error| message(&error))
}

/// What the triggers recorded of a table, in the order of the writes. `machine` tells this machine's `CLOCK_MONOTONIC` from
/// what a backend has read from its clock.
pub async fn read(client: &Client, table: &str, machine: impl Fn(SystemTime) -> u64) -> Result<Vec<Write>, String> {
    let statement = "SELECT application, pid, address, verb, statement, touched, at_us FROM dj_regress_triggers.writes WHERE tab = $1 ORDER BY id";
    let rows = client.query(statement, &[&table]).await.map_err(|error| message(&error))?;
    let write = |row: &tokio_postgres::Row| Write {
        at: machine(UNIX_EPOCH + Duration::from_micros(row.get::<_, i64>(6).unsigned_abs())),
        application: row.get(0),
        pid: row.get(1),
        address: row.get(2),
        verb: row.get(3),
        statement: row.get(4),
        rows: row.get::<_, i64>(5).unsigned_abs(),
    };
    Ok(rows.iter().map(write).collect())
}
