//! Connections of the harness, and what a server answers.

use tokio_postgres::{Client, NoTls};

use crate::deadline;
use crate::error::{Error, Result};

/// The superuser of a server of our own, which only the harness uses.
pub const SUPERUSER: &str = "dj_regress";

/// The role that owns every arm's database on a server of our own and that the app connects as. No superuser.
pub const APP: &str = "app";

/// What the database `postgres` and the template of all others are: nobody's but the harness's.
pub(super) const SETUP: &str =
    "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC; CREATE EXTENSION pg_stat_statements";

/// Connects; the connection ends with its client, or with the server.
pub(super) async fn connect(config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // It ends with its client, or with the server; then the client's next call says so.
    tokio::spawn(connection);
    Ok(client)
}

/// What the server answers, if it does in time.
pub(super) fn answered<T>(
    doing: &str,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> impl Future<Output = Result<T>> {
    let answer = async move { asked.await.map_err(|error| failed(doing, &error)) };
    deadline::within(deadline::step(), || doing.to_owned(), answer)
}

/// An error with what the server said: the library's own text is only "db error".
pub(super) fn failed(doing: &str, error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(said) => Error::cannot_run(format!("{doing}: {} ({})", said.message(), said.code().code())),
        None => Error::cannot_run(format!("{doing}: {error}")),
    }
}
